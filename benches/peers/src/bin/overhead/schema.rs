//! The protobuf schema of the records, derived by hand: what protoc would make of this.
//!
//! ```text
//!   syntax = "proto3";
//!   package peers.v1;
//!
//!   message Bug {
//!     bytes id = 1;                      // 16 bytes
//!     string title = 2;
//!     string description = 3;
//!     string status = 4;
//!     int32 priority = 5;
//!     string assigned_to = 6;
//!     repeated string tags = 7;
//!     int64 created_at_ms = 8;           // Unix milliseconds
//!     bool is_archived = 9;
//!   }
//!
//!   message Flight {
//!     bytes id = 1;
//!     int32 year = 2;
//!     int32 month = 3;
//!     int32 day = 4;
//!     optional int32 dep_time = 5;
//!     int32 sched_dep_time = 6;
//!     optional sint32 dep_delay = 7;     // often negative
//!     optional int32 arr_time = 8;
//!     int32 sched_arr_time = 9;
//!     optional sint32 arr_delay = 10;
//!     string carrier = 11;
//!     int32 flight = 12;
//!     optional string tailnum = 13;
//!     string origin = 14;
//!     string dest = 15;
//!     optional int32 air_time = 16;
//!     int32 distance = 17;
//!     int32 hour = 18;
//!     int32 minute = 19;
//!     int64 time_hour_ms = 20;
//!   }
//!
//!   message InsertBug { Bug record = 1; }             // and the same of flights
//!   message InsertBugs { repeated Bug records = 1; }
//!   message Inserted {}
//!   message Acknowledged { uint64 number = 1; }
//!
//!   service Bugs {
//!     rpc Insert(InsertBug) returns (Inserted);
//!     rpc InsertMany(InsertBugs) returns (Inserted);
//!     rpc InsertAll(stream InsertBug) returns (Inserted);
//!     rpc InsertEach(stream InsertBug) returns (stream Acknowledged);
//!   }
//! ```
//!
//! Names and types of fields are here and not in the messages: a reader without this text sees numbers.

use blazedb::blazebinary::{Record, Value};

use crate::workload::unix_millis;

/// A kind of record with a schema, and what its service is called.
pub trait Kind:
    prost::Message + std::fmt::Debug + Clone + PartialEq + Default + for<'a> From<&'a Record> + 'static
{
    const INSERT: &'static str;
    const INSERT_MANY: &'static str;
    const INSERT_ALL: &'static str;
    const INSERT_EACH: &'static str;
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Bug {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    title: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    status: String,
    #[prost(int32, tag = "5")]
    priority: i32,
    #[prost(string, tag = "6")]
    assigned_to: String,
    #[prost(string, repeated, tag = "7")]
    tags: Vec<String>,
    #[prost(int64, tag = "8")]
    created_at_ms: i64,
    #[prost(bool, tag = "9")]
    is_archived: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Flight {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(int32, tag = "2")]
    year: i32,
    #[prost(int32, tag = "3")]
    month: i32,
    #[prost(int32, tag = "4")]
    day: i32,
    #[prost(int32, optional, tag = "5")]
    dep_time: Option<i32>,
    #[prost(int32, tag = "6")]
    sched_dep_time: i32,
    #[prost(sint32, optional, tag = "7")]
    dep_delay: Option<i32>,
    #[prost(int32, optional, tag = "8")]
    arr_time: Option<i32>,
    #[prost(int32, tag = "9")]
    sched_arr_time: i32,
    #[prost(sint32, optional, tag = "10")]
    arr_delay: Option<i32>,
    #[prost(string, tag = "11")]
    carrier: String,
    #[prost(int32, tag = "12")]
    flight: i32,
    #[prost(string, optional, tag = "13")]
    tailnum: Option<String>,
    #[prost(string, tag = "14")]
    origin: String,
    #[prost(string, tag = "15")]
    dest: String,
    #[prost(int32, optional, tag = "16")]
    air_time: Option<i32>,
    #[prost(int32, tag = "17")]
    distance: i32,
    #[prost(int32, tag = "18")]
    hour: i32,
    #[prost(int32, tag = "19")]
    minute: i32,
    #[prost(int64, tag = "20")]
    time_hour_ms: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Insert<K: Kind> {
    #[prost(message, optional, tag = "1")]
    pub record: Option<K>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct InsertMany<K: Kind> {
    #[prost(message, repeated, tag = "1")]
    pub records: Vec<K>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Inserted {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Acknowledged {
    #[prost(uint64, tag = "1")]
    pub number: u64,
}

impl Kind for Bug {
    const INSERT: &'static str = "/peers.v1.Bugs/Insert";
    const INSERT_MANY: &'static str = "/peers.v1.Bugs/InsertMany";
    const INSERT_ALL: &'static str = "/peers.v1.Bugs/InsertAll";
    const INSERT_EACH: &'static str = "/peers.v1.Bugs/InsertEach";
}

impl Kind for Flight {
    const INSERT: &'static str = "/peers.v1.Flights/Insert";
    const INSERT_MANY: &'static str = "/peers.v1.Flights/InsertMany";
    const INSERT_ALL: &'static str = "/peers.v1.Flights/InsertAll";
    const INSERT_EACH: &'static str = "/peers.v1.Flights/InsertEach";
}

impl From<&Record> for Bug {
    fn from(record: &Record) -> Self {
        let of = Fields(record);
        let tags = match record.get("tags") {
            Some(Value::Array(tags)) => tags.iter().map(text_of).collect(),
            other => panic!("tags: {other:?}"),
        };
        Self {
            id: of.id(),
            title: of.text("title"),
            description: of.text("description"),
            status: of.text("status"),
            priority: of.int("priority"),
            assigned_to: of.text("assignedTo"),
            tags,
            created_at_ms: of.millis("createdAt"),
            is_archived: record.get("isArchived") == Some(&Value::Bool(true)),
        }
    }
}

impl From<&Record> for Flight {
    fn from(record: &Record) -> Self {
        let of = Fields(record);
        Self {
            id: of.id(),
            year: of.int("year"),
            month: of.int("month"),
            day: of.int("day"),
            dep_time: of.known("dep_time").then(|| of.int("dep_time")),
            sched_dep_time: of.int("sched_dep_time"),
            dep_delay: of.known("dep_delay").then(|| of.int("dep_delay")),
            arr_time: of.known("arr_time").then(|| of.int("arr_time")),
            sched_arr_time: of.int("sched_arr_time"),
            arr_delay: of.known("arr_delay").then(|| of.int("arr_delay")),
            carrier: of.text("carrier"),
            flight: of.int("flight"),
            tailnum: of.known("tailnum").then(|| of.text("tailnum")),
            origin: of.text("origin"),
            dest: of.text("dest"),
            air_time: of.known("air_time").then(|| of.int("air_time")),
            distance: of.int("distance"),
            hour: of.int("hour"),
            minute: of.int("minute"),
            time_hour_ms: of.millis("time_hour"),
        }
    }
}

/// Fields by their names. A record of another kind is a defect of this program.
struct Fields<'a>(&'a Record);

impl Fields<'_> {
    fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn known(&self, name: &str) -> bool {
        *self.get(name) != Value::Null
    }

    fn id(&self) -> Vec<u8> {
        match self.get("id") {
            Value::Uuid(id) => id.as_bytes().to_vec(),
            other => panic!("id: {other:?}"),
        }
    }

    fn text(&self, name: &str) -> String {
        text_of(self.get(name))
    }

    fn int(&self, name: &str) -> i32 {
        match self.get(name) {
            Value::Int(value) => i32::try_from(*value).expect("small"),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn millis(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Date(date) => unix_millis(*date),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}
