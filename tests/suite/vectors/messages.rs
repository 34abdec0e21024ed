//! Payloads of every type, both ways.

use blazedb::wire::Message;

use super::describe::{describe, subject};
use super::for_each;

#[test]
fn messages() {
    for_each("messages.json", 430, |case| {
        let (name, hex) = (case.name.clone(), case.bytes("hex"));
        let message_type = case.number("type") as u8;
        let read = Message::decode_extended(message_type, &hex);
        if case.is_refused() {
            let error = read.map(|(message, _)| panic!("{name}: {message:?}")).unwrap_err();
            assert_eq!(error.code().name(), case.text("code"), "{name}");
            if let Some(offset) = case.optional("offset") {
                assert_eq!(offset, error.offset, "{name}");
            }
            let (scope, id) = subject(error.subject);
            assert_eq!((scope.to_owned(), id.to_string()), (case.text("scope"), case.text("id")), "{name}");
            return;
        }
        let (message, extension) = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(describe(&message, &extension), case.take("message"), "{name}");
        assert_eq!(message.message_type() as u8, message_type, "{name}");
        let mut written = Vec::new();
        message.encode(&mut written);
        extension.append_to(&mut written);
        assert!(written == hex, "{name}: written otherwise");
        assert!(Message::decode(message_type, &hex).is_ok(), "{name}: with the extension dropped");
    });
}
