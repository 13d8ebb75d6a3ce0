//! Connections.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use crate::servers::{OnWait, Server, Servers, bare};
use crate::{Client, Error};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a connection; `Connect::to("https://...")`, settings, then [`Connect::connect`].
#[derive(Clone)]
pub struct Connect {
    addresses: Vec<String>,
    authorities: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    api_key: Option<String>,
    keepalive: Duration,
    opening: Duration,
    patience: Duration,
    on_wait: OnWait,
}

/// Leaves the keys out.
impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("addresses", &self.addresses)
            .field("keepalive", &self.keepalive)
            .field("connect_timeout", &self.opening)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Connect {
    /// Names one server: `127.0.0.1:7878`, `http://...`, or with TLS `https://...`.
    pub fn to(address: &str) -> Self {
        Self::to_all([address])
    }

    /// Connects to servers that answer the same: calls about one picture go to one of them, and to
    /// another where it is lost.
    pub fn to_all<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let addresses = addresses.into_iter().map(|address| {
            // Encryption is asked for by its scheme alone.
            if address.contains("://") {
                address.to_owned()
            } else {
                format!("http://{address}")
            }
        });
        Self {
            addresses: addresses.collect(),
            authorities: Vec::new(),
            identity: None,
            api_key: None,
            keepalive: Duration::from_secs(30),
            opening: CONNECT_TIMEOUT,
            patience: Duration::from_secs(60),
            on_wait: OnWait::default(),
        }
    }

    /// Sets the certificates (PEM) that the server's may be signed by, in place of the system's.
    pub fn authorities(self, pem: impl Into<Vec<u8>>) -> Self {
        Self {
            authorities: pem.into(),
            ..self
        }
    }

    /// Sets this client's certificate and key (PEM), for a server that asks for one.
    pub fn identity(self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            identity: Some((certificate.into(), key.into())),
            ..self
        }
    }

    /// Sets the key that the server knows this client by.
    pub fn api_key(self, key: impl Into<String>) -> Self {
        Self {
            api_key: Some(key.into()),
            ..self
        }
    }

    /// Sets how often a silent connection is asked for a sign of life, and after how long again it
    /// is given up; 30 seconds unless said otherwise.
    pub fn keepalive(self, interval: Duration) -> Self {
        Self {
            keepalive: interval,
            ..self
        }
    }

    /// Sets how long a connection may take to come about; 10 seconds unless said otherwise. A host
    /// that answers nothing at all would hold each try for the minutes that the system gives it.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self {
            opening: timeout,
            ..self
        }
    }

    /// Sets how long a call waits for a server whose connection is lost before the call's first
    /// message, or that refuses it because it is going down; 60 seconds unless said otherwise,
    /// none: not at all. After its first message a call is never tried again, but a benchmark goes
    /// on with what is not answered.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Calls `heard` with the error for which a call begins to wait, so that people know.
    pub fn on_wait(self, heard: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        Self {
            on_wait: OnWait(Some(Arc::new(heard))),
            ..self
        }
    }

    /// Connects once to the first server, for services that [`Client`] does not have.
    pub async fn channel(&self) -> Result<Channel, Error> {
        Ok(self.endpoint(self.first()?)?.connect().await?)
    }

    fn first(&self) -> Result<&str, Error> {
        let first = self.addresses.first().map(String::as_str);
        first.ok_or_else(|| Status::invalid_argument("no address is given").into())
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, Error> {
        let mut endpoint = Endpoint::from_shared(address.to_owned())?
            .connect_timeout(self.opening)
            .http2_keep_alive_interval(self.keepalive)
            .keep_alive_timeout(self.keepalive)
            // Else a stream whose client is dropped counts as idle, and waits for ever.
            .keep_alive_while_idle(true)
            // Else small messages wait for the acknowledgement of those before (Nagle's algorithm).
            .tcp_nodelay(true);
        if address.starts_with("https://") {
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

    /// Connects; where nothing answers it waits, as calls do. Of several servers each is connected
    /// to by the first call that goes to it.
    pub async fn connect(self) -> Result<Client, Error> {
        self.check()?;
        let bearer = self.api_key.as_deref().map(bearer).transpose()?;
        let mut servers = Vec::new();
        for address in &self.addresses {
            let endpoint = self.endpoint(address)?;
            // Of several servers one may be down without harm: a call that goes to it finds out.
            let channel = if self.addresses.len() == 1 {
                self.wait_for(&endpoint).await?
            } else {
                endpoint.connect_lazy()
            };
            let way = Way {
                channel,
                bearer: bearer.clone(),
            };
            servers.push(Server::new(address, &way));
        }
        let servers = Servers::new(servers, self.patience, self.on_wait);
        Ok(Client::over(Arc::new(servers)))
    }

    async fn wait_for(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        // Waits as calls do, with a connection in place of a call.
        let server = Server::new("", &Way::new(endpoint.connect_lazy()));
        let waiting = Servers::new(vec![server], self.patience, self.on_wait.clone());
        let connect =
            |_: usize, _: Request<()>| async { Ok::<_, Error>(endpoint.connect().await?) };
        waiting.sent(Request::new(()), None, connect).await
    }

    /// Checks what would be found out late, or never.
    fn check(&self) -> Result<(), Error> {
        self.first()?;
        for (i, address) in self.addresses.iter().enumerate() {
            if self.addresses[..i]
                .iter()
                .any(|other| bare(other) == bare(address))
            {
                let message = format!("address: {} stands there twice", bare(address));
                return Err(Status::invalid_argument(message).into());
            }
        }
        Ok(())
    }
}

/// Returns the header that says a key.
fn bearer(key: &str) -> Result<http::HeaderValue, Error> {
    let value = http::HeaderValue::try_from(format!("Bearer {key}"));
    let mut value =
        value.map_err(|_| Status::invalid_argument("the key is no text of ASCII letters"))?;
    // Else whoever prints a `Client` prints the key.
    value.set_sensitive(true);
    Ok(value)
}

/// A channel that says the key, and knows a proxy's page from a server's answer.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    channel: Channel,
    bearer: Option<http::HeaderValue>,
}

impl Way {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel,
            bearer: None,
        }
    }
}

type Answered = Result<http::Response<Body>, tonic::transport::Error>;

impl Service<http::Request<Body>> for Way {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(bearer) = &self.bearer {
            let headers = request.headers_mut();
            headers.insert(http::header::AUTHORIZATION, bearer.clone());
        }
        let answered = self.channel.call(request);
        Box::pin(async move { answered.await.map(of_server) })
    }
}

/// Returns an answer that is not the server's as the status that gRPC has for it.
fn of_server(response: http::Response<Body>) -> http::Response<Body> {
    let status = response.status();
    // A server's own errors come with 200, and `grpc-status` here or in the trailers.
    if status == http::StatusCode::OK || response.headers().contains_key("grpc-status") {
        return response;
    }
    // gRPC's mapping of HTTP's codes.
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(
        code,
        format!("a proxy answers in place of the server: {status}"),
    )
    .into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_print() {
        let connect = Connect::to("https://lab.example")
            .api_key("the-key")
            .identity("the-certificate", "the-private-key");
        let printed = format!("{connect:?} {:?}", bearer("the-key").unwrap());
        assert!(printed.contains("https://lab.example"), "{printed}");
        assert!(!printed.contains("the-"), "{printed}");
        let bytes = format!("{:?}", b"the-private-key");
        assert!(!printed.contains(bytes.trim_matches(['[', ']'])));
    }

    /// A listener whose queue is full answers no further connection, as a host that drops packets.
    #[tokio::test]
    async fn a_host_that_answers_nothing_is_given_up() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let mut waiting = Vec::new();
        let short = Duration::from_millis(100);
        while let Ok(stream) =
            tokio::time::timeout(short, tokio::net::TcpStream::connect(address)).await
        {
            waiting.push(stream.unwrap());
        }
        let connect = Connect::to(&address.to_string()).patience(Duration::ZERO);
        let connected = connect.connect_timeout(short).connect();
        let given_up = tokio::time::timeout(Duration::from_secs(20), connected).await;
        assert!(given_up.unwrap().unwrap_err().is_lost());
    }
}
