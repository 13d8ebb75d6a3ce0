//! Runs a benchmark: many items at once, and as many are read as there is room for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::item::{ItemOutcome, ItemRequest};
use super::{
    Answer, EvaluationEvent, EvaluationFinished, EvaluationSpec, ItemResult, Question,
    VariantComparison, VariantMetric,
};
use crate::benchmark::{ItemLabel, Outcome, Verdict, compare, digest};
use crate::engine;
use crate::field_path::shown;
use crate::pipeline::{Error, RequestContext, Reservation, Runtime};

/// Bounds the items that are on their way at once.
const IN_FLIGHT: usize = 32;
/// Bounds the items of one run; a digest of each is remembered.
const MAX_ITEMS: usize = 10_000_000;
/// Computes metrics anew once a 20th of all results is new, so that a run of any length spends
/// little on them.
const PROGRESS_SHARE: u64 = 20;
/// Says what is settled after this many questions whose results were all known.
const SETTLED_EVERY: u64 = 32;

/// Tells the run what comes next.
#[derive(Debug)]
pub enum EvaluationInput {
    /// Asks an item.
    Question {
        /// Names it; empty where a row has no id that can be read.
        id: String,
        /// Holds the item, or why the row cannot be read.
        question: Result<Question, Error>,
    },
    /// Counts a result of an earlier run.
    Known(KnownResult),
}

/// Holds a result of an earlier run.
#[derive(Debug)]
pub struct KnownResult {
    /// Names the variant.
    pub variant: String,
    /// Names the item.
    pub label: ItemLabel,
    /// Holds its answer; `None`: it failed, and is asked again.
    pub answer: Option<Answer>,
}

/// Counts what a run has come to.
#[derive(Debug)]
pub struct Evaluation {
    spec: Arc<EvaluationSpec>,
    /// Numbers variants by name.
    variants: HashMap<String, usize>,
    /// Holds digests of the ids of the items that have come.
    seen: HashSet<[u8; 16]>,
    /// Holds what an earlier run has of items, by the same.
    known: HashMap<[u8; 16], KnownItem>,
    /// Lists outcomes, variant by variant.
    outcomes: Vec<Vec<Outcome>>,
    /// Holds the bytes of all this, about.
    kept: Option<Reservation>,
    results: u64,
    failed: u64,
    computed: u64,
    /// Computes metrics after this many results.
    next_progress: u64,
    begun: Instant,
    asked: Asked,
}

/// Counts the questions of a run, so that a client knows which it need not ask again elsewhere.
#[derive(Debug, Default)]
struct Asked {
    /// Counts those that were read.
    read: u64,
    /// Numbers those that are on their way, from 1.
    in_flight: BTreeSet<u64>,
    /// Counts those that the client was told of.
    told: u64,
}

impl Asked {
    /// Counts those, from the first on, that have all of their results.
    fn settled(&self) -> u64 {
        self.in_flight.first().map_or(self.read, |first| first - 1)
    }
}

/// Holds what an earlier run has of an item.
#[derive(Debug, Default)]
struct KnownItem {
    label: Arc<ItemLabel>,
    /// Lists variants that need not run.
    variants: Vec<usize>,
    /// Lists answers of these that want a judge.
    unjudged: Vec<(usize, Answer)>,
}

impl Evaluation {
    /// Begins a run.
    pub fn new(spec: Arc<EvaluationSpec>) -> Self {
        let names = spec.variants.iter().map(|v| v.name.clone());
        Self {
            variants: names.enumerate().map(|(i, name)| (name, i)).collect(),
            outcomes: vec![Vec::new(); spec.variants.len()],
            next_progress: spec.progress_every.into(),
            spec,
            seen: HashSet::new(),
            known: HashMap::new(),
            kept: None,
            results: 0,
            failed: 0,
            computed: 0,
            begun: Instant::now(),
            asked: Asked::default(),
        }
    }

    /// Asks what `inputs` brings and sends what comes of it, the end included.
    ///
    /// `going_down` resolves when the server goes down: then items that nobody would answer are not
    /// read any more.
    pub async fn run<E: From<Error>>(
        mut self,
        runtime: &Runtime,
        context: &RequestContext,
        inputs: impl Stream<Item = Result<EvaluationInput, E>>,
        going_down: impl Future<Output = ()>,
        events: mpsc::Sender<EvaluationEvent>,
    ) -> Result<(), E> {
        // Nothing yet: it grows with what the run keeps.
        let kept = runtime.evaluations.reserve(&context.client, 0);
        self.kept = Some(kept.map_err(Error::from)?);
        // On this task alone: items wait for the engine and the judge, and compute nothing here.
        let mut running = FuturesUnordered::new();
        let (mut is_open, mut cut_short_by) = (true, None);
        let (mut inputs, mut going_down) = (std::pin::pin!(inputs), std::pin::pin!(going_down));
        while is_open || !running.is_empty() {
            tokio::select! {
                // Results before new items: what is done makes room for what comes.
                biased;
                Some(done) = running.next(), if !running.is_empty() => {
                    let (number, ItemOutcome { results, cut_short_by: cut }) = done;
                    let is_whole = cut.is_none();
                    if let Some(error) = cut {
                        // The rest would fare no better.
                        (is_open, cut_short_by) = (false, Some(error));
                    }
                    for result in results {
                        self.emit(result, &events).await?;
                    }
                    // One that was cut short stays in flight: it has results to come, in another
                    // run.
                    if is_whole {
                        self.asked.in_flight.remove(&number);
                        self.tell_settled(1, &events).await?;
                    }
                }
                () = &mut going_down, if is_open => {
                    (is_open, cut_short_by) = (false, Some(engine::Error::Draining));
                }
                input = inputs.next(), if is_open && running.len() < IN_FLIGHT => {
                    let Some(input) = input else {
                        // The client has half-closed; what runs goes on to its end.
                        is_open = false;
                        continue;
                    };
                    // An error of the stream itself ends the run: nothing behind it can be read.
                    if let Some(request) = self.take_in(input?, &events).await? {
                        let number = self.asked.read;
                        self.asked.in_flight.insert(number);
                        running.push(numbered(number, request, runtime, context));
                    }
                }
            }
        }
        // What was computed before it has been sent.
        if let Some(error) = cut_short_by {
            return Err(Error::from(error).into());
        }
        let finished = EvaluationEvent::Finished(self.finish().await?);
        send(&events, finished).await?;
        Ok(())
    }

    /// Takes in what comes next, and sends what is known of it at once; returns what is to be asked.
    async fn take_in(
        &mut self,
        input: EvaluationInput,
        events: &mpsc::Sender<EvaluationEvent>,
    ) -> Result<Option<Box<ItemRequest>>, Error> {
        match self.handle_input(input)? {
            Next::Ask(request) => return Ok(Some(request)),
            Next::Emit(result) => {
                self.emit(*result, events).await?;
                self.tell_settled(1, events).await?;
            }
            Next::Nothing => self.tell_settled(SETTLED_EVERY, events).await?,
        }
        Ok(None)
    }

    /// Takes in what comes next. An item that cannot be asked has a result that says why; only what
    /// the run as a whole cannot bear is an error.
    fn handle_input(&mut self, input: EvaluationInput) -> Result<Next, Error> {
        let (id, question) = match input {
            EvaluationInput::Known(result) => {
                self.resume_from(result)?;
                return Ok(Next::Nothing);
            }
            EvaluationInput::Question { id, question } => (id, question),
        };
        // Whether or not it can be asked: a client counts what it has sent.
        self.asked.read += 1;
        Ok(match question.and_then(|question| self.request(question)) {
            Ok(request) if request.is_empty() => Next::Nothing,
            Ok(request) => Next::Ask(Box::new(request)),
            Err(error) => Next::Emit(Box::new(ItemResult {
                label: Arc::new(ItemLabel {
                    id,
                    ..ItemLabel::default()
                }),
                variant: None,
                outcome: Err(Arc::new(error)),
            })),
        })
    }

    /// Counts a result of an earlier run.
    fn resume_from(&mut self, result: KnownResult) -> Result<(), Error> {
        let KnownResult {
            variant: name,
            label,
            answer,
        } = result;
        let variant = *self.variants.get(&name).ok_or_else(|| {
            Error::invalid(
                "known.variant",
                format!("{} is none of the header", shown(&name)),
            )
        })?;
        // What failed is asked again.
        let Some(answer) = answer else {
            return Ok(());
        };
        let digest = digest(&label.id);
        // Its own result is counted, or will be; this one would be counted beside it.
        if self.seen.contains(&digest) {
            let message = format!(
                "{} was asked before in this run; what is known of it comes before its question",
                shown(&label.id)
            );
            return Err(Error::invalid("known.id", message));
        }
        let known = self.known.entry(digest).or_default();
        // A result that comes twice counts once.
        if known.variants.contains(&variant) {
            return Ok(());
        }
        known.variants.push(variant);
        let is_scored = !answer.options.is_empty();
        // With its text, which a judge is to mark now.
        if answer.verdict == Verdict::Unjudged && self.spec.wants_judge(&answer.text, is_scored) {
            let bytes = answer.bytes();
            known.unjudged.push((variant, answer));
            return self.keep(bytes);
        }
        let mut bytes = size_of::<Outcome>();
        // All variants of an item share one label.
        if known.label.id.is_empty() {
            known.label = Arc::new(label);
            bytes += size_of::<KnownItem>() + known.label.bytes();
        }
        self.results += 1;
        self.outcomes[variant].push(Outcome {
            label: known.label.clone(),
            verdict: answer.verdict,
        });
        self.keep(bytes)
    }

    /// Prepares an item under the variants that are not known.
    fn request(&mut self, question: Question) -> Result<ItemRequest, Error> {
        let id = &question.item.id;
        if id.is_empty() {
            return Err(Error::invalid("sample.id", "empty"));
        }
        if self.seen.len() >= MAX_ITEMS {
            let message = format!("more than {MAX_ITEMS} in one run");
            return Err(Error::invalid("sample", message));
        }
        // 128 bits: among ten million ids two agree by chance with a probability of 1e-25.
        let digest = digest(id);
        if !self.seen.insert(digest) {
            return Err(Error::invalid(
                "sample.id",
                format!("{} came before", shown(id)),
            ));
        }
        // Removed, since its id does not come again: `seen` would refuse it.
        let known = self.known.remove(&digest).unwrap_or_default();
        let missing: Vec<usize> = (0..self.spec.variants.len())
            .filter(|variant| !known.variants.contains(variant))
            .collect();
        let request = ItemRequest::new(&self.spec, question, &missing, known.unjudged)?;
        self.keep(digest.len() + request.label().bytes())?;
        Ok(request)
    }

    /// Counts bytes of items and verdicts, which stay to the end.
    fn keep(&mut self, bytes: usize) -> Result<(), Error> {
        if let Some(kept) = &mut self.kept {
            kept.grow(bytes as u64)?;
        }
        Ok(())
    }

    /// Tells the client what is settled, if that is at least `least` questions more than before.
    async fn tell_settled(
        &mut self,
        least: u64,
        events: &mpsc::Sender<EvaluationEvent>,
    ) -> Result<(), Error> {
        let settled = self.asked.settled();
        if settled < self.asked.told + least {
            return Ok(());
        }
        self.asked.told = settled;
        send(events, EvaluationEvent::Settled(settled)).await
    }

    /// Counts a result and sends it, with metrics from time to time.
    async fn emit(
        &mut self,
        result: ItemResult,
        events: &mpsc::Sender<EvaluationEvent>,
    ) -> Result<(), Error> {
        // Before it is sent, so that metrics behind it count it.
        self.results += 1;
        match (&result.outcome, result.variant) {
            (Ok(answer), Some(variant)) => {
                self.computed += answer.usage.map_or(0, |usage| usage.rows_computed);
                self.outcomes[variant].push(Outcome {
                    label: result.label.clone(),
                    verdict: answer.verdict,
                });
                self.keep(size_of::<Outcome>())?;
            }
            _ => self.failed += 1,
        }
        send(events, EvaluationEvent::Result(result)).await?;
        if self.results < self.next_progress {
            return Ok(());
        }
        let every = u64::from(self.spec.progress_every);
        // Ever more rarely, or a long run would spend its time on summaries.
        self.next_progress = self.results + every.max(self.results / PROGRESS_SHARE);
        let metrics = self.summarise(|spec, outcomes| metrics(spec, outcomes));
        let metrics = metrics.await?;
        let progress = EvaluationEvent::Progress {
            results: self.results,
            metrics,
        };
        send(events, progress).await
    }

    /// Returns what `work` makes of the outcomes, on a thread of its own: bootstraps take time.
    async fn summarise<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&EvaluationSpec, &mut Vec<Vec<Outcome>>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        // Moved, since there may be millions.
        let (spec, mut outcomes) = (self.spec.clone(), std::mem::take(&mut self.outcomes));
        let work = move || (work(&spec, &mut outcomes), outcomes);
        let (found, outcomes) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Error::Fault(e.to_string()))?;
        self.outcomes = outcomes;
        Ok(found)
    }

    async fn finish(&mut self) -> Result<EvaluationFinished, Error> {
        let summary = self.summarise(|spec, outcomes| {
            // By id, so that the order of completion changes nothing.
            for outcomes in outcomes.iter_mut() {
                outcomes.sort_by(|a, b| a.label.id.cmp(&b.label.id));
            }
            (metrics(spec, outcomes), comparisons(outcomes))
        });
        let (metrics, comparisons) = summary.await?;
        Ok(EvaluationFinished {
            results: self.results,
            failed: self.failed,
            metrics,
            comparisons,
            rows_computed: self.computed,
            total_seconds: self.begun.elapsed().as_secs_f64(),
        })
    }
}

/// Says what an input comes to.
enum Next {
    Ask(Box<ItemRequest>),
    Emit(Box<ItemResult>),
    Nothing,
}

/// Asks an item and returns its number with what came of it.
async fn numbered(
    number: u64,
    request: Box<ItemRequest>,
    runtime: &Runtime,
    context: &RequestContext,
) -> (u64, ItemOutcome) {
    (number, request.run(runtime, context).await)
}

async fn send(events: &mpsc::Sender<EvaluationEvent>, event: EvaluationEvent) -> Result<(), Error> {
    events.send(event).await.map_err(|_| Error::ClientLeft)
}

/// Returns the metrics of every variant.
fn metrics(spec: &EvaluationSpec, outcomes: &[Vec<Outcome>]) -> Vec<VariantMetric> {
    let mut all = Vec::new();
    for (variant, own) in outcomes.iter().enumerate() {
        let found = (spec.rule.summarise)(own).into_iter();
        all.extend(found.map(|metric| VariantMetric { variant, metric }));
    }
    all
}

/// Compares every variant with the first; the outcomes are in the order of ids.
fn comparisons(outcomes: &[Vec<Outcome>]) -> Vec<VariantComparison> {
    // The first one is what the others are compared with.
    let others = outcomes.iter().enumerate().skip(1);
    others
        .map(|(variant, own)| VariantComparison {
            variant,
            comparison: compare(&outcomes[0], own),
        })
        .collect()
}
