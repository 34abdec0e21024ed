//! Queries of a client: what it asks, what it hands on, and how it goes on after a cut.

use std::time::Duration;

use super::host::{Asks, Heard, Host, Welcome};
use super::play::Stage;
use super::rules::Memory;
use crate::blazebinary::{Dict, Value};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, same};
use crate::conformance::items::{bulky, id, plain};
use crate::wire::{CreditLimit, ErrorCode};

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
}

/// A command on a collection, with the members behind.
pub(super) fn command(what: &str, behind: &str) -> String {
    format!(r#""do":"{what}","collection":"notes"{behind}"#)
}

/// The record of a number as the program tells it.
pub(super) fn told(number: u64) -> Value {
    let mut dict = Dict::new();
    dict.insert("id", Value::Uuid(id(number)));
    dict.insert("n", crate::conformance::items::number_value(number));
    Value::Dict(dict)
}

fn records(done: &Dict) -> Option<Value> {
    done.get("records").cloned()
}

pub(super) fn rows(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
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
