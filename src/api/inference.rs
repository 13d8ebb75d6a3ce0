//! InferenceService: each method, and what is short enough to stand here.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::call::{Call, Common, before, settle};
use super::prepare::{Asked, Scene};
use super::v1::{self, inference_service_server::InferenceService};
use super::{Error, State, answer, capture, convert, provenance, verify};
use crate::engine::{Event, Prefilled, Work};
use crate::intervention;
use crate::model::Model;

const MAX_CONTINUATIONS: usize = 64;

/// The service.
#[derive(Debug, Clone)]
pub struct Inference(pub Arc<State>);

impl Inference {
    /// Ends a call that has one response.
    fn end<T>(&self, mut call: Call, result: Result<T, Error>) -> Result<Response<T>, Status> {
        match result {
            Ok(response) => {
                call.observation.end(tonic::Code::Ok);
                Ok(Response::new(response))
            }
            Err(error) => Err(call.fail(&self.0, &error)),
        }
    }
}

#[tonic::async_trait]
impl InferenceService for Inference {
    type GenerateStream = ReceiverStream<Result<v1::GenerateResponse, Status>>;

    async fn generate(&self, request: Request<v1::GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let mut call = Call::begin("Generate", &request);
        let begun = answer::begin(&self.0, &mut call, request.into_inner()).await;
        let (admitted, writer) = begun.map_err(|e| call.fail(&self.0, &e))?;
        let (sender, stream) = mpsc::channel(16);
        tokio::spawn(answer::stream(self.0.clone(), call, admitted, writer, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn score(&self, request: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        let mut call = Call::begin("Score", &request);
        let result = score(&self.0, &mut call, request.into_inner()).await;
        self.end(call, result)
    }

    type CaptureStream = ReceiverStream<Result<v1::CaptureResponse, Status>>;

    async fn capture(&self, request: Request<v1::CaptureRequest>) -> Result<Response<Self::CaptureStream>, Status> {
        let mut call = Call::begin("Capture", &request);
        let begun = capture::begin(&self.0, &mut call, request.into_inner()).await;
        let (admitted, recorder) = begun.map_err(|e| call.fail(&self.0, &e))?;
        // Few parts at a time: who reads slowly holds little memory.
        let (sender, stream) = mpsc::channel(4);
        tokio::spawn(capture::stream(self.0.clone(), call, admitted, recorder, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn preview(&self, request: Request<v1::PreviewRequest>) -> Result<Response<v1::PreviewResponse>, Status> {
        let mut call = Call::begin("Preview", &request);
        let result = preview(&self.0, &mut call, request.into_inner()).await;
        self.end(call, result)
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyResponse>, Status> {
        let mut call = Call::begin("Verify", &request);
        let result = verify::verify(&self.0, &mut call, request.into_inner()).await;
        self.end(call, result)
    }
}

pub(super) async fn score(
    state: &Arc<State>,
    call: &mut Call,
    mut request: v1::ScoreRequest,
) -> Result<v1::ScoreResponse, Error> {
    let asked = request.continuations.len();
    if !(1..=MAX_CONTINUATIONS).contains(&asked) {
        let message = format!("{asked} given; 1 to {MAX_CONTINUATIONS} are taken");
        return Err(Error::invalid("continuations", message));
    }
    settle(state, &mut request.model, &mut request.interventions, &mut [])?;
    let recorded = provenance::request("Score", &request, |r| r.prompt.as_mut());
    let mut tokens = Vec::with_capacity(asked);
    let continuations = request.continuations;
    let work = |model: &Model, scene: &Scene| {
        let context = model.decoder.config().max_position_embeddings;
        let prompt = scene.prompt.next as usize;
        for (i, continuation) in continuations.iter().enumerate() {
            let field = || format!("continuations[{i}]");
            if continuation.is_empty() || continuation.len() > context * 16 {
                return Err(Error::invalid(field(), "empty or longer than any context; some words are needed"));
            }
            let ids = model.text.encode_continuation(&scene.text, continuation)?;
            if ids.is_empty() || prompt + ids.len() > context {
                let message = format!("{} tokens after {prompt} of the prompt; the context holds {context}", ids.len());
                return Err(Error::invalid(field(), message));
            }
            tokens.push(ids);
        }
        Ok(Work::Score(tokens.clone()))
    };
    let common = Common {
        model: &request.model,
        prompt: request.prompt,
        interventions: request.interventions,
        captures: Vec::new(),
        sample_key: &request.sample_key,
    };
    let mut admitted = state.admit(call, common, work).await?;
    let record = provenance::begin(&admitted.ready.scene, recorded, None, &request.sample_key);
    let mut prefilled = Prefilled::default();
    let (scores, timing, effects) = loop {
        match before(call.deadline, admitted.next()).await? {
            Some(Ok(Event::Scored { scores, timing, effects })) => break (scores, timing, effects),
            Some(Ok(Event::Prefilled(found))) => prefilled = found,
            Some(Err(error)) => return Err(error.into()),
            _ => return Err(Error::Fault("the engine went away".into())),
        }
    };
    admitted.ready.check_fired(&effects)?;
    let text = &admitted.ready.scene.model.text;
    let mut response = v1::ScoreResponse::default();
    for ((ids, logprobs), continuation) in tokens.iter().zip(&scores).zip(&continuations) {
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
    response.usage = Some(admitted.ready.usage(0, timing, timing.elapsed.as_secs_f64()));
    let output: Vec<u8> = scores.iter().flatten().flat_map(|s| s.to_le_bytes()).collect();
    let output = blake3::hash(&output);
    response.provenance = Some(provenance::close(record, &admitted.ready, &prefilled, &effects, output));
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
    let mut interventions = request.interventions;
    convert::draw_open_seeds(&mut interventions, std::iter::empty(), intervention::fresh_seed);
    let (images, sample_key) = (vec![image], request.sample_key.as_str());
    let asked = Asked { images, field: "image", interventions, sample_key, ..Asked::default() };
    let scene = before(call.deadline, state.scene(model, asked)).await??;
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
        plan: provenance::plan(&scene, &scene.observed.effects(scene.interventions.len()), &Prefilled::default()),
    })
}
