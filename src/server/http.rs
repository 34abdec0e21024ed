//! What the port says to HTTP (`spec/doors.md`, D-4 and D-5): health, metrics, and the way to the WebSocket.
//!
//! A connection carries one request: who asks for health asks seldom, and an idle connection would be one more thing
//! that has limits.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::door::Doors;
use super::limits::{HTTP_BUFFER_BYTES, MAX_HTTP_HEADERS};
use super::metrics::TurnedAway;
use super::origin;
use super::peer::hang_up;
use crate::engine::Environment;
use crate::transport::rewound::Rewound;
use crate::transport::url::WEBSOCKET_PATH;
use crate::transport::websocket::SUBPROTOCOL;

/// The media type of the metrics.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
/// What every answer says of caches: it is true of now.
const UNCACHED: &str = "no-store";

/// From where a request comes, and whereto.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// It comes from this machine.
    pub(super) is_local: bool,
    /// It came to an address that is this machine's alone.
    pub(super) is_to_loopback: bool,
    /// It may come in the way that it came.
    pub(super) is_welcome: bool,
}

type Answer = Response<Full<Bytes>>;

/// Answers the request that `wire` begins with. Returns the wire if it is a WebSocket from now on.
///
/// The library waits for the head of a request as long as it takes: the caller has the deadline, which is one over all
/// phases of a handshake.
pub(super) async fn answer<S>(doors: Arc<Doors>, wire: S, first: Vec<u8>, caller: Caller) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (is_asked, is_upgraded) = (AtomicBool::new(false), AtomicBool::new(false));
    let service = service_fn(|request: Request<Incoming>| {
        let mut answer = if caller.is_welcome {
            route(&doors, &request, caller)
        } else {
            doors.metrics.turned_away(TurnedAway::Plaintext);
            line(StatusCode::FORBIDDEN, "this server speaks with other machines under TLS only: write https:")
        };
        if request.version() == Version::HTTP_10 {
            // To an answer of 1.1 the library would add that the connection is kept.
            *answer.version_mut() = Version::HTTP_10;
        }
        is_asked.store(true, Ordering::Relaxed);
        is_upgraded.store(answer.status() == StatusCode::SWITCHING_PROTOCOLS, Ordering::Relaxed);
        doors.metrics.request();
        ready(Ok::<_, Infallible>(answer))
    });
    let mut connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(MAX_HTTP_HEADERS)
        .max_buf_size(HTTP_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Rewound::new(first, wire)), service);
    // An error is what is no request; the library has answered it.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    if !is_asked.load(Ordering::Relaxed) {
        doors.metrics.turned_away(TurnedAway::Handshake);
    }
    let parts = connection.into_parts();
    let (unread, wire) = parts.io.into_inner().into_parts();
    if !is_upgraded.load(Ordering::Relaxed) {
        hang_up(wire).await;
        return None;
    }
    // A client that does not wait for the answer does not speak WebSocket.
    (unread.is_empty() && parts.read_buf.is_empty()).then_some(wire)
}

fn route<B>(doors: &Doors, request: &Request<B>, caller: Caller) -> Answer {
    // RFC 9112, section 3.2.
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
        return line(StatusCode::BAD_REQUEST, "the Host is missing: say which server is asked");
    }
    let path = request.uri().path();
    let is_known = [WEBSOCKET_PATH, "/livez", "/healthz", "/readyz", "/metrics"].contains(&path);
    if !is_known {
        return line(StatusCode::NOT_FOUND, "there is /livez, /readyz, /metrics, and a WebSocket at /blaze");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut answer = line(StatusCode::METHOD_NOT_ALLOWED, "this can only be got: use GET");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if path == WEBSOCKET_PATH {
        return upgrade(doors, request, caller.is_local);
    }
    if caller.is_to_loopback && !is_host_allowed(doors, request) {
        doors.metrics.turned_away(TurnedAway::Host);
        return line(
            StatusCode::FORBIDDEN,
            "this host is none of this machine's: ask for localhost or 127.0.0.1, or name it by --allow-origin",
        );
    }
    match path {
        "/readyz" => readiness(doors, request.uri().query()),
        "/metrics" => metrics(doors),
        _ => line(StatusCode::OK, "ok"),
    }
}

/// Whether what is told to this machine may be told under this name. The WebSocket has the Origin for it.
fn is_host_allowed<B>(doors: &Doors, request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    second.is_none() && origin::is_host_allowed(host.map(HeaderValue::as_bytes), &doors.admission.origins)
}

/// Whether databases are open and take writes. `?verbose` says it of each.
fn readiness(doors: &Doors, query: Option<&str>) -> Answer {
    let opened = doors.opened.borrow().clone();
    let Some(hub) = opened else {
        return line(StatusCode::SERVICE_UNAVAILABLE, "the databases are being opened");
    };
    let (mut is_ready, mut verbose) = (true, String::new());
    for served in hub.databases.iter() {
        let found = match served.database.read_only() {
            Some(_) => "read-only: see what the server said when it started",
            None if served.database.lacks_room() => "takes no writes: the disk is full",
            None => "ok",
        };
        is_ready &= found == "ok";
        // A string takes whatever is written.
        let _ = writeln!(verbose, "{}: {found}", served.name);
    }
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query.is_some_and(|query| query.split('&').any(|word| word == "verbose"));
    match (is_verbose, is_ready) {
        (true, _) => line(status, verbose.trim_end()),
        (false, true) => line(status, "ok"),
        (false, false) => line(status, "a database takes no writes: see /readyz?verbose"),
    }
}

fn metrics(doors: &Doors) -> Answer {
    let opened = doors.opened.borrow().clone();
    let databases = opened.as_ref().map(|hub| &*hub.databases);
    let text = doors.metrics.text(doors.machine.elapsed().as_secs_f64(), databases);
    let mut answer = line(StatusCode::OK, "");
    *answer.body_mut() = Full::from(text);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
    answer
}

fn upgrade<B>(doors: &Doors, request: &Request<B>, is_local: bool) -> Answer {
    let headers = request.headers();
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, second) = (origins.next(), origins.next());
    if second.is_some()
        || !origin::is_allowed(origin.map(HeaderValue::as_bytes), is_local, &doors.admission.origins)
    {
        doors.metrics.turned_away(TurnedAway::Origin);
        return line(
            StatusCode::FORBIDDEN,
            "pages of this origin may not connect; the server's --allow-origin names those that may",
        );
    }
    // What follows such a request are frames: a body would be taken for them.
    let has_length = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_length || headers.contains_key(TRANSFER_ENCODING) {
        return line(StatusCode::BAD_REQUEST, "a request for a WebSocket has no body");
    }
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let speaks = offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL);
    match create_response_with_body(request, Full::default) {
        Err(error) => {
            line(StatusCode::BAD_REQUEST, &format!("this is a WebSocket, and this no way to it: {error}"))
        }
        Ok(_) if !speaks => {
            line(StatusCode::BAD_REQUEST, "a WebSocket here speaks blaze.v1: name that subprotocol")
        }
        Ok(mut answer) => {
            let headers = answer.headers_mut();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(UNCACHED));
            answer
        }
    }
}

/// An answer of one line, or of one a database.
fn line(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{text}\n")));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(UNCACHED));
    // The library hangs up behind it.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
