//! Subscriptions of a client: what it asks, what it hands on, and how it goes on after a cut.

use std::time::Duration;

use super::connections::works;
use super::host::{Heard, Host, Welcome, at, cost};
use super::play::{Play, Stage};
use super::requests::{command, rows, spent, told, wait_for_credit};
use crate::blazebinary::Value;
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, kind};
use crate::conformance::items::id;
use crate::wire::message::{Mode, Start};
use crate::wire::{CreditLimit, ErrorCode, Position};

cases! { Stage:
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

fn watch(mode: &str, start: &str) -> String {
    command("watch", &format!(r#","mode":"{mode}","start":"{start}""#))
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
    /// Frames of a burst, and changes of a frame: far more in lines of the program than a pipe holds.
    const BURST: u64 = 20;
    const CHANGES: u64 = 50;
    /// For a client to notice the end of the stream while it is held up.
    const DEAF: Duration = Duration::from_millis(300);
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let (watched, mut request) = begin_watch(&mut play, &mut host, "all", "now").await?;
    host.event(request, 2, at(1)).await?;
    is_caught_up(&mut play, watched).await?;
    let (mut behind, mut last) = (1_u64, 1_u64);
    for _ in 0..5 {
        // As far as the client lets them go.
        let granted = host.rules.running.get(&request).copied().unwrap_or_default();
        let mut sent = spent(CreditLimit::default(), cost(&[]));
        let mut burst = Vec::new();
        while granted.allows_one_more(sent) && sent.frames <= BURST {
            let first = behind.saturating_add(1);
            behind = behind.saturating_add(CHANGES);
            let frame = host.make_changes(request, &rows(first..=behind));
            sent = spent(sent, u64::try_from(frame.len()).unwrap_or(u64::MAX));
            burst.extend(frame);
        }
        // The program is not listened to meanwhile, so that the client cannot hand on all of it.
        let deaf = play.driver.stop_listening().await;
        host.write(&burst).await?;
        last = last.max(behind);
        let listen_again = async {
            tokio::time::sleep(DEAF).await;
            drop(deaf);
        };
        // One whose connection waits for its program notices the end of the stream when that is listened to.
        let (parted, ()) = tokio::join!(host.hang_up(&mut play.memory), listen_again);
        parted?;
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
