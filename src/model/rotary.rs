//! Frequencies of the rotary embedding, by `rope_parameters` of config.json (`rope_scaling` before
//! transformers 5).
//!
//! Agrees with `modeling_rope_utils` of Hugging Face's transformers. Its `dynamic` kind changes
//! frequencies only beyond `max_position_embeddings`, and there by the longest sequence that the
//! process has read so far: a context ends before that here, since results must depend on the
//! request alone.

use serde::Deserialize;
use serde_json::Value;

use super::error::Error;
use super::fields;
use crate::nn::Frequencies;

/// The kinds that are computed.
const KINDS: [&str; 6] = ["default", "linear", "dynamic", "yarn", "longrope", "llama3"];

/// The fields of the parameters, by Hugging Face's names.
#[derive(Debug, Clone, Default, Deserialize)]
// A parameter that is not known would change angles without a word.
#[serde(default, deny_unknown_fields)]
struct Parameters {
    rope_type: Option<String>,
    r#type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    short_factor: Option<Vec<f64>>,
    long_factor: Option<Vec<f64>>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
}

/// Fields of a decoder's configuration that shape its rotary embedding.
#[derive(Debug)]
pub(super) struct Rotary<'a> {
    pub(super) model_type: &'a str,
    pub(super) rope_parameters: Option<&'a Value>,
    pub(super) rope_scaling: Option<&'a Value>,
    pub(super) rope_theta: f64,
    pub(super) partial_rotary_factor: Option<f64>,
    pub(super) original_max_position_embeddings: Option<usize>,
    pub(super) max_position_embeddings: usize,
    pub(super) head_dim: usize,
}

fn config<T>(message: String) -> Result<T, Error> {
    Err(Error::Config(format!("text_config: {message}")))
}

/// Returns a number that must be above 0.
fn positive(name: &str, value: Option<f64>) -> Result<f64, Error> {
    match value {
        Some(value) if value.is_finite() && value > 0.0 => Ok(value),
        Some(value) => config(format!("{name} {value}; a number above 0 is needed")),
        None => config(format!("{name} is missing; a number above 0 is needed")),
    }
}

impl Rotary<'_> {
    /// Returns the frequencies. Fails on an unknown kind, and on fields that are missing, unused or
    /// out of range.
    pub(super) fn frequencies(&self) -> Result<Frequencies, Error> {
        let parameters = self.parameters()?;
        let kind = self.kind(&parameters)?;
        refuse_unused(&parameters, kind)?;
        let theta = positive(
            "rope_theta",
            parameters.rope_theta.or(Some(self.rope_theta)),
        )?;
        let width = self.rotated(&parameters)?;
        let plain: Vec<f32> = (0..width / 2)
            .map(|i| 1.0 / power(theta, i, width))
            .collect();
        let original = self.original(&parameters)?;
        match kind {
            // As if positions were divided, which is how it was published (Chen et al. 2023).
            "linear" => {
                let factor = positive("rope_parameters: factor", parameters.factor)? as f32;
                Ok(fixed(plain.into_iter().map(|f| f / factor).collect()))
            }
            // Nothing changes before the end of the context, and nothing is read beyond it.
            "dynamic" => {
                positive("rope_parameters: factor", parameters.factor)?;
                Ok(fixed(plain))
            }
            "llama3" => Ok(fixed(llama3(&parameters, plain, original)?)),
            "yarn" => yarn(
                &parameters,
                theta,
                width,
                original,
                self.max_position_embeddings,
            ),
            "longrope" => longrope(
                &parameters,
                theta,
                width,
                original,
                self.max_position_embeddings,
            ),
            _ => Ok(fixed(plain)),
        }
    }

    /// Reads the parameters; those by type of layer, where all types have the same.
    fn parameters(&self) -> Result<Parameters, Error> {
        // Where both are given Hugging Face takes the older key.
        let older = self.rope_scaling.filter(|v| says_something(v));
        let newer = self.rope_parameters.filter(|v| says_something(v));
        let Some(mut value) = older.or(newer) else {
            return Ok(Parameters::default());
        };
        // transformers 5 writes a set for each type of layer where there are several types.
        if let Some(kinds) = value
            .as_object()
            .filter(|o| o.contains_key("full_attention"))
        {
            let mut each = kinds.values().filter(|v| !v.is_null());
            let first = each.next().unwrap_or(value);
            if each.any(|v| v != first) {
                return config(format!(
                    "rope_parameters differ by type of layer; {} has one set for all layers",
                    self.model_type
                ));
            }
            value = first;
        }
        fields::parse("rope_parameters", value).or_else(config)
    }

    fn kind<'p>(&self, parameters: &'p Parameters) -> Result<&'p str, Error> {
        let kind = parameters
            .rope_type
            .as_deref()
            .or(parameters.r#type.as_deref())
            .unwrap_or("default");
        // `Phi3Config` validates its rope type itself and knows no other.
        let valid: &[&str] = if self.model_type == "phi3" {
            &["default", "longrope"]
        } else {
            &KINDS
        };
        // Phi-3's files before transformers 4.43 call it so.
        let kind = if self.model_type == "phi3" && ["su", "yarn"].contains(&kind) {
            "longrope"
        } else {
            kind
        };
        if valid.contains(&kind) {
            return Ok(kind);
        }
        config(format!(
            "rope_type {kind:?}; {} has one of {}",
            self.model_type,
            valid.join(", ")
        ))
    }

    /// Says how many dimensions of a head are rotated.
    fn rotated(&self, parameters: &Parameters) -> Result<usize, Error> {
        let share = parameters
            .partial_rotary_factor
            .or(self.partial_rotary_factor)
            .unwrap_or(1.0);
        // Other classes of transformers rotate whole heads: they ignore the field, or fail on the
        // shapes.
        if share != 1.0 && self.model_type != "phi3" {
            return config(format!(
                "partial_rotary_factor {share}; {} rotates whole heads (1.0)",
                self.model_type
            ));
        }
        // Truncated as Python's `int(head_dim * partial_rotary_factor)`.
        let width = (self.head_dim as f64 * share) as usize;
        if !(0.0..=1.0).contains(&share) || width == 0 || !width.is_multiple_of(2) {
            return config(format!(
                "partial_rotary_factor {share} of heads {} wide; \
                 an even number of dimensions is needed",
                self.head_dim
            ));
        }
        Ok(width)
    }

    /// Returns the positions that the model was first trained on.
    fn original(&self, parameters: &Parameters) -> Result<usize, Error> {
        // A field beside the parameters wins in Hugging Face's code.
        let original = self
            .original_max_position_embeddings
            .or(parameters.original_max_position_embeddings);
        match original.unwrap_or(self.max_position_embeddings) {
            // The logarithm and the divisions by it below need a number above 0; the bound is that
            // of max_position_embeddings.
            found @ 1..=0x10_0000 => Ok(found),
            other => config(format!(
                "original_max_position_embeddings {other}; 1 to 1048576 is valid"
            )),
        }
    }
}

/// Fails on a parameter that the kind has no use for.
fn refuse_unused(parameters: &Parameters, kind: &str) -> Result<(), Error> {
    let p = parameters;
    let used: &[&str] = match kind {
        "linear" | "dynamic" => &["factor"],
        "llama3" => &["factor", "low_freq_factor", "high_freq_factor"],
        "yarn" => &[
            "factor",
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "mscale",
            "mscale_all_dim",
            "truncate",
        ],
        "longrope" => &["factor", "attention_factor", "short_factor", "long_factor"],
        _ => &[],
    };
    let given = [
        ("factor", p.factor.is_some()),
        ("attention_factor", p.attention_factor.is_some()),
        ("beta_fast", p.beta_fast.is_some()),
        ("beta_slow", p.beta_slow.is_some()),
        ("mscale", p.mscale.is_some()),
        ("mscale_all_dim", p.mscale_all_dim.is_some()),
        ("truncate", p.truncate.is_some()),
        ("short_factor", p.short_factor.is_some()),
        ("long_factor", p.long_factor.is_some()),
        ("low_freq_factor", p.low_freq_factor.is_some()),
        ("high_freq_factor", p.high_freq_factor.is_some()),
    ];
    match given
        .iter()
        .find(|(name, given)| *given && !used.contains(name))
    {
        Some((name, _)) => config(format!("rope_parameters: rope_type {kind:?} has no {name}")),
        None => Ok(()),
    }
}

/// Returns frequencies that no length of a sequence changes.
fn fixed(inverse: Vec<f32>) -> Frequencies {
    Frequencies {
        inverse,
        long: None,
        attention_factor: 1.0,
    }
}

fn says_something(value: &Value) -> bool {
    !value.is_null() && value.as_object().is_none_or(|object| !object.is_empty())
}

/// Returns `theta^(2 i / width)`, in f32: torch computes frequencies so, and at high positions one
/// more bit of theirs is another angle.
fn power(theta: f64, i: usize, width: usize) -> f32 {
    (theta as f32).powf(2.0 * i as f32 / width as f32)
}

/// Llama 3.1 (Grattafiori et al. 2024): long waves are stretched, short ones kept, those between
/// blended.
fn llama3(parameters: &Parameters, plain: Vec<f32>, original: usize) -> Result<Vec<f32>, Error> {
    let factor = positive("rope_parameters: factor", parameters.factor)? as f32;
    let low = positive(
        "rope_parameters: low_freq_factor",
        parameters.low_freq_factor,
    )? as f32;
    let high = positive(
        "rope_parameters: high_freq_factor",
        parameters.high_freq_factor,
    )? as f32;
    if high <= low {
        return config(format!(
            "rope_parameters: high_freq_factor {high} is not above low_freq_factor {low}"
        ));
    }
    let (original, waves) = (original as f32, (low, high));
    let stretched = plain
        .into_iter()
        .map(|f| stretched(f, factor, waves, original));
    Ok(stretched.collect())
}

/// Stretches a frequency by how often its wave fits into the positions of the first training.
fn stretched(f: f32, factor: f32, (low, high): (f32, f32), original: f32) -> f32 {
    let wave = 2.0 * std::f32::consts::PI / f;
    let smooth = (original / wave - low) / (high - low);
    // In f32 and in this order, as transformers computes it: one bit more is another angle at
    // position 100,000.
    if wave < original / high {
        f
    } else if wave > original / low {
        f / factor
    } else {
        (1.0 - smooth) * f / factor + smooth * f
    }
}

/// Returns a field of a configuration, where Hugging Face takes a 0 for one that is not there.
fn given(value: Option<f64>) -> Option<f64> {
    value.filter(|v| *v != 0.0)
}

/// Returns what YaRN multiplies cosines and sines by.
fn yarn_attention(parameters: &Parameters, factor: f64) -> f64 {
    let weights = (given(parameters.mscale), given(parameters.mscale_all_dim));
    match (parameters.attention_factor, weights) {
        (Some(given), _) => given,
        (None, (Some(one), Some(all))) => yarn_scale(factor, one) / yarn_scale(factor, all),
        (None, _) => yarn_scale(factor, 1.0),
    }
}

/// Returns equation 22 of YaRN's paper, for a given weight.
fn yarn_scale(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * mscale * factor.ln() + 1.0
    }
}

/// Returns the length of a wave that turns `turns` times within `original` positions, over 2 pi.
fn turned(original: usize, turns: f64) -> f64 {
    original as f64 / (turns * 2.0 * std::f64::consts::PI)
}

/// Returns by how much positions are stretched, beyond the `original` ones of the first training.
fn stretch(parameters: &Parameters, original: usize, positions: usize) -> Result<f64, Error> {
    let implied = positions as f64 / original as f64;
    positive(
        "rope_parameters: factor",
        Some(parameters.factor.unwrap_or(implied)),
    )
}

/// YaRN (Peng et al. 2023).
fn yarn(
    parameters: &Parameters,
    theta: f64,
    width: usize,
    original: usize,
    positions: usize,
) -> Result<Frequencies, Error> {
    let factor = stretch(parameters, original, positions)?;
    let attention_factor = yarn_attention(parameters, factor);
    let attention_factor = positive("rope_parameters: attention_factor", Some(attention_factor))?;
    // Dimensions that turn 32 times or more in the first training stay as they are; those that turn
    // less than once are stretched in whole.
    let fast = given(parameters.beta_fast).unwrap_or(32.0);
    let fast = positive("rope_parameters: beta_fast", Some(fast))?;
    let slow = given(parameters.beta_slow).unwrap_or(1.0);
    let slow = positive("rope_parameters: beta_slow", Some(slow))?;
    // transformers' `find_correction_dim`: the index whose wave turns so often within the first
    // training.
    let turning = |turns: f64| width as f64 * turned(original, turns).ln() / (2.0 * theta.ln());
    let (mut low, mut high) = (turning(fast), turning(slow));
    // Absent means true: only gpt-oss writes `truncate: false`.
    if parameters.truncate != Some(false) {
        (low, high) = (low.floor(), high.ceil());
    }
    // The bound is `dim - 1` in transformers too, though there are only `dim / 2` frequencies.
    let (low, mut high) = (low.max(0.0), high.min(width as f64 - 1.0));
    // The division below; transformers adds as much.
    if low == high {
        high += 0.001;
    }
    let inverse = (0..width / 2).map(|i| {
        let power = power(theta, i, width);
        // A ramp: 1 up to `low`, where frequencies stay, 0 from `high` on, where they are stretched
        // in whole.
        let kept = 1.0 - ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        1.0 / (factor as f32 * power) * (1.0 - kept) + 1.0 / power * kept
    });
    Ok(Frequencies {
        inverse: inverse.collect(),
        long: None,
        attention_factor,
    })
}

/// LongRoPE (Ding et al. 2024), as Phi-3 has it.
fn longrope(
    parameters: &Parameters,
    theta: f64,
    width: usize,
    original: usize,
    positions: usize,
) -> Result<Frequencies, Error> {
    let factor = stretch(parameters, original, positions)?;
    // What transformers computes where config.json gives no `attention_factor`.
    let grown = if factor <= 1.0 {
        1.0
    } else {
        (1.0 + factor.ln() / (original as f64).ln()).sqrt()
    };
    let attention_factor = parameters.attention_factor.unwrap_or(grown);
    let divided = |name, factors| divided(name, factors, theta, width);
    Ok(Frequencies {
        inverse: divided("short_factor", parameters.short_factor.as_ref())?,
        // Which of the two a sequence has depends on its length: see `Rope::row`.
        long: Some((
            original,
            divided("long_factor", parameters.long_factor.as_ref())?,
        )),
        attention_factor: positive("rope_parameters: attention_factor", Some(attention_factor))?,
    })
}

/// Returns the frequencies divided by one factor each.
fn divided(
    name: &str,
    factors: Option<&Vec<f64>>,
    theta: f64,
    width: usize,
) -> Result<Vec<f32>, Error> {
    let factors = factors.map_or(&[][..], Vec::as_slice);
    if factors.len() != width / 2 || !factors.iter().all(|f| f.is_finite() && *f > 0.0) {
        let (found, needed) = (factors.len(), width / 2);
        return config(format!(
            "rope_parameters: {name} of {found} numbers; {needed} numbers above 0 are needed"
        ));
    }
    let factors = factors.iter().enumerate();
    Ok(factors
        .map(|(i, f)| 1.0 / (*f as f32 * power(theta, i, width)))
        .collect())
}
