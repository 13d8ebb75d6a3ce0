//! ModelService on the wire: what is resident, what it can do, and how it comes and goes.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;

use super::rpc::{self, ResponseSender, ResponseStream};
use super::v1::{self, check_parity_response, load_model_response, model_service_server};
use super::{Error, State, convert};
use crate::model::Origin;
use crate::pipeline::{LoadProgress, LoadRequest, ParityCheck, RequestContext};

/// Answers the rpcs of models.
#[derive(Debug, Clone)]
pub struct Models(pub Arc<State>);

#[tonic::async_trait]
impl model_service_server::ModelService for Models {
    type LoadModelStream = ResponseStream<v1::LoadModelResponse>;

    async fn load_model(
        &self,
        request: Request<v1::LoadModelRequest>,
    ) -> Result<Response<Self::LoadModelStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let message = request.into_inner();
        // Before any check: the audit log has a refused call as it was asked.
        asks(
            &context,
            &[
                ("name", &message.name),
                ("place", &message.place),
                ("adapter", &message.adapter),
                ("device", &message.device),
            ],
        );
        let load = load_request(state, &context, message);
        let load = load.map_err(|e| state.status(&context, &e))?;
        // Progress comes in bursts, which a small buffer would drop.
        Ok(state.respond_with_stream(context.clone(), 64, |sender| {
            load_model(state.clone(), context, load, sender)
        }))
    }

    async fn unload_model(
        &self,
        request: Request<v1::UnloadModelRequest>,
    ) -> Result<Response<v1::UnloadModelResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        asks(&context, &[("model", &request.get_ref().model)]);
        let work = unload_model(state.clone(), context.clone(), request.into_inner());
        state.respond(&context, work).await
    }

    async fn load_projector(
        &self,
        request: Request<v1::LoadProjectorRequest>,
    ) -> Result<Response<v1::LoadProjectorResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let message = request.get_ref();
        asks(
            &context,
            &[
                ("model", &message.model),
                ("name", &message.name),
                ("file", &message.file),
            ],
        );
        let work = load_projector(state.clone(), context.clone(), request.into_inner());
        state.respond(&context, work).await
    }

    type CheckParityStream = ResponseStream<v1::CheckParityResponse>;

    async fn check_parity(
        &self,
        request: Request<v1::CheckParityRequest>,
    ) -> Result<Response<Self::CheckParityStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        asks(&context, &[("model", &request.get_ref().model)]);
        let begun = begin_parity(state, &context, &request.get_ref().model);
        let (report, check) = begun.map_err(|e| state.status(&context, &e))?;
        Ok(state.respond_with_stream(context, 16, |sender| {
            check_parity(state.clone(), report, check, sender)
        }))
    }

    async fn list_models(
        &self,
        request: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        // A key sees the models that it may ask, as if there were no others.
        let models = self.0.models.open_to(&rpc::context(&request));
        let models = models.iter().map(|m| convert::model_info(&self.0, m));
        Ok(Response::new(v1::ListModelsResponse {
            models: models.collect(),
        }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let model = state.models.resident(&context, &request.get_ref().model);
        let model = model.map_err(|e| state.status(&context, &e.into()))?;
        Ok(Response::new(v1::GetModelResponse {
            model: Some(convert::model_info(state, &model)),
        }))
    }

    async fn list_hook_points(
        &self,
        request: Request<v1::ListHookPointsRequest>,
    ) -> Result<Response<v1::ListHookPointsResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let model = state.models.resident(&context, &request.get_ref().model);
        let model = model.map_err(|e| state.status(&context, &e.into()))?;
        Ok(Response::new(v1::ListHookPointsResponse {
            hook_points: convert::hook_points(&model),
        }))
    }
}

impl State {
    /// Fails where the server was started without leave to load, or the caller has none for a model
    /// of that name.
    fn check_may_load(&self, context: &RequestContext, model: &str) -> Result<(), Error> {
        if !self.models.placement().open {
            return Err(Error::Closed);
        }
        // Without keys everybody may, as far as `--allow-load` goes.
        match &context.account {
            Some(account) if !account.may_load(model) => Err(Error::NotAdmin {
                what: format!("load or unload {:?}", clipped(model)),
            }),
            _ => Ok(()),
        }
    }

    /// Tells the health service, which knows each model by this name.
    async fn announce(&self, model: &str, status: ServingStatus) {
        let name = format!("model/{model}");
        self.health.set_service_status(name, status).await;
    }
}

/// Says in the audit log what an admin asks for, as one line whatever the client has sent.
fn asks(context: &RequestContext, fields: &[(&str, &str)]) {
    let said = fields.iter().filter(|(_, value)| !value.is_empty());
    let said = said.map(|(name, value)| format!("{name}={:?}", clipped(value)));
    context
        .metrics
        .set_asked(said.collect::<Vec<_>>().join(" "));
}

/// Returns the beginning of a text that a client made up.
fn clipped(text: &str) -> String {
    // A line of the log has an end, whatever a client sends.
    text.chars().take(200).collect()
}

/// Checks a request to load: leave first, since whoever may not load learns nothing of what is on
/// the server's disks. Returns it with its name and its places filled in, too, as it is remembered.
fn load_request(
    state: &State,
    context: &RequestContext,
    mut message: v1::LoadModelRequest,
) -> Result<(v1::LoadModelRequest, LoadRequest), Error> {
    // First, since a key may be for some names alone.
    if message.name.is_empty() {
        message.name = Origin::default_name(&message.place);
    }
    state.check_may_load(context, &message.name)?;
    let message = convert::placed(&state.models.placement().places, message)?;
    Ok((message.clone(), convert::load_request(message)?))
}

/// Does `work` in a task of its own: what changes the models and has begun ends well even where the
/// client leaves. The context keeps the server up as long.
async fn to_the_end<A: Send + 'static>(
    context: RequestContext,
    work: impl Future<Output = Result<A, Error>> + Send + 'static,
) -> Result<A, Error> {
    let task = tokio::spawn(async move {
        let _context = context;
        work.await
    });
    task.await.unwrap_or_else(|e| Err(Error::fault(e)))
}

/// Loads a model and sends how far it has come, then the model.
async fn load_model(
    state: Arc<State>,
    context: RequestContext,
    (message, request): (v1::LoadModelRequest, LoadRequest),
    sender: ResponseSender<v1::LoadModelResponse>,
) -> Result<(), Error> {
    let (worker, progress) = (state.clone(), sender.clone());
    let model = to_the_end(context.clone(), async move {
        let runtime = worker.runtime.clone();
        let load = move || runtime.load_model(request, &|done| report(&progress, done));
        let model = tokio::task::spawn_blocking(load)
            .await
            .map_err(Error::fault)??;
        // Before it is told, so that what was answered is there after a restart.
        worker.remember_model(message, &model).await;
        worker.announce(&model.name, ServingStatus::Serving).await;
        // The log has the name that it was loaded under, which the message may leave out.
        context.metrics.set_model(&model.name);
        Ok(model)
    });
    let model = model.await?;
    let info = convert::model_info(&state, &model);
    let event = Some(load_model_response::Event::Model(info));
    sender.send(v1::LoadModelResponse { event }).await
}

/// Reports how far a load has come. A slow client misses some of it.
fn report(sender: &ResponseSender<v1::LoadModelResponse>, progress: LoadProgress<'_>) {
    let event = load_model_response::Event::Progress(v1::LoadProgress {
        file: progress.file.into(),
        done: progress.done,
        total: progress.total,
    });
    sender.send_if_room(v1::LoadModelResponse { event: Some(event) });
}

/// Takes a model away, and answers once the last request that runs on it has ended.
async fn unload_model(
    state: Arc<State>,
    context: RequestContext,
    request: v1::UnloadModelRequest,
) -> Result<v1::UnloadModelResponse, Error> {
    state.check_may_load(&context, &request.model)?;
    let unloading = to_the_end(context, async move {
        // From here on no new request finds it, whether or not the client waits for the end.
        let unloading = state.unload_model(&request.model)?;
        let name = unloading.name().to_owned();
        state.forget_model(&name).await;
        state.announce(&name, ServingStatus::NotServing).await;
        Ok(unloading)
    });
    let unloading = unloading.await?;
    Ok(v1::UnloadModelResponse {
        freed_bytes: unloading.finish().await,
    })
}

/// Makes one more projector of a model resident.
async fn load_projector(
    state: Arc<State>,
    context: RequestContext,
    request: v1::LoadProjectorRequest,
) -> Result<v1::LoadProjectorResponse, Error> {
    state.check_may_load(&context, &request.model)?;
    let model = state.models.resident(&context, &request.model)?;
    let info = to_the_end(context, async move {
        let v1::LoadProjectorRequest { name, file, .. } = request.clone();
        let (runtime, of) = (state.runtime.clone(), model.clone());
        // On a thread of its own: it reads a file and digests it. It holds the file against
        // `--model-root`; what is remembered is what it has allowed.
        let load = move || runtime.load_projector(&of, &name, &file);
        let loaded = tokio::task::spawn_blocking(load).await;
        let file = loaded.map_err(Error::fault)??;
        let request = v1::LoadProjectorRequest { file, ..request };
        state.remember_projector(&model.name, request).await;
        Ok(convert::model_info(&state, &model))
    });
    Ok(v1::LoadProjectorResponse {
        model: Some(info.await?),
    })
}

/// Opens the golden set of a model, and begins the report on it.
fn begin_parity(
    state: &State,
    context: &RequestContext,
    name: &str,
) -> Result<(v1::ParityReport, ParityCheck), Error> {
    // It takes the engine for as long as all its cases take.
    if context
        .account
        .as_ref()
        .is_some_and(|account| !account.grant.admin)
    {
        let what = "check parity".into();
        return Err(Error::NotAdmin { what });
    }
    let model = state.models.resident(context, name)?;
    let report = convert::empty_parity_report(&model);
    // The pipeline knows no messages, and is handed what reads the interventions of a case.
    let check = ParityCheck::open(context.clone(), model, super::interventions_from_json)?;
    Ok((report, check))
}

/// Compares every case and sends what was found, then the whole.
async fn check_parity(
    state: Arc<State>,
    report: v1::ParityReport,
    mut check: ParityCheck,
    sender: ResponseSender<v1::CheckParityResponse>,
) -> Result<(), Error> {
    while let Some(case) = check.next(&state.runtime).await? {
        let event = check_parity_response::Event::Case(convert::parity_case(case));
        let event = Some(event);
        sender.send(v1::CheckParityResponse { event }).await?;
    }
    let report = convert::parity_report(report, check.finish());
    // Before it is told, as of a load: what was answered is there after a restart.
    state.remember_parity(report.clone()).await;
    let event = Some(check_parity_response::Event::Report(report));
    sender.send(v1::CheckParityResponse { event }).await
}
