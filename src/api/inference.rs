//! InferenceService: Generate, Score, Preview.

use std::sync::Arc;
use std::time::Instant;

use metrics::{counter, histogram};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::observe::Observation;
use super::prepare::{Scene, Words, text, words};
use super::v1::{self, generate_response, inference_service_server::InferenceService};
use super::{Error, State, deadline, provenance};
use crate::engine::{self, Event, Events, Finish, Job, Sampling, Timing, Work};
use crate::intervention::{self, Draws};
use crate::model::{Detokenizer, ImageTokens, Model};
use crate::telemetry::names;

const DEFAULT_MAX_TOKENS: usize = 256;
const MAX_STOPS: usize = 8;
const MAX_TOP_LOGPROBS: u32 = 20;
const MAX_CONTINUATIONS: usize = 64;
const MAX_TEMPERATURE: f64 = 100.0;
/// The place in the list of interventions that the sampler's draws are keyed by.
const SAMPLER: usize = u32::MAX as usize;

/// The service.
#[derive(Debug, Clone)]
pub struct Inference(pub Arc<State>);

/// A request on its way: who it is and what is recorded of it.
struct Call {
    id: String,
    observation: Observation,
    deadline: Option<Instant>,
}

impl Call {
    fn begin<T>(method: &'static str, request: &Request<T>) -> Self {
        Self {
            id: format!("{:016x}", intervention::fresh_seed()),
            observation: Observation::begin(method),
            deadline: deadline::of(request.metadata()),
        }
    }

    fn fail(&mut self, state: &State, error: &Error) -> Status {
        let status = error.status(&self.id, state.engine.retry_after());
        self.observation.end(status.code());
        match error {
            Error::Engine(engine::Error::QueueFull { .. }) => {
                counter!(names::REQUESTS_REJECTED, "reason" => "queue_full").increment(1);
            }
            Error::Engine(engine::Error::Draining) => {
                counter!(names::REQUESTS_REJECTED, "reason" => "draining").increment(1);
            }
            _ => {}
        }
        if status.code() == tonic::Code::Internal {
            tracing::error!(request_id = %self.id, %error, "request failed");
        }
        status
    }
}

/// Waits for `work` until `deadline`.
async fn before<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Error> {
    match deadline {
        None => Ok(work.await),
        Some(at) => tokio::time::timeout_at(at.into(), work)
            .await
            .map_err(|_| Error::Engine(engine::Error::Deadline { tokens: 0 })),
    }
}

/// A request that the engine has admitted.
struct Admitted {
    scene: Scene,
    words: Words,
    events: Events,
}

impl Admitted {
    fn image_tokens(&self) -> usize {
        self.scene.images.iter().map(ImageTokens::len).sum()
    }

    fn usage(&self, generated: usize, timing: Timing, first_token: f64) -> v1::Usage {
        v1::Usage {
            prompt_tokens: self.words.ids.len() as u32,
            image_tokens: self.image_tokens() as u32,
            generation_tokens: generated as u32,
            queue_seconds: timing.queued.as_secs_f64(),
            time_to_first_token_seconds: first_token,
            total_seconds: timing.elapsed.as_secs_f64(),
            rows_computed: timing.rows_computed,
        }
    }
}

impl State {
    /// Prepares a request and hands it to the engine; `work` says what to do with the prompt.
    async fn admit(
        self: &Arc<Self>,
        call: &mut Call,
        (model, prompt): (&str, Option<v1::Prompt>),
        interventions: Vec<v1::Intervention>,
        sample_key: &str,
        work: impl FnOnce(&Model, &Words) -> Result<Work, Error>,
    ) -> Result<Admitted, Error> {
        let model = &self.models.get(model)?;
        call.observation.model(&model.name);
        let mut prompt = prompt.ok_or_else(|| Error::invalid("prompt", "unset"))?;
        let text = text(model, &prompt)?;
        let images = std::mem::take(&mut prompt.images);
        let scene = self.scene(model, images, "prompt.images", interventions, sample_key);
        let scene = before(call.deadline, scene).await??;
        let words = words(model, text, &scene.images)?;
        let work = work(model, &words)?;
        let job = Job {
            model: model.clone(),
            plan: scene.plan.clone(),
            pixels: scene.pixels()?,
            images: scene.images.clone(),
            prompt: words.ids.clone(),
            work,
            deadline: call.deadline,
        };
        let events = self.engine.submit(job)?;
        let admitted = Admitted { scene, words, events };
        admitted.scene.count(&admitted.words, admitted.image_tokens());
        Ok(admitted)
    }
}

#[tonic::async_trait]
impl InferenceService for Inference {
    type GenerateStream = ReceiverStream<Result<v1::GenerateResponse, Status>>;

    async fn generate(&self, request: Request<v1::GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let mut call = Call::begin("Generate", &request);
        let request = request.into_inner();
        let begun = begin_answer(&self.0, &mut call, request).await;
        let (admitted, writer) = begun.map_err(|e| call.fail(&self.0, &e))?;
        let (sender, stream) = mpsc::channel(16);
        tokio::spawn(answer(self.0.clone(), call, admitted, writer, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn score(&self, request: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        let mut call = Call::begin("Score", &request);
        match score(&self.0, &mut call, request.into_inner()).await {
            Ok(response) => {
                call.observation.end(tonic::Code::Ok);
                Ok(Response::new(response))
            }
            Err(error) => Err(call.fail(&self.0, &error)),
        }
    }

    async fn preview(&self, request: Request<v1::PreviewRequest>) -> Result<Response<v1::PreviewResponse>, Status> {
        let mut call = Call::begin("Preview", &request);
        match preview(&self.0, &mut call, request.into_inner()).await {
            Ok(response) => {
                call.observation.end(tonic::Code::Ok);
                Ok(Response::new(response))
            }
            Err(error) => Err(call.fail(&self.0, &error)),
        }
    }
}

async fn begin_answer(
    state: &Arc<State>,
    call: &mut Call,
    request: v1::GenerateRequest,
) -> Result<(Admitted, Writer), Error> {
    let mut sampling = request.sampling.unwrap_or_default();
    let sampler = sampler(&mut sampling, &request.sample_key)?;
    check_stops(&request.stop)?;
    if request.top_logprobs > MAX_TOP_LOGPROBS {
        let message = format!("{} is more than {MAX_TOP_LOGPROBS}", request.top_logprobs);
        return Err(Error::invalid("top_logprobs", message));
    }
    let wanted = if request.max_tokens == 0 { DEFAULT_MAX_TOKENS } else { request.max_tokens as usize };
    let work = |model: &Model, words: &Words| {
        let left = model.decoder.config().max_position_embeddings - words.ids.len();
        let top_logprobs = request.top_logprobs as usize;
        Ok(Work::Generate { sampling: sampler, max_tokens: wanted.min(left), top_logprobs })
    };
    let asked = (request.model.as_str(), request.prompt);
    let admitted = state.admit(call, asked, request.interventions, &request.sample_key, work).await?;
    let record = provenance::begin(&admitted.scene, &admitted.words, Some(sampling), &request.sample_key);
    Ok((admitted, Writer::new(request.stop, record)))
}

fn sampler(sampling: &mut v1::Sampling, sample_key: &str) -> Result<Sampling, Error> {
    let temperature = sampling.temperature;
    if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
        let message = format!("{temperature} is not in 0 to {MAX_TEMPERATURE}");
        return Err(Error::invalid("sampling.temperature", message));
    }
    let top_p = sampling.top_p.unwrap_or(1.0);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(Error::invalid("sampling.top_p", format!("{top_p} is not above 0 and at most 1")));
    }
    if temperature > 0.0 {
        sampling.seed.get_or_insert_with(intervention::fresh_seed);
    }
    // Greedy decoding draws nothing.
    let draws = Draws::new(sampling.seed.unwrap_or(0), sample_key, SAMPLER, 0);
    Ok(Sampling { temperature, top_k: sampling.top_k as usize, top_p, draws })
}

fn check_stops(stops: &[String]) -> Result<(), Error> {
    if stops.len() > MAX_STOPS {
        return Err(Error::invalid("stop", format!("{} strings; at most {MAX_STOPS} are taken", stops.len())));
    }
    match stops.iter().position(String::is_empty) {
        Some(i) => Err(Error::invalid(format!("stop[{i}]"), "empty; a stop string has at least one character")),
        None => Ok(()),
    }
}

/// Sends the events of one answer until it ends, the client leaves or the deadline passes.
async fn answer(
    state: Arc<State>,
    mut call: Call,
    mut admitted: Admitted,
    mut writer: Writer,
    sender: mpsc::Sender<Result<v1::GenerateResponse, Status>>,
) {
    let _alive = state.alive.clone();
    let started = v1::Started {
        request_id: call.id.clone(),
        prompt_tokens: admitted.words.ids.len() as u32,
        image_tokens: admitted.image_tokens() as u32,
    };
    if send(&sender, generate_response::Event::Started(started)).await.is_err() {
        return;
    }
    loop {
        let event = tokio::select! {
            biased;
            // Dropping the events tells the engine to let go.
            () = sender.closed() => return,
            event = before(call.deadline, admitted.events.recv()) => event,
        };
        let event = match event {
            Ok(Some(Ok(event))) => writer.take(&admitted, event),
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(None) => Err(Error::Fault("the engine went away".into())),
            Err(_) => Err(engine::Error::Deadline { tokens: writer.ids.len() }.into()),
        };
        match event {
            Err(error) => {
                let _ = sender.send(Err(call.fail(&state, &error))).await;
                return;
            }
            Ok(events) => {
                for event in events {
                    let last = matches!(event, generate_response::Event::Finished(_));
                    if send(&sender, event).await.is_err() {
                        return;
                    }
                    if last {
                        call.observation.end(tonic::Code::Ok);
                        return;
                    }
                }
            }
        }
    }
}

async fn send(
    sender: &mpsc::Sender<Result<v1::GenerateResponse, Status>>,
    event: generate_response::Event,
) -> Result<(), ()> {
    sender.send(Ok(v1::GenerateResponse { event: Some(event) })).await.map_err(|_| ())
}

/// Turns tokens into text, watching for stop strings.
struct Writer {
    detokenizer: Detokenizer,
    stops: Vec<String>,
    /// All text so far.
    text: String,
    /// Bytes of it that have been sent; the rest might begin a stop string.
    sent: usize,
    ids: Vec<u32>,
    timing: Timing,
    first_token: f64,
    record: v1::Provenance,
}

impl Writer {
    fn new(stops: Vec<String>, record: v1::Provenance) -> Self {
        Self {
            detokenizer: Detokenizer::default(),
            stops,
            text: String::new(),
            sent: 0,
            ids: Vec::new(),
            timing: Timing::default(),
            first_token: 0.0,
            record,
        }
    }

    /// The messages that an event of the engine comes to.
    fn take(&mut self, admitted: &Admitted, event: Event) -> Result<Vec<generate_response::Event>, Error> {
        match event {
            Event::Token(token) => self.token(admitted, token),
            Event::Scored(..) => Err(Error::Fault("scores for an answer".into())),
        }
    }

    fn token(&mut self, admitted: &Admitted, token: engine::Token) -> Result<Vec<generate_response::Event>, Error> {
        let text = &admitted.scene.model.text;
        let elapsed = token.timing.elapsed;
        if self.ids.is_empty() {
            self.first_token = elapsed.as_secs_f64();
            histogram!(names::TIME_TO_FIRST_TOKEN).record(elapsed);
        } else {
            histogram!(names::INTER_TOKEN_LATENCY).record(elapsed.saturating_sub(self.timing.elapsed));
        }
        self.timing = token.timing;
        self.ids.push(token.id);
        self.text.push_str(&self.detokenizer.push(token.id, text)?);
        if token.finish.is_some() {
            self.text.push_str(&self.detokenizer.finish(text)?);
        }
        let stop = self.stop_at();
        self.text.truncate(stop.unwrap_or(self.text.len()));
        let reason = match (stop, token.finish) {
            (Some(_), _) => Some(v1::FinishReason::Stop),
            (None, Some(Finish::Eos)) => Some(v1::FinishReason::Eos),
            (None, Some(Finish::Length)) => Some(v1::FinishReason::Length),
            (None, None) => None,
        };
        let until = if reason.is_some() { self.text.len() } else { self.text.len() - self.held_back() };
        let top =
            token.top.iter().map(|&(id, logprob)| Ok(v1::TokenLogprob { id, text: text.decode(&[id])?, logprob }));
        let message = v1::Token {
            id: token.id,
            text: self.text[self.sent..until.max(self.sent)].to_owned(),
            logprob: token.logprob,
            top: top.collect::<Result<_, Error>>()?,
        };
        self.sent = until.max(self.sent);
        let mut events = vec![generate_response::Event::Token(message)];
        events.extend(reason.map(|reason| self.finished(admitted, reason)));
        Ok(events)
    }

    /// Where the first stop string begins.
    fn stop_at(&self) -> Option<usize> {
        self.stops.iter().filter_map(|s| self.text.find(s.as_str())).min()
    }

    /// Bytes at the end that may be the beginning of a stop string.
    fn held_back(&self) -> usize {
        let begins = |s: &String| (1..s.len()).rev().find(|&n| s.is_char_boundary(n) && self.text.ends_with(&s[..n]));
        self.stops.iter().filter_map(begins).max().unwrap_or(0)
    }

    fn finished(&mut self, admitted: &Admitted, reason: v1::FinishReason) -> generate_response::Event {
        let output: Vec<u8> = self.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        generate_response::Event::Finished(v1::Finished {
            reason: reason.into(),
            text: self.text.clone(),
            usage: Some(admitted.usage(self.ids.len(), self.timing, self.first_token)),
            provenance: Some(provenance::close(std::mem::take(&mut self.record), &output)),
        })
    }
}

async fn score(state: &Arc<State>, call: &mut Call, request: v1::ScoreRequest) -> Result<v1::ScoreResponse, Error> {
    let asked = request.continuations.len();
    if !(1..=MAX_CONTINUATIONS).contains(&asked) {
        let message = format!("{asked} given; 1 to {MAX_CONTINUATIONS} are taken");
        return Err(Error::invalid("continuations", message));
    }
    let mut tokens = Vec::with_capacity(asked);
    let work = |model: &Model, words: &Words| {
        let context = model.decoder.config().max_position_embeddings;
        for (i, continuation) in request.continuations.iter().enumerate() {
            let field = || format!("continuations[{i}]");
            if continuation.is_empty() || continuation.len() > context * 16 {
                return Err(Error::invalid(field(), "empty or longer than any context; some words are needed"));
            }
            let ids = model.text.encode_continuation(&words.text, continuation)?;
            if ids.is_empty() || words.ids.len() + ids.len() > context {
                let message = format!(
                    "{} tokens after {} of the prompt; the context holds {context}",
                    ids.len(),
                    words.ids.len()
                );
                return Err(Error::invalid(field(), message));
            }
            tokens.push(ids);
        }
        Ok(Work::Score(tokens.clone()))
    };
    let asked = (request.model.as_str(), request.prompt);
    let mut admitted = state.admit(call, asked, request.interventions, &request.sample_key, work).await?;
    let record = provenance::begin(&admitted.scene, &admitted.words, None, &request.sample_key);
    let (scores, timing) = match before(call.deadline, admitted.events.recv()).await? {
        Some(Ok(Event::Scored(scores, timing))) => (scores, timing),
        Some(Err(error)) => return Err(error.into()),
        _ => return Err(Error::Fault("the engine went away".into())),
    };
    let text = &admitted.scene.model.text;
    let mut response = v1::ScoreResponse::default();
    for ((ids, logprobs), continuation) in tokens.iter().zip(&scores).zip(&request.continuations) {
        let total: f64 = logprobs.iter().sum();
        let token = |(&id, &logprob): (&u32, &f64)| Ok(v1::TokenLogprob { id, text: text.decode(&[id])?, logprob });
        response.scores.push(v1::ContinuationScore {
            tokens: ids.iter().zip(logprobs).map(token).collect::<Result<_, Error>>()?,
            logprob: total,
            mean_logprob: total / ids.len() as f64,
            logprob_per_byte: total / continuation.len() as f64,
        });
    }
    let means = || response.scores.iter().map(|s| s.mean_logprob);
    let highest = means().fold(f64::NEG_INFINITY, f64::max);
    response.best = means().position(|m| m >= highest).unwrap_or(0) as u32;
    response.usage = Some(admitted.usage(0, timing, timing.elapsed.as_secs_f64()));
    let output: Vec<u8> = scores.iter().flatten().flat_map(|s| s.to_le_bytes()).collect();
    response.provenance = Some(provenance::close(record, &output));
    Ok(response)
}

async fn preview(
    state: &Arc<State>,
    call: &mut Call,
    request: v1::PreviewRequest,
) -> Result<v1::PreviewResponse, Error> {
    let model = &state.models.get(&request.model)?;
    call.observation.model(&model.name);
    let image = request.image.ok_or_else(|| Error::invalid("image", "unset; a picture is needed"))?;
    let scene = state.scene(model, vec![image], "image", request.interventions, &request.sample_key);
    let scene = before(call.deadline, scene).await??;
    let Some(picture) = scene.pictures.first() else { return Err(Error::Fault("the picture was lost".into())) };
    let view = picture.shown();
    let png = crate::vision::encode_png(view).map_err(|e| Error::Fault(e.to_string()))?;
    // As many whole tiles as the canvas has, each of the tower's patches.
    let patches = |pixels: usize| (pixels / picture.base.width * model.tower.config().grid()) as u32;
    Ok(v1::PreviewResponse {
        png,
        width: view.width as u32,
        height: view.height as u32,
        grid_rows: patches(view.height),
        grid_columns: patches(view.width),
        plan: provenance::plan(&scene),
    })
}
