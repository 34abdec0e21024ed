//! One connection: what each side sends is recorded, then written to the other, until both have ended.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::recorder::{RecordError, Recorder};
use crate::cli::tell;
use crate::log::capture::{Happening, MAX_PIECE_BYTES, Side};
use crate::transport::dial::{CONNECT_DEADLINE, NO_DELAY};
use crate::transport::socket::Socket;
use crate::transport::stream::Wire;
use crate::transport::{Dialer, Stream};

/// How the target is reached.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// Over TCP, whatever passes.
    Plain(String),
    /// As a URL says; what passes is what TLS and WebSocket carry.
    Url(Box<Dialer>),
}

/// Carries a client's connection to its end.
///
/// # Errors
/// [`RecordError`]: it was cut, since it could not be recorded.
pub(super) async fn carry(
    client: TcpStream,
    address: SocketAddr,
    way: Way,
    recorder: Rc<RefCell<Recorder>>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), RecordError> {
    let connection = recorder.borrow_mut().open(&address.to_string())?;
    let recorded = |happening: Happening<'_>| recorder.borrow_mut().record(connection, happening);
    let server = match connect(way).await {
        Ok(server) => server,
        Err(error) => {
            tell(format_args!("{error}; the connection of {address} ends"));
            return recorded(Happening::Closed(&error));
        }
    };
    // Frames are small and someone waits for them.
    if let Err(error) = client.set_nodelay(NO_DELAY) {
        return recorded(Happening::Closed(&error.to_string()));
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = split(server);
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

/// Connects, or says in one line why not.
async fn connect(way: Way) -> Result<Stream, String> {
    match way {
        Way::Url(mut dialer) => dialer.dial().await.map_err(|error| error.to_string()),
        Way::Plain(target) => {
            let attempt = timeout(CONNECT_DEADLINE, TcpStream::connect(&target)).await;
            let late = io::Error::new(io::ErrorKind::TimedOut, "no answer from the target");
            let connected = attempt.unwrap_or(Err(late)).and_then(|stream| {
                stream.set_nodelay(NO_DELAY)?;
                Ok(Stream::Wire(Wire::Plain(Socket::Tcp(stream))))
            });
            connected.map_err(|error| format!("{target}: {error}"))
        }
    }
}

/// Carries what `side` sends until it ends, and then tells the other side so.
async fn one_way(
    side: Side,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
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
        let taken = async {
            to.write_all(bytes).await?;
            // TLS and WebSockets hold what they make until then.
            to.flush().await
        };
        if let Err(error) = taken.await {
            break format!("the other side takes no more: {error}");
        }
    };
    // It may be gone already, and then there is nobody to tell.
    let _ = to.shutdown().await;
    recorded(Happening::Ended(side, &why))
}
