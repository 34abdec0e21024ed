//! A server that can send anything: one connection of the client under test.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::rules::{Memory, Rules};
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{FRAME_BYTES, Fields, SEQUENCES, frame, kind};
use crate::conformance::limits::{CLIENT_PATIENCE, PATIENCE, READ_BYTES, deadline};
use crate::transport::Stream;
use crate::wire::message::{CreditScope, Mode, QueryKind, Start};
use crate::wire::{CreditLimit, ErrorCode, Flags, FrameBuffer, Message, Position, decompress};

/// A Welcome, right unless it is changed.
#[derive(Debug, Clone)]
pub(super) struct Welcome {
    pub(super) version: u8,
    pub(super) node_decided: u64,
    pub(super) window: u16,
    pub(super) heartbeat_ms: u32,
    pub(super) work: (u64, u64),
    pub(super) request_limit: u16,
    /// Another node than the client must expect; `None` for the one that its Hello named, or [`NODE`] where it named none.
    pub(super) node: Option<Uuid>,
    pub(super) capabilities: Vec<&'static str>,
    pub(super) sequence: u32,
    pub(super) extension: Vec<u8>,
}

/// The node that the tester gives a client that has none.
pub(super) const NODE: Uuid = Uuid::from_u128(0x018f_3c7a_5b2d_7c4e_9a1b_2c3d_4e5f_6071);

impl Welcome {
    pub(super) const fn new() -> Self {
        Self {
            version: 1,
            node_decided: 0,
            window: 1_024,
            heartbeat_ms: 60_000,
            work: (1_024, 4 << 20),
            request_limit: 64,
            node: None,
            capabilities: Vec::new(),
            sequence: 0,
            extension: Vec::new(),
        }
    }

    fn payload(&self, node: Uuid) -> Vec<u8> {
        let head = Fields::new().u8(2).u8(self.version).u64(self.node_decided).u16(self.window);
        let credit = head.u32(self.heartbeat_ms).u64(self.work.0).u64(self.work.1).u64(0).u64(0);
        let at = credit.u16(self.request_limit).u64(0x018f_3029_d900_0003).position(at(1));
        let named = at.uuid(Some(Uuid::from_u128(7))).uuid(Some(node)).str("conformance/1");
        named.strs(&self.capabilities).bytes(&self.extension).done()
    }
}

/// A position of the tester's making.
pub(super) const fn at(seq: u64) -> Position {
    Position { epoch: 1, partition: 0, seq }
}

/// What a client said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    Hello {
        node: Option<Uuid>,
        oldest: u64,
        next: u64,
        database: String,
        heartbeat_ms: u32,
    },
    /// The number, and the payload behind number and level.
    Operation {
        number: u64,
        level: u8,
        body: Vec<u8>,
    },
    Query {
        id: u64,
        credit: CreditLimit,
        asks: Asks,
    },
    Subscribe {
        id: u64,
        credit: CreditLimit,
        mode: Mode,
        start: Start,
        collection: String,
    },
    Cancel(u64),
    Unsubscribe(u64),
    Credit {
        id: u64,
        limit: CreditLimit,
    },
    Ping(u64),
    Pong(u64),
    Goodbye,
    Error(u16),
    End,
}

/// What a Query asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asks {
    Get { collection: String, ids: Vec<Uuid> },
    Scan { collection: String, reverse: bool, limit: u64 },
    Stats,
}

/// One connection, from the server's side.
pub(super) struct Host {
    stream: Stream,
    buffer: FrameBuffer,
    pub(super) rules: Rules,
    pub(super) sequence: u32,
    /// How many Pings were answered.
    pub(super) pings: u64,
    /// Part of a frame was written.
    is_amid_a_frame: bool,
    backlog: VecDeque<Heard>,
}

impl Host {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: FrameBuffer::new(),
            rules: Rules::default(),
            sequence: 0,
            pings: 0,
            is_amid_a_frame: false,
            backlog: VecDeque::new(),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Verdict {
        let deadline = deadline(PATIENCE);
        match timeout_at(deadline, self.stream.write_all(bytes)).await {
            // A client that hung up is heard of by reading.
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::new("the client does not read (P-10.2)")),
        }
    }

    /// The frame of a message with the next sequence.
    pub(super) fn make(&mut self, message_type: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let bytes = frame(message_type, flags, self.sequence, payload);
        self.sequence = self.sequence.wrapping_add(1) % SEQUENCES;
        bytes
    }

    pub(super) async fn send(&mut self, message_type: u8, payload: &[u8]) -> Verdict {
        let bytes = self.make(message_type, 0, payload);
        self.write(&bytes).await
    }

    /// Says the Welcome, and answers the node that it names: the Hello's own (C-2.5), unless the case wants another.
    pub(super) async fn welcome(&mut self, welcome: &Welcome) -> Result<Uuid, Failure> {
        let node = welcome.node.or(self.rules.named).unwrap_or(NODE);
        self.sequence = welcome.sequence;
        self.rules.is_welcome = true;
        self.rules.is_compressing = self.rules.offers_lz4 && welcome.capabilities.contains(&"lz4");
        self.rules.window = u64::from(welcome.window);
        self.rules.work = CreditLimit { frames: welcome.work.0, bytes: welcome.work.1 };
        self.rules.request_limit = welcome.request_limit;
        self.send(kind::HANDSHAKE, &welcome.payload(node)).await?;
        Ok(node)
    }

    /// What is heard next within `patience`; Pings are answered.
    async fn poll(&mut self, memory: &mut Memory, patience: Duration) -> Result<Option<Heard>, Failure> {
        let deadline = deadline(patience);
        loop {
            if let Some(heard) = self.take_frame(memory)? {
                if let Heard::Ping(nonce) = heard {
                    self.pings = self.pings.saturating_add(1);
                    if !self.is_amid_a_frame {
                        let pong = Fields::new().u64(nonce).u64(0x018f_3029_d900_0003).done();
                        self.send(kind::PONG, &pong).await?;
                    }
                    continue;
                }
                return Ok(Some(heard));
            }
            let mut bytes = vec![0; READ_BYTES];
            let read = match timeout_at(deadline, self.stream.read(&mut bytes)).await {
                Err(_) => return Ok(None),
                Ok(read) => read.unwrap_or(0),
            };
            if read == 0 {
                return Ok(Some(Heard::End));
            }
            self.buffer.extend(bytes.get(..read).unwrap_or_default());
        }
    }

    fn take_frame(&mut self, memory: &mut Memory) -> Result<Option<Heard>, Failure> {
        let found = self.buffer.next_frame();
        let found = found.map_err(|error| Failure::new(format_args!("the client sent no frame: {error}")))?;
        let Some(frame) = found else { return Ok(None) };
        let (header, mut payload) = (frame.header, frame.payload.to_vec());
        self.rules.judge_header(&header)?;
        if header.flags.contains(Flags::COMPRESSED) {
            let mut plain = Vec::new();
            decompress(&payload, &mut plain).map_err(|error| {
                Failure::new(format_args!("the client compressed badly: {error} (P-5.2)"))
            })?;
            payload = plain;
        }
        let message = Message::decode(header.message_type, &payload).map_err(|error| {
            Failure::new(format_args!(
                "a payload of type {:#04x} of the client: {error}",
                header.message_type
            ))
        })?;
        self.rules.judge(memory, &message, &payload)?;
        Ok(Some(read(&message, &payload)))
    }

    /// Waits until `pick` takes what is heard. What it does not take is kept.
    pub(super) async fn wait<T>(
        &mut self,
        memory: &mut Memory,
        what: &str,
        mut pick: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T, Failure> {
        if let Some((at, picked)) =
            self.backlog.iter().enumerate().find_map(|(at, heard)| Some((at, pick(heard)?)))
        {
            self.backlog.remove(at);
            return Ok(picked);
        }
        loop {
            let heard = self.poll(memory, CLIENT_PATIENCE).await?;
            let Some(heard) = heard else {
                return Err(Failure::new(format_args!(
                    "{what} did not come within {} s",
                    CLIENT_PATIENCE.as_secs()
                )));
            };
            if let Some(picked) = pick(&heard) {
                return Ok(picked);
            }
            if matches!(heard, Heard::End | Heard::Error(_)) && !is_notice(&heard) {
                return Err(Failure::new(format_args!("{what} was due, there came {heard:?}")));
            }
            self.backlog.push_back(heard);
        }
    }

    /// What is heard within a time while a frame is under way to the client, in whose midst no Ping can be answered.
    pub(super) async fn hear(
        &mut self,
        memory: &mut Memory,
        during: Duration,
    ) -> Result<Option<Heard>, Failure> {
        self.is_amid_a_frame = true;
        let heard = self.poll(memory, during).await;
        self.is_amid_a_frame = false;
        heard
    }

    /// Nothing must be heard for a while but Credit.
    pub(super) async fn is_quiet(&mut self, memory: &mut Memory, during: Duration) -> Verdict {
        let until = deadline(during);
        while let Some(heard) = self.poll(memory, until.saturating_duration_since(Instant::now())).await? {
            if !matches!(heard, Heard::Credit { .. } | Heard::Pong(_)) {
                return Err(Failure::new(format_args!("silence was due, there came {heard:?}")));
            }
        }
        Ok(())
    }

    /// The next operation; its number and its body.
    pub(super) async fn operation(&mut self, memory: &mut Memory) -> Result<(u64, Vec<u8>), Failure> {
        let picked = self.wait(memory, "an Operation", |heard| match heard {
            Heard::Operation { number, level, body } => Some((*number, *level, body.clone())),
            _ => None,
        });
        let (number, level, body) = picked.await?;
        same("the level of the operation", &level, &1)?;
        Ok((number, body))
    }

    /// Acknowledges operations as durable, up to this one.
    pub(super) async fn ack(&mut self, memory: &mut Memory, number: u64, position: Position) -> Verdict {
        self.rules.acknowledged = self.rules.acknowledged.max(number);
        memory.acknowledged = memory.acknowledged.max(number);
        self.send(kind::ACK, &ack(1, number, position)).await
    }

    /// Refuses an operation.
    pub(super) async fn refuse(&mut self, number: u64, code: u16) -> Verdict {
        self.send(kind::ERROR, &error(1, number, code)).await
    }

    /// The next query.
    pub(super) async fn query(&mut self, memory: &mut Memory) -> Result<(u64, CreditLimit, Asks), Failure> {
        let picked = self.wait(memory, "a Query", |heard| match heard {
            Heard::Query { id, credit, asks } => Some((*id, *credit, asks.clone())),
            _ => None,
        });
        picked.await
    }

    /// The next subscription: its id, mode and start.
    pub(super) async fn subscription(&mut self, memory: &mut Memory) -> Result<(u64, Mode, Start), Failure> {
        let picked = self.wait(memory, "a Subscribe", |heard| match heard {
            Heard::Subscribe { id, mode, start, .. } => Some((*id, *mode, *start)),
            _ => None,
        });
        picked.await
    }

    /// Sends a frame of an answer.
    pub(super) async fn answer(&mut self, id: u64, rows: &[(u64, Vec<u8>)], is_last: bool) -> Verdict {
        if is_last {
            self.rules.end(id);
        }
        self.send(kind::QUERY_RESPONSE, &answer(id, rows, is_last)).await
    }

    /// Sends an event of changes: each a number and a record.
    pub(super) async fn changes(&mut self, id: u64, changes: &[(u64, Vec<u8>)]) -> Verdict {
        let bytes = self.make_changes(id, changes);
        self.write(&bytes).await
    }

    /// The frame of such an event.
    pub(super) fn make_changes(&mut self, id: u64, changes: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let last = changes.last().map_or(0, |(seq, _)| *seq);
        let head =
            Fields::new().u64(id).u8(1).position(at(last)).u16(crate::conformance::fields::count_of(changes));
        let all = changes.iter().fold(head, |fields, (seq, record)| fields.u8(0x81).u64(*seq).record(record));
        self.make(kind::EVENT, 0, &all.done())
    }

    /// Sends an event without more: 2 caught_up, 4 waiting, 5 heartbeat, 6 ended.
    pub(super) async fn event(&mut self, id: u64, what: u8, position: Position) -> Verdict {
        if what == 6 {
            self.rules.end(id);
        }
        self.send(kind::EVENT, &Fields::new().u64(id).u8(what).position(position).done()).await
    }

    /// The frame of a large change of this number, and its bytes as they cost.
    pub(super) fn bulky_change(&mut self, id: u64, seq: u64) -> (Vec<u8>, u64) {
        const TEXT_BYTES: usize = 30_000;
        let change = Fields::new().u64(id).u8(1).position(at(seq)).u16(1).u8(0x81).u64(seq);
        let payload = change.record(&crate::conformance::items::bulky(seq, TEXT_BYTES)).done();
        (self.make(kind::EVENT, 0, &payload), cost(&payload))
    }

    /// Frames of changes until nothing is left of what the client granted a subscription, of which `sent` is spent; with what
    /// is spent then.
    pub(super) fn all_that_is_granted(
        &mut self,
        id: u64,
        mut sent: CreditLimit,
    ) -> Result<(Vec<u8>, CreditLimit), Failure> {
        let limit = self.rules.running.get(&id).copied().unwrap_or_default();
        ensure(limit.frames < 100_000 && limit.bytes < 1 << 30, || {
            format!("it grants {limit:?}, which bounds nothing (P-9.5)")
        })?;
        let mut bytes = Vec::new();
        while limit.allows_one_more(sent) {
            let (frame, cost) = self.bulky_change(id, sent.frames.saturating_add(2));
            bytes.extend(frame);
            sent = super::requests::spent(sent, cost);
        }
        Ok((bytes, sent))
    }

    /// Ends the stream from this side alone, and waits until the client has read all and hung up.
    pub(super) async fn hang_up(mut self, memory: &mut Memory) -> Verdict {
        // One that hung up before is heard of by reading.
        let _ = self.stream.shutdown().await;
        let until = deadline(PATIENCE);
        while let Some(heard) = self.poll(memory, until.saturating_duration_since(Instant::now())).await? {
            if heard == Heard::End {
                return Ok(());
            }
        }
        Err(Failure::new("the client does not close a connection that has ended"))
    }

    /// Ends a request by an Error.
    pub(super) async fn refuse_request(&mut self, id: u64, code: u16) -> Verdict {
        self.rules.end(id);
        self.send(kind::ERROR, &error(2, id, code)).await
    }

    /// The client must end the connection; the Error that says why must have one of these codes, where there is one.
    pub(super) async fn ends_by(&mut self, memory: &mut Memory, codes: &[ErrorCode]) -> Verdict {
        let until = deadline(PATIENCE);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.poll(memory, left).await? {
                None => {
                    return Err(Failure::new("the client goes on with a server that broke a rule (C-1.3)"));
                }
                Some(Heard::End) => return Ok(()),
                Some(heard @ Heard::Error(code)) if !is_notice(&heard) => {
                    let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
                    ensure(codes.iter().any(|known| known.number() == code), || {
                        let found = ErrorCode::from_number(code).map_or("unknown", ErrorCode::name);
                        format!("the client names {found}, must name {}", names.join(" or "))
                    })?;
                }
                Some(_) => {}
            }
        }
    }

    /// The client must say Goodbye; it is answered, and the stream ends.
    pub(super) async fn part(mut self, memory: &mut Memory) -> Verdict {
        self.wait(memory, "the client's Goodbye", |heard| (*heard == Heard::Goodbye).then_some(())).await?;
        self.send(kind::GOODBYE, &goodbye(0, 0)).await
    }
}

/// What a frame of this plain payload costs, in bytes (C-3.1).
pub(super) fn cost(payload: &[u8]) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX).saturating_add(FRAME_BYTES)
}

fn is_notice(heard: &Heard) -> bool {
    let is_of_notice = |code: &u16| ErrorCode::from_number(*code).is_some_and(ErrorCode::is_notice);
    matches!(heard, Heard::Error(code) if is_of_notice(code))
}

fn read(message: &Message<'_>, payload: &[u8]) -> Heard {
    match message {
        Message::Hello(hello) => Heard::Hello {
            node: hello.node,
            oldest: hello.oldest_unacked,
            next: hello.next_operation,
            database: hello.database.as_str().to_owned(),
            heartbeat_ms: hello.heartbeat_ms,
        },
        Message::Operation(operation) => Heard::Operation {
            number: operation.number,
            level: operation.ack_level as u8,
            body: payload.get(9..).unwrap_or_default().to_vec(),
        },
        Message::Query(query) => Heard::Query { id: query.id, credit: query.credit, asks: asks(&query.kind) },
        Message::Subscribe(subscribe) => Heard::Subscribe {
            id: subscribe.id,
            credit: subscribe.credit,
            mode: subscribe.mode,
            start: subscribe.start,
            collection: subscribe.collection.as_str().to_owned(),
        },
        Message::Cancel(cancel) => Heard::Cancel(cancel.id),
        Message::Unsubscribe(unsubscribe) => Heard::Unsubscribe(unsubscribe.id),
        Message::Credit(credit) => match credit.scope {
            CreditScope::Request(id) => Heard::Credit { id, limit: credit.limit },
            CreditScope::Lane(_) => Heard::Credit { id: 0, limit: credit.limit },
        },
        Message::Ping(ping) => Heard::Ping(ping.nonce),
        Message::Pong(pong) => Heard::Pong(pong.nonce),
        Message::Error(error) => Heard::Error(error.code),
        _ => Heard::Goodbye,
    }
}

fn asks(kind: &QueryKind<'_>) -> Asks {
    match kind {
        QueryKind::Get { collection, ids } => {
            Asks::Get { collection: collection.as_str().to_owned(), ids: ids.iter().collect() }
        }
        QueryKind::Scan { collection, reverse, limit, .. } => {
            Asks::Scan { collection: collection.as_str().to_owned(), reverse: *reverse, limit: *limit }
        }
        QueryKind::Stats { .. } => Asks::Stats,
    }
}

/// The payload of an Ack.
pub(super) fn ack(level: u8, number: u64, position: Position) -> Vec<u8> {
    Fields::new().u8(0).u8(level).u64(number).u64(0).position(position).done()
}

/// The payload of an Error.
pub(super) fn error(scope: u8, id: u64, code: u16) -> Vec<u8> {
    Fields::new().u8(scope).u64(id).u16(code).str("as the case wants it").null().done()
}

/// The payload of a Goodbye.
pub(super) fn goodbye(code: u16, retry_after_ms: u32) -> Vec<u8> {
    Fields::new().u16(code).u32(retry_after_ms).str("as the case wants it").done()
}

/// The payload of a QueryResponse.
pub(super) fn answer(id: u64, rows: &[(u64, Vec<u8>)], is_last: bool) -> Vec<u8> {
    let head = Fields::new()
        .u64(id)
        .u8(u8::from(is_last))
        .position(at(9))
        .u16(crate::conformance::fields::count_of(rows));
    rows.iter().fold(head, |fields, (seq, record)| fields.u64(*seq).record(record)).done()
}
