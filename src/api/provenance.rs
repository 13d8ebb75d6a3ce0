//! The record of a run, from which it can be repeated.

use super::prepare::{Scene, Words};
use super::v1;
use crate::model::Model;
use crate::telemetry;

/// What ran, but for what came out.
pub(super) fn begin(scene: &Scene, words: &Words, sampling: Option<v1::Sampling>, sample_key: &str) -> v1::Provenance {
    let model = &scene.model;
    v1::Provenance {
        server_version: telemetry::VERSION.into(),
        model: model.name.clone(),
        model_digest: model.digest.clone(),
        dtype: model.dtype.as_str().into(),
        device: device_name(model),
        image_digests: scene.image_digests.clone(),
        preprocessing: serde_json::to_value(&model.processor).map(|v| v.to_string()).unwrap_or_default(),
        prompt_text: words.text.clone(),
        layout: layout(model, &words.ids),
        plan: plan(scene),
        sampling,
        sample_key: sample_key.into(),
        output_digest: String::new(),
        digest: String::new(),
    }
}

/// Closes the record over `output`: the tokens generated as little-endian u32, or the scores as little-endian f64.
pub(super) fn close(mut record: v1::Provenance, output: &[u8]) -> v1::Provenance {
    record.output_digest = blake3::hash(output).to_hex().to_string();
    // Keys of a JSON value are sorted, so this is one text for one record.
    let canonical = serde_json::to_value(&record).map(|v| v.to_string()).unwrap_or_default();
    record.digest = blake3::hash(canonical.as_bytes()).to_hex().to_string();
    record
}

pub(super) fn device_name(model: &Model) -> String {
    match model.device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// The resolved interventions.
pub(super) fn plan(scene: &Scene) -> Vec<v1::ResolvedIntervention> {
    scene
        .interventions
        .iter()
        .zip(&scene.plan.resolved)
        .map(|(message, resolved)| v1::ResolvedIntervention {
            intervention: Some(message.clone()),
            resolutions: resolved
                .resolutions
                .iter()
                .map(|r| v1::Resolution { image: r.image as u32, indices: r.indices.clone(), digest: r.digest.clone() })
                .collect(),
            changed_nothing: resolved.changed_nothing,
        })
        .collect()
}

/// Runs of text and pictures in the language model's input.
fn layout(model: &Model, ids: &[u32]) -> Vec<v1::Span> {
    let tokens = model.tower.tokens();
    let side = model.tower.config().grid() as u32;
    let mut spans: Vec<v1::Span> = Vec::new();
    let mut images = 0;
    for run in ids.chunk_by(|a, b| (*a == model.image_token) == (*b == model.image_token)) {
        let start = spans.last().map_or(0, |s| s.end);
        if run[0] != model.image_token {
            let end = start + run.len() as u32;
            spans.push(v1::Span { kind: v1::SpanKind::Text.into(), start, end, ..Default::default() });
            continue;
        }
        for picture in run.chunks(tokens) {
            let start = spans.last().map_or(0, |s| s.end);
            spans.push(v1::Span {
                kind: v1::SpanKind::BaseView.into(),
                start,
                end: start + picture.len() as u32,
                image: images,
                grid_rows: side,
                grid_columns: side,
            });
            images += 1;
        }
    }
    spans
}
