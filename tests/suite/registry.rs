//! What `spec/registry.md` gives out is what the crate knows: types, numbers, limits.

use blazedb::blazebinary::limits as encoding;
use blazedb::engine::limits as engine;
use blazedb::proto::limits as proto;
use blazedb::wire::message::AckLevel;
use blazedb::wire::{ErrorCode, Flags, Lane, MAX_NAME_BYTES, MessageType, limits as wire};

const DOCUMENT: &str = include_str!("../../spec/registry.md");

/// The rows of the tables below a heading, as trimmed cells, without heads and rules.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(&format!("## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|row| row.split(" | ").map(str::trim).collect()).skip(1).collect()
}

/// `20`, or `23–2F`.
fn bytes(range: &str) -> std::ops::RangeInclusive<u8> {
    let (first, last) = range.split_once('–').unwrap_or((range, range));
    let byte = |text| u8::from_str_radix(text, 16).unwrap();
    byte(first)..=byte(last)
}

#[test]
fn each_message_type_is_there_once() {
    let mut next = 0_u16;
    for row in rows("R-3 Message types") {
        let range = bytes(row[0]);
        assert_eq!(u16::from(*range.start()), next, "{row:?}");
        next = u16::from(*range.end()) + 1;
        let name = row[1].split(',').next().unwrap();
        let is_given = name.starts_with(|first: char| first.is_ascii_uppercase());
        for byte in range {
            let known = MessageType::from_byte(byte).map(|found| format!("{found:?}"));
            assert_eq!(known.as_deref(), is_given.then_some(name), "{byte:02x}");
            let is_of_files = (0x20..=0x2F).contains(&byte);
            assert_eq!(row[2] == "never sent", is_of_files, "{byte:02x}");
        }
    }
    assert_eq!(next, 0x100);
}

#[test]
fn flags_levels_and_lanes_are_the_crates() {
    let flags = [
        ("compressed", Flags::COMPRESSED),
        ("encrypted", Flags::ENCRYPTED),
        ("requires ack", Flags::REQUIRES_ACK),
    ];
    for (row, (name, flag)) in rows("R-4 Flags").iter().zip(flags) {
        assert_eq!((row[1], 1 << row[0].parse::<u8>().unwrap()), (name, flag.byte()));
    }
    for bit in 0..8 {
        assert_eq!(Flags::from_byte(1 << bit).is_some(), bit < 3, "bit {bit}");
    }
    for byte in 0..=u8::MAX {
        assert_eq!(AckLevel::from_byte(byte).is_some(), byte <= 2);
        assert_eq!(Lane::from_byte(byte).is_some(), byte <= 1);
    }
    let capabilities: Vec<_> =
        rows("R-5 Capabilities and keys of extensions").iter().map(|row| row[0]).collect();
    assert_eq!(capabilities, [format!("`{}`", blazedb::proto::LZ4)]);
}

#[test]
fn every_code_lies_in_a_range_and_every_code_named_exists() {
    let ranges: Vec<(u16, u16)> = rows("R-6 Error codes")
        .iter()
        .filter(|row| row[0] != "0" && row[1] != "reserved")
        .map(|row| row[0].split_once('–').unwrap())
        .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
        .collect();
    assert_eq!(ranges.len(), 6);
    for code in ErrorCode::ALL {
        assert!(ranges.iter().any(|(first, last)| (*first..=*last).contains(&code.number())), "{code:?}");
    }
    // What is no code and has an underscore.
    let others = ["_", "retry_after_ms"];
    let named = DOCUMENT.split('`').skip(1).step_by(2).filter(|word| word.contains('_'));
    let mut checked = 0;
    for name in named.filter(|name| !others.contains(name)) {
        assert!(ErrorCode::ALL.iter().any(|code| code.name() == name), "{name}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

/// The first number of a cell: `2,097,152 bytes`.
fn number(cell: &str) -> u64 {
    let digits =
        cell.split(|c: char| !c.is_ascii_digit() && c != ',').find(|part| !part.trim_matches(',').is_empty());
    digits.unwrap_or_else(|| panic!("{cell}")).replace(',', "").parse().unwrap()
}

#[test]
fn limits_are_those_of_the_crate() {
    let expected: Vec<(&str, u64)> = vec![
        ("payload, plain or compressed", wire::MAX_PAYLOAD_BYTES as u64),
        ("payload before the Welcome", wire::MAX_HANDSHAKE_PAYLOAD_BYTES as u64),
        ("record", wire::MAX_RECORD_BYTES as u64),
        ("containers inside one another", encoding::MAX_NESTING as u64),
        ("items, entries, bytes of a key", encoding::MAX_ENTRIES as u64),
        ("operations, groups, rows, changes, ids of one frame", u64::from(u16::MAX)),
        ("agent", wire::MAX_AGENT_BYTES as u64),
        ("message of an Error or Goodbye", wire::MAX_TEXT_BYTES as u64),
        ("capabilities; bytes of a name", wire::MAX_CAPABILITIES as u64),
        ("name of a database, of a collection", MAX_NAME_BYTES as u64),
        ("operations not acknowledged as durable", u64::from(wire::MAX_OPERATION_WINDOW)),
        ("remembered outcomes of a node", engine::OUTCOMES_KEPT),
        ("heartbeat", proto::MIN_HEARTBEAT.as_secs()),
        ("handshake", proto::HANDSHAKE_DEADLINE.as_secs()),
        ("stall, drain", proto::STALL_DEADLINE.as_secs()),
        ("progress that counts as heard", proto::PROGRESS_BYTES as u64),
        ("control", proto::CONTROL_BURST),
        ("plain bytes a compressed one stands for", wire::MAX_COMPRESSION_RATIO as u64),
        ("frame of rows or changes, when it is closed", wire::BULK_PAYLOAD_BYTES as u64),
        ("work window", proto::DEFAULT_WORK_FRAMES),
        ("requests at once", u64::from(proto::DEFAULT_REQUEST_LIMIT)),
        ("cancelled requests", proto::CANCEL_BURST),
        ("a transaction, with envelopes", engine::MAX_TRANSACTION_BYTES as u64 >> 20),
        ("nodes that are remembered", engine::MAX_NODES as u64),
        ("collections of a database", engine::MAX_COLLECTIONS as u64),
        ("age of an answer", engine::MAX_SNAPSHOT_AGE.as_secs()),
        ("wait for a position", blazedb::service::limits::POSITION_PATIENCE.as_secs()),
        ("connections", blazedb::server::limits::MAX_CONNECTIONS as u64),
    ];
    let rows = rows("R-8 Limits");
    for (name, limit) in &expected {
        let row = rows.iter().find(|row| row[0] == *name).unwrap_or_else(|| panic!("{name} is not there"));
        assert_eq!(number(row[1]), *limit, "{name}");
    }
    let unchecked: Vec<_> = rows
        .iter()
        .map(|row| row[0])
        .filter(|name| !expected.iter().any(|(known, _)| known == name))
        .collect();
    assert_eq!(unchecked, ["silence", "changes held for mode all"]);
    assert!(blazedb::server::limits::DEFAULT_LISTEN.ends_with(":25293") && DOCUMENT.contains("| 25293 "));
}
