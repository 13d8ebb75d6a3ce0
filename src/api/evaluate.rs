//! BenchmarkService: samples in, verdicts and metrics out. A sample is a sweep over the variants; many run at once, and as many are
//! read from the stream as there is room for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, before};
use super::v1::benchmark_service_server::BenchmarkService;
use super::v1::{self, evaluate_header::Rules, evaluate_request, evaluate_response::Event, sweep_result};
use super::{Error, State, convert, sweep};
use crate::benchmark::data::MAX_OPTIONS;
use crate::benchmark::{self, Item, Outcome, RULES, Rule, Verdict, bootstrap, mcnemar};
use crate::intervention;

/// Samples that are on their way at once.
const IN_FLIGHT: usize = 32;
const MAX_VARIANTS: usize = 256;
/// Samples of one run; of each a digest is remembered.
const MAX_SAMPLES: usize = 10_000_000;

/// The service.
#[derive(Debug, Clone)]
pub struct Benchmarks(pub Arc<State>);

#[tonic::async_trait]
impl BenchmarkService for Benchmarks {
    type EvaluateStream = ReceiverStream<Result<v1::EvaluateResponse, Status>>;

    async fn evaluate(
        &self,
        request: Request<Streaming<v1::EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let mut call = Call::begin("Evaluate", &request);
        let mut inbound = request.into_inner();
        let begun = begin(&self.0, &mut call, &mut inbound).await;
        let run = begun.map_err(|e| call.fail(&self.0, &e))?;
        let (sender, stream) = mpsc::channel(16);
        tokio::spawn(stream_results(self.0.clone(), call, run, inbound, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn describe(&self, request: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let mut call = Call::begin("Describe", &request);
        let info = |rule: &Rule| v1::RuleInfo {
            name: rule.name(),
            about: rule.about.into(),
            max_tokens: rule.max_tokens,
            compared: rule.compared,
        };
        call.observation.end(tonic::Code::Ok);
        Ok(Response::new(v1::DescribeResponse { rules: RULES.iter().map(info).collect() }))
    }
}

/// A run whose header is checked.
struct Run {
    header: v1::EvaluateHeader,
    rule: &'static Rule,
    model_digest: String,
    /// What stands before an option that is scored: a space, unless the prompt ends with one.
    space: &'static str,
    /// Samples that have come, by a digest of their id.
    seen: HashSet<[u8; 16]>,
    /// Variants of samples that need not run, by the same.
    known: HashMap<[u8; 16], Vec<usize>>,
    /// Variant by variant.
    outcomes: Vec<Vec<Outcome>>,
    results: u64,
    failed: u64,
    computed: u64,
    begun: Instant,
}

async fn begin(state: &State, call: &mut Call, inbound: &mut Streaming<v1::EvaluateRequest>) -> Result<Run, Error> {
    let first = before(call.deadline, inbound.message()).await?.map_err(Error::from_client)?;
    let Some(evaluate_request::Event::Header(mut header)) = first.and_then(|m| m.event) else {
        return Err(Error::invalid("header", "unset; it comes first"));
    };
    let model = state.models.get(&header.model)?;
    call.observation.model(&model.name);
    header.model.clone_from(&model.name);
    let rule = match &header.rules {
        Some(Rules::Rule(name)) => benchmark::rule(name).ok_or_else(|| {
            let known: Vec<String> = RULES.iter().map(Rule::name).collect();
            Error::invalid("header.rule", format!("{name:?}; there are {}", known.join(", ")))
        })?,
        Some(Rules::Custom(custom)) => reader(custom)?,
        None => return Err(Error::invalid("header.rules", "unset; rule or custom is needed")),
    };
    if let Some(Rules::Rule(name)) = &mut header.rules {
        *name = rule.name();
    }
    if header.variants.is_empty() {
        header.variants.push(v1::EvaluateVariant { name: "original".into(), interventions: Vec::new() });
    }
    if header.variants.len() > MAX_VARIANTS {
        let message = format!("{} given; at most {MAX_VARIANTS} are taken", header.variants.len());
        return Err(Error::invalid("header.variants", message));
    }
    for i in 0..header.variants.len() {
        let name = &header.variants[i].name;
        if name.is_empty() || header.variants[..i].iter().any(|v| v.name == *name) {
            let message = format!("{name:?}; every variant needs a name of its own");
            return Err(Error::invalid(format!("header.variants[{i}].name"), message));
        }
    }
    for variant in &mut header.variants {
        convert::draw_open_seeds(&mut variant.interventions, std::iter::empty(), intervention::fresh_seed);
    }
    if v1::Answering::try_from(header.answering).is_err() {
        let valid = "ANSWERING_GENERATE, ANSWERING_OPTION_LETTERS, ANSWERING_OPTION_TEXTS";
        return Err(Error::invalid("header.answering", format!("{}; {valid} are known", header.answering)));
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
    let opened = model.text.chat("", 0)?;
    Ok(Run {
        space: if opened.ends_with(char::is_whitespace) { "" } else { " " },
        outcomes: vec![Vec::new(); header.variants.len()],
        header,
        rule,
        model_digest: model.digest.clone(),
        seen: HashSet::new(),
        known: HashMap::new(),
        results: 0,
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
            return Err(Error::invalid("header.custom.reader", format!("{}; one of {valid} is needed", custom.reader)));
        }
    };
    if !custom.prompt.contains("{question}") {
        return Err(Error::invalid("header.custom.prompt", "it has no {question}"));
    }
    benchmark::rule(name).ok_or_else(|| Error::Fault(format!("no rule {name}")))
}

/// Tells samples apart in little memory.
fn digest(id: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    digest
}

type Sender = mpsc::Sender<Result<v1::EvaluateResponse, Status>>;

async fn stream_results(
    state: Arc<State>,
    mut call: Call,
    mut run: Run,
    inbound: Streaming<v1::EvaluateRequest>,
    sender: Sender,
) {
    let _alive = state.alive.clone();
    let result = tokio::select! {
        biased;
        () = sender.closed() => return,
        result = run.run(&state, &call, inbound, &sender) => result,
    };
    match result {
        Ok(()) => {
            if send(&sender, Event::Finished(run.finished())).await.is_ok() {
                call.observation.end(tonic::Code::Ok);
            }
        }
        Err(error) => {
            let _ = sender.send(Err(call.fail(&state, &error))).await;
        }
    }
}

async fn send(sender: &Sender, event: Event) -> Result<(), Error> {
    let gone = |_| Error::Fault("the client has gone".into());
    sender.send(Ok(v1::EvaluateResponse { event: Some(event) })).await.map_err(gone)
}

/// The field of a sample in place of that of the request that is made of it.
fn of_sample(mut error: v1::SweepError) -> v1::SweepError {
    if let Some(rest) = error.field.strip_prefix("prompt.") {
        let field = format!("sample.{rest}");
        error.message = error.message.replace(&error.field, &field);
        error.field = field;
    }
    error
}

/// A sample on its way: the numbers of the variants that run, and the request.
struct Asked {
    item: Item,
    variants: Vec<usize>,
    request: v1::SweepRequest,
}

impl Run {
    async fn run(
        &mut self,
        state: &Arc<State>,
        call: &Call,
        mut inbound: Streaming<v1::EvaluateRequest>,
        sender: &Sender,
    ) -> Result<(), Error> {
        let started = v1::EvaluateStarted {
            request_id: call.id.clone(),
            rule: self.rule.name(),
            model_digest: self.model_digest.clone(),
            header: Some(self.header.clone()),
        };
        send(sender, Event::Started(started)).await?;
        let (mut running, mut open) = (FuturesUnordered::new(), true);
        while open || !running.is_empty() {
            tokio::select! {
                biased;
                Some((item, results)) = running.next(), if !running.is_empty() => {
                    for result in self.results(&item, results) {
                        self.tell(result, sender).await?;
                    }
                }
                message = before(call.deadline, inbound.message()), if open && running.len() < IN_FLIGHT => {
                    match message?.map_err(Error::from_client)?.map(|m| m.event) {
                        None => open = false,
                        Some(Some(evaluate_request::Event::Sample(sample))) => {
                            let id = sample.id.clone();
                            match self.ask(sample) {
                                Ok(asked) if asked.variants.is_empty() => {}
                                Ok(Asked { item, variants, request }) => running.push(async move {
                                    let results = before(call.deadline, sweep::whole(state, call, request)).await;
                                    let results = results.and_then(|r| r);
                                    let results = results.map_err(|e| of_sample(e.in_sweep(&call.id, state.retry_after())));
                                    (item, (variants, results))
                                }),
                                Err(error) => {
                                    let error = Some(error.in_sweep(&call.id, state.retry_after()));
                                    self.tell(v1::SampleResult { id, error, ..Default::default() }, sender).await?;
                                }
                            }
                        }
                        Some(Some(evaluate_request::Event::Known(result))) => self.know(result)?,
                        Some(Some(evaluate_request::Event::Header(_))) => {
                            return Err(Error::invalid("header", "there was one already"));
                        }
                        Some(None) => return Err(Error::invalid("event", "unset; sample or known is needed")),
                    }
                }
            }
        }
        Ok(())
    }

    /// A result of an earlier run.
    fn know(&mut self, result: v1::SampleResult) -> Result<(), Error> {
        let name = &result.variant;
        let variant = self.header.variants.iter().position(|v| v.name == *name);
        let variant =
            variant.ok_or_else(|| Error::invalid("known.variant", format!("{name:?} is none of the header")))?;
        // What failed is tried again.
        let Some(verdict) = verdict_of(&result) else { return Ok(()) };
        let known = self.known.entry(digest(&result.id)).or_default();
        if !known.contains(&variant) {
            known.push(variant);
            self.results += 1;
            let v1::SampleResult { id, category, group, .. } = result;
            self.outcomes[variant].push(Outcome { id, category, group, verdict });
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
            return Err(Error::invalid("sample", format!("more than {MAX_SAMPLES} in one run")));
        }
        if !self.seen.insert(digest) {
            return Err(Error::invalid("sample.id", format!("{:?} came before", sample.id)));
        }
        if sample.options.len() > MAX_OPTIONS {
            let message = format!("{} given; at most {MAX_OPTIONS} are taken", sample.options.len());
            return Err(Error::invalid("sample.options", message));
        }
        if sample.question.is_empty() {
            return Err(Error::invalid("sample.question", "empty"));
        }
        let mut item = Item {
            id: sample.id,
            images: Vec::new(),
            question: sample.question,
            hint: sample.hint,
            options: sample.options,
            answer: sample.answer,
            category: sample.category,
            group: sample.group,
            fields: sample.fields.into_iter().collect(),
        };
        item.group = (self.rule.group)(&item).ok_or_else(|| {
            Error::invalid(
                "sample.group",
                format!("empty; {} counts by it, and no other column says it", self.rule.name()),
            )
        })?;
        let text = match &self.header.rules {
            Some(Rules::Custom(custom)) => fill(&custom.prompt, &item),
            _ => (self.rule.prompt)(&item),
        };
        let prompt = Some(v1::Prompt { text, images: sample.images, raw: false });
        let (model, sample_key) = (self.header.model.clone(), item.id.clone());
        let input = match v1::Answering::try_from(self.header.answering) {
            Ok(v1::Answering::OptionLetters | v1::Answering::OptionTexts) => {
                let options = self.options(&item);
                if options.is_empty() {
                    return Err(Error::invalid("sample.options", "empty; without options only yes and no are scored"));
                }
                let continuations = options.iter().map(|option| format!("{}{option}", self.space)).collect();
                let request = v1::ScoreRequest { model, prompt, interventions: Vec::new(), continuations, sample_key };
                v1::sweep_request::Input::Score(request)
            }
            _ => v1::sweep_request::Input::Generate(v1::GenerateRequest {
                model,
                prompt,
                sampling: self.header.sampling,
                max_tokens: self.header.max_tokens,
                sample_key,
                ..Default::default()
            }),
        };
        let known = self.known.get(&digest);
        let missing = |v: &usize| known.is_none_or(|known| !known.contains(v));
        let variants: Vec<usize> = (0..self.header.variants.len()).filter(missing).collect();
        let interventions =
            |&v: &usize| v1::SweepVariant { interventions: self.header.variants[v].interventions.clone() };
        let listed = variants.iter().map(interventions).collect();
        let request = v1::SweepRequest { input: Some(input), variants: listed, grid: None };
        Ok(Asked { item, variants, request })
    }

    /// What is scored: options, or yes and no as the answer spells them.
    fn options(&self, item: &Item) -> Vec<String> {
        if item.options.is_empty() {
            return match item.answer.as_str() {
                "yes" | "no" => vec!["yes".into(), "no".into()],
                other if ["yes", "no"].contains(&other.to_lowercase().as_str()) => vec!["Yes".into(), "No".into()],
                _ => Vec::new(),
            };
        }
        if self.header.answering == i32::from(v1::Answering::OptionTexts) {
            return item.options.clone();
        }
        item.letters().map(String::from).collect()
    }

    /// The results of a sample, variant by variant.
    fn results(
        &mut self,
        item: &Item,
        (variants, outcome): (Vec<usize>, Result<Vec<v1::SweepResult>, v1::SweepError>),
    ) -> Vec<v1::SampleResult> {
        let blank = |variant: usize| v1::SampleResult {
            id: item.id.clone(),
            variant: self.header.variants[variant].name.clone(),
            category: item.category.clone(),
            group: item.group.clone(),
            ..Default::default()
        };
        match outcome {
            Err(error) => {
                variants.iter().map(|&v| v1::SampleResult { error: Some(error.clone()), ..blank(v) }).collect()
            }
            Ok(all) => {
                let one = |(&v, found): (&usize, v1::SweepResult)| self.result(item, blank(v), found);
                variants.iter().zip(all).map(one).collect()
            }
        }
    }

    fn result(&self, item: &Item, mut result: v1::SampleResult, found: v1::SweepResult) -> v1::SampleResult {
        let record = match found.outcome {
            Some(sweep_result::Outcome::Generated(finished)) => {
                let (answer, verdict) = self.rule.score(item, &finished.text);
                result.answer = answer.unwrap_or_default();
                set_verdict(&mut result, verdict);
                (result.text, result.usage) = (finished.text, finished.usage);
                finished.provenance
            }
            Some(sweep_result::Outcome::Scored(response)) => {
                let options = self.options(item);
                let best = response.best as usize;
                let letter = item.letters().nth(best).map_or_else(|| options[best].to_lowercase(), String::from);
                let mut verdict = (self.rule.judge)(item, &letter);
                // Where answers are words, the option's words count.
                if let Some(words) = item.options.get(best).filter(|_| verdict == Verdict::Wrong) {
                    verdict = (self.rule.judge)(item, words);
                }
                result.text.clone_from(&options[best]);
                result.answer = letter;
                set_verdict(&mut result, verdict);
                let score = |(option, s): (String, &v1::ContinuationScore)| v1::OptionScore {
                    option,
                    logprob: s.logprob,
                    mean_logprob: s.mean_logprob,
                };
                result.options = options.into_iter().zip(&response.scores).map(score).collect();
                result.usage = response.usage;
                response.provenance
            }
            Some(sweep_result::Outcome::Error(error)) => {
                result.error = Some(error);
                None
            }
            None => None,
        };
        if let Some(record) = record {
            (result.record_digest, result.output_digest) = (record.digest, record.output_digest);
        }
        result
    }

    /// Counts a result and sends it, with metrics from time to time.
    async fn tell(&mut self, result: v1::SampleResult, sender: &Sender) -> Result<(), Error> {
        self.results += 1;
        self.computed += result.usage.as_ref().map_or(0, |u| u.rows_computed);
        let variant = self.header.variants.iter().position(|v| v.name == result.variant);
        match (verdict_of(&result), variant) {
            (Some(verdict), Some(variant)) => self.outcomes[variant].push(Outcome {
                id: result.id.clone(),
                category: result.category.clone(),
                group: result.group.clone(),
                verdict,
            }),
            _ => self.failed += 1,
        }
        send(sender, Event::Result(result)).await?;
        if self.results.is_multiple_of(u64::from(self.header.progress_every)) {
            let progress = v1::EvaluateProgress { results: self.results, metrics: self.metrics() };
            send(sender, Event::Progress(progress)).await?;
        }
        Ok(())
    }

    fn metrics(&self) -> Vec<v1::BenchmarkMetric> {
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
            (self.rule.summarise)(outcomes).into_iter().map(metric).collect::<Vec<_>>()
        };
        self.header.variants.iter().zip(&self.outcomes).flat_map(of).collect()
    }

    fn finished(&mut self) -> v1::EvaluateFinished {
        // In the order of ids, so that the order of completion changes nothing.
        self.outcomes.iter_mut().for_each(|outcomes| outcomes.sort_by(|a, b| a.id.cmp(&b.id)));
        let others = self.header.variants.iter().zip(&self.outcomes).skip(1);
        v1::EvaluateFinished {
            results: self.results,
            failed: self.failed,
            metrics: self.metrics(),
            comparisons: others.map(|(v, own)| compare(&v.name, &self.outcomes[0], own)).collect(),
            rows_computed: self.computed,
            total_seconds: self.begun.elapsed().as_secs_f64(),
        }
    }
}

/// A variant against the first one; both in the order of ids.
fn compare(variant: &str, first: &[Outcome], own: &[Outcome]) -> v1::Comparison {
    let mut groups: HashMap<&str, Vec<f64>> = HashMap::new();
    let mut order = Vec::new();
    let (mut n, mut better, mut worse) = (0, 0, 0);
    for outcome in own {
        let Ok(place) = first.binary_search_by(|o| o.id.cmp(&outcome.id)) else { continue };
        let (Some(was), Some(is)) = (first[place].verdict.score(), outcome.verdict.score()) else { continue };
        (n, better, worse) = (n + 1, better + u64::from(is > was), worse + u64::from(is < was));
        let group = if outcome.group.is_empty() { &outcome.id } else { &outcome.group };
        let own = groups.entry(group).or_insert_with(|| {
            order.push(group.as_str());
            Vec::new()
        });
        own.push(is - was);
    }
    let all: Vec<&Vec<f64>> = order.iter().filter_map(|g| groups.get(g)).collect();
    let mean = |groups: &[&Vec<f64>]| {
        let (sum, count) = groups.iter().fold((0.0, 0), |(s, c), g| (s + g.iter().sum::<f64>(), c + g.len()));
        sum / f64::from(count.max(1) as u32)
    };
    let (low, high) = bootstrap(&all, mean);
    let p = mcnemar(better as usize, worse as usize);
    v1::Comparison { variant: variant.into(), n, better, worse, difference: mean(&all), low, high, p }
}

fn fill(template: &str, item: &Item) -> String {
    // One pass, so that a question that holds a name in braces stays as it is.
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let names =
            [("{question}", item.question.clone()), ("{hint}", item.hint.clone()), ("{options}", item.listed())];
        if let Some((name, value)) = names.iter().find(|(name, _)| rest.starts_with(name)) {
            text.push_str(value);
            rest = &rest[name.len()..];
        } else {
            text.push('{');
            rest = &rest[1..];
        }
    }
    text + rest
}

fn set_verdict(result: &mut v1::SampleResult, verdict: Verdict) {
    let code = match verdict {
        Verdict::Right => v1::Verdict::Right,
        Verdict::Wrong => v1::Verdict::Wrong,
        Verdict::Unparsed => v1::Verdict::Unparsed,
        Verdict::Unjudged => v1::Verdict::Unjudged,
        Verdict::Graded(grade) => {
            result.grade = grade;
            v1::Verdict::Graded
        }
    };
    result.verdict = code.into();
}

fn verdict_of(result: &v1::SampleResult) -> Option<Verdict> {
    match v1::Verdict::try_from(result.verdict) {
        Ok(v1::Verdict::Right) => Some(Verdict::Right),
        Ok(v1::Verdict::Wrong) => Some(Verdict::Wrong),
        Ok(v1::Verdict::Unparsed) => Some(Verdict::Unparsed),
        Ok(v1::Verdict::Unjudged) => Some(Verdict::Unjudged),
        Ok(v1::Verdict::Graded) => Some(Verdict::Graded(result.grade.clamp(0.0, 1.0))),
        Ok(v1::Verdict::Unspecified) | Err(_) => None,
    }
}
