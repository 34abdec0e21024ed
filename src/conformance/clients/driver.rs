//! The program under test: commands in, answers out, as `conformance/client-contract.md` says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use super::words::LastWords;
use crate::blazebinary::{Dict, Value, json};
use crate::conformance::failure::{Failure, Verdict, ensure};
use crate::conformance::limits::{CLIENT_PATIENCE, deadline};

/// How long a program may take to end once its stdin has.
const END: Duration = Duration::from_secs(5);

/// A program that drives a client.
pub(super) struct Driver {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: UnboundedReceiver<String>,
    next_id: u64,
    /// Read, and not what was waited for.
    backlog: VecDeque<Dict>,
    answered: Vec<u64>,
    /// Held by whoever does not want the program to be listened to.
    ears: Arc<Mutex<()>>,
}

/// An answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Done(Dict),
    Failed { kind: String, code: i64 },
}

impl Driver {
    /// Starts the program; what it writes to stderr goes to `words`.
    pub(super) fn start(
        command: &[String],
        url: &str,
        scenario: &str,
        words: &LastWords,
    ) -> Result<Self, Failure> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| Failure::new("there is no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("BLAZEDB_URL", url)
            .env("BLAZEDB_SCENARIO", scenario)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format_args!("cannot start {program}: {error}")))?;
        let stdin = child.stdin.take();
        let (said, lines) = unbounded_channel();
        let ears = Arc::new(Mutex::new(()));
        if let Some(stdout) = child.stdout.take() {
            let ears = Arc::clone(&ears);
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    drop(ears.blocking_lock());
                    if said.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        if let Some(stderr) = child.stderr.take() {
            words.listen(stderr);
        }
        let (backlog, answered) = (VecDeque::new(), Vec::new());
        Ok(Self { child, stdin, lines, next_id: 1, backlog, answered, ears })
    }

    /// Lets what the program writes wait in its pipe until the guard is dropped, as a slow application does.
    pub(super) async fn stop_listening(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.ears).lock_owned().await
    }

    /// Gives a command: the members behind its id, as JSON. Answers its id.
    pub(super) fn tell(&mut self, members: &str) -> Result<u64, Failure> {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let stdin = self.stdin.as_mut().ok_or_else(|| Failure::new("the program's stdin is closed"))?;
        let line = format!("{{\"id\":{id},{members}}}\n");
        stdin
            .write_all(line.as_bytes())
            .and_then(|()| stdin.flush())
            .map_err(|error| Failure::new(format_args!("the program does not read its stdin: {error}")))?;
        Ok(id)
    }

    /// The next line within `patience` that is about a command.
    async fn line(&mut self, patience: Duration) -> Result<Option<Dict>, Failure> {
        let deadline = deadline(patience);
        loop {
            let line = match timeout_at(deadline, self.lines.recv()).await {
                Err(_) => return Ok(None),
                Ok(Some(line)) => line,
                Ok(None) => return Err(Failure::new("the program ended")),
            };
            let value = json::read_value(&line).map_err(|error| {
                Failure::new(format_args!("the program wrote a line that is no typed JSON: {error}: {line}"))
            })?;
            let Value::Dict(dict) = value else {
                return Err(Failure::new(format_args!("the program wrote a line that is no object: {line}")));
            };
            if dict.get("id").is_some() {
                return self.check(dict).map(Some);
            }
        }
    }

    /// One answer a command, and nothing behind it.
    fn check(&mut self, dict: Dict) -> Result<Dict, Failure> {
        let id = id_of(&dict);
        ensure((1..self.next_id).contains(&id), || format!("the program answers {id}, which was not told"))?;
        ensure(!self.answered.contains(&id), || {
            format!("the program says more of {id}, which is answered: {dict:?}")
        })?;
        if dict.get("event").is_none() {
            self.answered.push(id);
        }
        Ok(dict)
    }

    async fn next_of(
        &mut self,
        id: u64,
        is_event: bool,
        patience: Duration,
    ) -> Result<Option<Dict>, Failure> {
        let fits = |dict: &Dict| id_of(dict) == id && dict.get("event").is_some() == is_event;
        if let Some(at) = self.backlog.iter().position(fits) {
            return Ok(self.backlog.remove(at));
        }
        let deadline = deadline(patience);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(dict) = self.line(left).await? else { return Ok(None) };
            if fits(&dict) {
                return Ok(Some(dict));
            }
            self.backlog.push_back(dict);
        }
    }

    /// The answer to a command.
    pub(super) async fn answer(&mut self, id: u64) -> Result<Answer, Failure> {
        let found = self.next_of(id, false, CLIENT_PATIENCE).await?;
        let dict = found.ok_or_else(|| Failure::new(format_args!("command {id} is not answered")))?;
        read_answer(&dict)
    }

    /// The answer must be that it was done.
    pub(super) async fn done(&mut self, id: u64) -> Result<Dict, Failure> {
        match self.answer(id).await? {
            Answer::Done(dict) => Ok(dict),
            Answer::Failed { kind, code } => {
                Err(Failure::new(format_args!("command {id} must succeed, it failed: {kind}, code {code}")))
            }
        }
    }

    /// The answer must be an error of this kind and code.
    pub(super) async fn failed(&mut self, id: u64, kind: &str, code: u16) -> Verdict {
        let expected = Answer::Failed { kind: kind.to_owned(), code: i64::from(code) };
        let found = self.answer(id).await?;
        ensure(found == expected, || format!("command {id} is answered {found:?}, must be {expected:?}"))
    }

    /// There must be no answer yet.
    pub(super) async fn is_unanswered(&mut self, id: u64, during: Duration) -> Verdict {
        let found = self.next_of(id, false, during).await?;
        ensure(found.is_none(), || format!("command {id} is answered too soon: {found:?}"))
    }

    /// The next event of a watch but heartbeats and waiting: its name and its changes.
    pub(super) async fn event(&mut self, id: u64) -> Result<(String, Vec<Value>), Failure> {
        loop {
            let dict = self.next_of(id, true, CLIENT_PATIENCE).await?;
            let dict = dict.ok_or_else(|| Failure::new(format_args!("no event of {id} is told")))?;
            let name = text_of(&dict, "event");
            if name != "heartbeat" && name != "waiting" {
                let changes = match dict.get("changes") {
                    Some(Value::Array(changes)) => changes.clone(),
                    _ => Vec::new(),
                };
                return Ok((name, changes));
            }
        }
    }

    /// Whether an event is told within a time.
    pub(super) async fn has_event(&mut self, id: u64, during: Duration) -> Result<bool, Failure> {
        Ok(self.next_of(id, true, during).await?.is_some())
    }

    /// Ends its stdin; it must end by itself, with status 0.
    pub(super) async fn ends(&mut self) -> Verdict {
        self.stdin = None;
        let until = deadline(END);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return ensure(status.success(), || format!("the program ended with {status}"));
            }
            ensure(Instant::now() < until, || "the program does not end at the end of its stdin".to_owned())?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // One that ended by itself is none to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id_of(dict: &Dict) -> u64 {
    match dict.get("id") {
        Some(Value::Int(id)) => u64::try_from(*id).unwrap_or_default(),
        _ => 0,
    }
}

fn text_of(dict: &Dict, key: &str) -> String {
    match dict.get(key) {
        Some(Value::String(text)) => text.to_string(),
        _ => String::new(),
    }
}

fn read_answer(dict: &Dict) -> Result<Answer, Failure> {
    match (dict.get("ok"), dict.get("error")) {
        (Some(Value::Dict(done)), None) => Ok(Answer::Done(done.clone())),
        (None, Some(Value::Dict(error))) => {
            let code = match error.get("code") {
                Some(Value::Int(code)) => *code,
                _ => 0,
            };
            Ok(Answer::Failed { kind: text_of(error, "kind"), code })
        }
        _ => Err(Failure::new(format_args!("the program answers neither ok nor error: {dict:?}"))),
    }
}
