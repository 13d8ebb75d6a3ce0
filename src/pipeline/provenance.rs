//! Provenance: what ran and what came out, from which a run can be repeated.

use super::compile::CompiledRequest;
use super::record::{
    Provenance, ResolvedChoice, ResolvedIntervention, SpanKind, Stage, TokenSpan, canonical, digest,
};
use super::sampling::SamplingParams;
use crate::engine::{Prefilled, digest_of_digests};
use crate::intervention::{Effect, Resolution};
use crate::model::{ImageTokens, Place};
use crate::telemetry;

/// Holds what a record says of the request itself.
#[derive(Debug, Default)]
pub(super) struct RecordedRequest {
    /// The request in canonical JSON.
    pub(super) canonical: String,
    /// Tells samples that share a seed apart.
    pub(super) sample_key: String,
    /// The sampling parameters that held; `None` where nothing was sampled.
    pub(super) sampling: Option<SamplingParams>,
}

impl RecordedRequest {
    /// Writes the record of a request that has run: what ran, what each intervention did, what came
    /// out on the way and at the end.
    pub(super) fn close(
        self,
        compiled: &CompiledRequest,
        prefilled: &Prefilled,
        effects: &[Effect],
        output: blake3::Hash,
    ) -> Provenance {
        sealed(self.record((compiled, prefilled), effects, output))
    }

    /// Writes the record of a run that has taken activations of another one, `source`.
    pub(super) fn close_with_source(
        self,
        run: (&CompiledRequest, &Prefilled),
        effects: &[Effect],
        output: blake3::Hash,
        source: (&CompiledRequest, &Prefilled),
    ) -> Provenance {
        let mut record = self.record(run, effects, output);
        for digest in &source.0.input.image_digests {
            // Both inputs may show the same picture.
            if !record.image_digests.contains(digest) {
                record.image_digests.push(digest.clone());
            }
        }
        let stages = stages(source.0, source.1).into_iter();
        record.stages.extend(stages.map(|stage| Stage {
            name: format!("source_{}", stage.name),
            ..stage
        }));
        if record.template_time.is_empty() {
            let time = source.0.input.text.time.map(|time| time.to_string());
            record.template_time = time.unwrap_or_default();
        }
        sealed(record)
    }

    /// Returns the record of a run, without its digest.
    fn record(
        self,
        (compiled, prefilled): (&CompiledRequest, &Prefilled),
        effects: &[Effect],
        output: blake3::Hash,
    ) -> Provenance {
        let (model, input) = (&compiled.input.model, &compiled.input);
        let time = input.text.time.map(|time| time.to_string());
        Provenance {
            server_version: telemetry::VERSION.into(),
            model: model.name.clone(),
            model_digest: model.digest.clone(),
            dtype: model.weight_format().name().into(),
            device: model.device.to_string(),
            image_digests: input.image_digests.clone(),
            preprocessing: canonical(&model.processor),
            prompt_text: input.text.text.clone(),
            template_time: time.unwrap_or_default(),
            layout: layout(compiled),
            plan: plan(compiled, effects, prefilled),
            sampling: self.sampling,
            sample_key: self.sample_key,
            request: self.canonical,
            stages: stages(compiled, prefilled),
            output_digest: output.to_hex().to_string(),
            // Of all the rest, so it comes last.
            digest: String::new(),
        }
    }
}

/// Returns a record with its digest.
fn sealed(mut record: Provenance) -> Provenance {
    // A record is made of finite numbers and texts, which JSON has.
    record.digest = digest(serde_json::to_value(&record).unwrap_or_default());
    record
}

/// Returns the resolved interventions with what they did.
pub(super) fn plan(
    compiled: &CompiledRequest,
    effects: &[Effect],
    prefilled: &Prefilled,
) -> Vec<ResolvedIntervention> {
    let canonical = compiled.interventions.canonical().iter();
    canonical
        .zip(&compiled.plan.resolved)
        .enumerate()
        .map(|(i, (intervention, resolved))| {
            let effect = effects.get(i).copied().unwrap_or_default();
            let mut resolutions: Vec<ResolvedChoice> =
                resolved.resolutions.iter().map(choice).collect();
            // Which tokens a layer's attention prunes is known only once it has run.
            if let (Some(first), Some(pruned)) = (resolutions.first_mut(), prefilled.pruned.get(&i))
            {
                first.indices.clone_from(pruned);
            }
            // Of numbers that were compared: without any it is unknown, and not unchanged.
            let unchanged = effect.sums.is_some_and(|(changed, _)| changed == 0.0);
            ResolvedIntervention {
                intervention: intervention.clone(),
                resolutions,
                changed_nothing: resolved.changed_nothing || unchanged,
                fired: effect.fired,
                // Infinity and not-a-number have no place in JSON numbers.
                relative_change: effect.relative_change().filter(|c| c.is_finite()),
            }
        })
        .collect()
}

fn choice(resolution: &Resolution) -> ResolvedChoice {
    ResolvedChoice {
        image: resolution.image as u32,
        indices: resolution.indices.clone(),
        digest: resolution.digest.clone(),
        points: resolution.points.clone(),
        view: resolution.view as u32,
    }
}

/// Returns the stages of a record, all but the output.
fn stages(compiled: &CompiledRequest, prefilled: &Prefilled) -> Vec<Stage> {
    let ids = compiled.prompt.ids.iter();
    let ids: Vec<u8> = ids.flat_map(|id| id.to_le_bytes()).collect();
    let pixels = compiled.pixels_digests.iter();
    let pixels = pixels.map(|digest| digest.to_hex().to_string());
    let all = [
        ("pixels", digest_of_digests(pixels)),
        // Of ids: the text is in the record as it is, and would not show another tokenizer.
        ("prompt", blake3::hash(&ids).to_hex().to_string()),
        ("visual_tokens", prefilled.visual_tokens.clone()),
        ("logits", prefilled.logits.clone()),
    ];
    all.into_iter()
        .map(|(name, digest)| Stage {
            name: name.into(),
            digest,
        })
        .collect()
}

/// Returns the runs of text and of visual tokens of one kind in the language model's input.
fn layout(compiled: &CompiledRequest) -> Vec<TokenSpan> {
    let mut layout = Layout::default();
    // Pictures of which no token is left stand nowhere in the prompt.
    let mut images = compiled
        .plan
        .images
        .iter()
        .enumerate()
        .filter(|(_, tokens)| !tokens.is_empty());
    let image_token = compiled.input.model.image_token;
    // The prompt has the image's token once for each visual token.
    let same_kind = |a: &u32, b: &u32| (*a == image_token) == (*b == image_token);
    for run in compiled.prompt.ids.chunk_by(same_kind) {
        if run[0] != image_token {
            layout.push(TokenSpan::default(), run.len());
            continue;
        }
        // Pictures without a word between them are one run of image tokens.
        let mut left = run.len();
        while left > 0 {
            let Some((image, tokens)) = images.next() else {
                return layout.0;
            };
            for run in tokens.places.chunk_by(same_span) {
                layout.push(visual_span(image, tokens, run[0]), run.len());
            }
            left = left.saturating_sub(tokens.len());
        }
    }
    layout.0
}

/// Spans, each after the one before.
#[derive(Default)]
struct Layout(Vec<TokenSpan>);

impl Layout {
    fn push(&mut self, span: TokenSpan, length: usize) {
        let start = self.0.last().map_or(0, |s| s.end);
        let end = start + length as u32;
        self.0.push(TokenSpan { start, end, ..span });
    }
}

/// Reports whether two neighbours stand in one span: a whole base view, a row of one tile, a
/// newline.
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

fn visual_span(image: usize, tokens: &ImageTokens, first: Place) -> TokenSpan {
    let (kind, grid, tile, row, column) = match first {
        Place::Class | Place::Base { .. } => (SpanKind::BaseView, tokens.base, 0, 0, 0),
        Place::Canvas { tile, row, column } => (SpanKind::Tile, tokens.canvas, tile, row, column),
        Place::Newline => (SpanKind::Newline, (0, 0), 0, 0, 0),
        Place::Pooled => (SpanKind::Pooled, (0, 0), 0, 0, 0),
    };
    TokenSpan {
        kind,
        image: image as u32,
        grid_rows: grid.0 as u32,
        grid_columns: grid.1 as u32,
        tile: tile as u32,
        row: row as u32,
        column: column as u32,
        ..TokenSpan::default()
    }
}
