//! Queries and subscriptions of a client: what it asks, what it hands on, and how it goes on after a cut.

use std::time::Duration;

use super::connections::works;
use super::host::{Asks, Heard, Host, Welcome, at};
use super::play::{Play, Stage};
use super::rules::Memory;
use crate::blazebinary::{Dict, Value};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, kind};
use crate::conformance::items::{bulky, id, plain};
use crate::wire::message::{Mode, Start};
use crate::wire::{CreditLimit, ErrorCode, Position};

cases! { Stage:
    "client.query.get" "A get asks for the ids in their order, and tells the records of the answer" "P-4.3 P-4.4" Nothing get;
    "client.query.scan" "A scan asks for what it says, and tells all frames of the answer" "P-4.3 P-4.4.2" Nothing scan;
    "client.query.empty" "An answer without rows is one" "P-4.4" Nothing empty;
    "client.query.refused" "The Error of a query is told with its code" "P-8.1 P-4.4.2" Nothing refused;
    "client.query.credit" "An answer of any length is read, by credit that rises" "P-9.4 P-9.6 C-3.1" Nothing credit;
    "client.query.apart" "Answers that come in turns are told apart" "P-10.1 C-6.4" Nothing apart;
    "client.query.limit" "No more requests run than request_limit says" "P-7.7 C-6.4" Nothing limit;
    "client.query.again" "A query of whose answer nothing came is asked again after a cut" "C-6.8 C-10" Nothing again;
    "client.query.cut" "An answer that is cut in its midst is read anew or told as interrupted, never told in part as whole" "C-6.8" Nothing cut;
    "client.query.cancel" "A query that is cancelled is ended by Cancel, and what still comes is dropped" "C-6.5 P-4.9.1" Nothing cancel;
    "client.watch.changes" "Changes are told in their order, as they are" "L-1.2 P-4.8" Nothing changes;
    "client.watch.snapshot" "A watch with a snapshot asks for one, and tells caught_up" "P-4.5 L-2.4" Nothing snapshot;
    "client.watch.waiting" "A collection that is not there yet is waited for" "L-3.1" Nothing waiting;
    "client.watch.dropped" "A drop is told" "P-4.8.2" Nothing dropped;
    "client.watch.cancel" "A watch that is cancelled is ended by Unsubscribe" "C-6.5 P-4.9.1" Nothing unsubscribe;
    "client.watch.cancel.credit" "The Event ended that answers an Unsubscribe costs nothing" "C-3.5 P-9.1" Nothing unsubscribe_without_credit;
    "client.watch.reset" "A reset is told with its code, and ends the watch" "L-4.1 P-4.8.1" Nothing reset;
    "client.watch.refused" "The Error of a watch is told with its code" "L-4.3 P-8.1" Nothing watch_refused;
    "client.watch.credit" "A watch goes on as long as changes come" "P-9.6 C-3.2" Nothing watch_credit;
    "client.watch.resume" "After a cut it goes on after the last position told, without gap or repetition" "L-6.1 C-10 L-1.2" Nothing resume;
    "client.watch.resume.now" "One from now that was told nothing goes on after what was published before it was asked for" "L-6.3" Nothing resume_now;
    "client.watch.resume.now.acked" "What was published is told by an Ack, too" "L-6.3" Nothing resume_now_acked;
    "client.watch.resume.heartbeat" "The position of a heartbeat counts, too" "L-5.1 L-1.2" Nothing resume_heartbeat;
    "client.watch.resume.often" "Cut behind each event, all is told once" "L-6.1 L-1.2" Nothing resume_often;
    "client.watch.resume.burst" "Cut behind many changes at once, each is told once wherever it goes on" "L-6.2 L-6.1 L-1.3" Nothing resume_burst;
    "client.watch.resume.snapshot" "A snapshot told in part is gone on with in mode latest, and then in mode all" "L-6.1 L-2.7" Nothing resume_snapshot;
    "client.watch.resume.two" "Of two watches each goes on after its own position" "L-6.1 C-6.8" Nothing resume_two;
}

/// A command on a collection, with the members behind.
fn command(what: &str, behind: &str) -> String {
    format!(r#""do":"{what}","collection":"notes"{behind}"#)
}

fn watch(mode: &str, start: &str) -> String {
    command("watch", &format!(r#","mode":"{mode}","start":"{start}""#))
}

/// The record of a number as the program tells it.
fn told(number: u64) -> Value {
    let mut dict = Dict::new();
    dict.insert("id", Value::Uuid(id(number)));
    dict.insert("n", crate::conformance::items::number_value(number));
    Value::Dict(dict)
}

fn records(done: &Dict) -> Option<Value> {
    done.get("records").cloned()
}

fn rows(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.map(|number| (number, plain(number))).collect()
}

fn all_told(numbers: std::ops::RangeInclusive<u64>) -> Option<Value> {
    Some(Value::Array(numbers.map(told).collect()))
}

async fn get(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let ids = [3, 1, 2].map(id);
    let list: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    let asked = play.driver.tell(&command("get", &format!(r#","uuids":[{}]"#, list.join(","))))?;
    let (request, _, asks) = host.query(&mut play.memory).await?;
    same("the query", &asks, &Asks::Get { collection: "notes".to_owned(), ids: ids.to_vec() })?;
    host.answer(request, &[(7, plain(3)), (8, plain(1))], true).await?;
    let done = play.driver.done(asked).await?;
    same("the records", &records(&done), &Some(Value::Array(vec![told(3), told(1)])))?;
    play.finish(host).await
}

async fn scan(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    for (behind, reverse, limit) in
        [("", false, 0), (r#","limit":6"#, false, 6), (r#","reverse":true,"limit":9"#, true, 9)]
    {
        let asked = play.driver.tell(&command("scan", behind))?;
        let (request, _, asks) = host.query(&mut play.memory).await?;
        let collection = "notes".to_owned();
        same("the query", &asks, &Asks::Scan { collection, reverse, limit })?;
        host.answer(request, &rows(1..=2), false).await?;
        host.answer(request, &[], false).await?;
        host.answer(request, &rows(3..=6), true).await?;
        let done = play.driver.done(asked).await?;
        same("the records", &records(&done), &all_told(1..=6))?;
    }
    play.finish(host).await
}

async fn empty(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let asked = play.driver.tell(&command("scan", ""))?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.answer(request, &[], true).await?;
    let done = play.driver.done(asked).await?;
    same("the records", &records(&done), &Some(Value::Array(Vec::new())))?;
    play.finish(host).await
}

async fn refused(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    for code in [ErrorCode::UnknownCollection.number(), 9_999] {
        let asked = play.driver.tell(&command("scan", ""))?;
        let (request, ..) = host.query(&mut play.memory).await?;
        host.refuse_request(request, code).await?;
        play.driver.failed(asked, "refused", code).await?;
    }
    play.finish(host).await
}

/// The account of a request behind one more frame of this cost.
pub(super) const fn spent(sent: CreditLimit, cost: u64) -> CreditLimit {
    CreditLimit { frames: sent.frames.saturating_add(1), bytes: sent.bytes.saturating_add(cost) }
}

/// Waits for Credit until a request may be told one more frame.
pub(super) async fn wait_for_credit(
    host: &mut Host,
    memory: &mut Memory,
    request: u64,
    sent: CreditLimit,
) -> Verdict {
    loop {
        let limit = host.rules.running.get(&request).copied().unwrap_or_default();
        if limit.allows_one_more(sent) {
            return Ok(());
        }
        let what = format!("Credit for request {request}, of which {sent:?} of {limit:?} are sent");
        let raised =
            |heard: &Heard| matches!(heard, Heard::Credit { id, .. } if *id == request).then_some(());
        host.wait(memory, &what, raised).await?;
    }
}

async fn credit(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let asked = play.driver.tell(&command("scan", ""))?;
    let (request, ..) = host.query(&mut play.memory).await?;
    let mut sent = CreditLimit::default();
    for number in 1..=200_u64 {
        wait_for_credit(&mut host, &mut play.memory, request, sent).await?;
        let rows = [(number, bulky(number, 9_000))];
        let cost = super::host::cost(&super::host::answer(request, &rows, false));
        sent = spent(sent, cost);
        host.answer(request, &rows, false).await?;
    }
    wait_for_credit(&mut host, &mut play.memory, request, sent).await?;
    host.answer(request, &[], true).await?;
    let done = play.driver.done(asked).await?;
    let count = match records(&done) {
        Some(Value::Array(records)) => records.len(),
        _ => 0,
    };
    same("the count of records", &count, &200)?;
    play.finish(host).await
}

async fn apart(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let one = play.driver.tell(&command("scan", ""))?;
    let (first, ..) = host.query(&mut play.memory).await?;
    let other = play.driver.tell(&command("scan", ""))?;
    let (second, ..) = host.query(&mut play.memory).await?;
    host.answer(second, &rows(11..=12), false).await?;
    host.answer(first, &rows(1..=1), false).await?;
    host.answer(second, &rows(13..=13), true).await?;
    host.answer(first, &rows(2..=3), true).await?;
    same("the records of the first", &records(&play.driver.done(one).await?), &all_told(1..=3))?;
    same("the records of the second", &records(&play.driver.done(other).await?), &all_told(11..=13))?;
    play.finish(host).await
}

async fn limit(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { request_limit: 2, ..Welcome::new() }).await?;
    let commands: Result<Vec<u64>, Failure> =
        (0..6).map(|_| play.driver.tell(&command("scan", ""))).collect();
    for _ in 0..6 {
        // The rules count what runs.
        let (request, ..) = host.query(&mut play.memory).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        host.answer(request, &rows(1..=1), true).await?;
    }
    for command in commands? {
        play.driver.done(command).await?;
    }
    play.finish(host).await
}

async fn again(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let asked = play.driver.tell(&command("scan", ""))?;
    host.query(&mut play.memory).await?;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.answer(request, &rows(1..=2), true).await?;
    same("the records", &records(&play.driver.done(asked).await?), &all_told(1..=2))?;
    play.finish(host).await
}

async fn cut(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let asked = play.driver.tell(&command("scan", ""))?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.answer(request, &rows(1..=2), false).await?;
    // The client hands it on before the cut, or after.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    let answer = tokio::time::timeout(Duration::from_secs(2), play.driver.answer(asked)).await;
    match answer {
        Ok(answer) => {
            let answer = answer?;
            let expected = super::driver::Answer::Failed { kind: "interrupted".to_owned(), code: 0 };
            same("the answer", &answer, &expected)?;
        }
        Err(_) => {
            let (request, ..) = host.query(&mut play.memory).await?;
            host.answer(request, &rows(1..=5), true).await?;
            same("the records", &records(&play.driver.done(asked).await?), &all_told(1..=5))?;
        }
    }
    play.finish(host).await
}

async fn cancel(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let asked = play.driver.tell(&command("scan", ""))?;
    let (request, ..) = host.query(&mut play.memory).await?;
    let cancelled = play.driver.tell(&format!(r#""do":"cancel","of":{asked}"#))?;
    let heard = |heard: &Heard| (*heard == Heard::Cancel(request)).then_some(());
    host.wait(&mut play.memory, "the Cancel", heard).await?;
    // It crossed the Cancel.
    host.answer(request, &rows(1..=2), false).await?;
    host.refuse_request(request, ErrorCode::Cancelled.number()).await?;
    play.driver.done(cancelled).await?;
    play.driver.failed(asked, "cancelled", 0).await?;
    // The id is not used again, and the connection goes on.
    let asked = play.driver.tell(&command("scan", ""))?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.answer(request, &rows(1..=1), true).await?;
    play.driver.done(asked).await?;
    play.finish(host).await
}

/// What the program told of a watch: kind, number, and the record or id.
fn change(value: &Value) -> Result<(String, u64, Option<Value>), Failure> {
    let Value::Dict(dict) = value else { return Err(Failure::new(format_args!("a change is {value:?}"))) };
    let (Some(Value::String(kind)), Some(Value::Int(seq))) = (dict.get("kind"), dict.get("seq")) else {
        return Err(Failure::new(format_args!("a change is {dict:?}")));
    };
    let what = dict.get("record").or_else(|| dict.get("uuid")).cloned();
    Ok((kind.to_string(), u64::try_from(*seq).unwrap_or_default(), what))
}

/// The changes up to this many.
async fn changes_told(
    play: &mut Play,
    watched: u64,
    count: usize,
) -> Result<Vec<(String, u64, Option<Value>)>, Failure> {
    let mut found = Vec::new();
    while found.len() < count {
        let (name, changes) = play.driver.event(watched).await?;
        same("the event", &name, &"changes".to_owned())?;
        for value in &changes {
            found.push(change(value)?);
        }
    }
    ensure(found.len() == count, || format!("{} changes are told, {count} were", found.len()))?;
    Ok(found)
}

/// They must be puts of these numbers, with their records.
async fn puts_told(play: &mut Play, watched: u64, numbers: std::ops::RangeInclusive<u64>) -> Verdict {
    let expected: Vec<_> = numbers.map(|number| ("put".to_owned(), number, Some(told(number)))).collect();
    same("the changes", &changes_told(play, watched, expected.len()).await?, &expected)
}

async fn is_caught_up(play: &mut Play, watched: u64) -> Verdict {
    same("the event", &play.driver.event(watched).await?.0, &"caught_up".to_owned())
}

/// Watches, and the server hears it.
async fn begin_watch(
    play: &mut Play,
    host: &mut Host,
    mode: &str,
    start: &str,
) -> Result<(u64, u64), Failure> {
    let watched = play.driver.tell(&watch(mode, start))?;
    let (request, found_mode, found_start) = host.subscription(&mut play.memory).await?;
    same("the mode", &found_mode, &if mode == "all" { Mode::All } else { Mode::Latest })?;
    same("the start", &found_start, &if start == "now" { Start::Now } else { Start::Snapshot })?;
    Ok((watched, request))
}

async fn changes(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    host.changes(request, &rows(2..=4)).await?;
    puts_told(&mut play, watched, 2..=4).await?;
    let delete = Fields::new().u64(request).u8(1).position(at(5)).u16(1).u8(0x82).u64(5).id(id(3)).done();
    host.send(kind::EVENT, &delete).await?;
    let found = changes_told(&mut play, watched, 1).await?;
    let uuid = Value::from(id(3).to_string().as_str());
    same("the change", &found, &vec![("delete".to_owned(), 5, Some(uuid))])?;
    play.finish(host).await
}

async fn snapshot(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "latest", "snapshot").await?;
    host.changes(request, &rows(1..=3)).await?;
    host.event(request, 2, at(3)).await?;
    puts_told(&mut play, watched, 1..=3).await?;
    is_caught_up(&mut play, watched).await?;
    play.finish(host).await
}

async fn waiting(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 4, at(1)).await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    host.changes(request, &rows(2..=2)).await?;
    puts_told(&mut play, watched, 2..=2).await?;
    play.finish(host).await
}

async fn dropped(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    let drop = Fields::new().u64(request).u8(1).position(at(3)).u16(1).u8(0x83).u64(3).done();
    host.send(kind::EVENT, &drop).await?;
    same("the change", &changes_told(&mut play, watched, 1).await?, &vec![("dropped".to_owned(), 3, None)])?;
    play.finish(host).await
}

async fn unsubscribe(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    let cancelled = play.driver.tell(&format!(r#""do":"cancel","of":{watched}"#))?;
    let heard = |heard: &Heard| (*heard == Heard::Unsubscribe(request)).then_some(());
    host.wait(&mut play.memory, "the Unsubscribe", heard).await?;
    host.changes(request, &rows(2..=2)).await?;
    host.event(request, 6, at(2)).await?;
    play.driver.done(cancelled).await?;
    play.driver.failed(watched, "cancelled", 0).await?;
    play.finish(host).await
}

async fn unsubscribe_without_credit(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    let cancelled = play.driver.tell(&format!(r#""do":"cancel","of":{watched}"#))?;
    let heard = |heard: &Heard| (*heard == Heard::Unsubscribe(request)).then_some(());
    host.wait(&mut play.memory, "the Unsubscribe", heard).await?;
    // All that the client granted crossed the Unsubscribe.
    let (mut bytes, _) = host.all_that_is_granted(request, CreditLimit::default())?;
    host.rules.end(request);
    bytes.extend(host.make(kind::EVENT, 0, &Fields::new().u64(request).u8(6).position(at(2)).done()));
    host.write(&bytes).await?;
    play.driver.done(cancelled).await?;
    play.driver.failed(watched, "cancelled", 0).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn reset(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    let code = ErrorCode::PositionExpired.number();
    host.rules.end(request);
    let payload = Fields::new().u64(request).u8(3).position(at(1)).u16(code).position(at(5)).done();
    host.send(kind::EVENT, &payload).await?;
    play.driver.failed(watched, "reset", code).await?;
    play.finish(host).await
}

async fn watch_refused(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.refuse_request(request, ErrorCode::Corrupted.number()).await?;
    play.driver.failed(watched, "refused", ErrorCode::Corrupted.number()).await?;
    play.finish(host).await
}

async fn watch_credit(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    let mut sent = CreditLimit::default();
    // Enough to pass any sensible window of frames and of bytes.
    for number in 2..=601_u64 {
        wait_for_credit(&mut host, &mut play.memory, request, sent).await?;
        sent = spent(sent, 27 + 9 + 8 + 19 + 40);
        host.changes(request, &rows(number..=number)).await?;
    }
    puts_told(&mut play, watched, 2..=601).await?;
    play.finish(host).await
}

/// The client comes back and goes on after this position, in mode all.
async fn goes_on(play: &mut Play, position: Position) -> Result<(Host, u64), Failure> {
    let mut host = play.meet(&Welcome::new()).await?;
    let (request, mode, start) = host.subscription(&mut play.memory).await?;
    same("the mode", &mode, &Mode::All)?;
    same("the start", &start, &Start::After(position))?;
    Ok((host, request))
}

async fn resume(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    host.changes(request, &rows(2..=4)).await?;
    is_caught_up(&mut play, watched).await?;
    puts_told(&mut play, watched, 2..=4).await?;
    drop(host);
    let (mut host, request) = goes_on(&mut play, at(4)).await?;
    host.changes(request, &rows(5..=6)).await?;
    host.event(request, 2, at(6)).await?;
    puts_told(&mut play, watched, 5..=6).await?;
    play.finish(host).await
}

async fn resume_now(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, _) = begin_watch(&mut play, &mut host, "all", "now").await?;
    drop(host);
    // The Welcome said position 1. What the next one says is too late: 2 may have changed before.
    let (host, _) = goes_on(&mut play, at(1)).await?;
    drop(host);
    let (mut host, request) = goes_on(&mut play, at(1)).await?;
    host.changes(request, &rows(2..=3)).await?;
    puts_told(&mut play, watched, 2..=3).await?;
    drop(host);
    let (host, _) = goes_on(&mut play, at(3)).await?;
    play.finish(host).await
}

async fn resume_now_acked(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let put = play.driver.tell(r#""do":"put","collection":"notes","record":{"n":1}"#)?;
    let (number, _) = host.operation(&mut play.memory).await?;
    host.ack(&mut play.memory, number, at(5)).await?;
    play.driver.done(put).await?;
    let (watched, _) = begin_watch(&mut play, &mut host, "all", "now").await?;
    drop(host);
    let mut host = play.meet(&Welcome { node_decided: 1, ..Welcome::new() }).await?;
    let (request, mode, start) = host.subscription(&mut play.memory).await?;
    same("mode and start", &(mode, start), &(Mode::All, Start::After(at(5))))?;
    host.changes(request, &rows(6..=7)).await?;
    puts_told(&mut play, watched, 6..=7).await?;
    play.finish(host).await
}

async fn resume_heartbeat(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    host.event(request, 5, at(90)).await?;
    host.changes(request, &rows(91..=91)).await?;
    puts_told(&mut play, watched, 91..=91).await?;
    host.event(request, 5, at(99)).await?;
    // A client that tells no heartbeats takes it all the same.
    play.driver.has_event(watched, Duration::from_millis(300)).await?;
    drop(host);
    let (mut host, request) = goes_on(&mut play, at(99)).await?;
    host.changes(request, &rows(100..=100)).await?;
    puts_told(&mut play, watched, 100..=100).await?;
    play.finish(host).await
}

async fn resume_often(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, mut request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    for number in 2..=5_u64 {
        host.changes(request, &rows(number..=number)).await?;
        puts_told(&mut play, watched, number..=number).await?;
        drop(host);
        (host, request) = goes_on(&mut play, at(number)).await?;
    }
    play.finish(host).await
}

async fn resume_burst(stage: Stage) -> Verdict {
    /// Many more than a client hands on before it reads the end of the stream.
    const BURST: u64 = 40;
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, mut request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    let (mut behind, mut last) = (1_u64, 1_u64);
    for _ in 0..5 {
        // Two changes each, as far as the client lets them go.
        let granted = host.rules.running.get(&request).map_or(0, |limit| limit.frames);
        let mut burst = Vec::new();
        for _ in 0..granted.saturating_sub(1).min(BURST / 2) {
            let first = behind.saturating_add(1);
            behind = behind.saturating_add(2);
            burst.extend(host.make_changes(request, &rows(first..=behind)));
        }
        // All at once, so that they are read before the first is handed on.
        host.write(&burst).await?;
        last = last.max(behind);
        host.hang_up(&mut play.memory).await?;
        host = play.meet(&Welcome::new()).await?;
        let (again, mode, start) = host.subscription(&mut play.memory).await?;
        same("the mode", &mode, &Mode::All)?;
        let Start::After(position) = start else {
            return Err(Failure::new(format_args!("it starts {start:?}")));
        };
        ensure((1..=last).contains(&position.seq), || format!("it goes on after {position:?}"))?;
        (request, behind) = (again, position.seq);
    }
    if behind < last {
        host.changes(request, &rows(behind.saturating_add(1)..=last)).await?;
    }
    puts_told(&mut play, watched, 2..=last).await?;
    play.finish(host).await
}

async fn resume_snapshot(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, request) = begin_watch(&mut play, &mut host, "all", "snapshot").await?;
    host.changes(request, &rows(1..=3)).await?;
    puts_told(&mut play, watched, 1..=3).await?;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    let (request, mode, start) = host.subscription(&mut play.memory).await?;
    same("the start", &start, &Start::After(at(3)))?;
    same("the mode until it is caught up (L-6.1)", &mode, &Mode::Latest)?;
    host.changes(request, &rows(4..=6)).await?;
    host.event(request, 2, at(6)).await?;
    puts_told(&mut play, watched, 4..=6).await?;
    is_caught_up(&mut play, watched).await?;
    let gone = |heard: &Heard| (*heard == Heard::Unsubscribe(request)).then_some(());
    host.wait(&mut play.memory, "the Unsubscribe of mode latest", gone).await?;
    host.event(request, 6, at(6)).await?;
    let (request, mode, start) = host.subscription(&mut play.memory).await?;
    same("the mode", &mode, &Mode::All)?;
    same("the start", &start, &Start::After(at(6)))?;
    host.changes(request, &rows(7..=7)).await?;
    puts_told(&mut play, watched, 7..=7).await?;
    play.finish(host).await
}

async fn resume_two(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (one, first) = begin_watch(&mut play, &mut host, "all", "now").await?;
    let (other, second) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.changes(first, &rows(2..=3)).await?;
    host.changes(second, &rows(2..=7)).await?;
    puts_told(&mut play, one, 2..=3).await?;
    puts_told(&mut play, other, 2..=7).await?;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    for _ in 0..2 {
        let (request, _, start) = host.subscription(&mut play.memory).await?;
        let Start::After(position) = start else {
            return Err(Failure::new(format_args!("it starts {start:?}")));
        };
        ensure([3, 7].contains(&position.seq), || format!("it goes on after {position:?}"))?;
        host.changes(request, &rows(position.seq.saturating_add(1)..=10)).await?;
    }
    puts_told(&mut play, one, 4..=10).await?;
    puts_told(&mut play, other, 8..=10).await?;
    play.finish(host).await
}
