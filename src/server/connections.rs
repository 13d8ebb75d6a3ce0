//! Accepts connections: so many at once, and none that says nothing for long.
//!
//! Knows bytes and times; what requests may do is decided by the layers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::{Connected, TcpIncoming};

use crate::engine::ClientId;
use crate::pipeline::{Budget, Flags, OverBudget, Reservation, Share};

/// First bytes of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before the settings that follow the preface: a frame's length, type, flags and stream.
const FRAME_HEAD: usize = 9;

/// Waits so long after accepting has failed, and twice as long after each failure more.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Repeats a warning after so long.
const WARN_AGAIN: Duration = Duration::from_secs(10);

/// Says how connections are accepted.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Counts the connections that are open.
    pub(super) connections: Connections,
    /// Asks the system to look after peers that are silent this long. Twice as long may pass until
    /// a connection is open, and without a request over HTTP/1.
    pub(super) keepalive: Duration,
    /// Set where TLS comes before HTTP.
    pub(super) encrypted: bool,
}

/// Counts connections, in all and from each address.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    budget: Budget,
    /// Lists networks whose connections count in all only.
    proxies: Arc<[IpNet]>,
}

impl Connections {
    /// Counts connections up to `limit`; those from `proxies` count in all only.
    pub(super) fn new(limit: Share, proxies: Vec<IpNet>) -> Self {
        let flags = Flags {
            all: "--max-connections",
            one: "--max-connections-per-address",
        };
        Self {
            budget: Budget::new("connections", flags, limit),
            proxies: proxies.into(),
        }
    }

    /// Counts one more from `peer`, until what is returned is dropped.
    fn enter(&self, peer: Option<SocketAddr>) -> Result<Reservation, OverBudget> {
        // A socket that has gone again has no address, and counts in all only.
        match peer.and_then(|peer| self.client(peer.ip())) {
            Some(client) => self.budget.reserve(&client, 1),
            None => self.budget.reserve_for_all(1),
        }
    }

    /// Returns who connects from `address`; `None`: a proxy, behind which are many.
    fn client(&self, address: IpAddr) -> Option<ClientId> {
        // A socket for both protocols sees IPv4 in IPv6's clothes.
        let address = address.to_canonical();
        if self.proxies.iter().any(|proxy| proxy.contains(&address)) {
            return None;
        }
        let whole = match address {
            IpAddr::V4(address) => Ipv4Net::from(address).into(),
            // Whoever has one IPv6 address has 2^64 of them.
            IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, 64).trunc()),
        };
        Some(ClientId {
            tenant: whole.to_string().into(),
            // An address is one client, however many connections it opens.
            connection: 0,
        })
    }
}

/// Returns the connections that come to `listener`. Never ends, whatever accepting fails with.
pub(super) fn accept(listener: TcpListener, settings: Settings) -> impl Stream<Item = Connection> {
    let incoming = TcpIncoming::from(listener)
        // Else a small message waits for the acknowledgement of the one before: 40 ms to the
        // first token (measured).
        .with_nodelay(Some(true))
        // For clients that come over HTTP/1, which has no pings.
        .with_keepalive(Some(settings.keepalive));
    let acceptor = Acceptor {
        incoming,
        settings,
        pause: FIRST_PAUSE,
        warned: None,
    };
    stream::unfold(acceptor, |mut acceptor| async move {
        let connection = acceptor.next().await?;
        Some((connection, acceptor))
    })
}

struct Acceptor {
    incoming: TcpIncoming,
    settings: Settings,
    pause: Duration,
    /// Set to the time of the last warning.
    warned: Option<Instant>,
}

impl Acceptor {
    /// Waits for the next connection that there is room for.
    async fn next(&mut self) -> Option<Connection> {
        loop {
            let stream = match self.incoming.next().await? {
                Ok(stream) => stream,
                Err(error) => {
                    self.back_off(&error).await;
                    continue;
                }
            };
            self.pause = FIRST_PAUSE;
            match self.settings.connections.enter(stream.peer_addr().ok()) {
                Ok(place) => return Some(Connection::new(stream, place, &self.settings)),
                Err(full) => {
                    self.warn(&full.to_string());
                    turn_away(&stream, &full.to_string(), self.settings.encrypted);
                }
            }
        }
    }

    /// Waits after an error, unless it is one of the connection alone: a process that is out of
    /// descriptors would spin until another one closes.
    async fn back_off(&mut self, error: &io::Error) {
        // The client's doing: the next one can be accepted at once.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return;
        }
        self.warn(&error.to_string());
        sleep(self.pause).await;
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
    }

    fn warn(&mut self, error: &str) {
        let now = Instant::now();
        if self.warned.is_none_or(|at| now - at >= WARN_AGAIN) {
            self.warned = Some(now);
            tracing::warn!(error, "a connection was not accepted");
        }
    }
}

/// Tells a peer why there is no room: gRPC clients report what a GOAWAY frame says. Over TLS it
/// would not be understood.
fn turn_away(stream: &TcpStream, reason: &str, encrypted: bool) {
    // HTTP/2 begins with settings; these name none.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ENHANCE_YOUR_CALM: u32 = 0xb;
    // Who waits for a handshake would take these bytes for a broken one.
    if encrypted {
        return;
    }
    // A GOAWAY frame holds the last stream, a code and a reason (RFC 9113, 6.8); lengths have
    // 24 bits.
    let length = (8 + reason.len()) as u32;
    let mut bytes = SETTINGS.to_vec();
    bytes.extend(&length.to_be_bytes()[1..]);
    // The head of a GOAWAY frame, and the last stream that was taken: none.
    bytes.extend([7, 0, 0, 0, 0, 0]);
    bytes.extend(0_u32.to_be_bytes());
    bytes.extend(ENHANCE_YOUR_CALM.to_be_bytes());
    bytes.extend(reason.as_bytes());
    // Whoever does not listen learns by the end of the connection.
    let _ = stream.try_write(&bytes);
}

/// Counts the requests of a connection.
#[derive(Debug)]
struct Activity {
    running: usize,
    idle_since: Instant,
    has_asked: bool,
}

/// Says whose connection a request came by; found in its extensions.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The other end.
    pub(super) address: Option<SocketAddr>,
    activity: Arc<Mutex<Activity>>,
}

impl Peer {
    /// Returns a peer at `address`, as tests need one.
    #[cfg(test)]
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address: Some(address),
            activity: Activity::begun(),
        }
    }

    /// Counts a request of the connection until the guard is dropped.
    pub(super) fn request(&self) -> RunningRequest {
        let mut activity = locked(&self.activity);
        activity.running += 1;
        activity.has_asked = true;
        drop(activity);
        RunningRequest(self.activity.clone())
    }
}

/// Counts as one request until it is dropped.
#[derive(Debug)]
pub(super) struct RunningRequest(Arc<Mutex<Activity>>);

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let mut activity = locked(&self.0);
        activity.running -= 1;
        // From the end of the last request on: a long answer is not silence.
        activity.idle_since = Instant::now();
    }
}

impl Activity {
    fn begun() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            running: 0,
            idle_since: Instant::now(),
            has_asked: false,
        }))
    }
}

fn locked(activity: &Mutex<Activity>) -> std::sync::MutexGuard<'_, Activity> {
    activity.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says how far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Neither has been said.
    Opening,
    /// Preface and settings have come. From here on the protocol pings a silent peer.
    Http2,
    Http1,
}

/// A connection that ends where nothing comes of it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    activity: Arc<Mutex<Activity>>,
    stage: Stage,
    /// The first bytes, up to the head of the first frame.
    head: Vec<u8>,
    /// Counts the bytes behind them.
    behind: usize,
    accepted: Instant,
    /// Bounds the time until it is open, and without a request.
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    encrypted: bool,
    /// Held while it is open.
    _place: Reservation,
}

impl Connection {
    fn new(stream: TcpStream, place: Reservation, settings: &Settings) -> Self {
        // As over HTTP/2, where a ping comes after one `keepalive` and has as long to be answered.
        let patience = 2 * settings.keepalive;
        Self {
            stream,
            activity: Activity::begun(),
            stage: Stage::Opening,
            head: Vec::with_capacity(PREFACE.len() + FRAME_HEAD),
            behind: 0,
            accepted: Instant::now(),
            patience,
            timer: Box::pin(sleep(patience)),
            encrypted: settings.encrypted,
            _place: place,
        }
    }

    /// Looks at bytes that have come, until they say which protocol is spoken.
    fn see(&mut self, bytes: &[u8]) {
        // TLS hides the preface, and what has been said once stays said.
        if self.encrypted || self.stage != Stage::Opening {
            return;
        }
        let missing = PREFACE.len() + FRAME_HEAD - self.head.len();
        let (head, behind) = bytes.split_at(missing.min(bytes.len()));
        self.head.extend(head);
        self.behind += behind.len();
        let count = PREFACE.len().min(self.head.len());
        // Compared as far as it has come: a client of HTTP/1 may send one byte and wait.
        if self.head[..count] != PREFACE[..count] {
            self.stage = Stage::Http1;
        // Open once its first frame is whole, the client's settings.
        } else if let Some(&[a, b, c, ..]) = self.head.get(PREFACE.len()..)
            && self.head.len() == PREFACE.len() + FRAME_HEAD
            && self.behind >= u32::from_be_bytes([0, a, b, c]) as usize
        {
            self.stage = Stage::Http2;
        }
    }

    /// Returns when the connection ends unless something comes of it; `None` where other means
    /// look after it.
    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            // What is encrypted cannot be read here; its first request says that it is open.
            Stage::Opening if self.encrypted && locked(&self.activity).has_asked => None,
            Stage::Opening => Some(self.accepted + self.patience),
            Stage::Http2 => None,
            Stage::Http1 => {
                let activity = locked(&self.activity);
                // One that runs now is asked again after as long.
                let idle_since = match activity.running {
                    0 => activity.idle_since,
                    _ => Instant::now(),
                };
                Some(idle_since + self.patience)
            }
        }
    }

    /// Becomes ready once the peer has had its time.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.deadline() else {
                // Without a waker: once there is no deadline, none comes back.
                return Poll::Pending;
            };
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            // A timer that fires finds the deadline moved, or passed.
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer {
            address: self.stream.peer_addr().ok(),
            activity: self.activity.clone(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper may hand over a buffer that is filled in part.
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.see(&buffer.filled()[before..]);
        }
        // Looked at whatever came: a byte now and then is no progress.
        if self.poll_deadline(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_a_proxy_has_none() {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let connections = Connections::new(Share { all: 6, one: 2 }, proxies);
        let enter = |address: &str| connections.enter(Some(address.parse().unwrap()));
        let _own = [enter("192.0.2.1:1").unwrap(), enter("192.0.2.1:2").unwrap()];
        let full = enter("[::ffff:192.0.2.1]:3").unwrap_err();
        assert_eq!(full.flag, "--max-connections-per-address");
        assert_eq!((full.held, full.limit), (2, 2));
        let _neighbours = [
            enter("[2001:db8::1]:1").unwrap(),
            enter("[2001:db8::2]:1").unwrap(),
        ];
        assert!(
            enter("[2001:db8::3]:1").is_err(),
            "one network is one client"
        );
        let _proxied = [enter("10.1.2.3:1").unwrap(), enter("10.1.2.3:2").unwrap()];
        let full = enter("10.1.2.3:3").unwrap_err();
        assert_eq!(full.flag, "--max-connections");
    }
}
