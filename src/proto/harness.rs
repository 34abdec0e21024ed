//! Two endpoints in virtual time: a client with an application that acts by a plan, a server with a stand-in
//! for the engine, and between them two pipes with latency, jitter, bandwidth and a bound. Everything is a
//! function of the seed: the same seed gives the same trace.
//!
//! ```text
//!   App ── verbs, events ── Client ══ pipe up ═══▶ Server ── verbs, events ── Engine
//!                             ▲ ◀════ pipe down ═══  ▲
//!                             └────── Monitor ───────┘     (reads the bytes, independently)
//! ```

mod app;
mod engine;
mod monitor;
mod pipe;
mod rng;

pub(crate) use app::{App, Fate, Step, body, collection};
pub(crate) use engine::{Engine, Rules};
pub(crate) use monitor::Monitor;
pub(crate) use pipe::{Line, Pipe};
pub(crate) use rng::Rng;

use super::{Client, ClientConfig, CloseReason, Connection, Outbox, Server, ServerConfig, Time};
use crate::wire::CreditLimit;

/// What is chosen for a run.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) line: Line,
    pub(crate) rules: Rules,
    pub(crate) client: ClientConfig,
    pub(crate) server: ServerConfig,
    pub(crate) plan: Vec<(Time, Step)>,
}

impl Setup {
    pub(crate) fn new(seed: u64, plan: Vec<(Time, Step)>) -> Self {
        Self {
            seed,
            line: Line::USUAL,
            rules: Rules::USUAL,
            client: ClientConfig::new("main"),
            server: ServerConfig::default(),
            plan,
        }
    }
}

/// Bytes that an endpoint wrote and the pipe has not taken.
#[derive(Debug, Default)]
struct Unwritten {
    bytes: Vec<u8>,
    taken: usize,
}

#[derive(Debug)]
pub(crate) struct World {
    setup: Setup,
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    pub(crate) client: Connection<Client>,
    pub(crate) server: Connection<Server>,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    client_out: Unwritten,
    server_out: Unwritten,
    pub(crate) app: App,
    pub(crate) engine: Engine,
    pub(crate) monitor: Monitor,
    pub(crate) failures: Vec<String>,
    pub(crate) trace: u64,
    pub(crate) bytes_up: u64,
    /// Bytes that arrived, both ways.
    pub(crate) arrived: u64,
    pub(crate) server_closed: Vec<CloseReason>,
    pub(crate) most_memory: usize,
    /// A defect: this many-th piece of bytes upwards is dropped.
    pub(crate) drop_piece: Option<u64>,
    pieces: u64,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let now = Time::ZERO;
        let client = Connection::client(now, setup.client.clone(), Outbox::default()).unwrap();
        Self {
            rng: Rng::new(setup.seed),
            now,
            client,
            server: Connection::server(now, setup.server.clone()),
            up: Pipe::new(setup.line),
            down: Pipe::new(setup.line),
            client_out: Unwritten::default(),
            server_out: Unwritten::default(),
            app: App::new(setup.plan.clone()),
            engine: Engine::new(setup.rules),
            monitor: Monitor::default(),
            failures: Vec::new(),
            trace: 0xCBF2_9CE4_8422_2325,
            bytes_up: 0,
            arrived: 0,
            server_closed: Vec::new(),
            most_memory: 0,
            drop_piece: None,
            pieces: 0,
            setup,
        }
    }

    /// The transport breaks: what is under way is lost, both ends hear of it, and a new connection begins.
    pub(crate) fn cut(&mut self, crash: bool) {
        self.client.handle_eof();
        self.server.handle_eof();
        self.pump();
        self.app.disconnect();
        if crash {
            self.engine.crash()
        } else {
            self.engine.disconnect()
        }
        self.failures.append(&mut self.monitor.failures);
        self.monitor = Monitor::default();
        self.reconnect();
    }

    fn reconnect(&mut self) {
        let fresh = Connection::client(self.now, self.setup.client.clone(), Outbox::default()).unwrap();
        let outbox = std::mem::replace(&mut self.client, fresh).into_outbox();
        self.client = Connection::client(self.now, self.setup.client.clone(), outbox).unwrap();
        self.server = Connection::server(self.now, self.setup.server.clone());
        (self.up, self.down) = (Pipe::new(self.setup.line), Pipe::new(self.setup.line));
        (self.client_out, self.server_out) = (Unwritten::default(), Unwritten::default());
        self.app.plan.iter_mut().for_each(|(time, _)| *time = (*time).max(self.now));
    }

    /// Runs until `done` says so; `false` if nothing more can happen, or `limit` is passed.
    pub(crate) fn run_until(&mut self, limit: Time, mut done: impl FnMut(&Self) -> bool) -> bool {
        loop {
            self.pump();
            if done(self) {
                return true;
            }
            match self.next_time() {
                Some(next) if next <= limit => self.advance(next.max(self.now)),
                _ => return false,
            }
        }
    }

    /// Runs until the application is done and everything is quiet.
    pub(crate) fn run_to_the_end(&mut self, limit: Time) -> bool {
        self.run_until(limit, |world| {
            world.app.is_done() && world.engine.is_idle() && world.up.is_empty() && world.down.is_empty()
        })
    }

    fn next_time(&self) -> Option<Time> {
        let ends = [self.client.poll_timeout(), self.server.poll_timeout()];
        let pipes = [self.up.due(), self.down.due()];
        let outside = [self.app.due(), self.engine.due()];
        [ends, pipes, outside].into_iter().flatten().flatten().min()
    }

    fn advance(&mut self, now: Time) {
        self.now = now;
        while let Some(piece) = self.up.read(now) {
            self.pieces += 1;
            self.note(&piece);
            if self.drop_piece != Some(self.pieces) {
                self.server.handle_bytes(now, &piece);
            }
        }
        while let Some(piece) = self.down.read(now) {
            self.note(&piece);
            self.client.handle_bytes(now, &piece);
        }
        if self.client.poll_timeout().is_some_and(|time| time <= now) {
            self.client.handle_timeout(now);
        }
        if self.server.poll_timeout().is_some_and(|time| time <= now) {
            self.server.handle_timeout(now);
        }
    }

    /// Everything that happens without time passing.
    fn pump(&mut self) {
        if self.app.due().is_some_and(|time| time <= self.now) {
            self.app.handle_time(self.now, &mut self.client);
        }
        self.engine.handle_time(self.now, Some(&mut self.server), &mut self.rng);
        loop {
            let mut moved = false;
            while let Some(event) = self.client.poll_event() {
                self.app.handle(self.now, &mut self.client, event);
                moved = true;
            }
            while let Some(event) = self.server.poll_event() {
                if let super::ServerEvent::Closed(reason) = &event {
                    self.server_closed.push(reason.clone());
                }
                self.engine.handle(self.now, &mut self.server, event);
                moved = true;
            }
            moved |= self.write_up() | self.write_down();
            self.most_memory = self.most_memory.max(self.server.memory());
            if !moved {
                return;
            }
        }
    }

    fn write_up(&mut self) -> bool {
        let out = &mut self.client_out;
        let mut fresh = false;
        if out.taken == out.bytes.len() {
            out.bytes.clear();
            out.taken = 0;
            fresh = self.client.poll_transmit(self.now, &mut out.bytes) > 0;
            self.monitor.client_wrote(&out.bytes);
            self.bytes_up += out.bytes.len() as u64;
        }
        let taken = self.up.write(self.now, &mut self.rng, &out.bytes[out.taken..]);
        out.taken += taken;
        if taken > 0 {
            self.client.handle_written(self.now);
        }
        fresh || taken > 0
    }

    fn write_down(&mut self) -> bool {
        let out = &mut self.server_out;
        let mut fresh = false;
        if out.taken == out.bytes.len() {
            out.bytes.clear();
            out.taken = 0;
            fresh = self.server.poll_transmit(self.now, &mut out.bytes) > 0;
            self.monitor.server_wrote(&out.bytes, &self.engine);
        }
        let taken = self.down.write(self.now, &mut self.rng, &out.bytes[out.taken..]);
        out.taken += taken;
        if taken > 0 {
            self.server.handle_written(self.now);
        }
        fresh || taken > 0
    }

    /// FNV-1a over times and bytes.
    fn note(&mut self, piece: &[u8]) {
        self.arrived += piece.len() as u64;
        let time = self.now.as_nanos().to_be_bytes();
        for byte in time.iter().chain(piece) {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    /// What the oracle has to say of everything that happened; empty if all is well.
    pub(crate) fn verdict(&mut self) -> Vec<String> {
        let mut failures = std::mem::take(&mut self.failures);
        failures.append(&mut self.monitor.failures);
        failures.append(&mut self.app.failures);
        failures.append(&mut self.engine.failures);
        for reason in self.app.closed.iter().chain(&self.server_closed) {
            if !matches!(reason, CloseReason::Lost | CloseReason::Goodbye { code: 0, .. }) {
                failures.push(format!("an honest connection ended: {reason}"));
            }
        }
        self.check_outcomes(&mut failures);
        self.check_answers(&mut failures);
        let most = CreditLimit { frames: 30, bytes: 50_000 }; // What the engine resizes to at most.
        let mut config = self.setup.server.clone();
        config.work.frames = config.work.frames.max(most.frames);
        config.work.bytes = config.work.bytes.max(most.bytes);
        let bound = config.memory_bound();
        if self.most_memory > bound {
            failures.push(format!("the server held {} bytes of at most {bound}", self.most_memory));
        }
        failures
    }

    /// Each outcome once, as the engine means it; per level in order; effects once, in order.
    fn check_outcomes(&self, failures: &mut Vec<String>) {
        let mut last = std::collections::BTreeMap::new();
        for (number, refused) in &self.app.outcomes {
            let level = self.app.levels[number] as u8;
            if last.insert(level, *number).is_some_and(|before| before >= *number) {
                failures.push(format!("the outcome of {number} was told twice or out of order"));
            }
            if *refused != self.engine.is_refused(self.app.submitted[number]) {
                failures.push(format!("operation {number} has another's outcome"));
            }
        }
        let wanted: Vec<u64> =
            self.app.submitted.values().copied().filter(|tag| !self.engine.is_refused(*tag)).collect();
        let whole = self.app.outcomes.len() == self.app.submitted.len();
        if whole && wanted != self.engine.effects {
            failures.push(format!("effects are {:?}, wanted {wanted:?}", self.engine.effects));
        }
    }

    /// Complete answers are whole; subscriptions saw a prefix of the effects, without gap or repeat.
    fn check_answers(&self, failures: &mut Vec<String>) {
        for asked in self.app.all_asked() {
            if asked.fate == Fate::Complete && asked.frames != asked.expected {
                failures.push(format!("an answer of {} frames had {}", asked.expected, asked.frames));
            }
            if !self.engine.effects.starts_with(&asked.tags) {
                failures.push(format!("a subscription saw {:?}", asked.tags));
            }
        }
    }
}
