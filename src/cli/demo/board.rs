//! The live data: a departures board whose flights come, board, depart and go, a few changes a second.
//!
//! ```text
//!   scheduled ──▶ boarding ──▶ departed ──▶ landed ──▶ deleted
//!        └── delayed ──▲
//! ```

use std::time::Duration;

use uuid::Uuid;

use crate::blazebinary::{Date, Record, Value};
use crate::cli::Failure;
use crate::client::{Client, Error, Range};
use crate::wire::ErrorCode;

/// The collection that holds the board.
pub(super) const BOARD: &str = "board";
/// Between two changes.
pub(super) const INTERVAL: Duration = Duration::from_millis(350);
/// Flights on the board: as many as a screen shows at a glance. The demo may run for weeks; its data stays this small.
const ROWS: usize = 16;
/// How many of its gates an airport uses here.
const GATES: u64 = 24;
const MINUTE_MS: i64 = 60_000;

/// What happens to a flight, in order.
const STAGES: [&str; 4] = ["scheduled", "boarding", "departed", "landed"];
/// Where some flights are between the first and the second.
const DELAYED: &str = "delayed";

/// A flight on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    id: Uuid,
    stage: usize,
}

/// The writer of the board.
#[derive(Debug)]
pub(super) struct Board {
    rows: Vec<Row>,
    flights: Vec<Record>,
    next: usize,
}

/// One change of the board.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Appears(Record),
    Advances(Uuid, Record),
    Leaves(Uuid),
}

impl Board {
    /// Goes on with the board that is there; `flights` are what appears on it.
    pub(super) async fn open(client: &Client, flights: Vec<Record>) -> Result<Self, Failure> {
        let mut rows = Vec::new();
        let mut pages = client.scan(BOARD, Range::ALL).await?;
        loop {
            match pages.next().await {
                Ok(Some(page)) => rows.extend(page.rows().filter_map(|row| {
                    let view = row.record.view().ok()?;
                    Some(Row { id: view.id()?, stage: stage_of(&view.to_record()) })
                })),
                Ok(None) => break,
                // It was never written.
                Err(Error::Refused(why)) if why.code == Some(ErrorCode::UnknownCollection) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // Not the same flights after each start.
        let next = rows.last().map_or(0, |row: &Row| usize::from(row.id.as_fields().1));
        Ok(Self { rows, flights, next })
    }

    /// Makes one change at `unix_ms`; `chance` is any number.
    pub(super) async fn turn(&mut self, client: &Client, unix_ms: i64, chance: u64) -> Result<(), Failure> {
        match self.change(unix_ms, chance) {
            Change::Appears(record) => drop(client.put(BOARD, record).await?),
            Change::Advances(id, set) => drop(client.patch(BOARD, id, &set, &[]).await?),
            Change::Leaves(id) => drop(client.delete(BOARD, id).await?),
        }
        Ok(())
    }

    fn change(&mut self, unix_ms: i64, chance: u64) -> Change {
        // Half of the turns add a flight until the board is full.
        if self.rows.is_empty() || self.rows.len() < ROWS && chance & 1 == 0 {
            return self.appear(unix_ms, chance >> 1);
        }
        let index = pick(chance >> 1, self.rows.len());
        let Some(row) = self.rows.get_mut(index) else { return self.appear(unix_ms, chance >> 1) };
        let id = row.id;
        let updated = ("updated", Value::from(Date::from_unix_millis(unix_ms)));
        row.stage = row.stage.saturating_add(1);
        match STAGES.get(row.stage) {
            Some(_) if row.stage == 1 && chance.is_multiple_of(5) => {
                row.stage = 0;
                let minutes = i64::try_from(chance >> 8 & 31).unwrap_or(0).saturating_add(5);
                let set =
                    [("status", Value::from(DELAYED)), ("delay_minutes", Value::from(minutes)), updated];
                Change::Advances(id, set.into_iter().collect())
            }
            Some(stage) => {
                let set = [("status", Value::from(*stage)), updated];
                Change::Advances(id, set.into_iter().collect())
            }
            None => {
                self.rows.remove(index);
                Change::Leaves(id)
            }
        }
    }

    fn appear(&mut self, unix_ms: i64, chance: u64) -> Change {
        let flight = self.flights.get(self.next.checked_rem(self.flights.len()).unwrap_or(0));
        self.next = self.next.saturating_add(1);
        let id = Uuid::now_v7();
        self.rows.push(Row { id, stage: 0 });
        let mut record = Record::from_iter([("id", Value::Uuid(id))]);
        for field in ["carrier", "flight", "origin", "dest", "tailnum"] {
            record.insert(field, flight.and_then(|flight| flight.get(field)).cloned().unwrap_or(Value::Null));
        }
        let letter = ["A", "B", "C"].get(pick(chance, 3)).copied().unwrap_or_default();
        let number = (chance >> 8).checked_rem(GATES).unwrap_or(0).saturating_add(1);
        let ahead = i64::try_from(pick(chance >> 16, 50)).unwrap_or(0).saturating_add(10);
        let due = unix_ms.saturating_add(ahead.saturating_mul(MINUTE_MS));
        record.insert("gate", format!("{letter}{number}"));
        record.insert("due", Date::from_unix_millis(due));
        record.insert("status", STAGES[0]);
        record.insert("updated", Date::from_unix_millis(unix_ms));
        Change::Appears(record)
    }
}

fn pick(chance: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    usize::try_from(chance.checked_rem(count).unwrap_or(0)).unwrap_or(0)
}

/// How far a record on the board is. One that somebody changed by hand begins anew.
fn stage_of(record: &Record) -> usize {
    let status = record.get("status");
    STAGES.iter().position(|stage| status == Some(&Value::from(*stage))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::flights;
    use super::*;
    use std::collections::BTreeMap;

    /// Plays the changes of a seed into a map, as a server would hold them.
    #[test]
    fn the_board_stays_small_and_each_flight_goes_through_its_stages() {
        let mut board = Board { rows: Vec::new(), flights: flights().unwrap(), next: 0 };
        let mut held = BTreeMap::new();
        let (mut gone, mut delayed, mut chance) = (0, 0, 1u64);
        for turn in 0..3_000 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match board.change(1_700_000_000_000 + turn, chance >> 20) {
                Change::Appears(record) => {
                    let Some(Value::Uuid(id)) = record.get("id") else { panic!("no id") };
                    assert_eq!(record.get("status"), Some(&Value::from("scheduled")));
                    assert_eq!(held.insert(*id, vec!["scheduled".to_owned()]), None);
                }
                Change::Advances(id, set) => {
                    let Some(Value::String(status)) = set.get("status") else { panic!("no status") };
                    held.get_mut(&id).unwrap().push(status.clone());
                }
                Change::Leaves(id) => {
                    let mut stages = held.remove(&id).unwrap();
                    delayed += stages.iter().filter(|stage| *stage == "delayed").count();
                    stages.retain(|stage| stage != "delayed");
                    assert_eq!(stages, ["scheduled", "boarding", "departed", "landed"]);
                    gone += 1;
                }
            }
            assert!(held.len() <= ROWS);
        }
        assert!(gone > 100 && delayed > 10, "{gone} {delayed}");
        assert_eq!(held.len(), board.rows.len());
    }

    #[test]
    fn a_board_that_was_left_is_gone_on_with() {
        for (status, stage) in [("scheduled", 0), ("delayed", 0), ("departed", 2), ("landed", 3), ("?", 0)] {
            assert_eq!(stage_of(&Record::from_iter([("status", status)])), stage, "{status}");
        }
    }
}
