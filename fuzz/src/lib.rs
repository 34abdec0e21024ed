//! What every target shares: libFuzzer around a body, and the bound of memory.

pub mod canary;

use cap::Cap;
use std::alloc::System;

#[doc(hidden)]
pub use libfuzzer_sys;

/// Bytes that a target may hold at once. The largest honest holder is a connection, whose bound is some 6 MiB, beside two
/// copies of a segment of 64 KiB or a payload decompressed to 4 MiB; an input that declares gigabytes is refused the
/// first allocation that believes it.
const MAX_HEAP_BYTES: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MAX_HEAP_BYTES);

/// Makes a program of libFuzzer's of a body.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));
    };
}
