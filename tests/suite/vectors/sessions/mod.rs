//! Whole sessions, played by our client and our server at once. Each side is asked to do what the next step of its
//! own says, must write that, and is then given what the script's other side wrote. A side that cannot be brought
//! to it (no honest one would say it, or the choice is its own) is not asked further on this connection; how many
//! frames were compared is counted, so that this cannot become the rule unseen.

mod client;
mod frames;
mod server;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use blazedb::proto::CloseReason;
use blazedb::wire::Message;
use blazedb::wire::message::AckLevel;
use serde_json::Value as Json;

use self::client::Asked;
use self::frames::{Written, last_error, plain, read, same};
use self::server::Served;
use super::describe::describe;
use super::handshakes::close_code;
use super::{Case, for_each};

/// One step, taken apart.
struct Step {
    from_client: bool,
    raw: Vec<u8>,
    /// The frame with its payload plain, where it is one that says something.
    frame: Option<Written>,
    fault: Option<String>,
    ends: bool,
}

impl Step {
    fn message(&self) -> Option<Message<'_>> {
        self.frame.as_ref().map(|frame| Message::decode(frame.message_type, &frame.payload).unwrap())
    }
}

/// What happens on one connection.
#[derive(Default)]
struct Steps {
    steps: Vec<Step>,
    cut: bool,
}

impl Steps {
    fn breaks_off(&self) -> bool {
        self.steps.iter().any(|step| step.ends || step.fault.is_some())
    }
}

fn connections(name: &str, steps: &Json) -> Vec<Steps> {
    let mut found = vec![Steps::default()];
    for step in steps.as_array().unwrap() {
        let mut step = Case { name: name.to_owned(), members: step.as_object().unwrap().clone() };
        let transport = step.optional("transport");
        let here = found.last_mut().unwrap();
        match transport.as_ref().map(|transport| transport.as_str().unwrap()) {
            None => here.steps.push(read_step(&mut step)),
            Some("cut") => here.cut = true,
            Some("connect") => found.push(Steps::default()),
            Some(other) => panic!("{name}: {other}"),
        }
        step.done();
    }
    found
}

fn read_step(step: &mut Case) -> Step {
    let (raw, from) = (step.bytes("hex"), step.text("from"));
    assert!(from == "client" || from == "server", "{from}");
    let fault = step.optional("fault").map(|code| code.as_str().unwrap().to_owned());
    let ends = step.optional("ends").is_some_and(|ends| ends == true);
    // What breaks a rule need not be a frame or say what it was made from.
    let message = step.optional("message").filter(|_| fault.is_none());
    let frame = message.map(|expected| {
        let frame = plain(&raw).unwrap_or_else(|| panic!("{}: no frame", step.name));
        let read = Message::decode_extended(frame.message_type, &frame.payload);
        let (message, extension) = read.unwrap_or_else(|error| panic!("{}: {error}", step.name));
        assert_eq!(describe(&message, &extension), expected, "{}", step.name);
        frame
    });
    Step { from_client: from == "client", raw, frame, fault, ends }
}

/// One of the two ends.
trait Side {
    /// Does what `message` says, if an honest side can be asked for it; `rest` is what follows in the script.
    fn act(&mut self, message: &Message<'_>, rest: &[Step]);
    /// Takes what the other side wrote, and what that tells the application.
    fn hear(&mut self, raw: &[u8]);
    /// Appends what it writes now.
    fn transmit(&mut self, out: &mut Vec<u8>);
    /// Why it ended.
    fn close_reason(&self) -> Option<&CloseReason>;
}

/// An end as the script plays it.
struct Player<S> {
    side: S,
    /// What it wrote and the script did not come to yet.
    queue: VecDeque<Written>,
    /// The script speaks for it from now on.
    scripted: bool,
    compared: usize,
}

impl<S: Side> Player<S> {
    fn new(side: S, scripted: bool) -> Self {
        Self { side, queue: VecDeque::new(), scripted, compared: 0 }
    }

    fn drain(&mut self) {
        let mut out = Vec::new();
        self.side.transmit(&mut out);
        self.queue.extend(read(&out));
    }

    fn speak(&mut self, step: &Step, rest: &[Step], place: &str) {
        let (Some(expected), Some(message)) = (&step.frame, step.message()) else {
            self.scripted = true;
            return;
        };
        if self.scripted {
            return;
        }
        if self.queue.is_empty() {
            self.side.act(&message, rest);
            self.drain();
        }
        match self.queue.pop_front() {
            Some(written) => same(expected, &written).unwrap_or_else(|what| panic!("{place}: {what}")),
            None => self.scripted = true,
        }
        self.compared += usize::from(!self.scripted);
    }

    fn hear(&mut self, step: &Step, rest: &[Step], place: &str) {
        if self.scripted {
            return;
        }
        // A refusal at the door: the Error that ends the connection is the answer.
        let refuses = rest.first().is_some_and(|next| next.ends && next.from_client != step.from_client);
        self.side.hear(&step.raw);
        self.drain();
        let reason = self.side.close_reason();
        if let Some(code) = &step.fault {
            assert_eq!(reason.and_then(close_code).as_ref(), Some(code), "{place}: {reason:?}");
            assert_eq!(last_error(&self.queue).as_ref(), Some(code), "{place}: its last words");
        } else if step.ends {
            assert!(matches!(reason, Some(CloseReason::RefusedByPeer(_))), "{place}: {reason:?}");
        } else if !refuses {
            assert!(matches!(reason, None | Some(CloseReason::Goodbye { .. })), "{place}: {reason:?}");
        }
    }
}

#[test]
fn sessions() {
    let compared = Cell::new((0, 0));
    for_each("sessions.json", 170, |case| {
        let steps = case.take("steps");
        let connections = connections(&case.name, &steps);
        let first = case.optional("sequence");
        let sequence = |side: &str| first.as_ref().map_or(0, |first| first[side].as_u64().unwrap() as u32);
        let sequences = (sequence("client"), sequence("server"));
        if case.is_refused() {
            let last = connections.last().and_then(|connection| connection.steps.last()?.fault.clone());
            assert_eq!(last, Some(case.text("code")), "{}", case.name);
        }
        let (asked, served) = play_session(&case.name, &connections, sequences);
        let (asked_before, served_before) = compared.get();
        compared.set((asked_before + asked, served_before + served));
    });
    let (asked, served) = compared.get();
    println!("sessions.json: {asked} frames of our client, {served} of our server");
    assert!(asked >= 350 && served >= 325, "{asked} and {served}: too few frames were compared");
}

fn play_session(name: &str, connections: &[Steps], sequences: (u32, u32)) -> (usize, usize) {
    let (mut outbox, mut outcomes) = (None, Outcomes::new());
    let (mut compared, mut honest) = ((0, 0), true);
    for (at, connection) in connections.iter().enumerate() {
        let (client_first, server_first) = if at == 0 { sequences } else { (0, 0) };
        let (asked, possible) = Asked::new(&connection.steps, outbox, client_first);
        let mut client = Player::new(asked, !possible);
        let mut server = Player::new(Served::new(&connection.steps, server_first), false);
        play(name, connection, &mut client, &mut server);
        compared = (compared.0 + client.compared, compared.1 + server.compared);
        honest &= !client.scripted;
        for (number, refusal) in std::mem::take(&mut client.side.outcomes) {
            assert!(outcomes.insert(number, refusal).is_none(), "{name}: operation {number} was told twice");
        }
        outbox = Some(client.side.into_outbox(connection.cut));
    }
    if honest {
        assert_eq!(outcomes, expected_outcomes(connections), "{name}: outcomes");
    }
    compared
}

fn play(name: &str, connection: &Steps, client: &mut Player<Asked>, server: &mut Player<Served>) {
    let steps = &connection.steps;
    for (at, step) in steps.iter().enumerate() {
        let (place, rest) = (format!("{name}, step {at}"), &steps[at + 1..]);
        if step.from_client {
            client.speak(step, rest, &place);
            server.hear(step, rest, &place);
        } else {
            server.speak(step, rest, &place);
            client.hear(step, rest, &place);
        }
    }
    if !connection.breaks_off() && !connection.cut {
        assert!(client.scripted || client.queue.is_empty(), "{name}: more of the client: {:?}", client.queue);
        assert!(server.scripted || server.queue.is_empty(), "{name}: more of the server: {:?}", server.queue);
    }
}

/// What became of operations, by their numbers: refused by a code, or not.
type Outcomes = BTreeMap<u64, Option<u16>>;

/// The outcomes that a client must report, once an Ack made them final (C-5.6).
fn expected_outcomes(connections: &[Steps]) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for connection in connections {
        let (mut levels, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for message in connection.steps.iter().filter_map(Step::message) {
            match message {
                Message::Operation(operation) => _ = levels.insert(operation.number, operation.ack_level),
                Message::Error(error) => _ = refused.insert(error.subject.id(), error.code),
                Message::Ack(ack) => {
                    for (number, level) in levels.range(..=ack.number) {
                        let refusal = refused.get(number).copied();
                        if ack.level >= *level || (refusal.is_some() && ack.level == AckLevel::Durable) {
                            outcomes.entry(*number).or_insert(refusal);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    outcomes
}
