//! Hellos, field by field: what a server takes, and by which code it refuses.

use crate::conformance::case::cases;
use crate::conformance::failure::{Verdict, ensure, same};
use crate::conformance::fields::{Fields, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::id;
use crate::conformance::peer::Peer;
use crate::conformance::target::Target;
use crate::wire::ErrorCode;

cases! { Target:
    "hello.kind" "A Handshake of a kind that is none is invalid_field" "P-4.1 P-3.4" Nothing kind_byte;
    "hello.welcome" "A Welcome from a client is unexpected_message" "P-2.9 C-2.1" Nothing welcome_from_client;
    "hello.versions" "A range of versions that holds 1 is welcome, and version 1 is spoken" "P-4.1 C-2.3" Nothing versions;
    "hello.versions.others" "A range without version 1 is unsupported_version" "C-2.3" Nothing other_versions;
    "hello.versions.wrong" "A range that begins at 0 or ends before it begins is invalid_field" "P-4.1 P-3.4" Nothing wrong_versions;
    "hello.numbers" "Numbers of operations are at least 1, the oldest is at most the next" "P-4.1 P-3.4" Nothing numbers;
    "hello.heartbeat" "The heartbeat is the proposal, clamped to 5 to 60 s" "C-2.4 P-4.1" Nothing heartbeat;
    "hello.database.unknown" "A database that is not there is unknown_database" "C-2.7 S-2.1" Nothing unknown_database;
    "hello.database.name" "A database whose name breaks the rules is invalid_name" "P-1.8" Nothing database_name;
    "hello.database.type" "A database that is no canonical str is invalid_value" "P-1.2" Nothing database_type;
    "hello.agent" "An agent has at most 128 bytes" "P-3.6" Nothing agent;
    "hello.agent.type" "An agent that is no canonical str is invalid_value" "P-1.2" Nothing agent_type;
    "hello.node" "A node is a uuid or null" "P-4.1 P-1.2" Nothing node_type;
    "hello.capabilities.limits" "At most 64 capabilities of at most 32 bytes" "P-3.6" Nothing capability_limits;
    "hello.capabilities.order" "Capabilities are strings, sorted, each once" "P-1.9 P-3.4 P-1.2" Nothing capability_order;
    "hello.truncated" "A Hello that is cut off at any byte is truncated" "P-3.4 P-3.5" Nothing truncated;
    "hello.trailing" "Bytes behind a Hello that are no extension are trailing_bytes" "P-3.2" Nothing trailing;
    "hello.extension" "An extension's keys that are not known are ignored" "P-3.3" Nothing extension;
    "hello.extension.must" "An extension with a key that begins with ! is unsupported_extension" "P-3.3" Nothing must_understand;
    "hello.first-fault" "Of several faults that of the first field is told" "P-3.7" Nothing first_fault;
}

fn hello(target: &Target) -> Hello {
    Hello::new(target.url.database())
}

async fn refused(target: &Target, hello: &Hello, code: ErrorCode, what: &str) -> Verdict {
    let mut peer = Peer::introduce(target, hello).await?;
    peer.ends_by(code).await.map_err(|failure| failure.within(what))
}

async fn kind_byte(target: Target) -> Verdict {
    for kind in [0, 3, 4, 0x42, 255] {
        let wrong = Hello { kind, ..hello(&target) };
        refused(&target, &wrong, ErrorCode::InvalidField, &format!("kind {kind}")).await?;
    }
    Ok(())
}

async fn welcome_from_client(target: Target) -> Verdict {
    let head = Fields::new().u8(2).u8(1).u64(0).u16(1024).u32(15_000).u64(1).u64(1).u64(0).u64(0).u16(1);
    let named = head.u64(0).bytes(&[0; 16]).uuid(Some(id(1))).uuid(Some(id(2))).str("x").strs(&[]);
    let mut peer = Peer::dial(&target).await?;
    peer.send(kind::HANDSHAKE, &named.done()).await?;
    peer.ends_by(ErrorCode::UnexpectedMessage).await
}

async fn versions(target: Target) -> Verdict {
    for versions in [(1, 1), (1, 2), (1, 255)] {
        let peer = Peer::greet(&target, &Hello { versions, ..hello(&target) }).await?;
        same("the version of the Welcome", &peer.greeting()?.version, &1)?;
    }
    Ok(())
}

async fn other_versions(target: Target) -> Verdict {
    for versions in [(2, 2), (2, 255), (255, 255)] {
        let other = Hello { versions, ..hello(&target) };
        refused(&target, &other, ErrorCode::UnsupportedVersion, &format!("versions {versions:?}")).await?;
    }
    Ok(())
}

async fn wrong_versions(target: Target) -> Verdict {
    for versions in [(0, 1), (0, 0), (2, 1), (255, 1)] {
        let wrong = Hello { versions, ..hello(&target) };
        refused(&target, &wrong, ErrorCode::InvalidField, &format!("versions {versions:?}")).await?;
    }
    Ok(())
}

async fn numbers(target: Target) -> Verdict {
    for (next_operation, oldest_unacked) in [(0, 0), (0, 1), (1, 0), (1, 2), (5, u64::MAX)] {
        let wrong = Hello { next_operation, oldest_unacked, ..hello(&target) };
        let what = format!("next {next_operation}, oldest {oldest_unacked}");
        refused(&target, &wrong, ErrorCode::InvalidField, &what).await?;
    }
    Ok(())
}

async fn heartbeat(target: Target) -> Verdict {
    for (proposed, expected) in [
        (0, 5_000),
        (4_999, 5_000),
        (5_000, 5_000),
        (15_000, 15_000),
        (60_000, 60_000),
        (60_001, 60_000),
        (u32::MAX, 60_000),
    ] {
        let peer = Peer::greet(&target, &Hello { heartbeat_ms: proposed, ..hello(&target) }).await?;
        same(format!("the heartbeat for {proposed}"), &peer.greeting()?.heartbeat_ms, &expected)?;
    }
    Ok(())
}

async fn unknown_database(target: Target) -> Verdict {
    let other = Hello::new("conformance-no-such-database");
    refused(&target, &other, ErrorCode::UnknownDatabase, "a name that nobody made").await
}

async fn database_name(target: Target) -> Verdict {
    let long = "a".repeat(65);
    for name in ["", "Main", "a b", "a/b", "é", "a.b", &long] {
        refused(&target, &Hello::new(name), ErrorCode::InvalidName, &format!("{name:?}")).await?;
    }
    // The longest name is one, whether or not there is such a database.
    refused(&target, &Hello::new(&"z".repeat(64)), ErrorCode::UnknownDatabase, "64 letters").await
}

/// Values that are no str, or not in canonical form.
fn no_strings() -> [Vec<u8>; 6] {
    let fields = Fields::new;
    [
        fields().null().done(),
        fields().u8(0x12).u8(5).done(),
        fields().strs(&["main"]).done(),
        // "main" in the form of long strings, the empty string likewise, and no UTF-8.
        fields().u8(0x01).u32(4).bytes(b"main").done(),
        fields().u8(0x01).u32(0).done(),
        fields().bytes(b"\x22\xC3\x28").done(),
    ]
}

async fn database_type(target: Target) -> Verdict {
    for database in no_strings() {
        let what = format!("{database:02x?}");
        refused(&target, &Hello { database, ..hello(&target) }, ErrorCode::InvalidValue, &what).await?;
    }
    Ok(())
}

async fn agent_type(target: Target) -> Verdict {
    for agent in no_strings() {
        let what = format!("{agent:02x?}");
        refused(&target, &Hello { agent, ..hello(&target) }, ErrorCode::InvalidValue, &what).await?;
    }
    Ok(())
}

async fn agent(target: Target) -> Verdict {
    for length in [0, 15, 16, 128] {
        let agent = Fields::new().str(&"a".repeat(length)).done();
        Peer::greet(&target, &Hello { agent, ..hello(&target) }).await?;
    }
    let agent = Fields::new().str(&"a".repeat(129)).done();
    refused(&target, &Hello { agent, ..hello(&target) }, ErrorCode::InvalidField, "129 bytes").await
}

async fn node_type(target: Target) -> Verdict {
    let fields = Fields::new;
    let textual = fields().str("018f3c7a-5b2d-7c4e-9a1b-2c3d4e5f6071").done();
    for node in [fields().u8(0x12).u8(1).done(), textual, fields().u8(0x04).u8(0).done()] {
        let what = format!("{node:02x?}");
        refused(&target, &Hello { node, ..hello(&target) }, ErrorCode::InvalidValue, &what).await?;
    }
    Ok(())
}

async fn capability_limits(target: Target) -> Verdict {
    let names = |count: usize| (10..count.saturating_add(10)).map(|n| format!("x{n}")).collect::<Vec<_>>();
    let with = |names: &[String]| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        hello(&target).with(&names)
    };
    Peer::greet(&target, &with(&names(64))).await?;
    refused(&target, &with(&names(65)), ErrorCode::InvalidField, "65 capabilities").await?;
    Peer::greet(&target, &with(&["c".repeat(32)])).await?;
    refused(&target, &with(&["c".repeat(33)]), ErrorCode::InvalidField, "a name of 33 bytes").await
}

async fn capability_order(target: Target) -> Verdict {
    for names in [["b", "a"], ["a", "a"], ["lz4", "LZ4"]] {
        let wrong = hello(&target).with(&names);
        refused(&target, &wrong, ErrorCode::InvalidField, &format!("{names:?}")).await?;
    }
    let fields = Fields::new;
    for capabilities in [
        fields().null().done(),
        fields().str("lz4").done(),
        fields().u8(0x08).u16(1).u8(0x12).u8(1).done(),
        // An array of nothing has a form of its own.
        fields().u8(0x08).u16(0).done(),
    ] {
        let what = format!("{capabilities:02x?}");
        refused(&target, &Hello { capabilities, ..hello(&target) }, ErrorCode::InvalidValue, &what).await?;
    }
    Ok(())
}

async fn truncated(target: Target) -> Verdict {
    let whole = hello(&target).with(&["lz4"]).of(id(1), 1, 1).payload();
    for length in 0..whole.len() {
        let mut peer = Peer::dial(&target).await?;
        peer.send(kind::HANDSHAKE, whole.get(..length).unwrap_or_default()).await?;
        let ended = peer.ends_by(ErrorCode::Truncated).await;
        ended.map_err(|failure| failure.within(format_args!("{length} of {} bytes", whole.len())))?;
    }
    Ok(())
}

async fn trailing(target: Target) -> Verdict {
    let fields = Fields::new;
    for extension in [
        vec![0],
        fields().null().done(),
        fields().str("more").done(),
        // A dict of nothing is none, and two are one too many.
        vec![0x19],
        fields().dict("a", 1).dict("b", 2).done(),
        fields().dict("a", 1).u8(0).done(),
    ] {
        let what = format!("{extension:02x?}");
        refused(&target, &Hello { extension, ..hello(&target) }, ErrorCode::TrailingBytes, &what).await?;
    }
    Ok(())
}

async fn extension(target: Target) -> Verdict {
    for key in ["a", "later", "~", "a!"] {
        let extension = Fields::new().dict(key, 1).done();
        Peer::greet(&target, &Hello { extension, ..hello(&target) }).await?.is_alive().await?;
    }
    Ok(())
}

async fn must_understand(target: Target) -> Verdict {
    for key in ["!", "!later"] {
        let extension = Fields::new().dict(key, 1).done();
        let what = format!("the key {key}");
        refused(&target, &Hello { extension, ..hello(&target) }, ErrorCode::UnsupportedExtension, &what)
            .await?;
    }
    Ok(())
}

async fn first_fault(target: Target) -> Verdict {
    // The versions are at fault at offset 2, the numbers at 3, the name at 23.
    let wrong = Hello { versions: (2, 1), next_operation: 0, ..Hello::new("No Name") };
    let mut peer = Peer::introduce(&target, &wrong).await?;
    let complaint = peer
        .wait("the Error", |said| match said {
            crate::conformance::said::Said::Error(complaint) => Some(complaint.clone()),
            _ => None,
        })
        .await?;
    same("the code", &complaint.name(), &"invalid_field".to_owned())?;
    let offset = complaint.number("offset");
    ensure(offset.is_none_or(|offset| offset == 2), || format!("the offset is {offset:?}, must be 2"))
}
