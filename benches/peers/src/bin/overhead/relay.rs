//! A relay on loopback that counts what passes: bytes of TCP's payload, each direction for itself.
//!
//! It opens a connection to its target for each that it accepts, and hands on what it reads as it is. Headers of TCP, IP and
//! Ethernet are not counted, nor what the kernel sends on its own (acknowledgements, repetitions).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Sub;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// One read: more than any side here writes at once.
const READ_BYTES: usize = 256 << 10;
/// For so long nothing may pass before an exchange counts as over: on loopback an answer takes microseconds, and the longest
/// that a kernel holds back a small segment is 40 ms.
const QUIET: Duration = Duration::from_millis(100);
/// Looks at the counts so often.
const LOOK: Duration = Duration::from_millis(10);
/// Gives up if it is never quiet for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From the client to the server.
    pub up: u64,
    /// From the server to the client.
    pub down: u64,
}

impl Sub for Bytes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { up: self.up - before.up, down: self.down - before.down }
    }
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

/// A relay that runs; it ends when it is dropped, and the connections through it when their ends close them.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port of loopback for connections to `target`.
    ///
    /// # Errors
    /// The system's.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&counts)));
        Ok(Self { address, counts, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed since the relay began, once nothing passes any more.
    ///
    /// # Errors
    /// `TimedOut` if something passes all the time.
    pub async fn settled(&self) -> io::Result<Bytes> {
        let settle = async {
            let mut last = self.passed();
            let mut quiet = Duration::ZERO;
            while quiet < QUIET {
                sleep(LOOK).await;
                let now = self.passed();
                quiet = if now == last { quiet + LOOK } else { Duration::ZERO };
                last = now;
            }
            last
        };
        timeout(PATIENCE, settle).await.map_err(|_| io::ErrorKind::TimedOut.into())
    }

    fn passed(&self) -> Bytes {
        let Counts { up, down } = &*self.counts;
        Bytes { up: up.load(Ordering::Relaxed), down: down.load(Ordering::Relaxed) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        // A client whose server cannot be reached sees its connection end.
        if let Ok(server) = TcpStream::connect(target).await {
            carry(client, server, &counts);
        }
    }
}

fn carry(client: TcpStream, server: TcpStream, counts: &Arc<Counts>) {
    // Nothing is held back here that an end sent.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::spawn(pump(client_reads, server_writes, Arc::clone(counts), |counts| &counts.up));
    tokio::spawn(pump(server_reads, client_writes, Arc::clone(counts), |counts| &counts.down));
}

/// One direction, until its sender ends it or its receiver takes no more.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    counts: Arc<Counts>,
    count: fn(&Counts) -> &AtomicU64,
) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        // Counted before it is handed on: who has an answer finds the question and the answer counted.
        count(&counts).fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
