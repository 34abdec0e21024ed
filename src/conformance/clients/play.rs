//! One case's play: the listener, the program, and what the client has shown of itself.

use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::door::Door;
use super::driver::Driver;
use super::host::{Heard, Host, NODE, Welcome};
use super::rules::Memory;
use super::words::LastWords;
use crate::conformance::ClientStage;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::limits::CLIENT_PATIENCE;

/// Where a case finds the client under test.
#[derive(Clone)]
pub(in crate::conformance) struct Stage {
    stage: ClientStage,
    case: &'static str,
    pub(in crate::conformance) words: LastWords,
}

/// A program that runs, and the place where its client connects to.
pub(super) struct Play {
    door: Door,
    pub(super) driver: Driver,
    pub(super) memory: Memory,
}

impl Stage {
    pub(in crate::conformance) fn new(stage: ClientStage, case: &'static str) -> Self {
        Self { stage, case, words: LastWords::default() }
    }

    /// Listens, and starts the program.
    pub(super) async fn open(self) -> Result<Play, Failure> {
        let door = Door::open(&self.stage.listen).await?;
        let driver = Driver::start(&self.stage.command, &door.url()?, self.case, &self.words)?;
        Ok(Play { door, driver, memory: Memory::default() })
    }

    /// The same, and the client connects and is welcome.
    pub(super) async fn begin(self, welcome: &Welcome) -> Result<(Play, Host), Failure> {
        let mut play = self.open().await?;
        let host = play.connect(welcome).await?;
        Ok((play, host))
    }
}

impl Play {
    /// Tells the program to connect, and welcomes it.
    pub(super) async fn connect(&mut self, welcome: &Welcome) -> Result<Host, Failure> {
        let lz4 = welcome.capabilities.contains(&"lz4");
        let command = self.driver.tell(&format!("\"do\":\"connect\",\"lz4\":{lz4}"))?;
        let host = self.meet(welcome).await?;
        let done = self.driver.done(command).await?;
        let node = done.get("node").cloned();
        let welcomed = self.memory.node.map(|node| node.to_string().as_str().into());
        same("the node that the program tells", &node, &welcomed)?;
        Ok(host)
    }

    /// The client's next connection.
    pub(super) async fn accept(&self) -> Result<Host, Failure> {
        let late = || {
            Failure::new(format_args!("the client does not connect within {} s", CLIENT_PATIENCE.as_secs()))
        };
        let stream = timeout(CLIENT_PATIENCE, self.door.accept()).await.map_err(|_| late())??;
        Ok(Host::new(stream))
    }

    /// Whether the client connects within a time.
    pub(super) async fn is_called(&self, during: Duration) -> bool {
        timeout(during, self.door.is_called()).await.is_ok()
    }

    /// The client's next connection, and its Hello.
    pub(super) async fn hear_hello(&mut self) -> Result<(Host, Heard), Failure> {
        let mut host = self.accept().await?;
        let hello = host.wait(&mut self.memory, "the Hello", |heard| match heard {
            Heard::Hello { .. } => Some(heard.clone()),
            _ => None,
        });
        let hello = hello.await?;
        Ok((host, hello))
    }

    /// The client's next connection, which is welcome.
    pub(super) async fn meet(&mut self, welcome: &Welcome) -> Result<Host, Failure> {
        let (mut host, hello) = self.hear_hello().await?;
        if let Heard::Hello { database, .. } = &hello {
            same("the database of the Hello", database, &"main".to_owned())?;
        }
        self.memory.node = Some(host.welcome(welcome).await?);
        Ok(host)
    }

    /// The client's next connection, which must name none of the nodes that it was: it is as it was at the beginning.
    pub(super) async fn meet_anew(&mut self) -> Result<Host, Failure> {
        let old = std::mem::take(&mut self.memory);
        let (mut host, hello) = self.hear_hello().await?;
        if let Heard::Hello { node, oldest, .. } = hello {
            ensure(node.is_none() || node != old.node, || {
                "the client names the node that is not good any more (C-10.2)".to_owned()
            })?;
            same("oldest_unacked of the new node", &oldest, &1)?;
        }
        let another = Uuid::from_u128(NODE.as_u128().wrapping_add(1));
        let node = host.rules.named.unwrap_or(another);
        self.memory.node = Some(host.welcome(&Welcome { node: Some(node), ..Welcome::new() }).await?);
        Ok(host)
    }

    /// Closes the client in order, and the program ends.
    pub(super) async fn finish(mut self, host: Host) -> Verdict {
        let command = self.driver.tell("\"do\":\"close\"")?;
        host.part(&mut self.memory).await?;
        self.driver.done(command).await?;
        self.driver.ends().await
    }
}
