//! A client that can send anything: frames over a stream, and what is heard, judged by the rules.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep, timeout_at};

use super::failure::{Failure, Verdict, ensure};
use super::fields::{FRAME_BYTES, Fields, REQUIRES_ACK, SEQUENCES, frame, kind};
use super::hello::Hello;
use super::limits::{PATIENCE, READ_BYTES, deadline};
use super::rules::Rules;
use super::said::{Complaint, Greeting, Said};
use super::target::Target;
use crate::transport::Stream;
use crate::wire::message::{Ack, AckLevel};
use crate::wire::{ErrorCode, Flags, FrameBuffer, FrameError, Message, Subject, decompress};

/// One connection of a case.
pub(super) struct Peer {
    reading: ReadHalf<Stream>,
    writing: WriteHalf<Stream>,
    buffer: FrameBuffer,
    pub(super) rules: Rules,
    /// The sequence of the next frame.
    pub(super) sequence: u32,
    /// The number of the next operation.
    pub(super) next_operation: u64,
    /// The id of the next request.
    pub(super) next_request: u64,
    /// Frames and bytes of the work lane.
    pub(super) worked: (u64, u64),
    window: u64,
    /// The number before the oldest without an outcome, as the Hello had it.
    told_before: u64,
    /// Heard, and not what was waited for.
    backlog: VecDeque<Said>,
    pub(super) refusals: BTreeMap<u64, Complaint>,
    /// The Acks of level durable.
    pub(super) durable: Vec<Ack>,
    pub(super) greeting: Option<Greeting>,
}

impl Peer {
    /// Connects, and says nothing.
    pub(super) async fn dial(target: &Target) -> Result<Self, Failure> {
        Ok(Self::over(target.dial().await?))
    }

    fn over(stream: Stream) -> Self {
        let (reading, writing) = tokio::io::split(stream);
        Self {
            reading,
            writing,
            buffer: FrameBuffer::new(),
            rules: Rules::default(),
            sequence: 0,
            next_operation: 1,
            next_request: 1,
            worked: (0, 0),
            window: u64::MAX,
            told_before: 0,
            backlog: VecDeque::new(),
            refusals: BTreeMap::new(),
            durable: Vec::new(),
            greeting: None,
        }
    }

    /// Connects as a new node and is welcome.
    pub(super) async fn welcome(target: &Target) -> Result<Self, Failure> {
        Self::greet(target, &Hello::new(target.url.database())).await
    }

    /// Connects, says this Hello, and is welcome.
    pub(super) async fn greet(target: &Target, hello: &Hello) -> Result<Self, Failure> {
        let mut peer = Self::introduce(target, hello).await?;
        peer.expect_welcome().await?;
        Ok(peer)
    }

    /// Connects and says this Hello.
    pub(super) async fn introduce(target: &Target, hello: &Hello) -> Result<Self, Failure> {
        let mut peer = Self::dial(target).await?;
        peer.sequence = hello.sequence;
        peer.next_operation = hello.oldest_unacked;
        peer.told_before = hello.oldest_unacked.saturating_sub(1);
        peer.send(kind::HANDSHAKE, &hello.payload()).await?;
        Ok(peer)
    }

    /// Waits for the Welcome.
    pub(super) async fn expect_welcome(&mut self) -> Result<Greeting, Failure> {
        match self.next("the Welcome").await? {
            Said::Welcome(greeting) => {
                self.window = u64::from(greeting.operation_window);
                self.greeting = Some((*greeting).clone());
                Ok(*greeting)
            }
            other => Err(unexpected("the Welcome", &other)),
        }
    }

    /// What the Welcome said.
    pub(super) fn greeting(&self) -> Result<&Greeting, Failure> {
        self.greeting.as_ref().ok_or_else(|| Failure::new("there was no Welcome"))
    }

    /// The frame of a message with the next sequence; what it says is noted.
    pub(super) fn make(&mut self, message_type: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let bytes = frame(message_type, flags, self.sequence, payload);
        self.note(message_type, payload, payload.len());
        bytes
    }

    /// Counts a frame that goes out; `plain` are the bytes of its plain payload.
    pub(super) fn note(&mut self, message_type: u8, payload: &[u8], plain: usize) {
        self.sequence = self.sequence.wrapping_add(1) % SEQUENCES;
        self.rules.note_sent(message_type, payload);
        if matches!(message_type, kind::OPERATION | kind::QUERY | kind::SUBSCRIBE) {
            let bytes = u64::try_from(plain).unwrap_or(u64::MAX).saturating_add(FRAME_BYTES);
            self.worked = (self.worked.0.saturating_add(1), self.worked.1.saturating_add(bytes));
        }
    }

    /// Sends a message as it should be framed.
    pub(super) async fn send(&mut self, message_type: u8, payload: &[u8]) -> Verdict {
        let flags = if message_type == kind::OPERATION { REQUIRES_ACK } else { 0 };
        self.send_flagged(message_type, flags, payload).await
    }

    /// Sends a message with these flags.
    pub(super) async fn send_flagged(&mut self, message_type: u8, flags: u8, payload: &[u8]) -> Verdict {
        let bytes = self.make(message_type, flags, payload);
        self.write(&bytes).await
    }

    /// Writes bytes as they are. A server that hung up is heard of by reading.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Verdict {
        let deadline = deadline(PATIENCE);
        let written = async {
            self.writing.write_all(bytes).await?;
            self.writing.flush().await
        };
        match timeout_at(deadline, written).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::new("the server does not read (P-10.2)")),
        }
    }

    /// Writes while it reads: for more than fits the buffers between the two.
    pub(super) async fn flood(&mut self, bytes: &[u8]) -> Verdict {
        for piece in bytes.chunks(READ_BYTES) {
            self.write(piece).await?;
            while let Some(said) = self.poll(Duration::ZERO).await? {
                let is_end = said == Said::End;
                self.backlog.push_back(said);
                if is_end {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Ends the client's half of the stream.
    pub(super) async fn shut(&mut self) {
        // The server may have closed it before.
        let _ = self.writing.shutdown().await;
    }

    /// The next thing that is heard; `what` is waited for.
    pub(super) async fn next(&mut self, what: &str) -> Result<Said, Failure> {
        if let Some(said) = self.backlog.pop_front() {
            return Ok(said);
        }
        self.hear(what).await
    }

    /// The same, from the stream.
    async fn hear(&mut self, what: &str) -> Result<Said, Failure> {
        let late = || Failure::new(format_args!("{what} did not come within {} s", PATIENCE.as_secs()));
        self.poll(PATIENCE).await?.ok_or_else(late)
    }

    /// What is heard within `patience`, if anything.
    pub(super) async fn poll(&mut self, patience: Duration) -> Result<Option<Said>, Failure> {
        let deadline = deadline(patience);
        loop {
            if let Some(said) = self.take_frame()? {
                return Ok(Some(said));
            }
            let mut bytes = vec![0; READ_BYTES];
            let read = match timeout_at(deadline, self.reading.read(&mut bytes)).await {
                Err(_) => return Ok(None),
                // A server that closes with bytes unread resets the stream.
                Ok(read) => read.unwrap_or(0),
            };
            if read == 0 {
                let pending = self.buffer.pending_bytes();
                ensure(pending == 0, || format!("the server ended with {pending} bytes of a frame"))?;
                return Ok(Some(Said::End));
            }
            self.buffer.extend(bytes.get(..read).unwrap_or_default());
        }
    }

    fn take_frame(&mut self) -> Result<Option<Said>, Failure> {
        let found = self.buffer.next_frame();
        let Some(frame) =
            found.map_err(|error| Failure::new(format_args!("the server sent no frame: {error}")))?
        else {
            return Ok(None);
        };
        let (header, mut payload) = (frame.header, frame.payload.to_vec());
        self.rules.judge_header(&header)?;
        if header.flags.contains(Flags::COMPRESSED) {
            let mut plain = Vec::new();
            decompress(&payload, &mut plain).map_err(|error| {
                Failure::new(format_args!("the server compressed badly: {error} (P-5.2)"))
            })?;
            payload = plain;
        }
        let message = Message::decode(header.message_type, &payload).map_err(|error| {
            Failure::new(format_args!(
                "a payload of type {:#04x} of the server: {error}",
                header.message_type
            ))
        })?;
        let said = self.rules.judge(&message, payload.len())?;
        match &said {
            Said::Ack(ack) if ack.level == AckLevel::Durable => self.durable.push(*ack),
            Said::Error(complaint) => {
                if let Subject::Operation(number) = complaint.subject {
                    self.refusals.insert(number, complaint.clone());
                }
            }
            _ => {}
        }
        Ok(Some(said))
    }

    /// Waits until `pick` takes what is heard. What it does not take is kept.
    pub(super) async fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Said) -> Option<T>,
    ) -> Result<T, Failure> {
        let found = self.backlog.iter().enumerate().find_map(|(at, said)| Some((at, pick(said)?)));
        if let Some((at, picked)) = found {
            self.backlog.remove(at);
            return Ok(picked);
        }
        loop {
            let said = self.hear(what).await?;
            if let Some(picked) = pick(&said) {
                return Ok(picked);
            }
            if is_ending(&said) {
                return Err(unexpected(what, &said));
            }
            self.backlog.push_back(said);
        }
    }

    /// Forgets what was heard and not waited for.
    pub(super) fn forget(&mut self) {
        self.backlog.clear();
    }

    /// The connection must end by an Error of this code; nothing but a Goodbye follows it.
    pub(super) async fn ends_by(&mut self, code: ErrorCode) -> Verdict {
        self.ends_by_one_of(&[code]).await.map(drop)
    }

    /// The same, by one of these codes.
    pub(super) async fn ends_by_one_of(&mut self, codes: &[ErrorCode]) -> Result<ErrorCode, Failure> {
        let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
        let what = format!("the Error {} of the connection", names.join(" or "));
        loop {
            let said = self.next(&what).await?;
            match &said {
                Said::Error(complaint) if is_ending(&said) => {
                    let found = codes.iter().find(|code| code.number() == complaint.code);
                    let found = *found.ok_or_else(|| unexpected(&what, &said))?;
                    self.ends().await?;
                    return Ok(found);
                }
                Said::End => return Err(unexpected(&what, &said)),
                _ => {}
            }
        }
    }

    /// The server must end the stream.
    pub(super) async fn ends(&mut self) -> Verdict {
        loop {
            if self.next("the end of the connection").await? == Said::End {
                return Ok(());
            }
        }
    }

    /// Whether the server answered by what is no frame of BLAZE.
    pub(super) fn hears_another_protocol(&mut self) -> bool {
        matches!(self.buffer.next_frame(), Err(FrameError::BadMagic))
    }

    /// The server must end the stream, whatever it says before.
    pub(super) async fn hangs_up(&mut self) -> Verdict {
        let deadline = deadline(PATIENCE);
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match timeout_at(deadline, self.reading.read(&mut bytes)).await {
                Err(_) => {
                    return Err(Failure::new("the server keeps a stream that is none of its protocols'"));
                }
                Ok(Ok(1..)) => {}
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Nothing must be heard for a while but Credit and Pings.
    pub(super) async fn is_quiet(&mut self, during: Duration) -> Verdict {
        let until = deadline(during);
        while let Some(said) = self.poll(until.saturating_duration_since(Instant::now())).await? {
            if !matches!(said, Said::Credit(_) | Said::Ping(_)) {
                return Err(unexpected("silence", &said));
            }
        }
        Ok(())
    }

    /// The server must answer a Ping: the connection goes on.
    pub(super) async fn is_alive(&mut self) -> Verdict {
        let nonce = u64::from(self.sequence).saturating_add(0xA11F_0000);
        self.send(kind::PING, &Fields::new().u64(nonce).done()).await?;
        // Pongs of Pings before may be on the way.
        let pong =
            |said: &Said| matches!(said, Said::Pong { nonce: found, .. } if *found == nonce).then_some(());
        self.wait("the Pong of a Ping", pong).await
    }

    /// Says Goodbye, and the server answers and ends.
    pub(super) async fn part(mut self) -> Verdict {
        self.send(kind::GOODBYE, &goodbye(0)).await?;
        loop {
            match self.next("the server's Goodbye").await? {
                Said::Goodbye { .. } => return self.ends().await,
                Said::End => {
                    return Err(Failure::new("the connection ended without the server's Goodbye (C-11.2)"));
                }
                _ => {}
            }
        }
    }

    /// Waits until one more frame may be sent on the work lane, and one more operation.
    pub(super) async fn wait_for_room(&mut self) -> Verdict {
        let until = deadline(PATIENCE);
        loop {
            let limit = self.rules.work();
            let has_credit = self.worked.0 < limit.frames && self.worked.1 < limit.bytes;
            let acked = self.durable.last().map_or(0, |ack| ack.number);
            let has_window = self.next_operation <= acked.max(self.told_before).saturating_add(self.window);
            if has_credit && has_window {
                return Ok(());
            }
            ensure(Instant::now() < until, || {
                format!("no Credit or Ack comes: {:?} of {limit:?}", self.worked)
            })?;
            let said = self.hear("Credit or an Ack").await?;
            if is_ending(&said) {
                return Err(unexpected("Credit or an Ack", &said));
            }
            if !matches!(said, Said::Ack(_) | Said::Credit(_)) {
                self.backlog.push_back(said);
            }
        }
    }

    /// Waits a moment, so that what was written before travels alone.
    pub(super) async fn pause(&mut self, moment: Duration) {
        sleep(moment).await;
    }
}

fn is_ending(said: &Said) -> bool {
    match said {
        Said::End => true,
        Said::Error(complaint) => complaint.subject == Subject::Connection && !complaint.is_notice(),
        _ => false,
    }
}

/// The payload of a Goodbye without a reason in words.
pub(super) fn goodbye(code: u16) -> Vec<u8> {
    Fields::new().u16(code).u32(0).str("").done()
}

/// Something else came.
pub(super) fn unexpected(what: &str, said: &Said) -> Failure {
    match said {
        Said::End => Failure::new(format_args!("{what} was due, the server ended the connection")),
        Said::Error(complaint) => Failure::new(format_args!(
            "{what} was due, there came {} about {:?}: {}",
            complaint.name(),
            complaint.subject,
            complaint.message
        )),
        other => Failure::new(format_args!("{what} was due, there came {other:?}")),
    }
}
