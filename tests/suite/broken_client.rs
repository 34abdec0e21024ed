//! A client that is broken on purpose, in twenty ways: the tester of conformance finds each, and finds none where there is
//! none. It is the Python client, of which a copy is changed in one place.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use blazedb::conformance::{ClientStage, Finding, Report, Selection, check_client};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::conformance::{block_on, only, path};

/// A change to a file of the client: the file, what stands there once, and what stands there instead.
type Change = (&'static str, &'static str, &'static str);

/// What a careless implementation does, and the case that must fail by it.
const FAULTS: &[(&str, Change, &str)] = &[
    (
        "charges a compressed answer by what travelled",
        (
            "connection.py",
            "message, frames.OVERHEAD + len(payload), now",
            "message, frames.OVERHEAD + len(frame.payload), now",
        ),
        "client.lz4.credit",
    ),
    (
        "charges the Event ended",
        (
            "connection.py",
            "            account = self._requests.get(event.id)\n            if self._goodbye is not None:\n",
            "            account = self._account(event.id, False, cost)\n            if self._goodbye is not None:\n",
        ),
        "client.watch.cancel.credit",
    ),
    (
        "does not expect answers behind its own Goodbye",
        (
            "connection.py",
            "        if self._goodbye is not None:\n            return None\n        account = self._requests.get(request)",
            "        account = self._requests.get(request)",
        ),
        "client.close.crossing",
    ),
    (
        "does not expect Errors of requests behind its own Goodbye",
        (
            "connection.py",
            "        if self._goodbye is not None and self._heard_goodbye is None:\n            return\n",
            "",
        ),
        "client.close.crossing",
    ),
    (
        "takes any byte for a sign of life",
        ("connection.py", "pending - self._heard_pending >= HEARD_BYTES", "pending > self._heard_pending"),
        "client.time.trickle",
    ),
    (
        "takes whole frames alone for a sign of life",
        ("connection.py", "pending - self._heard_pending >= HEARD_BYTES", "pending < 0"),
        "client.time.slow",
    ),
    (
        "moves the window by what is accepted",
        ("connection.py", "self._last_sent - self._durable <", "self._last_sent - self._covered <"),
        "client.operation.window.accepted",
    ),
    (
        "reads a large payload before the Welcome",
        ("connection.py", "frames.Deframer(frames.MAX_HANDSHAKE_PAYLOAD)", "frames.Deframer()"),
        "client.welcome.length",
    ),
    (
        "takes anything behind the server's Goodbye",
        (
            "connection.py",
            "if self._heard_goodbye is not None and kind not in (messages.ACK, messages.ERROR):",
            "if False:",
        ),
        "client.fault.goodbye",
    ),
    (
        "gives up by a code that it does not know",
        (
            "session.py",
            "return row is None or row.retryable",
            "return not code or row is not None and row.retryable",
        ),
        "client.lost.unknown",
    ),
    (
        "does not see that the server has forgotten it",
        ("connection.py", "if hello.oldest_unacked > welcome.node_decided + 1:", "if False:"),
        "client.welcome.expired",
    ),
    (
        "does not see that its numbers are another's",
        ("connection.py", "if welcome.node_decided >= hello.next_operation:", "if False:"),
        "client.welcome.reused",
    ),
    (
        "passes over an Event about a query",
        (
            "connection.py",
            "        if account is None or account.query is not query:\n",
            "        if account is not None and account.query is not query:\n            return None\n        if account is None:\n",
        ),
        "client.fault.request.kind",
    ),
    (
        "loses what it had not handed on when the connection was lost",
        (
            "requests.py",
            "    def lost(self) -> bool:\n        return True\n",
            "    def lost(self) -> bool:\n        self._events.clear()\n        self._change = 0\n        self._unread = 0\n        return True\n",
        ),
        "client.watch.resume.burst",
    ),
    (
        "tells a change twice, since it goes on after what was handed on and keeps what was not",
        (
            "requests.py",
            "        self._reached = event.position\n",
            "        self._reached = self.position\n",
        ),
        "client.watch.resume.burst",
    ),
    (
        "passes over the position of a heartbeat",
        (
            "requests.py",
            "        self._reached = event.position\n",
            "        self._reached = self._reached if event.kind == messages.HEARTBEAT else event.position\n",
        ),
        "client.watch.resume.heartbeat",
    ),
    (
        "gives an operation that it sends again a new number",
        (
            "session.py",
            "        oldest = self._outbox[0].number if self._outbox else self._next\n",
            "        for pending in self._outbox:\n            pending.number, self._next = self._next, self._next + 1\n        oldest = self._outbox[0].number if self._outbox else self._next\n",
        ),
        "client.resume.unsent",
    ),
    (
        "forgets on a new connection what was under way",
        ("session.py", "        self._again = deque(self._outbox)\n", "        self._again = deque()\n"),
        "client.resume.unsent",
    ),
    (
        "tells a refusal that no Ack covered",
        (
            "connection.py",
            "            self._refused[error.id] = error\n",
            "            happened.append(Refusal(error.id, error))\n            happened.append(Acked(messages.DURABLE, error.id, bytes(16)))\n",
        ),
        "client.resume.refused",
    ),
    (
        "takes a double for an int",
        (
            "typed_json.py",
            "    value = float(literal)\n",
            "    value: float = int(float(literal)) if float(literal).is_integer() else float(literal)\n",
        ),
        "client.operation.types",
    ),
    (
        "waits for nothing that it was advised",
        ("session.py", "        if advised_ms:\n", "        if False:\n"),
        "client.goodbye",
    ),
];

/// A copy of the Python client with its driver, changed in some places.
fn client(changes: &[Change]) -> (TempDir, ClientStage) {
    let folder = tempfile::tempdir().unwrap();
    let from = path("clients/python");
    fs::create_dir(folder.path().join("blazedb")).unwrap();
    for entry in fs::read_dir(from.join("blazedb")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&file, folder.path().join("blazedb").join(file.file_name().unwrap())).unwrap();
        }
    }
    let driver = folder.path().join("conformance_driver.py");
    fs::copy(from.join("conformance_driver.py"), &driver).unwrap();
    for (file, old, new) in changes {
        change(&folder.path().join("blazedb").join(file), old, new);
    }
    let command = vec!["python3".to_owned(), driver.to_str().unwrap().to_owned()];
    (folder, ClientStage { listen: "127.0.0.1:0".parse().unwrap(), command })
}

fn change(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(old).count(), 1, "{}: {old}", file.display());
    fs::write(file, text.replace(old, new)).unwrap();
}

/// Those that take half a minute are among them.
fn selection(case: &str) -> Selection {
    Selection { slow: true, ..only(&[case]) }
}

/// The faults that are not found, each with the report.
async fn unfound() -> Vec<String> {
    let places = Arc::new(Semaphore::new(4));
    let judged = FAULTS.iter().map(|(fault, change, case)| {
        let places = Arc::clone(&places);
        tokio::spawn(async move {
            let _place = places.acquire_owned().await;
            let (_folder, stage) = client(&[*change]);
            let report = check_client(&stage, &selection(case)).await;
            let is_found = report.lines.len() == 1 && matches!(report.lines[0].finding, Finding::Failed(_));
            (!is_found).then(|| format!("{fault}\n{}", report.text(true)))
        })
    });
    let judged: Vec<_> = judged.collect();
    let mut unfound = Vec::new();
    for judged in judged {
        unfound.extend(judged.await.unwrap());
    }
    unfound
}

#[test]
fn each_fault_is_found() {
    let unfound = block_on(unfound());
    assert!(unfound.is_empty() && FAULTS.len() >= 20, "{}", unfound.join("\n"));
}

fn passes(report: &Report) {
    assert!(report.is_clean() && !report.lines.is_empty(), "{}", report.text(false));
}

/// What finds the faults finds nothing where there is none: the copy is no fault by itself.
#[test]
fn a_client_without_a_fault_passes() {
    let (_folder, stage) = client(&[]);
    let cases: Vec<&str> = FAULTS.iter().map(|(.., case)| *case).collect();
    passes(&block_on(check_client(&stage, &Selection { slow: true, ..only(&cases) })));
}

/// A client may make its own id and name it in its first Hello (E-4.8); the server is to welcome that one (C-2.5).
#[test]
fn a_client_that_names_its_own_node_passes() {
    let none = "        self.node: Optional[uuid.UUID] = None\n";
    let own = "        self.node: Optional[uuid.UUID] = uuid.UUID('01933f00-0000-7000-8000-00000000b1a5')\n";
    let (_folder, stage) = client(&[
        ("session.py", none, own),
        (
            "session.py",
            "self.node, self._next = None, 1",
            "self.node, self._next = uuid.UUID('01933f00-0000-7000-8000-00000000b1a6'), 1",
        ),
    ]);
    passes(&block_on(check_client(&stage, &Selection::default())));
}
