//! Why a server did not start, or stopped.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use super::listen::Listen;
use crate::engine::EngineError;
use crate::service::StorageFailure;
use crate::store::StoreError;
use crate::store::directory::DirectoryError;
use crate::wire::InvalidName;

/// Why a server did not start, or stopped. The text is one line and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The operator's: an address that others can reach.
    #[error(
        "{0} can be reached from other machines, and nobody can be authenticated yet: listen on 127.0.0.1:{port}, and \
         reach it from elsewhere by ssh -L {port}:127.0.0.1:{port} HOST; or let everybody who reaches it read and write \
         everything, with --insecure-no-auth",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// The operator's: a name that no database may have.
    #[error("no database can be named {name:?}: {error}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        error: InvalidName,
    },
    /// The operator's: someone listens there already.
    #[error("{0} is in use, perhaps by a server that runs already: stop that, or name another with --listen")]
    AddressInUse(Listen),
    /// The machine's: the address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; name another address or path with --listen")]
    Listen {
        /// The address or path.
        listen: Listen,
        /// What the system said.
        source: io::Error,
    },
    /// The operator's: the certificate or its key.
    #[error(
        "no TLS with {path}: {source}; name a certificate in PEM and its key with --tls-cert and --tls-key"
    )]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The operator's or the machine's: the data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The operator's: another store than the one that keeps the view.
    #[error(
        "database {name:?} is kept by the store lsm, which its log alone cannot replace: start with --store lsm"
    )]
    KeptByLsm {
        /// The name of the database.
        name: String,
    },
    /// The operator's: another store than the one that keeps the view.
    #[error(
        "database {name:?} is kept by the store sled: start with --store sled; or remove {path} to have another store \
         rebuilt from the log, which has everything"
    )]
    KeptBySled {
        /// The name of the database.
        name: String,
        /// The store's directory.
        path: PathBuf,
    },
    /// The machine's: files of the data directory.
    #[error("{doing} {path}: {source}; check its owner and permissions, or name another with --data-dir")]
    Files {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operator's: there is nothing to look at.
    #[error("{0} holds no blazedb data: name the directory that the server was started with")]
    NoData(PathBuf),
    /// The operator's: a database that is not there.
    #[error("there is no database {name:?} here, but {there}")]
    NoDatabase {
        /// The name.
        name: String,
        /// The names that are there.
        there: String,
    },
    /// A database that cannot be opened.
    #[error("database {name:?}: {error}")]
    Database {
        /// Its name.
        name: String,
        /// Why.
        error: EngineError,
    },
    /// A store that cannot be opened.
    #[error("database {name:?}: {error}. To see what can be mended {advice}")]
    Store {
        /// The name of its database.
        name: String,
        /// Why.
        error: StoreError,
        /// What to do.
        advice: String,
    },
    /// The machine's: no threads or signals.
    #[error("the system refuses what a server needs: {0}")]
    System(io::Error),
    /// The machine's: storage failed while the server ran.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
}
