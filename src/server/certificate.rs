//! The certificate that a server shows: one that it was given, or one that it made for itself at its first start.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::config::Place;
use super::error::ServerError;
use super::limits::KEY_MODE;
use crate::transport::{Pin, tls};

/// What a server makes for itself, in its data directory.
const OWN_CERTIFICATE: &str = "tls-cert.pem";
/// The key of it.
const OWN_KEY: &str = "tls-key.pem";
/// Whom such a certificate is for: it is known by its fingerprint, wherever the server is.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where a certificate and its key come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Files that an operator named.
    Named { certificate: PathBuf, key: PathBuf },
    /// Files in the data directory, made if they are not there.
    Own(PathBuf),
    /// Nowhere: made anew at each start.
    Memory,
}

/// What is shown to clients.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) config: Arc<ServerConfig>,
    pub(super) pin: Pin,
}

impl Source {
    pub(super) fn of(named: Option<&(PathBuf, PathBuf)>, place: &Place) -> Self {
        match (named, place) {
            (Some((certificate, key)), _) => {
                Self::Named { certificate: certificate.clone(), key: key.clone() }
            }
            (None, Place::Directory(path, _)) => Self::Own(path.clone()),
            (None, Place::Memory) => Self::Memory,
        }
    }

    /// Whether it is one that nobody vouches for, so that clients must be told its fingerprint.
    pub(super) const fn is_own(&self) -> bool {
        !matches!(self, Self::Named { .. })
    }

    /// The file of the key if every user of the machine may read or change it. A group may be meant to.
    pub(super) fn exposed_key(&self) -> Option<PathBuf> {
        let key = match self {
            Self::Named { key, .. } => key.clone(),
            Self::Own(directory) => directory.join(OWN_KEY),
            Self::Memory => return None,
        };
        fs::metadata(&key).is_ok_and(|found| found.mode() & OTHERS != 0).then_some(key)
    }

    /// Reads it, or makes it.
    pub(super) fn load(&self) -> Result<Shown, ServerError> {
        match self {
            Self::Named { certificate, key } => load(certificate, key),
            Self::Own(directory) => {
                let (certificate, key) = (directory.join(OWN_CERTIFICATE), directory.join(OWN_KEY));
                // The certificate is written last: without it the key was never shown.
                if !certificate.exists() {
                    let made = Made::new().map_err(failed(&certificate))?;
                    write(&key, made.key_pem.as_bytes(), KEY_MODE).map_err(failed(&key))?;
                    write(&certificate, made.pem.as_bytes(), CERTIFICATE_MODE)
                        .map_err(failed(&certificate))?;
                }
                load(&certificate, &key)
            }
            Self::Memory => {
                let nowhere = Path::new("memory");
                let made = Made::new().map_err(failed(nowhere))?;
                let key = PrivateKeyDer::try_from(made.key_der)
                    .map_err(io::Error::other)
                    .map_err(failed(nowhere))?;
                shown(vec![made.der], key).map_err(failed(nowhere))
            }
        }
    }
}

/// The bits of a mode by which others than the owner and its group read and write.
const OTHERS: u32 = 0o006;
/// Everybody may read what is shown to everybody.
const CERTIFICATE_MODE: u32 = 0o644;

fn load(certificate: &Path, key: &Path) -> Result<Shown, ServerError> {
    let certificates = tls::certificates(certificate).map_err(failed(certificate))?;
    let secret = tls::private_key(key).map_err(failed(key))?;
    shown(certificates, secret).map_err(failed(certificate))
}

fn shown(certificates: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> io::Result<Shown> {
    let pin = certificates.first().map(|first| Pin::of(first)).ok_or(io::ErrorKind::InvalidData)?;
    let config = tls::server(certificates, key).map_err(io::Error::other)?;
    Ok(Shown { config: Arc::new(config), pin })
}

/// A certificate that was made just now.
struct Made {
    der: CertificateDer<'static>,
    pem: String,
    key_der: Vec<u8>,
    key_pem: String,
}

impl Made {
    fn new() -> io::Result<Self> {
        // Every client of TLS 1.3 must know it (RFC 8446, section 9.1).
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let mut params = CertificateParams::new(NAMES.map(str::to_owned)).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, "BlazeDB, self-signed");
        // Whoever pins it does not look at its dates; it goes when an operator removes it.
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2999, 12, 31);
        let made = params.self_signed(&key).map_err(io::Error::other)?;
        let (key_der, key_pem) = (key.serialize_der(), key.serialize_pem());
        Ok(Self { der: made.der().clone(), pem: made.pem(), key_der, key_pem })
    }
}

/// Writes a file whole, or not at all, and durably: a key that is lost makes every client's pin worthless.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    // One that a start left behind may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let directory = path.parent().unwrap_or(path);
    fs::OpenOptions::new().read(true).open(directory)?.sync_all()
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ServerError {
    let path = path.to_owned();
    move |source| ServerError::Certificate { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::server::StoreKind;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Directory(folder.path().to_owned(), StoreKind::Lsm);
        let source = Source::of(None, &place);
        let first = source.load().unwrap().pin;
        assert_eq!(source.load().unwrap().pin, first);
        let mode = fs::metadata(folder.path().join(OWN_KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let key = folder.path().join(OWN_KEY);
        for (mode, is_exposed) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(source.exposed_key(), is_exposed.then(|| key.clone()), "{mode:o}");
        }
        assert_eq!(Source::Memory.exposed_key(), None);
        fs::remove_file(folder.path().join(OWN_CERTIFICATE)).unwrap();
        assert_ne!(source.load().unwrap().pin, first);
        assert_ne!(Source::Memory.load().unwrap().pin, Source::Memory.load().unwrap().pin);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("b.pem"));
        let source = Source::Named { certificate: certificate.clone(), key: key.clone() };
        let told = || source.load().unwrap_err().to_string();
        assert!(told().contains("a.pem"), "{}", told());
        let made = Made::new().unwrap();
        fs::write(&certificate, &made.pem).unwrap();
        fs::write(&key, "no key").unwrap();
        assert!(told().contains("b.pem"), "{}", told());
        fs::write(&key, Made::new().unwrap().key_pem).unwrap();
        assert!(told().contains("a.pem") && told().lines().count() == 1, "{}", told());
        fs::write(&key, &made.key_pem).unwrap();
        assert_eq!(source.load().unwrap().pin, Pin::of(&made.der));
    }
}
