//! Chooses the server that a call goes to, and remembers what each of them holds.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Error;
use crate::call::{Asks, Patience, complete, weight};
use crate::connect::Way;
use crate::v1::UploadImageRequest;
use crate::v1::benchmark_service_client::BenchmarkServiceClient;
use crate::v1::inference_service_client::InferenceServiceClient;
use crate::v1::model_service_client::ModelServiceClient;

// What a server takes unless it is told otherwise (`--max-message-mib`); tonic's own limit is 4
// MiB.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Asks each of several servers again after this time whether it serves.
const HEALTH_EVERY: Duration = Duration::from_secs(2);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of uploads that are kept, so that they can go to another server.
pub(crate) const UPLOADS: usize = 64 << 20;
/// Handles of which is remembered where they are.
const HANDLES: usize = 1 << 14;

/// Takes the error for which a call begins to wait.
type Heard = dyn Fn(&Error) + Send + Sync;

/// Hears of what is waited for.
#[derive(Clone, Default)]
pub(crate) struct OnWait(pub(crate) Option<Arc<Heard>>);

impl std::fmt::Debug for OnWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnWait")
    }
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) inference: InferenceServiceClient<Way>,
    pub(crate) models: ModelServiceClient<Way>,
    pub(crate) benchmarks: BenchmarkServiceClient<Way>,
    health: HealthClient<Way>,
    /// Says whether it serves, and since when that is known.
    serves: Mutex<(bool, Option<Instant>)>,
}

impl Server {
    pub(crate) fn new(address: &str, way: &Way) -> Self {
        Self {
            address: bare(address).to_owned(),
            inference: InferenceServiceClient::new(way.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            models: ModelServiceClient::new(way.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            benchmarks: BenchmarkServiceClient::new(way.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            health: HealthClient::new(way.clone()),
            serves: Mutex::new((true, None)),
        }
    }

    /// Asks the health service, now and then.
    async fn serves(&self) -> bool {
        {
            let mut known = lock(&self.serves);
            if known.1.is_some_and(|at| at.elapsed() < HEALTH_EVERY) {
                return known.0;
            }
            // Before the answer is there: calls that come meanwhile take what was known, and ask
            // nothing.
            known.1 = Some(Instant::now());
        }
        let mut health = self.health.clone();
        let asked = health.check(HealthCheckRequest::default());
        let serves = match tokio::time::timeout(HEALTH_TIMEOUT, asked).await {
            Ok(Ok(said)) => said.into_inner().status() == ServingStatus::Serving,
            // One that has no such service may serve.
            Ok(Err(status)) => status.code() == Code::Unimplemented,
            Err(_) => false,
        };
        lock(&self.serves).0 = serves;
        serves
    }

    /// Gets no new calls for a while.
    pub(crate) fn lost(&self) {
        *lock(&self.serves) = (false, Some(Instant::now()));
    }
}

/// Returns an address without its scheme.
pub(crate) fn bare(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, bare)| bare);
    bare.trim_end_matches('/')
}

/// Locks what no code that panics holds.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Remembers what servers hold, by handle.
#[derive(Debug, Default)]
struct Held {
    /// Positions of the servers that have it.
    holders: HashMap<String, HashSet<usize>>,
    /// Handles in the order in which they came.
    order: VecDeque<String>,
    /// The bytes of uploads, as long as there is room for them.
    bytes: HashMap<String, Vec<u8>>,
    /// Handles of these in the order in which they came.
    kept: VecDeque<String>,
    size: usize,
}

impl Held {
    fn add(&mut self, server: usize, handle: &str) {
        if !self.holders.contains_key(handle) {
            self.order.push_back(handle.to_owned());
        }
        self.holders
            .entry(handle.to_owned())
            .or_default()
            .insert(server);
        while self.order.len() > HANDLES {
            if let Some(oldest) = self.order.pop_front() {
                self.holders.remove(&oldest);
            }
        }
    }

    fn keep(&mut self, handle: &str, data: Vec<u8>) {
        if data.len() > UPLOADS || self.bytes.contains_key(handle) {
            return;
        }
        self.size += data.len();
        self.kept.push_back(handle.to_owned());
        self.bytes.insert(handle.to_owned(), data);
        while self.size > UPLOADS {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            let gone = self.bytes.remove(&oldest);
            self.size -= gone.map_or(0, |data| data.len());
        }
    }

    fn has(&self, server: usize, handle: &str) -> bool {
        self.holders
            .get(handle)
            .is_some_and(|own| own.contains(&server))
    }
}

/// A logical call: the same over all of its tries.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) metadata: MetadataMap,
    extensions: Extensions,
    pub(crate) patience: Patience,
    picture: Option<String>,
    pub(crate) handles: Vec<String>,
}

/// All servers of a client.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) all: Vec<Server>,
    patience: Duration,
    on_wait: OnWait,
    turn: AtomicUsize,
    held: Mutex<Held>,
}

impl Servers {
    pub(crate) fn new(all: Vec<Server>, patience: Duration, on_wait: OnWait) -> Self {
        Self {
            all,
            patience,
            on_wait,
            turn: AtomicUsize::new(0),
            held: Mutex::default(),
        }
    }

    /// Returns the position of the server for a call: that of its handles, of its picture, or the
    /// next one; `tried` are those that have just been lost.
    async fn pick(&self, call: &Call, tried: &[usize]) -> usize {
        let count = self.all.len();
        if count == 1 {
            return 0;
        }
        let mut order: Vec<usize> = (0..count).collect();
        if let Some(picture) = &call.picture {
            // Rendezvous hashing: when a server goes, no picture moves but its own.
            order.sort_by_cached_key(|&i| Reverse(weight(&self.all[i].address, picture)));
        } else {
            order.rotate_left(self.turn.fetch_add(1, Ordering::Relaxed) % count);
        }
        {
            let held = lock(&self.held);
            // A stable sort by each, the first handle last: who holds that one stands in front.
            for handle in call.handles.iter().rev() {
                order.sort_by_key(|&server| !held.has(server, handle));
            }
        }
        let mut left = order.clone();
        left.retain(|server| !tried.contains(server));
        if left.is_empty() {
            left = order;
        }
        // No lock is held while servers are asked.
        for &server in &left {
            if self.all[server].serves().await {
                return server;
            }
        }
        // None serves: the call's own error says why.
        left[0]
    }

    /// Remembers that a server holds something, and its bytes for the case that it goes.
    pub(crate) fn uploaded(&self, server: usize, handle: &str, data: Option<Vec<u8>>) {
        let mut held = lock(&self.held);
        held.add(server, handle);
        if let Some(data) = data {
            held.keep(handle, data);
        }
    }

    /// Counts on nothing that a server held.
    pub(crate) fn forget(&self, server: usize) {
        for holders in lock(&self.held).holders.values_mut() {
            holders.remove(&server);
        }
    }

    /// Uploads the pictures that a call names and a server has not, as far as their bytes are
    /// still there.
    pub(crate) async fn bring(&self, server: usize, handles: &[String]) -> Result<(), Error> {
        for handle in handles {
            let data = {
                let held = lock(&self.held);
                if held.has(server, handle) {
                    continue;
                }
                // A copy, so that the lock is not held while they are sent.
                held.bytes.get(handle).cloned()
            };
            let Some(data) = data else { continue };
            let mut request = Request::new(UploadImageRequest { data });
            complete(request.metadata_mut(), Some(handle), true);
            let mut service = self.all[server].inference.clone();
            service.upload_image(request).await?;
            self.uploaded(server, handle, None);
        }
        Ok(())
    }

    /// Prepares a call; returns its message, too.
    pub(crate) fn call<M: Asks>(
        &self,
        request: Request<M>,
        timeout: Option<Duration>,
    ) -> (Call, M) {
        let (mut metadata, extensions, message) = request.into_parts();
        let picture = message.picture();
        complete(&mut metadata, picture.as_deref(), M::IS_UNARY);
        let call = Call {
            metadata,
            extensions,
            patience: Patience::new(self.patience, timeout),
            picture,
            handles: message.handles(),
        };
        (call, message)
    }

    /// Sends a call until it is answered, is refused for good, or the patience or the time is over.
    pub(crate) async fn sent<M: Asks + Clone, T, F: Future<Output = Result<T, Error>>>(
        &self,
        request: Request<M>,
        timeout: Option<Duration>,
        send: impl Fn(usize, Request<M>) -> F,
    ) -> Result<T, Error> {
        let (mut call, message) = self.call(request, timeout);
        let (mut tried, mut brought) = (Vec::new(), false);
        loop {
            let server = self.pick(&call, &tried).await;
            let mut request = Request::from_parts(
                call.metadata.clone(),
                call.extensions.clone(),
                message.clone(),
            );
            // What is left of it: every try shares the deadline of the call.
            if let Some(left) = call.patience.left() {
                request.set_timeout(left);
            }
            // Pictures before the call that names them.
            let sent = match self.bring(server, &call.handles).await {
                Ok(()) => send(server, request).await,
                Err(error) => Err(error),
            };
            let error = match sent {
                Ok(answer) => return Ok(answer),
                Err(error) => error.of_request(&call.metadata),
            };
            // A server drops what was used least recently when it needs room.
            if error.reason() == Some("UNKNOWN_IMAGE") && !call.handles.is_empty() {
                if brought || !self.can_bring(&call.handles) {
                    return Err(not_here(error));
                }
                // Once, so that a server without room for it is not fed for ever.
                brought = true;
                self.missing(server, &call.handles);
                continue;
            }
            if !error.is_lost() {
                return Err(error);
            }
            self.all[server].lost();
            tried.push(server);
            // Another server is asked at once; only when all were lost is there a wait.
            if tried.len() < self.all.len() {
                continue;
            }
            tried.clear();
            match self.wait(&mut call.patience, &error) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// Returns the time until the next try, and says that there is a wait.
    pub(crate) fn wait(&self, patience: &mut Patience, error: &Error) -> Option<Duration> {
        let wait = patience.wait(error)?;
        if let Some(heard) = self.on_wait.0.as_ref().filter(|_| patience.is_first()) {
            heard(error);
        }
        Some(wait)
    }

    fn can_bring(&self, handles: &[String]) -> bool {
        let held = lock(&self.held);
        handles.iter().any(|handle| held.bytes.contains_key(handle))
    }

    fn missing(&self, server: usize, handles: &[String]) {
        let mut held = lock(&self.held);
        for handle in handles {
            if let Some(holders) = held.holders.get_mut(handle) {
                holders.remove(&server);
            }
        }
    }
}

/// Says why the client does not mend it by itself.
fn not_here(error: Error) -> Error {
    error.saying(|message| {
        format!(
            "{message}; this client does not have its bytes any more (it keeps the last {} MiB of \
             what it uploads): upload it again",
            UPLOADS >> 20
        )
    })
}
