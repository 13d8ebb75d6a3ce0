//! generation_config.json, by the rules of `generate` of Hugging Face's transformers 5.17: a field
//! acts, or has no say in which tokens come out, or is refused by name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;

const FILE: &str = "generation_config.json";

/// Fields that are applied. Those of end tokens are read with the tokenizer's.
const APPLIED: [&str; 26] = [
    "sequence_bias",
    "encoder_repetition_penalty",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "min_length",
    "min_new_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "do_sample",
    "temperature",
    "top_h",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "max_length",
    "max_new_tokens",
    "eos_token_id",
    // Adds one constant to all logits after the processors: no choice changes by it, and reported
    // log-probabilities are the model's own. So nothing is left to do.
    "renormalize_logits",
];

/// Fields that change no token: names, speed, what `generate` returns, and what only beams or other
/// architectures read.
const WITHOUT_EFFECT: [&str; 38] = [
    "transformers_version",
    "use_cache",
    "cache_config",
    "max_cache_len",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "pad_token_id",
    "bos_token_id",
    "decoder_start_token_id",
    // Of beam search, which `num_beams` above 1 is refused for.
    "early_stopping",
    "length_penalty",
    "low_memory",
    // These are of assisted decoding, which accepts a draft only where the model chooses the same:
    // speed, not text.
    "use_mtp",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_lookbehind",
    "target_lookbehind",
    "prompt_lookup_num_tokens",
    "max_matching_ngram_size",
    "speculation_type",
    "compile_config",
    "disable_compile",
    "continuous_batching_config",
    "prefill_chunk_size",
    "trust_remote_code",
    "is_encoder_decoder",
    "model_type",
    "architectures",
    "task_specific_params",
    "torch_dtype",
    "dtype",
    "name_or_path",
    "tokenizer_class",
];

/// Fields that would change tokens in a way that is not supported, the value that changes none, and
/// what to do.
const REFUSED: [(&str, Option<f64>, &str); 17] = [
    // Many published files write neutral values out; refusing the name alone would refuse them all.
    ("num_beams", Some(1.0), "beam search is not supported; 1 is"),
    (
        "num_beam_groups",
        Some(1.0),
        "beam search is not supported; 1 is",
    ),
    (
        "diversity_penalty",
        Some(0.0),
        "beam search is not supported; 0 is",
    ),
    (
        "penalty_alpha",
        Some(0.0),
        "contrastive search is not supported; 0 is",
    ),
    ("dola_layers", None, "DoLa is not supported"),
    (
        "constraints",
        None,
        "constrained beam search is not supported",
    ),
    (
        "force_words_ids",
        None,
        "constrained beam search is not supported",
    ),
    (
        "guidance_scale",
        Some(1.0),
        "classifier-free guidance is not supported; 1 is",
    ),
    ("watermarking_config", None, "watermarks are not supported"),
    (
        "stop_strings",
        None,
        "not read from here; set `stop` in requests",
    ),
    (
        "max_time",
        None,
        "not read from here; set a deadline for requests",
    ),
    (
        "num_return_sequences",
        Some(1.0),
        "one answer a request is supported; 1 is",
    ),
    (
        "remove_invalid_values",
        Some(0.0),
        "logits that are not finite end a request with an error; false is supported",
    ),
    (
        "token_healing",
        Some(0.0),
        "the prompt is never changed; false is supported",
    ),
    (
        "assistant_ensemble_weight",
        None,
        "assisted decoding that changes probabilities is not supported",
    ),
    (
        "is_assistant",
        Some(0.0),
        "the model answers by itself; false is supported",
    ),
    (
        "custom_generate",
        None,
        "code beside a checkpoint is not run",
    ),
];

/// Changes the logits of a step before a token is chosen, greedily or by chance. Unset fields
/// change nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Processors {
    /// Added to the logit of a sequence's last token where the tokens before it stand at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sequence_bias: Vec<(Vec<u32>, f64)>,
    /// Divides the logits of the prompt's tokens, where they are negative multiplies, by its
    /// inverse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_repetition_penalty: Option<f64>,
    /// Divides the logits of all tokens so far, where they are negative multiplies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// No sequence of so many tokens comes twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<usize>,
    /// No sequence of so many tokens of the prompt comes again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_no_repeat_ngram_size: Option<usize>,
    /// Sequences that do not come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad_words_ids: Vec<Vec<u32>>,
    /// No end before prompt and answer have so many tokens together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// No end before the answer has so many tokens; goes before `min_length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_new_tokens: Option<usize>,
    /// Comes after a prompt of one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_bos_token_id: Option<u32>,
    /// One of these is the last token that there is room for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forced_eos_token_id: Vec<u32>,
    /// After so many tokens the logit of the end grows by this factor to the power of the tokens
    /// since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_decay_length_penalty: Option<(usize, f64)>,
    /// Never come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suppress_tokens: Vec<u32>,
    /// Do not come first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub begin_suppress_tokens: Vec<u32>,
}

impl Processors {
    /// Tells whether they change nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Tokens that sampling leaves out, beside temperature, `top_k` and `top_p`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cutoffs {
    /// Keeps the likeliest until their entropy reaches this share of that of the 100 likeliest
    /// (Potraghloo et al. 2025).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_h: Option<f64>,
    /// Keeps what is at least so likely as this share of the likeliest (Nguyen et al. 2024).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Keeps what surprises about as much as expected, up to this probability in all (Meister et
    /// al. 2023).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typical_p: Option<f64>,
    /// Keeps what is at least so likely (Hewitt et al. 2022).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon_cutoff: Option<f64>,
    /// The same, less where much is likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_cutoff: Option<f64>,
}

/// Defaults of a checkpoint for its answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GenerationConfig {
    /// Applied to every answer, unless a request says otherwise.
    #[serde(flatten)]
    pub processors: Processors,
    /// Tells whether Hugging Face's `generate` would sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// Settings of requests that sample as the model does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The same.
    #[serde(flatten)]
    pub cutoffs: Cutoffs,
    /// Prompt and answer of a request that leaves its length open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// The answer of a request that leaves its length open; goes before `max_length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
}

fn refuse<T>(message: String) -> Result<T, Error> {
    Err(Error::File {
        path: FILE.into(),
        reason: message,
    })
}

/// Reads a field as `T`; `None` where it is absent or null.
fn field<T: DeserializeOwned>(json: &Value, name: &str) -> Result<Option<T>, Error> {
    match &json[name] {
        Value::Null => Ok(None),
        value => T::deserialize(value)
            .map(Some)
            .or_else(|e| refuse(format!("{name} {value}: {e}"))),
    }
}

/// Reads a number, which changes nothing where it is `neutral`.
fn number(json: &Value, name: &str, neutral: f64) -> Result<Option<f64>, Error> {
    let value: Option<f64> = field(json, name)?;
    // A file that writes neutral values out has the digest of one that does not.
    Ok(value.filter(|v| *v != neutral))
}

/// Reads a count, which changes nothing where it is 0.
fn count(json: &Value, name: &str) -> Result<Option<usize>, Error> {
    let value: Option<usize> = field(json, name)?;
    Ok(value.filter(|v| *v > 0))
}

/// Reads token ids; negative ones, which stand for none, are left out.
fn ids(json: &Value, name: &str) -> Result<Vec<u32>, Error> {
    let value: Option<Value> = field(json, name)?;
    let listed = match value {
        Some(one @ Value::Number(_)) => vec![one],
        Some(Value::Array(list)) => list,
        Some(other) => {
            return refuse(format!(
                "{name} {other}; a token id or a list of them is needed"
            ));
        }
        None => Vec::new(),
    };
    let found = listed.iter().map(|value| token_id(name, value).transpose());
    found.flatten().collect()
}

/// Reads a token id; `None` where it is negative.
fn token_id(name: &str, value: &Value) -> Result<Option<u32>, Error> {
    match value.as_i64() {
        // transformers compares these ids with those of the vocabulary, so that a negative one acts
        // on none.
        Some(id) => Ok(u32::try_from(id).ok()),
        None => refuse(format!("{name} has {value}, which is no token id")),
    }
}

/// Reads a penalty, which changes nothing where it is 1.
fn penalty(json: &Value, name: &str) -> Result<Option<f64>, Error> {
    match number(json, name, 1.0)? {
        Some(value) if !(value.is_finite() && value > 0.0) => {
            refuse(format!("{name} {value}; a number above 0 is needed"))
        }
        found => Ok(found),
    }
}

/// Fails on sequences of tokens that are empty, or beyond the vocabulary.
fn check_sequences<'a>(
    name: &str,
    sequences: impl IntoIterator<Item = &'a Vec<u32>>,
    vocabulary: usize,
) -> Result<(), Error> {
    for ids in sequences {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return refuse(format!(
                "{name} has token {id}; the vocabulary ends at {}",
                vocabulary - 1
            ));
        }
        if ids.is_empty() {
            return refuse(format!("{name} has an empty sequence"));
        }
    }
    Ok(())
}

impl GenerationConfig {
    /// Reads generation_config.json of a model whose vocabulary has `vocabulary` tokens. Fails on
    /// fields that are unknown, not supported or out of range.
    pub fn parse(json: &Value, vocabulary: usize) -> Result<Self, Error> {
        check_names(json)?;
        // Pairs of ids and bias: the dict that `generate` takes has tuples for keys, which JSON has
        // not.
        let sequence_bias: Vec<(Vec<u32>, f64)> = field(json, "sequence_bias")?.unwrap_or_default();
        let biased = sequence_bias.iter().map(|(ids, _)| ids);
        check_sequences("sequence_bias", biased, vocabulary)?;
        let bad_words_ids: Vec<Vec<u32>> = field(json, "bad_words_ids")?.unwrap_or_default();
        check_sequences("bad_words_ids", &bad_words_ids, vocabulary)?;
        let bos = ids(json, "forced_bos_token_id")?;
        if bos.len() > 1 {
            let listed = &json["forced_bos_token_id"];
            return refuse(format!(
                "forced_bos_token_id {listed}; one token id is supported"
            ));
        }
        let forced_eos_token_id = ids(json, "forced_eos_token_id")?;
        // Empty where nothing is forced.
        let forced = |ids: &&Vec<u32>| !ids.is_empty();
        let ends = Some(&forced_eos_token_id).filter(forced);
        check_sequences("forced_eos_token_id", ends, vocabulary)?;
        let begins = Some(&bos).filter(forced);
        check_sequences("forced_bos_token_id", begins, vocabulary)?;
        let processors = Processors {
            sequence_bias,
            encoder_repetition_penalty: penalty(json, "encoder_repetition_penalty")?,
            repetition_penalty: penalty(json, "repetition_penalty")?,
            no_repeat_ngram_size: count(json, "no_repeat_ngram_size")?,
            encoder_no_repeat_ngram_size: count(json, "encoder_no_repeat_ngram_size")?,
            bad_words_ids,
            min_length: count(json, "min_length")?,
            min_new_tokens: count(json, "min_new_tokens")?,
            // `ForcedBOSTokenLogitsProcessor` takes one id.
            forced_bos_token_id: bos.first().copied(),
            forced_eos_token_id,
            exponential_decay_length_penalty: field(json, "exponential_decay_length_penalty")?,
            suppress_tokens: ids(json, "suppress_tokens")?,
            begin_suppress_tokens: ids(json, "begin_suppress_tokens")?,
        };
        Ok(Self {
            processors,
            do_sample: field(json, "do_sample")?,
            temperature: field(json, "temperature")?,
            // 0 is kept, unlike in the counts above: it means "no top_k", where an absent field
            // means transformers' 50.
            top_k: field(json, "top_k")?,
            top_p: field(json, "top_p")?,
            cutoffs: Cutoffs {
                top_h: field(json, "top_h")?,
                min_p: field(json, "min_p")?,
                // transformers builds no warper for these three at their neutral values.
                typical_p: number(json, "typical_p", 1.0)?,
                epsilon_cutoff: number(json, "epsilon_cutoff", 0.0)?,
                eta_cutoff: number(json, "eta_cutoff", 0.0)?,
            },
            max_length: count(json, "max_length")?,
            max_new_tokens: count(json, "max_new_tokens")?,
        })
    }
}

impl GenerationConfig {
    /// Returns canonical JSON: the keys are sorted.
    pub fn to_json(&self) -> String {
        serde_json::to_value(self)
            .map(|value| value.to_string())
            .unwrap_or_default()
    }

    /// Returns what acts on requests that say nothing of it, in canonical JSON, over a context of
    /// `context` tokens; `None` where nothing does.
    pub fn acts(&self, context: usize) -> Option<String> {
        // Published files often repeat the context's length, which bounds nothing.
        let max_length = self.max_length.filter(|&length| length < context);
        let (processors, max_new_tokens) = (self.processors.clone(), self.max_new_tokens);
        let acting = Self {
            processors,
            max_length,
            max_new_tokens,
            // Temperature and its kin act only on requests that ask to sample, and are in those
            // requests' records: a model's digest must not depend on them.
            ..Self::default()
        };
        (acting != Self::default()).then(|| acting.to_json())
    }
}

/// Fails on fields that are unknown or not supported.
fn check_names(json: &Value) -> Result<(), Error> {
    for (name, value) in json
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
    {
        let is = |names: &[&str]| names.contains(&name.as_str());
        // transformers keeps notes to itself under an underscore (`_from_model_config`).
        if is(&APPLIED) || is(&WITHOUT_EFFECT) || name.starts_with('_') {
            continue;
        }
        // "static", "dynamic" and the like only choose a memory layout.
        if name == "cache_implementation" {
            if value
                .as_str()
                .is_some_and(|kind| kind.contains("quantized"))
            {
                return refuse(format!(
                    "{name} {value}; keys and values are kept as they are, \
                     a cache of another kind is supported"
                ));
            }
            continue;
        }
        let Some((_, neutral, why)) = REFUSED.iter().find(|(refused, ..)| refused == name) else {
            return refuse(format!(
                "unknown field {name:?}; whether it changes answers cannot be told, take it out"
            ));
        };
        // `false` and `true` compare as 0 and 1, as in Python.
        let found = value
            .as_f64()
            .or_else(|| value.as_bool().map(|b| f64::from(u8::from(b))));
        if neutral.is_none() || found != *neutral {
            return refuse(format!("{name} {value}: {why}"));
        }
    }
    Ok(())
}
