//! Configurations of sparse autoencoders, as three libraries write them.
//!
//! | library | files | which it is |
//! |---|---|---|
//! | SAELens | cfg.json, sae_weights.safetensors | `architecture` |
//! | dictionary_learning | config.json, ae.pt or ae.safetensors | `trainer.dict_class` |
//! | sparsify | cfg.json, sae.safetensors | `num_latents` or `expansion_factor` |
//!
//! A field that says nothing of the arithmetic is passed over by its name; one that is not known,
//! or says what is not read, is an error that names it.

use serde_json::{Map, Value};

/// The library whose layout a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// SAELens, since version 3.
    SaeLens,
    /// dictionary_learning, of saprmarks.
    DictionaryLearning,
    /// sparsify, of EleutherAI.
    Sparsify,
}

/// Says how features follow from the encoder's product p.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaeActivation {
    /// `relu(p)`.
    Relu,
    /// `relu(p)` where it is among the k largest, else 0.
    TopK(usize),
    /// `relu(p)` where p is above the feature's threshold, else 0.
    JumpRelu,
    /// The same with one threshold for all, which stood for a top k over batches in training.
    BatchTopK,
    /// `relu(exp(r) p + b_mag)` where `p + b_gate` is above 0, else 0.
    Gated,
}

/// Says what is done to a row before it is encoded, and undone after it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Normalize {
    /// Nothing.
    None,
    /// Scales it to the norm `sqrt(width)`.
    ConstantNorm,
    /// Mean 0 and standard deviation 1 (of a sample, n - 1), 1e-5 added to the deviation.
    LayerNorm,
}

/// Holds what a configuration says.
#[derive(Debug, Clone)]
pub(super) struct SaeConfig {
    pub(super) layout: Layout,
    /// The class, as its library spells it.
    pub(super) class: String,
    /// Width of the rows that it reads.
    pub(super) width: usize,
    /// Number of features.
    pub(super) features: usize,
    pub(super) rule: SaeActivation,
    pub(super) normalize: Normalize,
    /// The decoder's bias is taken from a row before it is encoded.
    pub(super) centres: bool,
    /// Features are chosen, and told, in units of their directions' norms.
    pub(super) by_norm: bool,
    /// The hook point, as the library spells it.
    pub(super) hook: Option<String>,
    /// Sizes of the nested prefixes of a Matryoshka autoencoder.
    pub(super) prefixes: Vec<usize>,
    /// The width of what a transcoder writes, elsewhere than it reads.
    pub(super) writes: Option<usize>,
    /// A transcoder has a linear way past its features.
    pub(super) skips: bool,
}

/// Most numbers of one dimension, so that products of sizes do not overflow.
const MAX_SIZE: u64 = 1 << 28;

impl SaeConfig {
    /// Reads the configuration of a folder's `cfg.json` or `config.json`.
    pub(super) fn read(json: &Value) -> Result<Self, String> {
        let Value::Object(fields) = json else {
            return Err("not an object".into());
        };
        // Told apart by a field that the other two libraries do not write.
        let config = if fields.contains_key("trainer") {
            dictionary_learning(fields)
        } else if fields.contains_key("num_latents")
            || fields.contains_key("expansion_factor") && !fields.contains_key("d_sae")
        {
            sparsify(fields)
        } else {
            sae_lens(fields)
        }?;
        if let SaeActivation::TopK(k) = config.rule
            && !(1..=config.features).contains(&k)
        {
            return Err(format!(
                "k {k} is not in 1 to the {} features",
                config.features
            ));
        }
        Ok(config)
    }
}

/// Fields of SAELens's configurations that are read, or that say where an autoencoder comes from, not
/// what it computes; before version 6 these stood at the top.
const SAE_LENS_FIELDS: &[&str] = &[
    "dtype",
    "device",
    "metadata",
    "architecture",
    "d_in",
    "d_sae",
    "apply_b_dec_to_input",
    "normalize_activations",
    "reshape_activations",
    "k",
    "rescale_acts_by_decoder_norm",
    "d_out",
    "hook_name",
    "hook_point",
    "hook_name_out",
    "activation_fn",
    "activation_fn_str",
    "activation_fn_kwargs",
    "finetuning_scaling_factor",
    "model_name",
    "model_class_name",
    "hook_layer",
    "hook_layer_out",
    "hook_point_layer",
    "hook_head_index",
    "hook_head_index_out",
    "hook_point_head_index",
    "hf_hook_name",
    "hf_hook_name_out",
    "prepend_bos",
    "context_size",
    "dataset_path",
    "dataset_trust_remote_code",
    "sae_lens_version",
    "sae_lens_training_version",
    "neuronpedia_id",
    "model_from_pretrained_kwargs",
    "exclude_special_tokens",
    "seqpos_slice",
];

fn sae_lens(fields: &Map<String, Value>) -> Result<SaeConfig, String> {
    check_names(fields, SAE_LENS_FIELDS, "SAELens")?;
    let text = |name: &str| anywhere(fields, name).and_then(Value::as_str);
    if flag(fields, "finetuning_scaling_factor", false)? {
        return Err("finetuning_scaling_factor true is not read; fold it into the weights".into());
    }
    let head = anywhere(fields, "hook_head_index");
    if let Some(head) = head.or_else(|| anywhere(fields, "hook_point_head_index"))
        && !head.is_null()
    {
        return Err(format!(
            "hook_head_index {head}: an autoencoder of one head is not read"
        ));
    }
    let activation = text("activation_fn").or_else(|| text("activation_fn_str"));
    let class = match (activation, text("architecture").unwrap_or("standard")) {
        (None | Some("relu"), class) => class,
        // Before version 6 a top k was an activation, and the architecture stayed as it was.
        (Some("topk"), "standard" | "topk") => "topk",
        (Some(other), _) => {
            return Err(format!(
                "activation_fn {other} is not read; relu and topk are"
            ));
        }
    };
    let rule = sae_lens_rule(class, fields)?;
    check_used(class, fields)?;
    let is_transcoder = class.contains("transcoder");
    let normalize = sae_lens_normalize(fields)?;
    if is_transcoder && normalize != Normalize::None {
        return Err("normalize_activations of a transcoder is not read".into());
    }
    // `hook_z` puts heads end to end, as rows with heads are read in any case.
    match text("reshape_activations").unwrap_or("none") {
        "none" | "hook_z" => {}
        other => {
            return Err(format!(
                "reshape_activations {other}; none and hook_z are read"
            ));
        }
    }
    let hook = text("hook_name").or_else(|| text("hook_point"));
    Ok(SaeConfig {
        layout: Layout::SaeLens,
        width: size(fields, "d_in")?,
        features: size(fields, "d_sae")?,
        rule,
        normalize,
        // The default of SAELens, before 6 and since.
        centres: flag(fields, "apply_b_dec_to_input", !is_transcoder)?,
        by_norm: flag(fields, "rescale_acts_by_decoder_norm", false)?,
        hook: hook.map(str::to_owned),
        prefixes: Vec::new(),
        writes: is_transcoder.then(|| size(fields, "d_out")).transpose()?,
        skips: class.contains("skip"),
        class: class.to_owned(),
    })
}

/// Returns a field, which may stand under `metadata`.
fn anywhere<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let metadata = fields.get("metadata").and_then(Value::as_object);
    fields.get(name).or_else(|| metadata?.get(name))
}

fn sae_lens_rule(class: &str, fields: &Map<String, Value>) -> Result<SaeActivation, String> {
    match class {
        "standard" | "transcoder" | "skip_transcoder" => Ok(SaeActivation::Relu),
        "topk" => {
            let kwargs = fields
                .get("activation_fn_kwargs")
                .and_then(Value::as_object);
            // Where a top k is an activation, its k stands here; where it is an architecture, at
            // the top.
            let kwargs = kwargs.filter(|kwargs| kwargs.contains_key("k"));
            Ok(SaeActivation::TopK(size(kwargs.unwrap_or(fields), "k")?))
        }
        "jumprelu" | "jumprelu_transcoder" | "jumprelu_skip_transcoder" => {
            Ok(SaeActivation::JumpRelu)
        }
        "gated" => Ok(SaeActivation::Gated),
        "batchtopk" | "matryoshka_batchtopk" => Err(format!(
            "architecture {class} is a training checkpoint; save_inference_model writes it as \
             jumprelu"
        )),
        other => Err(format!(
            "architecture {other} is not read; standard, topk, jumprelu, gated, transcoder, \
             skip_transcoder, jumprelu_transcoder and jumprelu_skip_transcoder are"
        )),
    }
}

/// Fails on a field that says something of the arithmetic of another class than `class`.
fn check_used(class: &str, fields: &Map<String, Value>) -> Result<(), String> {
    let is_topk = class == "topk";
    for (name, used_by, is_used) in [
        ("k", "topk", is_topk),
        ("activation_fn_kwargs", "topk", is_topk),
        ("rescale_acts_by_decoder_norm", "topk", is_topk),
        ("d_out", "transcoders", class.contains("transcoder")),
    ] {
        if !is_used && fields.get(name).is_some_and(says_something) {
            let value = &fields[name];
            return Err(format!(
                "{name} is {value}, and architecture {class} has no use for it; {name} is of \
                 {used_by}"
            ));
        }
    }
    let kwargs = fields.get("activation_fn_kwargs");
    let Some(kwargs) = kwargs.and_then(Value::as_object) else {
        return Ok(());
    };
    match kwargs.keys().find(|name| *name != "k") {
        Some(other) => Err(format!("activation_fn_kwargs.{other} is not read; k is")),
        None => Ok(()),
    }
}

/// Returns whether a value is more than a way to write that there is none.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

fn sae_lens_normalize(fields: &Map<String, Value>) -> Result<Normalize, String> {
    match fields.get("normalize_activations") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Normalize::None),
        Some(Value::String(text)) => match text.as_str() {
            "none" => Ok(Normalize::None),
            "constant_norm_rescale" => Ok(Normalize::ConstantNorm),
            "layer_norm" => Ok(Normalize::LayerNorm),
            other => Err(unfolded(other)),
        },
        Some(other) => Err(unfolded(&other.to_string())),
    }
}

fn unfolded(value: &str) -> String {
    format!(
        "normalize_activations {value} is not read; none, constant_norm_rescale and layer_norm \
         are: fold the factor into the weights (fold_activation_norm_scaling_factor)"
    )
}

fn dictionary_learning(fields: &Map<String, Value>) -> Result<SaeConfig, String> {
    // `buffer` says what it was trained on.
    if let Some(name) = fields
        .keys()
        .find(|name| !["trainer", "buffer"].contains(&name.as_str()))
    {
        return Err(format!(
            "{name} is not a field of dictionary_learning's configurations"
        ));
    }
    let trainer = fields.get("trainer").and_then(Value::as_object);
    let trainer = trainer.ok_or("trainer is not an object")?;
    let class = trainer.get("dict_class").and_then(Value::as_str);
    let class = class.ok_or("trainer.dict_class is missing")?;
    let (rule, centres) = match class {
        "AutoEncoder" => (SaeActivation::Relu, true),
        "AutoEncoderNew" => (SaeActivation::Relu, false),
        "GatedAutoEncoder" => (SaeActivation::Gated, true),
        "AutoEncoderTopK" => (SaeActivation::TopK(size(trainer, "k")?), true),
        "BatchTopKSAE" | "MatryoshkaBatchTopKSAE" => (SaeActivation::BatchTopK, true),
        "JumpReluAutoEncoder" => (SaeActivation::JumpRelu, false),
        other => {
            return Err(format!(
                "trainer.dict_class {other} is not read; AutoEncoder, AutoEncoderNew, \
                 GatedAutoEncoder, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE and \
                 JumpReluAutoEncoder are"
            ));
        }
    };
    // BatchTopK was trained with it, and keeps a threshold in its place.
    if !class.contains("TopK") && trainer.get("k").is_some_and(says_something) {
        let k = &trainer["k"];
        return Err(format!("trainer.k is {k}, and {class} has no use for it"));
    }
    let features = size(trainer, "dict_size")?;
    let prefixes = prefixes(trainer.get("group_sizes"), features)?;
    let hook = trainer.get("submodule_name").and_then(Value::as_str);
    Ok(SaeConfig {
        layout: Layout::DictionaryLearning,
        class: class.to_owned(),
        width: size(trainer, "activation_dim")?,
        features,
        rule,
        normalize: Normalize::None,
        centres,
        by_norm: false,
        hook: hook.map(str::to_owned),
        prefixes,
        writes: None,
        skips: false,
    })
}

/// Returns how many features the nested prefixes have, of the sizes of their differences.
fn prefixes(sizes: Option<&Value>, features: usize) -> Result<Vec<usize>, String> {
    let Some(sizes) = sizes.and_then(Value::as_array) else {
        return Ok(Vec::new());
    };
    let mut end = 0_u64;
    let mut prefixes = Vec::with_capacity(sizes.len().min(features));
    for size in sizes {
        let size = size.as_u64().filter(|size| (1..=MAX_SIZE).contains(size));
        end += size.ok_or("trainer.group_sizes holds what is no size")?;
        // More cannot add up any more; nothing is kept of a list that goes on and on.
        if end > features as u64 {
            break;
        }
        prefixes.push(end as usize);
    }
    if end == features as u64 {
        Ok(prefixes)
    } else {
        Err(format!(
            "trainer.group_sizes do not add up to dict_size {features}"
        ))
    }
}

/// Fields of sparsify's configurations that are read, or change nothing.
const SPARSIFY_FIELDS: [&str; 12] = [
    "activation",
    "expansion_factor",
    "normalize_decoder",
    "num_latents",
    "k",
    "multi_topk",
    "skip_connection",
    "transcode",
    "d_in",
    "signed",
    "auxk_alpha",
    "hookpoint",
];

fn sparsify(fields: &Map<String, Value>) -> Result<SaeConfig, String> {
    check_names(fields, &SPARSIFY_FIELDS, "sparsify")?;
    let activation = fields.get("activation").and_then(Value::as_str);
    if let Some(other) = activation.filter(|activation| *activation != "topk") {
        return Err(format!("activation {other} is not read; topk is"));
    }
    if flag(fields, "signed", false)? {
        return Err("signed true is not read".into());
    }
    let width = size(fields, "d_in")?;
    let latents = fields
        .get("num_latents")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    // sparsify writes 0 where `expansion_factor` decides.
    let features = if latents == 0 {
        width.saturating_mul(size(fields, "expansion_factor")?)
    } else {
        size(fields, "num_latents")?
    };
    let transcodes = flag(fields, "transcode", false)?;
    Ok(SaeConfig {
        layout: Layout::Sparsify,
        class: if transcodes {
            "transcoder"
        } else {
            "sparse coder"
        }
        .to_owned(),
        width,
        features,
        rule: SaeActivation::TopK(size(fields, "k")?),
        normalize: Normalize::None,
        // sparsify takes `b_dec` from its input unless it transcodes.
        centres: !transcodes,
        by_norm: false,
        hook: fields
            .get("hookpoint")
            .and_then(Value::as_str)
            .map(str::to_owned),
        prefixes: Vec::new(),
        // Elsewhere than it reads, but as wide: `W_skip` and `W_dec` have no other width.
        writes: transcodes.then_some(width),
        skips: flag(fields, "skip_connection", false)?,
    })
}

/// Fails on a field that is not in `known`, which are those of `library`.
fn check_names(fields: &Map<String, Value>, known: &[&str], library: &str) -> Result<(), String> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!(
            "{name} is not a field that is read of {library}'s configurations"
        )),
    }
}

fn size(fields: &Map<String, Value>, name: &str) -> Result<usize, String> {
    let value = fields
        .get(name)
        .ok_or_else(|| format!("{name} is missing"))?;
    let size = value.as_u64().filter(|size| (1..=MAX_SIZE).contains(size));
    let size = size.ok_or_else(|| format!("{name} is {value}; 1 to {MAX_SIZE} is read"))?;
    Ok(size as usize)
}

fn flag(fields: &Map<String, Value>, name: &str, default: bool) -> Result<bool, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(format!("{name} is {other}; true and false are read")),
    }
}
