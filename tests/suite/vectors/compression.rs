//! Compressed payloads.

use blazedb::wire::{compress, decompress};

use super::for_each;

#[test]
fn compressed_payloads() {
    for_each("compression.json", 40, |case| {
        let (name, hex) = (case.name.clone(), case.bytes("hex"));
        let mut plain = Vec::new();
        let read = decompress(&hex, &mut plain);
        if case.is_refused() {
            assert_eq!(case.text("code"), "bad_compression", "{name}");
            assert!(read.is_err(), "{name}: becomes {} bytes", plain.len());
            return;
        }
        let expected = case.bytes("plain");
        assert!(read.is_err() || plain == expected, "{name}: becomes something else");
        assert!(read.is_ok() || !case.is_valid(), "{name}: {read:?}");
        let mut ours = Vec::new();
        if compress(&expected, &mut ours) {
            decompress(&ours, &mut plain).unwrap();
            assert!(plain == expected, "{name}: what we write becomes something else");
        }
    });
}
