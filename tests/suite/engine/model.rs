//! A plain reading of `spec/engine.md`, written without a look at the engine: what each operation answers and what is
//! there afterwards, numbers included.

use std::collections::{BTreeMap, BTreeSet};

use blazedb::blazebinary::{Record, Value};
use blazedb::engine::{Database, Id, Outcome, Range, Refusal, Verdict};
use blazedb::wire::ErrorCode;

use super::kit::{Kind, Op, encode, id, record};
use crate::random::Random;

/// A record of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) fields: Record,
    pub(super) version: u64,
    pub(super) patched: BTreeSet<String>,
}

type Rows = BTreeMap<(&'static str, Id), Row>;

/// A database, as it should be.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) rows: Rows,
    /// The names that there are, with their numbers (E-1.10).
    pub(super) collections: BTreeMap<&'static str, u32>,
    last_collection: u32,
    nodes: BTreeSet<Id>,
    /// The number of the last effect (E-3.1).
    pub(super) sequence: u64,
    pub(super) last_change: u64,
    /// The number of the last drop, 0 if there was none.
    pub(super) last_drop: u64,
}

/// A transaction that is being read.
struct Attempt {
    model: Model,
    unchanged: u32,
}

impl Model {
    /// What the operation answers; the model is then as the database should be.
    pub(super) fn apply(&mut self, node: Id, ops: &[Op]) -> Outcome {
        if self.nodes.insert(node) {
            self.sequence += 1;
        }
        let mut attempt = Attempt { model: self.clone(), unchanged: 0 };
        let ill_formed = ops.iter().enumerate().find_map(|(item, op)| Some((item, ill_formed(op)?)));
        let mut refused = ill_formed.map(|(item, code)| Refusal::of_item(code, item as u32));
        for (item, op) in ops.iter().enumerate() {
            if refused.is_none() {
                refused = attempt.op(op).err().map(|refusal| Refusal { item: Some(item as u32), ..refusal });
            }
        }
        if let Some(refusal) = refused {
            self.sequence += 1;
            return Outcome { verdict: Verdict::Refused(refusal), sequence: self.last_change };
        }
        let has_changed = attempt.model.sequence > self.sequence;
        if !has_changed || attempt.unchanged > 0 {
            attempt.model.sequence += 1;
        }
        let verdict = Verdict::Applied { unchanged: attempt.unchanged };
        *self = attempt.model;
        Outcome { verdict, sequence: self.last_change }
    }

    /// Everything that a reader sees is what the model has.
    pub(super) fn compare(&self, database: &Database) {
        let reader = database.reader();
        assert_eq!(reader.position().seq, self.last_change);
        let statistics = reader.statistics().unwrap();
        let names = statistics.iter().map(|collection| (&*collection.name, collection.number));
        assert_eq!(names.collect::<BTreeMap<_, _>>(), self.collections);
        for collection in &statistics {
            let mut scan = reader.scan(collection.number, Range::default());
            let mut expected = self.rows.iter().filter(|((name, _), _)| **name == *collection.name);
            loop {
                let chunk = scan.next_chunk(database).unwrap();
                if chunk.is_empty() {
                    break;
                }
                for (id, found) in chunk {
                    let ((_, expected_id), row) = expected.next().unwrap();
                    assert_eq!((id, found.sequence), (*expected_id, row.version));
                    assert_eq!(found.bytes().unwrap(), encode(&row.fields));
                    let patched = found.envelope.fields.iter().map(|field| field.name.to_string()).collect();
                    assert_eq!(row.patched, patched);
                }
            }
            assert_eq!(expected.next(), None);
            let live = self.rows.keys().filter(|(name, _)| **name == *collection.name).count();
            assert_eq!(collection.summary.live, live as u64);
        }
    }
}

fn ill_formed(op: &Op) -> Option<ErrorCode> {
    match &op.kind {
        Kind::Insert(fields) | Kind::Upsert(fields, _) => match fields.get("id") {
            Some(Value::Uuid(_)) => None,
            _ => Some(ErrorCode::InvalidId),
        },
        Kind::Patch(_, removed, set) => {
            (removed.contains(&"id") || set.get("id").is_some()).then_some(ErrorCode::IdIsFixed)
        }
        Kind::Delete(_) | Kind::Check(_) | Kind::Drop => None,
    }
}

fn id_of(op: &Op) -> Id {
    match &op.kind {
        Kind::Insert(fields) | Kind::Upsert(fields, _) => match fields.get("id") {
            Some(Value::Uuid(id)) => id.into_bytes(),
            _ => unreachable!("ill formed"),
        },
        Kind::Patch(id, ..) | Kind::Delete(id) | Kind::Check(id) => *id,
        Kind::Drop => unreachable!("no record's"),
    }
}

impl Attempt {
    fn op(&mut self, op: &Op) -> Result<(), Refusal> {
        if op.kind == Kind::Drop {
            self.drop(op.collection);
            return Ok(());
        }
        let key = (op.collection, id_of(op));
        let there = self.model.rows.get(&key).cloned();
        let version = there.as_ref().map_or(0, |row| row.version);
        if op.base.is_some_and(|base| base != version) {
            let refusal = Refusal::of_all(ErrorCode::PreconditionFailed);
            return Err(Refusal { version: Some(version), ..refusal });
        }
        match (&op.kind, there) {
            (Kind::Insert(_), Some(_)) => return Err(Refusal::of_all(ErrorCode::AlreadyExists)),
            (Kind::Patch(..), None) => return Err(Refusal::of_all(ErrorCode::NotFound)),
            (Kind::Upsert(fields, true), Some(row)) if encode(fields) == encode(&row.fields) => {
                self.unchanged += 1
            }
            (Kind::Insert(fields) | Kind::Upsert(fields, _), _) => {
                let version = self.change(op.collection);
                self.model
                    .rows
                    .insert(key, Row { fields: fields.clone(), version, patched: BTreeSet::new() });
            }
            (Kind::Patch(_, removed, set), Some(mut row)) => {
                for name in removed {
                    row.fields.remove(name);
                    row.patched.insert((*name).to_owned());
                }
                for (name, value) in set.iter() {
                    row.fields.insert(name.clone(), value.clone());
                    row.patched.insert(name.as_str().to_owned());
                }
                row.version = self.change(op.collection);
                self.model.rows.insert(key, row);
            }
            (Kind::Delete(_), None) => self.unchanged += 1,
            (Kind::Delete(_), Some(_)) => {
                self.change(op.collection);
                self.model.rows.remove(&key);
            }
            (Kind::Check(_) | Kind::Drop, _) => {}
        }
        Ok(())
    }

    fn change(&mut self, collection: &'static str) -> u64 {
        let model = &mut self.model;
        if !model.collections.contains_key(collection) {
            model.last_collection += 1;
            model.collections.insert(collection, model.last_collection);
            model.sequence += 1;
        }
        model.sequence += 1;
        model.last_change = model.sequence;
        model.sequence
    }

    /// All of it goes with one effect (E-1.13).
    fn drop(&mut self, collection: &'static str) {
        let model = &mut self.model;
        if model.collections.remove(collection).is_none() {
            self.unchanged += 1;
            return;
        }
        model.rows.retain(|(name, _), _| *name != collection);
        model.sequence += 1;
        (model.last_change, model.last_drop) = (model.sequence, model.sequence);
    }
}

const COLLECTIONS: [&str; 3] = ["people", "Orders_2", "_x"];
const NAMES: [&str; 6] = ["name", "status", "count", "é", "notes", "tags"];

fn value(random: &mut Random) -> Value {
    match random.below(4) {
        0 => Value::Int(random.below(3).cast_signed()),
        1 => Value::String("x".repeat(random.below(40) as usize)),
        2 => Value::Bool(random.chance(50)),
        _ => Value::Array(vec![Value::Null, Value::Double(random.below(5) as f64)]),
    }
}

fn fields(random: &mut Random) -> Vec<(&'static str, Value)> {
    (0..random.below(4)).map(|_| (NAMES[random.below(6) as usize], value(random))).collect()
}

/// A transaction that mostly makes sense to what the model holds, and sometimes does not.
pub(super) fn random_ops(random: &mut Random, model: &Model) -> Vec<Op> {
    let count = if random.chance(70) { 1 } else { 1 + random.below(6) };
    (0..count).map(|_| random_op(random, model)).collect()
}

fn random_op(random: &mut Random, model: &Model) -> Op {
    let collection = COLLECTIONS[random.below(3) as usize];
    if random.chance(2) {
        return Op { collection, base: None, kind: Kind::Drop };
    }
    let record_id = id(random.below(12));
    let there = model.rows.get(&(collection, record_id));
    let version = there.map_or(0, |row| row.version);
    let base = match random.below(10) {
        0..=6 => None,
        7 | 8 => Some(version),
        _ => Some(random.below(model.sequence + 2)),
    };
    let fresh = record(record_id, &fields(random));
    let set = Record::from_iter(fields(random));
    let removed = (0..random.below(3)).map(|_| NAMES[random.below(6) as usize]).collect::<BTreeSet<_>>();
    let kind = match random.below(20) {
        0..=4 => Kind::Insert(fresh),
        5..=8 => Kind::Upsert(fresh, random.chance(50)),
        9 | 10 => Kind::Upsert(there.map_or(fresh, |row| row.fields.clone()), true),
        11..=14 => Kind::Patch(record_id, removed.into_iter().collect(), set),
        15..=17 => Kind::Delete(record_id),
        18 => return Op { collection, base: Some(base.unwrap_or(version)), kind: Kind::Check(record_id) },
        _ if random.chance(50) => Kind::Insert(Record::from_iter([("id", "no uuid")])),
        _ => Kind::Patch(record_id, vec!["id"], set),
    };
    Op { collection, base, kind }
}
