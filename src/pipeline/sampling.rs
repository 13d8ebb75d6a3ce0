//! Sampling parameters: those of a request, and where it says nothing those of the model's
//! generation_config.json.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::error::Error;
use crate::engine::Sampling;
use crate::intervention::{self, Draws};
use crate::model::{Cutoffs, GenerationConfig, Model, Processors};

const DEFAULT_MAX_TOKENS: usize = 256;
/// The `top_k` of transformers where neither a model nor a request sets one.
const DEFAULT_TOP_K: u32 = 50;
const MAX_TEMPERATURE: f64 = 100.0;
const MAX_PENALTY: f64 = 100.0;
const MAX_LISTED: usize = 4096;
const MAX_COUNT: u32 = 1 << 20;
/// The place in the list of interventions that the sampler's draws are keyed by.
const SAMPLER: usize = u32::MAX as usize;

/// Says how tokens are chosen. Its JSON is the contract's canonical one, which records hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SamplingParams {
    /// Divides logits; 0: greedy.
    #[serde(skip_serializing_if = "is_default")]
    pub temperature: f64,
    /// Keeps the likeliest tokens; 0: all.
    #[serde(skip_serializing_if = "is_default")]
    pub top_k: u32,
    /// Keeps the likeliest tokens up to this mass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Keys the draws.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub seed: Option<u64>,
    /// Samples as transformers' `generate(do_sample=True)` does with the model.
    #[serde(skip_serializing_if = "is_default")]
    pub do_sample: bool,
    /// Keeps tokens of at least this share of the likeliest one's probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Keeps the most typical tokens up to this mass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typical_p: Option<f64>,
    /// Drops tokens below this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon_cutoff: Option<f64>,
    /// Drops tokens below a probability that depends on the entropy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_cutoff: Option<f64>,
    /// Keeps the likeliest tokens up to this share of the entropy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_h: Option<f64>,
    /// Penalises tokens that came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Forbids sequences of this length that came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<u32>,
    /// Forbids the end token before as many tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u32>,
    /// Tokens that are never chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suppress_tokens: Vec<u32>,
    /// Added to logits, by token.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<u32, f64>,
    /// Leaves the model's generation_config.json aside.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_generation_config: bool,
}

/// Reports whether the contract's JSON leaves a value out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes 64 bits as text: JSON numbers hold 53 in many languages.
#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_text<S: serde::Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.unwrap_or_default())
}

impl SamplingParams {
    /// Checks what does not depend on the model, and draws the seed where one is needed and none is
    /// given.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        check_numbers(self, |name, message| {
            Error::invalid(format!("sampling.{name}"), message)
        })?;
        // Each is applied at every token.
        for (name, count) in [
            ("suppress_tokens", self.suppress_tokens.len()),
            ("logit_bias", self.logit_bias.len()),
        ] {
            if count > MAX_LISTED {
                let message = format!("{count} tokens; at most {MAX_LISTED} are taken");
                return Err(Error::invalid(format!("sampling.{name}"), message));
            }
        }
        for (name, count) in [
            ("no_repeat_ngram_size", self.no_repeat_ngram_size),
            ("min_tokens", self.min_tokens),
        ] {
            if let Some(count) = count.filter(|&count| count > MAX_COUNT) {
                let message = format!("{count} is more than {MAX_COUNT}");
                return Err(Error::invalid(format!("sampling.{name}"), message));
            }
        }
        // Infinity would make every probability NaN.
        let mut biases = self.logit_bias.iter();
        if let Some((id, bias)) = biases.find(|(_, bias)| !bias.is_finite()) {
            let message = format!("{bias} of token {id} is not a number");
            return Err(Error::invalid("sampling.logit_bias", message));
        }
        // Greedy decoding draws nothing: its records name no seed.
        if self.temperature > 0.0 || self.do_sample {
            self.seed.get_or_insert_with(intervention::fresh_seed);
        }
        Ok(())
    }
}

/// Fails by `error` on a number that is out of range.
fn check_numbers(
    sampling: &SamplingParams,
    error: impl Fn(&str, String) -> Error,
) -> Result<(), Error> {
    let temperature = sampling.temperature;
    if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
        return Err(error(
            "temperature",
            format!("{temperature} is not in 0 to {MAX_TEMPERATURE}"),
        ));
    }
    let above = [
        ("top_p", sampling.top_p, 1.0),
        ("typical_p", sampling.typical_p, 1.0),
        ("top_h", sampling.top_h, 1.0),
        (
            "repetition_penalty",
            sampling.repetition_penalty,
            MAX_PENALTY,
        ),
    ];
    for (name, value, most) in above {
        // Written so that NaN fails: it is in no range.
        if let Some(value) = value.filter(|v| !(*v > 0.0 && *v <= most)) {
            return Err(error(
                name,
                format!("{value} is not above 0 and at most {most}"),
            ));
        }
    }
    let from_zero = [
        ("min_p", sampling.min_p),
        ("epsilon_cutoff", sampling.epsilon_cutoff),
        ("eta_cutoff", sampling.eta_cutoff),
    ];
    for (name, value) in from_zero {
        if let Some(value) = value.filter(|v| !(0.0..=1.0).contains(v)) {
            return Err(error(name, format!("{value} is not in 0 to 1")));
        }
    }
    Ok(())
}

/// Returns what a request asks for with what the model adds to it, as far as requests have fields
/// for it.
fn effective(asked: &SamplingParams, model: &GenerationConfig) -> SamplingParams {
    let mut all = asked.clone();
    // For whoever asks for it: a request that says nothing is greedy, whatever the file says.
    if asked.do_sample {
        if asked.temperature == 0.0 {
            // 0 cannot be told from unset, and a draw at 0 would be none.
            all.temperature = model.temperature.unwrap_or(1.0);
        }
        if asked.top_k == 0 {
            all.top_k = model.top_k.map_or(DEFAULT_TOP_K, saturated);
        }
        all.top_p = asked.top_p.or(model.top_p);
        all.min_p = asked.min_p.or(model.cutoffs.min_p);
        all.typical_p = asked.typical_p.or(model.cutoffs.typical_p);
        all.epsilon_cutoff = asked.epsilon_cutoff.or(model.cutoffs.epsilon_cutoff);
        all.eta_cutoff = asked.eta_cutoff.or(model.cutoffs.eta_cutoff);
        all.top_h = asked.top_h.or(model.cutoffs.top_h);
    }
    if !asked.ignore_generation_config {
        let own = &model.processors;
        let count = |count: Option<usize>| count.map(saturated);
        all.repetition_penalty = asked.repetition_penalty.or(own.repetition_penalty);
        all.no_repeat_ngram_size = asked
            .no_repeat_ngram_size
            .or(count(own.no_repeat_ngram_size));
        all.min_tokens = asked.min_tokens.or(count(own.min_new_tokens));
        if asked.suppress_tokens.is_empty() {
            all.suppress_tokens.clone_from(&own.suppress_tokens);
        }
    }
    all
}

fn saturated(count: usize) -> u32 {
    // A file may hold more than a message can; no vocabulary and no context is as large.
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Says how the tokens of an answer are chosen, and how many there may be.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) sampling: Sampling,
    /// The parameters of the request with what the model adds to them, as records hold them.
    pub(super) params: SamplingParams,
    /// Tokens of the answer, at most; the context may hold fewer.
    pub(super) max_tokens: usize,
}

impl SamplingParams {
    /// Resolves the parameters of a checked request against what its model says. The answer may have
    /// `max_tokens` tokens (0: open), the prompt has `prompt`.
    pub(super) fn resolve(
        &self,
        max_tokens: u32,
        model: &Model,
        prompt: usize,
        sample_key: &str,
    ) -> Result<Chosen, Error> {
        let max_tokens = room(max_tokens, &model.generation, prompt, self)?;
        let (sampling, params) = sampler(self, model, sample_key)?;
        Ok(Chosen {
            sampling,
            params,
            max_tokens,
        })
    }
}

/// Returns the sampler of a checked request, and the parameters that it comes to.
fn sampler(
    asked: &SamplingParams,
    model: &Model,
    sample_key: &str,
) -> Result<(Sampling, SamplingParams), Error> {
    let all = effective(asked, &model.generation);
    // What the request does not say was not checked with it.
    check_numbers(&all, |name, message| {
        Error::invalid(
            "sampling.do_sample",
            format!("generation_config.json: {name} {message}; set it here"),
        )
    })?;
    let vocabulary = model.decoder.config().vocab_size;
    // Of the request alone: ids of a file that no vocabulary has suppress nothing.
    for (name, ids) in [
        ("suppress_tokens", asked.suppress_tokens.iter().max()),
        ("logit_bias", asked.logit_bias.keys().max()),
    ] {
        if let Some(id) = ids.filter(|&&id| id as usize >= vocabulary) {
            let message = format!("token {id}; the vocabulary has {vocabulary} tokens, from 0");
            return Err(Error::invalid(format!("sampling.{name}"), message));
        }
    }
    let cutoffs = Cutoffs {
        top_h: all.top_h,
        min_p: all.min_p,
        // At the ends of their ranges these keep all tokens; transformers, too, leaves them out.
        typical_p: all.typical_p.filter(|&p| p < 1.0),
        epsilon_cutoff: all.epsilon_cutoff.filter(|&p| p > 0.0 && p < 1.0),
        eta_cutoff: all.eta_cutoff.filter(|&p| p > 0.0 && p < 1.0),
    };
    let sampling = Sampling {
        temperature: all.temperature,
        top_k: all.top_k as usize,
        top_p: all.top_p.unwrap_or(1.0),
        cutoffs,
        processors: Arc::new(processors(asked, &all, &model.generation)),
        // Greedy decoding draws nothing.
        draws: Draws::new(all.seed.unwrap_or(0), sample_key, SAMPLER, 0),
    };
    Ok((sampling, all))
}

/// Returns what changes logits: `all` goes before the model's own, `asked` says what of that was asked for.
fn processors(
    asked: &SamplingParams,
    all: &SamplingParams,
    model: &GenerationConfig,
) -> Processors {
    let mut found = if asked.ignore_generation_config {
        Processors::default()
    } else {
        model.processors.clone()
    };
    // 1 changes nothing, and without any processor tokens are chosen on the device.
    found.repetition_penalty = all.repetition_penalty.filter(|&penalty| penalty != 1.0);
    // 0 is off, as in transformers; the processor itself could not bear it.
    found.no_repeat_ngram_size = all
        .no_repeat_ngram_size
        .map(|size| size as usize)
        .filter(|&size| size > 0);
    // The model's `min_length` goes with it: that counts the prompt, and could ask for more than
    // the request does.
    if let Some(least) = asked.min_tokens {
        found.min_length = None;
        found.min_new_tokens = Some(least as usize).filter(|&least| least > 0);
    }
    found.suppress_tokens.clone_from(&all.suppress_tokens);
    // transformers has no bias of a token: it is a sequence of one.
    let biases = asked.logit_bias.iter();
    found
        .sequence_bias
        .extend(biases.map(|(&id, &bias)| (vec![id], bias)));
    found
}

/// Returns how many tokens an answer to `prompt` tokens may have, by the request or, where it leaves
/// that open (0), by the model.
fn room(
    max_tokens: u32,
    model: &GenerationConfig,
    prompt: usize,
    asked: &SamplingParams,
) -> Result<usize, Error> {
    if max_tokens > 0 {
        return Ok(max_tokens as usize);
    }
    if asked.ignore_generation_config {
        return Ok(DEFAULT_MAX_TOKENS);
    }
    // In the order of transformers, where new tokens go before a length.
    match (model.max_new_tokens, model.max_length) {
        (Some(most), _) => Ok(most),
        (None, Some(length)) if length <= prompt => {
            let message = format!(
                "open, and the prompt has {prompt} tokens, where generation_config.json ends at \
                 {length}"
            );
            Err(Error::invalid("max_tokens", message))
        }
        (None, Some(length)) => Ok((length - prompt).min(DEFAULT_MAX_TOKENS)),
        (None, None) => Ok(DEFAULT_MAX_TOKENS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> GenerationConfig {
        let json = serde_json::json!({
            "repetition_penalty": 1.5, "no_repeat_ngram_size": 3, "suppress_tokens": [7],
            "min_length": 4, "do_sample": true, "temperature": 0.6,
            "top_p": 0.9, "min_p": 0.1, "max_length": 40,
        });
        GenerationConfig::parse(&json, 100).unwrap()
    }

    #[test]
    fn a_request_goes_before_the_model() {
        let asked = SamplingParams {
            repetition_penalty: Some(1.0),
            min_tokens: Some(2),
            ..Default::default()
        };
        let all = effective(&asked, &model());
        assert_eq!(
            (all.temperature, all.top_p, all.no_repeat_ngram_size),
            (0.0, None, Some(3))
        );
        let found = processors(&asked, &all, &model());
        assert_eq!(
            (
                found.repetition_penalty,
                found.min_length,
                found.min_new_tokens
            ),
            (None, None, Some(2))
        );
        assert_eq!(found.suppress_tokens, [7]);
    }

    #[test]
    fn sampling_is_the_models_where_it_is_asked_for() {
        let asked = SamplingParams {
            do_sample: true,
            top_p: Some(0.5),
            ..Default::default()
        };
        let all = effective(&asked, &model());
        assert_eq!(
            (all.temperature, all.top_k, all.top_p, all.min_p),
            (0.6, 50, Some(0.5), Some(0.1))
        );
    }

    #[test]
    fn all_of_it_can_be_ignored() {
        let asked = SamplingParams {
            ignore_generation_config: true,
            ..Default::default()
        };
        let all = effective(&asked, &model());
        assert!(processors(&asked, &all, &model()).is_empty());
        assert_eq!(room(0, &model(), 50, &asked).unwrap(), DEFAULT_MAX_TOKENS);
    }

    #[test]
    fn an_open_length_is_the_models() {
        let asked = SamplingParams::default();
        assert_eq!(room(0, &model(), 30, &asked).unwrap(), 10);
        assert_eq!(room(12, &model(), 50, &asked).unwrap(), 12);
        assert!(
            room(0, &model(), 40, &asked)
                .unwrap_err()
                .to_string()
                .contains("ends at 40")
        );
    }
}
