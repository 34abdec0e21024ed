//! The Rust client against a small server: order, exactly one effect per operation over connections that break,
//! reading that holds up nobody, deadlines, and what is told to people.

use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blazedb::blazebinary::{Record, Value};
use blazedb::client::{Client, Dial, Error, Options, Range, State};
use blazedb::transport::{ConnectError, Dialer, Url};
use blazedb::wire::{ErrorCode, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::time::Instant;
use uuid::Uuid;

use super::test_server::{DATABASE, Treatment, World, serve};

/// Small, so that writers meet a full stream.
const PIPE_BYTES: usize = 4 << 10;

/// Dials the server in memory; `treat` says how the n-th connection is treated, from 0; none refuses it.
struct Pipe<F> {
    world: Arc<Mutex<World>>,
    dialled: usize,
    treat: F,
}

impl<F: FnMut(usize) -> Option<Treatment> + Send + 'static> Dial for Pipe<F> {
    type Stream = DuplexStream;

    async fn dial(&mut self) -> Result<DuplexStream, ConnectError> {
        let treatment = (self.treat)(self.dialled);
        self.dialled += 1;
        let treatment = treatment.ok_or_else(|| ConnectError::Refused { address: "memory".to_owned() })?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(serve(far, Arc::clone(&self.world), treatment));
        Ok(near)
    }
}

async fn open(
    world: &Arc<Mutex<World>>,
    treat: impl FnMut(usize) -> Option<Treatment> + Send + 'static,
    options: Options,
) -> Result<Client, Error> {
    Client::connect_over(Pipe { world: Arc::clone(world), dialled: 0, treat }, DATABASE, options).await
}

async fn usual(world: &Arc<Mutex<World>>) -> Client {
    open(world, |_| Some(Treatment::default()), Options::default()).await.unwrap()
}

fn numbered(id: u64, fields: &[(&'static str, Value)]) -> Record {
    let id = [("id", Value::Uuid(Uuid::from_u128(id.into())))];
    id.into_iter().chain(fields.iter().cloned()).collect()
}

fn uuid(id: u64) -> Uuid {
    Uuid::from_u128(id.into())
}

#[tokio::test]
async fn every_verb_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::shared();
    let served = Arc::clone(&world);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, served, Treatment::default()).await;
    });
    let url: Url = format!("blaze://127.0.0.1:{port}").parse().unwrap();
    let client = Client::connect(&url, Options::default()).await.unwrap();

    let put = client.put("notes", Record::from_iter([("title", "Hi")])).await.unwrap();
    assert_eq!(put.id.get_version_num(), 7);
    assert_eq!(put.receipt.position.seq, 1);
    let refused = client.insert("notes", Record::from_iter([("id", put.id)])).await.unwrap_err();
    assert_eq!((refused.code(), refused.fault()), (Some(ErrorCode::AlreadyExists), Fault::Client));
    assert!(matches!(&refused, Error::Refused(refused) if refused.item() == Some(0)), "{refused:?}");
    let set = Record::from_iter([("done", true)]);
    let patched = client.patch("notes", put.id, &set, &["title".to_owned()]).await.unwrap();
    let held = client.at_least(patched.position).get("notes", put.id).await.unwrap().unwrap();
    let expected: Record = [("id", Value::Uuid(put.id)), ("done", Value::from(true))].into_iter().collect();
    assert_eq!((held.seq, held.record().unwrap()), (2, expected.clone()));

    let again = client.upsert("notes", expected).await.unwrap();
    assert_eq!((again.receipt.unchanged, client.unchanged()), (Some(1), 1));
    for id in 1..=3 {
        client.insert("notes", numbered(id, &[])).await.unwrap();
    }
    let range = Range { lower: Bound::Excluded(uuid(1)), limit: 2, ..Range::ALL };
    let rows = client.scan("notes", range).await.unwrap().collect().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id().unwrap()).collect::<Vec<_>>(), [uuid(2), uuid(3)]);
    let found = client.get_many("notes", &[uuid(3), uuid(9), uuid(1)]).await.unwrap();
    assert_eq!(found.iter().map(|row| row.id().unwrap()).collect::<Vec<_>>(), [uuid(3), uuid(1)]);
    let stats = client.stats(Some("notes")).await.unwrap();
    assert_eq!(stats[0].record().unwrap().get("records"), Some(&Value::from(4i64)));

    client.delete("notes", uuid(2)).await.unwrap();
    assert!(client.get("notes", uuid(2)).await.unwrap().is_none());
    assert_eq!(client.delete("notes", uuid(2)).await.unwrap().unchanged, Some(1));
    let error = client.get("nothing", uuid(2)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownCollection));

    let other = client.clone();
    client.close().await;
    assert_eq!(world.lock().unwrap().goodbyes, 1);
    assert!(matches!(other.get("notes", uuid(1)).await, Err(Error::Closed)));
}

#[tokio::test(start_paused = true)]
async fn operations_in_flight_are_decided_in_order() {
    let world = World::shared();
    let client = usual(&world).await;
    let mut pending = Vec::new();
    // More than the window: submitting waits for room.
    for count in 0..3_000i64 {
        let (_, outcome) = client.begin_put("c", numbered(1, &[("count", count.into())])).await.unwrap();
        pending.push(outcome);
    }
    let mut last = 0;
    for outcome in pending {
        let seq = outcome.await.unwrap().position.seq;
        assert!(seq >= last, "{seq} after {last}");
        last = seq;
    }
    let numbers: Vec<u64> = world.lock().unwrap().effects.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, (1..=3_000).collect::<Vec<_>>());
    let held = client.get("c", uuid(1)).await.unwrap().unwrap();
    assert_eq!(held.record().unwrap().get("count"), Some(&Value::from(2_999i64)));
}

/// Lehmer's generator: enough to choose where to cut.
fn draws(seed: u64) -> impl FnMut(u64) -> u64 + Send {
    let mut state = seed * 2 + 1;
    move |below| {
        state = state * 48_271 % 0x7FFF_FFFF;
        state % below
    }
}

#[tokio::test(start_paused = true)]
async fn over_connections_that_break_every_operation_has_one_outcome_and_one_effect() {
    const OPERATIONS: u64 = 150;
    let mut welcomes = 0;
    for seed in 1..=60 {
        let world = World::shared();
        let mut draw = draws(seed);
        // The first connection lives until the welcome at least: its failure would be told.
        let treat = move |n: usize| match (n, draw(8)) {
            (1.., 0) => None,
            (0, _) => Some(Treatment { cut_after: Some(400 + draw(3_000) as usize), silent: false }),
            _ => Some(Treatment { cut_after: Some(1 + draw(12_000) as usize), silent: false }),
        };
        let client = open(&world, treat, Options { patience: None, ..Options::default() }).await.unwrap();
        let mut pending = Vec::new();
        for n in 0..OPERATIONS {
            let value = Value::from(i64::try_from(n).unwrap());
            // Every third repeats the id before it, and is refused.
            let id = if n % 3 == 2 { n - 1 } else { n };
            let (_, outcome) = client.begin_insert("c", numbered(id, &[("n", value)])).await.unwrap();
            pending.push(outcome);
            if n % 50 == 49 {
                // It may overtake the operations; what it must not be is interrupted.
                let got = client.get("c", uuid(0)).await;
                assert!(matches!(got, Ok(_) | Err(Error::Refused(_))), "seed {seed}: {got:?}");
            }
        }
        for (n, outcome) in pending.into_iter().enumerate() {
            match outcome.await {
                Ok(_) => assert_ne!(n % 3, 2, "seed {seed}: {n} was to be refused"),
                Err(Error::Refused(refused)) => {
                    assert_eq!(
                        (n % 3, refused.code),
                        (2, Some(ErrorCode::AlreadyExists)),
                        "seed {seed}: {n}"
                    );
                }
                Err(error) => panic!("seed {seed}: {n}: {error}"),
            }
        }
        let world = world.lock().unwrap();
        let numbers: Vec<u64> = world.effects.iter().map(|(_, number)| *number).collect();
        let expected: Vec<u64> = (1..=OPERATIONS).filter(|number| number % 3 != 0).collect();
        assert_eq!(numbers, expected, "seed {seed}");
        assert!(world.effects.iter().all(|(node, _)| *node == world.effects[0].0), "one node");
        welcomes += world.welcomes;
    }
    assert!(welcomes > 60 * 3, "the connections broke: {welcomes} welcomes");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_holds_up_nobody() {
    let world = World::shared();
    let client = usual(&world).await;
    let text = "x".repeat(1_000);
    let mut pending = Vec::new();
    for id in 0..2_000 {
        pending.push(client.begin_put("c", numbered(id, &[("text", text.as_str().into())])).await.unwrap().1);
    }
    for outcome in pending {
        outcome.await.unwrap();
    }
    let mut pages = client.scan("c", Range::ALL).await.unwrap();
    let first = pages.next().await.unwrap().unwrap();
    let put = client.put("c", numbered(5_000, &[])).await.unwrap();
    assert_eq!(put.receipt.position.seq, 2_001);
    let count = first.rows().count() + pages.collect().await.unwrap().len();
    assert_eq!(count, 2_000, "the scan was taken before the put");

    // Readers that go away give their places back: more of them than the server runs at once.
    for _ in 0..600 {
        let mut pages = client.scan("c", Range::ALL).await.unwrap();
        pages.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_noticed() {
    let world = World::shared();
    let silent = Treatment { silent: true, ..Treatment::default() };
    let treat = move |n| Some(if n == 0 { silent } else { Treatment::default() });
    let client = open(&world, treat, Options::default()).await.unwrap();
    let began = Instant::now();
    let hasty = client.with_deadline(Some(Duration::from_secs(2)));
    let error = hasty.get("c", uuid(1)).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error}");
    assert_eq!(began.elapsed().as_secs(), 2);
    let pending = client.begin_put("c", numbered(1, &[])).await.unwrap().1;
    let mut state = client.state();
    let waiting = |state: &State| matches!(state, State::Waiting { .. });
    let told = state.wait_for(waiting).await.unwrap().clone();
    let State::Waiting { error, .. } = told else { panic!("{told:?}") };
    assert_eq!(error.code(), Some(ErrorCode::HeartbeatTimeout), "{error}");
    // Two and a half heartbeats of 15 s.
    assert_eq!(began.elapsed().as_millis() / 100, 375);
    pending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgot_the_client_makes_outcomes_unknown() {
    let world = World::shared();
    let forgetful = Arc::clone(&world);
    let treat = move |n| {
        if n == 1 {
            forgetful.lock().unwrap().forget_nodes();
        }
        Some(Treatment { cut_after: (n == 0).then_some(1_200), silent: false })
    };
    let client = open(&world, treat, Options::default()).await.unwrap();
    let mut unknown = 0;
    for id in 1..40 {
        match client.put("c", numbered(id, &[])).await {
            Ok(_) => {}
            Err(Error::OutcomeUnknown) => unknown += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(unknown, 1, "the one that was under way");
    let world = world.lock().unwrap();
    assert_eq!(world.welcomes, 2);
    assert_ne!(world.effects[0].0, world.effects.last().unwrap().0, "it came back as another node");
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let world = World::shared();
    let treat = |n| (n == 0).then_some(Treatment { cut_after: Some(600), silent: false });
    let patience = Some(Duration::from_secs(20));
    let client = open(&world, treat, Options { patience, ..Options::default() }).await.unwrap();
    let began = Instant::now();
    let error = loop {
        if let Err(error) = client.put("c", numbered(1, &[])).await {
            break error;
        }
    };
    assert!(matches!(error, Error::Unreachable(ConnectError::Refused { .. })), "{error}");
    let waited = began.elapsed().as_secs();
    assert!((10..=20).contains(&waited), "{waited}");
    assert!(matches!(client.get("c", uuid(1)).await, Err(Error::Unreachable(_))), "and stays");
}

/// What connecting to `url` fails with: its text has these parts, and is one line.
async fn check_refused(url: &str, fault: Fault, parts: &[&str]) {
    let error = Client::connect(&url.parse().unwrap(), Options::default()).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.fault(), fault, "{text}");
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_first_attempt_that_fails_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = World::shared();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, world, Treatment::default()).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 256]).await;
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    });
    let unknown = ["There is no database 'mian' here", "unknown_database", "--create"];
    check_refused(&format!("blaze://{address}/mian"), Fault::Client, &unknown).await;
    check_refused(&format!("blaze://{address}"), Fault::Peer, &["Another protocol speaks on this port"])
        .await;
    check_refused(&format!("blaze://{address}"), Fault::Network, &["is it a BlazeDB server"]).await;
    served.await.unwrap();
    check_refused(&format!("blaze://{address}"), Fault::Network, &["blazedb serve", &address.to_string()])
        .await;
}

/// A server that takes the connection and says nothing is given up when all phases together took 5 s.
#[tokio::test(start_paused = true)]
async fn who_does_not_answer_the_upgrade_is_given_up_after_five_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/blaze", listener.local_addr().unwrap()).parse().unwrap();
    let start = Instant::now();
    let error = Dialer::new(url, None).dial().await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    // The timer counts whole milliseconds.
    let late = start.elapsed().saturating_sub(Duration::from_secs(5));
    assert!(start.elapsed() >= Duration::from_secs(5) && late < Duration::from_millis(5), "{late:?}");
}
