//! Where a database is (`spec/doors.md`, D-7).
//!
//! ```text
//!   blaze://host:port/database
//!   blazes://host:port/database?pin=sha256:HEX
//!   ws://host:port/blaze?db=database       wss://host:port/blaze?db=database&pin=sha256:HEX
//!   unix:/path?db=database
//! ```
//!
//! What can be left out has a default: `blaze://` alone is [`Url::default`]. An IPv6 address stands in brackets.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use super::pin::Pin;
use crate::wire::{DatabaseName, InvalidName};

/// The host of a URL without one: a server listens on loopback until it is told otherwise.
pub const DEFAULT_HOST: &str = "127.0.0.1";
/// The port of a URL without one: "BLAZE" on the keys of a telephone. Those of `ws:` and `wss:` are everyone's: 80 and
/// 443.
pub const DEFAULT_PORT: u16 = 25293;
/// The database of a URL without one: the one that an empty server creates.
pub const DEFAULT_DATABASE: &str = "main";
/// Where a server has its WebSocket.
pub const WEBSOCKET_PATH: &str = "/blaze";
/// The longest host name, in bytes: DNS has no longer one.
pub const MAX_HOST_BYTES: usize = 253;
/// The longest path of a socket, in bytes: what `sun_path` holds on Linux, less the zero at its end.
pub const MAX_SOCKET_PATH_BYTES: usize = 107;

/// What comes between scheme and address.
const AUTHORITY: &str = "://";
/// Schemes that have a meaning, but no code yet.
const LATER_SCHEMES: [&str; 2] = ["file", "mem"];

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `blaze:`, over TCP.
    Blaze,
    /// `blazes:`, over TLS.
    Blazes,
    /// `ws:`, over a WebSocket.
    Ws,
    /// `wss:`, over a WebSocket under TLS.
    Wss,
    /// `unix:`, over a Unix socket.
    Unix,
}

impl Scheme {
    const ALL: [Self; 5] = [Self::Blaze, Self::Blazes, Self::Ws, Self::Wss, Self::Unix];

    /// As it is written, without the colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blaze => "blaze",
            Self::Blazes => "blazes",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }

    /// Whether it encrypts.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Blazes | Self::Wss)
    }

    /// Whether it speaks over a WebSocket.
    pub const fn is_web(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Blaze | Self::Blazes => DEFAULT_PORT,
            Self::Ws => 80,
            Self::Wss => 443,
            Self::Unix => 0,
        }
    }
}

/// An address and a database. What it holds was checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: Scheme,
    /// Empty for a Unix socket.
    host: String,
    port: u16,
    /// Of the WebSocket, or of the Unix socket; else empty.
    path: String,
    database: String,
    pin: Option<Pin>,
}

/// A text that is no [`Url`]: the fault of who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// No scheme.
    #[error("'{0}' has no scheme; write blaze://host:port/database")]
    NoScheme(String),
    /// A scheme that comes with a later release.
    #[error("{0}: is not built yet; write blaze://host:port/database")]
    LaterScheme(&'static str),
    /// A scheme that means nothing here.
    #[error("'{0}' is no scheme of BlazeDB; write blaze://host:port/database")]
    UnknownScheme(String),
    /// A name or password before the host.
    #[error("a URL carries no user or password; leave out what stands before the '@'")]
    Credentials,
    /// A host that cannot be one.
    #[error("'{0}' is no host; write a name, an IPv4 address, or an IPv6 address in brackets")]
    Host(String),
    /// A port that is no number from 1 to 65535.
    #[error("'{0}' is no port; write a number from 1 to 65535, or leave it out")]
    Port(String),
    /// A path that a server cannot have.
    #[error(
        "'{0}' is no path; a WebSocket's is /blaze, a Unix socket's begins with '/' and has at most {MAX_SOCKET_PATH_BYTES} bytes"
    )]
    Path(String),
    /// Something behind the '?' that means nothing there.
    #[error(
        "'{0}' means nothing in this URL; ws:, wss: and unix: take db=NAME, blazes: and wss: take pin=sha256:HEX"
    )]
    Option(String),
    /// A fingerprint that is none.
    #[error(
        "'{0}' is no fingerprint; write pin=sha256: and the 64 digits that the server prints when it starts"
    )]
    Pin(String),
    /// A database that cannot exist.
    #[error("'{name}' is no database: {source}; leave it out for '{DEFAULT_DATABASE}'")]
    Database {
        /// What stands where the database should.
        name: String,
        /// The rule.
        source: InvalidName,
    },
}

impl Url {
    /// The server that listens on a Unix socket, by its absolute path.
    ///
    /// # Errors
    /// [`UrlError::Path`].
    pub fn unix(path: &Path) -> Result<Self, UrlError> {
        let text = path.to_str().ok_or_else(|| UrlError::Path(path.display().to_string()))?;
        let path = read_socket_path(text)?;
        Ok(Self { scheme: Scheme::Unix, host: String::new(), port: 0, path, ..Self::default() })
    }

    /// The same server and database, reached in another way.
    #[must_use]
    pub fn with_tls(self, pin: Pin) -> Self {
        Self { scheme: Scheme::Blazes, pin: Some(pin), ..self }
    }

    /// How the server is reached.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name or an address, an IPv6 address without brackets. Empty for a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path of the WebSocket or of the Unix socket.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The only certificate that the server may have.
    pub const fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// The same server's database `name`.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn with_database(self, name: DatabaseName<'_>) -> Self {
        Self { database: name.as_str().to_owned(), ..self }
    }

    /// Host and port as people write them, or the path of a Unix socket.
    pub fn address(&self) -> String {
        let Self { host, port, .. } = self;
        match self.scheme {
            Scheme::Unix => self.path.clone(),
            _ if host.contains(':') => format!("[{host}]:{port}"),
            _ => format!("{host}:{port}"),
        }
    }
}

impl Default for Url {
    fn default() -> Self {
        Self {
            scheme: Scheme::Blaze,
            host: DEFAULT_HOST.to_owned(),
            port: DEFAULT_PORT,
            path: String::new(),
            database: DEFAULT_DATABASE.to_owned(),
            pin: None,
        }
    }
}

/// The database [`DEFAULT_DATABASE`] of the server that listens there.
impl From<SocketAddr> for Url {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), ..Self::default() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, path, database, .. } = self;
        let (name, address) = (scheme.name(), self.address());
        match scheme {
            Scheme::Blaze | Scheme::Blazes => write!(f, "{name}{AUTHORITY}{address}/{database}")?,
            Scheme::Ws | Scheme::Wss => write!(f, "{name}{AUTHORITY}{address}{path}?db={database}")?,
            Scheme::Unix => write!(f, "{name}:{path}?db={database}")?,
        }
        match &self.pin {
            Some(pin) => write!(f, "{}pin={pin}", if scheme.is_web() { '&' } else { '?' }),
            None => Ok(()),
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = split_scheme(text)?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = match scheme {
            Scheme::Unix => Self::unix(Path::new(rest))?,
            _ => read_network(scheme, rest)?,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("db", name)) if scheme.is_web() || scheme == Scheme::Unix => {
                    url.database = read_database(name)?;
                }
                Some(("pin", pin)) if scheme.is_tls() => {
                    url.pin = Some(pin.parse().map_err(|_| UrlError::Pin(pin.to_owned()))?);
                }
                _ => return Err(UrlError::Option(option.to_owned())),
            }
        }
        Ok(url)
    }
}

/// Host, port and what follows them.
fn read_network(scheme: Scheme, rest: &str) -> Result<Url, UrlError> {
    let (address, behind) = rest.split_once('/').unwrap_or((rest, ""));
    if address.contains('@') {
        return Err(UrlError::Credentials);
    }
    let (host, port) = split_port(address)?;
    let (host, port) = (read_host(host)?, read_port(port, scheme)?);
    let (path, database) = if scheme.is_web() {
        (read_web_path(behind)?, DEFAULT_DATABASE.to_owned())
    } else {
        (String::new(), read_database(behind)?)
    };
    Ok(Url { scheme, host, port, path, database, pin: None })
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), UrlError> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(UrlError::NoScheme(text.to_owned()));
    };
    if let Some(later) = LATER_SCHEMES.into_iter().find(|later| scheme.eq_ignore_ascii_case(later)) {
        return Err(UrlError::LaterScheme(later));
    }
    let known = Scheme::ALL.into_iter().find(|known| scheme.eq_ignore_ascii_case(known.name()));
    match (known, rest.strip_prefix("//")) {
        (Some(Scheme::Unix), _) => Ok((Scheme::Unix, rest)),
        (Some(scheme), Some(rest)) => Ok((scheme, rest)),
        // `localhost:25293` is an address without a scheme, not the scheme `localhost`.
        (Some(_), None) if !rest.is_empty() => Err(UrlError::NoScheme(rest.to_owned())),
        (None, Some(_)) => Err(UrlError::UnknownScheme(scheme.to_owned())),
        (_, None) => Err(UrlError::NoScheme(text.to_owned())),
    }
}

fn read_database(name: &str) -> Result<String, UrlError> {
    let name = if name.is_empty() { DEFAULT_DATABASE } else { name };
    DatabaseName::new(name).map_err(|source| UrlError::Database { name: name.to_owned(), source })?;
    Ok(name.to_owned())
}

/// The path behind the first '/', which is not part of `behind`. A proxy may have put the WebSocket elsewhere.
fn read_web_path(behind: &str) -> Result<String, UrlError> {
    if behind.is_empty() {
        return Ok(WEBSOCKET_PATH.to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let fits = behind.len() <= MAX_HOST_BYTES && behind.bytes().all(is_plain);
    if fits { Ok(format!("/{behind}")) } else { Err(UrlError::Path(format!("/{behind}"))) }
}

fn read_socket_path(path: &str) -> Result<String, UrlError> {
    let is_path = path.starts_with('/')
        && path.len() <= MAX_SOCKET_PATH_BYTES
        && !path.contains(|c: char| c == '?' || c.is_control());
    if is_path { Ok(path.to_owned()) } else { Err(UrlError::Path(path.to_owned())) }
}

/// The host and, if one is written, the port.
fn split_port(address: &str) -> Result<(&str, Option<&str>), UrlError> {
    if let Some(inside) = address.strip_prefix('[') {
        let (host, rest) = inside.split_once(']').ok_or_else(|| UrlError::Host(address.to_owned()))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlError::Host(address.to_owned())),
        };
    }
    match address.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(UrlError::Host(address.to_owned())),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((address, None)),
    }
}

fn read_host(host: &str) -> Result<String, UrlError> {
    if host.is_empty() {
        return Ok(DEFAULT_HOST.to_owned());
    }
    let is_name = host.len() <= MAX_HOST_BYTES
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    if is_name || is_address { Ok(host.to_owned()) } else { Err(UrlError::Host(host.to_owned())) }
}

fn read_port(port: Option<&str>, scheme: Scheme) -> Result<u16, UrlError> {
    let Some(text) = port else { return Ok(scheme.default_port()) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| UrlError::Port(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_left_out_have_defaults() {
        for (text, host, port, database) in [
            ("blaze://", "127.0.0.1", 25293, "main"),
            ("blaze:///", "127.0.0.1", 25293, "main"),
            ("blaze://db.example.org", "db.example.org", 25293, "main"),
            ("BLAZE://db:7/", "db", 7, "main"),
            ("blaze://:7/app-1", "127.0.0.1", 7, "app-1"),
            ("blaze://[::1]:7/a", "::1", 7, "a"),
            ("blaze://[::1]", "::1", 25293, "main"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.database()), (host, port, database), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
        assert_eq!("blaze://".parse(), Ok(Url::default()));
        assert_eq!(Url::default().to_string(), "blaze://127.0.0.1:25293/main");
        assert_eq!("blaze://[::1]:7/a".parse::<Url>().unwrap().to_string(), "blaze://[::1]:7/a");
    }

    #[test]
    fn what_is_no_url_is_told_with_advice() {
        let long = format!("blaze://{}", "a".repeat(MAX_HOST_BYTES + 1));
        let deep = format!("unix:/{}", "a".repeat(MAX_SOCKET_PATH_BYTES));
        for (text, part) in [
            ("", "has no scheme"),
            ("localhost", "has no scheme"),
            ("localhost:25293", "'localhost:25293' has no scheme"),
            ("blaze:", "has no scheme"),
            ("http://localhost", "'http' is no scheme of BlazeDB"),
            ("file:/var/db", "file: is not built yet"),
            ("unix:run/blazedb", "'run/blazedb' is no path"),
            ("unix:", "'' is no path"),
            (&deep, "is no path"),
            ("unix:/run/blazedb?db=Main", "'Main' is no database"),
            ("unix:/run/blazedb?pin=sha256:00", "means nothing"),
            ("ws://db/blaze?pin=sha256:00", "means nothing"),
            ("ws://db/bla ze", "'/bla ze' is no path"),
            ("blazes://db/main?db=main", "'db=main' means nothing"),
            ("blazes://db/main?pin=sha1:00", "'sha1:00' is no fingerprint"),
            ("wss://db/blaze?db=main&pin=sha256:0g", "'sha256:0g' is no fingerprint"),
            ("blaze://db/main?pin=sha256:00", "means nothing"),
            ("ws:db", "'db' has no scheme"),
            ("mem:", "mem: is not built yet"),
            ("blaze://me:secret@db/main", "leave out what stands before the '@'"),
            ("blaze://db:0", "'0' is no port"),
            ("blaze://db:65536", "'65536' is no port"),
            ("blaze://db:+1", "'+1' is no port"),
            ("blaze://db:", "'' is no port"),
            ("blaze://::1", "in brackets"),
            ("blaze://[::1", "in brackets"),
            ("blaze://[::1]x", "in brackets"),
            ("blaze://a b", "'a b' is no host"),
            (&long, "is no host"),
            ("blaze://db/Main", "'Main' is no database"),
            ("blaze://db/a/b", "'a/b' is no database"),
            ("blaze://db/a?b", "'b' means nothing"),
        ] {
            let told = text.parse::<Url>().unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
            assert!(!told.contains('\n') && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn every_scheme_is_read_and_written_alike() {
        let pin = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for (text, written) in [
            ("blazes://db/app", "blazes://db:25293/app".to_owned()),
            ("ws://db", "ws://db:80/blaze?db=main".to_owned()),
            ("ws://db:25293/blaze?db=app", "ws://db:25293/blaze?db=app".to_owned()),
            ("WSS://[::1]/sub/blaze", "wss://[::1]:443/sub/blaze?db=main".to_owned()),
            ("unix:/run/blazedb.sock", "unix:/run/blazedb.sock?db=main".to_owned()),
            ("unix:/run/a b?db=app", "unix:/run/a b?db=app".to_owned()),
            (&format!("blazes://db?pin={pin}"), format!("blazes://db:25293/main?pin={pin}")),
            (&format!("wss://db/blaze?pin={pin}&db=a"), format!("wss://db:443/blaze?db=a&pin={pin}")),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(url), "{text}");
        }
    }
}
