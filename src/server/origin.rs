//! Which web pages may connect (`spec/doors.md`, D-5) and read (D-3.4): a browser says by the header Origin where a page came
//! from, and by Host under which name it found the server.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// Pages that may connect from this machine without being named.
const LOCAL: [(&str, &str); 2] = [("http", "localhost"), ("http", "127.0.0.1")];

/// Where a page may come from: scheme, host, and one port or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// `None` is any.
    port: Option<u16>,
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write http://host:port or https://host:port; the port may be *".to_owned();
        match text.strip_suffix(":*") {
            Some(rest) => {
                let (scheme, host, _) = parse(rest).filter(|_| is_without_port(rest)).ok_or_else(wrong)?;
                Ok(Self { scheme, host, port: None })
            }
            None => {
                let (scheme, host, port) = parse(text).ok_or_else(wrong)?;
                Ok(Self { scheme, host, port: Some(port) })
            }
        }
    }
}

/// Whether a page with this Origin may connect. What is no browser says none.
pub(super) fn is_allowed(origin: Option<&[u8]>, is_local: bool, named: &[Origin]) -> bool {
    let Some(origin) = origin else { return true };
    let Some((scheme, host, port)) = std::str::from_utf8(origin).ok().and_then(parse) else { return false };
    let is_here = is_local && LOCAL.contains(&(&*scheme, &*host));
    is_here
        || named.iter().any(|allowed| {
            allowed.scheme == scheme
                && allowed.host == host
                && allowed.port.is_none_or(|allowed| allowed == port)
        })
}

/// Whether a request by this Host may be answered where the server listens to its own machine alone. A page whose name was
/// made to point here after it was loaded (DNS rebinding) says its own name, which nobody allowed; an address is no name, and
/// `localhost` is resolved by no stranger. What is no browser may say nothing.
pub(super) fn is_host_allowed(host: Option<&[u8]>, named: &[Origin]) -> bool {
    let Some(host) = host else { return true };
    // A Host is what stands behind the scheme of an origin.
    let parsed = std::str::from_utf8(host).ok().and_then(|host| parse(&format!("http://{host}")));
    let Some((_, host, _)) = parsed else { return false };
    host == "localhost"
        || host.starts_with('[')
        || host.parse::<Ipv4Addr>().is_ok()
        || named.iter().any(|allowed| allowed.host == host)
}

/// Scheme, host and port of an origin as browsers write it (RFC 6454, section 6.1), in small letters.
fn parse(text: &str) -> Option<(String, String, u16)> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = if is_without_port(&text) {
        (authority, usual)
    } else {
        let (host, port) = authority.rsplit_once(':')?;
        (host, port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?)
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_address = |host: &str| {
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let fits = !host.is_empty() && (host.bytes().all(is_host) || is_address(host));
    fits.then(|| (scheme.to_owned(), host.to_owned(), port))
}

fn is_without_port(text: &str) -> bool {
    let host = text.split_once("://").map_or(text, |(_, authority)| authority);
    !host.rsplit(']').next().unwrap_or(host).contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_and_named_ones_may_connect() {
        let named: Vec<Origin> =
            ["https://app.example.org", "http://dev.example.org:*", "https://[::1]:8443"]
                .map(|text| text.parse().unwrap())
                .into();
        for (origin, is_local, allowed) in [
            (None, false, true),
            (Some("http://localhost"), true, true),
            (Some("http://localhost:5173"), true, true),
            (Some("http://127.0.0.1:8080"), true, true),
            (Some("http://localhost:5173"), false, false),
            (Some("https://localhost:5173"), true, false),
            (Some("http://127.0.0.2:8080"), true, false),
            (Some("https://app.example.org"), false, true),
            (Some("https://app.example.org:443"), false, true),
            (Some("https://app.example.org:444"), false, false),
            (Some("http://app.example.org"), false, false),
            (Some("http://dev.example.org:81"), false, true),
            (Some("https://[::1]:8443"), false, true),
            (Some("null"), true, false),
            (Some(""), true, false),
            (Some("http://localhost.evil.example"), true, false),
            (Some("http://evil-localhost:80"), true, false),
            (Some("http://localhost:80@evil.example"), true, false),
            (Some("http://localhost:80/evil"), true, false),
            (Some("http://localhost:"), true, false),
            (Some("http://localhost http://evil.example"), true, false),
            (Some("file://localhost"), true, false),
            (Some("https://app.example.org.evil.example"), false, false),
            (Some("https://evil.example/https://app.example.org"), false, false),
        ] {
            assert_eq!(is_allowed(origin.map(str::as_bytes), is_local, &named), allowed, "{origin:?}");
        }
        assert!(!is_allowed(Some(b"http://localhost\xff"), true, &named));
    }

    #[test]
    fn addresses_localhost_and_named_hosts_are_answered() {
        let named: Vec<Origin> = vec!["https://db.example.org".parse().unwrap()];
        for (host, allowed) in [
            (None, true),
            (Some("localhost"), true),
            (Some("LocalHost:25293"), true),
            (Some("127.0.0.1:25293"), true),
            (Some("192.0.2.7"), true),
            (Some("[::1]:25293"), true),
            (Some("db.example.org"), true),
            (Some("db.example.org:25293"), true),
            (Some("evil.example:25293"), false),
            (Some("localhost.evil.example"), false),
            (Some("127.0.0.1.evil.example"), false),
            (Some("127.0.0.256"), false),
            (Some("[evil.example]"), false),
            (Some("localhost:25293:1"), false),
            (Some("user@localhost"), false),
            (Some("localhost/"), false),
            (Some(""), false),
        ] {
            assert_eq!(is_host_allowed(host.map(str::as_bytes), &named), allowed, "{host:?}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in
            ["", "*", "null", "example.org", "http://", "http://:*", "ftp://a", "http://a/b", "http://a:1:*"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
