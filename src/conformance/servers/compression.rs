//! Compression: right blocks are taken, and whatever lies is refused before it costs memory.

use crate::blazebinary::{RecordView, Value};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{COMPRESSED, Fields, REQUIRES_ACK, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::{DURABLE, Item, id, operation, plain, record};
use crate::conformance::peer::Peer;
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, scan};
use crate::wire::ErrorCode;

cases! { Target:
    "lz4.taken" "A compressed Operation takes effect like a plain one" "P-5.1 P-5.2 P-4.1.1" Nothing taken;
    "lz4.small" "A payload under 512 bytes may be compressed where it wins" "P-5.2 P-5.4" Nothing small;
    "lz4.requests" "A compressed Query is answered" "P-5.1" Nothing query;
    "lz4.answers" "What the server compresses becomes what it should" "P-5.1 P-5.2 P-9.2" Nothing answers;
    "lz4.not-offered" "Without the capability nothing may be compressed, either way" "P-2.6 P-4.1.1" Nothing not_offered;
    "lz4.sequence" "A compressed frame takes its sequence, and its flag says nothing of the next" "P-5.5 P-6.1" Nothing next_is_plain;
    "lz4.truncated" "Fewer than five bytes are bad_compression" "P-5.1 P-5.2" Nothing too_short;
    "lz4.length.over" "A plain length over 2,097,152 is bad_compression" "P-5.2 P-5.3" Nothing too_long;
    "lz4.length.no-gain" "A plain length that is not above the compressed one is bad_compression" "P-5.2" Nothing no_gain;
    "lz4.length.ratio" "A plain length over 255 times the block is bad_compression" "P-5.2" Nothing ratio;
    "lz4.length.lies" "A block that becomes more or less than the plain length is bad_compression" "P-5.2" Nothing lies;
    "lz4.block.broken" "A block that is cut off, or points before its beginning, is bad_compression" "P-5.2" Nothing broken;
    "lz4.bomb" "A bomb of a thousand frames costs the sender its connection" "P-5.2 P-5.3" Nothing bomb;
    "lz4.faults" "Faults of the plain payload are told as of a plain frame" "P-5.5 P-3.5 P-3.7" Nothing faults;
    "lz4.identity" "The same operation compressed and plain is the same operation" "P-7.5 P-5.5" Nothing same_operation;
}

/// One sequence of a block: literals, then a match of `length` bytes at `offset` before.
fn sequence(literals: &[u8], offset: u16, length: usize) -> Vec<u8> {
    let of_match = length.saturating_sub(4);
    let token = (nibble(literals.len()) << 4) | nibble(of_match);
    let mut bytes = vec![token];
    extend_length(&mut bytes, literals.len());
    bytes.extend_from_slice(literals);
    bytes.extend_from_slice(&offset.to_le_bytes());
    extend_length(&mut bytes, of_match);
    bytes
}

/// The last sequence of a block: literals alone.
fn ending(literals: &[u8]) -> Vec<u8> {
    let mut bytes = vec![nibble(literals.len()) << 4];
    extend_length(&mut bytes, literals.len());
    bytes.extend_from_slice(literals);
    bytes
}

fn nibble(length: usize) -> u8 {
    u8::try_from(length.min(15)).unwrap_or(15)
}

fn extend_length(bytes: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(15) else { return };
    while rest >= 255 {
        bytes.push(255);
        rest = rest.saturating_sub(255);
    }
    bytes.push(u8::try_from(rest).unwrap_or(0));
}

/// A compressed payload by hand: a run of one byte in the midst becomes a match, the rest is literal.
fn packed(plain: &[u8]) -> Vec<u8> {
    let run_at = plain.windows(64).position(|window| window.iter().all(|byte| Some(byte) == window.first()));
    let at = run_at.unwrap_or(0).saturating_add(1);
    let (head, rest) = plain.split_at_checked(at).unwrap_or_default();
    let run = rest.iter().take_while(|byte| Some(*byte) == head.last()).count();
    let block = [sequence(head, 1, run), ending(rest.get(run..).unwrap_or_default())].concat();
    with_length(plain.len(), &block)
}

fn with_length(length: usize, block: &[u8]) -> Vec<u8> {
    Fields::new().u32(u32::try_from(length).unwrap_or(u32::MAX)).bytes(block).done()
}

/// A record with a text of so many equal letters.
fn uniform(number: u64, letters: usize) -> Vec<u8> {
    record(id(number), &[("text", Value::from("x".repeat(letters).as_str()))])
}

async fn welcome(target: &Target) -> Result<Peer, Failure> {
    let peer = Peer::greet(target, &Hello::new(target.url.database()).with(&["lz4"])).await?;
    ensure(peer.greeting()?.capabilities == ["lz4"], || "the server does not have lz4".to_owned())?;
    Ok(peer)
}

/// Sends a frame whose payload is compressed; `plain` is what it should become.
async fn send_packed(peer: &mut Peer, message_type: u8, plain: &[u8]) -> Verdict {
    let ack = if message_type == kind::OPERATION { REQUIRES_ACK } else { 0 };
    let payload = packed(plain);
    let bytes = crate::conformance::fields::frame(message_type, ack | COMPRESSED, peer.sequence, &payload);
    peer.note(message_type, plain, plain.len());
    peer.write(&bytes).await
}

async fn submit_packed(peer: &mut Peer, number: u64, collection: &str, item: Item) -> Verdict {
    let plain = operation(number, DURABLE, &[(collection, vec![item])]);
    send_packed(peer, kind::OPERATION, &plain).await?;
    peer.next_operation = number.saturating_add(1);
    let refusal = peer.outcome(number).await?.refusal;
    ensure(refusal.is_none(), || format!("operation {number} is refused: {refusal:?}"))
}

async fn taken(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = welcome(&target).await?;
    for (number, letters) in (1_u64..).zip([600, 5_000, 60_000, 1_000_000]) {
        submit_packed(&mut peer, number, &collection, Item::Insert(uniform(number, letters))).await?;
    }
    let records = peer.records(&collection).await?;
    let lengths: Vec<usize> = records.iter().map(Vec::len).collect();
    let expected: Vec<usize> =
        [600, 5_000, 60_000, 1_000_000].iter().map(|letters| uniform(1, *letters).len()).collect();
    same("the lengths of the records", &lengths, &expected)
}

async fn small(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = welcome(&target).await?;
    submit_packed(&mut peer, 1, &collection, Item::Insert(uniform(1, 120))).await
}

async fn query(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    // Ids of equal bytes make a run.
    let ids = Fields::new().bytes(&[7; 16 * 40]).done();
    let head = Fields::new().u64(1).u64(ALL.0).u64(ALL.1).u8(1).u8(0).str(&collection).u16(41).bytes(&ids);
    send_packed(&mut peer, kind::QUERY, &head.id(id(1)).done()).await?;
    same("the rows", &peer.answer(1).await?.rows.len(), &1)
}

async fn answers(target: Target) -> Verdict {
    let collection = target.collection();
    let mut writer = Peer::welcome(&target).await?;
    writer.done(&collection, (1..=40).map(|number| Item::Insert(uniform(number, 3_000))).collect()).await?;
    let expected = writer.records(&collection).await?;
    let mut peer = welcome(&target).await?;
    ensure(peer.records(&collection).await? == expected, || "compressed and plain answers differ".to_owned())
}

async fn not_offered(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    // The rules find it if the server compresses.
    peer.done(&collection, (1..=40).map(|number| Item::Insert(uniform(number, 3_000))).collect()).await?;
    peer.query(scan(&collection)).await?;
    let plain = operation(2, DURABLE, &[(&collection, vec![Item::Insert(uniform(99, 600))])]);
    send_packed(&mut peer, kind::OPERATION, &plain).await?;
    peer.ends_by(ErrorCode::UnexpectedFlag).await
}

async fn next_is_plain(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = welcome(&target).await?;
    submit_packed(&mut peer, 1, &collection, Item::Insert(uniform(1, 600))).await?;
    peer.is_alive().await?;
    peer.done(&collection, vec![Item::Insert(plain(2))]).await?;
    submit_packed(&mut peer, 3, &collection, Item::Insert(uniform(3, 600))).await
}

/// A payload that must end the connection by `bad_compression`.
async fn is_bad(target: &Target, payload: &[u8], what: &str) -> Verdict {
    let mut peer = welcome(target).await?;
    peer.send_flagged(kind::OPERATION, REQUIRES_ACK | COMPRESSED, payload).await?;
    peer.ends_by(ErrorCode::BadCompression).await.map_err(|failure| failure.within(what))
}

async fn too_short(target: Target) -> Verdict {
    for length in 0..5 {
        is_bad(&target, &vec![0; length], &format!("{length} bytes")).await?;
    }
    Ok(())
}

async fn too_long(target: Target) -> Verdict {
    let block = [sequence(b"x", 1, 2_097_152), ending(b"xxxxx")].concat();
    for length in [2_097_153, 2_097_158, u32::MAX] {
        is_bad(
            &target,
            &Fields::new().u32(length).bytes(&block).done(),
            &format!("a plain length of {length}"),
        )
        .await?;
    }
    Ok(())
}

async fn no_gain(target: Target) -> Verdict {
    let plain = operation(1, DURABLE, &[(&target.collection(), vec![Item::Insert(plain(1))])]);
    is_bad(&target, &with_length(plain.len(), &ending(&plain)), "literals alone").await?;
    is_bad(&target, &with_length(0, &ending(b"")), "nothing").await
}

async fn ratio(target: Target) -> Verdict {
    // Twelve bytes of block could not become 255 times as much.
    let block = [sequence(b"x", 1, 20), ending(b"xxxxx")].concat();
    let most = block.len().saturating_mul(255);
    is_bad(&target, &with_length(most.saturating_add(1), &block), "over 255 times the block").await
}

async fn lies(target: Target) -> Verdict {
    let plain = operation(1, DURABLE, &[(&target.collection(), vec![Item::Insert(uniform(1, 600))])]);
    let whole = packed(&plain);
    let block = whole.get(4..).unwrap_or_default();
    for (length, what) in
        [(plain.len().saturating_sub(1), "one byte less"), (plain.len().saturating_add(1), "one byte more")]
    {
        is_bad(&target, &with_length(length, block), what).await?;
    }
    Ok(())
}

async fn broken(target: Target) -> Verdict {
    let plain = operation(1, DURABLE, &[(&target.collection(), vec![Item::Insert(uniform(1, 600))])]);
    let whole = packed(&plain);
    for cut in [1, 2, 10, 20] {
        let short = whole.get(..whole.len().saturating_sub(cut)).unwrap_or_default();
        is_bad(&target, short, &format!("{cut} bytes cut off")).await?;
    }
    for (offset, what) in
        [(0, "an offset of 0"), (2, "an offset before the beginning"), (u16::MAX, "an offset far before it")]
    {
        let block = [sequence(b"x", offset, 200), ending(b"xxxxx")].concat();
        is_bad(&target, &with_length(206, &block), what).await?;
    }
    Ok(())
}

async fn bomb(target: Target) -> Verdict {
    let mut peer = welcome(&target).await?;
    // 8 KiB that say that they become 2 MiB, and do: zeros, which are no operation.
    let block = [sequence(&[0], 1, 2_097_146), ending(&[0; 5])].concat();
    let payload = with_length(2_097_152, &block);
    let mut bytes = Vec::new();
    for _ in 0..100 {
        bytes.extend(crate::conformance::fields::frame(
            kind::OPERATION,
            REQUIRES_ACK | COMPRESSED,
            peer.sequence,
            &payload,
        ));
        peer.note(kind::OPERATION, &[], 2_097_152);
    }
    peer.flood(&bytes).await?;
    // The first is an operation of number 0.
    peer.ends_by(ErrorCode::InvalidField).await
}

async fn faults(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = welcome(&target).await?;
    let mut plain = operation(1, DURABLE, &[(&collection, vec![Item::Insert(uniform(1, 600))])]);
    plain.push(0);
    let at = i64::try_from(plain.len()).unwrap_or_default().saturating_sub(1);
    send_packed(&mut peer, kind::OPERATION, &plain).await?;
    let complaint = peer.outcome(1).await?.refusal.ok_or_else(|| Failure::new("it took effect"))?;
    same("the code", &complaint.name(), &"trailing_bytes".to_owned())?;
    let offset = complaint.number("offset");
    ensure(offset.is_none_or(|offset| offset == at), || {
        format!("the offset is {offset:?}, must be {at} of the plain payload")
    })
}

async fn same_operation(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = welcome(&target).await?;
    let node = peer.greeting()?.node;
    submit_packed(&mut peer, 1, &collection, Item::Insert(uniform(1, 600))).await?;
    let mut peer = Peer::greet(&target, &Hello::new(target.url.database()).of(node, 1, 2)).await?;
    peer.done(&collection, vec![Item::Insert(uniform(1, 600))]).await?;
    let record = peer.records(&collection).await?.pop().unwrap_or_default();
    let view = RecordView::canonical(&record).map_err(Failure::new)?;
    same("the id", &view.id(), &Some(id(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decompress;

    #[test]
    fn blocks_by_hand_become_what_they_should() {
        for letters in [120, 600, 5_000, 1_000_000] {
            let plain = operation(1, DURABLE, &[("notes", vec![Item::Insert(uniform(1, letters))])]);
            let mut found = Vec::new();
            decompress(&packed(&plain), &mut found).unwrap();
            assert!(found == plain, "{letters}");
        }
    }
}
