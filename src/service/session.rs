//! One connection's session.
//!
//! ```text
//!   new ──Hello──▶ joined (database, node) ──Closed──▶ over, its node given up
//!     └─unknown database, bad numbers──▶ refused
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::databases::{Databases, Served};
use super::nodes::{Claim, Fence};
use super::operations::Operations;
use super::publication::StorageFailure;
use super::queries::Queries;
use super::subscriptions::Subscriptions;
use crate::engine::EngineError;
use crate::live::Wake;
use crate::proto::{Acceptance, Connection, HelloInfo, RequestKind, Server, ServerEvent, Time};
use crate::wire::ErrorCode;

/// What a session is once its client is welcome.
#[derive(Debug)]
struct Joined {
    served: Arc<Served>,
    claim: Claim,
}

/// A connection's session.
#[derive(Debug)]
pub struct Session {
    databases: Arc<Databases>,
    fence: Arc<Fence>,
    joined: Option<Joined>,
    operations: Operations,
    queries: Queries,
    subscriptions: Subscriptions,
}

impl Session {
    /// A session over `databases`; `fence` tells when a newer connection takes its node, and `wake` is called when there
    /// is something new for one of its subscriptions; it must not wait.
    pub fn new(databases: Arc<Databases>, fence: Arc<Fence>, wake: Wake) -> Self {
        Self {
            queries: Queries::new(databases.clone()),
            databases,
            fence,
            joined: None,
            operations: Operations::default(),
            subscriptions: Subscriptions::new(wake),
        }
    }

    /// Handles an event of the connection.
    ///
    /// # Errors
    /// [`StorageFailure`]: end the process.
    pub fn handle(
        &mut self,
        now: Time,
        connection: &mut Connection<Server>,
        event: ServerEvent,
    ) -> Result<(), StorageFailure> {
        if let ServerEvent::Hello(hello) = &event {
            return self.join(now, connection, hello);
        }
        if self.fence.is_fenced() {
            let _ = connection.refuse(ErrorCode::Fenced, ErrorCode::Fenced.text());
        }
        let Some(Joined { served, claim }) = &self.joined else { return Ok(()) };
        match event {
            ServerEvent::Hello(_) | ServerEvent::Goodbye(_) => {}
            ServerEvent::Operation { number, payload, cost, .. } => {
                if !connection.is_closed() {
                    self.operations.decide(connection, served, claim.node(), number, &payload)?;
                    connection.admit(cost);
                }
            }
            // What was asked for by who went is not looked at.
            ServerEvent::Request { .. } if connection.is_closed() => {}
            ServerEvent::Request { id, kind: RequestKind::Query, payload, cost } => {
                self.queries.begin(now, connection, served, id, payload, cost);
            }
            ServerEvent::Request { id, kind: RequestKind::Subscription, payload, cost } => {
                connection.admit(cost);
                self.subscriptions.begin(now, connection, served, id, &payload);
            }
            ServerEvent::Writable { id } if self.subscriptions.has(id) => {
                self.subscriptions.go_on(connection, served, id);
            }
            ServerEvent::Writable { id } => self.queries.go_on(now, connection, served, id),
            ServerEvent::Cancelled { id } if self.subscriptions.has(id) => {
                self.subscriptions.cancel(connection, served, id);
            }
            ServerEvent::Cancelled { id } => {
                self.queries.cancel(connection, id, served.database.position());
            }
            ServerEvent::Closed(_) => self.leave(),
        }
        Ok(())
    }

    /// Tells what became durable meanwhile, and goes on with queries that wait for it or for too long, and with
    /// subscriptions that have something to tell.
    pub fn advance(&mut self, now: Time, connection: &mut Connection<Server>) {
        let Some(Joined { served, .. }) = &self.joined else { return };
        if self.fence.is_fenced() {
            let _ = connection.refuse(ErrorCode::Fenced, ErrorCode::Fenced.text());
            return;
        }
        self.operations.settle(connection, served);
        self.queries.advance(now, connection, served);
        self.subscriptions.advance(now, connection, served);
    }

    /// Whether [`Session::advance`] has more to do at once, after others had their turn.
    pub fn has_work(&self) -> bool {
        self.queries.has_work() || self.subscriptions.has_work()
    }

    /// Whether [`Session::advance`] is to be called when something was published.
    pub fn waits_for_publication(&self) -> bool {
        self.has_untold_outcomes() || self.queries.wait_for_position()
    }

    /// When [`Session::advance`] is to be called at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        let deadlines = [self.queries.next_deadline(), self.subscriptions.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether operations of this session are decided and not told as durable. They may be durable already: because they
    /// were repeated, or because another session led the commit.
    pub fn has_untold_outcomes(&self) -> bool {
        self.operations.are_untold()
    }

    /// Whether operations of this session are ordered and not durable: someone must lead a commit.
    pub fn waits_for_commit(&self) -> bool {
        self.joined.as_ref().is_some_and(|joined| self.operations.wait_for_commit(&joined.served))
    }

    /// How long [`Session::commit`] is expected to wait for the disk; `None` if there is nothing to lead.
    pub fn commit_wait(&self) -> Option<Duration> {
        self.joined.as_ref().and_then(|joined| joined.served.database.commit_wait())
    }

    /// Leads one commit, for all that wait, unless someone else leads. Returns whether it did. This waits for the
    /// disk.
    ///
    /// # Errors
    /// [`StorageFailure`]: end the process.
    pub fn commit(&self) -> Result<bool, StorageFailure> {
        let Some(Joined { served, .. }) = &self.joined else { return Ok(false) };
        let guard = served.publication.guard();
        let led = served.database.commit();
        drop(guard);
        led.map_err(|error| served.publication.fail(error.to_string()))
    }

    fn join(
        &mut self,
        now: Time,
        connection: &mut Connection<Server>,
        hello: &HelloInfo,
    ) -> Result<(), StorageFailure> {
        let Some(served) = self.databases.get(&hello.database).cloned() else {
            let names: Vec<&str> = self.databases.iter().map(|served| &*served.name).collect();
            let message = format!(
                "no database is named {:?}; there are: {}. An operator makes another by serve --create",
                hello.database,
                names.join(", ")
            );
            let _ = connection.refuse(ErrorCode::UnknownDatabase, &message);
            return Ok(());
        };
        let node = hello.node.unwrap_or_else(|| self.databases.new_node(&served));
        let node_decided = match served.database.welcome(node.as_bytes(), hello.next_operation) {
            Ok(highest) => highest,
            // Nothing is decided, but everything can be read.
            Err(EngineError::ReadOnly(_)) => hello.oldest_unacked.saturating_sub(1),
            Err(EngineError::Stopped(reason)) => return Err(served.publication.fail(&*reason)),
            Err(error) => {
                let _ = connection.refuse(error.code(), &error.to_string());
                return Ok(());
            }
        };
        let acceptance = Acceptance {
            node,
            node_decided,
            connection: self.databases.new_id(),
            position: served.database.position(),
            clock: self.databases.clock(&served),
        };
        // A client that is refused was told, and fences nobody.
        if connection.accept(now, acceptance).is_ok() {
            let claim = served.nodes.claim(node.into_bytes(), self.fence.clone());
            self.joined = Some(Joined { served, claim });
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.operations.clear();
        self.queries.clear();
        self.subscriptions.clear();
        if let Some(Joined { served, claim }) = self.joined.take() {
            served.nodes.release(&claim);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
    }
}
