//! Compares a model whose weights are kept in one format with the same model in another, question by
//! question: hook points, the distribution of the next token, greedy answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::relative_error;
use super::golden_set::{Error, Prepared, kind};
use crate::engine::measure;
use crate::engine::sampler::log_softmax;
use crate::intervention::{Context, EffectLog, SaliencyMaps, compile};
use crate::model::{ImageTokens, Input, MeasuredRows, Model};

/// The hook point of logits.
const LOGITS: &str = "language_model.hook_logits";

/// How far a model is from its reference on one question.
#[derive(Debug, Clone, Default)]
pub struct FormatComparison {
    /// The largest relative error, by kind of hook point.
    pub points: BTreeMap<String, f64>,
    /// Kullback-Leibler divergence of the next token from the reference's, in nats.
    pub divergence: f64,
    /// Greedy tokens before the first that differs.
    pub same_tokens: usize,
    /// Greedy tokens of the reference.
    pub tokens: usize,
}

/// Compares `model` with `reference` on a prompt that the latter has read, over one whole pass and
/// `tokens` greedy tokens.
pub fn compare_formats(
    reference: &Model,
    model: &Model,
    input: &Input,
    tokens: usize,
) -> Result<FormatComparison, Error> {
    // The same tokens for both, and the same pixels, in the type of each.
    let (own, other) = (unchanged(reference, input)?, unchanged(model, input)?);
    let (expected, found) = (own.values(reference)?, other.values(model)?);
    let mut points: BTreeMap<String, f64> = BTreeMap::new();
    for (name, expected) in &expected {
        let found = found.get(name).map(Vec::as_slice).unwrap_or_default();
        if found.len() != expected.len() {
            return Err(Error::Set(format!(
                "{name}: another shape in the other format"
            )));
        }
        let worst = points.entry(kind(name)).or_default();
        *worst = worst.max(relative_error(found, expected));
    }
    let rows = reference.decoder.config().vocab_size;
    // The last V of `(T, V)` logits are those of the next token.
    let [p, q] = [&expected, &found].map(|values| last_row(values, rows));
    let expected = own.greedy(reference, tokens)?;
    let found = other.greedy(model, tokens)?;
    let pairs = expected.iter().zip(&found);
    Ok(FormatComparison {
        points,
        divergence: divergence(p, q),
        same_tokens: pairs
            .take_while(|(expected, found)| expected == found)
            .count(),
        tokens: expected.len(),
    })
}

/// Prepares a prompt without interventions.
fn unchanged(model: &Model, input: &Input) -> Result<Prepared, Error> {
    let images: Vec<ImageTokens> = input.images.iter().map(|i| i.tokens.clone()).collect();
    let context = Context {
        model,
        images: &images,
        prompt: Some(&input.tokens),
        sample_key: "",
        saliency: &SaliencyMaps::new(),
        rows: &MeasuredRows::new(),
        saliency_digests: &BTreeMap::new(),
        donors: &BTreeMap::new(),
        activations: &BTreeMap::new(),
    };
    let plan = compile(&[], &context)?;
    let prompt = model.expand(&input.ids, &plan.images);
    let pictures = input.images.iter().map(|i| model.pixels(&i.picture));
    let pixels = pictures.collect::<Result<_, _>>()?;
    Ok(Prepared {
        plan: Arc::new(plan),
        observed: EffectLog::default(),
        pixels,
        images,
        prompt,
    })
}

/// Returns the logits after the last token.
fn last_row(values: &BTreeMap<String, Vec<f32>>, rows: usize) -> &[f32] {
    let logits = values.get(LOGITS).map(Vec::as_slice).unwrap_or_default();
    &logits[logits.len().saturating_sub(rows)..]
}

/// Computes KL(p || q) of the softmaxes of two rows of logits, in nats; infinite where one of them is
/// not finite.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let (Some(p), Some(q)) = (log_softmax(p), log_softmax(q)) else {
        return f64::INFINITY;
    };
    // Rounding may leave less than nothing.
    measure::divergence(&[p], &[q]).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergences() {
        let p = [1.0, 2.0, 0.5];
        assert!(divergence(&p, &p.map(|l| l + 3.0)) < 1e-12);
        // 0.75 ln(0.75 / 0.5) + 0.25 ln(0.25 / 0.5).
        let found = divergence(&[3f32.ln(), 0.0], &[1.0, 1.0]);
        assert!((found - 0.130_812_035_941_136_96).abs() < 1e-7, "{found}");
        assert_eq!(divergence(&p, &[f32::NAN, 0.0, 0.0]), f64::INFINITY);
    }
}
