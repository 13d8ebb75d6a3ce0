//! InferenceService: each method, and what is short enough to stand here.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::prepare::Asked;
use super::rpc::{self, ResponseStream};
use super::v1::{self, inference_service_server::InferenceService};
use super::{Error, State, answer, capture, convert, provenance, score, sweep, verify};
use crate::engine::Prefilled;
use crate::pipeline::RequestContext;
use crate::{intervention, vision};

/// The service.
#[derive(Debug, Clone)]
pub struct Inference(pub Arc<State>);

#[tonic::async_trait]
impl InferenceService for Inference {
    type GenerateStream = ResponseStream<v1::GenerateResponse>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let begun = answer::begin(state, &call, request.into_inner()).await;
        let (admitted, writer) = begun.map_err(|e| state.status(&call, &e))?;
        Ok(state.respond_with_stream(call.clone(), 16, |sender| {
            answer::stream(call, admitted, writer, sender)
        }))
    }

    type SweepStream = ResponseStream<v1::SweepResponse>;

    async fn sweep(
        &self,
        request: Request<v1::SweepRequest>,
    ) -> Result<Response<Self::SweepStream>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let begun = sweep::begin(state, &call, request.into_inner()).await;
        let sweep = begun.map_err(|e| state.status(&call, &e))?;
        Ok(state.respond_with_stream(call.clone(), 16, |sender| {
            sweep::stream(state.clone(), call, sweep, sender)
        }))
    }

    async fn upload_image(
        &self,
        request: Request<v1::UploadImageRequest>,
    ) -> Result<Response<v1::UploadImageResponse>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let work = upload(state, &call, request.into_inner());
        state.respond(&call, work).await
    }

    async fn score(
        &self,
        request: Request<v1::ScoreRequest>,
    ) -> Result<Response<v1::ScoreResponse>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let work = score::whole(state, &call, request.into_inner());
        state.respond(&call, work).await
    }

    type CaptureStream = ResponseStream<v1::CaptureResponse>;

    async fn capture(
        &self,
        request: Request<v1::CaptureRequest>,
    ) -> Result<Response<Self::CaptureStream>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let begun = capture::begin(state, &call, request.into_inner()).await;
        let (admitted, recorder) = begun.map_err(|e| state.status(&call, &e))?;
        // Few parts wait at a time: for a slow reader little memory is held.
        Ok(state.respond_with_stream(call.clone(), 4, |sender| {
            capture::stream(state.clone(), call, admitted, recorder, sender)
        }))
    }

    async fn preview(
        &self,
        request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let work = preview(state, &call, request.into_inner());
        state.respond(&call, work).await
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        let (state, call) = (&self.0, rpc::context(&request));
        let work = verify::verify(state, call.clone(), request.into_inner());
        state.respond(&call, work).await
    }
}

async fn upload(
    state: &Arc<State>,
    call: &RequestContext,
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
    call: &RequestContext,
    request: v1::PreviewRequest,
) -> Result<v1::PreviewResponse, Error> {
    let model = &state.models.get(&request.model)?;
    call.metrics.set_model(&model.name);
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
    let ground = state
        .ground(model, pictures, v1::MultiImage::Unspecified.into(), None)
        .await?;
    let asked = Asked {
        interventions,
        sample_key: &request.sample_key,
        ..Asked::default()
    };
    let scene = state.scene(&ground, asked).await?;
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
