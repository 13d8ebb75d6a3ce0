//! Encrypts connections where that is asked for, and closes them when the server goes down, whatever
//! their other side does.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::{Live, Tls};

/// Bounds how long the handshake of a connection may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Closes connections once none of them has taken a byte for this long.
const STILLNESS: Duration = Duration::from_secs(1);
/// Looks this often whether they have.
const GLANCE: Duration = Duration::from_millis(50);
/// Leaves connections this long for the words that they are cut off.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Knows the connections that are open.
#[derive(Debug, Clone, Default)]
pub(super) struct Transports(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: watch::Sender<usize>,
    /// Counts the bytes that all connections have taken.
    written: AtomicU64,
    closing: watch::Sender<bool>,
}

impl Transports {
    /// Takes the connections of `incoming`, encrypted where `tls` says so, until the stream that it
    /// returns is dropped; then `incoming` is dropped, too.
    pub(super) fn take<IO, S>(
        &self,
        incoming: S,
        tls: Option<Live<Tls>>,
    ) -> impl Stream<Item = io::Result<Transport<IO>>> + use<IO, S>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        S: Stream<Item = IO> + Send + 'static,
    {
        let (ready, taken) = mpsc::channel(16);
        let taker = Taker {
            transports: self.clone(),
            tls,
            ready,
        };
        tokio::spawn(taker.run(incoming));
        ReceiverStream::new(taken)
    }

    /// Waits until all connections are closed by those that serve them; closes them itself where
    /// they stand still, and at `deadline`.
    pub(super) async fn close(&self, deadline: Instant) {
        // However late it is: answers of the last moment are written to their end.
        let deadline = deadline.max(Instant::now() + LAST_WORDS);
        let mut open = self.0.open.subscribe();
        let closed = async {
            // The sender lives as long as `self`, so this ends for no other reason.
            let _ = open.wait_for(|open| *open == 0).await;
        };
        tokio::select! {
            () = closed => {}
            () = self.stand_still() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        self.0.closing.send_replace(true);
    }

    async fn stand_still(&self) {
        // A client that reads slowly takes bytes now and then; one that reads nothing would else
        // hold the server until its deadline.
        let (mut written, mut since) = (self.written(), Instant::now());
        while since.elapsed() < STILLNESS {
            tokio::time::sleep(GLANCE).await;
            let now = self.written();
            if now != written {
                (written, since) = (now, Instant::now());
            }
        }
    }

    fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }
}

/// Hands connections on once they can be read.
struct Taker<IO> {
    transports: Transports,
    tls: Option<Live<Tls>>,
    ready: mpsc::Sender<io::Result<Transport<IO>>>,
}

// Derived, it would ask the connections to be cloned.
impl<IO> Clone for Taker<IO> {
    fn clone(&self) -> Self {
        Self {
            transports: self.transports.clone(),
            tls: self.tls.clone(),
            ready: self.ready.clone(),
        }
    }
}

impl<IO> Taker<IO>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    async fn run(self, incoming: impl Stream<Item = IO> + Send) {
        let mut incoming = pin!(incoming);
        loop {
            let accepted = tokio::select! {
                // tonic has let go of the stream: nobody serves what would be accepted.
                () = self.ready.closed() => return,
                accepted = incoming.next() => accepted,
            };
            match accepted {
                None => return,
                Some(stream) => self.take(stream).await,
            }
        }
    }

    async fn take(&self, stream: IO) {
        match &self.tls {
            None => self.hand_on(Wire::Plain(stream)).await,
            // With the certificate of now, and in a task of its own: a client may take its time.
            Some(tls) => drop(tokio::spawn(self.clone().shake_hands(tls.get(), stream))),
        }
    }

    async fn shake_hands(self, tls: Arc<Tls>, stream: IO) {
        let handshake = tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            () = self.ready.closed() => return,
            shaken = handshake => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => self.hand_on(Wire::Encrypted(Box::new(stream))).await,
            Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
            Err(_) => tracing::debug!("a handshake took too long"),
        }
    }

    async fn hand_on(&self, wire: Wire<IO>) {
        let transport = Transport::new(&self.transports, wire);
        // Nobody serves it where the receiver has gone.
        let _ = self.ready.send(Ok(transport)).await;
    }
}

enum Wire<IO> {
    Plain(IO),
    Encrypted(Box<TlsStream<IO>>),
}

/// Is a connection that can be read.
pub(super) struct Transport<IO> {
    wire: Wire<IO>,
    shared: Arc<Shared>,
    /// Ends when the connection has to close; `None` once it has.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<IO> Transport<IO> {
    fn new(transports: &Transports, wire: Wire<IO>) -> Self {
        let shared = transports.0.clone();
        shared.open.send_modify(|open| *open += 1);
        let mut closing = shared.closing.subscribe();
        let closing = async move {
            // Without a sender there is no server any more.
            let _ = closing.wait_for(|closing| *closing).await;
        };
        Self {
            wire,
            shared,
            closing: Some(Box::pin(closing)),
        }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        // Bytes that the system has taken; the peer may still be far behind.
        if let Poll::Ready(Ok(bytes)) = &written {
            let bytes = *bytes as u64;
            self.shared.written.fetch_add(bytes, Ordering::Relaxed);
        }
        written
    }
}

impl<IO> Drop for Transport<IO> {
    fn drop(&mut self) {
        self.shared.open.send_modify(|open| *open -= 1);
    }
}

impl<IO: Connected> Connected for Transport<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> IO::ConnectInfo {
        match &self.wire {
            Wire::Plain(stream) => stream.connect_info(),
            Wire::Encrypted(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever serves a connection always reads, and so hears of this.
        let closing = self.closing.as_mut();
        if closing.is_none_or(|closing| closing.as_mut().poll(context).is_ready()) {
            self.closing = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Wire::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        };
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        // Over HTTP/1 hyper would else copy heads and bodies into one buffer.
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
