//! The record of a run, from which it can be repeated.

use serde::Serialize;

use super::call::Ready;
use super::prepare::Scene;
use super::v1;
use crate::engine::Prefilled;
use crate::intervention::{Effect, Resolution};
use crate::model::{ImageTokens, Place, device_name};
use crate::telemetry;

/// A request as records hold it: `{"METHOD": request}` in canonical JSON.
pub(super) fn request(method: &str, request: &impl Serialize) -> String {
    canonical(&std::collections::BTreeMap::from([(method, request)]))
}

/// Takes a prompt out of a request and leaves there the same with its pictures by their handles.
pub(super) fn by_handles(prompt: &mut Option<v1::Prompt>) -> Option<v1::Prompt> {
    let named = prompt.as_ref().map(|prompt| {
        let handle = |image: &v1::Image| match &image.source {
            Some(v1::image::Source::Data(data)) => {
                let handle = blake3::hash(data).to_hex().to_string();
                v1::Image {
                    source: Some(v1::image::Source::Handle(handle)),
                }
            }
            _ => image.clone(),
        };
        let part = |part: &v1::ChatPart| match &part.part {
            Some(v1::chat_part::Part::Image(image)) => v1::ChatPart {
                part: Some(v1::chat_part::Part::Image(handle(image))),
            },
            _ => part.clone(),
        };
        let message = |message: &v1::ChatMessage| v1::ChatMessage {
            role: message.role,
            parts: message.parts.iter().map(part).collect(),
        };
        v1::Prompt {
            text: prompt.text.clone(),
            images: prompt.images.iter().map(handle).collect(),
            raw: prompt.raw,
            messages: prompt.messages.iter().map(message).collect(),
            multi_image: prompt.multi_image,
        }
    });
    std::mem::replace(prompt, named)
}

/// One text for one value: the keys of a JSON value are sorted.
pub(super) fn canonical(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .map(|v| v.to_string())
        .unwrap_or_default()
}

/// What ran, but for what came out.
pub(super) fn begin(
    scene: &Scene,
    request: String,
    sampling: Option<v1::Sampling>,
    sample_key: &str,
) -> v1::Provenance {
    let model = &scene.model;
    v1::Provenance {
        server_version: telemetry::VERSION.into(),
        model: model.name.clone(),
        model_digest: model.digest.clone(),
        dtype: model.dtype.as_str().into(),
        device: device_name(&model.device),
        image_digests: scene.image_digests.clone(),
        preprocessing: canonical(&model.processor),
        prompt_text: scene.text.text.clone(),
        template_time: scene
            .text
            .time
            .map(|time| time.to_string())
            .unwrap_or_default(),
        layout: layout(scene, &scene.prompt.ids),
        sampling,
        sample_key: sample_key.into(),
        request,
        ..v1::Provenance::default()
    }
}

/// Closes the record: what each intervention did, what came out on the way and at the end.
pub(super) fn close(
    mut record: v1::Provenance,
    ready: &Ready,
    prefilled: &Prefilled,
    effects: &[Effect],
    output: blake3::Hash,
) -> v1::Provenance {
    record.plan = plan(&ready.scene, effects, prefilled);
    record.stages = ready.stages(prefilled);
    record.output_digest = output.to_hex().to_string();
    record.digest = digest(&record);
    record
}

/// The digest of a record, whatever it says of itself.
pub(super) fn digest(record: &v1::Provenance) -> String {
    let rest = v1::Provenance {
        digest: String::new(),
        ..record.clone()
    };
    blake3::hash(canonical(&rest).as_bytes())
        .to_hex()
        .to_string()
}

/// The resolved interventions with what they did.
pub(super) fn plan(
    scene: &Scene,
    effects: &[Effect],
    prefilled: &Prefilled,
) -> Vec<v1::ResolvedIntervention> {
    let resolution = |r: &Resolution| v1::Resolution {
        image: r.image as u32,
        indices: r.indices.clone(),
        digest: r.digest.clone(),
        points: r.points.clone(),
        view: r.view as u32,
    };
    let one = |(i, message): (usize, &v1::Intervention)| {
        let resolved = scene.plan.resolved.get(i)?;
        let effect = effects.get(i).copied().unwrap_or_default();
        let mut resolutions: Vec<v1::Resolution> =
            resolved.resolutions.iter().map(resolution).collect();
        if let (Some(first), Some(pruned)) = (resolutions.first_mut(), prefilled.pruned.get(&i)) {
            first.indices.clone_from(pruned);
        }
        let unchanged = effect.sums.is_some_and(|(changed, _)| changed == 0.0);
        Some(v1::ResolvedIntervention {
            intervention: Some(message.clone()),
            resolutions,
            changed_nothing: resolved.changed_nothing || unchanged,
            fired: effect.fired,
            // Infinity and not-a-number have no place in JSON numbers.
            relative_change: effect.relative_change().filter(|c| c.is_finite()),
        })
    };
    scene
        .interventions
        .iter()
        .enumerate()
        .filter_map(one)
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
    let mut images = scene
        .plan
        .images
        .iter()
        .enumerate()
        .filter(|(_, tokens)| !tokens.is_empty());
    let mut rest = ids;
    while let Some(&first) = rest.first() {
        let is_image = |id: &u32| *id == scene.model.image_token;
        let length = rest
            .iter()
            .take_while(|id| is_image(id) == is_image(&first))
            .count();
        let (run, after) = rest.split_at(length);
        rest = after;
        if !is_image(&first) {
            push(
                v1::Span {
                    kind: v1::SpanKind::Text.into(),
                    ..Default::default()
                },
                run.len(),
            );
            continue;
        }
        let mut left = run.len();
        while left > 0 {
            let Some((image, tokens)) = images.next() else {
                return spans;
            };
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
        (Place::Base { .. } | Place::Class, Place::Base { .. })
        | (Place::Pooled, Place::Pooled) => true,
        (
            Place::Canvas { tile, row, .. },
            Place::Canvas {
                tile: next,
                row: below,
                ..
            },
        ) => (tile, row) == (next, below),
        _ => false,
    }
}

fn span(image: usize, tokens: &ImageTokens, first: Place) -> v1::Span {
    let (kind, grid, tile, row, column) = match first {
        Place::Class | Place::Base { .. } => (v1::SpanKind::BaseView, tokens.base, 0, 0, 0),
        Place::Canvas { tile, row, column } => {
            (v1::SpanKind::Tile, tokens.canvas, tile, row, column)
        }
        Place::Newline => (v1::SpanKind::Newline, (0, 0), 0, 0, 0),
        Place::Pooled => (v1::SpanKind::Pooled, (0, 0), 0, 0, 0),
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
