//! The calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{IntoRequest, Request, Streaming};

use crate::call::Asks;
use crate::connect::{Connect, Way};
use crate::results::Place;
use crate::servers::{OnWait, Server, Servers};
use crate::v1::image::Source;
use crate::v1::{
    AttributeRequest, AttributeResponse, CaptureRequest, CheckParityRequest, CheckParityResponse,
    DescribeRequest, EvaluateHeader, GenerateRequest, GetModelRequest, HookPoint, Image,
    ListHookPointsRequest, ListModelsRequest, LoadModelRequest, LoadModelResponse,
    LoadProjectorRequest, ModelInfo, PreviewRequest, PreviewResponse, Prompt, RuleInfo,
    ScoreRequest, ScoreResponse, SweepRequest, SweepResponse, TraceRequest, TraceResponse,
    UnloadModelRequest, UploadImageRequest, VerifyRequest, VerifyResponse,
};
use crate::{Answer, Capture, Error, Evaluation, Question};

/// A connection to a server, or to several that answer the same; cheap to clone.
///
/// Requests are messages, or `tonic::Request`s of them with metadata: `x-request-id` and, of calls
/// that are no streams, `idempotency-key` are drawn where a caller sets none, `traceparent` is
/// passed on, and `x-scotoma-picture` is the BLAKE3 of the first picture.
#[derive(Debug, Clone)]
pub struct Client {
    servers: Arc<Servers>,
    timeout: Option<Duration>,
}

impl Client {
    /// Connects to an address such as `127.0.0.1:7878`; [`Connect`] has what else there is to say.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Connect::to(address).connect().await
    }

    /// Calls over a channel made elsewhere; nothing is tried again.
    pub fn new(channel: Channel) -> Self {
        let server = Server::new("", &Way::new(channel));
        let servers = Servers::new(vec![server], Duration::ZERO, OnWait::default());
        Self::over(Arc::new(servers))
    }

    pub(crate) fn over(servers: Arc<Servers>) -> Self {
        let timeout = None;
        Self { servers, timeout }
    }

    /// Returns the same connection, whose calls end with `DeadlineExceeded` after `timeout`.
    pub fn within(&self, timeout: Duration) -> Self {
        Self {
            servers: self.servers.clone(),
            timeout: Some(timeout),
        }
    }

    /// Sends a call until it is answered, is refused for good, or the patience or the time is over.
    async fn sent<M: Asks + Clone, T, F: Future<Output = Result<T, Error>>>(
        &self,
        request: Request<M>,
        send: impl Fn(usize, Request<M>) -> F,
    ) -> Result<T, Error> {
        self.servers.sent(request, self.timeout, send).await
    }

    /// Streams an answer; dropping it cancels.
    pub async fn generate(
        &mut self,
        request: impl IntoRequest<GenerateRequest>,
    ) -> Result<Answer, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            // The first event is part of the call: until it has come, the call may go to another
            // server.
            async move { Answer::begin(service.generate(r).await?.into_inner()).await }
        })
        .await
    }

    /// Says how likely given continuations are.
    pub async fn score(
        &mut self,
        request: impl IntoRequest<ScoreRequest>,
    ) -> Result<ScoreResponse, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            async move { Ok(service.score(r).await?.into_inner()) }
        })
        .await
    }

    /// Runs one input under many variants: started, a result for each as it is done, finished.
    /// Dropping it cancels.
    pub async fn sweep(
        &mut self,
        request: impl IntoRequest<SweepRequest>,
    ) -> Result<Streaming<SweepResponse>, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            async move { Ok(service.sweep(r).await?.into_inner()) }
        })
        .await
    }

    /// Patches activations over a grid: started, the two runs without patches, a cell as each is
    /// done, finished. Dropping it cancels.
    pub async fn trace(
        &mut self,
        request: impl IntoRequest<TraceRequest>,
    ) -> Result<Streaming<TraceResponse>, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            async move { Ok(service.trace(r).await?.into_inner()) }
        })
        .await
    }

    /// Asks how much each row of a run matters for a metric, by its gradient: started, scores,
    /// finished. Dropping it cancels.
    pub async fn attribute(
        &mut self,
        request: impl IntoRequest<AttributeRequest>,
    ) -> Result<Streaming<AttributeResponse>, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            async move { Ok(service.attribute(r).await?.into_inner()) }
        })
        .await
    }

    /// Runs a benchmark: `questions` (samples, or rows of a file: [`crate::rows`]) are taken as
    /// fast as the server answers. With `results`, a file, results are written down as they come,
    /// and a run that finds them there goes on where it ended, with the seeds that were drawn.
    /// Dropping it cancels.
    ///
    /// A run whose server is lost or goes down waits for the next one ([`Connect::patience`], anew
    /// after every answer) and goes on there with what is not answered. Of several servers each
    /// gets the questions about its pictures.
    pub async fn evaluate<Q, E>(
        &mut self,
        header: EvaluateHeader,
        questions: impl Stream<Item = Result<Q, E>> + Send + 'static,
        results: Option<&Path>,
    ) -> Result<Evaluation, Error>
    where
        Q: Into<Question> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let place = results.map(|results| Place {
            results,
            data: None,
        });
        Evaluation::begin(&self.servers, self.timeout, header, questions, place).await
    }

    /// Does as [`Client::evaluate`] does, with the questions of the file `data`: a run does not go
    /// on where that file is another one.
    pub async fn evaluate_file<Q, E>(
        &mut self,
        header: EvaluateHeader,
        questions: impl Stream<Item = Result<Q, E>> + Send + 'static,
        data: &Path,
        results: Option<&Path>,
    ) -> Result<Evaluation, Error>
    where
        Q: Into<Question> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let place = results.map(|results| Place {
            results,
            data: Some(data),
        });
        Evaluation::begin(&self.servers, self.timeout, header, questions, place).await
    }

    /// Lists the rule sets that the server knows.
    pub async fn describe(&mut self) -> Result<Vec<RuleInfo>, Error> {
        self.sent(Request::new(DescribeRequest {}), |at, r| {
            let mut service = self.servers.all[at].benchmarks.clone();
            async move { Ok(service.describe(r).await?.into_inner().rules) }
        })
        .await
    }

    /// Keeps a picture on the server; what comes back stands for it in later requests.
    pub async fn upload_image(&mut self, data: Vec<u8>) -> Result<Image, Error> {
        // A copy: the bytes are kept for another server, should this one be lost.
        let request = Request::new(UploadImageRequest { data: data.clone() });
        let (at, handle) = self
            .sent(request, |at, r| {
                let mut service = self.servers.all[at].inference.clone();
                async move { Ok((at, service.upload_image(r).await?.into_inner().handle)) }
            })
            .await?;
        // What was uploaded is on one server only; others get it when they need it.
        self.servers.uploaded(at, &handle, Some(data));
        Ok(Image {
            source: Some(Source::Handle(handle)),
        })
    }

    /// Returns the picture as the model will see it.
    pub async fn preview(
        &mut self,
        request: impl IntoRequest<PreviewRequest>,
    ) -> Result<PreviewResponse, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            async move { Ok(service.preview(r).await?.into_inner()) }
        })
        .await
    }

    /// Captures activations at hook points.
    pub async fn capture(
        &mut self,
        request: impl IntoRequest<CaptureRequest>,
    ) -> Result<Capture, Error> {
        let request = request.into_request();
        // Activations come in the type that the request names, which is given away with it.
        let dtype = request.get_ref().dtype();
        self.sent(request, |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            let servers = self.servers.clone();
            async move {
                let stream = service.capture(r).await?.into_inner();
                Capture::begin(stream, dtype, (servers, at)).await
            }
        })
        .await
    }

    /// Runs a recorded answer again and says whether the bits agree.
    pub async fn verify(
        &mut self,
        request: impl IntoRequest<VerifyRequest>,
    ) -> Result<VerifyResponse, Error> {
        self.sent(request.into_request(), |at, r| {
            let mut service = self.servers.all[at].inference.clone();
            async move { Ok(service.verify(r).await?.into_inner()) }
        })
        .await
    }

    /// Lists the resident models.
    pub async fn list_models(&mut self) -> Result<Vec<ModelInfo>, Error> {
        self.sent(Request::new(ListModelsRequest {}), |at, r| {
            let mut service = self.servers.all[at].models.clone();
            async move { Ok(service.list_models(r).await?.into_inner().models) }
        })
        .await
    }

    /// Returns one resident model; the first one where `model` is empty.
    pub async fn get_model(&mut self, model: &str) -> Result<ModelInfo, Error> {
        self.sent(
            Request::new(GetModelRequest {
                model: model.to_owned(),
            }),
            |at, r| {
                let mut service = self.servers.all[at].models.clone();
                async move {
                    Ok(service
                        .get_model(r)
                        .await?
                        .into_inner()
                        .model
                        .unwrap_or_default())
                }
            },
        )
        .await
    }

    /// Makes a model resident: progress, then the model. `place` is a folder of the server, a hub
    /// id, or `shapes`.
    pub async fn load_model(
        &mut self,
        request: LoadModelRequest,
    ) -> Result<Streaming<LoadModelResponse>, Error> {
        self.sent(Request::new(request), |at, r| {
            let mut service = self.servers.all[at].models.clone();
            async move { Ok(service.load_model(r).await?.into_inner()) }
        })
        .await
    }

    /// Takes a model away, waits for the requests that run on it, and returns the bytes that became
    /// free.
    pub async fn unload_model(&mut self, model: &str) -> Result<u64, Error> {
        self.sent(
            Request::new(UnloadModelRequest {
                model: model.to_owned(),
            }),
            |at, r| {
                let mut service = self.servers.all[at].models.clone();
                async move { Ok(service.unload_model(r).await?.into_inner().freed_bytes) }
            },
        )
        .await
    }

    /// Makes the projector in a file of the server resident under `name`.
    pub async fn load_projector(
        &mut self,
        model: &str,
        name: &str,
        file: &str,
    ) -> Result<ModelInfo, Error> {
        let (model, name, file) = (model.to_owned(), name.to_owned(), file.to_owned());
        self.sent(
            Request::new(LoadProjectorRequest { model, name, file }),
            |at, r| {
                let mut service = self.servers.all[at].models.clone();
                async move {
                    Ok(service
                        .load_projector(r)
                        .await?
                        .into_inner()
                        .model
                        .unwrap_or_default())
                }
            },
        )
        .await
    }

    /// Runs the golden set of a model: cases as they are compared, then the report.
    pub async fn check_parity(
        &mut self,
        model: &str,
    ) -> Result<Streaming<CheckParityResponse>, Error> {
        self.sent(
            Request::new(CheckParityRequest {
                model: model.to_owned(),
            }),
            |at, r| {
                let mut service = self.servers.all[at].models.clone();
                async move { Ok(service.check_parity(r).await?.into_inner()) }
            },
        )
        .await
    }

    /// Lists the named places in a model's forward pass.
    pub async fn list_hook_points(&mut self, model: &str) -> Result<Vec<HookPoint>, Error> {
        self.sent(
            Request::new(ListHookPointsRequest {
                model: model.to_owned(),
            }),
            |at, r| {
                let mut service = self.servers.all[at].models.clone();
                async move { Ok(service.list_hook_points(r).await?.into_inner().hook_points) }
            },
        )
        .await
    }
}

/// Makes a prompt of a question about pictures, given as the bytes of their files.
pub fn prompt(text: &str, images: impl IntoIterator<Item = Vec<u8>>) -> Prompt {
    Prompt {
        text: text.to_owned(),
        images: images.into_iter().map(image).collect(),
        ..Prompt::default()
    }
}

/// Makes a picture of the bytes of its file: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM.
pub fn image(data: Vec<u8>) -> Image {
    Image {
        source: Some(Source::Data(data)),
    }
}
