//! The handshake: who is welcome, who a node is, and what silence costs.

use uuid::Uuid;

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, frame, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::{DURABLE, Item, id, operation, plain};
use crate::conformance::limits::{HANDSHAKE_END, HANDSHAKE_LEAST};
use crate::conformance::peer::{Peer, goodbye};
use crate::conformance::said::Said;
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, scan};
use crate::wire::ErrorCode;

cases! { Target:
    "handshake.welcome" "A Welcome keeps to its fields' ranges" "P-4.1 C-2.1 P-9.3" Nothing welcome;
    "handshake.node.new" "Each client without a node gets one of its own, and each connection a name" "P-4.1" Nothing new_nodes;
    "handshake.node.same" "A client that names its node is welcome as that node" "P-4.1 C-2.5" Nothing same_node;
    "handshake.capabilities" "Of the capabilities named those are answered that the server shares, and no others" "P-4.1.1" Nothing capabilities;
    "handshake.decided" "A node that comes back is told the highest number decided" "P-4.1 C-10.1" Nothing decided;
    "handshake.identity.reused" "A node that will give numbers that are decided is identity_reused" "C-2.6" Nothing reused;
    "handshake.identity.expired" "A node that holds outcomes that the server does not know is identity_expired" "C-2.6" Nothing expired;
    "handshake.identity.young" "A node that is younger than what may be forgotten is welcome with numbers under way" "C-2.6 E-4.8" Nothing young;
    "handshake.identity.old" "A node whose id does not prove that it is new is identity_expired with numbers under way" "C-2.6 E-4.8" Nothing old;
    "handshake.fenced" "A newer connection of a node ends the older one by fenced" "C-2.7 S-2.2" Nothing fenced;
    "handshake.fenced.refused" "A Hello that is refused fences nobody" "S-2.2" Nothing refused_fences_nobody;
    "handshake.twice" "A second Hello is unexpected_message" "C-2.1 P-2.9" Nothing twice;
    "handshake.first" "Anything but a Hello, Goodbye or Error at first is unexpected_message" "C-2.1 P-2.9" Nothing first;
    "handshake.goodbye" "A Goodbye in the place of a Hello ends the connection in order" "C-2.2 C-11.2" Nothing goodbye_first;
    "handshake.error" "An Error in the place of a Hello ends the connection" "C-2.2 C-1.4" Nothing error_first;
    "handshake.silence" "A client that says nothing is told handshake_timeout after 5 s" "C-9.1 P-10.3" Nothing silence;
    "handshake.trickle" "A client that sends a byte now and then gets no more time" "C-9.1" Nothing trickle;
    "handshake.gone" "A client that hangs up before its Hello disturbs nobody" "C-1.1" Nothing gone;
}

fn hello(target: &Target) -> Hello {
    Hello::new(target.url.database())
}

async fn welcome(target: Target) -> Verdict {
    let peer = Peer::welcome(&target).await?;
    let greeting = peer.greeting()?;
    same("the version", &greeting.version, &1)?;
    same("node_decided of a new node", &greeting.node_decided, &0)?;
    ensure((1..=1_024).contains(&greeting.operation_window), || {
        format!("the window is {}", greeting.operation_window)
    })?;
    let heartbeat = greeting.heartbeat_ms;
    ensure((5_000..=60_000).contains(&heartbeat), || format!("the heartbeat is {heartbeat}"))?;
    let work = greeting.work;
    ensure(work.frames >= 1 && work.bytes >= 1, || format!("the work lane begins with {work:?} (C-3.3)"))?;
    ensure(greeting.clock_ms > 0, || "the clock has no reading".to_owned())
}

async fn new_nodes(target: Target) -> Verdict {
    let (one, other) = (Peer::welcome(&target).await?, Peer::welcome(&target).await?);
    let (one, other) = (one.greeting()?, other.greeting()?);
    ensure(one.node != other.node, || format!("two clients are the node {}", one.node))?;
    ensure(one.connection != other.connection, || format!("two connections are {}", one.connection))
}

async fn same_node(target: Target) -> Verdict {
    for node in [Uuid::now_v7(), Uuid::new_v4()] {
        let peer = Peer::greet(&target, &hello(&target).of(node, 1, 1)).await?;
        same("the node", &peer.greeting()?.node, &node)?;
    }
    Ok(())
}

async fn capabilities(target: Target) -> Verdict {
    for named in [&[][..], &["lz4"], &["~later"], &["a", "lz4", "z"]] {
        let peer = Peer::greet(&target, &hello(&target).with(named)).await?;
        for capability in &peer.greeting()?.capabilities {
            ensure(named.contains(&capability.as_str()) && capability == "lz4", || {
                format!("the server answers {capability:?} to {named:?}")
            })?;
        }
    }
    Ok(())
}

/// A node that has put three records, and left.
async fn node_of_three(target: &Target, collection: &str) -> Result<Uuid, Failure> {
    let mut peer = Peer::welcome(target).await?;
    let node = peer.greeting()?.node;
    for number in 1..=3 {
        peer.done(collection, vec![Item::Insert(plain(number))]).await?;
    }
    peer.part().await?;
    Ok(node)
}

async fn decided(target: Target) -> Verdict {
    let collection = target.collection();
    let node = node_of_three(&target, &collection).await?;
    for (oldest, next) in [(4, 4), (1, 4), (3, 9)] {
        let mut peer = Peer::greet(&target, &hello(&target).of(node, oldest, next)).await?;
        same("node_decided", &peer.greeting()?.node_decided, &3)?;
        peer.is_alive().await?;
    }
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 4, 4)).await?;
    peer.done(&collection, vec![Item::Insert(plain(4))]).await.map(drop)
}

async fn reused(target: Target) -> Verdict {
    let node = node_of_three(&target, &target.collection()).await?;
    for next in [1, 2, 3] {
        let mut peer = Peer::introduce(&target, &hello(&target).of(node, 1, next)).await?;
        let ended = peer.ends_by(ErrorCode::IdentityReused).await;
        ended.map_err(|failure| failure.within(format_args!("next_operation {next}")))?;
    }
    Ok(())
}

async fn expired(target: Target) -> Verdict {
    let node = node_of_three(&target, &target.collection()).await?;
    let mut peer = Peer::introduce(&target, &hello(&target).of(node, 5, 5)).await?;
    peer.ends_by(ErrorCode::IdentityExpired).await?;
    let mut peer = Peer::introduce(&target, &hello(&target).of(Uuid::now_v7(), 2, 2)).await?;
    peer.ends_by(ErrorCode::IdentityExpired).await
}

async fn young(target: Target) -> Verdict {
    let mut peer = Peer::greet(&target, &hello(&target).of(Uuid::now_v7(), 1, 3)).await?;
    same("node_decided", &peer.greeting()?.node_decided, &0)?;
    let collection = target.collection();
    for number in 1..=3 {
        peer.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    Ok(())
}

async fn old(target: Target) -> Verdict {
    // Version 7 of the year 2020; what other versions say of their age is not defined.
    let long_ago = Uuid::from_u128(
        0x0170_0000_0000_7000_8000_0000_0000_0000 | u128::from(Uuid::new_v4().as_u64_pair().1 >> 2),
    );
    let mut peer = Peer::introduce(&target, &hello(&target).of(long_ago, 1, 2)).await?;
    peer.ends_by(ErrorCode::IdentityExpired).await
}

async fn fenced(target: Target) -> Verdict {
    let mut old = Peer::welcome(&target).await?;
    let node = old.greeting()?.node;
    let mut new = Peer::greet(&target, &hello(&target).of(node, 1, 1)).await?;
    old.ends_by(ErrorCode::Fenced).await?;
    new.done(&target.collection(), vec![Item::Insert(plain(1))]).await.map(drop)
}

async fn refused_fences_nobody(target: Target) -> Verdict {
    let collection = target.collection();
    let mut old = Peer::welcome(&target).await?;
    let node = old.greeting()?.node;
    old.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let mut new = Peer::introduce(&target, &hello(&target).of(node, 1, 1)).await?;
    new.ends_by(ErrorCode::IdentityReused).await?;
    old.done(&collection, vec![Item::Insert(plain(2))]).await.map(drop)
}

async fn twice(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    peer.send(kind::HANDSHAKE, &hello(&target).payload()).await?;
    peer.ends_by(ErrorCode::UnexpectedMessage).await
}

async fn first(target: Target) -> Verdict {
    let fields = Fields::new;
    let request = |body: Fields| fields().u64(1).u64(ALL.0).u64(ALL.1).bytes(&body.done()).done();
    let collection = target.collection();
    for (message_type, payload) in [
        (kind::OPERATION, operation(1, DURABLE, &[(&collection, vec![Item::Delete(id(1))])])),
        (kind::QUERY, request(scan(&collection))),
        (kind::SUBSCRIBE, request(crate::conformance::work::watch(1, 0, &collection))),
        (kind::PING, fields().u64(1).done()),
        (kind::PONG, fields().u64(1).u64(0).done()),
        (kind::UNSUBSCRIBE, fields().u64(1).done()),
        (kind::CANCEL, fields().u64(1).done()),
        (kind::CREDIT, fields().u8(2).u64(1).u64(1).u64(1).done()),
    ] {
        let mut peer = Peer::dial(&target).await?;
        peer.send(message_type, &payload).await?;
        let ended = peer.ends_by(ErrorCode::UnexpectedMessage).await;
        ended.map_err(|failure| failure.within(format_args!("type {message_type:#04x}")))?;
    }
    Ok(())
}

async fn goodbye_first(target: Target) -> Verdict {
    Peer::dial(&target).await?.part().await
}

async fn error_first(target: Target) -> Verdict {
    let mut peer = Peer::dial(&target).await?;
    peer.send(kind::ERROR, &Fields::new().u8(0).u64(0).u16(500).str("gone").null().done()).await?;
    peer.ends().await
}

/// Waits for the end of a handshake that is not done, which must be neither early nor late.
async fn times_out(peer: &mut Peer, start: tokio::time::Instant) -> Verdict {
    loop {
        let said = peer.poll(HANDSHAKE_END.saturating_sub(start.elapsed())).await?;
        match said {
            Some(Said::Error(complaint)) => {
                same("the code", &complaint.name(), &"handshake_timeout".to_owned())?
            }
            Some(Said::End) => break,
            Some(_) => {}
            None => return Err(Failure::new(format_args!("it goes on after {} s", HANDSHAKE_END.as_secs()))),
        }
    }
    ensure(start.elapsed() >= HANDSHAKE_LEAST, || {
        format!("it ended after {} ms", start.elapsed().as_millis())
    })
}

async fn silence(target: Target) -> Verdict {
    let start = tokio::time::Instant::now();
    let mut peer = Peer::dial(&target).await?;
    times_out(&mut peer, start).await
}

async fn trickle(target: Target) -> Verdict {
    let start = tokio::time::Instant::now();
    let mut peer = Peer::dial(&target).await?;
    let bytes = frame(kind::HANDSHAKE, 0, 0, &hello(&target).payload());
    for byte in bytes.into_iter().take(19) {
        peer.write(&[byte]).await?;
        peer.pause(std::time::Duration::from_millis(250)).await;
    }
    times_out(&mut peer, start).await
}

async fn gone(target: Target) -> Verdict {
    for _ in 0..20 {
        drop(Peer::dial(&target).await?);
        let mut peer = Peer::introduce(&target, &hello(&target)).await?;
        peer.shut().await;
    }
    let mut peer = Peer::welcome(&target).await?;
    peer.send(kind::GOODBYE, &goodbye(0)).await?;
    peer.ends().await
}
