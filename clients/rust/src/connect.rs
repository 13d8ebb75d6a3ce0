//! Connections, and retries.

use std::time::{Duration, Instant};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use crate::{Client, Error};

/// Settings of a connection; `Connect::to("https://...")`, settings, then [`Connect::connect`].
#[derive(Debug, Clone)]
pub struct Connect {
    address: String,
    authorities: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    api_key: Option<String>,
    keepalive: Duration,
    attempts: u32,
}

impl Connect {
    /// `127.0.0.1:7878`, `http://...`, or with TLS `https://...`.
    pub fn to(address: &str) -> Self {
        let address = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let (authorities, identity, api_key) = (Vec::new(), None, None);
        Self {
            address,
            authorities,
            identity,
            api_key,
            keepalive: Duration::from_secs(30),
            attempts: 4,
        }
    }

    /// Certificates (PEM) that the server's may be signed by, in place of the system's.
    pub fn authorities(self, pem: impl Into<Vec<u8>>) -> Self {
        Self {
            authorities: pem.into(),
            ..self
        }
    }

    /// This client's certificate and key (PEM), for a server that asks for one.
    pub fn identity(self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            identity: Some((certificate.into(), key.into())),
            ..self
        }
    }

    /// The key that the server knows this client by.
    pub fn api_key(self, key: impl Into<String>) -> Self {
        Self {
            api_key: Some(key.into()),
            ..self
        }
    }

    /// A silent connection is asked for a sign of life this often, and given up after as long
    /// again; 30 seconds unless said otherwise.
    pub fn keepalive(self, interval: Duration) -> Self {
        Self {
            keepalive: interval,
            ..self
        }
    }

    /// How often a call is tried whose connection is lost before its first message, or that a
    /// server refuses because it is going down; 4 unless said otherwise. After its first message a
    /// call is never tried again.
    pub fn attempts(self, attempts: u32) -> Self {
        Self {
            attempts: attempts.max(1),
            ..self
        }
    }

    /// Connects once, for services that [`Client`] does not have.
    pub async fn channel(&self) -> Result<Channel, Error> {
        Ok(self.endpoint()?.connect().await?)
    }

    fn endpoint(&self) -> Result<Endpoint, Error> {
        let mut endpoint = Endpoint::from_shared(self.address.clone())?
            .http2_keep_alive_interval(self.keepalive)
            .keep_alive_timeout(self.keepalive)
            // Else a stream whose client is dropped counts as idle, and waits for ever.
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if self.address.starts_with("https://") {
            let mut tls = ClientTlsConfig::new();
            tls = if self.authorities.is_empty() {
                tls.with_native_roots()
            } else {
                tls.ca_certificate(Certificate::from_pem(&self.authorities))
            };
            if let Some((certificate, key)) = &self.identity {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            endpoint = endpoint.tls_config(tls)?;
        }
        Ok(endpoint)
    }

    /// Connects; where nothing answers it tries again, as calls do.
    pub async fn connect(self) -> Result<Client, Error> {
        let endpoint = self.endpoint()?;
        let bearer = self
            .api_key
            .as_ref()
            .map(|key| format!("Bearer {key}").parse());
        let bearer = bearer
            .transpose()
            .map_err(|_| Status::invalid_argument("the key is no text of ASCII letters"))?;
        let retry = Retry {
            attempts: self.attempts,
            timeout: None,
        };
        let channel = retry
            .run(Request::new(()), |_| async {
                Ok(endpoint.connect().await?)
            })
            .await?;
        Ok(Client::over(channel, Key(bearer), retry))
    }
}

/// The client's name and version, for the server.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) Option<MetadataValue<Ascii>>);

/// A channel that says the key.
pub(crate) type Keyed = tonic::service::interceptor::InterceptedService<Channel, Key>;

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

/// The retries of a call, and the time that all of it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) timeout: Option<Duration>,
}

const FIRST_WAIT: Duration = Duration::from_millis(100);

impl Retry {
    /// `send`s a request until it is answered, is refused for good, or the attempts or the time are
    /// used up.
    pub(crate) async fn run<M: Clone, T, F: Future<Output = Result<T, Error>>>(
        self,
        request: Request<M>,
        send: impl Fn(Request<M>) -> F,
    ) -> Result<T, Error> {
        let (metadata, extensions, message) = request.into_parts();
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            let mut request =
                Request::from_parts(metadata.clone(), extensions.clone(), message.clone());
            if let Some(timeout) = self.timeout {
                request.set_timeout(timeout.saturating_sub(begun.elapsed()));
            }
            let error = match send(request).await {
                Err(error)
                    if error.code() == Some(Code::Unavailable) && attempt < self.attempts =>
                {
                    error
                }
                result => return result,
            };
            let wait = error
                .retry_after()
                .unwrap_or(FIRST_WAIT * (1 << attempt.min(6)));
            if self
                .timeout
                .is_some_and(|timeout| begun.elapsed() + wait >= timeout)
            {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }
}
