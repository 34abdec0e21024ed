//! What a connection speaks, by its first bytes (`spec/doors.md`, D-2).

use crate::wire::header::MAGIC;

/// The content type of a TLS record that begins a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// Frames of the protocol; also what is nothing that is known here, since it is told so in the protocol's words.
    Blaze,
    /// A TLS handshake.
    Tls,
    /// An HTTP request.
    Http,
}

/// What begins with `first`; `None` while it may be more than one thing.
pub fn detect(first: &[u8]) -> Option<Speech> {
    if MAGIC.starts_with(first) {
        return (first.len() == MAGIC.len()).then_some(Speech::Blaze);
    }
    match first.first()? {
        _ if first.starts_with(&MAGIC) => Some(Speech::Blaze),
        &TLS_HANDSHAKE => Some(Speech::Tls),
        // The methods of HTTP are words in capitals, and none begins with BLAZE.
        b'A'..=b'Z' => Some(Speech::Http),
        _ => Some(Speech::Blaze),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_what_is_spoken() {
        for (first, found) in [
            (&b""[..], None),
            (b"B", None),
            (b"BLAZ", None),
            (b"BLAZE", Some(Speech::Blaze)),
            (b"BLAZE\x01\x01", Some(Speech::Blaze)),
            (b"\x16", Some(Speech::Tls)),
            (b"\x16\x03\x01", Some(Speech::Tls)),
            (b"G", Some(Speech::Http)),
            (b"BIND /", Some(Speech::Http)),
            (b"BLOB", Some(Speech::Http)),
            (b"PRI * HTTP/2.0", Some(Speech::Http)),
            (b"get /", Some(Speech::Blaze)),
            (b"\0", Some(Speech::Blaze)),
            (b"\x80\x2e", Some(Speech::Blaze)),
        ] {
            assert_eq!(detect(first), found, "{first:?}");
        }
    }

    /// More bytes never change what was found.
    #[test]
    fn what_was_found_stays() {
        for bytes in
            [&b"BLAZE\x01"[..], b"GET / HTTP/1.1", b"\x16\x03\x01\x02\0", b"BLAZER", b"BLAAAAA", b"~"]
        {
            let mut found = None;
            for end in 0..=bytes.len() {
                let now = detect(&bytes[..end]);
                assert!(found.is_none() || now == found, "{bytes:?} {end}");
                found = now;
            }
            assert!(found.is_some());
        }
    }
}
