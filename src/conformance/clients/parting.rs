//! What crosses the client's Goodbye, and what compression does to credit.

use std::time::Duration;

use tokio::time::timeout;

use super::connections::{SCAN, works};
use super::driver::Answer;
use super::host::{Heard, Host, Welcome, answer, cost, error, goodbye};
use super::play::{Play, Stage};
use super::requests::{spent, wait_for_credit};
use crate::blazebinary::{Dict, Value};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{COMPRESSED, Fields, kind};
use crate::conformance::items::{id, plain, record};
use crate::wire::{CreditLimit, ErrorCode, compress};

cases! { Stage:
    "client.close.crossing" "Answers that cross the client's Goodbye are passed over, and its requests end" "C-11.3 C-11.4 C-11.5" Nothing crossing;
    "client.lz4.credit" "A compressed frame of an answer costs what it would cost uncompressed" "P-9.2 C-3.1" Nothing compressed_answer;
    "client.lz4.work" "So does an Operation that the client compresses" "P-9.2 C-3.1" Nothing compressed_work;
}

/// How long a client that waits for no request may take to say Goodbye.
const PROMPT: Duration = Duration::from_secs(1);

/// The requests that run when the client is told to close.
struct Running {
    scans: [(u64, u64); 2],
    watch: (u64, u64),
}

async fn begin_requests(play: &mut Play, host: &mut Host) -> Result<Running, Failure> {
    let mut scans = [(0, 0); 2];
    for scan in &mut scans {
        let command = play.driver.tell(SCAN)?;
        *scan = (command, host.query(&mut play.memory).await?.0);
    }
    let command = play.driver.tell(r#""do":"watch","collection":"notes","mode":"all","start":"now""#)?;
    let watch = (command, host.subscription(&mut play.memory).await?.0);
    Ok(Running { scans, watch })
}

async fn crossing(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let Running { scans, watch } = begin_requests(&mut play, &mut host).await?;
    let closed = play.driver.tell(r#""do":"close""#)?;
    let parted = |heard: &Heard| (*heard == Heard::Goodbye).then_some(());
    let prompt = timeout(PROMPT, host.wait(&mut play.memory, "the client's Goodbye", parted)).await;
    let is_prompt = prompt.is_ok();
    match prompt {
        Ok(heard) => heard?,
        Err(_) => {
            // One that waits for what it asked gets it; watches have no end to wait for.
            for (_, request) in scans {
                host.answer(request, &[(1, plain(1))], true).await?;
            }
            host.wait(&mut play.memory, "the client's Goodbye", parted).await?;
        }
    }
    if is_prompt {
        let [(_, first), (_, second)] = scans;
        host.send(kind::QUERY_RESPONSE, &answer(first, &[(1, plain(1))], false)).await?;
        host.send(kind::ERROR, &error(2, second, ErrorCode::Cancelled.number())).await?;
    }
    host.changes(watch.1, &[(2, plain(2))]).await?;
    host.send(kind::PING, &Fields::new().u64(1).done()).await?;
    // It waits for the other Goodbye (C-11.4), and says nothing (C-11.1).
    host.is_quiet(&mut play.memory, Duration::from_millis(300)).await?;
    host.send(kind::GOODBYE, &goodbye(0, 0)).await?;
    play.driver.done(closed).await?;
    for (command, _) in scans {
        let found = play.driver.answer(command).await?;
        ensure(!is_prompt || is_parting(&found), || format!("a scan is answered {found:?}"))?;
    }
    let found = play.driver.answer(watch.0).await?;
    ensure(is_parting(&found), || format!("the watch is answered {found:?}"))?;
    play.driver.ends().await
}

/// What `close` makes of a request that runs.
fn is_parting(answer: &Answer) -> bool {
    matches!(answer, Answer::Failed { kind, code: 0 } if kind == "cancelled" || kind == "ended")
}

/// A record of this number that LZ4 makes small.
fn uniform(number: u64) -> Vec<u8> {
    record(id(number), &[("text", Value::from("x".repeat(30_000).as_str()))])
}

fn count(done: &Dict) -> Option<usize> {
    match done.get("records") {
        Some(Value::Array(records)) => Some(records.len()),
        _ => None,
    }
}

async fn compressed_answer(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { capabilities: vec!["lz4"], ..Welcome::new() }).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, first, _) = host.query(&mut play.memory).await?;
    let mut sent = CreditLimit::default();
    let mut number = 0_u64;
    // Twice what was granted at first, by the plain lengths: it has to be granted anew.
    while sent.bytes < first.bytes.saturating_mul(2) && sent.frames < first.frames.saturating_mul(2) {
        wait_for_credit(&mut host, &mut play.memory, request, sent).await?;
        number = number.saturating_add(1);
        let payload = answer(request, &[(number, uniform(number))], false);
        sent = spent(sent, cost(&payload));
        let mut packed = Vec::new();
        ensure(compress(&payload, &mut packed), || "the tester does not compress".to_owned())?;
        let bytes = host.make(kind::QUERY_RESPONSE, COMPRESSED, &packed);
        host.write(&bytes).await?;
    }
    wait_for_credit(&mut host, &mut play.memory, request, sent).await?;
    host.answer(request, &[], true).await?;
    let done = play.driver.done(command).await?;
    same("the count of records", &count(&done), &usize::try_from(number).ok())?;
    play.finish(host).await
}

async fn compressed_work(stage: Stage) -> Verdict {
    const PLENTY: u64 = 1 << 20;
    let welcome = Welcome { capabilities: vec!["lz4"], work: (PLENTY, 1), ..Welcome::new() };
    let (mut play, mut host) = stage.begin(&welcome).await?;
    let text = "x".repeat(5_000);
    let put = format!(
        r#""do":"put","collection":"notes","record":{{"id":{{"$uuid":"{}"}},"text":"{text}"}}"#,
        id(1)
    );
    let commands: Result<Vec<u64>, Failure> = (0..4).map(|_| play.driver.tell(&put)).collect();
    let mut number = 0;
    for _ in 0..4 {
        // The rules hold what is sent against the limit by its plain length.
        (number, _) = host.operation(&mut play.memory).await?;
        // One byte below what is spent so, and far above what travelled.
        let spent = host.rules.worked.bytes;
        for bytes in [spent, spent.saturating_add(1)] {
            host.rules.work.bytes = bytes;
            host.send(kind::CREDIT, &Fields::new().u8(0).u64(0).u64(PLENTY).u64(bytes).done()).await?;
            if bytes == spent {
                host.is_quiet(&mut play.memory, Duration::from_millis(100)).await?;
            }
        }
    }
    host.ack(&mut play.memory, number, super::host::at(number)).await?;
    for command in commands? {
        play.driver.done(command).await?;
    }
    works(&mut play, &mut host).await?;
    play.finish(host).await
}
