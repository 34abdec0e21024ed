//! Captures against the example of `spec/capture.md`, cut and changed at every place, and every rule of K-2.

use super::*;

const DOCUMENT: &str = include_str!("../../../spec/capture.md");

/// The bytes of the example, which zlib's CRCs are in.
fn example() -> Vec<u8> {
    let lines = DOCUMENT.split("```\n").nth(1).unwrap().lines();
    let digits: String = lines.flat_map(|line| line[7..].split_whitespace()).collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}

fn header() -> CaptureHeader {
    CaptureHeader {
        started_us: 1_700_000_000_000_000,
        target: "127.0.0.1:25293".to_owned(),
        agent: "doc/1".to_owned(),
    }
}

type Entry = (u64, u32, Happening<'static>);

const ENTRIES: [Entry; 5] = [
    (1_000, 1, Happening::Opened("127.0.0.1:40000")),
    (1_500, 1, Happening::Bytes(Side::Client, b"Hi")),
    (2_000, 1, Happening::Ended(Side::Client, "")),
    (2_100, 1, Happening::Ended(Side::Server, "")),
    (2_100, 1, Happening::Closed("")),
];

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = CaptureWriter::begin(&header(), &mut out);
    for &(elapsed_us, connection, happening) in entries {
        writer.entry(&CaptureEntry { elapsed_us, connection, happening }, &mut out);
    }
    out
}

/// How many entries can be read, and how it ends.
fn read(capture: &[u8]) -> (usize, Result<(), CaptureError>) {
    let mut reader = match CaptureReader::begin(capture) {
        Ok((_, reader)) => reader,
        Err(error) => return (0, Err(error)),
    };
    let mut count = 0;
    loop {
        match reader.next_entry() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
    }
}

#[test]
fn a_capture_is_the_bytes_of_the_specification() {
    assert_eq!(written(&ENTRIES), example());
    let example = example();
    let (found, mut reader) = CaptureReader::begin(example.as_slice()).unwrap();
    assert_eq!(found, header());
    for (elapsed_us, connection, happening) in ENTRIES {
        let entry = CaptureEntry { elapsed_us, connection, happening };
        assert_eq!(reader.next_entry().unwrap(), Some(entry));
    }
    assert_eq!(reader.next_entry().unwrap(), None);
    assert_eq!(reader.next_entry().unwrap(), None);
}

/// Where the frames of the example end.
fn ends() -> Vec<usize> {
    let mut ends = Vec::new();
    for count in 0..=ENTRIES.len() {
        ends.push(written(&ENTRIES[..count]).len());
    }
    ends
}

#[test]
fn whatever_is_cut_off_all_whole_entries_count() {
    let (example, ends) = (example(), ends());
    for length in 0..=example.len() {
        let whole = ends.iter().filter(|end| **end <= length).count();
        let (count, outcome) = read(&example[..length]);
        assert_eq!(count, whole.saturating_sub(1), "{length}");
        match outcome {
            Ok(()) => assert!(ends.contains(&length), "{length}"),
            Err(CaptureError::Torn { offset, bytes }) => {
                assert_eq!(offset + bytes, length as u64);
                assert!(offset == 0 || ends.contains(&(offset as usize)));
            }
            Err(CaptureError::Damaged { why, .. }) => assert_eq!((why, length), ("it is empty", 0)),
            Err(other) => panic!("{length}: {other}"),
        }
    }
}

#[test]
fn every_changed_bit_is_noticed_where_it_is() {
    let (example, ends) = (example(), ends());
    for bit in 0..example.len() * 8 {
        let mut changed = example.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let before = ends.iter().filter(|end| **end <= bit / 8).count();
        let (count, outcome) = read(&changed);
        assert_eq!(count, before.saturating_sub(1), "bit {bit}");
        match outcome.unwrap_err() {
            CaptureError::Damaged { offset, .. } | CaptureError::Torn { offset, .. } => {
                let begins = before.checked_sub(1).map_or(0, |at| ends[at]);
                assert_eq!(offset, begins as u64, "bit {bit}");
            }
            other => panic!("bit {bit}: {other}"),
        }
    }
}

/// Whole frames that do not belong together are told by the chain, whatever their sequences are.
#[test]
fn frames_of_another_capture_are_none_of_this_one() {
    let ends = ends();
    let mut other = ENTRIES;
    other[1].2 = Happening::Bytes(Side::Client, b"Ho");
    let (one, other) = (written(&ENTRIES), written(&other));
    let mixed = [&one[..ends[2]], &other[ends[2]..]].concat();
    let (count, outcome) = read(&mixed);
    assert_eq!(count, 2);
    assert!(outcome.unwrap_err().to_string().contains("its chain is not that of what stands before it"));
    let missing = [&one[..ends[1]], &one[ends[2]..]].concat();
    assert!(read(&missing).1.unwrap_err().to_string().contains("no entry with the sequence that follows"));
}

#[test]
fn what_does_not_follow_is_damage() {
    let opened = (1, 1, Happening::Opened("a"));
    let bytes = |side| (1, 1, Happening::Bytes(side, b"x"));
    let ended = |side| (1, 1, Happening::Ended(side, ""));
    let closed = (1, 1, Happening::Closed(""));
    for wrong in [
        vec![bytes(Side::Client)],
        vec![(1, 2, Happening::Opened("a"))],
        vec![opened, opened],
        vec![opened, ended(Side::Client), bytes(Side::Client)],
        vec![opened, ended(Side::Server), ended(Side::Server)],
        vec![opened, closed, bytes(Side::Server)],
        vec![opened, closed, (1, 1, Happening::Opened("a"))],
        vec![opened, closed, (1, 3, Happening::Opened("a"))],
    ] {
        let (count, outcome) = read(&written(&wrong));
        assert_eq!(count, wrong.len() - 1, "{wrong:?}");
        assert!(outcome.unwrap_err().to_string().contains("does not follow"), "{wrong:?}");
    }
    let half = [opened, ended(Side::Client), bytes(Side::Server), ended(Side::Server), closed];
    assert!(matches!(read(&written(&half)), (5, Ok(()))));
    let too_many: Vec<Entry> = (1..=1_025).map(|number| (1, number, Happening::Opened("a"))).collect();
    assert!(matches!(read(&written(&too_many)), (1_024, Err(CaptureError::Damaged { .. }))));
}

#[test]
fn long_contents_are_several_entries_and_long_texts_are_cut() {
    let long = vec![7; 2 * MAX_PIECE_BYTES + 1];
    let long: &'static [u8] = Vec::leak(long);
    let text: &'static str = String::leak("é".repeat(600));
    let capture = written(&[(1, 1, Happening::Opened(text)), (2, 1, Happening::Bytes(Side::Server, long))]);
    let (_, mut reader) = CaptureReader::begin(capture.as_slice()).unwrap();
    let opened = reader.next_entry().unwrap().unwrap();
    assert_eq!(opened.happening, Happening::Opened(&text[..1_024]));
    let mut lengths = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let Happening::Bytes(Side::Server, bytes) = entry.happening else { panic!("{entry:?}") };
        lengths.push(bytes.len());
    }
    assert_eq!(lengths, [65_536, 65_536, 1]);
}

#[test]
fn a_later_format_is_refused_by_name_and_other_files_are_none() {
    let mut payload = example()[15..15 + 34].to_vec();
    payload[1] = 2;
    let mut later = Vec::new();
    push_frame(MessageType::CaptureHeader, 0, &payload, &mut later);
    assert!(matches!(read(&later).1, Err(CaptureError::Newer(2))));
    payload[1] = 1;
    payload.push(0);
    let mut longer = Vec::new();
    push_frame(MessageType::CaptureHeader, 0, &payload, &mut longer);
    assert!(read(&longer).1.unwrap_err().to_string().contains("a header with a wrong field"));
    let mut log = Vec::new();
    push_frame(MessageType::SegmentHeader, 0, &payload, &mut log);
    assert!(read(&log).1.unwrap_err().to_string().contains("no header of a capture"));
    assert!(read(b"GET / HTTP/1.1\r\n\r\n").1.unwrap_err().to_string().contains("no frame"));
}

#[test]
fn a_declared_length_takes_no_memory() {
    let mut capture = example()[..15].to_vec();
    capture[8] = 0x1F;
    let used =
        allocation_counter::measure(|| assert!(matches!(read(&capture).1, Err(CaptureError::Torn { .. }))));
    assert!(used.bytes_max < 4_096, "{} bytes", used.bytes_max);
}
