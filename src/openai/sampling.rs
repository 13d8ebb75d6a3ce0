//! Reads what chat and plain completions have in common: how tokens are chosen, and when to stop.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Fields, invalid};
use crate::api::Error;
use crate::pipeline::SamplingParams;

/// Says how tokens are chosen, until when, and how they are sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Output {
    pub(super) sampling: SamplingParams,
    /// `None`: as the model says.
    pub(super) max_tokens: Option<u32>,
    pub(super) stop: Vec<String>,
    pub(super) stream: bool,
    /// Ends a stream with a chunk that counts tokens.
    pub(super) include_usage: bool,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
    /// Pads chunks against eavesdropping at a hosted service; there is nothing to pad here.
    #[serde(default, rename = "include_obfuscation")]
    _include_obfuscation: Option<bool>,
}

impl Output {
    /// Takes the fields. Beside OpenAI's own those of the contract's `Sampling` are taken under the
    /// names that vLLM and transformers have for them.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, Error> {
        refuse_other_values(fields)?;
        let stop = match fields.take("stop")? {
            None => Vec::new(),
            Some(OneOrMany::One(text)) => vec![text],
            Some(OneOrMany::Many(texts)) => texts,
        };
        let stream = fields.take("stream")?.unwrap_or(false);
        let options: StreamOptions = fields.take("stream_options")?.unwrap_or_default();
        let include_usage = options.include_usage.unwrap_or(false);
        if include_usage && !stream {
            let message = "true without stream: true; a whole answer counts tokens anyway";
            return Err(invalid("stream_options.include_usage", message));
        }
        Ok(Self {
            sampling: sampling(fields)?,
            max_tokens: max_tokens(fields)?,
            stop,
            stream,
            include_usage,
        })
    }
}

/// Fails where a field asks for what this server does not do.
fn refuse_other_values(fields: &mut Fields) -> Result<(), Error> {
    let text = json!({"type": "text"});
    let (auto, none) = (json!("auto"), json!("none"));
    let neutral: [(&str, &[Value]); 14] = [
        ("n", &[json!(1)]),
        ("best_of", &[json!(1)]),
        ("presence_penalty", &[json!(0)]),
        ("frequency_penalty", &[json!(0)]),
        ("response_format", &[text]),
        ("modalities", &[json!(["text"])]),
        ("store", &[json!(false)]),
        ("tools", &[json!([])]),
        // Without tools there is nothing to choose from.
        ("tool_choice", &[auto.clone(), none.clone()]),
        ("functions", &[json!([])]),
        ("function_call", &[auto, none.clone()]),
        ("reasoning_effort", &[none]),
        ("verbosity", &[json!("medium")]),
        ("suffix", &[json!("")]),
    ];
    for (name, values) in neutral {
        fields.allow(name, values)?;
    }
    Ok(())
}

/// Takes the limit of an answer, which has two names.
fn max_tokens(fields: &mut Fields) -> Result<Option<u32>, Error> {
    let (old, new): (Option<u32>, Option<u32>) = (
        fields.take("max_tokens")?,
        fields.take("max_completion_tokens")?,
    );
    match (old, new) {
        (Some(a), Some(b)) if a != b => Err(invalid(
            "max_tokens",
            format!("{a}, and max_completion_tokens says {b}; they are one field"),
        )),
        (a, b) => Ok(a.or(b)),
    }
}

fn sampling(fields: &mut Fields) -> Result<SamplingParams, Error> {
    // Greedy where nothing is said, so that a benchmark repeats; OpenAI's own default is 1.
    let temperature = fields.take("temperature")?.unwrap_or(0.0);
    Ok(SamplingParams {
        temperature,
        // vLLM's way of saying "all" is -1.
        top_k: match fields.take::<i64>("top_k")? {
            None | Some(-1) => 0,
            Some(k) => u32::try_from(k)
                .map_err(|_| invalid("top_k", format!("{k}; 1 or more, or -1 for all")))?,
        },
        top_p: fields.take("top_p")?,
        seed: seed(fields)?,
        do_sample: fields.take("do_sample")?.unwrap_or(false),
        min_p: fields.take("min_p")?,
        typical_p: fields.take("typical_p")?,
        epsilon_cutoff: fields.take("epsilon_cutoff")?,
        eta_cutoff: fields.take("eta_cutoff")?,
        top_h: fields.take("top_h")?,
        repetition_penalty: fields.take("repetition_penalty")?,
        no_repeat_ngram_size: fields.take("no_repeat_ngram_size")?,
        min_tokens: fields.take("min_tokens")?,
        suppress_tokens: fields.take("suppress_tokens")?.unwrap_or_default(),
        logit_bias: logit_bias(fields)?,
        ignore_generation_config: fields.take("ignore_generation_config")?.unwrap_or(false),
    })
}

/// Takes the seed: a number, or, since JSON numbers of many languages hold 53 bits, its text.
fn seed(fields: &mut Fields) -> Result<Option<u64>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seed {
        Number(u64),
        Text(String),
        // Last, so that the error can say what was sent in place of a seed.
        Other(Value),
    }
    let wrong = |found: String| invalid("seed", format!("{found}; a number from 0 to 2^64 - 1"));
    match fields.take("seed")? {
        None => Ok(None),
        Some(Seed::Number(seed)) => Ok(Some(seed)),
        Some(Seed::Text(text)) => text.parse().map(Some).map_err(|_| wrong(text)),
        Some(Seed::Other(value)) => Err(wrong(value.to_string())),
    }
}

/// Takes what is added to logits, whose tokens are keys of an object and so texts.
fn logit_bias(fields: &mut Fields) -> Result<BTreeMap<u32, f64>, Error> {
    let biases: BTreeMap<String, f64> = fields.take("logit_bias")?.unwrap_or_default();
    let mut all = BTreeMap::new();
    for (token, bias) in biases {
        let id = token
            .parse()
            .map_err(|_| invalid("logit_bias", format!("{token:?} is no token's number")))?;
        all.insert(id, bias);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(json: &Value) -> Result<Output, String> {
        let mut fields = Fields::parse(json.to_string().as_bytes()).unwrap();
        let output = Output::take(&mut fields).map_err(|e| e.to_string())?;
        fields.finish().map_err(|e| e.to_string())?;
        Ok(output)
    }

    #[test]
    fn what_tools_send_is_understood() {
        let sent = json!({"n": 1, "presence_penalty": 0.0, "stop": "###", "max_tokens": 16,
            "max_completion_tokens": 16, "temperature": 0.5, "top_p": 0.9, "seed": 7, "top_k": -1,
            "logit_bias": {"3": -100}, "stream": true, "stream_options": {"include_usage": true},
            "user": "someone", "tools": null, "tool_choice": "auto"});
        let output = output(&sent).unwrap();
        assert_eq!(output.stop, ["###"]);
        assert_eq!((output.max_tokens, output.include_usage), (Some(16), true));
        assert_eq!(output.sampling.seed, Some(7));
        assert_eq!(output.sampling.logit_bias[&3], -100.0);
        let greedy = super::tests::output(&json!({})).unwrap();
        assert_eq!(greedy.sampling, SamplingParams::default());
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        for (sent, field) in [
            (json!({"n": 2}), "n"),
            (json!({"presence_penalty": 1}), "presence_penalty"),
            (
                json!({"response_format": {"type": "json_object"}}),
                "response_format",
            ),
            (json!({"tools": [{}]}), "tools"),
            (
                json!({"max_tokens": 1, "max_completion_tokens": 2}),
                "max_tokens",
            ),
            (json!({"seed": -1}), "seed"),
            (json!({"logit_bias": {"a": 1}}), "logit_bias"),
            (json!({"top_k": -2}), "top_k"),
            (json!({"stream_options": {"other": 1}}), "stream_options"),
            (
                json!({"stream_options": {"include_usage": true}}),
                "stream_options.include_usage",
            ),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"reasoning_effort": "high"}), "reasoning_effort"),
            (json!({"beam_width": 3}), "beam_width"),
        ] {
            let error = output(&sent).unwrap_err();
            assert!(error.starts_with(field), "{sent}: {error}");
        }
    }
}
