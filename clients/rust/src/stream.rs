//! Streams: an answer, captured activations, the results of a benchmark.

use std::sync::Arc;
use std::time::Duration;

use half::{bf16, f16};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Streaming;

use crate::Error;
use crate::results::{Place, Results};
use crate::run::{self, Broken, Run};
use crate::servers::Servers;
use crate::v1::evaluate_request::Event as Asked;
use crate::v1::evaluate_response::Event as Told;
use crate::v1::generate_response::Event;
use crate::v1::{
    Activation, BenchmarkMetric, CaptureFinished, CaptureResponse, DataType, EvaluateFinished,
    EvaluateHeader, EvaluateStarted, Finished, GenerateResponse, Row, Sample, SampleResult,
    Started, Token, capture_response,
};

/// A streamed answer. Dropping it tells the server to stop.
#[derive(Debug)]
pub struct Answer {
    stream: Streaming<GenerateResponse>,
    /// The first event.
    pub started: Started,
    finished: Option<Finished>,
}

impl Answer {
    pub(crate) async fn begin(mut stream: Streaming<GenerateResponse>) -> Result<Self, Error> {
        match stream.message().await?.and_then(|m| m.event) {
            Some(Event::Started(started)) => Ok(Self {
                stream,
                started,
                finished: None,
            }),
            _ => Err(Error::Truncated),
        }
    }

    /// Returns the next token; `None` when the answer is complete.
    pub async fn next(&mut self) -> Result<Option<Token>, Error> {
        if self.finished.is_some() {
            return Ok(None);
        }
        match self.stream.message().await?.and_then(|m| m.event) {
            Some(Event::Token(token)) => Ok(Some(token)),
            Some(Event::Finished(finished)) => {
                self.finished = Some(finished);
                // The trailers; a stream dropped before them is reset, and servers count resets.
                self.stream.message().await?;
                Ok(None)
            }
            Some(Event::Started(_)) | None => Err(Error::Truncated),
        }
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Result<Finished, Error> {
        while self.next().await?.is_some() {}
        self.finished.ok_or(Error::Truncated)
    }
}

/// Captured activations as they come, each put together from its parts. Dropping it tells the
/// server to stop.
#[derive(Debug)]
pub struct Capture {
    stream: Streaming<CaptureResponse>,
    /// The first event.
    pub started: Started,
    finished: Option<CaptureFinished>,
    dtype: DataType,
    /// The server that keeps what is to be kept.
    keeper: (Arc<Servers>, usize),
}

impl Capture {
    pub(crate) async fn begin(
        mut stream: Streaming<CaptureResponse>,
        dtype: DataType,
        keeper: (Arc<Servers>, usize),
    ) -> Result<Self, Error> {
        match stream.message().await?.and_then(|m| m.event) {
            Some(capture_response::Event::Started(started)) => Ok(Self {
                stream,
                started,
                finished: None,
                dtype,
                keeper,
            }),
            _ => Err(Error::Truncated),
        }
    }

    /// Returns the next whole activation; `None` when all have come.
    pub async fn next(&mut self) -> Result<Option<Activation>, Error> {
        let mut whole: Option<Activation> = None;
        while self.finished.is_none() {
            match self.stream.message().await?.and_then(|m| m.event) {
                Some(capture_response::Event::Activation(part)) => {
                    let so_far = match &mut whole {
                        // The first part has shape and names; the others add their bytes.
                        Some(so_far) => {
                            so_far.data.extend(part.data);
                            so_far
                        }
                        None => whole.insert(part),
                    };
                    if so_far.data.len() as u64 >= so_far.size {
                        return Ok(whole);
                    }
                }
                // In the middle of an activation a part is missing.
                Some(capture_response::Event::Finished(finished)) if whole.is_none() => {
                    let (servers, at) = &self.keeper;
                    // Only this server has what it keeps: calls that name it go there.
                    for kept in &finished.kept {
                        servers.uploaded(*at, &kept.handle, None);
                    }
                    self.finished = Some(finished);
                    // The trailers, as above.
                    self.stream.message().await?;
                }
                _ => return Err(Error::Truncated),
            }
        }
        Ok(None)
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Result<CaptureFinished, Error> {
        while self.next().await?.is_some() {}
        self.finished.ok_or(Error::Truncated)
    }

    /// Returns the numbers of an activation, row by row as its `shape` says.
    pub fn values(&self, activation: &Activation) -> Vec<f32> {
        let halves = || activation.data.as_chunks::<2>().0.iter();
        match self.dtype {
            DataType::Bf16 => halves().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            DataType::F16 => halves().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            DataType::Unspecified | DataType::F32 => activation
                .data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        }
    }
}

/// The questions of a run.
#[derive(Debug, Clone)]
pub struct Question(Asked);

impl From<Sample> for Question {
    fn from(sample: Sample) -> Self {
        Self(Asked::Sample(sample))
    }
}

impl From<Row> for Question {
    fn from(row: Row) -> Self {
        Self(Asked::Row(row))
    }
}

/// The results of a benchmark as they come. Dropping it tells the server to stop.
#[derive(Debug)]
pub struct Evaluation {
    events: mpsc::Receiver<Result<Told, Error>>,
    run: Arc<Run>,
    /// The first event: who answers, by which rule, with which seeds.
    pub started: EvaluateStarted,
    /// Results of an earlier run, which are not computed again.
    pub known: usize,
    metrics: Vec<BenchmarkMetric>,
    finished: Option<EvaluateFinished>,
    results: Option<Results>,
}

impl Evaluation {
    pub(crate) async fn begin<Q, E>(
        servers: &Arc<Servers>,
        timeout: Option<Duration>,
        header: EvaluateHeader,
        questions: impl Stream<Item = Result<Q, E>> + Send + 'static,
        results: Option<Place<'_>>,
    ) -> Result<Self, Error>
    where
        Q: Into<Question> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        // First, since it takes the lock: a second run on the same file ends here.
        let (mut results, header, known) = match results {
            Some(place) => Results::open(place, header)
                .map(|(results, header, known)| (Some(results), header, known))?,
            None => (None, header, Vec::new()),
        };
        let source = questions.map(|question| -> Result<Asked, Broken> {
            let Question(asked) = question.map_err(Into::<Broken>::into)?.into();
            Ok(asked)
        });
        let count = known.len();
        let check = |started: &EvaluateStarted| match &mut results {
            Some(results) => results.begun(started),
            None => Ok(()),
        };
        let source = Box::pin(source);
        let (started, events, run) =
            run::begin(servers, timeout, header, known, source, check).await?;
        Ok(Self {
            events,
            run,
            started,
            known: count,
            metrics: Vec::new(),
            finished: None,
            results,
        })
    }

    /// Returns the next result; `None` when all have come.
    pub async fn next(&mut self) -> Result<Option<SampleResult>, Error> {
        while self.finished.is_none() {
            match self.events.recv().await.transpose()? {
                Some(Told::Result(result)) => {
                    if let Some(results) = &mut self.results {
                        results.add(&result)?;
                    }
                    return Ok(Some(result));
                }
                Some(Told::Progress(progress)) => self.metrics = progress.metrics,
                Some(Told::Finished(finished)) => {
                    self.metrics.clone_from(&finished.metrics);
                    self.finished = Some(finished);
                    // The server has finished with what it was asked, which is not all.
                    if let Some(error) = self.run.take_broken() {
                        return Err(Error::Questions(error));
                    }
                }
                Some(Told::Started(_) | Told::Settled(_)) | None => return Err(Error::Truncated),
            }
        }
        Ok(None)
    }

    /// Returns the metrics of the results so far, which the server sends now and then.
    pub fn metrics(&self) -> &[BenchmarkMetric] {
        &self.metrics
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Result<EvaluateFinished, Error> {
        while self.next().await?.is_some() {}
        self.finished.ok_or(Error::Truncated)
    }
}
