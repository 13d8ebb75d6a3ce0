//! BenchmarkService: samples in, verdicts and metrics out. A sample is a sweep over the variants;
//! many run at once, and as many are read from the stream as there is room for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::rpc::{self, ResponseSender, ResponseStream};
use super::sample::{self, Answered, Asked, Plan, verdict_of};
use super::v1::benchmark_service_server::BenchmarkService;
use super::v1::{self, evaluate_header::Rules, evaluate_request, evaluate_response::Event};
use super::{Error, State, convert};
use crate::benchmark::data::Reading;
use crate::benchmark::{self, Label, Outcome, RULES, Rule, compare, digest};
use crate::model::{Message, MessagePart, Role};
use crate::pipeline::RequestContext;
use crate::{engine, intervention, telemetry};

/// Samples that are on their way at once.
const IN_FLIGHT: usize = 32;
const MAX_VARIANTS: usize = 4096;
/// Samples of one run; of each a digest is remembered.
const MAX_SAMPLES: usize = 10_000_000;
/// Bytes that a run keeps of its samples and their verdicts.
const MAX_KEPT: usize = 4 << 30;
/// Metrics come anew once a 20th of all results is new, so that a run of any length spends little
/// on them.
const PROGRESS_SHARE: u64 = 20;

/// The service.
#[derive(Debug, Clone)]
pub struct Benchmarks(pub Arc<State>);

#[tonic::async_trait]
impl BenchmarkService for Benchmarks {
    type EvaluateStream = ResponseStream<v1::EvaluateResponse>;

    async fn evaluate(
        &self,
        request: Request<Streaming<v1::EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let mut inbound = request.into_inner();
        let begun = begin(state, &call, &mut inbound).await;
        let run = begun.map_err(|e| state.status(&call, &e))?;
        Ok(state.respond_with_stream(call.clone(), 16, |sender| {
            run.stream(state.clone(), call, inbound, sender)
        }))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let info = |rule: &Rule| v1::RuleInfo {
            name: rule.name(),
            about: rule.about.into(),
            max_tokens: rule.max_tokens,
            compared: rule.compared,
            judged: rule
                .task
                .map_or_else(String::new, |task| task.name().into()),
        };
        Ok(Response::new(v1::DescribeResponse {
            rules: RULES.iter().map(info).collect(),
        }))
    }
}

/// A run whose header is checked.
struct Run {
    plan: Arc<Plan>,
    /// The numbers of variants by name.
    variants: HashMap<String, usize>,
    model_digest: String,
    /// Samples that have come, by a digest of their id.
    seen: HashSet<[u8; 16]>,
    /// What an earlier run has of samples, by the same.
    known: HashMap<[u8; 16], Known>,
    /// Variant by variant.
    outcomes: Vec<Vec<Outcome>>,
    /// Bytes of all this, about.
    kept: usize,
    results: u64,
    /// When metrics are told next.
    next_progress: u64,
    failed: u64,
    computed: u64,
    begun: Instant,
}

/// The id of a sample, and what it asks.
type Heard = (String, Result<Asked, Error>);

/// What an earlier run has of a sample.
#[derive(Default)]
struct Known {
    label: Arc<Label>,
    /// Variants that need not run.
    variants: Vec<usize>,
    /// Answers of these that want a judge.
    unjudged: Vec<v1::SampleResult>,
}

async fn begin(
    state: &State,
    call: &RequestContext,
    inbound: &mut Streaming<v1::EvaluateRequest>,
) -> Result<Run, Error> {
    let first = inbound.message().await.map_err(Error::from_client)?;
    let Some(evaluate_request::Event::Header(mut header)) = first.and_then(|m| m.event) else {
        return Err(Error::invalid("header", "unset; it comes first"));
    };
    let model = state.models.get(&header.model)?;
    call.metrics.set_model(&model.name);
    header.model.clone_from(&model.name);
    let rule = match &header.rules {
        Some(Rules::Rule(name)) => benchmark::rule(name).ok_or_else(|| {
            let known: Vec<String> = RULES.iter().map(Rule::name).collect();
            Error::invalid(
                "header.rule",
                format!("{name:?}; there are {}", known.join(", ")),
            )
        })?,
        Some(Rules::Custom(custom)) => reader(custom)?,
        None => {
            return Err(Error::invalid(
                "header.rules",
                "unset; rule or custom is needed",
            ));
        }
    };
    if let Some(Rules::Rule(name)) = &mut header.rules {
        *name = rule.name();
    }
    let mut reading = Reading::of(rule.benchmark);
    for (role, column) in &header.columns {
        reading
            .give(role, column)
            .map_err(|message| Error::invalid("header.columns", message))?;
    }
    if header.variants.is_empty() {
        header.variants.push(v1::EvaluateVariant {
            name: "original".into(),
            ..Default::default()
        });
    }
    if header.variants.len() > MAX_VARIANTS {
        let message = format!(
            "{} given; at most {MAX_VARIANTS} are taken",
            header.variants.len()
        );
        return Err(Error::invalid("header.variants", message));
    }
    let mut names = HashSet::new();
    for (i, v1::EvaluateVariant { name, .. }) in header.variants.iter().enumerate() {
        if name.is_empty() || !names.insert(name) {
            let message = format!("{name:?}; every variant needs a name of its own");
            return Err(Error::invalid(
                format!("header.variants[{i}].name"),
                message,
            ));
        }
    }
    for variant in &mut header.variants {
        convert::draw_open_seeds(
            &mut variant.interventions,
            std::iter::empty(),
            intervention::fresh_seed,
        );
    }
    if v1::Answering::try_from(header.answering).is_err() {
        let valid = "ANSWERING_GENERATE, ANSWERING_OPTION_LETTERS, ANSWERING_OPTION_TEXTS";
        return Err(Error::invalid(
            "header.answering",
            format!("{}; {valid} are known", header.answering),
        ));
    }
    if header.max_tokens == 0 {
        header.max_tokens = match &header.rules {
            Some(Rules::Custom(custom)) if custom.max_tokens > 0 => custom.max_tokens,
            _ => rule.max_tokens,
        };
    }
    if header.progress_every == 0 {
        header.progress_every = 100;
    }
    let next_progress = header.progress_every.into();
    let asks = Message {
        role: Role::User,
        parts: vec![MessagePart::Text("?".into())],
    };
    let opened = model.render(&[asks], None)?.text;
    let judge = state
        .judge
        .clone()
        .filter(|_| rule.task.is_some() && !header.unjudged);
    let space = if opened.ends_with(char::is_whitespace) {
        ""
    } else {
        " "
    };
    Ok(Run {
        outcomes: vec![Vec::new(); header.variants.len()],
        variants: header
            .variants
            .iter()
            .enumerate()
            .map(|(i, v)| (v.name.clone(), i))
            .collect(),
        plan: Arc::new(Plan {
            header,
            rule,
            reading,
            space,
            judge,
        }),
        model_digest: model.digest.clone(),
        seen: HashSet::new(),
        known: HashMap::new(),
        kept: 0,
        results: 0,
        next_progress,
        failed: 0,
        computed: 0,
        begun: Instant::now(),
    })
}

fn reader(custom: &v1::CustomRule) -> Result<&'static Rule, Error> {
    let name = match v1::Reader::try_from(custom.reader) {
        Ok(v1::Reader::Letter) => "custom/letter",
        Ok(v1::Reader::YesNo) => "custom/yes-no",
        Ok(v1::Reader::Short) => "custom/short",
        Ok(v1::Reader::Relaxed) => "custom/relaxed",
        Ok(v1::Reader::Unspecified) | Err(_) => {
            let valid = "READER_LETTER, READER_YES_NO, READER_SHORT, READER_RELAXED";
            return Err(Error::invalid(
                "header.custom.reader",
                format!("{}; one of {valid} is needed", custom.reader),
            ));
        }
    };
    if !custom.prompt.contains("{question}") {
        return Err(Error::invalid(
            "header.custom.prompt",
            "it has no {question}",
        ));
    }
    benchmark::rule(name).ok_or_else(|| Error::fault(format!("no rule {name}")))
}

type Sender = ResponseSender<v1::EvaluateResponse>;

async fn send(sender: &Sender, event: Event) -> Result<(), Error> {
    sender
        .send(v1::EvaluateResponse { event: Some(event) })
        .await
}

impl Run {
    /// Sends results until the last one, and what they come to.
    async fn stream(
        mut self,
        state: Arc<State>,
        call: RequestContext,
        inbound: Streaming<v1::EvaluateRequest>,
        sender: Sender,
    ) -> Result<(), Error> {
        let finished = self.run(&state, &call, inbound, &sender).await?;
        send(&sender, Event::Finished(finished)).await
    }

    async fn run(
        &mut self,
        state: &Arc<State>,
        call: &RequestContext,
        mut inbound: Streaming<v1::EvaluateRequest>,
        sender: &Sender,
    ) -> Result<v1::EvaluateFinished, Error> {
        send(sender, Event::Started(self.started(call))).await?;
        let (mut running, mut open, mut drained) = (FuturesUnordered::new(), true, false);
        let mut going_down = std::pin::pin!(state.drained());
        while open || !running.is_empty() {
            tokio::select! {
                biased;
                Some(Answered { label, results, drained: cut }) = running.next(), if !running.is_empty() => {
                    drained |= cut;
                    for result in results {
                        self.tell(&label, result, sender).await?;
                    }
                }
                // Samples that nobody would answer are not asked for; those on their way still are.
                () = &mut going_down, if open => (open, drained) = (false, true),
                message = inbound.message(), if open && running.len() < IN_FLIGHT => {
                    let Some(message) = message.map_err(Error::from_client)? else {
                        open = false;
                        continue;
                    };
                    match self.hear(message.event)? {
                        Some((_, Ok(asked))) if !asked.is_empty() => running.push(asked.run(state, call)),
                        Some((id, Err(error))) => {
                            let error = Some(error.into_pipeline().in_sweep(&call.id, state.retry_after()));
                            let result = v1::SampleResult { id, error, ..Default::default() };
                            self.tell(&Arc::default(), result, sender).await?;
                        }
                        Some((_, Ok(_))) | None => {}
                    }
                }
            }
        }
        if drained {
            return Err(engine::Error::Draining.into());
        }
        self.finished().await
    }

    /// A message after the header; of a sample its id and what it asks.
    fn hear(&mut self, event: Option<evaluate_request::Event>) -> Result<Option<Heard>, Error> {
        let (id, sample) = match event {
            Some(evaluate_request::Event::Sample(sample)) => (sample.id.clone(), Ok(sample)),
            Some(evaluate_request::Event::Row(row)) => sample::of_row(row, &self.plan.reading),
            Some(evaluate_request::Event::Known(result)) => {
                return self.know(result).map(|()| None);
            }
            Some(evaluate_request::Event::Header(_)) => {
                return Err(Error::invalid("header", "there was one already"));
            }
            None => {
                return Err(Error::invalid(
                    "event",
                    "unset; sample, row or known is needed",
                ));
            }
        };
        Ok(Some((id, sample.and_then(|sample| self.ask(sample)))))
    }

    fn started(&self, call: &RequestContext) -> v1::EvaluateStarted {
        let judge = self.plan.judge.as_ref().zip(self.plan.rule.task);
        v1::EvaluateStarted {
            request_id: call.id.clone(),
            rule: self.plan.rule.name(),
            model_digest: self.model_digest.clone(),
            header: Some(self.plan.header.clone()),
            judge: judge.map(|(judge, task)| v1::Judge {
                model: judge.model().into(),
                prompt: judge.template(task).into(),
            }),
            server_version: telemetry::VERSION.into(),
        }
    }

    /// A result of an earlier run.
    fn know(&mut self, result: v1::SampleResult) -> Result<(), Error> {
        let name = &result.variant;
        let variant = *self.variants.get(name).ok_or_else(|| {
            Error::invalid("known.variant", format!("{name:?} is none of the header"))
        })?;
        // What failed is tried again.
        let Some(verdict) = verdict_of(&result) else {
            return Ok(());
        };
        let known = self.known.entry(digest(&result.id)).or_default();
        if known.variants.contains(&variant) {
            return Ok(());
        }
        known.variants.push(variant);
        if verdict == benchmark::Verdict::Unjudged && self.plan.wants_judge(&result) {
            let bytes = result.encoded_len();
            known.unjudged.push(result);
            return self.keep(bytes);
        }
        let mut bytes = size_of::<Outcome>();
        if known.label.id.is_empty() {
            let v1::SampleResult {
                id,
                category,
                group,
                ..
            } = result;
            known.label = Arc::new(Label {
                id,
                category,
                group,
            });
            bytes += size_of::<Known>() + known.label.bytes();
        }
        self.results += 1;
        self.outcomes[variant].push(Outcome {
            label: known.label.clone(),
            verdict,
        });
        self.keep(bytes)
    }

    /// Counts bytes of samples and verdicts, which stay to the end.
    fn keep(&mut self, bytes: usize) -> Result<(), Error> {
        self.kept += bytes;
        if self.kept > MAX_KEPT {
            let message = format!(
                "ids, categories and verdicts of this run take more than {MAX_KEPT} bytes; part it in several"
            );
            return Err(Error::invalid("sample", message));
        }
        Ok(())
    }

    /// What a sample asks of the model, under the variants that are not known.
    fn ask(&mut self, sample: v1::Sample) -> Result<Asked, Error> {
        if sample.id.is_empty() {
            return Err(Error::invalid("sample.id", "empty"));
        }
        let digest = digest(&sample.id);
        if self.seen.len() >= MAX_SAMPLES {
            return Err(Error::invalid(
                "sample",
                format!("more than {MAX_SAMPLES} in one run"),
            ));
        }
        if !self.seen.insert(digest) {
            return Err(Error::invalid(
                "sample.id",
                format!("{:?} came before", sample.id),
            ));
        }
        let known = self.known.remove(&digest).unwrap_or_default();
        let missing: Vec<usize> = (0..self.plan.header.variants.len())
            .filter(|v| !known.variants.contains(v))
            .collect();
        let asked = self.plan.ask(sample, &missing, known.unjudged)?;
        self.keep(digest.len() + asked.label.bytes())?;
        Ok(asked)
    }

    /// Counts a result and sends it, with metrics from time to time.
    async fn tell(
        &mut self,
        label: &Arc<Label>,
        result: v1::SampleResult,
        sender: &Sender,
    ) -> Result<(), Error> {
        self.results += 1;
        self.computed += result.usage.as_ref().map_or(0, |u| u.rows_computed);
        match (verdict_of(&result), self.variants.get(&result.variant)) {
            (Some(verdict), Some(&variant)) => {
                self.outcomes[variant].push(Outcome {
                    label: label.clone(),
                    verdict,
                });
                self.keep(size_of::<Outcome>())?;
            }
            _ => self.failed += 1,
        }
        send(sender, Event::Result(result)).await?;
        if self.results >= self.next_progress {
            let every = u64::from(self.plan.header.progress_every);
            self.next_progress = self.results + every.max(self.results / PROGRESS_SHARE);
            let metrics = self
                .summarise(|plan, outcomes| plan.metrics(outcomes))
                .await?;
            send(
                sender,
                Event::Progress(v1::EvaluateProgress {
                    results: self.results,
                    metrics,
                }),
            )
            .await?;
        }
        Ok(())
    }

    /// What `work` makes of the outcomes, beside the threads of the calls: bootstraps take their
    /// time.
    async fn summarise<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Plan, &mut Vec<Vec<Outcome>>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (plan, mut outcomes) = (self.plan.clone(), std::mem::take(&mut self.outcomes));
        let work = move || (work(&plan, &mut outcomes), outcomes);
        let (found, outcomes) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Error::fault(e))?;
        self.outcomes = outcomes;
        Ok(found)
    }

    async fn finished(&mut self) -> Result<v1::EvaluateFinished, Error> {
        let work = |plan: &Plan, outcomes: &mut Vec<Vec<Outcome>>| {
            // In the order of ids, so that the order of completion changes nothing.
            outcomes
                .iter_mut()
                .for_each(|outcomes| outcomes.sort_by(|a, b| a.label.id.cmp(&b.label.id)));
            (plan.metrics(outcomes), plan.comparisons(outcomes))
        };
        let (metrics, comparisons) = self.summarise(work).await?;
        Ok(v1::EvaluateFinished {
            results: self.results,
            failed: self.failed,
            metrics,
            comparisons,
            rows_computed: self.computed,
            total_seconds: self.begun.elapsed().as_secs_f64(),
        })
    }
}

impl Plan {
    /// Of every variant, whose outcomes are in the order of variants.
    fn metrics(&self, outcomes: &[Vec<Outcome>]) -> Vec<v1::BenchmarkMetric> {
        let of = |(variant, outcomes): (&v1::EvaluateVariant, &Vec<Outcome>)| {
            let metric = |m: benchmark::Metric| v1::BenchmarkMetric {
                variant: variant.name.clone(),
                name: m.name,
                value: m.value,
                low: m.interval.0,
                high: m.interval.1,
                most: m.most,
                n: m.n as u64,
                unparsed: m.unparsed as u64,
            };
            (self.rule.summarise)(outcomes)
                .into_iter()
                .map(metric)
                .collect::<Vec<_>>()
        };
        self.header
            .variants
            .iter()
            .zip(outcomes)
            .flat_map(of)
            .collect()
    }

    /// Of every variant with the first one; the outcomes are in the order of ids.
    fn comparisons(&self, outcomes: &[Vec<Outcome>]) -> Vec<v1::Comparison> {
        let comparison = |(variant, own): (&v1::EvaluateVariant, &Vec<Outcome>)| {
            let found = compare(&outcomes[0], own);
            v1::Comparison {
                variant: variant.name.clone(),
                n: found.n as u64,
                better: found.better as u64,
                worse: found.worse as u64,
                difference: found.difference,
                low: found.interval.0,
                high: found.interval.1,
                p: found.p,
            }
        };
        self.header
            .variants
            .iter()
            .zip(outcomes)
            .skip(1)
            .map(comparison)
            .collect()
    }
}
