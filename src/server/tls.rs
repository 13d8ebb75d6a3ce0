//! Encryption: a certificate with its key, and the authorities of clients' certificates.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// Says why a certificate or a key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Reports a file that holds none of what it should.
    #[error("{0}: {1}")]
    Pem(&'static str, String),
    /// Reports a certificate that is no X.509.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Reports a certificate whose time is over, which no client would take.
    #[error("the certificate expired at {0}")]
    Expired(Timestamp),
    /// Reports parts that do not fit together.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// Reports authorities that verify nothing.
    #[error("client authorities: {0}")]
    Authorities(String),
}

/// Encrypts connections.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    expires: Timestamp,
    asks_clients: bool,
}

impl Tls {
    /// Reads a certificate chain, its private key, and the authorities of clients' certificates
    /// where these are asked for, all PEM. A certificate that has expired is an error.
    pub fn from_pem(
        certificate: &[u8],
        key: &[u8],
        authorities: Option<&[u8]>,
    ) -> Result<Self, TlsError> {
        let chain = certificates("certificate", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|e| TlsError::Pem("private key", e.to_string()))?;
        // `certificates` has found one at least.
        let expires = expiry(&chain[0])?;
        // Here and once, where else every client would refuse it.
        if expires <= Timestamp::now() {
            return Err(TlsError::Expired(expires));
        }
        // By name: rustls panics where it has to choose and dependencies bring two providers.
        let provider = Arc::new(ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let roots = Arc::new(roots(authorities)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|e| TlsError::Authorities(e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        // HTTP/1 for gRPC-Web and Prometheus.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            expires,
            asks_clients: authorities.is_some(),
        })
    }

    /// Returns when the certificate expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Reports whether clients need a certificate.
    pub fn asks_clients(&self) -> bool {
        self.asks_clients
    }

    /// Returns what does the handshakes.
    pub(super) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.config.clone().into()
    }
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|e| TlsError::Pem(what, e.to_string()))?;
    if found.is_empty() {
        return Err(TlsError::Pem(what, "no certificate in PEM".into()));
    }
    Ok(found)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates("client authorities", pem)? {
        let added = roots.add(authority);
        added.map_err(|e| TlsError::Authorities(e.to_string()))?;
    }
    Ok(roots)
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<Timestamp, TlsError> {
    let (_, read) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|e| TlsError::Certificate(e.to_string()))?;
    Timestamp::from_second(read.validity().not_after.timestamp())
        .map_err(|e| TlsError::Certificate(e.to_string()))
}
