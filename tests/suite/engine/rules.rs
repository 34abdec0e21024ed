//! Single rules of `spec/engine.md` that a random script meets too seldom, each by name.

use std::sync::Arc;

use blazedb::blazebinary::limits::MAX_RECORD_BYTES;
use blazedb::blazebinary::{Record, Value};
use blazedb::engine::{Database, EngineError, FORMAT_FILE, Id, Refusal, Settings, Verdict};
use blazedb::log::simfs::{Fault, SimFs};
use blazedb::store::{Memory, Store};
use blazedb::wire::{ErrorCode, Position};

use super::kit::{Checkpointed, Kind, Op, World, id, open, record, run, submit};

const NODE: Id = [1; 16];
const SEGMENT_BYTES: u32 = 4 << 20;

fn database() -> (Database, SimFs, Arc<World>) {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let (database, opening) =
        open(Arc::new(fs.clone()), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap();
    assert!(opening.is_new);
    (database, fs, world)
}

fn op(kind: Kind) -> Op {
    Op { collection: "people", base: None, kind }
}

fn large(number: u64, bytes: usize) -> Record {
    record(id(number), &[("data", Value::Data(vec![7; bytes]))])
}

fn refused(code: ErrorCode, item: u32) -> Verdict {
    Verdict::Refused(Refusal::of_item(code, item))
}

#[test]
fn a_decision_over_a_limit_is_an_outcome_and_changes_nothing() {
    let (database, ..) = database();
    let half = MAX_RECORD_BYTES / 2;
    run(&database, NODE, 1, &[op(Kind::Insert(large(1, half)))]).unwrap();
    let more = Record::from_iter([("more", Value::Data(vec![7; half]))]);
    let small = Record::from_iter([("small", 1i64)]);
    let outcome = run(
        &database,
        NODE,
        2,
        &[op(Kind::Patch(id(1), vec![], small.clone())), op(Kind::Patch(id(1), vec![], more))],
    );
    assert_eq!(outcome.unwrap().verdict, refused(ErrorCode::RecordTooLarge, 1));
    // 48 MiB are the limit: 96 patches of a record of half a mebibyte pass it.
    let many: Vec<Op> = (0..100).map(|_| op(Kind::Patch(id(1), vec![], small.clone()))).collect();
    let Verdict::Refused(refusal) = run(&database, NODE, 3, &many).unwrap().verdict else { panic!() };
    assert_eq!(refusal.code, ErrorCode::TransactionTooLarge);
    assert!((90..96).contains(&refusal.item.unwrap()), "{refusal:?}");
    assert_eq!(database.reader().get(1, &id(1)).unwrap().unwrap().sequence, 3, "node, collection, record");
    run(&database, NODE, 4, &many[..20]).unwrap();
    assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
}

#[test]
fn a_record_that_is_not_canonical_is_refused_by_item_and_offset() {
    use blazedb::wire::message::{Action, OperationBuilder, RecordOperation};
    use blazedb::wire::{CollectionName, FramedRecord};
    let (database, ..) = database();
    let mut bytes = super::kit::encode(&record(id(1), &[]));
    bytes.push(0);
    let mut builder = OperationBuilder::new();
    let action = Action::Insert(FramedRecord::new(&bytes).unwrap());
    builder.push(CollectionName::new("people").unwrap(), &RecordOperation { base: None, action }).unwrap();
    let body = builder.finish().unwrap();
    let Verdict::Refused(refusal) = database.run(&super::kit::submission(NODE, 1, &body)).unwrap().verdict
    else {
        panic!("accepted")
    };
    assert_eq!((refusal.code, refusal.item), (ErrorCode::InvalidRecord, Some(0)));
    assert_eq!(refusal.offset, Some(bytes.len() as u32 - 1));
}

#[test]
fn unchanged_imports_move_no_position_and_make_no_event() {
    let (database, ..) = database();
    let rows = || (0..50).map(|number| op(Kind::Upsert(record(id(number), &[]), true))).collect::<Vec<_>>();
    assert_eq!(run(&database, NODE, 1, &rows()).unwrap().verdict, Verdict::Applied { unchanged: 0 });
    let position = database.position();
    for number in 2..10 {
        let outcome = run(&database, NODE, number, &rows()).unwrap();
        assert_eq!((outcome.verdict, outcome.sequence), (Verdict::Applied { unchanged: 50 }, position.seq));
    }
    assert_eq!(database.position(), position);
    let mut changes = database.latest_changes(position, None).unwrap();
    assert!(changes.next_chunk(&database).unwrap().is_empty());
}

#[test]
fn nothing_is_visible_before_it_is_durable() {
    let (database, fs, _) = database();
    let ticket = submit(&database, NODE, 1, &[op(Kind::Insert(record(id(1), &[])))]).unwrap();
    assert!(database.reader().collection("people").is_err());
    assert_eq!(database.highest_operation(&NODE), Ok(1));
    // What is decided is seen by the next decision.
    let second = submit(&database, NODE, 2, &[op(Kind::Insert(record(id(1), &[])))]).unwrap();
    assert_eq!(second.outcome.verdict, refused(ErrorCode::AlreadyExists, 0));
    // A failed sync: no acknowledgement, nothing visible, every later call fails with the reason.
    fs.arm(fs.operations() + 1, Fault::Error);
    let Err(EngineError::Stopped(reason)) = database.wait(&ticket) else { panic!("acknowledged") };
    assert!(reason.contains("fdatasync"), "{reason}");
    assert!(database.reader().collection("people").is_err());
    assert_eq!(database.wait(&second), Err(EngineError::Stopped(reason.clone())));
    let ops = [op(Kind::Delete(id(1)))];
    assert_eq!(run(&database, NODE, 3, &ops), Err(EngineError::Stopped(reason.clone())));
    assert_eq!(database.commit(), Err(EngineError::Stopped(reason)));
}

#[test]
fn a_store_that_fails_stops_the_database_and_the_log_has_what_was_synced() {
    let (fs, world, store) = (SimFs::new(4096), World::new(1), Checkpointed::new());
    let open = |store: &Checkpointed| {
        open(Arc::new(fs.clone()), Arc::new(store.clone()), &world, SEGMENT_BYTES).unwrap().0
    };
    let database = open(&store);
    store.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let ops = [op(Kind::Insert(record(id(1), &[])))];
    let Err(EngineError::Stopped(reason)) = run(&database, NODE, 1, &ops) else { panic!("acknowledged") };
    assert!(reason.contains("folding"), "{reason}");
    assert!(database.reader().collection("people").is_err());
    assert_eq!(run(&database, NODE, 2, &ops), Err(EngineError::Stopped(reason)));
    drop(database);
    let database = open(&store.crash());
    assert_eq!(run(&database, NODE, 1, &ops).unwrap().verdict, Verdict::Applied { unchanged: 0 });
    assert_eq!(database.reader().statistics().unwrap()[0].summary.live, 1);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_freed() {
    let (database, fs, _) = database();
    let one = |number| vec![op(Kind::Insert(large(number, 900_000)))];
    let mut number = 1;
    let refused = loop {
        // The next segment is made when this one is full: what is left of an earlier try goes, then no room is found.
        fs.arm(fs.operations() + 1, Fault::NoSpace);
        match submit(&database, NODE, number, &one(number)) {
            Ok(ticket) => {
                fs.arm(u64::MAX, Fault::NoSpace);
                database.wait(&ticket).unwrap();
            }
            Err(error) => break error,
        }
        number += 1;
    };
    assert_eq!(refused, EngineError::DiskFull);
    assert_eq!(database.highest_operation(&NODE), Ok(number - 1), "the number stays free");
    assert_eq!(
        run(&database, NODE, number, &one(number)).unwrap().verdict,
        Verdict::Applied { unchanged: 0 }
    );
    assert_eq!(database.reader().statistics().unwrap()[0].summary.live, number);
}

#[test]
fn a_node_that_is_not_known_begins_with_1() {
    let (database, ..) = database();
    let ops = [op(Kind::Delete(id(1)))];
    assert_eq!(run(&database, NODE, 5, &ops), Err(EngineError::IdentityExpired));
    assert!(matches!(run(&database, NODE, 0, &ops), Err(EngineError::IdentityExpired)));
    assert_eq!(database.highest_operation(&NODE), Ok(0));
}

#[test]
fn what_is_no_database_of_ours_is_refused_by_name() {
    let (first, fs, world) = database();
    run(&first, NODE, 1, &[op(Kind::Insert(record(id(1), &[])))]).unwrap();
    let open_with = |fs: &SimFs, store: Arc<dyn Store>, create| {
        let settings = Settings { create, segment_bytes: SEGMENT_BYTES, ..Settings::default() };
        Database::open(Arc::new(fs.clone()), store, world.clone(), settings)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let memory = || Arc::new(Memory::new());
    assert!(open_with(&SimFs::new(512), memory(), false).unwrap_err().contains("no database here"));
    let foreign = memory();
    assert_eq!(open_with(&SimFs::new(512), foreign.clone(), true), Ok(()));
    let used = memory();
    assert_eq!(open_with(&fs, used.clone(), false), Ok(()));
    assert!(open_with(&SimFs::new(512), used, true).unwrap_err().contains("another database"));
    let nameless = fs.image();
    nameless.lose(FORMAT_FILE);
    assert!(open_with(&nameless, memory(), true).unwrap_err().contains("FORMAT"));
    let newer = fs.image();
    let text = String::from_utf8(newer.bytes(FORMAT_FILE)).unwrap().replace("format 1", "format 7");
    let text = &text[..text.rfind("crc32").unwrap()];
    newer
        .replace(FORMAT_FILE, format!("{text}crc32 {:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes());
    assert!(open_with(&newer, memory(), true).unwrap_err().contains("format 7"));
}

#[test]
fn damage_makes_a_database_that_only_reads() {
    let (database, fs, world) = database();
    for number in 1..=20 {
        run(&database, NODE, number, &[op(Kind::Insert(record(id(number), &[])))]).unwrap();
    }
    database.close().unwrap();
    let name = fs.names().into_iter().find(|name| name.ends_with(".log")).unwrap();
    let mut bytes = fs.bytes(&name);
    // Two blocks before the commits, one commit a block: the eleventh.
    bytes[12 * 4096 + 60] ^= 1;
    fs.replace(&name, bytes);
    let (damaged, _) = open(Arc::new(fs.clone()), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap();
    assert!(damaged.read_only().is_some());
    assert_eq!(damaged.reader().statistics().unwrap()[0].summary.live, 10);
    let refused = run(&damaged, NODE, 21, &[op(Kind::Delete(id(1)))]);
    assert!(matches!(refused, Err(EngineError::ReadOnly(_))), "{refused:?}");
    assert_eq!(damaged.highest_operation(&NODE), Ok(10), "a welcome can be said");
    assert_eq!(damaged.verify().unwrap().wrong, 1, "the damage to the log");
    let mut changes = damaged.all_changes(Position::default()).unwrap();
    let read = std::iter::from_fn(|| changes.next(&damaged).ok().flatten()).count();
    assert_eq!(read, 10);
}
