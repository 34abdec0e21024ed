//! Frames of RFC 6455, its own examples among them, in pieces of every size.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};

use super::WebSocket;
use super::frames::{Answers, Fault, MAX_MESSAGE_BYTES, Receiver, Role, push_close, push_message, push_pong};

/// RFC 6455, section 5.7: "Hello", masked, here as a binary message.
const MASKED: [u8; 11] = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// The same section's masked Pong of "Hello", as the Ping that it answers.
const PING: [u8; 11] = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What comes out of `bytes`, in pieces of `size`.
fn read(role: Role, bytes: &[u8], size: usize) -> Result<(Vec<u8>, Answers, bool), Fault> {
    let (mut receiver, mut answers, mut found) = (Receiver::new(role), Answers::default(), Vec::new());
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        let kept = receiver.take(&mut piece, &mut answers)?;
        found.extend_from_slice(&piece[..kept]);
    }
    Ok((found, answers, receiver.is_closed()))
}

#[test]
fn the_examples_of_the_rfc_are_read_and_written() {
    let mut masked = Vec::new();
    push_message(b"Hello", Some(MASK), &mut masked);
    assert_eq!(masked, MASKED);
    let mut plain = Vec::new();
    push_message(b"Hello", None, &mut plain);
    assert_eq!(plain, *b"\x82\x05Hello");
    push_pong(b"Hello", None, &mut plain);
    assert_eq!(plain[7..], *b"\x8a\x05Hello");
    let mut close = Vec::new();
    push_close(1000, None, &mut close);
    assert_eq!(close, [0x88, 2, 0x03, 0xe8]);
    // Section 5.7: the headers of 256 bytes and of 64 KiB.
    for (length, header) in [(256, &[0x82, 0x7e, 1, 0][..]), (65536, &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0])] {
        let mut frame = Vec::new();
        push_message(&vec![7; length], None, &mut frame);
        assert_eq!((&frame[..header.len()], frame.len()), (header, header.len() + length));
        assert_eq!(read(Role::Client, &frame, 1000).unwrap().0, vec![7; length]);
    }
    // A fragmented message with a control frame inside.
    let fragments = b"\x02\x03Hel\x89\x01p\x80\x02lo";
    for size in 1..=fragments.len() {
        let (found, answers, closed) = read(Role::Client, fragments, size).unwrap();
        assert_eq!(
            (found.as_slice(), answers.pong.as_deref(), closed),
            (&b"Hello"[..], Some(&b"p"[..]), false)
        );
    }
}

#[test]
fn pieces_of_every_size_give_the_same() {
    let close = [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2];
    let bytes = [&MASKED[..], &PING, &MASKED, &close, b"behind it"].concat();
    for size in 1..=bytes.len() {
        let (found, answers, closed) = read(Role::Server, &bytes, size).unwrap();
        assert_eq!(found, b"HelloHello", "{size}");
        assert_eq!(answers, Answers { pong: Some(b"Hello".to_vec()), close: Some(1000) }, "{size}");
        assert!(closed);
    }
}

#[test]
fn what_breaks_the_rules_is_told_by_its_code() {
    let too_long = (MAX_MESSAGE_BYTES + 1).to_be_bytes();
    let too_long = [&[0x82, 0xff][..], &too_long, &[0; 4]].concat();
    let half = (MAX_MESSAGE_BYTES / 2 + 1).to_be_bytes();
    let mut two_halves = [&[0x02, 0x7f][..], &half].concat();
    two_halves.resize(10 + MAX_MESSAGE_BYTES as usize / 2 + 1, 0);
    two_halves.extend([&[0x80, 0x7f][..], &half].concat());
    for (role, bytes, code) in [
        (Role::Server, &[0x81, 0x80, 0, 0, 0, 0][..], 1003),
        (Role::Server, b"\x82\x05Hello", 1002),
        (Role::Client, &MASKED, 1002),
        (Role::Client, &[0xc2, 0], 1002),
        (Role::Client, &[0x83, 0], 1002),
        (Role::Client, &[0x8b, 0], 1002),
        (Role::Client, &[0x80, 0], 1002),
        (Role::Client, &[0x02, 0, 0x82, 0], 1002),
        (Role::Client, &[0x09, 0], 1002),
        (Role::Client, &[0x89, 0x7e, 0, 126], 1002),
        (Role::Client, &[0x82, 0x7e, 0, 5], 1002),
        (Role::Client, &[0x88, 1, 3], 1002),
        (Role::Client, &[0x88, 2, 0x03, 0xed], 1002),
        (Role::Client, &[0x88, 3, 0x03, 0xe8, 0xff], 1002),
        (Role::Server, &too_long, 1009),
        (Role::Client, &two_halves, 1009),
    ] {
        for size in [1, 3, bytes.len()] {
            let found = read(role, bytes, size).map_err(Fault::code);
            assert_eq!(found.map(|_| ()), Err(code), "{:?}", &bytes[..bytes.len().min(20)]);
        }
    }
}

/// D-5.7: an allowance of 8,192, of which a frame without payload takes 8 and to which a byte of payload adds 1. So 1,024
/// may come in a row, and one more for each eight bytes.
#[test]
fn frames_without_payload_are_paid_for_by_payload() {
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    let pong = [0x8a, 0x81, 0, 0, 0, 0, 7];
    let empty = [0x82, 0x80, 0, 0, 0, 0];
    let (begin, go_on) = ([0x02, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0]);
    let message = |length: usize| {
        let mut frame = Vec::new();
        push_message(&vec![7; length], Some(MASK), &mut frame);
        frame
    };
    let close = [0x88, 0x80, 0, 0, 0, 0];
    let times = |frame: &[u8], count: usize| frame.repeat(count);
    for (what, bytes, kept) in [
        ("1,024 pings", times(&ping, 1_024), Ok(0)),
        ("1,025 pings", times(&ping, 1_025), Err(1008)),
        ("1,025 pongs", times(&pong, 1_025), Err(1008)),
        ("1,025 empty messages", times(&empty, 1_025), Err(1008)),
        (
            "an empty beginning and 1,023 empty fragments",
            [begin.to_vec(), times(&go_on, 1_023)].concat(),
            Ok(0),
        ),
        ("and one more", [begin.to_vec(), times(&go_on, 1_024)].concat(), Err(1008)),
        ("a close behind the last", [times(&ping, 1_024), close.to_vec()].concat(), Ok(0)),
        ("seven bytes pay for none", [times(&ping, 1_024), message(7), ping.to_vec()].concat(), Err(1008)),
        ("eight bytes pay for one", [times(&ping, 1_024), message(8), ping.to_vec()].concat(), Ok(8)),
        ("but not for two", [times(&ping, 1_024), message(8), times(&ping, 2)].concat(), Err(1008)),
        ("more than all is not saved", [message(100_000), times(&ping, 1_025)].concat(), Err(1008)),
        (
            "a heartbeat of 31 bytes and three pings",
            times(&[message(31), times(&ping, 3)].concat(), 3_000),
            Ok(93_000),
        ),
    ] {
        for size in [1, 7, bytes.len()] {
            let found = read(Role::Server, &bytes, size).map_err(Fault::code);
            assert_eq!(found.map(|(payload, ..)| payload.len()), kept, "{what}, {size}");
        }
    }
}

/// A read that brought pings alone gives the task its turn, and wakes it; a read that found nothing does not wake it.
#[tokio::test]
async fn a_read_without_payload_gives_the_task_its_turn() {
    struct Count(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let (near, mut far) = duplex(100);
    let mut socket = WebSocket::new(near, Role::Server);
    let woken = std::sync::Arc::new(Count(0.into()));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut poll = |context: &mut Context<'_>| {
        let mut memory = [0; 20];
        let mut buffer = ReadBuf::new(&mut memory);
        let read =
            Pin::new(&mut socket).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().to_vec());
        (read.map(Result::unwrap), socket.may_hold_input())
    };
    far.write_all(&[&PING[..], &PING, &MASKED].concat()).await.unwrap();
    assert_eq!(poll(&mut context), (Poll::Pending, true));
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(poll(&mut context), (Poll::Ready(b"Hello".to_vec()), false));
    assert_eq!(poll(&mut context), (Poll::Pending, false));
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// A close without a code, and one with a code of an application.
#[test]
fn a_close_is_answered_by_its_own_code() {
    for (bytes, code) in [(&[0x88, 0][..], 1000), (&[0x88, 2, 0x0f, 0xa0], 4000)] {
        let (_, answers, closed) = read(Role::Client, bytes, 1).unwrap();
        assert_eq!((answers.close, closed), (Some(code), true));
    }
}

/// A message goes through a pipe that is smaller than it: it stays one message, and is counted as it goes.
#[tokio::test]
async fn a_slow_reader_is_seen() {
    let (near, mut far) = duplex(100);
    let mut socket = WebSocket::new(near, Role::Server);
    let message: Vec<u8> = (0..1_000_u32).map(|at| at as u8).collect();
    let mut written = 0;
    let mut came = Vec::new();
    let mut counts = Vec::new();
    while written < message.len() {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut socket).poll_write(&mut context, &message[written..]) {
            Poll::Ready(count) => {
                counts.push(count.unwrap());
                written += counts.last().unwrap();
            }
            Poll::Pending => {
                let mut part = [0; 100];
                let count = far.read(&mut part).await.unwrap();
                came.extend_from_slice(&part[..count]);
            }
        }
    }
    // The first hundred bytes have the header's four in them.
    assert_eq!((counts[0], counts.len()), (96, 11));
    drop(socket);
    far.read_to_end(&mut came).await.unwrap();
    assert_eq!(came[..4], [0x82, 126, 0x03, 0xe8]);
    assert_eq!(came[4..], message);
}

/// What both ends say to each other, a ping and the closes included.
#[tokio::test]
async fn two_ends_speak() {
    let (near, far) = duplex(4 << 10);
    let (mut client, mut server) = (WebSocket::new(near, Role::Client), WebSocket::new(far, Role::Server));
    client.write_all(b"a question").await.unwrap();
    client.flush().await.unwrap();
    let mut buffer = [0; 100];
    let count = server.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"a question");
    server.write_all(b"an answer").await.unwrap();
    server.shutdown().await.unwrap();
    let count = client.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"an answer");
    assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
    // The Close was answered, and nothing goes behind it.
    assert!(client.write_all(b"more").await.is_err());
    assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
}
