//! Many threads, one log: every transaction is acknowledged once, published in order, and there after a reopening.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::choosers::Seeded;
use super::world::{IDENTITY, record};
use crate::log::effect::{Checked, Effect};
use crate::log::group::{Fold, GroupCommit};
use crate::log::simfs::{Fault, SimFs, Tear};
use crate::log::{Log, LogError, Moment, Opened, Options, Position, Sequences, TransactionHead, Unsynced};

/// A store that breaks.
struct Broken;

impl Fold for Broken {
    fn fold(&self, _: Sequences) {
        panic!("the store is broken");
    }

    fn publish(&self, _: Position) {}
}

#[test]
fn a_store_that_panics_stops_everyone() {
    let log = Log::create(Arc::new(SimFs::new(4096)), options(16 * 4096)).unwrap();
    let group = GroupCommit::new(Box::new(log), Broken);
    let ordered = group.order(&head(1), &[Effect::Outcome { code: 1, detail: b"" }], NOW).unwrap();
    std::thread::scope(|scope| assert!(scope.spawn(|| group.wait(ordered, NOW)).join().is_err()));
    assert!(matches!(group.wait(ordered, NOW), Err(LogError::Poisoned)));
    assert!(matches!(group.close(NOW), Err(LogError::Poisoned)));
}

/// Remembers what it was told, and syncs large batches on a thread of its own.
#[derive(Default)]
struct Told {
    folded: Mutex<Vec<Sequences>>,
    published: AtomicU64,
    beside: AtomicU64,
}

impl Fold for Arc<Told> {
    fn fold(&self, batch: Sequences) {
        self.folded.lock().unwrap().push(batch);
    }

    fn publish(&self, position: Position) {
        let folded = self.folded.lock().unwrap().last().unwrap().last;
        assert_eq!(folded, position.sequence, "published is what was folded");
        assert!(self.published.swap(position.sequence, Ordering::SeqCst) < position.sequence, "in order");
    }

    fn sync_beside(&self, sync: Unsynced, fold: &mut dyn FnMut()) -> Result<crate::log::Synced, LogError> {
        self.beside.fetch_add(1, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let syncing = scope.spawn(|| sync.sync());
            fold();
            syncing.join().unwrap()
        })
    }
}

fn options(segment_bytes: u32) -> Options {
    let mut seeded = Seeded(9);
    Options { segment_bytes, ..Options::new(IDENTITY, 0, Box::new(move || seeded.next())) }
}

fn group(fs: &SimFs, segment_bytes: u32) -> (GroupCommit<Arc<Told>>, Arc<Told>) {
    let told = Arc::new(Told::default());
    let log = Log::create(Arc::new(fs.clone()), options(segment_bytes)).unwrap();
    (GroupCommit::new(Box::new(log), told.clone()), told)
}

fn head(operation: u64) -> TransactionHead<'static> {
    TransactionHead { node: [2; 16], operation, body_hash: 0, principal: "someone", trace: Some([3; 16]) }
}

const NOW: Moment = Moment { hlc: 5, elapsed: std::time::Duration::ZERO };

#[test]
fn many_threads_share_writes_and_syncs() {
    const THREADS: u64 = 24;
    const EACH: u64 = 60;
    let fs = SimFs::new(4096);
    let (group, told) = group(&fs, 64 * 4096);
    let group = &group;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let bytes = record(thread, 100 + number as usize);
                    let effect = Effect::Catalogue(Checked { bytes: &bytes, crc: 0 });
                    let effects = vec![effect; 1 + number as usize % 3];
                    let ordered = group.order(&head(thread * EACH + number), &effects, NOW).unwrap();
                    assert_eq!(ordered.last - ordered.first + 1, effects.len() as u64);
                    let position = group.wait(ordered, NOW).unwrap();
                    assert_eq!(position.sequence, ordered.last);
                    assert!(group.published().sequence >= ordered.last);
                    if number % 20 == 0 {
                        group.prepare().unwrap();
                    }
                }
            });
        }
    });
    let folded = told.folded.lock().unwrap();
    assert!(folded.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "every effect was folded once");
    println!("{} transactions in {} batches", THREADS * EACH, folded.len());
    group.close(NOW).unwrap();
    let opened = Log::open(Arc::new(fs), options(64 * 4096)).unwrap();
    let Opened::ReadWrite(log, report) = opened else { panic!("{opened:?}") };
    assert_eq!((report.tail, report.hlc), (crate::log::Tail::Clean, 5));
    let mut reader = log.view().read_from(0).unwrap();
    let mut operations = Vec::new();
    while let Some(piece) = reader.next_piece().unwrap() {
        assert_eq!((piece.head.principal, piece.head.trace), ("someone", Some([3; 16])));
        operations.push(piece.head.operation);
    }
    operations.sort_unstable();
    assert_eq!(operations, (0..THREADS * EACH).collect::<Vec<_>>());
}

#[test]
fn a_large_batch_is_folded_beside_its_sync_and_a_failed_sync_stops_everyone() {
    let fs = SimFs::new(4096);
    let (group, told) = group(&fs, 64 * 4096);
    let effects = [Effect::Outcome { code: 1, detail: b"" }];
    let mut last = None;
    for operation in 0..20 {
        last = Some(group.order(&head(operation), &effects, NOW).unwrap());
    }
    let operations = fs.operations();
    assert_eq!(group.wait(last.unwrap(), NOW).unwrap().sequence, 20);
    assert_eq!(fs.operations() - operations, 2, "one write, one sync");
    assert_eq!(told.beside.load(Ordering::SeqCst), 1);
    let ordered = group.order(&head(20), &effects, NOW).unwrap();
    fs.arm(fs.operations() + 1, Fault::Error);
    assert!(matches!(group.wait(ordered, NOW), Err(LogError::Io { .. })));
    assert!(matches!(group.wait(ordered, NOW), Err(LogError::Poisoned)));
    assert!(matches!(group.order(&head(21), &effects, NOW), Err(LogError::Poisoned)));
    assert!(matches!(group.lead_if_free(NOW), Err(LogError::Poisoned)));
    assert_eq!(told.published.load(Ordering::SeqCst), 20, "what failed was not published");
}

#[test]
fn a_full_disk_refuses_orders_and_forgets_none_that_it_took() {
    let fs = SimFs::new(4096);
    let (group, _) = group(&fs, 4 * 4096);
    let effects = [Effect::Outcome { code: 1, detail: b"" }];
    // The worst that a small transaction may take is more than what is left: the next segment is made beforehand.
    fs.arm(fs.operations() + 2, Fault::NoSpace);
    let first = group.order(&head(1), &effects, NOW);
    assert!(matches!(first, Err(LogError::DiskFull)), "{first:?}");
    let second = group.order(&head(1), &effects, NOW).unwrap();
    assert_eq!((second.first, group.wait(second, NOW).unwrap().sequence), (1, 1));
    assert!(!group.lead_if_free(NOW).unwrap());
}

/// A transaction that spans commits of the real size, through a segment made large enough for it.
#[test]
fn a_transaction_of_many_megabytes_spans_commits_and_outgrows_the_segment() {
    let fs = SimFs::new(4096);
    let (group, _) = group(&fs, 64 * 4096);
    let bytes = record(1, 1 << 20);
    let effects = vec![Effect::Catalogue(Checked { bytes: &bytes, crc: 0 }); 6];
    let ordered = group.order(&head(1), &effects, NOW).unwrap();
    group.wait(ordered, NOW).unwrap();
    group.close(NOW).unwrap();
    fs.cut(&mut Seeded(1), Tear::Any);
    let opened = Log::open(Arc::new(fs), options(64 * 4096)).unwrap();
    let Opened::ReadWrite(log, _) = opened else { panic!("{opened:?}") };
    let mut reader = log.view().read_from(0).unwrap();
    let (mut pieces, mut count) = (0, 0);
    while let Some(piece) = reader.next_piece().unwrap() {
        assert_eq!((piece.continued, piece.continues), (pieces > 0, count + piece.count() < 6));
        pieces += 1;
        count += piece.count();
    }
    assert_eq!((pieces, count), (6, 6), "one record of 1 MiB a commit");
}
