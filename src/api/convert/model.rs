//! Resident models and their parity to messages, and requests to load.

use crate::api::{Error, State, v1};
use crate::field_path::shown;
use crate::intervention;
use crate::model::{
    self, ChatTemplate, DecoderConfig, Model, SaeActivation, SparseAutoencoder, TowerInfo,
};
use crate::nn::{HookRow, Point, Stack};
use crate::pipeline::{LoadOptions, LoadRequest, ParityCase, ParityReport, Places, PointParity};
use crate::vision::ProcessorBackend;
use crate::weights::WeightFormat;

/// Returns a request to load whose places are those of the files, as far as `places` allows them.
pub(in crate::api) fn placed(
    places: &Places,
    mut message: v1::LoadModelRequest,
) -> Result<v1::LoadModelRequest, Error> {
    message.place = places.place("place", &message.place)?;
    if !message.adapter.is_empty() {
        message.adapter = places.place("adapter", &message.adapter)?;
    }
    // By name, or a file.
    let template = &message.chat_template;
    if !template.is_empty() && !ChatTemplate::is_named(template) {
        message.chat_template = places.file("chat_template", template)?;
    }
    Ok(message)
}

/// Converts a request to load, whose name and places are filled in.
pub(in crate::api) fn load_request(message: v1::LoadModelRequest) -> Result<LoadRequest, Error> {
    let invalid = |field: &'static str| move |e: String| Error::invalid(field, e);
    let origin = message.place.parse().map_err(invalid("place"))?;
    // A text that was not sent is empty.
    let adapter = Some(message.adapter.as_str()).filter(|place| !place.is_empty());
    let adapter = adapter.map(|place| place.parse().map_err(invalid("adapter")));
    let template = Some(message.chat_template.as_str()).filter(|name| !name.is_empty());
    let template = template.map(|name| name.parse().map_err(invalid("chat_template")));
    let processor = ProcessorBackend::parse(&message.image_processor);
    Ok(LoadRequest {
        name: message.name,
        origin,
        adapter: adapter.transpose()?,
        options: LoadOptions {
            device: message.device,
            chat_template: template.transpose()?,
            image_processor: processor.map_err(invalid("image_processor"))?,
            dtype: dtype_by_name(&message.dtype)?,
        },
    })
}

fn dtype_by_name(name: &str) -> Result<Option<WeightFormat>, Error> {
    if name.is_empty() {
        return Ok(None);
    }
    let format = WeightFormat::parse(name).ok_or_else(|| {
        let valid = WeightFormat::NAMES.map(|(name, _)| name).join(", ");
        Error::invalid("dtype", format!("{}; {valid} or empty", shown(name)))
    })?;
    Ok(Some(format))
}

/// Converts what is said of a resident model.
pub(in crate::api) fn model_info(state: &State, model: &Model) -> v1::ModelInfo {
    let (tower, decoder) = (model.tower.info(), model.decoder.config());
    // Pictures of other shapes may have other grids; what is told is that of a square.
    let square = model.tower.view((tower.image_size, tower.image_size));
    // As Hugging Face counts them: entry 0 holds the embeddings, -1 is the output of the last
    // layer.
    let feature_layer = |entry: usize| entry as i32 - tower.layers as i32 - 1;
    v1::ModelInfo {
        name: model.name.clone(),
        family: model.family.name().into(),
        digest: model.digest.clone(),
        dtype: model.weight_format().name().into(),
        device: model.device.to_string(),
        resident_bytes: model.resident_bytes,
        parameters: model.parameters,
        vision_tower: Some(tower_info(tower)),
        language_model: Some(decoder_info(decoder)),
        // One number cannot say several; `vision_feature_layers` has them.
        vision_feature_layer: if tower.features.len() == 1 {
            feature_layer(tower.layers_run())
        } else {
            0
        },
        vision_feature_layers: tower
            .features
            .iter()
            .map(|&entry| feature_layer(entry))
            .collect(),
        vision_feature_select_strategy: tower.strategy.name().into(),
        image_size: tower.image_size as u32,
        patch_grid: square.grid.0 as u32,
        vocabulary: decoder.vocab_size as u32,
        projectors: model.projector_names(),
        limits: Some(v1::Limits {
            max_context: decoder.max_position_embeddings as u32,
            max_images: state.limits.images as u32,
            max_image_pixels: state.limits.image_pixels,
            max_message_bytes: state.limits.message_bytes as u64,
            max_capture_bytes: state.limits.capture_bytes,
        }),
        interventions: intervention::NAMES
            .iter()
            .map(ToString::to_string)
            .collect(),
        adapters: model.source.adapters(),
        generation_config: model.generation.to_json(),
        saliency_models: state
            .saliency_models()
            .iter()
            .map(|m| m.name.clone())
            .collect(),
        chat_template: model.chat.as_ref().map(|chat| v1::ChatTemplateInfo {
            origin: chat.origin(),
            text_only: chat.is_text_only(),
        }),
        image_processor: model.processor.backend.name().into(),
        saes: saes(model),
        lenses: lenses(model),
        text_model_type: model.decoder.config().model_type.clone(),
    }
}

fn saes(model: &Model) -> Vec<v1::SaeInfo> {
    let all = model.sparse_autoencoders().into_iter();
    all.map(|(name, sae)| sae_info(name, &sae)).collect()
}

fn lenses(model: &Model) -> Vec<v1::LensInfo> {
    let all = model.tuned_lenses().into_iter();
    let infos = all.map(|(name, lens)| v1::LensInfo {
        name,
        layers: lens.layers() as u32,
        digest: lens.digest().to_owned(),
    });
    infos.collect()
}

fn sae_info(name: String, sae: &SparseAutoencoder) -> v1::SaeInfo {
    use v1::sae_info::Activation;
    let (activation, k) = match sae.activation() {
        SaeActivation::Relu => (Activation::Relu, 0),
        SaeActivation::TopK(k) => (Activation::TopK, k),
        SaeActivation::JumpRelu => (Activation::JumpRelu, 0),
        SaeActivation::BatchTopK => (Activation::BatchTopK, 0),
        SaeActivation::Gated => (Activation::Gated, 0),
    };
    v1::SaeInfo {
        name,
        hook_point: sae.point().to_string(),
        features: sae.features() as u32,
        width: sae.width() as u32,
        activation: activation.into(),
        k: k as u32,
        class_name: sae.class().to_owned(),
        prefixes: sae.prefixes().iter().map(|&size| size as u32).collect(),
        transcoder: !sae.reconstructs(),
        digest: sae.digest().to_owned(),
        bytes: sae.bytes(),
    }
}

fn tower_info(tower: &TowerInfo) -> v1::StackInfo {
    v1::StackInfo {
        layers: tower.layers as u32,
        width: tower.width as u32,
        heads: tower.heads as u32,
        // Towers share no keys and values among heads.
        kv_heads: tower.heads as u32,
        layers_run: tower.layers_run() as u32,
    }
}

fn decoder_info(decoder: &DecoderConfig) -> v1::StackInfo {
    v1::StackInfo {
        layers: decoder.num_hidden_layers as u32,
        width: decoder.hidden_size as u32,
        heads: decoder.num_attention_heads as u32,
        kv_heads: decoder.kv_heads() as u32,
        layers_run: decoder.num_hidden_layers as u32,
    }
}

/// Converts the table of hook points, with the shapes that they have in `model`.
pub(in crate::api) fn hook_points(model: &Model) -> Vec<v1::HookPoint> {
    model
        .hook_points()
        .map(|row| hook_point(model, row))
        .collect()
}

fn hook_point(model: &Model, row: &HookRow) -> v1::HookPoint {
    let layers = match row.stack {
        _ if !row.per_layer() => 0,
        Stack::VisionTower => model.tower.info().layers_run(),
        Stack::LanguageModel => model.decoder.config().num_hidden_layers,
        Stack::Projector => 0,
    };
    // Layers of a stack have the same shape: the point without one stands for all.
    let point = Point {
        stack: row.stack,
        layer: None,
        site: row.site,
    };
    // 0 keys: attention is as wide as a prompt, which is not known here.
    let shape = model::shape_of(model, point, 0);
    v1::HookPoint {
        name: row.name.into(),
        layers: layers as u32,
        equation: row.equation.into(),
        shape: row.shape.into(),
        width: shape.width as u32,
        heads: shape.heads.unwrap_or(0) as u32,
    }
}

/// Returns the report on a model of which no case has run yet.
pub(in crate::api) fn empty_parity_report(model: &Model) -> v1::ParityReport {
    v1::ParityReport {
        model: model.name.clone(),
        model_digest: model.digest.clone(),
        dtype: model.weight_format().name().into(),
        device: model.device.to_string(),
        ..v1::ParityReport::default()
    }
}

/// Converts one case of a parity check.
pub(in crate::api) fn parity_case(case: ParityCase) -> v1::ParityCase {
    v1::ParityCase {
        name: case.name,
        done: case.done as u32,
        total: case.total as u32,
        max_relative_error: case.max_relative_error,
        worst_hook_point: case.worst_hook_point,
        same_tokens: case.same_tokens,
    }
}

/// Fills what a parity check has found into `report`.
pub(in crate::api) fn parity_report(
    report: v1::ParityReport,
    found: ParityReport,
) -> v1::ParityReport {
    v1::ParityReport {
        reference: found.reference,
        tolerance: found.tolerance,
        max_relative_error: found.max_relative_error,
        passed: found.passed,
        points: found.points.into_iter().map(point_parity).collect(),
        other_tokens: found.other_tokens,
        ..report
    }
}

fn point_parity(point: PointParity) -> v1::PointParity {
    v1::PointParity {
        name: point.name,
        values: point.values,
        max_relative_error: point.max_relative_error,
        worst_case: point.worst_case,
    }
}
