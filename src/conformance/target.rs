//! The server under test, as the cases see it.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::failure::Failure;
use crate::transport::{ConnectError, Dialer, Stream, Url};

/// What kills the server and starts it again, at the same address over the same data.
pub type Restart = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// What all collections of the tester begin with.
pub const PREFIX: &str = "conformance_";

/// The server under test; each case has its own.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    dialer: Dialer,
    pub(super) restart: Option<Restart>,
    /// The collections that were named, to be dropped at the end.
    named: Arc<Mutex<BTreeSet<String>>>,
    /// Apart from all runs before and beside this one.
    run: String,
    case: &'static str,
}

impl Target {
    pub(super) fn new(server: &Dialer, restart: Option<Restart>) -> Result<Self, ConnectError> {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let run = run.get(..8).unwrap_or_default().to_owned();
        // What is read from files is read once, and not for each of a thousand connections.
        let dialer = server.clone().prepared()?;
        Ok(Self { url: server.url().clone(), dialer, restart, named: Arc::default(), run, case: "" })
    }

    pub(super) fn for_case(&self, case: &'static str) -> Self {
        Self { case, ..self.clone() }
    }

    pub(super) async fn dial(&self) -> Result<Stream, Failure> {
        Ok(self.dialer.clone().dial().await?)
    }

    /// A collection of this case alone.
    pub(super) fn collection(&self) -> String {
        self.collection_of("")
    }

    /// Another one.
    pub(super) fn collection_of(&self, mark: &str) -> String {
        let case: String =
            self.case.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let case = case.get(..case.len().min(34)).unwrap_or_default();
        let name = format!("{PREFIX}{case}{mark}_{}", self.run);
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        name
    }

    /// All that were named.
    pub(super) fn collections(&self) -> Vec<String> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
