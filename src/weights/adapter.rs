//! Low-rank adapters (Hu et al. 2021) as PEFT writes them: adapter_config.json, and pairs `lora_A`,
//! `lora_B` by the module that they change. Knows which module gets which scale; the product is
//! made when a tensor is read.
//!
//! Agrees with `merge_and_unload` of PEFT's `LoraModel`, weight-decomposed adapters (Liu et al.
//! 2024) included.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{DType, Tensor};
use regex::Regex;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Error;

/// An addition to a tensor of the base, by the adapter's names of tensors.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Update {
    /// `lora_A (r, in)`, or of an embedding `(r, V)`.
    pub(super) a: Option<String>,
    /// `lora_B (out, r)`, or of an embedding `(D, r)`.
    pub(super) b: Option<String>,
    /// The length of each row in DoRA, `(out)`.
    pub(super) magnitude: Option<String>,
    /// Tells whether the product has to be turned over: `(D, V)` to `(V, D)`.
    pub(super) embedding: bool,
}

/// `scale B A`, added to a weight; with magnitudes its rows are then scaled to them. `T` says where
/// a tensor is.
#[derive(Debug)]
pub(super) struct Delta<T> {
    pub(super) a: T,
    pub(super) b: T,
    pub(super) magnitude: Option<T>,
    pub(super) embedding: bool,
    pub(super) scale: f64,
}

impl<T> Delta<T> {
    /// Computes `base + scale B A` in f32, of the shape of `base`; of DoRA with rows of the given
    /// lengths.
    /// The outer error is that of reading, the inner the device's.
    pub(super) fn merge(
        &self,
        base: Tensor,
        read: impl Fn(&T) -> Result<Tensor, Error>,
    ) -> Result<candle_core::Result<Tensor>, Error> {
        let (a, b) = (read(&self.a)?, read(&self.b)?);
        let magnitude = self.magnitude.as_ref().map(read).transpose()?;
        Ok(self.sum(base, &a, &b, magnitude))
    }

    fn sum(
        &self,
        base: Tensor,
        a: &Tensor,
        b: &Tensor,
        magnitude: Option<Tensor>,
    ) -> candle_core::Result<Tensor> {
        // In f32 whatever the files have, and rounded once behind: PEFT merges in the weight's
        // dtype, which in half precision loses bits of small updates.
        // A convolution's factors have four dimensions: (r, in, k, k) and (out, r, 1, 1).
        let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_from(1);
        let update = (flat(b)?.matmul(&flat(a)?)? * self.scale)?; // (out, in)
        let update = if self.embedding { update.t()? } else { update };
        let merged = (flat(&base)? + update)?;
        let merged = match magnitude {
            Some(magnitude) => {
                // Of the merged rows, as DoRA defines it, not of the base's.
                let length = merged.sqr()?.sum_keepdim(1)?.sqrt()?; // (out, 1)
                merged.broadcast_mul(
                    &magnitude
                        .to_dtype(DType::F32)?
                        .reshape(length.shape())?
                        .div(&length)?,
                )?
            }
            None => merged,
        };
        merged.reshape(base.shape())
    }
}

/// The purpose of an adapter's tensor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Part of the update of a module's weight.
    A,
    B,
    EmbeddingA,
    EmbeddingB,
    Magnitude,
    /// Stands in place of the base's tensor of that name.
    Replacement,
}

/// adapter_config.json: the fields that say what is merged. All others are checked by
/// [`Config::parse`].
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    #[serde(default = "eight")]
    r: usize,
    #[serde(default = "eight_alpha")]
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    target_modules: Value,
    #[serde(default)]
    rank_pattern: Option<Patterns>,
    #[serde(default)]
    alpha_pattern: Option<Patterns>,
}

/// Values by pattern, in the order of the file: of several that fit, PEFT takes the first.
#[derive(Debug)]
struct Patterns(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PatternsVisitor)
    }
}

struct PatternsVisitor;

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = Patterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by pattern")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Patterns, A::Error> {
        let mut patterns: Vec<(String, Value)> = Vec::new();
        while let Some((pattern, value)) = map.next_entry()? {
            if patterns.iter().any(|(known, _)| *known == pattern) {
                return Err(A::Error::custom(format!("pattern {pattern} occurs twice")));
            }
            patterns.push((pattern, value));
        }
        Ok(Patterns(patterns))
    }
}

// PEFT's defaults.
fn eight() -> usize {
    8
}

fn eight_alpha() -> f64 {
    8.0
}

/// Fields that say how an adapter was trained or where it came from, and change no number of what
/// is merged. `fan_in_fan_out` is one of them: PEFT unsets it for linear layers, and models here
/// have no others.
const HARMLESS: &[&str] = &[
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_dora",
    "use_rslora",
];

/// Ways to initialise an adapter that leave the base as it is.
const HARMLESS_STARTS: &[&str] = &["gaussian", "eva", "orthogonal"];

impl Config {
    /// Parses adapter_config.json; a field that would change the numbers and is not known is an
    /// error that names it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let damaged = |e: serde_json::Error| invalid_config(e.to_string());
        let json: Value = serde_json::from_slice(text).map_err(damaged)?;
        let fields = json
            .as_object()
            .ok_or_else(|| invalid_config("not an object".into()))?;
        if json["peft_type"]
            .as_str()
            .is_some_and(|kind| kind != "LORA")
        {
            return Err(invalid_config(format!(
                "peft_type {}; LORA is supported",
                json["peft_type"]
            )));
        }
        for (field, value) in fields {
            // PEFT writes all fields of its class; unset ones name features that this adapter does
            // not use.
            let unset = match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(items) => items.is_empty(),
                _ => false,
            };
            let start = field == "init_lora_weights"
                && (value == true
                    || value
                        .as_str()
                        .is_some_and(|start| HARMLESS_STARTS.contains(&start)));
            if !unset && !start && !HARMLESS.contains(&field.as_str()) {
                return Err(invalid_config(format!("{field} {value} is not supported")));
            }
        }
        // Of the text, whose order a `Value` has lost.
        let config: Self = serde_json::from_slice(text).map_err(damaged)?;
        // The scale is alpha / r.
        if config.r == 0 || !config.lora_alpha.is_finite() {
            return Err(invalid_config(format!(
                "r {} with lora_alpha {}",
                config.r, config.lora_alpha
            )));
        }
        Ok(config)
    }

    /// Returns rank and scale of the adapter's module `module`.
    pub(super) fn scale(&self, module: &str) -> Result<(usize, f64), Error> {
        let rank = match matching(self.rank_pattern.as_ref(), "rank_pattern", module)? {
            None => self.r,
            Some(value) => value
                .as_u64()
                .filter(|r| *r > 0)
                .ok_or_else(|| Error::Adapter {
                    reason: format!("adapter_config.json: rank_pattern: {value} is no rank"),
                })? as usize,
        };
        let alpha = match matching(self.alpha_pattern.as_ref(), "alpha_pattern", module)? {
            None => self.lora_alpha,
            Some(value) => value.as_f64().ok_or_else(|| Error::Adapter {
                reason: format!("adapter_config.json: alpha_pattern: {value} is no number"),
            })?,
        };
        let rows = rank as f64;
        Ok((
            rank,
            alpha / if self.use_rslora { rows.sqrt() } else { rows },
        ))
    }

    /// Fails on a module that `target_modules` does not name: PEFT would leave its tensors unused.
    pub(super) fn check_target(&self, module: &str) -> Result<(), Error> {
        let ends = |suffix: &str| ends_with_name(module, suffix);
        let named = match &self.target_modules {
            Value::Null => true,
            Value::String(all) if all == "all-linear" => true,
            Value::String(pattern) => {
                // `re.fullmatch` in PEFT.
                regex("target_modules", &format!("^(?:{pattern})$"))?.is_match(module)
            }
            Value::Array(names) => names.iter().filter_map(Value::as_str).any(ends),
            _ => false,
        };
        if named {
            return Ok(());
        }
        Err(Error::Adapter {
            reason: format!(
                "module {module} has tensors, and target_modules of adapter_config.json does not \
                 name it"
            ),
        })
    }

    /// Fails where a weight-decomposed adapter lacks its magnitudes, or another has them.
    pub(super) fn check_magnitude(&self, module: &str, has: bool) -> Result<(), Error> {
        if self.use_dora == has {
            return Ok(());
        }
        Err(Error::Adapter {
            reason: format!(
                "module {module}: use_dora {} and lora_magnitude_vector {has}",
                self.use_dora
            ),
        })
    }
}

fn regex(field: &str, pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|e| Error::Adapter {
        reason: format!("adapter_config.json: {field}: {e}"),
    })
}

/// Returns the value of the first pattern that a module's name ends with.
fn matching<'a>(
    patterns: Option<&'a Patterns>,
    field: &str,
    module: &str,
) -> Result<Option<&'a Value>, Error> {
    for (pattern, value) in patterns.into_iter().flat_map(|patterns| &patterns.0) {
        // PEFT's `get_pattern_key`: the pattern is an ending behind a point, and the first that
        // fits counts.
        if regex(field, &format!("^(?:.*\\.)?(?:{pattern})$"))?.is_match(module) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Returns the module (or, of a replacement, the tensor) of the base that an adapter's tensor is
/// for, as the adapter spells it.
pub(super) fn role(name: &str) -> (String, Role) {
    let name = name
        .strip_prefix("base_model.model.")
        .or_else(|| name.strip_prefix("base_model."))
        .unwrap_or(name);
    let name = name
        .strip_suffix(".default")
        .unwrap_or(name)
        // PEFT's name of an adapter that was given none.
        .replace(".default.", ".");
    for (suffix, role) in [
        (".lora_A.weight", Role::A),
        (".lora_B.weight", Role::B),
        (".lora_embedding_A", Role::EmbeddingA),
        (".lora_embedding_B", Role::EmbeddingB),
        (".lora_magnitude_vector.weight", Role::Magnitude),
        (".lora_magnitude_vector", Role::Magnitude),
    ] {
        if let Some(module) = name.strip_suffix(suffix) {
            return (module.to_owned(), role);
        }
    }
    // Parameters beside an adapter: trained whole.
    (
        name.replace(".modules_to_save.", ".")
            .replace(".base_layer.", "."),
        Role::Replacement,
    )
}

/// The updates of an adapter by module, and its replacements (the base's tensor, the adapter's name
/// of it).
type Sorted = (BTreeMap<String, Update>, Vec<(String, String)>);

/// Sorts the names of an adapter's tensors by what they are for.
pub(super) fn sort<'a>(names: impl Iterator<Item = &'a String>) -> Result<Sorted, Error> {
    let (mut updates, mut replacements) = (BTreeMap::<String, Update>::new(), Vec::new());
    for name in names {
        let (module, role) = role(name);
        if role == Role::Replacement {
            // Trained biases of `lora_B`, tokens beside an embedding: they would change the sum.
            if module.contains("lora_") || module.contains("token_adapter") {
                return Err(Error::Adapter {
                    reason: format!("tensor {name} is of a kind that is not supported"),
                });
            }
            replacements.push((module, name.clone()));
            continue;
        }
        let update = updates.entry(module).or_default();
        update.embedding |= matches!(role, Role::EmbeddingA | Role::EmbeddingB);
        let place = match role {
            Role::A | Role::EmbeddingA => &mut update.a,
            Role::B | Role::EmbeddingB => &mut update.b,
            _ => &mut update.magnitude,
        };
        if let Some(other) = place.replace(name.clone()) {
            return Err(Error::Adapter {
                reason: format!("tensors {other} and {name} are the same"),
            });
        }
    }
    Ok((updates, replacements))
}

/// Returns an error of adapter_config.json.
fn invalid_config(reason: String) -> Error {
    Error::Adapter {
        reason: format!("adapter_config.json: {reason}"),
    }
}

/// Tells whether `module` is `suffix`, or ends in it behind a point.
fn ends_with_name(module: &str, suffix: &str) -> bool {
    let rest = module.strip_suffix(suffix);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Config, Error, Role, role};

    fn parse(json: &Value) -> Result<Config, Error> {
        Config::parse(json.to_string().as_bytes())
    }

    #[test]
    fn names_of_all_versions() {
        let module = "language_model.model.layers.0.self_attn.q_proj";
        for (name, expected) in [
            ("base_model.model.{}.lora_A.weight", Role::A),
            ("base_model.model.{}.lora_B.default.weight", Role::B),
            ("{}.lora_embedding_A.default", Role::EmbeddingA),
            ("base_model.model.{}.lora_magnitude_vector", Role::Magnitude),
            (
                "base_model.model.{}.lora_magnitude_vector.default.weight",
                Role::Magnitude,
            ),
        ] {
            assert_eq!(
                role(&name.replace("{}", module)),
                (module.to_owned(), expected)
            );
        }
        for name in [
            "base_model.model.x.linear_1.weight",
            "base_model.model.x.linear_1.modules_to_save.default.weight",
        ] {
            assert_eq!(
                role(name),
                ("x.linear_1.weight".to_owned(), Role::Replacement)
            );
        }
    }

    #[test]
    fn scales() {
        let config = parse(&json!({
            "peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": true, "lora_dropout": 0.1,
            "rank_pattern": {"layers.1.self_attn.q_proj": 16}, "alpha_pattern": {".*k_proj": 2.0},
        }))
        .unwrap();
        assert_eq!(
            config.scale("m.layers.0.self_attn.q_proj").unwrap(),
            (4, 4.0)
        );
        assert_eq!(
            config.scale("m.layers.1.self_attn.q_proj").unwrap(),
            (16, 2.0)
        );
        assert_eq!(
            config.scale("m.layers.1.self_attn.k_proj").unwrap(),
            (4, 1.0)
        );
    }

    #[test]
    fn of_several_patterns_the_first_in_the_file_counts() {
        let module = "model.layers.0.self_attn.q_proj";
        for (patterns, alpha) in [
            (r#"{"q_proj": 16, "layers.0.self_attn.q_proj": 32}"#, 16.0),
            (r#"{"layers.0.self_attn.q_proj": 32, "q_proj": 16}"#, 32.0),
        ] {
            let text = format!(r#"{{"r": 8, "alpha_pattern": {patterns}}}"#);
            let config = Config::parse(text.as_bytes()).unwrap();
            assert_eq!(config.scale(module).unwrap(), (8, alpha / 8.0));
        }
        let twice = br#"{"rank_pattern": {"q_proj": 16, "q_proj": 4}}"#;
        let error = Config::parse(twice).unwrap_err().to_string();
        assert!(error.contains("pattern q_proj occurs twice"), "{error}");
    }

    #[test]
    fn what_would_change_the_numbers_is_named() {
        for (field, value) in [
            ("use_qalora", json!(true)),
            ("layer_replication", json!([[0, 2]])),
            ("init_lora_weights", json!("pissa")),
            ("lora_bias", json!(true)),
            ("a_field_of_tomorrow", json!({"x": 1})),
            ("peft_type", json!("LOHA")),
        ] {
            let error = parse(&json!({ field: value })).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let config = parse(&json!({ "target_modules": ["q_proj"], "loftq_config": {} })).unwrap();
        assert!(config.check_target("layers.0.q_proj").is_ok());
        assert!(config.check_target("layers.0.xq_proj").is_err());
        assert!(config.check_magnitude("layers.0.q_proj", true).is_err());
    }
}
