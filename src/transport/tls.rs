//! TLS 1.3, and nothing older: what a client trusts, and every setting of either side by name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, PeerIncompatible,
    RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use super::pin::Pin;

/// The versions that are spoken. The others are not in the binary.
const VERSIONS: [&SupportedProtocolVersion; 1] = [&TLS13];
/// Data before the handshake is done could be played again by whoever recorded it: none is taken, none is sent.
const EARLY_DATA_BYTES: u32 = 0;
/// Tickets for resumption: connections last, and each ticket would be memory for as long.
const TICKETS: usize = 0;

/// Encrypted output that is held beside what the socket takes, in bytes: one record. More would hide from a connection how
/// slowly the other side reads.
pub const BUFFER_BYTES: usize = 16 << 10;

/// Why a client's side of TLS cannot be set up: the fault of who configured it, or of the machine.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file of certificates.
    #[error("cannot read certificates from {path}: {cause}; name a file of certificates in PEM with --ca")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The system trusts nobody.
    #[error(
        "this system has no certificates of authorities to check the server's with; pin it by ?pin=sha256:HEX, or name a \
         file with --ca"
    )]
    NobodyTrusted,
    /// The library.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A client's side: it trusts the certificate of `pin` alone if there is one, else those that `ca` vouches for, or
/// else the system's authorities.
///
/// # Errors
/// [`TrustError`].
pub fn client(pin: Option<Pin>, ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = match pin {
        Some(pin) => Arc::new(Pinned { pin, provider: Arc::clone(&provider) }),
        None => WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca)?), Arc::clone(&provider))
            .build()
            .map_err(|error| TrustError::Library(error.to_string()))?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&VERSIONS)
        .map_err(|error| TrustError::Library(error.to_string()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let failed = |cause: String| TrustError::File { path: path.to_owned(), cause };
            for certificate in certificates(path).map_err(|error| failed(error.to_string()))? {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        // What the system holds that is no certificate is passed over.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() { Err(TrustError::NobodyTrusted) } else { Ok(roots) }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// What is wrong with the file.
pub fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(io::Error::other)?;
    if found.is_empty() { Err(io::Error::other("it holds no certificate")) } else { Ok(found) }
}

/// The private key of a PEM file.
///
/// # Errors
/// What is wrong with the file.
pub fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(io::Error::other)
}

/// A server's side, which shows these certificates.
///
/// # Errors
/// The library's: key and certificate do not belong together, for instance.
pub fn server(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.max_early_data_size = EARLY_DATA_BYTES;
    config.send_tls13_tickets = TICKETS;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Trusts one certificate, whatever it says of itself.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if Pin::of(end_entity) == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failed handshake means to the person who waits for it.
pub(super) fn advice(error: &io::Error, pin: Option<&Pin>) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match tls {
        Some(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            if pin.is_some() =>
        {
            "its certificate is not the pinned one: compare the pin with the line that the server printed; if it was not \
             made anew, somebody else answers"
        }
        Some(TlsError::InvalidCertificate(_)) => {
            "nobody whom this system trusts vouches for its certificate: pin it by ?pin=sha256:HEX, which the server \
             prints when it starts, or name who vouches with --ca FILE"
        }
        Some(TlsError::InvalidMessage(_)) => {
            "it does not speak TLS, or has no place left and says so in the clear: write blaze: or ws:, check the port, \
             or try again"
        }
        _ => "check that it is a BlazeDB server and speaks TLS 1.3",
    }
}
