//! `bench`: loads a server and tells how it did.
//!
//! | file | what it does |
//! |---|---|
//! | `args` | the arguments, the plan that they make, the help |
//! | `records`, `random` | records that are changed in place, their ids; randomness from a seed |
//! | `prepare` | what is written to be read, and what is left behind |
//! | `run` | what the clients share: schedule, budget, counts |
//! | `worker`, `link`, `pacer` | a client; its connection; operations that are due at times |
//! | `tally`, `report`, `progress` | counts and latencies; how they are told; what a person sees meanwhile |

mod args;
mod link;
mod pacer;
mod prepare;
mod progress;
mod random;
mod records;
mod report;
mod run;
mod tally;
mod worker;

use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use uuid::Uuid;

pub(super) use args::Args;
use args::Plan;
use prepare::{known_ids, records_left, server_of};
use progress::Progress;
use records::{NewIds, Template};
use report::Report;
use run::Run;
use tally::Tally;
use worker::{Agenda, MISSING, Worker};

use super::connect::{Target, dialer, options_for, runtime, url_of};
use super::{ExitStatus, Failure};
use crate::client::Client;
use crate::server::raise_descriptor_limit;
use crate::transport::Dialer;

/// Ticks of a second in the system's accounts of processes (USER_HZ, 100 on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let (plan, template) = args.plan()?;
    let url = url_of(target)?;
    // Each client has a socket; where they are too many the first one that finds none open says so.
    raise_descriptor_limit();
    let dialer = dialer(target, &url).prepared().map_err(crate::client::Error::from)?;
    let report = LocalSet::new().block_on(&runtime()?, load(&dialer, plan, template))?;
    let text = report.text(args.output)?;
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::writing(&error))?;
    judge(&report)
}

/// A load whose operations failed is told by its status too.
fn judge(report: &Report) -> Result<(), Failure> {
    let (writes, reads) = (&report.tally.writes, &report.tally.reads);
    let missed = reads.errors.get(MISSING).copied().unwrap_or(0);
    let refused = writes.failed().saturating_add(reads.failed()).saturating_sub(missed);
    if refused > 0 {
        let line = format!("{refused} operation(s) were refused; the report names the errors");
        return Err(Failure::Status(ExitStatus::Refused, line));
    }
    if missed > 0 {
        return Err(Failure::new(format_args!(
            "{missed} read(s) missed a record that was there before the load"
        )));
    }
    Ok(())
}

/// Prepares, loads and measures.
async fn load(dialer: &Dialer, plan: Plan, mut template: Template) -> Result<Report, Failure> {
    let mut progress = Progress::new();
    let url = dialer.url();
    let connect = || Client::connect_over(dialer.clone(), url.database(), options_for(url));
    let client = connect().await?;
    let server = server_of(&client);
    let known = known_ids(&client, &plan, &mut template, &mut progress).await?;
    client.close().await;
    let (high, low) = Uuid::now_v7().as_u64_pair();
    let run = Run::new(plan, template, NewIds::new(high >> 16, low), known, Tally::new()?);
    let measured = measure(&run, dialer, &mut progress).await;
    progress.end();
    let Measured { lasted, unsent, cpu, stopped } = measured?;
    let client = connect().await?;
    let records_left = records_left(&client, &run.plan).await?;
    client.close().await;
    let tally = run.tally.replace(Tally::new()?);
    let (plan, url) = (run.plan.clone(), url.clone());
    Ok(Report { plan, url, server, tally, lasted, unsent, cpu, records_left, stopped })
}

/// What a load's measurement says beside its counts.
#[derive(Debug)]
struct Measured {
    lasted: Duration,
    unsent: u64,
    cpu: Option<f64>,
    stopped: bool,
}

async fn measure(run: &Rc<Run>, dialer: &Dialer, progress: &mut Progress) -> Result<Measured, Failure> {
    let agendas: Vec<Rc<Agenda>> = match run.plan.rate {
        Some(_) => (0..run.plan.clients).map(|_| Rc::default()).collect(),
        None => Vec::new(),
    };
    let mut workers = JoinSet::new();
    for number in 0..run.plan.clients {
        let worker = Worker::new(run.clone(), number, agendas.get(usize::from(number)).cloned());
        workers.spawn_local(worker.work(dialer.clone()));
    }
    let mut cpu_before = None;
    let mut stopped = false;
    let lead = async {
        run.start.wait().await;
        let schedule = run.begin();
        run.start.wait().await;
        let pacing = async {
            if let Some(rate) = run.plan.rate {
                pacer::pace(run, rate, &agendas).await;
            }
        };
        let accounting = async {
            tokio::time::sleep_until(run.clock.instant(schedule.from)).await;
            cpu_before = cpu_seconds();
        };
        tokio::join!(pacing, accounting);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = join(&mut workers) => outcome?,
        () = lead => {}
        () = progress.follow(run) => {}
        failure = interrupted(run, &mut stopped) => return Err(failure),
    }
    let now = run.clock.now();
    let from = run.schedule().map_or(now, |schedule| schedule.from);
    let used = cpu_before.zip(cpu_seconds()).map(|(before, after)| after - before);
    let cpu = used.map(|used| used / now.since(from).as_secs_f64()).filter(|share| share.is_finite());
    let due = || agendas.iter().map(|agenda| agenda.due.borrow().len()).fold(0, usize::saturating_add);
    // A count that was reached leaves nothing undone.
    let unsent = if run.plan.duration.is_some() && !stopped { due() } else { 0 };
    let lasted = run.tally.borrow().last.since(from);
    Ok(Measured { lasted, unsent: u64::try_from(unsent).unwrap_or(u64::MAX), cpu, stopped })
}

/// Waits for all clients; the first failure ends them all.
async fn join(workers: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Failure::new(format_args!("a client of the load failed: {error}")))??;
    }
    Ok(())
}

/// Ctrl-C ends the load, which is told; a second one ends the command.
async fn interrupted(run: &Run, stopped: &mut bool) -> Failure {
    // Without a handler Ctrl-C ends the process, as it does by itself.
    if tokio::signal::ctrl_c().await.is_ok() {
        *stopped = true;
        run.stop();
    }
    match tokio::signal::ctrl_c().await {
        Ok(()) => Failure::new("stopped at once; what was written stays"),
        Err(_) => std::future::pending().await,
    }
}

/// The processor time that this process has used, in seconds, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; behind it stand the state and twelve other fields up to the system's time.
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
