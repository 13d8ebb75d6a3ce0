//! The record of a run, from which it can be repeated.

use super::prepare::{Scene, Words};
use super::v1;
use crate::model::{ImageTokens, Model, Place};
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
        layout: layout(scene, &words.ids),
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

/// Runs of text and of visual tokens of one kind in the language model's input.
fn layout(scene: &Scene, ids: &[u32]) -> Vec<v1::Span> {
    let mut spans: Vec<v1::Span> = Vec::new();
    let mut push = |mut span: v1::Span, length: usize| {
        span.start = spans.last().map_or(0, |s| s.end);
        span.end = span.start + length as u32;
        spans.push(span);
    };
    let mut images = scene.images.iter().enumerate();
    let mut rest = ids;
    while let Some(&first) = rest.first() {
        let is_image = |id: &u32| *id == scene.model.image_token;
        let length = rest.iter().take_while(|id| is_image(id) == is_image(&first)).count();
        let (run, after) = rest.split_at(length);
        rest = after;
        if !is_image(&first) {
            push(v1::Span { kind: v1::SpanKind::Text.into(), ..Default::default() }, run.len());
            continue;
        }
        let mut left = run.len();
        while left > 0 {
            let Some((image, tokens)) = images.next() else { return spans };
            for run in tokens.places.chunk_by(same_span) {
                push(span(image, tokens, run[0]), run.len());
            }
            left = left.saturating_sub(tokens.len());
        }
    }
    spans
}

/// Whether two neighbours stand in one span: a whole base view, a row of one tile, a newline.
fn same_span(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Base { .. } | Place::Class, Place::Base { .. }) => true,
        (Place::Canvas { tile, row, .. }, Place::Canvas { tile: next, row: below, .. }) => (tile, row) == (next, below),
        _ => false,
    }
}

fn span(image: usize, tokens: &ImageTokens, first: Place) -> v1::Span {
    let (kind, grid, tile, row, column) = match first {
        Place::Class | Place::Base { .. } => (v1::SpanKind::BaseView, tokens.base, 0, 0, 0),
        Place::Canvas { tile, row, column } => (v1::SpanKind::Tile, tokens.canvas, tile, row, column),
        Place::Newline => (v1::SpanKind::Newline, (0, 0), 0, 0, 0),
    };
    v1::Span {
        kind: kind.into(),
        image: image as u32,
        grid_rows: grid.0 as u32,
        grid_columns: grid.1 as u32,
        tile: tile as u32,
        row: row as u32,
        column: column as u32,
        ..Default::default()
    }
}
