//! Idle connections over each door: what one costs a server in memory, what happens to whoever comes when all places are
//! taken, and what a client that works notices when all others are killed at once.
//!
//! ```text
//! cargo bench --bench idle -- CONNECTIONS RUNS [DOOR…] [wrote]
//! ```
//!
//! A run has a server of this build in a process of its own (`BLAZEDB` names another binary) and the connections in a second
//! one: the library's client as it is by default, so that each has a heartbeat of 15 s and says nothing else. With `wrote`
//! each has put one record before. Memory is read from `/proc` (Linux). What the figures mean is in `README.md`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a measurement that meets the unexpected has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use blazedb::blazebinary::Record;
use blazedb::client::{Client, Options, State};
use blazedb::server::raise_descriptor_limit;
use blazedb::transport::Url;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const DOORS: [&str; 5] = ["tcp", "tls", "websocket", "websocket+tls", "unix"];
/// Connections that come and go before anything is measured: what is made once for all is there then.
const WARM_UP: usize = 50;
/// Handshakes at once: fewer than the server's places for them, and each within its deadline.
const AT_ONCE: usize = 64;
/// How long nobody asks anything before memory is read.
const QUIET: Duration = Duration::from_secs(30);
/// How long puts are timed beside whatever is there.
const TIMED: Duration = Duration::from_secs(3);
/// How long the server has after its last client went before its memory is read again.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// Clients that come at once when all places are taken: more than the sockets that are kept for telling them so.
const TOO_MANY: usize = 20;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a load is told to do with its connections, a line each.
const COUNT: &str = "count";
const DROP_ONE: &str = "drop";

/// A server over a new directory.
struct Server {
    child: Child,
    address: String,
    pin: String,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of a process, in KiB: all that is resident, and what of it is no file.
#[derive(Debug, Clone, Copy)]
struct Memory {
    resident: f64,
    anonymous: f64,
}

impl Server {
    fn start() -> Self {
        let binary = std::env::var_os("BLAZEDB").unwrap_or_else(|| env!("CARGO_BIN_EXE_blazedb").into());
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
        command.arg("--listen").arg(format!("unix:{}", folder.path().join("socket").display()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.next().unwrap().rsplit(' ').next().unwrap().to_owned();
        let pin = lines.find_map(|line| Some(line.split_once("pin=")?.1.to_owned())).unwrap();
        lines.find(|line| line.contains("Ctrl-C")).unwrap();
        Self { child, address, pin, folder }
    }

    fn url(&self, door: &str) -> String {
        let Self { address, pin, folder, .. } = self;
        match door {
            "tcp" => format!("blaze://{address}/main"),
            "tls" => format!("blazes://{address}/main?pin={pin}"),
            "websocket" => format!("ws://{address}/blaze?db=main"),
            "websocket+tls" => format!("wss://{address}/blaze?db=main&pin={pin}"),
            "unix" => format!("unix:{}?db=main", folder.path().join("socket").display()),
            other => panic!("no door: {other}"),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    fn memory(&self) -> Memory {
        let status = self.read("status");
        Memory { resident: kib(&status, "VmRSS:"), anonymous: kib(&status, "RssAnon:") }
    }

    /// The processor time that it used so far.
    fn used(&self) -> Duration {
        let stat = self.read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // Ticks of 10 ms in the program and in the system.
        Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
    }

    /// How many clients it counts.
    fn clients(&self) -> usize {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let open = text.lines().filter(|line| line.starts_with("blazedb_connections{"));
        open.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }

    /// Waits until so few clients are left.
    fn wait_until_left(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.clients() > count {
            assert!(Instant::now() < deadline, "the server does not let go");
            sleep(Duration::from_millis(10));
        }
    }
}

/// The figure of one line of a file of `/proc`, which is in KiB.
fn kib(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What the kernel holds in its caches of small objects: sockets of both ends and what hangs on them.
fn kernel_kib() -> f64 {
    kib(&fs::read_to_string("/proc/meminfo").unwrap(), "Slab:")
}

/// A process that holds connections.
struct Load {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Load {
    /// Starts it, and waits until all are welcome.
    fn start(url: &str, count: usize, wrote: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["hold", url, &count.to_string(), &wrote.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut load = Self { child, orders, answers };
        assert_eq!(load.answer(), count, "some are not welcome");
        load
    }

    fn answer(&mut self) -> usize {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// Has it do something. Answers how many connections it has now.
    fn tell(&mut self, order: &str) -> usize {
        writeln!(self.orders, "{order}").unwrap();
        self.answer()
    }
}

/// What a load does: connects, answers with the count, obeys, and ends with its input.
async fn hold(url: Url, count: usize, wrote: bool) {
    raise_descriptor_limit();
    let (mut coming, mut clients) = (JoinSet::new(), Vec::new());
    while clients.len() < count {
        while coming.len() < AT_ONCE && clients.len() + coming.len() < count {
            let url = url.clone();
            coming.spawn(async move {
                let client = Client::connect(&url, Options::default()).await.unwrap();
                if wrote {
                    client.put("came", Record::from_iter([("n", 1_i64)])).await.unwrap();
                }
                client
            });
        }
        clients.push(coming.join_next().await.unwrap().unwrap());
    }
    println!("{}", clients.len());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    // Reading standard input blocks.
    std::thread::spawn(move || std::io::stdin().lines().try_for_each(|line| tell.send(line.unwrap())));
    while let Some(order) = told.recv().await {
        if order == DROP_ONE {
            clients.pop().unwrap().close().await;
        }
        let is_connected = |client: &&Client| matches!(*client.state().borrow(), State::Connected { .. });
        println!("{}", clients.iter().filter(is_connected).count());
    }
}

/// Puts a record every millisecond or so until `is_over`. When each began, and how long it took.
async fn puts(client: Client, is_over: impl Fn() -> bool) -> Vec<(Instant, Duration)> {
    let mut times = Vec::new();
    while !is_over() {
        let begin = Instant::now();
        client.put("pulse", Record::from_iter([("n", 1_i64)])).await.unwrap();
        times.push((begin, begin.elapsed()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.close().await;
    times
}

fn tell_times(what: &str, times: &[(Instant, Duration)]) {
    let mut took: Vec<f64> = times.iter().map(|(_, took)| took.as_secs_f64() * 1e3).collect();
    took.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "  puts {what}: {}, p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
}

/// Who comes when all places are taken: first one, then some at once. Counts what they are told.
async fn turned_away(url: &Url) {
    let mut coming = JoinSet::new();
    for at_once in [1, TOO_MANY] {
        let mut said = BTreeMap::<String, usize>::new();
        for _ in 0..at_once {
            let url = url.clone();
            coming.spawn(async move { Client::connect(&url, Options::default()).await });
        }
        while let Some(came) = coming.join_next().await {
            let words = came.unwrap().map_or_else(|error| error.to_string(), |_| "welcome".to_owned());
            *said.entry(words).or_default() += 1;
        }
        for (words, count) in said {
            println!("  of {at_once} that came to a full server {count}: {words}");
        }
    }
}

/// The connections of `load` are killed while a client works.
fn kill(runtime: &Runtime, server: &Server, url: &Url, load: Load) {
    let client = runtime.block_on(Client::connect(url, Options::default())).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = is_over.clone();
    let working = runtime.spawn(puts(client, move || seen.load(Ordering::Relaxed)));
    sleep(TIMED);
    let killed = Instant::now();
    drop(load);
    server.wait_until_left(1);
    let gone = Instant::now();
    is_over.store(true, Ordering::Relaxed);
    let times = runtime.block_on(working).unwrap();
    // A put that was under way when they were killed is among those that could suffer.
    let (before, during): (Vec<_>, Vec<_>) =
        times.into_iter().partition(|(begin, took)| *begin + *took < killed);
    tell_times("beside the others", &before);
    tell_times(&format!("while they were killed ({:.2} s)", (gone - killed).as_secs_f64()), &during);
}

/// One run over one door. Answers KiB a connection after the quiet time.
fn measure(runtime: &Runtime, door: &str, count: usize, wrote: bool) -> Memory {
    let server = Server::start();
    let text = server.url(door);
    let url: Url = text.parse().unwrap();
    drop(Load::start(&text, WARM_UP, wrote));
    server.wait_until_left(0);
    let client = runtime.block_on(Client::connect(&url, Options::default())).unwrap();
    let begin = Instant::now();
    tell_times("alone", &runtime.block_on(puts(client, || begin.elapsed() > TIMED)));
    server.wait_until_left(0);
    sleep(Duration::from_secs(1));

    let (before, kernel) = (server.memory(), kernel_kib());
    let each = |now: Memory| Memory {
        resident: (now.resident - before.resident) / count as f64,
        anonymous: (now.anonymous - before.anonymous) / count as f64,
    };
    let begin = Instant::now();
    let mut load = Load::start(&text, count, wrote);
    let (came, took) = (each(server.memory()), begin.elapsed());
    let used = server.used();
    sleep(QUIET);
    let busy = (server.used() - used).as_secs_f64() / QUIET.as_secs_f64();
    let (quiet, kernel) = (each(server.memory()), (kernel_kib() - kernel) / count as f64 / 2.0);
    println!(
        "  {count} welcome in {:.1} s: {:.1} KiB each; after {} s {:.1} KiB each, {:.1} of it anonymous ({:.1} MiB in all)",
        took.as_secs_f64(),
        came.resident,
        QUIET.as_secs(),
        quiet.resident,
        quiet.anonymous,
        server.memory().resident / 1024.0
    );
    println!(
        "  {} and {} connected, says server and load; {:.1} % of a core meanwhile; in the kernel {kernel:.1} KiB an end",
        server.clients(),
        load.tell(COUNT),
        busy * 100.0
    );
    runtime.block_on(turned_away(&url));
    assert_eq!(load.tell(DROP_ONE), count - 1, "somebody was hung up on");
    server.wait_until_left(count - 1);
    kill(runtime, &server, &url, load);
    let gone = server.memory();
    sleep(AFTERWARDS);
    let later = server.memory();
    server.wait_until_left(0);
    // What grows when as many come again was not given back.
    let again = Load::start(&text, count, wrote);
    println!(
        "  resident before {:.1} MiB, when they were gone {:.1}, {} s later {:.1}, with as many anew {:.1}",
        before.resident / 1024.0,
        gone.resident / 1024.0,
        AFTERWARDS.as_secs(),
        later.resident / 1024.0,
        server.memory().resident / 1024.0
    );
    drop(again);
    quiet
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["hold", url, count, wrote] = words[..] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (url, count, wrote) = (url.parse().unwrap(), count.parse().unwrap(), wrote.parse().unwrap());
        return runtime.block_on(hold(url, count, wrote));
    }
    let [count, runs, rest @ ..] = &words[..] else {
        println!(
            "usage: cargo bench --bench idle -- CONNECTIONS RUNS [DOOR…] [wrote]; doors: {}",
            DOORS.join(", ")
        );
        return;
    };
    let (count, runs): (usize, usize) = (count.parse().unwrap(), runs.parse().unwrap());
    let wrote = rest.contains(&"wrote");
    let asked: Vec<&str> = rest.iter().copied().filter(|word| *word != "wrote").collect();
    let doors = if asked.is_empty() { DOORS.to_vec() } else { asked };
    // One worker: the client that works goes on while this thread waits.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut found = BTreeMap::<&str, Vec<Memory>>::new();
    for run in 1..=runs {
        for door in &doors {
            println!("{door}, run {run}:");
            found.entry(door).or_default().push(measure(&runtime, door, count, wrote));
        }
    }
    for (door, figures) in found {
        let resident = median(figures.iter().map(|memory| memory.resident).collect());
        let anonymous = median(figures.iter().map(|memory| memory.anonymous).collect());
        println!("{door}: median {resident:.1} KiB a connection, {anonymous:.1} of it anonymous");
    }
}
