//! InferenceService: each method, and what is short enough to stand here.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::call::{Call, before};
use super::prepare::Asked;
use super::v1::{self, inference_service_server::InferenceService};
use super::{Error, State, answer, capture, convert, provenance, score, sweep, verify};
use crate::engine::Prefilled;
use crate::{intervention, vision};

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

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let mut call = Call::begin("Generate", &request);
        let begun = answer::begin(&self.0, &mut call, request.into_inner()).await;
        let (admitted, writer) = begun.map_err(|e| call.fail(&self.0, &e))?;
        let (sender, stream) = mpsc::channel(16);
        tokio::spawn(answer::stream(
            self.0.clone(),
            call,
            admitted,
            writer,
            sender,
        ));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    type SweepStream = ReceiverStream<Result<v1::SweepResponse, Status>>;

    async fn sweep(
        &self,
        request: Request<v1::SweepRequest>,
    ) -> Result<Response<Self::SweepStream>, Status> {
        let mut call = Call::begin("Sweep", &request);
        let begun = sweep::begin(&self.0, &mut call, request.into_inner()).await;
        let sweep = begun.map_err(|e| call.fail(&self.0, &e))?;
        let (sender, stream) = mpsc::channel(16);
        tokio::spawn(sweep::stream(self.0.clone(), call, sweep, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn upload_image(
        &self,
        request: Request<v1::UploadImageRequest>,
    ) -> Result<Response<v1::UploadImageResponse>, Status> {
        let call = Call::begin("UploadImage", &request);
        let result = upload(&self.0, &call, request.into_inner()).await;
        self.end(call, result)
    }

    async fn score(
        &self,
        request: Request<v1::ScoreRequest>,
    ) -> Result<Response<v1::ScoreResponse>, Status> {
        let mut call = Call::begin("Score", &request);
        let result = score::whole(&self.0, &mut call, request.into_inner()).await;
        self.end(call, result)
    }

    type CaptureStream = ReceiverStream<Result<v1::CaptureResponse, Status>>;

    async fn capture(
        &self,
        request: Request<v1::CaptureRequest>,
    ) -> Result<Response<Self::CaptureStream>, Status> {
        let mut call = Call::begin("Capture", &request);
        let begun = capture::begin(&self.0, &mut call, request.into_inner()).await;
        let (admitted, recorder) = begun.map_err(|e| call.fail(&self.0, &e))?;
        // Few parts at a time: who reads slowly holds little memory.
        let (sender, stream) = mpsc::channel(4);
        tokio::spawn(capture::stream(
            self.0.clone(),
            call,
            admitted,
            recorder,
            sender,
        ));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn preview(
        &self,
        request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        let mut call = Call::begin("Preview", &request);
        let result = preview(&self.0, &mut call, request.into_inner()).await;
        self.end(call, result)
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        let mut call = Call::begin("Verify", &request);
        let result = verify::verify(&self.0, &mut call, request.into_inner()).await;
        self.end(call, result)
    }
}

async fn upload(
    state: &Arc<State>,
    call: &Call,
    request: v1::UploadImageRequest,
) -> Result<v1::UploadImageResponse, Error> {
    let data: Arc<[u8]> = request.data.into();
    let (bytes, limit) = (data.clone(), state.limits.image_pixels);
    let decode = move || vision::decode(&bytes, limit);
    let decoded = tokio::task::spawn_blocking(decode)
        .await
        .map_err(|e| Error::Fault(e.to_string()))?;
    let picture = decoded.map_err(|source| Error::Image {
        field: "data".into(),
        source,
    })?;
    let (width, height) = (picture.width as u32, picture.height as u32);
    Ok(v1::UploadImageResponse {
        handle: state.uploads.put(&call.client.tenant, data),
        width,
        height,
    })
}

async fn preview(
    state: &Arc<State>,
    call: &mut Call,
    request: v1::PreviewRequest,
) -> Result<v1::PreviewResponse, Error> {
    let model = &state.models.get(&request.model)?;
    call.observation.model(&model.name);
    let image = request
        .image
        .ok_or_else(|| Error::invalid("image", "unset; a picture is needed"))?;
    let mut interventions = request.interventions;
    convert::draw_open_seeds(
        &mut interventions,
        std::iter::empty(),
        intervention::fresh_seed,
    );
    let pictures = (&*call.client.tenant, vec![("image".to_owned(), image)]);
    let ground = before(
        call.deadline,
        state.ground(model, pictures, v1::MultiImage::Unspecified.into(), None),
    )
    .await??;
    let asked = Asked {
        interventions,
        sample_key: &request.sample_key,
        ..Asked::default()
    };
    let scene = before(call.deadline, state.scene(&ground, asked)).await??;
    let Some(picture) = scene.pictures.first() else {
        return Err(Error::Fault("the picture was lost".into()));
    };
    let view = picture.shown();
    let png = vision::encode_png(view).map_err(|e| Error::Fault(e.to_string()))?;
    // As many whole tiles as the canvas has, each of the tower's patches.
    let patches = |pixels: usize| (pixels / picture.side() * model.tower.config().grid()) as u32;
    Ok(v1::PreviewResponse {
        png,
        width: view.width as u32,
        height: view.height as u32,
        grid_rows: patches(view.height),
        grid_columns: patches(view.width),
        plan: provenance::plan(
            &scene,
            &scene.observed.effects(scene.interventions.len()),
            &Prefilled::default(),
        ),
    })
}
