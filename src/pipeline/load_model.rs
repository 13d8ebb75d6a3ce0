//! ModelService.LoadModel, UnloadModel and LoadProjector.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;
use tonic_health::ServingStatus;

use super::rpc::ResponseSender;
use super::v1::{self, LoadModelResponse, load_model_response::Event};
use super::{Error, State};
use crate::model::{self, Model, Origin};
use crate::pipeline::RequestContext;
use crate::pipeline::{self, LoadOptions};
use crate::vision::ProcessorBackend;

impl State {
    /// Fails where the server was started without leave to load.
    pub(super) fn may_load(&self) -> Result<(), Error> {
        if self.models.placement().open {
            Ok(())
        } else {
            Err(Error::Closed)
        }
    }

    /// The health service knows each model by this name.
    pub(super) async fn announce(&self, model: &str, status: ServingStatus) {
        self.health
            .set_service_status(format!("model/{model}"), status)
            .await;
    }
}

fn dtype(text: &str) -> Result<Option<DType>, Error> {
    match text {
        "" => Ok(None),
        "f32" => Ok(Some(DType::F32)),
        "bf16" => Ok(Some(DType::BF16)),
        "f16" => Ok(Some(DType::F16)),
        other => Err(Error::invalid(
            "dtype",
            format!("{other:?}; f32, bf16, f16 or empty"),
        )),
    }
}

type Sender = ResponseSender<LoadModelResponse>;

/// A request that was checked.
pub(super) struct Loading {
    name: String,
    origin: Origin,
    adapter: Option<Origin>,
    options: LoadOptions,
}

/// Checks a request before anything is loaded.
pub(super) fn begin(state: &State, request: v1::LoadModelRequest) -> Result<Loading, Error> {
    state.may_load()?;
    let origin = request
        .place
        .parse()
        .map_err(|e: String| Error::invalid("place", e))?;
    let adapter = Some(&request.adapter).filter(|adapter| !adapter.is_empty());
    let adapter = adapter
        .map(|place| {
            place
                .parse()
                .map_err(|e: String| Error::invalid("adapter", e))
        })
        .transpose()?;
    let name = if request.name.is_empty() {
        Origin::default_name(&request.place)
    } else {
        request.name
    };
    let chosen = Some(request.chat_template.as_str()).filter(|t| !t.is_empty());
    let chat_template = chosen
        .map(str::parse)
        .transpose()
        .map_err(|e| Error::invalid("chat_template", e))?;
    let image_processor = ProcessorBackend::parse(&request.image_processor)
        .map_err(|e| Error::invalid("image_processor", e))?;
    let options = LoadOptions {
        device: request.device,
        dtype: dtype(&request.dtype)?,
        image_processor,
        chat_template,
    };
    Ok(Loading {
        name,
        origin,
        adapter,
        options,
    })
}

/// Loads a model and sends how far it has come, then the model.
pub(super) async fn load(
    state: Arc<State>,
    context: RequestContext,
    loading: Loading,
    sender: Sender,
) -> Result<(), Error> {
    let (worker, progress) = (state.clone(), sender.clone());
    // In a task of its own: a load that has begun ends well even where the client leaves. The
    // context keeps the server up as long.
    let loading = tokio::spawn(async move {
        let load = {
            let worker = worker.clone();
            move || loading.run(&worker, &progress)
        };
        let model = tokio::task::spawn_blocking(load)
            .await
            .map_err(Error::fault)??;
        worker.announce(&model.name, ServingStatus::Serving).await;
        context.metrics.set_model(&model.name);
        Ok(model)
    });
    let model = loading.await.unwrap_or_else(|e| Err(Error::fault(e)))?;
    let event = Some(Event::Model(state.info(&model)));
    sender.send(LoadModelResponse { event }).await
}

impl Loading {
    /// Fetches what is not there and loads it.
    fn run(self, state: &State, sender: &Sender) -> Result<Arc<Model>, Error> {
        let mut fetched = |file: &str, done, total| report(sender, file, done, total);
        let source = self
            .origin
            .fetch_with(self.adapter, &mut fetched)
            .map_err(pipeline::Error::load("place"))?;
        let loaded = |done, total| report(sender, "", done, total);
        let models = &state.models;
        Ok(models.load(&self.name, &source, &self.options, &loaded)?)
    }
}

/// Reports how far a file, or the tensors, have come. A slow client misses some of it.
fn report(sender: &Sender, file: &str, done: u64, total: u64) {
    let progress = v1::LoadProgress {
        file: file.into(),
        done,
        total,
    };
    let event = Some(Event::Progress(progress));
    sender.send_if_room(LoadModelResponse { event });
}

/// Takes a model away, and waits until the last request that runs on it has ended.
pub(super) async fn unload(
    state: &State,
    request: v1::UnloadModelRequest,
) -> Result<v1::UnloadModelResponse, Error> {
    state.may_load()?;
    if request.model.is_empty() {
        return Err(Error::invalid("model", "empty; say which model"));
    }
    let model = state.models.remove(&request.model)?;
    state.announce(&model.name, ServingStatus::NotServing).await;
    let (name, freed_bytes) = (model.name.clone(), model.resident_bytes);
    let released = model.lifetime.ended();
    drop(model);
    released.await;
    tracing::info!(model = name, "unloaded");
    Ok(v1::UnloadModelResponse { freed_bytes })
}

/// Makes one more projector of a model resident.
pub(super) async fn load_projector(
    state: &Arc<State>,
    request: v1::LoadProjectorRequest,
) -> Result<v1::LoadProjectorResponse, Error> {
    state.may_load()?;
    let model = state.models.get(&request.model)?;
    if request.name.is_empty() || request.name == model::DEFAULT_PROJECTOR {
        return Err(Error::invalid(
            "name",
            format!("{:?}; a name other than default is needed", request.name),
        ));
    }
    if !Path::new(&request.file).is_file() {
        return Err(Error::invalid(
            "file",
            format!("{:?} is no file of the server", request.file),
        ));
    }
    let loading = model.clone();
    let load = move || loading.add_projector(&request.name, Path::new(&request.file));
    tokio::task::spawn_blocking(load)
        .await
        .map_err(Error::fault)?
        .map_err(pipeline::Error::load("file"))?;
    Ok(v1::LoadProjectorResponse {
        model: Some(state.info(&model)),
    })
}
