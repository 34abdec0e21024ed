//! A body with a planted bug, which a run must find or the fuzzing itself is broken.

use blazedb::wire::header::{HEADER_BYTES, Header};

/// What the header must announce, in bytes.
const LENGTH: u32 = 0x0016_2B1E;
/// What must stand behind it.
const NUMBER: u64 = 0x3F1E_2D3C_4B5A_6978;

/// Breaks on a frame's header that announces a certain length, with a certain number behind it.
///
/// To get there the whole way must work: seeds or dictionary (chance does not make a header), the counters in the
/// library's code and here (a right length is kept though nothing breaks yet), the tables of comparisons (96 bits are
/// not guessed).
///
/// # Panics
/// On that input.
pub fn canary(data: &[u8]) {
    let Some((header, behind)) = data.split_first_chunk::<HEADER_BYTES>() else { return };
    let Ok(header) = Header::parse(header) else { return };
    if header.payload_bytes != LENGTH {
        return;
    }
    let Some((number, _)) = behind.split_first_chunk() else { return };
    assert!(u64::from_be_bytes(*number) != NUMBER, "the planted bug");
}
