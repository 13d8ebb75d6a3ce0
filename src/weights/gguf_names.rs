//! The tensor names of llama.cpp, and what its conversion changes beside them.
//!
//! The references are `gguf-py/gguf/tensor_mapping.py` and `convert_hf_to_gguf.py` of llama.cpp for
//! language models, and `convert_image_encoder_to_gguf.py` for towers.

use super::Error;
use super::blocks::Undo;
use super::checkpoint::Checkpoint;
use super::gguf::Gguf;

/// Names the tensor that the frequencies of a rotary embedding are divided by, as Llama 3.1's are.
pub const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Says what the conversion of an architecture changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// Heads of queries and of keys, whose rows are interleaved.
    pub interleaved: Option<(usize, usize)>,
    /// Tells whether 1 was added to norms.
    pub norms_plus_one: bool,
}

impl Checkpoint {
    /// Takes the tensors of a language model and, where it has one, of its `mmproj` file.
    pub fn of_gguf(language: Gguf, tower: Option<Gguf>, changes: Changes) -> Result<Self, Error> {
        let mut checkpoint = Self::default();
        checkpoint.add_gguf(language, language_name, |name| undo(name, changes))?;
        // Read with the configuration, which it is a part of.
        checkpoint.spare.insert(ROPE_FACTORS.into());
        if let Some(tower) = tower {
            let swapped = has_swapped_mlp(&tower);
            let name = |name: &str| tower_name(name, swapped);
            checkpoint.add_gguf(tower, name, |_| Undo::Nothing)?;
        }
        Ok(checkpoint)
    }

    fn add_gguf(
        &mut self,
        file: Gguf,
        rename: impl Fn(&str) -> Option<String>,
        undo: impl Fn(&str) -> Undo,
    ) -> Result<(), Error> {
        let path = file.path().to_owned();
        let (bytes, mut located) = file.into_located()?;
        for tensor in &mut located {
            // A name that means nothing here stays, and is reported as unused.
            if let Some(name) = rename(&tensor.name) {
                tensor.name = name;
            }
        }
        // `add` spells the names of projectors anew; those entries are not found below, and there
        // is nothing to undo in them.
        let names: Vec<String> = located.iter().map(|tensor| tensor.name.clone()).collect();
        self.add(bytes, &path, located)?;
        for name in names {
            let undo = undo(&name);
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.undo = undo;
            }
        }
        Ok(())
    }
}

fn undo(name: &str, changes: Changes) -> Undo {
    let is = |part: &str| name.contains(part);
    match changes.interleaved {
        Some((heads, _)) if is(".self_attn.q_proj.") => return Undo::Interleaved(heads),
        Some((_, heads)) if is(".self_attn.k_proj.") => return Undo::Interleaved(heads),
        _ => {}
    }
    if changes.norms_plus_one && is("norm.weight") {
        return Undo::PlusOne;
    }
    Undo::Nothing
}

/// Returns the name here of a language model's tensor.
fn language_name(name: &str) -> Option<String> {
    let whole = match name {
        "token_embd.weight" => Some("language_model.embed_tokens.weight"),
        "output_norm.weight" => Some("language_model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(whole) = whole {
        return Some(whole.to_owned());
    }
    let (layer, part, kind) = in_layer(name, "blk.")?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("language_model.layers.{layer}.{part}.{kind}"))
}

/// Returns the name here of a tower's or a projector's tensor.
fn tower_name(name: &str, swapped: bool) -> Option<String> {
    if name == "model.image_newline" {
        return Some("image_newline".into());
    }
    if let Some(projector) = name.strip_prefix("mm.") {
        // Entries of a sequence whose odd ones are activations, as the original LLaVA numbers them.
        return Some(format!("model.mm_projector.{projector}"));
    }
    let embeddings = match name {
        "v.class_embd" => Some("embeddings.class_embedding"),
        "v.patch_embd.weight" => Some("embeddings.patch_embedding.weight"),
        "v.patch_embd.bias" => Some("embeddings.patch_embedding.bias"),
        "v.position_embd.weight" => Some("embeddings.position_embedding.weight"),
        "v.pre_ln.weight" => Some("pre_layrnorm.weight"),
        "v.pre_ln.bias" => Some("pre_layrnorm.bias"),
        "v.post_ln.weight" => Some("post_layernorm.weight"),
        "v.post_ln.bias" => Some("post_layernorm.bias"),
        _ => None,
    };
    if let Some(embeddings) = embeddings {
        return Some(format!("vision_tower.{embeddings}"));
    }
    let (layer, part, kind) = in_layer(name, "v.blk.")?;
    let part = match part {
        "ln1" => "layer_norm1",
        "ln2" => "layer_norm2",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_out" => "self_attn.out_proj",
        "ffn_up" if swapped => "mlp.fc2",
        "ffn_down" if swapped => "mlp.fc1",
        "ffn_up" => "mlp.fc1",
        "ffn_down" => "mlp.fc2",
        _ => return None,
    };
    Some(format!("vision_tower.encoder.layers.{layer}.{part}.{kind}"))
}

/// Splits `blk.3.attn_q.weight` into 3, `attn_q` and `weight`.
fn in_layer<'a>(name: &'a str, prefix: &str) -> Option<(usize, &'a str, &'a str)> {
    let (layer, rest) = name.strip_prefix(prefix)?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    Some((layer.parse().ok()?, part, kind))
}

/// Tells whether the tower's `ffn_down` is the first layer of its MLP, which LLaVA's conversion
/// calls so. Of newer ones it is the second.
fn has_swapped_mlp(tower: &Gguf) -> bool {
    let shape = |name: &str| tower.shape(&format!("v.blk.0.{name}.weight"));
    match (shape("ffn_down"), shape("ln1")) {
        (Some([_, input]), Some([width])) => input == width,
        _ => false,
    }
}
