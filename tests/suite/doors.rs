//! Every way in, end to end: the same things over each transport, against the real binary.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::io::Write;
use std::net::TcpStream;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Record, RecordView, Value};
use blazedb::client::{Client, Error, Options, Range, State, Subscription, Tidings};
use blazedb::transport::Url;
use blazedb::wire::ErrorCode;
use blazedb::wire::message::{ChangeKind, Mode, Start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use super::server_attacks::{hello, last_words, types};
use super::server_crowds::resident_kib;
use super::server_kit::{PATIENCE, Process};

/// The ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    Tls,
    Unix,
    Web,
    WebTls,
}

pub(crate) const WAYS: [Way; 5] = [Way::Tcp, Way::Tls, Way::Unix, Way::Web, Way::WebTls];

/// A server that listens over TCP and on a Unix socket, over data that outlives it.
pub(crate) struct House {
    folder: tempfile::TempDir,
    address: String,
    pub(crate) server: Option<Process>,
}

impl House {
    pub(crate) fn open() -> Self {
        let mut house =
            Self { folder: tempfile::tempdir().unwrap(), address: "127.0.0.1:0".to_owned(), server: None };
        house.start();
        house.address = house.server().address.to_string();
        house
    }

    pub(crate) fn start(&mut self) {
        let socket = format!("unix:{}", self.socket().display());
        let data = self.data();
        let arguments = ["--listen", &socket, "--data-dir", data.to_str().unwrap()];
        self.server = Some(Process::start_at(&self.address, &arguments));
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn server(&self) -> &Process {
        self.server.as_ref().unwrap()
    }

    /// The fingerprint that the server printed.
    pub(crate) fn pin(&self) -> String {
        let line = self.server().banner.iter().find(|line| line.contains("pin=")).unwrap();
        line.split("pin=").nth(1).unwrap().trim().to_owned()
    }

    pub(crate) fn url(&self, way: Way) -> Url {
        let (address, pin, socket) = (&self.address, self.pin(), self.socket());
        let text = match way {
            Way::Tcp => format!("blaze://{address}/main"),
            Way::Tls => format!("blazes://{address}/main?pin={pin}"),
            Way::Unix => format!("unix:{}?db=main", socket.display()),
            Way::Web => format!("ws://{address}/blaze?db=main"),
            Way::WebTls => format!("wss://{address}/blaze?db=main&pin={pin}"),
        };
        text.parse().unwrap()
    }

    pub(crate) async fn client(&self, way: Way) -> Client {
        Client::connect(&self.url(way), Options::default()).await.unwrap()
    }
}

fn numbered(number: u64, fill: usize) -> Record {
    let id = ("id", Value::Uuid(Uuid::from_u128(number.into())));
    Record::from_iter([
        id,
        ("n", Value::Int(number.cast_signed())),
        ("fill", Value::from("x".repeat(fill).as_str())),
    ])
}

fn number(record: &Record) -> i64 {
    match record.get("n") {
        Some(Value::Int(number)) => *number,
        other => panic!("{other:?}"),
    }
}

async fn all(client: &Client, collection: &str) -> Vec<Record> {
    let pages = client.scan(collection, Range::ALL).await.unwrap();
    pages.collect().await.unwrap().iter().map(|stored| stored.record().unwrap()).collect()
}

/// The records of the next changes that a watch tells of.
async fn next_put(watch: &mut Subscription) -> Vec<i64> {
    let told = async {
        loop {
            if let Some(Tidings::Changes(changes)) = watch.next().await.unwrap() {
                return changes.iter().map(|change| number(&put(&change.kind))).collect();
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap()
}

fn put(kind: &ChangeKind<'_>) -> Record {
    let ChangeKind::Put(record) = kind else { panic!("{kind:?}") };
    RecordView::canonical(record.bytes()).unwrap().to_record()
}

async fn works(way: Way) {
    let mut house = House::open();
    let client = house.client(way).await;
    // One, several at once, the largest that may be, and many in flight.
    let put = client.put("things", numbered(1, 10)).await.unwrap();
    assert_eq!(put.id, Uuid::from_u128(1));
    let again = client.insert("things", numbered(1, 10)).await.unwrap_err();
    assert!(matches!(again, Error::Refused(_)), "{again}");
    let largest = numbered(2, (1 << 20) - 100);
    client.put("things", largest.clone()).await.unwrap();
    let stored = client.get("things", Uuid::from_u128(2)).await.unwrap().unwrap();
    assert_eq!(stored.record().unwrap(), largest);
    let mut pending = Vec::new();
    for number in 3..=3_000 {
        pending.push(client.begin_put("things", numbered(number, 100)).await.unwrap().1);
    }
    for outcome in pending {
        outcome.await.unwrap();
    }
    assert_eq!(
        client.get_many("things", &[Uuid::from_u128(7), Uuid::from_u128(2_999)]).await.unwrap().len(),
        2
    );
    client.delete("things", Uuid::from_u128(1)).await.unwrap();
    let found: Vec<i64> = all(&client, "things").await.iter().map(number).collect();
    assert_eq!(found, (2..=3_000).collect::<Vec<i64>>());

    // A watch goes on over a server that is killed: each change once, in order.
    let watcher = house.client(way).await;
    let mut watch = watcher.subscribe("things", Mode::All, Start::Now).unwrap();
    while !matches!(watch.next().await.unwrap(), Some(Tidings::CaughtUp { .. })) {}
    let mut seen = Vec::new();
    client.put("things", numbered(4_001, 1)).await.unwrap();
    seen.extend(next_put(&mut watch).await);
    house.server.take().unwrap().kill();
    house.start();
    client.put("things", numbered(4_002, 1)).await.unwrap();
    client.put("things", numbered(4_003, 1)).await.unwrap();
    while seen.len() < 3 {
        seen.extend(next_put(&mut watch).await);
    }
    assert_eq!(seen, [4_001, 4_002, 4_003]);
    assert_eq!(all(&client, "things").await.len(), 3_002);
    client.close().await;
    watcher.close().await;
    house.server.take().unwrap().stop();
    assert!(!house.socket().exists(), "a server that stops leaves no socket");
}

/// Stopping says goodbye to a client that works, and waits for what it admitted.
async fn drains(way: Way) {
    let mut house = House::open();
    let client = house.client(way).await;
    let mut state = client.state();
    let mut pending = Vec::new();
    for number in 1..=500 {
        pending.push(client.begin_put("things", numbered(number, 100)).await.unwrap().1);
    }
    house.server().signal("TERM");
    let waiting = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    let waiting = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().clone();
    let State::Waiting { error, pause, .. } = waiting else { unreachable!() };
    assert!(error.to_string().contains("shutting_down"), "{way:?}: {error}");
    assert!(pause >= Duration::from_secs(1), "the Goodbye names a second: {pause:?}");
    let begun = Instant::now();
    assert_eq!(house.server.take().unwrap().wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited for nobody");
    house.start();
    for outcome in pending {
        outcome.await.unwrap();
    }
    assert_eq!(all(&client, "things").await.len(), 500);
    client.close().await;
}

/// One suite for each way.
macro_rules! over {
    ($($module:ident: $way:expr),+) => {$(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn everything_works_and_a_watch_outlives_the_server() {
                works($way).await;
            }

            #[tokio::test]
            async fn stopping_says_goodbye() {
                drains($way).await;
            }
        }
    )+};
}

over!(tcp: Way::Tcp, tls: Way::Tls, unix: Way::Unix, web: Way::Web, web_tls: Way::WebTls);

/// The command line takes the same URLs.
#[test]
fn commands_reach_a_server_in_every_way() {
    use super::command::{blazedb, run};
    let house = House::open();
    for (count, way) in (1..).zip(WAYS) {
        let url = house.url(way).to_string();
        let put = run(&mut blazedb(&["--url", &url, "put", "notes", "--record", r#"{"a":1}"#]), b"");
        assert!(put.status.success(), "{way:?}: {}", String::from_utf8_lossy(&put.stderr));
        let scan = run(&mut blazedb(&["--url", &url, "scan", "notes"]), b"");
        assert_eq!(String::from_utf8(scan.stdout).unwrap().lines().count(), count, "{way:?}");
        let bench =
            ["--url", &url, "bench", "insert", "--clients", "4", "--records", "200", "--output", "json"];
        let bench = run(&mut blazedb(&bench), b"");
        assert!(bench.status.success(), "{way:?}: {}", String::from_utf8_lossy(&bench.stderr));
    }
}

/// Where every phase of a handshake may stop: all are hung up on in time, and an honest client works meanwhile.
#[test]
fn slow_handshakes_end_in_every_phase() {
    let house = House::open();
    let address = house.server().address;
    let mut honest = super::server_kit::Caller::new(address);
    // The first bytes of a real ClientHello, in a record that promises more.
    let half_tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let request = b"GET /blaze HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: blaze.v1\r\n\r\n";
    let head = &request[..40];
    let ping_in_web = [&request[..], b"\x89\x80\0\0\0\0"].concat();
    let start = Instant::now();
    let slow: Vec<TcpStream> = [&b""[..], b"BLA", b"G", half_tls, head, request, &ping_in_web]
        .into_iter()
        .map(|begun| {
            let mut stream = super::server_attacks::stream(address);
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    let mut unix = std::os::unix::net::UnixStream::connect(house.socket()).unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    // A byte now and then moves no deadline.
    let mut drips = slow[4].try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        for _ in 0..24 {
            if drips.write_all(b"a").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    });
    for stream in slow {
        last_words(stream);
        assert!(start.elapsed() < Duration::from_millis(7_500), "{:?}", start.elapsed());
        assert!(honest.is_well());
    }
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut unix, &mut rest).unwrap();
    assert!(start.elapsed() < Duration::from_millis(7_500), "{:?}", start.elapsed());
    dripping.join().unwrap();
    assert!(honest.is_well());
}

/// The same behind TLS and on a WebSocket's way, where who is silent is told so by the protocol.
#[tokio::test]
async fn who_says_nothing_is_told_so_in_every_way() {
    let house = House::open();
    let mut silent = Vec::new();
    for way in WAYS {
        silent.push((way, blazedb::transport::Dialer::new(house.url(way), None).dial().await.unwrap()));
    }
    let start = Instant::now();
    for (way, mut stream) in silent {
        let mut words = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut words)).await.unwrap();
        assert!(read.is_ok() && types(&words) == [8], "{way:?}: {read:?} {words:?}");
        assert!(start.elapsed() < Duration::from_millis(7_500), "{way:?}: {:?}", start.elapsed());
    }
}

/// A ClientHello of TLS 1.2 (RFC 5246, section 7.4.1.2), which names no later version.
fn old_hello() -> Vec<u8> {
    let extensions = [
        // supported_groups: secp256r1; signature_algorithms: ecdsa_secp256r1_sha256.
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ]
    .concat();
    // ECDHE-ECDSA-AES128-GCM-SHA256, no compression.
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &[0, 2, 0xc0, 0x2b],
        &[1, 0],
        &[0, extensions.len() as u8],
        &extensions,
    ];
    let body = body.concat();
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    [&[0x16, 3, 1, 0, handshake.len() as u8][..], &handshake].concat()
}

/// Nothing older than TLS 1.3 is spoken: the alert is protocol_version, 70 (RFC 8446, section 6.2).
#[test]
fn older_versions_of_tls_are_refused() {
    let house = House::open();
    let mut stream = super::server_attacks::stream(house.server().address);
    stream.write_all(&old_hello()).unwrap();
    assert_eq!(last_words(stream).0, [0x15, 3, 3, 0, 2, 2, 70]);
}

/// A server whose certificate is another one, or one that nobody vouches for, is not spoken to.
#[tokio::test]
async fn certificates_are_checked() {
    let house = House::open();
    let connect = async |text: String, ca: Option<PathBuf>| {
        Client::connect(&text.parse().unwrap(), Options { ca, ..Options::default() }).await
    };
    let port = house.server().address.port();
    let other = format!("sha256:{}", "00".repeat(32));
    for (text, ca, words) in [
        (format!("blazes://127.0.0.1:{port}/main?pin={other}"), None, "not the pinned one"),
        (format!("wss://127.0.0.1:{port}/blaze?pin={other}"), None, "not the pinned one"),
        (format!("blazes://127.0.0.1:{port}"), Some(house.data().join("FORMAT")), "--ca"),
    ] {
        let error = connect(text, ca).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
        let told = error.to_string();
        assert!(told.contains(words) && told.lines().count() == 1, "{told}");
    }
    // Another server's certificate vouches for nothing here; its own does, for the names in it alone.
    let stranger = House::open();
    let own = house.data().join("tls-cert.pem");
    let not_vouched =
        connect(format!("blazes://localhost:{port}"), Some(stranger.data().join("tls-cert.pem")));
    assert!(not_vouched.await.unwrap_err().to_string().contains("vouches"));
    connect(format!("blazes://localhost:{port}"), Some(own.clone())).await.unwrap().close().await;
    connect(format!("blazes://127.0.0.1:{port}"), Some(own.clone())).await.unwrap().close().await;
    let foreign = connect(format!("blazes://127.0.0.2:{port}"), Some(own)).await;
    assert!(foreign.is_err());
}

/// A certificate of the operator's is shown, and read again when it was replaced.
#[tokio::test]
async fn a_named_certificate_is_shown_and_reloaded() {
    let (first, second) = (House::open(), House::open());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let take = |from: &Path| {
        std::fs::copy(from.join("tls-cert.pem"), &certificate).unwrap();
        std::fs::copy(from.join("tls-key.pem"), &key).unwrap();
    };
    take(&first.data());
    let files = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Process::start_with(&[&["--memory"][..], &files].concat());
    assert!(server.banner.iter().all(|line| !line.contains("pin=")), "{:?}", server.banner);
    let url =
        |house: &House| format!("blazes://{}/main?pin={}", server.address, house.pin()).parse().unwrap();
    let lasting = Client::connect(&url(&first), Options::default()).await.unwrap();
    take(&second.data());
    server.signal("HUP");
    let deadline = Instant::now() + PATIENCE;
    while Client::connect(&url(&second), Options::default()).await.is_err() {
        assert!(Instant::now() < deadline, "the certificate is not read again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lasting.put("notes", Record::from_iter([("a", 1_i64)])).await.unwrap();
    assert!(Client::connect(&url(&first), Options::default()).await.is_err());
    std::fs::write(&key, "no key").unwrap();
    server.signal("HUP");
    tokio::time::sleep(Duration::from_millis(200)).await;
    Client::connect(&url(&second), Options::default()).await.unwrap().close().await;
    lasting.close().await;
    server.stop();
}

/// Bytes that mean nothing, in the clear, encrypted and inside messages.
#[tokio::test]
async fn garbage_over_each_way_harms_nobody() {
    let house = House::open();
    let honest = house.client(Way::Tcp).await;
    let noise: Vec<u8> = (0..60_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for way in WAYS {
        let mut dialer = blazedb::transport::Dialer::new(house.url(way), None);
        let mut stream = dialer.dial().await.unwrap();
        let _ = stream.write_all(&noise).await;
        let _ = stream.flush().await;
        let mut words = Vec::new();
        let reading = stream.read_to_end(&mut words);
        // A reset is an end too.
        let _ = tokio::time::timeout(Duration::from_secs(4), reading).await.expect("it is not hung up on");
        let upper = Range { upper: Bound::Included(Uuid::max()), ..Range::ALL };
        honest.put("notes", Record::from_iter([("a", 1_i64)])).await.unwrap();
        assert!(!honest.scan("notes", upper).await.unwrap().collect().await.unwrap().is_empty(), "{way:?}");
    }
    honest.close().await;
}

/// Who comes when all places are taken is told so in the way that it came: of 256 descriptors 128 are for clients.
#[tokio::test]
async fn a_full_server_says_so_over_each_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House { folder, address: String::new(), server: None };
    let (socket, data) = (format!("unix:{}", house.socket().display()), house.data());
    let arguments = ["--listen", &socket, "--data-dir", data.to_str().unwrap()];
    let server = Process::start_by("ulimit -n 256; exec \"$@\"", &arguments);
    house.address = server.address.to_string();
    house.server = Some(server);
    let mut crowd = Vec::new();
    for _ in 0..128 {
        crowd.push(house.client(Way::Tcp).await);
    }
    for way in WAYS {
        let refused = Client::connect(&house.url(way), Options::default()).await.err();
        let code = refused.as_ref().and_then(Error::code);
        assert_eq!(code, Some(ErrorCode::TooManyConnections), "{way:?}: {refused:?}");
    }
}

/// An idle connection costs little over each way: what it held in its handshake is gone.
#[tokio::test]
async fn idle_connections_cost_little() {
    const CROWD: u64 = 500;
    for (way, most_kib) in
        [(Way::Tcp, 24), (Way::Unix, 24), (Way::Tls, 32), (Way::Web, 32), (Way::WebTls, 32)]
    {
        let house = House::open();
        let mut dialer = blazedb::transport::Dialer::new(house.url(way), None);
        let mut crowd = Vec::new();
        let mut before = 0;
        // The first ones warm the server up.
        for number in 0..CROWD + 50 {
            if number == 50 {
                before = resident_kib(house.server());
            }
            let mut stream = dialer.dial().await.unwrap();
            stream.write_all(&hello()).await.unwrap();
            stream.flush().await.unwrap();
            let mut welcome = [0; 15];
            stream.read_exact(&mut welcome).await.unwrap();
            assert_eq!(welcome[6], 1, "{way:?}");
            crowd.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let each = resident_kib(house.server()).saturating_sub(before) as f64 / CROWD as f64;
        println!("{way:?}: {each:.1} KiB a connection");
        assert!(each < f64::from(most_kib), "{way:?}: {each} KiB");
    }
}
