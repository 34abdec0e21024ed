//! Where a database is: `blaze://host:port/database`.
//!
//! Each part may be left out: `blaze://` alone is [`Url::default`]. An IPv6 address stands in brackets.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use thiserror::Error;

use crate::wire::{DatabaseName, InvalidName};

/// The scheme of the protocol over TCP.
pub const SCHEME: &str = "blaze";
/// The host of a URL without one: a server listens on loopback until it is told otherwise.
pub const DEFAULT_HOST: &str = "127.0.0.1";
/// The port of a URL without one: "BLAZE" on the keys of a telephone.
pub const DEFAULT_PORT: u16 = 25293;
/// The database of a URL without one: the one that an empty server creates.
pub const DEFAULT_DATABASE: &str = "main";
/// The longest host name, in bytes: DNS has no longer one.
pub const MAX_HOST_BYTES: usize = 253;

/// What comes between scheme and address.
const AUTHORITY: &str = "://";
/// Schemes that have a meaning, but no code yet.
const LATER_SCHEMES: [&str; 6] = ["blazes", "ws", "wss", "unix", "file", "mem"];

/// An address and a database. What it holds was checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    host: String,
    port: u16,
    database: String,
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
    #[error("'{0}' is no port; write a number from 1 to 65535, or leave it out for {DEFAULT_PORT}")]
    Port(String),
    /// A database that cannot exist.
    #[error("'{name}' is no database: {source}; leave it out for '{DEFAULT_DATABASE}'")]
    Database {
        /// What stands behind the address.
        name: String,
        /// The rule.
        source: InvalidName,
    },
}

impl Url {
    /// The host: a name or an address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The same server's database `name`.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn with_database(self, name: DatabaseName<'_>) -> Self {
        Self { database: name.as_str().to_owned(), ..self }
    }

    /// Host and port as people write them.
    pub fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl Default for Url {
    fn default() -> Self {
        Self { host: DEFAULT_HOST.to_owned(), port: DEFAULT_PORT, database: DEFAULT_DATABASE.to_owned() }
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
        write!(f, "{SCHEME}{AUTHORITY}{}/{}", self.address(), self.database)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = after_scheme(text)?;
        let (address, database) = rest.split_once('/').unwrap_or((rest, ""));
        if address.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = split_port(address)?;
        let database = if database.is_empty() { DEFAULT_DATABASE } else { database };
        DatabaseName::new(database)
            .map_err(|source| UrlError::Database { name: database.to_owned(), source })?;
        Ok(Self { host: read_host(host)?, port: read_port(port)?, database: database.to_owned() })
    }
}

fn after_scheme(text: &str) -> Result<&str, UrlError> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(UrlError::NoScheme(text.to_owned()));
    };
    if let Some(later) = LATER_SCHEMES.into_iter().find(|later| scheme.eq_ignore_ascii_case(later)) {
        return Err(UrlError::LaterScheme(later));
    }
    match text.split_once(AUTHORITY) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(rest),
        Some((scheme, _)) => Err(UrlError::UnknownScheme(scheme.to_owned())),
        // `localhost:25293` is an address without a scheme, not the scheme `localhost`.
        None if scheme.eq_ignore_ascii_case(SCHEME) && !rest.is_empty() => {
            Err(UrlError::NoScheme(rest.to_owned()))
        }
        None => Err(UrlError::NoScheme(text.to_owned())),
    }
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

fn read_port(port: Option<&str>) -> Result<u16, UrlError> {
    let Some(text) = port else { return Ok(DEFAULT_PORT) };
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
        for (text, part) in [
            ("", "has no scheme"),
            ("localhost", "has no scheme"),
            ("localhost:25293", "'localhost:25293' has no scheme"),
            ("blaze:", "has no scheme"),
            ("http://localhost", "'http' is no scheme of BlazeDB"),
            ("blazes://db", "blazes: is not built yet"),
            ("WSS://db/blaze", "wss: is not built yet"),
            ("unix:/run/blazedb", "unix: is not built yet"),
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
            ("blaze://db/a?b", "'a?b' is no database"),
        ] {
            let told = text.parse::<Url>().unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
            assert!(!told.contains('\n') && !told.contains("secret"), "{told}");
        }
    }
}
