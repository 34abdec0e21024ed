//! What a server counts, and the text in which it tells (`/metrics`, `spec/doors.md` D-4).

use std::fmt::{self, Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::service::Databases;
use crate::transport::stream::Kind;

/// What all names begin with.
const PREFIX: &str = "blazedb";

/// The ways that connections take, by their labels.
const KINDS: [(Kind, &str); 4] =
    [(Kind::Tcp, "tcp"), (Kind::Tls, "tls"), (Kind::Unix, "unix"), (Kind::WebSocket, "websocket")];

/// Why somebody did not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// The handshake was not done in time, or broke off, or the server refused what it asked for.
    Handshake,
    /// There was no place.
    NoPlace,
    /// In the clear, from another machine.
    Plaintext,
    /// A web page that may not.
    Origin,
    /// HTTP by a name that is none of this machine's.
    Host,
}

const REASONS: [(TurnedAway, &str); 5] = [
    (TurnedAway::Handshake, "handshake"),
    (TurnedAway::NoPlace, "too_many_connections"),
    (TurnedAway::Plaintext, "plaintext"),
    (TurnedAway::Origin, "origin"),
    (TurnedAway::Host, "host"),
];

/// The counters of a server. They begin at zero with it.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    open: [AtomicU64; KINDS.len()],
    opened: [AtomicU64; KINDS.len()],
    turned_away: [AtomicU64; REASONS.len()],
    requests: AtomicU64,
    deferred: AtomicU64,
}

/// Somebody who came to speak the protocol: a client from its Welcome on, counted as open as long as this lives; one who
/// did not come in, if that never was.
#[derive(Debug)]
pub(super) struct Counted {
    metrics: Arc<Metrics>,
    kind: Kind,
    is_welcome: bool,
}

impl Metrics {
    /// Somebody who is in the protocol's handshake, which counts once that is over in either way.
    pub(super) fn connection(self: &Arc<Self>, kind: Kind) -> Counted {
        Counted { metrics: Arc::clone(self), kind, is_welcome: false }
    }

    /// Counts somebody who did not come in.
    pub(super) fn turned_away(&self, why: TurnedAway) {
        add(place(&self.turned_away, &REASONS, why), 1);
    }

    /// Counts somebody who had to wait, since its address had as many in the handshake as one may.
    pub(super) fn deferred(&self) {
        self.deferred.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answered HTTP request.
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it in the text format of Prometheus, version 0.0.4. `databases` is none as long as they are being opened.
    pub(super) fn text(&self, uptime_seconds: f64, databases: Option<&Databases>) -> String {
        let mut page = Page(String::new());
        page.family("build_info", "gauge", "1, with the release as a label.");
        page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.family("uptime_seconds", "gauge", "Seconds since the server started.");
        page.sample("uptime_seconds", &[], uptime_seconds);
        page.family("ready", "gauge", "1 once the databases are open, else 0.");
        page.sample("ready", &[], u8::from(databases.is_some()));
        self.connections(&mut page);
        if let Some(databases) = databases {
            of_databases(&mut page, databases);
        }
        page.0
    }

    fn connections(&self, page: &mut Page) {
        page.family("connections", "gauge", "Clients that are connected, by transport.");
        for ((_, label), count) in KINDS.iter().zip(&self.open) {
            page.sample("connections", &[("transport", label)], count.load(Ordering::Relaxed));
        }
        page.family("connections_opened_total", "counter", "Clients that were welcome, by transport.");
        for ((_, label), count) in KINDS.iter().zip(&self.opened) {
            page.sample("connections_opened_total", &[("transport", label)], count.load(Ordering::Relaxed));
        }
        page.family("connections_refused_total", "counter", "Connections that were turned away, by reason.");
        for ((_, label), count) in REASONS.iter().zip(&self.turned_away) {
            page.sample("connections_refused_total", &[("reason", label)], count.load(Ordering::Relaxed));
        }
        page.family(
            "handshakes_deferred_total",
            "counter",
            "Connections that waited, since others of their address were in the handshake.",
        );
        page.sample("handshakes_deferred_total", &[], self.deferred.load(Ordering::Relaxed));
        page.family("http_requests_total", "counter", "HTTP requests that were answered.");
        page.sample("http_requests_total", &[], self.requests.load(Ordering::Relaxed));
    }
}

fn of_databases(page: &mut Page, databases: &Databases) {
    page.family("database_writable", "gauge", "1 if the database takes writes, else 0.");
    for served in databases.iter() {
        let writes = served.database.read_only().is_none() && !served.database.lacks_room();
        page.sample("database_writable", &[("database", &served.name)], u8::from(writes));
    }
    page.family(
        "database_effects_total",
        "counter",
        "Effects in the log, of records and of the catalogue: the sequence.",
    );
    for served in databases.iter() {
        let position = served.database.position();
        page.sample("database_effects_total", &[("database", &served.name)], position.seq);
    }
    page.family("database_records", "gauge", "Records, by database.");
    for served in databases.iter() {
        // What cannot be read is left out: other tools say why.
        if let Ok(all) = served.database.reader().statistics() {
            let records = all.iter().fold(0_u64, |sum, one| sum.saturating_add(one.summary.live));
            page.sample("database_records", &[("database", &served.name)], records);
        }
    }
}

fn place<'a, K: PartialEq, const N: usize>(
    counters: &'a [AtomicU64; N],
    keys: &[(K, &str); N],
    key: K,
) -> Option<&'a AtomicU64> {
    keys.iter().zip(counters).find(|((candidate, _), _)| *candidate == key).map(|(_, counter)| counter)
}

fn add(counter: Option<&AtomicU64>, number: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(number, Ordering::Relaxed);
    }
}

impl Counted {
    /// The handshake is done: it is a client. Counts once, however often it is called.
    pub(super) fn welcome(&mut self) {
        if !std::mem::replace(&mut self.is_welcome, true) {
            add(place(&self.metrics.opened, &KINDS, self.kind), 1);
            add(place(&self.metrics.open, &KINDS, self.kind), 1);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.is_welcome {
            self.metrics.turned_away(TurnedAway::Handshake);
        } else if let Some(open) = place(&self.metrics.open, &KINDS, self.kind) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {PREFIX}_{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}_{name} {kind}"));
    }

    /// One value. The labels' values need no escapes: they are words of this program and names of databases.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{PREFIX}_{name} {value}")),
            false => self.line(format_args!("{PREFIX}_{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // A string takes whatever is written.
        let _ = writeln!(self.0, "{line}");
    }
}
