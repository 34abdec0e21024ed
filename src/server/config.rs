//! What a server is started with, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::ServerError;
use super::limits;
use super::listen::Listen;
use super::origin::Origin;
#[cfg(feature = "sled")]
use crate::store::directory::SLED_FORMAT;
use crate::store::directory::STORE_FORMAT;
use crate::wire::DatabaseName;

/// Which store keeps the view of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreKind {
    /// On disk, the default.
    #[default]
    Lsm,
    /// In memory, rebuilt from the log at each start.
    Memory,
    /// On disk by the crate sled, rebuilt from the log unless it was closed cleanly.
    #[cfg(feature = "sled")]
    Sled,
}

impl StoreKind {
    /// Its name, as the option `--store` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::Memory => "memory",
            #[cfg(feature = "sled")]
            Self::Sled => "sled",
        }
    }

    /// What the FORMAT of its directory says; `None` if it has none.
    pub(super) const fn directory(self) -> Option<&'static str> {
        match self {
            Self::Lsm => Some(STORE_FORMAT.what),
            Self::Memory => None,
            #[cfg(feature = "sled")]
            Self::Sled => Some(SLED_FORMAT.what),
        }
    }
}

/// Where data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this directory.
    Directory(PathBuf, StoreKind),
    /// Nowhere: all of it is gone when the server stops.
    Memory,
}

/// Who may come in, and how. The default is the careful one.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// Listen on addresses that other machines can reach though nobody can be authenticated.
    pub insecure_no_auth: bool,
    /// Speak with other machines in the clear, too.
    pub allow_plaintext: bool,
    /// Web pages that may connect, beside those of this machine.
    pub origins: Vec<Origin>,
    /// Files in PEM: the certificates to show, and the key of the first; else the server makes its own.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A server's configuration: what can be wrong with it was found by [`Config::new`].
#[derive(Debug, Clone)]
pub struct Config {
    pub(super) listen: Vec<Listen>,
    pub(super) admission: Admission,
    pub(super) place: Place,
    pub(super) create: Option<String>,
    pub(super) checkpoint_bytes: u64,
}

impl Config {
    /// Listens on `listen`, which must be an address of this machine alone, and makes the database `create` if it is
    /// not there.
    ///
    /// # Errors
    /// [`ServerError::NotLoopback`], [`ServerError::InvalidName`].
    pub fn new(listen: SocketAddr, place: Place, create: Option<String>) -> Result<Self, ServerError> {
        Self::listening(vec![Listen::Tcp(listen)], Admission::default(), place, create)
    }

    /// The same for several places to listen, of which those that other machines can reach are named by `admission` to be.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn listening(
        listen: Vec<Listen>,
        admission: Admission,
        place: Place,
        create: Option<String>,
    ) -> Result<Self, ServerError> {
        let mut addresses = listen.iter().filter_map(|listen| match listen {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        });
        if let Some(exposed) = addresses.find(|address| !address.ip().is_loopback())
            && !admission.insecure_no_auth
        {
            return Err(ServerError::NotLoopback(exposed));
        }
        if let Some(name) = &create
            && let Err(error) = DatabaseName::new(name)
        {
            return Err(ServerError::InvalidName { name: name.clone(), error });
        }
        Ok(Self { listen, admission, place, create, checkpoint_bytes: limits::CHECKPOINT_BYTES })
    }

    /// Makes a checkpoint after so many bytes of changes. Fewer let a restart replay less, and the disk write more.
    #[must_use]
    pub const fn with_checkpoint_bytes(mut self, bytes: u64) -> Self {
        self.checkpoint_bytes = bytes;
        self
    }

    /// The database that is made: the one asked for, or the default in a place that holds none.
    pub(super) fn to_create(&self, existing: &[String]) -> Option<String> {
        match &self.create {
            Some(name) => (!existing.contains(name)).then(|| name.clone()),
            None => existing.is_empty().then(|| limits::DEFAULT_DATABASE.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_listened_to() {
        for (listen, allowed) in [
            ("127.0.0.1:25293", true),
            ("127.8.9.1:0", true),
            ("[::1]:25293", true),
            ("0.0.0.0:25293", false),
            ("192.168.0.1:25293", false),
            ("[::]:25293", false),
        ] {
            let config = Config::new(listen.parse().unwrap(), Place::Memory, None);
            assert_eq!(config.is_ok(), allowed, "{listen}");
            let beside = vec![Listen::Unix("b".into()), listen.parse().unwrap()];
            let config = |insecure_no_auth| {
                let admission = Admission { insecure_no_auth, ..Admission::default() };
                Config::listening(beside.clone(), admission, Place::Memory, None)
            };
            assert_eq!((config(false).is_ok(), config(true).is_ok()), (allowed, true), "{listen}");
        }
    }

    #[test]
    fn main_is_made_where_nothing_is_and_others_only_when_asked() {
        let config = |create: Option<&str>| {
            Config::new("127.0.0.1:1".parse().unwrap(), Place::Memory, create.map(str::to_owned))
        };
        let to_create = |create, existing: &[&str]| {
            let existing: Vec<String> = existing.iter().map(|name| (*name).to_owned()).collect();
            config(create).unwrap().to_create(&existing)
        };
        assert_eq!(to_create(None, &[]).as_deref(), Some("main"));
        assert_eq!(to_create(None, &["shop"]), None);
        assert_eq!(to_create(Some("shop"), &[]).as_deref(), Some("shop"));
        assert_eq!(to_create(Some("shop"), &["main", "shop"]), None);
        assert!(matches!(config(Some("Shop")), Err(ServerError::InvalidName { .. })));
    }
}
