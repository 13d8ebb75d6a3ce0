//! One spelling for the tensor names of all LLaVA layouts.
//!
//! | written by | tower | language model | head |
//! |---|---|---|---|
//! | transformers < 4.52, the hub's llava-1.5 | `vision_tower.vision_model.*` | `language_model.model.*` | `language_model.lm_head.weight` |
//! | transformers 4.52 and later, in memory | `model.vision_tower.vision_model.*` | `model.language_model.*` | `lm_head.weight` |
//! | transformers 5 | `vision_tower.*` or `model.vision_tower.*` | `language_model.model.*` | `language_model.lm_head.weight` |
//! | the original LLaVA | `model.vision_tower.vision_tower.vision_model.*`, or elsewhere | `model.layers.*` | `lm_head.weight` |
//! | here | `vision_tower.*` | `language_model.*` | `lm_head.weight` |
//!
//! The original LLaVA calls the projector `model.mm_projector.0|2.*`, in its mm_projector.bin too.

/// Returns the name used here for a tensor called `name` in a checkpoint.
pub(super) fn canonical(name: &str) -> String {
    const RULES: [(&str, &str); 14] = [
        ("model.image_newline", "image_newline"),
        ("model.vision_tower.", "vision_tower."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.language_model.", "language_model."),
        ("vision_tower.vision_tower.", "vision_tower."),
        ("vision_tower.vision_model.", "vision_tower."),
        ("model.layers.", "language_model.layers."),
        ("model.embed_tokens.", "language_model.embed_tokens."),
        ("model.norm.", "language_model.norm."),
        ("language_model.model.", "language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("model.mm_projector.", "mm_projector."),
        // A projector of one layer.
        (
            "mm_projector.weight",
            "multi_modal_projector.linear_1.weight",
        ),
        ("mm_projector.bias", "multi_modal_projector.linear_1.bias"),
    ];
    let mut name = name.to_owned();
    // In order, each rule once: `model.vision_tower.vision_tower.vision_model.` loses its parts one
    // by one.
    for (from, to) in RULES {
        if let Some(rest) = name.strip_prefix(from) {
            name = format!("{to}{rest}");
        }
    }
    // Last: by now the original's projector has its short prefix.
    original_projector(&name).unwrap_or(name)
}

/// Returns `linear_{n / 2 + 1}` for layer n of the original's `nn.Sequential` of layers and
/// activations.
fn original_projector(name: &str) -> Option<String> {
    let (number, rest) = name.strip_prefix("mm_projector.")?.split_once('.')?;
    // Odd entries are activations, which have no weights.
    let number: usize = number.parse().ok().filter(|n| n % 2 == 0)?;
    Some(format!(
        "multi_modal_projector.linear_{}.{rest}",
        number / 2 + 1
    ))
}

/// Returns the name used here for a tensor called `name` in Hugging Face's `ViTModel`, a tower by
/// itself.
pub(super) fn canonical_vit(name: &str) -> String {
    const RULES: [(&str, &str); 13] = [
        (
            "embeddings.patch_embeddings.projection.",
            "embeddings.patch_embedding.",
        ),
        ("embeddings.cls_token", "embeddings.class_embedding"),
        (
            "embeddings.position_embeddings",
            "embeddings.position_embedding.weight",
        ),
        ("encoder.layer.", "encoder.layers."),
        (".attention.attention.query.", ".self_attn.q_proj."),
        (".attention.attention.key.", ".self_attn.k_proj."),
        (".attention.attention.value.", ".self_attn.v_proj."),
        // Before `.output.dense.` below, which it contains.
        (".attention.output.dense.", ".self_attn.out_proj."),
        (".layernorm_before.", ".layer_norm1."),
        (".layernorm_after.", ".layer_norm2."),
        (".intermediate.dense.", ".mlp.fc1."),
        (".output.dense.", ".mlp.fc2."),
        ("layernorm.", "post_layernorm."),
    ];
    let name = name.strip_prefix("vit.").unwrap_or(name);
    let name = RULES
        .iter()
        .fold(name.to_owned(), |name, (from, to)| match name.find(from) {
            Some(0) => format!("{to}{}", &name[from.len()..]),
            // Rules with a point in front are for within a name, the others for its beginning.
            Some(_) if from.starts_with('.') => name.replacen(from, to, 1),
            _ => name,
        });
    format!("vision_tower.{name}")
}

/// Tells whether a tensor is a buffer that older versions of transformers saved and nobody reads.
pub(super) fn is_buffer(name: &str) -> bool {
    name.ends_with(".position_ids") || name.ends_with(".rotary_emb.inv_freq")
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn all_layouts_meet() {
        for name in [
            "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
            "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
            "model.vision_tower.encoder.layers.0.mlp.fc1.weight",
            "vision_tower.encoder.layers.0.mlp.fc1.weight",
        ] {
            assert_eq!(
                canonical(name),
                "vision_tower.encoder.layers.0.mlp.fc1.weight"
            );
        }
        for name in [
            "language_model.model.norm.weight",
            "model.language_model.norm.weight",
        ] {
            assert_eq!(canonical(name), "language_model.norm.weight");
        }
        assert_eq!(
            canonical("model.mm_projector.weight"),
            "multi_modal_projector.linear_1.weight"
        );
        assert_eq!(
            canonical("model.mm_projector.4.bias"),
            "multi_modal_projector.linear_3.bias"
        );
        for name in ["language_model.lm_head.weight", "lm_head.weight"] {
            assert_eq!(canonical(name), "lm_head.weight");
        }
    }
}
