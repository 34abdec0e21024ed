//! One connection: what each side sends is recorded, then written to the other, until both have ended.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::timeout;

use super::recorder::{RecordError, Recorder};
use crate::cli::tell;
use crate::log::capture::{Happening, MAX_PIECE_BYTES, Side};

/// How long the target may take to answer: a lost SYN is repeated after 1 s and 3 s.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Carries a client's connection to its end.
///
/// # Errors
/// [`RecordError`]: it was cut, since it could not be recorded.
pub(super) async fn carry(
    client: TcpStream,
    address: SocketAddr,
    target: String,
    recorder: Rc<RefCell<Recorder>>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), RecordError> {
    let connection = recorder.borrow_mut().open(&address.to_string())?;
    let recorded = |happening: Happening<'_>| recorder.borrow_mut().record(connection, happening);
    let server = match connect(&target).await {
        Ok(server) => server,
        Err(error) => {
            tell(format_args!("{target}: {error}; the connection of {address} ends"));
            return recorded(Happening::Closed(&error.to_string()));
        }
    };
    // Frames are small and someone waits for them.
    let quick = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    if let Err(error) = quick {
        return recorded(Happening::Closed(&error.to_string()));
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let both = async {
        tokio::try_join!(
            one_way(Side::Client, from_client, to_server, &recorded),
            one_way(Side::Server, from_server, to_client, &recorded),
        )
    };
    tokio::select! {
        ended = both => ended.map(|_| ()).and_then(|()| recorded(Happening::Closed(""))),
        _ = stopping.wait_for(|stop| *stop) => recorded(Happening::Closed("the proxy was stopped")),
    }
}

async fn connect(target: &str) -> io::Result<TcpStream> {
    let attempt = timeout(CONNECT_DEADLINE, TcpStream::connect(target)).await;
    attempt.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer from the target")))
}

/// Carries what `side` sends until it ends, and then tells the other side so.
async fn one_way(
    side: Side,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    recorded: &impl Fn(Happening<'_>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let mut buffer = vec![0; MAX_PIECE_BYTES];
    let why = loop {
        let bytes = match from.read(&mut buffer).await {
            Ok(0) => break String::new(),
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) => break error.to_string(),
        };
        recorded(Happening::Bytes(side, bytes))?;
        // Who does not take it has ended, and says so the other way.
        if let Err(error) = to.write_all(bytes).await {
            break format!("the other side takes no more: {error}");
        }
    };
    // It may be gone already, and then there is nobody to tell.
    let _ = to.shutdown().await;
    recorded(Happening::Ended(side, &why))
}
