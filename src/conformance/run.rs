//! Runs the cases against a server or a client: many at once, each over connections of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::case::{Case, Needs, Title};
use super::clients::{self, Listen, Stage};
use super::exclusions::Exclusions;
use super::failure::Failure;
use super::items::Item;
use super::limits::{CASE_PATIENCE, CASES_AT_ONCE, CLIENTS_AT_ONCE};
use super::peer::Peer;
use super::report::{Finding, Line, Report};
use super::servers;
use super::target::{Restart, Target};
use crate::transport::Dialer;

/// Which cases are run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids of the cases to run, or beginnings of them that end with a dot; all if empty.
    pub only: Vec<String>,
    /// Whether cases that take half a minute and more are run.
    pub slow: bool,
    /// Cases that need not pass.
    pub exclusions: Exclusions,
}

impl Selection {
    fn names(&self, id: &str) -> bool {
        let names = |name: &String| id == name || (name.ends_with('.') && id.starts_with(name.as_str()));
        self.only.is_empty() || self.only.iter().any(names)
    }

    /// Why a case is not run, if it is not.
    fn skips(&self, needs: Needs, can_restart: bool) -> Option<&'static str> {
        match needs {
            Needs::Time if !self.slow => Some("takes half a minute and more; --slow runs it"),
            Needs::Restart if !can_restart => {
                Some("kills the server; --restart says how it is started again")
            }
            _ => None,
        }
    }
}

/// All cases of a server.
pub fn server_cases() -> impl Iterator<Item = Title> {
    servers::all().map(|case| case.title)
}

/// All cases of a client.
pub fn client_cases() -> impl Iterator<Item = Title> {
    clients::all().map(|case| case.title)
}

/// Runs the cases of a server against the one that `server` connects to, and drops what they wrote. `restart` kills it and
/// starts it again.
///
/// # Errors
/// [`Failure`] where nobody answers as a server of BLAZE at all.
pub async fn check_server(
    server: &Dialer,
    restart: Option<Restart>,
    selection: &Selection,
) -> Result<Report, Failure> {
    let start = Instant::now();
    let target = Target::new(server, restart)?;
    Peer::welcome(&target).await?;
    let cases: Vec<Case<Target>> = servers::all().filter(|case| selection.names(case.title.id)).collect();
    let can_restart = target.restart.is_some();
    // What kills the server has it for itself.
    let (apart, together): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.needs == Needs::Restart);
    let over = |title: Title| target.for_case(title.id);
    let skips = |needs| selection.skips(needs, can_restart);
    let mut lines = run_at_once(CASES_AT_ONCE, together, skips, over).await;
    lines.extend(run_at_once(1, apart, skips, over).await);
    clean_up(&target).await;
    Ok(report("server", lines, &cases, selection, start))
}

/// Runs the cases of a client against the program of `command`, which is started once for each. They run one after another
/// where there is no place for several: with a port that is not 0, and on a Unix socket.
pub async fn check_client(stage: &ClientStage, selection: &Selection) -> Report {
    let start = Instant::now();
    let cases: Vec<Case<Stage>> = clients::all().filter(|case| selection.names(case.title.id)).collect();
    let at_once = if stage.listen.has_room_for_several() { CLIENTS_AT_ONCE } else { 1 };
    let over = |title: Title| Stage::new(stage.clone(), title.id);
    let lines =
        run_at_once(at_once, cases.iter().collect(), |needs| selection.skips(needs, false), over).await;
    report("client", lines, &cases, selection, start)
}

/// The client under test, and where it finds the tester.
#[derive(Debug, Clone)]
pub struct ClientStage {
    /// Where the tester listens.
    pub listen: Listen,
    /// The program and its arguments: `conformance/client-contract.md`.
    pub command: Vec<String>,
}

/// What a case runs over.
trait Subject: Clone + Send + 'static {
    /// What the program under test said on stderr, once a case has failed.
    fn last_words(self) -> impl Future<Output = Vec<String>> + Send;
}

impl Subject for Target {
    async fn last_words(self) -> Vec<String> {
        Vec::new()
    }
}

impl Subject for Stage {
    async fn last_words(self) -> Vec<String> {
        self.words.lines().await
    }
}

async fn run_at_once<T: Subject>(
    at_once: usize,
    cases: Vec<&Case<T>>,
    skips: impl Fn(Needs) -> Option<&'static str>,
    over: impl Fn(Title) -> T,
) -> Vec<Line> {
    let places = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    let mut lines = Vec::new();
    for case in cases {
        if let Some(why) = skips(case.needs) {
            let (finding, stderr) = (Finding::Skipped(why), Vec::new());
            lines.push(Line { case: case.title, finding, took: Duration::ZERO, stderr });
            continue;
        }
        let (case, over, places) = (*case, over(case.title), places.clone());
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            judge(case, over).await
        });
    }
    while let Some(done) = running.join_next().await {
        match done {
            Ok(line) => lines.push(line),
            // A case that panics is a defect of the tester, and would go unseen without this.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    lines
}

async fn judge<T: Subject>(case: Case<T>, over: T) -> Line {
    let start = Instant::now();
    let subject = over.clone();
    let finding = match timeout(CASE_PATIENCE, (case.run)(over)).await {
        Ok(Ok(())) => Finding::Passed,
        Ok(Err(failure)) => Finding::Failed(failure.to_string()),
        Err(_) => Finding::Failed(format!("not done within {} s", CASE_PATIENCE.as_secs())),
    };
    let took = start.elapsed();
    let stderr = match finding {
        Finding::Failed(_) => subject.last_words().await,
        _ => Vec::new(),
    };
    Line { case: case.title, finding, took, stderr }
}

/// The lines in the order of the table, with the exclusions taken into account.
fn report<T>(
    role: &'static str,
    mut lines: Vec<Line>,
    cases: &[Case<T>],
    selection: &Selection,
    start: Instant,
) -> Report {
    lines.sort_by_key(|line| cases.iter().position(|case| case.title == line.case));
    let lines = lines.into_iter().map(|line| line.with(&selection.exclusions)).collect();
    Report { role, lines, took: start.elapsed() }
}

/// Drops the collections of this run. A server that is gone meanwhile was told of by the cases.
async fn clean_up(target: &Target) {
    let Ok(mut peer) = Peer::welcome(target).await else { return };
    for collection in target.collections() {
        if peer.submit(&[(&collection, vec![Item::Drop])]).await.is_err() {
            return;
        }
    }
    let last = peer.next_operation.saturating_sub(1);
    if last > 0 && peer.outcome(last).await.is_ok() {
        let _ = peer.part().await;
    }
}
