//! ModelService: what is resident and what it can do.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::rpc::{self, ResponseStream};
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
    /// Answers with what `make` makes of the model that is asked for.
    fn answer<Q, A>(
        &self,
        request: &Request<Q>,
        name: &str,
        make: impl FnOnce(&Model) -> A,
    ) -> Result<Response<A>, Status> {
        let context = rpc::context(request);
        let model = self.0.resident(&context, name);
        let model = model.map_err(|e| self.0.status(&context, &e))?;
        Ok(Response::new(make(&model)))
    }
}

#[tonic::async_trait]
impl v1::model_service_server::ModelService for Models {
    type LoadModelStream = ResponseStream<v1::LoadModelResponse>;

    async fn load_model(
        &self,
        request: Request<v1::LoadModelRequest>,
    ) -> Result<Response<Self::LoadModelStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let loading = residency::begin(state, request.into_inner())
            .map_err(|e| state.status(&context, &e))?;
        Ok(state.respond_with_stream(context.clone(), 64, |sender| {
            residency::load(state.clone(), context, loading, sender)
        }))
    }

    async fn unload_model(
        &self,
        request: Request<v1::UnloadModelRequest>,
    ) -> Result<Response<v1::UnloadModelResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let work = residency::unload(state, request.into_inner());
        state.respond(&context, work).await
    }

    async fn load_projector(
        &self,
        request: Request<v1::LoadProjectorRequest>,
    ) -> Result<Response<v1::LoadProjectorResponse>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let work = residency::load_projector(state, request.into_inner());
        state.respond(&context, work).await
    }

    type CheckParityStream = ResponseStream<v1::CheckParityResponse>;

    async fn check_parity(
        &self,
        request: Request<v1::CheckParityRequest>,
    ) -> Result<Response<Self::CheckParityStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let begun = state.resident(&context, &request.into_inner().model);
        let begun = begun.and_then(|model| Ok((parity::goldens(&model)?, model)));
        let (goldens, model) = begun.map_err(|e| state.status(&context, &e))?;
        Ok(state.respond_with_stream(context, 16, |sender| {
            parity::check(state.clone(), model, goldens, sender)
        }))
    }

    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let models = self.0.models.all().iter().map(|m| self.0.info(m)).collect();
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        self.answer(&request, &request.get_ref().model, |model| {
            v1::GetModelResponse {
                model: Some(self.0.info(model)),
            }
        })
    }

    async fn list_hook_points(
        &self,
        request: Request<v1::ListHookPointsRequest>,
    ) -> Result<Response<v1::ListHookPointsResponse>, Status> {
        self.answer(&request, &request.get_ref().model, |model| {
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
