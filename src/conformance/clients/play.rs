//! One case's play: the listener, the program, and what the client has shown of itself.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::driver::Driver;
use super::host::{Heard, Host, Welcome};
use super::rules::Memory;
use crate::conformance::ClientStage;
use crate::conformance::failure::{Failure, Verdict, same};
use crate::conformance::limits::CLIENT_PATIENCE;

/// Where a case finds the client under test.
pub(in crate::conformance) struct Stage {
    stage: ClientStage,
    case: &'static str,
}

/// A program that runs, and the place where its client connects to.
pub(super) struct Play {
    listener: TcpListener,
    pub(super) driver: Driver,
    pub(super) memory: Memory,
}

impl Stage {
    pub(in crate::conformance) const fn new(stage: ClientStage, case: &'static str) -> Self {
        Self { stage, case }
    }

    /// Listens, and starts the program.
    pub(super) async fn open(self) -> Result<Play, Failure> {
        let listener = TcpListener::bind(self.stage.listen).await?;
        let address: SocketAddr = listener.local_addr()?;
        let url = format!("blaze://{address}/main");
        let driver = Driver::start(&self.stage.command, &url, self.case)?;
        Ok(Play { listener, driver, memory: Memory::default() })
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
        same("the node that the program tells", &node, &Some(welcome.node.to_string().as_str().into()))?;
        Ok(host)
    }

    /// The client's next connection.
    pub(super) async fn accept(&self) -> Result<Host, Failure> {
        let late = || {
            Failure::new(format_args!("the client does not connect within {} s", CLIENT_PATIENCE.as_secs()))
        };
        let (stream, _) = timeout(CLIENT_PATIENCE, self.listener.accept()).await.map_err(|_| late())??;
        stream.set_nodelay(true)?;
        Ok(Host::new(stream))
    }

    /// Whether the client connects within a time.
    pub(super) async fn is_called(&self, during: Duration) -> bool {
        timeout(during, self.listener.accept()).await.is_ok()
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
        host.welcome(welcome).await?;
        self.memory.node = Some(welcome.node);
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
