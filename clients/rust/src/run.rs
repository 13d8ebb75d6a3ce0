//! Runs a benchmark: one stream for each server, which goes on elsewhere where one of them is lost.
//!
//! Every question is settled (the server said so), on its way to a server, or waits in a backlog. A
//! server that is lost gives back what was on its way; the next one, or the same one when it is
//! there again, is told what is known and asked what is not.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use crate::Error;
use crate::call::{Asks as _, Patience, digest, weight};
use crate::servers::{Servers, lock};
use crate::v1::evaluate_request::Event as Asked;
use crate::v1::evaluate_response::Event as Told;
use crate::v1::{
    EvaluateFinished, EvaluateHeader, EvaluateRequest, EvaluateResponse, EvaluateStarted, Row,
    SampleResult,
};

/// Messages to a server that wait for it to take them.
const AHEAD: usize = 8;
/// Questions that wait for the server that has their picture; further ones go to whoever asks.
const BACKLOG: usize = 32;
/// Pause between two looks at what the other servers of the run have done.
const LOOK: Duration = Duration::from_millis(50);

/// The first error of a run's questions.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Source = Pin<Box<dyn Stream<Item = Result<Asked, Broken>> + Send>>;

/// Holds what all servers of a run share.
pub(crate) struct Run {
    servers: Arc<Servers>,
    metadata: MetadataMap,
    header: EvaluateHeader,
    started: EvaluateStarted,
    source: tokio::sync::Mutex<Source>,
    state: Mutex<State>,
    patience: Mutex<Patience>,
    begun: Instant,
    /// True where one server answers all questions.
    is_single: bool,
}

/// Holds what is known and what is not.
struct State {
    lanes: Vec<Lane>,
    /// Questions of servers that were lost.
    orphans: VecDeque<Asked>,
    /// Results, with the connection on which each came; 0: an earlier run.
    known: Vec<(u64, SampleResult)>,
    /// Holds, by question and variant, the connection on which a result came that is an error.
    failed: HashMap<(String, String), u64>,
    connections: u64,
    answers: u64,
    computed: u64,
    /// Servers whose part is not done.
    going: usize,
    is_read: bool,
    broken: Option<Broken>,
}

/// The questions of one server.
#[derive(Default)]
struct Lane {
    /// The number of the connection that is open.
    connection: Option<u64>,
    pending: VecDeque<Asked>,
    settled: u64,
    backlog: VecDeque<Asked>,
}

/// A stream whose first event has come.
struct Open {
    number: u64,
    stream: Streaming<EvaluateResponse>,
    sender: mpsc::Sender<EvaluateRequest>,
}

impl State {
    /// Begins with a connection to server `at` of `count`.
    fn new(count: usize, at: usize, known: Vec<SampleResult>) -> Self {
        let mut lanes: Vec<Lane> = (0..count).map(|_| Lane::default()).collect();
        // The first connection is open: its first event has come.
        lanes[at].connection = Some(1);
        Self {
            lanes,
            orphans: VecDeque::new(),
            known: known.into_iter().map(|result| (0, result)).collect(),
            failed: HashMap::new(),
            connections: 1,
            answers: 0,
            computed: 0,
            going: count,
            is_read: false,
            broken: None,
        }
    }
}

/// Begins a run and returns its first event, and where the others come.
pub(crate) async fn begin(
    servers: &Arc<Servers>,
    timeout: Option<Duration>,
    header: EvaluateHeader,
    known: Vec<SampleResult>,
    source: Source,
    check: impl FnOnce(&EvaluateStarted) -> Result<(), Error>,
) -> Result<
    (
        EvaluateStarted,
        mpsc::Receiver<Result<Told, Error>>,
        Arc<Run>,
    ),
    Error,
> {
    let (call, header) = servers.call(Request::new(header), timeout);
    let (metadata, patience) = (call.metadata, call.patience);
    let mut request = Request::new(header.clone());
    *request.metadata_mut() = metadata.clone();
    let first = servers.sent(request, timeout, |at, request| {
        let (metadata, extensions, header) = request.into_parts();
        let header_only = Request::from_parts(metadata, extensions, ());
        async move { Ok((at, open(servers, at, header, header_only).await?)) }
    });
    let (at, (started, stream, sender)) = first.await?;
    // Before a question is sent: a file of another run is refused.
    check(&started)?;
    let count = servers.all.len();
    // What a capture has kept is on one server, and the others would refuse the variants.
    let is_single = count == 1 || !header.kept().is_empty();
    let run = Arc::new(Run {
        servers: servers.clone(),
        metadata,
        // The same seeds on every server.
        header: started.header.clone().unwrap_or(header),
        started: started.clone(),
        source: tokio::sync::Mutex::new(source),
        state: Mutex::new(State::new(count, at, known)),
        patience: Mutex::new(patience),
        begun: Instant::now(),
        is_single,
    });
    let (told, events) = mpsc::channel(AHEAD);
    let mut first = Some(Open {
        number: 1,
        stream,
        sender,
    });
    for lane in (0..count).filter(|&lane| lane == at || !is_single) {
        let open = if lane == at { first.take() } else { None };
        tokio::spawn(run.clone().lane(lane, open, told.clone()));
    }
    Ok((started, events, run))
}

/// Opens a stream with the header alone, so that it can go again.
async fn open(
    servers: &Servers,
    at: usize,
    header: EvaluateHeader,
    request: Request<()>,
) -> Result<
    (
        EvaluateStarted,
        Streaming<EvaluateResponse>,
        mpsc::Sender<EvaluateRequest>,
    ),
    Error,
> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // There is room for it.
    let _ = sender.try_send(message(Asked::Header(header)));
    let mut service = servers.all[at].benchmarks.clone();
    let request = request.map(|()| ReceiverStream::new(receiver));
    let mut stream = service.evaluate(request).await?.into_inner();
    match stream.message().await?.and_then(|m| m.event) {
        Some(Told::Started(started)) => Ok((started, stream, sender)),
        _ => Err(Error::Truncated),
    }
}

fn message(event: Asked) -> EvaluateRequest {
    EvaluateRequest { event: Some(event) }
}

impl Run {
    /// Takes what went wrong with the questions.
    pub(crate) fn take_broken(&self) -> Option<Broken> {
        lock(&self.state).broken.take()
    }

    /// Follows one server over all of its connections, until the reader has left.
    async fn lane(
        self: Arc<Self>,
        lane: usize,
        first: Option<Open>,
        told: mpsc::Sender<Result<Told, Error>>,
    ) {
        let followed = self.follow(lane, first, &told);
        let ended = tokio::select! {
            // The reader has left. With the stream dropped the server stops.
            () = told.closed() => return,
            ended = followed => ended,
        };
        let last = match ended {
            Ok(None) => return,
            Ok(Some(finished)) => Ok(Told::Finished(finished)),
            Err(error) => Err(error),
        };
        // A reader that left does not hear of it.
        let _ = told.send(last).await;
    }

    async fn follow(
        self: &Arc<Self>,
        lane: usize,
        mut first: Option<Open>,
        told: &mpsc::Sender<Result<Told, Error>>,
    ) -> Result<Option<EvaluateFinished>, Error> {
        // A server whose part is done comes back for what others have lost.
        while first.is_some() || !self.is_done() {
            match self.connection(lane, first.take(), told).await {
                Ok((finished, number)) => {
                    self.complete(lane);
                    if self.is_single {
                        return Ok(Some(self.whole(finished, number)));
                    }
                    // All its questions are answered, but a server that is lost may yet give back
                    // some.
                    while !self.has_orphans() && !self.is_done() {
                        sleep(LOOK).await;
                    }
                }
                Err(error) => {
                    // What was on its way goes to whichever server is there.
                    self.lose(lane);
                    self.rest(lane, error).await?;
                }
            }
        }
        let is_last = {
            let mut state = lock(&self.state);
            state.going -= 1;
            state.going == 0
        };
        // The last one to end asks for the metrics of all.
        if is_last {
            Ok(Some(self.tally().await?))
        } else {
            Ok(None)
        }
    }

    /// Reads one connection to its end.
    async fn connection(
        self: &Arc<Self>,
        lane: usize,
        open: Option<Open>,
        told: &mpsc::Sender<Result<Told, Error>>,
    ) -> Result<(EvaluateFinished, u64), Error> {
        let Open {
            number,
            mut stream,
            sender,
        } = match open {
            Some(open) => open,
            None => self.reconnect(lane).await?,
        };
        // On a task of its own: questions go while answers come.
        tokio::spawn(self.clone().ask(lane, number, sender));
        loop {
            let event = stream.message().await?.and_then(|m| m.event);
            // Not for a stream that ends without a word: a proxy that ends all of them would be asked
            // for ever.
            if event.is_some() {
                lock(&self.patience).renew();
            }
            match event {
                Some(Told::Settled(settled)) => self.settle(lane, settled.questions),
                Some(Told::Result(result)) => {
                    self.count(&result, number);
                    // That a reader has left is for `lane` to see.
                    let _ = told.send(Ok(Told::Result(result))).await;
                }
                Some(Told::Progress(progress)) if self.is_single => {
                    let _ = told.send(Ok(Told::Progress(progress))).await;
                }
                // Of several servers each knows only the metrics of its part.
                Some(Told::Progress(_)) => {}
                Some(Told::Finished(finished)) => {
                    // The trailers; a stream dropped before them is reset, and servers count resets.
                    stream.message().await?;
                    return Ok((finished, number));
                }
                Some(Told::Started(_)) => return Err(Error::Truncated),
                None => return Err(Status::unavailable("the stream ended early").into()),
            }
        }
    }

    async fn reconnect(&self, lane: usize) -> Result<Open, Error> {
        let number = {
            let mut state = lock(&self.state);
            state.connections += 1;
            state.connections
        };
        let mut request = Request::new(());
        *request.metadata_mut() = self.metadata.clone();
        if let Some(left) = lock(&self.patience).left() {
            request.set_timeout(left);
        }
        let (started, stream, sender) =
            open(&self.servers, lane, self.header.clone(), request).await?;
        self.check(lane, &started)?;
        let mut state = lock(&self.state);
        state.lanes[lane].connection = Some(number);
        // Each connection counts from its own beginning.
        state.lanes[lane].settled = 0;
        Ok(Open {
            number,
            stream,
            sender,
        })
    }

    /// Refuses a server that answers otherwise than the run began.
    fn check(&self, lane: usize, now: &EvaluateStarted) -> Result<(), Error> {
        let same = [
            (
                "model digest",
                &self.started.model_digest,
                &now.model_digest,
            ),
            (
                "server version",
                &self.started.server_version,
                &now.server_version,
            ),
        ];
        for (name, then, now) in same {
            if then != now {
                let address = &self.servers.all[lane].address;
                let message =
                    format!("{address}: another {name}, {now}; the run began with {then}");
                return Err(Status::failed_precondition(message).into());
            }
        }
        Ok(())
    }

    /// Sends what is known and then questions, as fast as the server takes them.
    async fn ask(self: Arc<Self>, lane: usize, number: u64, sender: mpsc::Sender<EvaluateRequest>) {
        let (mut told, mut is_behind) = (0, true);
        loop {
            let taken = tokio::select! {
                // A server that ends the stream says why there.
                () = sender.closed() => return,
                taken = self.take(lane, number, &mut is_behind) => taken,
            };
            // What others have answered goes before a question that one of them was asked.
            if std::mem::take(&mut is_behind) {
                for result in self.news(&mut told, number) {
                    if sender.send(message(Asked::Known(result))).await.is_err() {
                        return;
                    }
                }
            }
            // Dropping the sender tells the server that no question follows.
            let Some(asked) = taken else { return };
            let handles = asked_handles(&asked);
            // The result of this question will say what is wrong, or the connection is lost.
            let _ = self.servers.bring(lane, &handles).await;
            if sender.send(message(asked)).await.is_err() {
                return;
            }
        }
    }

    /// Returns results that a server needs before it is asked what another one was asked, so that
    /// nothing is answered twice; `told` counts those that it knows.
    fn news(&self, told: &mut usize, number: u64) -> Vec<SampleResult> {
        let state = lock(&self.state);
        let news = state.known[*told..].iter().filter(|(of, _)| *of != number);
        *told = state.known.len();
        news.map(|(_, result)| result.clone()).collect()
    }

    /// Returns the next question for a connection; `None` where there is none for now. What was
    /// read is in the state when this is dropped.
    async fn take(&self, lane: usize, number: u64, is_behind: &mut bool) -> Option<Asked> {
        loop {
            if let Some(asked) = self.waiting(lane, number, is_behind) {
                return Some(asked);
            }
            // One lane reads at a time; tokio's lock, since it is held while a question comes.
            let mut source = self.source.lock().await;
            // What another connection has read in the meantime may be for this one.
            if let Some(asked) = self.waiting(lane, number, is_behind) {
                return Some(asked);
            }
            {
                let state = lock(&self.state);
                if state.is_read || state.lanes[lane].connection != Some(number) {
                    return None;
                }
            }
            let next = source.next().await;
            // From here on nothing waits: a question that was read finds its place before this can
            // be dropped.
            let mut state = lock(&self.state);
            match next {
                Some(Ok(asked)) => {
                    if let Some(asked) = self.place(&mut state, lane, number, asked) {
                        return Some(asked);
                    }
                }
                Some(Err(error)) => {
                    // The stream of questions ends as if it were whole; `Evaluation::next` tells
                    // the reader.
                    (state.is_read, state.broken) = (true, Some(error));
                    return None;
                }
                None => {
                    state.is_read = true;
                    return None;
                }
            }
        }
    }

    fn waiting(&self, lane: usize, number: u64, is_behind: &mut bool) -> Option<Asked> {
        let mut state = lock(&self.state);
        if state.lanes[lane].connection != Some(number) {
            return None;
        }
        let next = state.orphans.pop_front();
        *is_behind |= next.is_some();
        let own = &mut state.lanes[lane];
        let asked = next.or_else(|| own.backlog.pop_front())?;
        // A copy stays until it is settled, should the server be lost.
        own.pending.push_back(asked.clone());
        Some(asked)
    }

    /// Places a question that was read for one server; returns it if it is for that one.
    fn place(&self, state: &mut State, lane: usize, number: u64, asked: Asked) -> Option<Asked> {
        // The connection was lost while the question was read.
        if state.lanes[lane].connection != Some(number) {
            state.orphans.push_back(asked);
            return None;
        }
        let owner = self.owner(state, &asked).unwrap_or(lane);
        if owner != lane && state.lanes[owner].backlog.len() < BACKLOG {
            state.lanes[owner].backlog.push_back(asked);
            return None;
        }
        state.lanes[lane].pending.push_back(asked.clone());
        Some(asked)
    }

    /// Returns the server that has the picture of a question.
    fn owner(&self, state: &State, asked: &Asked) -> Option<usize> {
        if self.is_single {
            return None;
        }
        // Without a picture any server does.
        let picture = picture(asked)?;
        // Connected ones alone: what was a lost server's goes to the next in its order.
        let live = (0..state.lanes.len()).filter(|&lane| state.lanes[lane].connection.is_some());
        live.max_by_key(|&lane| weight(&self.servers.all[lane].address, &picture))
    }

    fn settle(&self, lane: usize, questions: u64) {
        let mut state = lock(&self.state);
        let own = &mut state.lanes[lane];
        // Questions are settled in the order in which they were asked.
        while own.settled < questions && own.pending.pop_front().is_some() {
            own.settled += 1;
        }
    }

    fn count(&self, result: &SampleResult, number: u64) {
        let mut state = lock(&self.state);
        let name = (result.id.clone(), result.variant.clone());
        state.answers += 1;
        state.computed += result.usage.as_ref().map_or(0, |usage| usage.rows_computed);
        // An error is no answer that other servers need to know of.
        if result.error.is_some() {
            state.failed.insert(name, number);
        } else {
            state.failed.remove(&name);
            state.known.push((number, result.clone()));
        }
    }

    /// Ends a connection whose questions are all answered.
    fn complete(&self, lane: usize) {
        let mut state = lock(&self.state);
        let own = &mut state.lanes[lane];
        // The stream has ended as it should, and so all that was asked is answered.
        own.connection = None;
        own.pending.clear();
        // What was meant for it others ask now.
        let backlog = std::mem::take(&mut own.backlog);
        state.orphans.extend(backlog);
    }

    /// Takes back what was on its way.
    fn lose(&self, lane: usize) {
        let mut state = lock(&self.state);
        let own = &mut state.lanes[lane];
        own.connection = None;
        let mut back = std::mem::take(&mut own.pending);
        back.append(&mut own.backlog);
        state.orphans.append(&mut back);
        drop(state);
        // It may come back as another process, which holds nothing.
        self.servers.forget(lane);
    }

    fn has_orphans(&self) -> bool {
        !lock(&self.state).orphans.is_empty()
    }

    fn is_done(&self) -> bool {
        let state = lock(&self.state);
        let is_idle = |lane: &Lane| lane.pending.is_empty() && lane.backlog.is_empty();
        state.is_read && state.orphans.is_empty() && state.lanes.iter().all(is_idle)
    }

    /// Waits until a server that was lost may be there again; fails where that takes too long.
    async fn rest(&self, lane: usize, error: Error) -> Result<(), Error> {
        let error = error.of_request(&self.metadata);
        if !error.is_lost() {
            return Err(error);
        }
        self.servers.all[lane].lost();
        let wait = self.servers.wait(&mut lock(&self.patience), &error);
        let wait = match wait {
            Some(wait) => wait,
            // Others go on.
            None if self.is_live() => Duration::from_secs(1),
            None => return Err(error.saying(|message| format!("{message}; {}", self.missing()))),
        };
        let until = Instant::now() + wait;
        // Others may be done before.
        while Instant::now() < until && !self.is_done() {
            sleep(LOOK.min(wait)).await;
        }
        Ok(())
    }

    fn is_live(&self) -> bool {
        lock(&self.state)
            .lanes
            .iter()
            .any(|lane| lane.connection.is_some())
    }

    fn missing(&self) -> String {
        let state = lock(&self.state);
        let pending: usize = state
            .lanes
            .iter()
            .map(|l| l.pending.len() + l.backlog.len())
            .sum();
        let asked = pending + state.orphans.len();
        let answers = asked * self.header.variants.len().max(1);
        let rest = if state.is_read {
            ""
        } else {
            ", and all to questions that were not asked yet"
        };
        format!(
            "{} answers came, up to {answers} to {asked} questions that were asked are \
             missing{rest}",
            state.answers
        )
    }

    /// Adds to the end what only earlier connections have seen.
    fn whole(&self, mut finished: EvaluateFinished, number: u64) -> EvaluateFinished {
        let state = lock(&self.state);
        if number > 1 {
            // Errors that this connection has not seen, because an earlier one brought them.
            let earlier = state.failed.values().filter(|&&of| of < number).count() as u64;
            finished.results += earlier;
            finished.failed += earlier;
            finished.rows_computed = finished.rows_computed.max(state.computed);
            finished.total_seconds = self.begun.elapsed().as_secs_f64();
        }
        finished
    }

    /// Asks a server what the results of all of them come to.
    async fn tally(&self) -> Result<EvaluateFinished, Error> {
        // Nothing is judged again.
        let header = EvaluateHeader {
            unjudged: true,
            ..self.header.clone()
        };
        // No connection has this number, so that none is left out.
        let known = self.news(&mut 0, u64::MAX);
        let timeout = lock(&self.patience).left();
        let known = &known;
        let header = &header;
        let send = |at, request| self.tally_at(at, request, (header, known));
        let finished = self.servers.sent(Request::new(()), timeout, send).await?;
        Ok(self.whole(finished, u64::MAX))
    }

    /// Asks server `at` the same.
    async fn tally_at(
        &self,
        at: usize,
        request: Request<()>,
        (header, known): (&EvaluateHeader, &[SampleResult]),
    ) -> Result<EvaluateFinished, Error> {
        let all = std::iter::once(Asked::Header(header.clone()))
            .chain(known.iter().cloned().map(Asked::Known))
            .map(message);
        let all: Vec<EvaluateRequest> = all.collect();
        let mut service = self.servers.all[at].benchmarks.clone();
        let request = request.map(|()| tokio_stream::iter(all));
        let mut stream = service.evaluate(request).await?.into_inner();
        while let Some(message) = stream.message().await? {
            if let Some(Told::Finished(finished)) = message.event {
                return Ok(finished);
            }
        }
        Err(Error::Truncated)
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

fn asked_handles(asked: &Asked) -> Vec<String> {
    match asked {
        Asked::Sample(sample) => sample.handles(),
        _ => Vec::new(),
    }
}

/// Returns what says of a question which picture it is about, as well as a client can know.
fn picture(asked: &Asked) -> Option<String> {
    match asked {
        Asked::Sample(sample) => sample.images.first().map(digest),
        Asked::Row(row) => Some(picture_of_row(row)),
        _ => None,
    }
}

fn picture_of_row(row: &Row) -> String {
    if let Some(image) = row.images.first() {
        return digest(image);
    }
    // The first name: every client finds the same one.
    if let Some((_, data)) = row.files.iter().min_by_key(|(name, _)| name.as_str()) {
        return hash(data);
    }
    // Of a table the longest cell is its picture in base64, if it has one.
    let longest = if row.cells.is_empty() {
        row.json.split('"').max_by_key(|text| text.len())
    } else {
        row.cells
            .values()
            .map(String::as_str)
            .max_by_key(|cell| cell.len())
    };
    hash(longest.unwrap_or_default().as_bytes())
}

fn hash(data: &[u8]) -> String {
    blake3::hash(data).to_string()
}
