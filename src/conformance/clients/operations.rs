//! Operations of a client: what is sent, when it is told, and that it happens once.

use std::time::Duration;

use super::driver::Answer;
use super::host::{Heard, Host, Welcome, ack, at};
use super::play::{Play, Stage};
use super::rules::Memory;
use crate::blazebinary::{Layout, Record, Value, json};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, kind};
use crate::conformance::items::{Item, encoded, id, operation};
use crate::wire::ErrorCode;

cases! { Stage:
    "client.operation.put" "A put is one upsert of the record's canonical bytes, told when it is durable" "P-4.2 B-6.1 C-5.6" Nothing put;
    "client.operation.kinds" "Insert, patch and delete are what they say" "P-4.2 P-1.9" Nothing kinds;
    "client.operation.batch" "A batch is one Operation, its items in order" "P-4.2 E-1.1" Nothing batch;
    "client.operation.types" "Values of every type are encoded as they are, none becomes another" "B-3.1 P-1.6" Nothing types;
    "client.operation.accepted" "An Ack of level accepted is no outcome of a durable operation" "C-5.6" Nothing accepted;
    "client.operation.refused" "A refusal is told with its code, once an Ack covers it" "C-5.6 P-8.1" Nothing refused;
    "client.operation.refused.unknown" "A code that the client does not know is told as its number" "P-4.7" Nothing unknown_code;
    "client.operation.many" "An Ack covers all before it, but for those that an Error named" "P-7.3 C-5.6" Nothing many;
    "client.operation.window" "The window of the Welcome is kept to" "C-5.2 P-7.2" Nothing window;
    "client.operation.window.accepted" "An Ack of level accepted does not move the window" "C-5.2" Nothing window_accepted;
    "client.operation.credit.frames" "A work lane of one frame is kept to, and goes on with Credit" "P-9.4 P-9.6" Nothing credit_frames;
    "client.operation.credit.bytes" "So is one of one byte" "P-9.4" Nothing credit_bytes;
    "client.resume.unsent" "An operation whose Ack was lost is sent again, byte for byte, by the same node, and told once" "C-10.1 C-5.7 P-7.5" Nothing lost_ack;
    "client.resume.refused" "An Error that no Ack covered is not final" "C-5.6 C-10.1" Nothing lost_refusal;
    "client.resume.accepted" "What was accepted and not durable is sent again" "C-5.7" Nothing accepted_lost;
    "client.resume.decided" "What is decided is sent again, too" "C-10.1" Nothing decided;
    "client.resume.part" "Of many only those without a durable Ack are sent again, in order, and new ones follow" "C-10.1 C-5.1 P-7.1" Nothing part;
    "client.resume.often" "A connection that is lost again and again loses and repeats nothing" "C-10.1 C-5.7" Nothing often;
    "client.resume.expired" "After identity_expired the client takes a new node, and the outcome is unknown" "C-10.2 C-2.6" Nothing expired;
    "client.ack.impossible" "An Ack of what was not sent is impossible_ack, and no outcome" "C-5.9 P-7.5" Nothing impossible;
    "client.ack.falling" "An Ack that goes back is impossible_ack" "C-5.9" Nothing falling;
    "client.ack.late-error" "An Error of an operation that an Ack covers is impossible_ack" "C-5.9" Nothing late_error;
}

/// A put of a record with this number, as a command.
fn put_command(number: u64) -> String {
    let uuid = id(number);
    format!(r#""do":"put","collection":"notes","record":{{"id":{{"$uuid":"{uuid}"}},"n":{number}}}"#)
}

/// The bytes of the same operation behind number and level.
fn put_body(number: u64) -> Vec<u8> {
    body(Item::Upsert(crate::conformance::items::plain(number)))
}

fn body(item: Item) -> Vec<u8> {
    operation(0, 1, &[("notes", vec![item])]).get(9..).unwrap_or_default().to_vec()
}

/// The next operation must be this.
async fn is_sent(host: &mut Host, memory: &mut Memory, number: u64, expected: &[u8]) -> Verdict {
    let (found, body) = host.operation(memory).await?;
    same("the number of the operation", &found, &number)?;
    ensure(body == expected, || format!("operation {number} is {body:02x?}, must be {expected:02x?}"))
}

async fn put(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(5))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(5)).await?;
    play.driver.is_unanswered(command, Duration::from_millis(150)).await?;
    host.ack(&mut play.memory, 1, at(42)).await?;
    let done = play.driver.done(command).await?;
    let position = done.get("position").cloned();
    let expected = Value::from("0000000100000000000000000000002a");
    ensure(position.is_none() || position.as_ref() == Some(&expected), || {
        format!("the position is {position:?}")
    })?;
    play.finish(host).await
}

async fn kinds(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let uuid = id(1);
    let set = encoded(&Record::from_iter([("a", Value::Int(1)), ("zz", Value::from("x"))]), Layout::V1);
    let record = format!(r#"{{"id":{{"$uuid":"{uuid}"}},"n":1}}"#);
    let commands = [
        (
            format!(r#""do":"insert","collection":"notes","record":{record}"#),
            Item::Insert(crate::conformance::items::plain(1)),
        ),
        (
            format!(
                r#""do":"patch","collection":"notes","uuid":"{uuid}","set":{{"zz":"x","a":1}},"unset":["d","c"]"#
            ),
            Item::Patch(uuid, vec!["c", "d"], set),
        ),
        (format!(r#""do":"delete","collection":"notes","uuid":"{uuid}""#), Item::Delete(uuid)),
    ];
    for (number, (command, item)) in (1_u64..).zip(commands) {
        let command = play.driver.tell(&command)?;
        is_sent(&mut host, &mut play.memory, number, &body(item)).await?;
        host.ack(&mut play.memory, number, at(number)).await?;
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

async fn batch(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (one, two) = (id(1), id(2));
    let command = play.driver.tell(&format!(
        r#""do":"batch","operations":[{{"op":"put","collection":"notes","record":{{"id":{{"$uuid":"{one}"}},"n":1}}}},{{"op":"insert","collection":"notes","record":{{"id":{{"$uuid":"{two}"}},"n":2}}}},{{"op":"delete","collection":"other","uuid":"{one}"}}]"#
    ))?;
    let plain = crate::conformance::items::plain;
    let first = ("notes", vec![Item::Upsert(plain(1)), Item::Insert(plain(2))]);
    let grouped = operation(0, 1, &[first, ("other", vec![Item::Delete(one)])]);
    let alone = [
        ("notes", vec![Item::Upsert(plain(1))]),
        ("notes", vec![Item::Insert(plain(2))]),
        ("other", vec![Item::Delete(one)]),
    ];
    let apart = operation(0, 1, &alone);
    let (_, found) = host.operation(&mut play.memory).await?;
    let fits = [grouped, apart].iter().any(|payload| payload.get(9..) == Some(&found));
    ensure(fits, || format!("the operation is {found:02x?}"))?;
    host.ack(&mut play.memory, 1, at(3)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

/// A record of every type, as typed JSON.
fn every_type() -> String {
    let uuid = id(9);
    format!(
        r#"{{"id":{{"$uuid":"{uuid}"}},"array":[1,"a",[]],"big":{{"$int":"9223372036854775807"}},"bool":true,"data":{{"$data":"AAEC/w=="}},"date":{{"$date":"2013-01-01T10:00:00.1Z"}},"dict":{{"k":{{}}}},"double":5.0,"empty":"","five":5,"inf":{{"$double":"-Infinity"}},"long":"0123456789abcdef","nan":{{"$double":"NaN"}},"neg":-1,"null":null,"uuid":{{"$uuid":"{uuid}"}},"vector":{{"$vector":[1.0,-2.5]}},"wide":{{"$int":"9007199254740993"}},"zero":-0.0}}"#
    )
}

async fn types(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let text = every_type();
    let record = json::read_record(&text)
        .map_err(|error| Failure::new(format_args!("the tester's record: {error}")))?;
    let bytes = encoded(&record, Layout::V1);
    let command = play.driver.tell(&format!(r#""do":"put","collection":"notes","record":{text}"#))?;
    is_sent(&mut host, &mut play.memory, 1, &body(Item::Upsert(bytes.clone()))).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.done(command).await?;
    let command = play.driver.tell(&format!(r#""do":"get","collection":"notes","uuids":["{}"]"#, id(9)))?;
    let (asked, _, _) = host.query(&mut play.memory).await?;
    host.answer(asked, &[(1, bytes)], true).await?;
    let done = play.driver.done(command).await?;
    let expected = json::read_value(&text)
        .map_err(|error| Failure::new(format_args!("the tester's record: {error}")))?;
    same("the records", &done.get("records").cloned(), &Some(Value::Array(vec![expected])))?;
    play.finish(host).await
}

async fn accepted(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.send(kind::ACK, &ack(0, 1, at(1))).await?;
    play.driver.is_unanswered(command, Duration::from_millis(300)).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn is_refused(stage: Stage, code: u16) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.refuse(1, code).await?;
    play.driver.is_unanswered(command, Duration::from_millis(150)).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.failed(command, "refused", code).await?;
    // A refusal leaves the connection as it was.
    let command = play.driver.tell(&put_command(2))?;
    is_sent(&mut host, &mut play.memory, 2, &put_body(2)).await?;
    host.ack(&mut play.memory, 2, at(2)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn refused(stage: Stage) -> Verdict {
    is_refused(stage, ErrorCode::AlreadyExists.number()).await
}

async fn unknown_code(stage: Stage) -> Verdict {
    is_refused(stage, 9_999).await
}

/// Tells puts of these numbers.
fn tell_puts(play: &mut Play, numbers: std::ops::RangeInclusive<u64>) -> Result<Vec<u64>, Failure> {
    numbers.map(|number| play.driver.tell(&put_command(number))).collect()
}

async fn many(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let commands = tell_puts(&mut play, 1..=50)?;
    for number in 1..=50 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    for number in [7, 20, 50] {
        host.refuse(number, ErrorCode::PreconditionFailed.number()).await?;
    }
    host.ack(&mut play.memory, 50, at(50)).await?;
    for (number, command) in (1_u64..).zip(commands) {
        if [7, 20, 50].contains(&number) {
            play.driver.failed(command, "refused", ErrorCode::PreconditionFailed.number()).await?;
        } else {
            play.driver.done(command).await?;
        }
    }
    play.finish(host).await
}

async fn window(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { window: 2, ..Welcome::new() }).await?;
    let commands = tell_puts(&mut play, 1..=9)?;
    for number in 1..=9_u64 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
        if number == 2 {
            host.is_quiet(&mut play.memory, Duration::from_millis(200)).await?;
        }
        if number >= 2 {
            host.ack(&mut play.memory, number.saturating_sub(1), at(number)).await?;
        }
    }
    host.ack(&mut play.memory, 9, at(9)).await?;
    for command in commands {
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

async fn window_accepted(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { window: 2, ..Welcome::new() }).await?;
    let commands = tell_puts(&mut play, 1..=4)?;
    for number in 1..=2 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    host.send(kind::ACK, &ack(0, 2, at(2))).await?;
    host.is_quiet(&mut play.memory, Duration::from_millis(200)).await?;
    host.ack(&mut play.memory, 2, at(2)).await?;
    for number in 3..=4 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    host.ack(&mut play.memory, 4, at(4)).await?;
    for command in commands {
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

/// Puts over a work lane that lets one frame through at a time, by its frames or by its bytes.
async fn little_credit(stage: Stage, by_frames: bool) -> Verdict {
    const PLENTY: u64 = 1 << 20;
    let limit = |sent: u64, bytes: u64| {
        if by_frames { (sent.saturating_add(1), PLENTY) } else { (PLENTY, bytes.saturating_add(1)) }
    };
    let (mut play, mut host) = stage.begin(&Welcome { work: limit(0, 0), ..Welcome::new() }).await?;
    let commands = tell_puts(&mut play, 1..=5)?;
    let mut bytes = 0;
    for number in 1..=5_u64 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
        host.is_quiet(&mut play.memory, Duration::from_millis(60)).await?;
        // The frame, and the number and level before the body.
        let cost = put_body(number).len().saturating_add(19).saturating_add(9);
        bytes = u64::try_from(cost).unwrap_or_default().saturating_add(bytes);
        let (frames, bytes) = limit(number, bytes);
        (host.rules.work.frames, host.rules.work.bytes) = (frames, bytes);
        host.send(kind::CREDIT, &Fields::new().u8(0).u64(0).u64(frames).u64(bytes).done()).await?;
    }
    host.ack(&mut play.memory, 5, at(5)).await?;
    for command in commands {
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

async fn credit_frames(stage: Stage) -> Verdict {
    little_credit(stage, true).await
}

async fn credit_bytes(stage: Stage) -> Verdict {
    little_credit(stage, false).await
}

/// The client comes back as the same node, with these numbers.
async fn comes_back(play: &mut Play, welcome: &Welcome, oldest: u64, next: u64) -> Result<Host, Failure> {
    let (mut host, hello) = play.hear_hello().await?;
    let Heard::Hello { node, oldest: found_oldest, next: found_next, .. } = hello else {
        return Err(Failure::new("no Hello came"));
    };
    same("the node of the Hello", &node, &play.memory.node)?;
    same("oldest_unacked", &found_oldest, &oldest)?;
    same("next_operation", &found_next, &next)?;
    host.welcome(welcome).await?;
    Ok(host)
}

async fn lost_ack(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    drop(host);
    let mut host = comes_back(&mut play, &Welcome::new(), 1, 2).await?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    play.driver.is_unanswered(command, Duration::from_millis(50)).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn lost_refusal(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.refuse(1, ErrorCode::AlreadyExists.number()).await?;
    play.driver.is_unanswered(command, Duration::from_millis(100)).await?;
    drop(host);
    let mut host = comes_back(&mut play, &Welcome::new(), 1, 2).await?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn accepted_lost(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.send(kind::ACK, &ack(0, 1, at(1))).await?;
    play.driver.is_unanswered(command, Duration::from_millis(100)).await?;
    drop(host);
    let mut host = comes_back(&mut play, &Welcome::new(), 1, 2).await?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn decided(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    drop(host);
    let mut host = comes_back(&mut play, &Welcome { node_decided: 1, ..Welcome::new() }, 1, 2).await?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    host.refuse(1, ErrorCode::AlreadyExists.number()).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.failed(command, "refused", ErrorCode::AlreadyExists.number()).await?;
    play.finish(host).await
}

async fn part(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let mut commands = tell_puts(&mut play, 1..=10)?;
    for number in 1..=10 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    host.ack(&mut play.memory, 4, at(4)).await?;
    for command in commands.drain(..4) {
        play.driver.done(command).await?;
    }
    drop(host);
    let mut host = comes_back(&mut play, &Welcome { node_decided: 7, ..Welcome::new() }, 5, 11).await?;
    commands.extend(tell_puts(&mut play, 11..=12)?);
    for number in 5..=12 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    host.ack(&mut play.memory, 12, at(12)).await?;
    for command in commands {
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

async fn often(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let commands = tell_puts(&mut play, 1..=6)?;
    for sent in [6_u64, 3, 0, 5] {
        for number in 1..=sent {
            is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
        }
        drop(host);
        host = play.meet(&Welcome::new()).await?;
    }
    for number in 1..=6 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    host.ack(&mut play.memory, 6, at(6)).await?;
    for command in commands {
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

async fn expired(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    drop(host);
    let (mut host, _) = play.hear_hello().await?;
    host.send(kind::ERROR, &super::host::error(0, 0, ErrorCode::IdentityExpired.number())).await?;
    drop(host);
    let mut host = play.meet_anew().await?;
    play.driver.failed(command, "unknown", 0).await?;
    let command = play.driver.tell(&put_command(2))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(2)).await?;
    host.ack(&mut play.memory, 1, at(1)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

/// The server says of an operation what cannot be: the client ends the connection, and tells no outcome.
async fn is_impossible(stage: Stage, said: Vec<(u8, Vec<u8>)>, is_answered: bool) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(&put_command(1))?;
    is_sent(&mut host, &mut play.memory, 1, &put_body(1)).await?;
    for (message_type, payload) in said {
        host.send(message_type, &payload).await?;
    }
    host.ends_by(&mut play.memory, &[ErrorCode::ImpossibleAck]).await?;
    let answer = play.driver.answer(command);
    match tokio::time::timeout(Duration::from_millis(500), answer).await {
        Err(_) => ensure(!is_answered, || "the outcome is not told".to_owned()),
        Ok(answer) => match answer? {
            Answer::Done(_) => {
                ensure(is_answered, || "an outcome is told that the server did not say".to_owned())
            }
            Answer::Failed { kind, .. } => {
                ensure(kind == "ended" || kind == "unknown", || format!("it failed: {kind}"))
            }
        },
    }
}

async fn impossible(stage: Stage) -> Verdict {
    is_impossible(stage, vec![(kind::ACK, ack(1, 2, at(2)))], false).await
}

async fn falling(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let commands = tell_puts(&mut play, 1..=2)?;
    for number in 1..=2 {
        is_sent(&mut host, &mut play.memory, number, &put_body(number)).await?;
    }
    host.ack(&mut play.memory, 2, at(2)).await?;
    for command in commands {
        play.driver.done(command).await?;
    }
    host.send(kind::ACK, &ack(1, 1, at(2))).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::ImpossibleAck]).await
}

async fn late_error(stage: Stage) -> Verdict {
    let refusal = super::host::error(1, 1, ErrorCode::AlreadyExists.number());
    is_impossible(stage, vec![(kind::ACK, ack(1, 1, at(1))), (kind::ERROR, refusal)], true).await
}
