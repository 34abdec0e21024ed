//! The way in: from an accepted socket to a client of the protocol, under one deadline.
//!
//! ```text
//!   first bytes ──BLAZE──────────────────────────────────────────▶ peer
//!    │  ▲   └─────HTTP───▶ answered ──▶ hung up
//!   TLS │                 └ upgraded to a WebSocket ─────────────▶ peer
//!    └──┘
//! ```

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::allowance::{Allowances, Share};
use super::certificate::Shown;
use super::config::Admission;
use super::environment::Machine;
use super::http;
use super::hub::Hub;
use super::limits::{FIRST_BYTES, LINGER, MAX_HANDSHAKE_WAIT, MAX_HANDSHAKES, MAX_HANDSHAKES_OF_ONE};
use super::metrics::{Metrics, TurnedAway};
use super::peer::{Peer, hang_up};
use super::spares::{Spare, Spares};
use crate::proto::limits::HANDSHAKE_DEADLINE;
use crate::proto::{Connection, ServerConfig, Time};
use crate::transport::Stream;
use crate::transport::detect::{Speech, detect};
use crate::transport::rewound::Rewound;
use crate::transport::socket::Socket;
use crate::transport::stream::Wire;
use crate::transport::tls::BUFFER_BYTES;
use crate::transport::websocket::WebSocket;
use crate::transport::websocket::frames::Role;
use crate::wire::ErrorCode;

/// What all ways in share.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) machine: Arc<Machine>,
    pub(super) protocol: ServerConfig,
    pub(super) admission: Admission,
    pub(super) metrics: Arc<Metrics>,
    /// What is shown under TLS; an operator may replace it.
    pub(super) tls: watch::Receiver<Shown>,
    /// What connections share, once the databases are open.
    pub(super) opened: watch::Receiver<Option<Arc<Hub>>>,
    /// Set when the server stops.
    pub(super) stopping: watch::Sender<bool>,
    pub(super) places: Arc<Semaphore>,
    pub(super) spares: Arc<Spares>,
    pub(super) handshakes: Arc<Semaphore>,
    pub(super) allowances: Arc<Allowances>,
}

/// Somebody who was just accepted.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) socket: Socket,
    /// Of this machine.
    pub(super) is_local: bool,
    /// It came to an address that is this machine's alone.
    pub(super) is_to_loopback: bool,
    pub(super) place: Place,
    pub(super) handshake: Handshake,
    pub(super) since: Time,
}

/// What a guest holds until its handshake is done: one of the places of handshakes, and its share of what its address may
/// have of them.
#[derive(Debug)]
pub(super) struct Handshake {
    /// None as long as it waits for its share.
    permit: Option<OwnedSemaphorePermit>,
    /// Guests over a Unix socket have no address.
    share: Option<Share>,
}

impl Handshake {
    /// Of somebody who was accepted: it keeps the place if its address has a share left, else it has to wait.
    pub(super) fn new(permit: OwnedSemaphorePermit, mut share: Option<Share>) -> Self {
        let may_begin = share.as_mut().is_none_or(Share::try_take);
        Self { permit: may_begin.then_some(permit), share }
    }

    /// Whether it has to wait before anything is read.
    pub(super) const fn has_to_wait(&self) -> bool {
        self.permit.is_none()
    }

    /// Waits for its share and then for a place.
    async fn wait(&mut self, places: &Arc<Semaphore>) {
        if let Some(share) = &mut self.share {
            share.take().await;
        }
        // The places are never closed.
        self.permit = places.clone().acquire_owned().await.ok();
    }
}

/// What a guest holds as long as it is there.
#[derive(Debug)]
pub(super) enum Place {
    /// Of a client.
    Client(OwnedSemaphorePermit),
    /// Not one of the places of clients: only HTTP is served on it, and others are told why not.
    Spare(Arc<Spare>),
}

impl Doors {
    /// Doors to so many places.
    pub(super) fn new(
        machine: Arc<Machine>,
        admission: Admission,
        tls: watch::Receiver<Shown>,
        opened: watch::Receiver<Option<Arc<Hub>>>,
        places: usize,
    ) -> Self {
        Self {
            machine,
            protocol: ServerConfig::default(),
            admission,
            metrics: Arc::default(),
            tls,
            opened,
            stopping: watch::Sender::new(false),
            places: Arc::new(Semaphore::new(places)),
            spares: Arc::default(),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            allowances: Arc::new(Allowances::new(MAX_HANDSHAKES_OF_ONE)),
        }
    }

    /// A place for somebody who comes, if there is any.
    pub(super) fn place(&self) -> Option<Place> {
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => Some(Place::Client(permit)),
            Err(_) => self.spares.take(self.machine.now()).map(|spare| Place::Spare(Arc::new(spare))),
        }
    }

    /// Tells somebody that there is no place for it, not even for listening to what it speaks.
    pub(super) fn turn_away(&self, socket: &Socket) {
        self.metrics.turned_away(TurnedAway::NoPlace);
        let code = ErrorCode::TooManyConnections;
        // A socket that was just opened takes a line; if not, the client sees the end of the connection.
        let _ = socket.try_write(&self.refusal(code, code.text()));
    }

    fn deadline(&self, since: Time) -> Instant {
        Instant::from_std(self.machine.instant(since.after(HANDSHAKE_DEADLINE)))
    }

    /// Tells somebody who speaks the protocol why it cannot come in, and hangs up.
    async fn refuse(&self, mut stream: Stream, code: ErrorCode, text: &str) {
        let words = self.refusal(code, text);
        // Whoever does not read in time does without.
        let told = async {
            stream.write_all(&words).await?;
            stream.flush().await
        };
        if let Ok(Ok(())) = timeout(LINGER, told).await {
            hang_up(stream).await;
        }
    }

    /// The words by which a connection is refused.
    pub(super) fn refusal(&self, code: ErrorCode, text: &str) -> Vec<u8> {
        let now = self.machine.now();
        let mut connection = Connection::server(now, self.protocol.clone());
        let mut words = Vec::new();
        // A connection that nothing came over can be refused.
        if connection.refuse(code, text).is_ok() {
            connection.poll_transmit(now, &mut words);
        }
        words
    }
}

/// Finds out what a guest speaks, and makes it a client or serves it otherwise. One on a spare place gives way to others
/// who come.
pub(super) async fn enter(doors: Arc<Doors>, guest: Guest) -> Option<Peer> {
    let Place::Spare(spare) = &guest.place else { return come_in(doors, guest).await };
    let spare = spare.clone();
    let deadline = doors.deadline(guest.since);
    tokio::select! {
        biased;
        () = spare.gives_way() => {
            doors.turn_away(&guest.socket);
            return None;
        }
        // Whoever is silent until the deadline is told so there.
        _ = timeout_at(deadline, guest.socket.has_input()) => spare.speaks(),
    }
    tokio::select! {
        entered = come_in(doors.clone(), guest) => entered,
        () = spare.gives_way() => {
            if !spare.was_told() {
                doors.metrics.turned_away(TurnedAway::NoPlace);
            }
            None
        }
    }
}

async fn come_in(doors: Arc<Doors>, guest: Guest) -> Option<Peer> {
    let Guest { socket, is_local, is_to_loopback, place, mut handshake, mut since } = guest;
    let mut deadline = doors.deadline(since);
    if handshake.has_to_wait() {
        // Who says nothing does not stand in line, so that those who do have their turn.
        let spoke = timeout_at(deadline, socket.has_input()).await.is_ok();
        if !spoke || timeout(MAX_HANDSHAKE_WAIT, handshake.wait(&doors.handshakes)).await.is_err() {
            doors.metrics.turned_away(TurnedAway::Handshake);
            return None;
        }
        since = doors.machine.now();
        deadline = doors.deadline(since);
    }
    let arrived = arrive(&doors, socket, deadline).await;
    let Some((wire, first, speech)) = arrived else {
        doors.metrics.turned_away(TurnedAway::Handshake);
        return None;
    };
    let is_welcome = is_local || wire.is_tls() || doors.admission.allow_plaintext;
    let (stream, first) = if speech == Speech::Http {
        let caller = http::Caller { is_local, is_to_loopback, is_welcome };
        let answered = http::answer(doors.clone(), wire, first, caller);
        let Ok(answered) = timeout_at(deadline, answered).await else {
            doors.metrics.turned_away(TurnedAway::Handshake);
            return None;
        };
        let wire = answered?;
        (Stream::Web(Box::new(WebSocket::new(Rewound::new(Vec::new(), wire), Role::Server))), Vec::new())
    } else {
        (Stream::Wire(wire), first)
    };
    if !is_welcome {
        drop(handshake);
        doors.metrics.turned_away(TurnedAway::Plaintext);
        let text = "this server speaks with other machines under TLS only: write blazes:// or wss://";
        doors.refuse(stream, ErrorCode::Forbidden, text).await;
        return None;
    }
    let permit = match place {
        Place::Client(permit) => permit,
        Place::Spare(spare) => {
            drop(handshake);
            doors.metrics.turned_away(TurnedAway::NoPlace);
            // It reads the words if it reads at all: others need not wait until it has hung up.
            spare.is_told();
            let code = ErrorCode::TooManyConnections;
            doors.refuse(stream, code, code.text()).await;
            return None;
        }
    };
    let mut opened = doors.opened.clone();
    let ready = opened.borrow().clone();
    let (hub, handshake) = match ready {
        Some(hub) => (hub, Some(handshake)),
        None => {
            // It is the server that is slow: those who ask for its health come in meanwhile.
            drop(handshake);
            let hub = opened.wait_for(Option::is_some).await.ok()?.clone()?;
            since = doors.machine.now();
            (hub, None)
        }
    };
    Some(Peer::new(stream, &first, since, hub, handshake, permit))
}

/// The first bytes, behind TLS if that is what comes first. Nothing if somebody went, or is too slow for TLS; who is too
/// slow otherwise is told so by the protocol.
async fn arrive(doors: &Doors, socket: Socket, deadline: Instant) -> Option<(Wire, Vec<u8>, Speech)> {
    let mut socket = socket;
    let (first, speech) = first_bytes(&mut socket, deadline).await?;
    if speech != Speech::Tls {
        return Some((Wire::Plain(socket), first, speech));
    }
    let config = doors.tls.borrow().config.clone();
    let accepting = TlsAcceptor::from(config)
        .accept_with(Rewound::new(first, socket), |session| session.set_buffer_limit(Some(BUFFER_BYTES)));
    let mut wire = Wire::Tls(Box::new(timeout_at(deadline, accepting).await.ok()?.ok()?.into()));
    let (first, speech) = first_bytes(&mut wire, deadline).await?;
    Some((wire, first, speech))
}

/// Reads until it is clear what is spoken, or there is no more time. Nothing if the other side went.
pub(super) async fn first_bytes(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    deadline: Instant,
) -> Option<(Vec<u8>, Speech)> {
    let mut first = Vec::new();
    loop {
        if let Some(speech) = detect(&first) {
            return Some((first, speech));
        }
        // The memory of it is the connection's first; a hello takes some 100 bytes.
        first.reserve(FIRST_BYTES);
        match timeout_at(deadline, stream.read_buf(&mut first)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return None,
            Err(_) => return Some((first, Speech::Blaze)),
        }
    }
}
