//! Prices attributions, and counts what they hold, before anything runs.

use super::points::Places;
use super::request::{AttributeRequest, AttributionMethod};
use crate::nn::{Point, Site, Stack};
use crate::pipeline::compile::CompiledRequest;

/// Returns the (row, layer) pairs of one pass, there and back.
pub(super) fn price_of(compiled: &CompiledRequest, answer: &[u32]) -> u64 {
    // Views of the base and of tiles alike, each with its class token.
    let tower: usize = compiled
        .images()
        .iter()
        .map(|i| i.views * i.view.rows)
        .sum();
    // The answer's last token is not read back.
    let rows = compiled.prompt.ids.len() + answer.len() - 1;
    let cells = tower * compiled.tower_path().len() + rows * compiled.decoder_path().len();
    // About four passes forward: one plain, one tracked, and the way back; see `model::gradient`.
    4 * cells as u64
}

/// Counts the passes that a method takes; one forward alone counts as one, too.
pub(super) fn passes(request: &AttributeRequest, places: &Places) -> u64 {
    let baseline = u64::from(request.method == AttributionMethod::IntegratedGradients);
    let source = u64::from(request.source.is_some() && !places.points.is_empty());
    let steps = u64::from(request.steps());
    // The run itself says what the metric is; where no way is walked its gradients are the answer.
    let own = u64::from(steps > 1 || baseline == 1);
    steps + own + baseline + source
}

/// Returns the bytes that the attributions come to, and what is held for them until then.
pub(super) fn bytes_of(
    request: &AttributeRequest,
    compiled: &CompiledRequest,
    places: &Places,
) -> u64 {
    // Values beside gradients, or beside those of the other input.
    let whole = request.source.is_some()
        || matches!(
            request.method,
            AttributionMethod::GradientValues | AttributionMethod::GradCam
        );
    let points = places.points.iter();
    let points: usize = points.map(|point| numbers_at(point, compiled, whole)).sum();
    let pixels = compiled.pixels().iter().map(|p| p.views.elem_count());
    let pixels = pixels.sum::<usize>() * usize::from(places.pixels);
    ((points + pixels) * size_of::<f32>()) as u64
}

/// Returns the numbers that are kept at a point, at most: one for each row and head, or whole rows
/// twice.
fn numbers_at(point: &Point, compiled: &CompiledRequest, whole: bool) -> usize {
    let model = &compiled.input.model;
    let (tower, decoder) = (model.tower.info(), model.decoder.config());
    let images = compiled.images().iter();
    let views: usize = images.map(|image| image.views * image.view.rows).sum();
    let (rows, width, heads) = match point.stack {
        Stack::VisionTower => (views, tower.width.max(tower.inner), tower.heads),
        Stack::Projector => (views, decoder.hidden_size.max(tower.feature_width), 1),
        Stack::LanguageModel => (
            compiled.prompt.ids.len(),
            decoder.hidden_size.max(decoder.intermediate_size),
            decoder.num_attention_heads,
        ),
    };
    match (point.site, whole) {
        // A pattern is never reduced to a number a row.
        (Site::Pattern, _) => rows * rows * heads,
        (Site::Logits, true) => 2 * rows * decoder.vocab_size,
        (_, true) => 2 * rows * width,
        (_, false) => rows * heads,
    }
}
