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

/// The name used here for a tensor called `name` in a checkpoint.
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
        ("mm_projector.0.", "multi_modal_projector.linear_1."),
        ("mm_projector.2.", "multi_modal_projector.linear_2."),
    ];
    let mut name = name.to_owned();
    for (from, to) in RULES {
        if let Some(rest) = name.strip_prefix(from) {
            name = format!("{to}{rest}");
        }
    }
    name
}

/// Buffers that older versions of transformers saved and nobody reads.
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
            assert_eq!(canonical(name), "vision_tower.encoder.layers.0.mlp.fc1.weight");
        }
        for name in ["language_model.model.norm.weight", "model.language_model.norm.weight"] {
            assert_eq!(canonical(name), "language_model.norm.weight");
        }
        for name in ["language_model.lm_head.weight", "lm_head.weight"] {
            assert_eq!(canonical(name), "lm_head.weight");
        }
    }
}
