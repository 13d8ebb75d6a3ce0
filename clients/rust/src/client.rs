//! The calls.

use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::v1::benchmark_service_client::BenchmarkServiceClient;
use crate::v1::image::Source;
use crate::v1::inference_service_client::InferenceServiceClient;
use crate::v1::model_service_client::ModelServiceClient;
use crate::v1::{
    CaptureRequest, CheckParityRequest, CheckParityResponse, DescribeRequest, EvaluateRequest, EvaluateResponse,
    GenerateRequest, GetModelRequest, HookPoint, Image, ListHookPointsRequest, ListModelsRequest, LoadModelRequest,
    LoadModelResponse, LoadProjectorRequest, ModelInfo, PreviewRequest, PreviewResponse, Prompt, RuleInfo,
    ScoreRequest, ScoreResponse, SweepRequest, SweepResponse, UnloadModelRequest, UploadImageRequest, VerifyRequest,
    VerifyResponse,
};
use crate::{Answer, Capture, Error};

const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inference: InferenceServiceClient<Channel>,
    models: ModelServiceClient<Channel>,
    benchmarks: BenchmarkServiceClient<Channel>,
}

impl Client {
    /// Connects to an address such as `http://127.0.0.1:7878`.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let channel = Endpoint::from_shared(address.to_owned())?.connect().await?;
        Ok(Self::new(channel))
    }

    /// Over a channel made elsewhere.
    pub fn new(channel: Channel) -> Self {
        Self {
            inference: InferenceServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            benchmarks: BenchmarkServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            models: ModelServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
        }
    }

    /// Streams an answer; dropping it cancels. A deadline is set with `tonic::Request::set_timeout`.
    pub async fn generate(&mut self, request: impl tonic::IntoRequest<GenerateRequest>) -> Result<Answer, Error> {
        Answer::begin(self.inference.generate(request).await?.into_inner()).await
    }

    /// The likelihood of given continuations.
    pub async fn score(&mut self, request: impl tonic::IntoRequest<ScoreRequest>) -> Result<ScoreResponse, Error> {
        Ok(self.inference.score(request).await?.into_inner())
    }

    /// One input under many variants: started, a result for each as it is done, finished. Dropping it cancels.
    pub async fn sweep(
        &mut self,
        request: impl tonic::IntoRequest<SweepRequest>,
    ) -> Result<Streaming<SweepResponse>, Error> {
        Ok(self.inference.sweep(request).await?.into_inner())
    }

    /// The questions of a benchmark: a header, then samples; they are sent as the server takes them. Dropping it cancels.
    pub async fn evaluate(
        &mut self,
        requests: impl tonic::IntoStreamingRequest<Message = EvaluateRequest>,
    ) -> Result<Streaming<EvaluateResponse>, Error> {
        Ok(self.benchmarks.evaluate(requests).await?.into_inner())
    }

    /// The rule sets that the server knows.
    pub async fn describe(&mut self) -> Result<Vec<RuleInfo>, Error> {
        Ok(self.benchmarks.describe(DescribeRequest {}).await?.into_inner().rules)
    }

    /// Keeps a picture on the server and returns the handle that requests can name.
    pub async fn upload_image(&mut self, data: Vec<u8>) -> Result<String, Error> {
        Ok(self.inference.upload_image(UploadImageRequest { data }).await?.into_inner().handle)
    }

    /// The picture as the model will see it.
    pub async fn preview(
        &mut self,
        request: impl tonic::IntoRequest<PreviewRequest>,
    ) -> Result<PreviewResponse, Error> {
        Ok(self.inference.preview(request).await?.into_inner())
    }

    /// Captures activations at hook points.
    pub async fn capture(&mut self, request: impl tonic::IntoRequest<CaptureRequest>) -> Result<Capture, Error> {
        Capture::begin(self.inference.capture(request).await?.into_inner()).await
    }

    /// Runs a recorded answer again and says whether the bits agree.
    pub async fn verify(&mut self, request: impl tonic::IntoRequest<VerifyRequest>) -> Result<VerifyResponse, Error> {
        Ok(self.inference.verify(request).await?.into_inner())
    }

    /// The resident models.
    pub async fn list_models(&mut self) -> Result<Vec<ModelInfo>, Error> {
        Ok(self.models.list_models(ListModelsRequest {}).await?.into_inner().models)
    }

    /// One resident model; the first one where `model` is empty.
    pub async fn get_model(&mut self, model: &str) -> Result<ModelInfo, Error> {
        let response = self.models.get_model(GetModelRequest { model: model.to_owned() }).await?.into_inner();
        Ok(response.model.unwrap_or_default())
    }

    /// Makes a model resident: progress, then the model. `place` is a folder of the server, a hub id, or `shapes`.
    pub async fn load_model(&mut self, request: LoadModelRequest) -> Result<Streaming<LoadModelResponse>, Error> {
        Ok(self.models.load_model(request).await?.into_inner())
    }

    /// Takes a model away, waits for the requests that run on it, and returns the bytes that became free.
    pub async fn unload_model(&mut self, model: &str) -> Result<u64, Error> {
        let request = UnloadModelRequest { model: model.to_owned() };
        Ok(self.models.unload_model(request).await?.into_inner().freed_bytes)
    }

    /// Makes the projector in a file of the server resident under `name`.
    pub async fn load_projector(&mut self, model: &str, name: &str, file: &str) -> Result<ModelInfo, Error> {
        let (model, name, file) = (model.to_owned(), name.to_owned(), file.to_owned());
        let response = self.models.load_projector(LoadProjectorRequest { model, name, file }).await?.into_inner();
        Ok(response.model.unwrap_or_default())
    }

    /// Runs the golden set of a model: cases as they are compared, then the report.
    pub async fn check_parity(&mut self, model: &str) -> Result<Streaming<CheckParityResponse>, Error> {
        let request = CheckParityRequest { model: model.to_owned() };
        Ok(self.models.check_parity(request).await?.into_inner())
    }

    /// The named places in a model's forward pass.
    pub async fn list_hook_points(&mut self, model: &str) -> Result<Vec<HookPoint>, Error> {
        let request = ListHookPointsRequest { model: model.to_owned() };
        Ok(self.models.list_hook_points(request).await?.into_inner().hook_points)
    }
}

/// A question about pictures given as the bytes of their files.
pub fn prompt(text: &str, images: impl IntoIterator<Item = Vec<u8>>) -> Prompt {
    let images = images.into_iter().map(|data| Image { source: Some(Source::Data(data)) }).collect();
    Prompt { text: text.to_owned(), images, raw: false }
}
