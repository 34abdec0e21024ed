//! The bodies of the fuzz targets: what anybody who reaches the port can send before there is a connection of the
//! protocol, and the texts that say who may.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::Instant;

use super::certificate::Source;
use super::config::Admission;
use super::door::{Doors, first_bytes};
use super::environment::Machine;
use super::http;
use super::listen::Listen;
use super::origin::{Origin, is_allowed};
use crate::proto::limits::HANDSHAKE_DEADLINE;
use crate::transport::detect::{Speech, detect};
use crate::transport::websocket::WebSocket;
use crate::transport::websocket::frames::Role;

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("door", door), ("admission", admission)];

/// What the port answers HTTP by.
const STATUSES: [&str; 9] = [
    "101 Switching Protocols",
    "200 OK",
    "400 Bad Request",
    "403 Forbidden",
    "404 Not Found",
    "405 Method Not Allowed",
    "414 URI Too Long",
    "431 Request Header Fields Too Large",
    "503 Service Unavailable",
];

/// Who comes from this machine to an address of its own.
const HERE: http::Caller = http::Caller { is_local: true, is_to_loopback: true, is_welcome: true };

/// The port as somebody finds it who comes from this machine while the databases are being opened.
struct Port {
    doors: Arc<Doors>,
    runtime: Runtime,
}

/// Made once: it takes a key. There is none where the system has no randomness.
static PORT: LazyLock<Option<Port>> = LazyLock::new(|| {
    let shown = Source::Memory.load().ok()?;
    let (_, tls) = watch::channel(shown);
    let (_, opened) = watch::channel(None);
    let doors = Doors::new(Arc::new(Machine::new()), Admission::default(), tls, opened, 1);
    let runtime = Builder::new_current_thread().enable_time().build().ok()?;
    Some(Port { doors: Arc::new(doors), runtime })
});

/// What comes to the port, in pieces of which the first byte is the size: what is spoken is found and stays found; HTTP
/// gets one answer, the same however the request is cut; and a WebSocket begins for who asked for one, in which more
/// does not come out than came in.
///
/// # Panics
/// If the port cannot be made, or a promise is broken: that is what the target looks for.
pub fn door(data: &[u8]) {
    let Some((&piece, input)) = data.split_first() else { return };
    let whole = visit(input, input.len().max(1));
    let cut = visit(input, usize::from(piece).max(1));
    assert_eq!(cut.speech, whole.speech, "what is spoken depends on how it is cut");
    match (cut.status(), whole.status()) {
        // The library looks at a request that came in pieces once its end is there: one that is wrong from the start and
        // then hangs up may get no answer.
        (None, Some(status)) | (Some(status), None) => {
            assert!(status.starts_with('4'), "{status} if it is whole")
        }
        (cut, whole) => assert_eq!(cut, whole, "the answer depends on how the request is cut"),
    }
    if whole.speech == Some(Speech::Http) {
        check_answer(input, &whole);
    }
}

/// What the port did with a visitor.
struct Visit {
    speech: Option<Speech>,
    answer: Vec<u8>,
    /// What came over the WebSocket, if there was one.
    payload: Option<Vec<u8>>,
}

impl Visit {
    /// The first line of the answer behind the version.
    fn status(&self) -> Option<&str> {
        let line = self.answer.split(|byte| *byte == b'\r').next()?;
        std::str::from_utf8(line).ok()?.split_once(' ').map(|(_, status)| status)
    }
}

fn check_answer(input: &[u8], visit: &Visit) {
    let request = head_of(input);
    match visit.status() {
        // A connection that ends before its request does.
        None => assert!(visit.answer.is_empty() && visit.payload.is_none()),
        Some(status) => {
            assert!(STATUSES.contains(&status), "answered by {status:?}");
            let heads = visit.answer.windows(9).filter(|bytes| {
                [b"HTTP/1.0 ", b"HTTP/1.1 "].contains(&bytes.first_chunk().unwrap_or(b"         "))
            });
            assert_eq!(heads.count(), 1, "one answer a connection");
        }
    }
    if visit.status().is_some_and(|status| status.starts_with("101")) {
        for asked in ["get ", "/blaze", "upgrade", "sec-websocket-key", "blaze.v1"] {
            assert!(request.contains(asked), "a WebSocket for who did not say {asked}");
        }
        let mut origins = request.lines().filter_map(|line| line.strip_prefix("origin:"));
        let is_local = |origin: &str| {
            let origin = origin.trim_matches([' ', '\t']);
            ["http://localhost", "http://127.0.0.1"].iter().any(|local| {
                origin.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            })
        };
        assert!(origins.all(is_local), "a WebSocket for a page of another machine");
    } else {
        assert_eq!(visit.payload, None, "a WebSocket without its answer");
    }
    assert!(visit.payload.as_ref().is_none_or(|payload| payload.len() < input.len()));
}

/// What a request says in its head, in lower case: what stands behind the empty line is the WebSocket's, and says nothing.
fn head_of(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    let lines: Vec<&str> =
        text.lines().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[allow(clippy::expect_used, reason = "without a port nothing is tested")]
fn visit(input: &[u8], piece: usize) -> Visit {
    let port = PORT.as_ref().expect("a certificate and a runtime");
    let mut visitor = Visitor { input, piece, answer: Vec::new() };
    let (speech, payload) = port.runtime.block_on(receive(port, &mut visitor));
    Visit { speech, answer: visitor.answer, payload }
}

async fn receive(port: &Port, visitor: &mut Visitor<'_>) -> (Option<Speech>, Option<Vec<u8>>) {
    let deadline = port.doors.machine.instant(port.doors.machine.now().after(HANDSHAKE_DEADLINE));
    let Some((first, speech)) = first_bytes(visitor, Instant::from_std(deadline)).await else {
        return (None, None);
    };
    assert_eq!(detect(&first), Some(speech), "what was found stays");
    if speech != Speech::Http {
        return (Some(speech), None);
    }
    let Some(wire) = http::answer(port.doors.clone(), visitor, first, HERE).await else {
        return (Some(speech), None);
    };
    let mut payload = Vec::new();
    // A fault is told by a Close; what came before it stays.
    let _ = WebSocket::new(wire, Role::Server).read_to_end(&mut payload).await;
    (Some(speech), Some(payload))
}

/// Somebody who sends all of its input in pieces, hangs up, and reads everything.
#[derive(Debug)]
struct Visitor<'a> {
    input: &'a [u8],
    piece: usize,
    answer: Vec<u8>,
}

impl AsyncRead for Visitor<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let count = this.piece.min(buffer.remaining()).min(this.input.len());
        let (now, later) = this.input.split_at(count);
        buffer.put_slice(now);
        this.input = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Visitor<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().answer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An Origin that a browser sends, against one that an operator allowed: two texts, a zero byte between them. Whoever
/// may connect has the host that was allowed, or one of this machine. And a place to listen at is written as it is read.
pub fn admission(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (sent, allowed) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(allowed) = std::str::from_utf8(allowed) else { return };
    if let Ok(listen) = allowed.parse::<Listen>() {
        assert_eq!(listen.to_string().parse(), Ok(listen));
    }
    let named: Vec<Origin> = allowed.parse().into_iter().collect();
    let sent_text = String::from_utf8_lossy(sent).to_ascii_lowercase();
    if is_allowed(Some(sent), false, &named) {
        assert_eq!(host(&sent_text), host(&allowed.to_ascii_lowercase()), "{sent_text:?} by {allowed:?}");
    }
    if is_allowed(Some(sent), true, &[]) {
        let here = host(&sent_text).is_some_and(|host| ["localhost", "127.0.0.1"].contains(&host));
        assert!(here, "{sent_text:?}");
    }
    assert!(is_allowed(None, false, &[]), "what is no browser says no origin");
}

/// The host in an origin, by another way than the one that is tested.
fn host(origin: &str) -> Option<&str> {
    let (_, authority) = origin.split_once("://")?;
    let end = if authority.starts_with('[') { authority.find(']')?.checked_add(1)? } else { 0 };
    let port = authority.get(end..)?.find(':').map_or(authority.len(), |colon| end.saturating_add(colon));
    authority.get(..port)
}
