//! What one way of carrying records puts on the wire, and the tables of all of them.

use std::future::Future;
use std::net::SocketAddr;

use blazedb::blazebinary::Record;

use crate::link::{Fault, Link, Shape};
use crate::relay::{Bytes, Relay};

/// What passed on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// From the first byte until records can be sent.
    pub setup: Bytes,
    /// The first operation, which may teach both ends something.
    pub first: Bytes,
    /// All records behind it.
    pub rest: Bytes,
    /// The goodbye.
    pub end: Bytes,
}

/// Opens a link through a relay to `target`, stores one operation, then all `records`, and ends it.
pub async fn measure<L: Link, F: Future<Output = Result<L, Fault>>>(
    target: SocketAddr,
    records: &[Record],
    shape: Shape,
    open: impl FnOnce(SocketAddr) -> F,
) -> Result<Figures, Fault> {
    let relay = Relay::start(target).await?;
    let mut link = open(relay.address()).await?;
    let setup = relay.settled().await?;
    link.store(&records[..shape.batch]).await?;
    let first = relay.settled().await?;
    link.store(records).await?;
    let rest = relay.settled().await?;
    link.close().await?;
    let end = relay.settled().await?;
    Ok(Figures { setup, first: first - setup, rest: rest - first, end: end - rest })
}

/// A line of the tables: what was measured, in each round.
#[derive(Debug)]
pub struct Row {
    pub way: &'static str,
    pub shape: &'static str,
    /// Bytes of a record alone in this way's encoding, in the mean.
    pub encoded: f64,
    pub rounds: Vec<Figures>,
}

impl Row {
    /// Bytes a record and direction: the median, and how far the rounds lie apart if it is more than a tenth of a byte.
    fn a_record(&self, records: usize, of: impl Fn(Bytes) -> u64) -> (f64, String) {
        let mut rounds: Vec<f64> =
            self.rounds.iter().map(|round| of(round.rest) as f64 / records as f64).collect();
        rounds.sort_by(f64::total_cmp);
        let (least, median, greatest) = (rounds[0], rounds[rounds.len() / 2], rounds[rounds.len() - 1]);
        let text = match greatest - least > 0.1 {
            true => format!("{median:.1} ({least:.1} to {greatest:.1})"),
            false => format!("{median:.1}"),
        };
        (median, text)
    }

    fn once(&self, of: impl Fn(Figures) -> u64) -> String {
        let all = || self.rounds.iter().map(|round| of(*round));
        match (all().min(), all().max()) {
            (Some(least), Some(greatest)) if least < greatest => format!("{least} to {greatest}"),
            (Some(least), _) => least.to_string(),
            (None, _) => "-".to_owned(),
        }
    }
}

/// The table of bytes a record. What is over its encoding is the protocol's, what is over the content the encoding's, too.
pub fn print_records(rows: &[Row], records: usize, content: f64) {
    println!("| way | operations | ↑ | ↓ | both | over its encoding | over the content |");
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        let (up, up_text) = row.a_record(records, |bytes| bytes.up);
        let (down, down_text) = row.a_record(records, |bytes| bytes.down);
        let both = up + down;
        let Row { way, shape, encoded, .. } = row;
        let (protocol, all) = (both - encoded, both - content);
        println!("| {way} | {shape} | {up_text} | {down_text} | {both:.1} | {protocol:.1} | {all:.1} |");
    }
}

/// The table of what a connection costs once.
pub fn print_connections(rows: &[Row]) {
    println!("| way | setup ↑ | ↓ | first record ↑ | ↓ | end ↑ | ↓ |");
    println!("|---|---|---|---|---|---|---|");
    let is_first = |at: usize| rows[..at].iter().all(|before| before.way != rows[at].way);
    for (_, row) in
        rows.iter().enumerate().filter(|(at, row)| is_first(*at) && row.shape.starts_with("1 record"))
    {
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.way,
            row.once(|round| round.setup.up),
            row.once(|round| round.setup.down),
            row.once(|round| round.first.up),
            row.once(|round| round.first.down),
            row.once(|round| round.end.up),
            row.once(|round| round.end.down),
        );
    }
}
