//! ModelService: what is resident and what it can do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::observe::Observation;
use super::{State, parity, residency, v1};
use crate::intervention;
use crate::model::{Model, device_name};
use crate::nn::{HOOK_TABLE, HookRow, Point, Stack};

/// The service.
#[derive(Debug, Clone)]
pub struct Models(pub Arc<State>);

impl State {
    /// What is said of a resident model.
    pub(super) fn info(&self, model: &Model) -> v1::ModelInfo {
        let (tower, decoder) = (&model.tower, model.decoder.config());
        let vision = tower.config();
        let feature_layer = |entry: usize| entry as i32 - vision.num_hidden_layers as i32 - 1;
        v1::ModelInfo {
            name: model.name.clone(),
            family: model.family.model_type().into(),
            digest: model.digest.clone(),
            dtype: model.dtype.as_str().into(),
            device: device_name(&model.device),
            resident_bytes: model.resident_bytes,
            parameters: model.parameters,
            vision_tower: Some(v1::StackInfo {
                layers: vision.num_hidden_layers as u32,
                width: vision.hidden_size as u32,
                heads: vision.num_attention_heads as u32,
                kv_heads: vision.num_attention_heads as u32,
                layers_run: tower.feature_layers() as u32,
            }),
            language_model: Some(v1::StackInfo {
                layers: decoder.num_hidden_layers as u32,
                width: decoder.hidden_size as u32,
                heads: decoder.num_attention_heads as u32,
                kv_heads: decoder.kv_heads() as u32,
                layers_run: decoder.num_hidden_layers as u32,
            }),
            vision_feature_layer: if tower.features().len() == 1 {
                feature_layer(tower.feature_layers())
            } else {
                0
            },
            vision_feature_layers: tower
                .features()
                .iter()
                .map(|&entry| feature_layer(entry))
                .collect(),
            vision_feature_select_strategy: tower.strategy().name().into(),
            image_size: vision.image_size as u32,
            patch_grid: vision.grid() as u32,
            vocabulary: decoder.vocab_size as u32,
            projectors: model.projector_names(),
            limits: Some(v1::Limits {
                max_context: decoder.max_position_embeddings as u32,
                max_images: self.limits.images as u32,
                max_image_pixels: self.limits.image_pixels,
                max_message_bytes: self.limits.message_bytes as u64,
                max_capture_bytes: self.limits.capture_bytes,
            }),
            interventions: intervention::NAMES
                .iter()
                .map(ToString::to_string)
                .collect(),
            adapters: model.source.adapters(),
            generation_config: model.generation.to_json(),
            saliency_models: self.saliency.iter().map(|m| m.name.clone()).collect(),
            chat_template: model.chat.as_ref().map(|chat| v1::ChatTemplateInfo {
                origin: chat.origin(),
                text_only: chat.is_text_only(),
            }),
            image_processor: model.processor.backend.name().into(),
        }
    }
}

impl Models {
    /// Answers with what `make` makes of the model that is asked for, and records the request.
    fn answer<T>(
        &self,
        method: &'static str,
        name: &str,
        make: impl FnOnce(&Model) -> T,
    ) -> Result<Response<T>, Status> {
        let mut observation = Observation::begin(method);
        let result = self
            .0
            .models
            .get(name)
            .map_err(|e| e.status("", Duration::ZERO))
            .map(|model| {
                observation.model(&model.name);
                Response::new(make(&model))
            });
        observation.result(&result);
        result
    }
}

#[tonic::async_trait]
impl v1::model_service_server::ModelService for Models {
    type LoadModelStream = ReceiverStream<Result<v1::LoadModelResponse, Status>>;

    async fn load_model(
        &self,
        request: Request<v1::LoadModelRequest>,
    ) -> Result<Response<Self::LoadModelStream>, Status> {
        let mut observation = Observation::begin("LoadModel");
        let loading = residency::begin(&self.0, request.into_inner()).map_err(|e| {
            let status = e.status("", Duration::ZERO);
            observation.end(status.code());
            status
        })?;
        let (sender, stream) = mpsc::channel(64);
        tokio::spawn(residency::load(
            self.0.clone(),
            observation,
            loading,
            sender,
        ));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn unload_model(
        &self,
        request: Request<v1::UnloadModelRequest>,
    ) -> Result<Response<v1::UnloadModelResponse>, Status> {
        let mut observation = Observation::begin("UnloadModel");
        let result = residency::unload(&self.0, request.into_inner()).await;
        let result = result
            .map(Response::new)
            .map_err(|e| e.status("", Duration::ZERO));
        observation.result(&result);
        result
    }

    async fn load_projector(
        &self,
        request: Request<v1::LoadProjectorRequest>,
    ) -> Result<Response<v1::LoadProjectorResponse>, Status> {
        let mut observation = Observation::begin("LoadProjector");
        let result = residency::load_projector(&self.0, request.into_inner()).await;
        let result = result
            .map(Response::new)
            .map_err(|e| e.status("", Duration::ZERO));
        observation.result(&result);
        result
    }

    type CheckParityStream = ReceiverStream<Result<v1::CheckParityResponse, Status>>;

    async fn check_parity(
        &self,
        request: Request<v1::CheckParityRequest>,
    ) -> Result<Response<Self::CheckParityStream>, Status> {
        let mut observation = Observation::begin("CheckParity");
        let begun = self
            .0
            .models
            .get(&request.into_inner().model)
            .and_then(|model| {
                observation.model(&model.name);
                Ok((model.clone(), parity::goldens(&model)?))
            });
        let (model, goldens) = begun.map_err(|e| {
            let status = e.status("", Duration::ZERO);
            observation.end(status.code());
            status
        })?;
        let (sender, stream) = mpsc::channel(16);
        tokio::spawn(parity::check(
            self.0.clone(),
            observation,
            model,
            goldens,
            sender,
        ));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let models = self.0.models.all().iter().map(|m| self.0.info(m)).collect();
        Observation::begin("ListModels").end(tonic::Code::Ok);
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let name = request.into_inner().model;
        self.answer("GetModel", &name, |model| v1::GetModelResponse {
            model: Some(self.0.info(model)),
        })
    }

    async fn list_hook_points(
        &self,
        request: Request<v1::ListHookPointsRequest>,
    ) -> Result<Response<v1::ListHookPointsResponse>, Status> {
        let name = request.into_inner().model;
        self.answer("ListHookPoints", &name, |model| {
            let layers = |row: &HookRow| match row.stack {
                _ if !row.per_layer() => 0,
                Stack::VisionTower => model.tower.feature_layers(),
                Stack::LanguageModel => model.decoder.config().num_hidden_layers,
                Stack::Projector => 0,
            };
            let point = |row: &HookRow| {
                let point = Point {
                    stack: row.stack,
                    layer: None,
                    site: row.site,
                };
                let shape = intervention::shape_of(model, point, 0);
                v1::HookPoint {
                    name: row.name.into(),
                    layers: layers(row) as u32,
                    equation: row.equation.into(),
                    shape: row.shape.into(),
                    width: shape.width as u32,
                    heads: shape.heads.unwrap_or(0) as u32,
                }
            };
            v1::ListHookPointsResponse {
                hook_points: HOOK_TABLE.iter().map(point).collect(),
            }
        })
    }
}
