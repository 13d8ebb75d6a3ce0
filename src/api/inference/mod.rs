//! InferenceService: a file for each method turns its messages into a request of the pipeline, and
//! what the pipeline says into messages.

mod attribute;
mod capture;
mod generate;
mod preview;
mod score;
mod sweep;
mod trace;
mod unread;
mod upload;
mod verify;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::State;
use super::rpc::{self, ResponseStream};
use super::v1::{self, inference_service_server::InferenceService};

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
        let (state, context) = (&self.0, rpc::context(&request));
        // What fails before the first event is the status of the call, and no stream begins.
        let begun = generate::begin(state, &context, request.into_inner()).await;
        let generation = begun.map_err(|e| state.status(&context, &e))?;
        let id = context.id.clone();
        // Tokens are small, so that some may wait for the client.
        Ok(state.respond_with_stream(context, 16, |sender| {
            generate::stream(id, generation, sender)
        }))
    }

    type SweepStream = ResponseStream<v1::SweepResponse>;

    async fn sweep(
        &self,
        request: Request<v1::SweepRequest>,
    ) -> Result<Response<Self::SweepStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let begun = sweep::begin(state, &context, request.into_inner()).await;
        let sweep = begun.map_err(|e| state.status(&context, &e))?;
        let id = context.id.clone();
        Ok(state.respond_with_stream(context, 16, |sender| {
            sweep::stream(state.clone(), id, sweep, sender)
        }))
    }

    type TraceStream = ResponseStream<v1::TraceResponse>;

    async fn trace(
        &self,
        request: Request<v1::TraceRequest>,
    ) -> Result<Response<Self::TraceStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        // Boxed: it holds the futures of two inputs.
        let begun = Box::pin(trace::begin(state, &context, request.into_inner())).await;
        let trace = begun.map_err(|e| state.status(&context, &e))?;
        Ok(state.respond_with_stream(context.clone(), 64, |sender| {
            trace::stream(state.clone(), context, trace, sender)
        }))
    }

    async fn upload_image(
        &self,
        request: Request<v1::UploadImageRequest>,
    ) -> Result<Response<v1::UploadImageResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let work = upload::upload(state, &context, request.into_inner());
        state.respond(&context, work).await
    }

    async fn score(
        &self,
        request: Request<v1::ScoreRequest>,
    ) -> Result<Response<v1::ScoreResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let work = score::score(state, &context, request.into_inner());
        state.respond(&context, work).await
    }

    type CaptureStream = ResponseStream<v1::CaptureResponse>;

    async fn capture(
        &self,
        request: Request<v1::CaptureRequest>,
    ) -> Result<Response<Self::CaptureStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let begun = capture::begin(state, &context, request.into_inner()).await;
        let capture = begun.map_err(|e| state.status(&context, &e))?;
        let id = context.id.clone();
        // Few parts wait at a time: for a slow reader little memory is held.
        Ok(state.respond_with_stream(context, 4, |sender| {
            capture::stream(state.clone(), id, capture, sender)
        }))
    }

    type AttributeStream = ResponseStream<v1::AttributeResponse>;

    async fn attribute(
        &self,
        request: Request<v1::AttributeRequest>,
    ) -> Result<Response<Self::AttributeStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let begun = attribute::begin(state, &context, request.into_inner()).await;
        let attribution = begun.map_err(|e| state.status(&context, &e))?;
        let id = context.id.clone();
        // As of captures: few parts wait for a slow reader.
        Ok(state.respond_with_stream(context, 4, |sender| {
            attribute::stream(state.clone(), id, attribution, sender)
        }))
    }

    async fn preview(
        &self,
        request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let work = preview::preview(state, &context, request.into_inner());
        state.respond(&context, work).await
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        // Boxed: it holds the futures of all that a record can be of.
        let work = Box::pin(verify::verify(state, context.clone(), request.into_inner()));
        state.respond(&context, work).await
    }
}
