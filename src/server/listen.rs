//! Where a server listens: addresses of TCP, and paths of Unix sockets.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use super::error::ServerError;
use super::limits::{BACKLOG, SOCKET_MODE};
use crate::transport::socket::Socket;
use crate::transport::{Url, UrlError};

/// What stands before a path.
const UNIX: &str = "unix:";
/// Nagle's algorithm is off: an Ack is small and someone waits for it; output is written in batches anyway.
const NO_DELAY: bool = true;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => write!(out, "{UNIX}{}", path.display()),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            // A relative path is one of the directory that the server is started in.
            Some(path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "write ADDRESS:PORT, as 127.0.0.1:25293, or unix:PATH".to_owned()),
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A Unix socket's file, which is removed when its server lets go of it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what somebody else put there meanwhile stays.
    identity: (u64, u64),
}

impl Listener {
    /// Listens on `listen`.
    pub(super) fn open(listen: &Listen) -> Result<Self, ServerError> {
        let opened = match listen {
            Listen::Tcp(address) => tcp(*address).map(Self::Tcp),
            Listen::Unix(path) => unix(path),
        };
        opened.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::AddressInUse(listen.clone()),
            _ => ServerError::Listen { listen: listen.clone(), source },
        })
    }

    /// Accepts a client; says where it comes from, which is nowhere over a Unix socket.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(NO_DELAY)?;
                Ok((Socket::Tcp(stream), Some(from.ip().to_canonical())))
            }
            Self::Unix(listener, _) => Ok((Socket::Unix(listener.accept().await?.0), None)),
        }
    }

    /// Whether it is an address of this machine alone, which names of others should not lead to.
    pub(super) fn is_of_loopback(&self) -> bool {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
            }
            Self::Unix(..) => false,
        }
    }

    /// How it is reached.
    pub(super) fn url(&self) -> io::Result<Url> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Url::from),
            Self::Unix(_, file) => Url::unix(&file.path).map_err(|error: UrlError| io::Error::other(error)),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a restart would wait for the sockets of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn unix(path: &Path) -> io::Result<Listener> {
    let path = std::path::absolute(path)?;
    // What cannot be written in a URL would be listened on in vain.
    Url::unix(&path).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    remove_stale(&path)?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(&path)?;
    // Nobody can connect before it listens: from the first moment only its owner can.
    fs::set_permissions(&path, fs::Permissions::from_mode(SOCKET_MODE))?;
    let found = fs::symlink_metadata(&path)?;
    let file = SocketFile { path, identity: (found.dev(), found.ino()) };
    Ok(Listener::Unix(socket.listen(BACKLOG)?, file))
}

/// Removes the socket of a server that was killed: one that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("a file that is no socket is there")),
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_own {
            // It would be removed by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_listen_is_an_address_or_a_path() {
        for (text, found) in [
            ("127.0.0.1:0", Some(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))),
            ("unix:/run/b", Some(Listen::Unix("/run/b".into()))),
            ("unix:b", Some(Listen::Unix("b".into()))),
            ("unix:", None),
            ("localhost", None),
        ] {
            assert_eq!(text.parse().ok(), found, "{text}");
        }
    }

    #[tokio::test]
    async fn a_stale_socket_gives_way_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listen = Listen::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::open(&listen).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::open(&listen), Err(ServerError::AddressInUse(found)) if found == listen));
        drop(listener);
        assert!(!path.exists());
        fs::write(&path, "a note").unwrap();
        let error = Listener::open(&listen).unwrap_err().to_string();
        assert!(error.contains("no socket is there"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a note");
    }
}
