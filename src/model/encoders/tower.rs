//! The tower of an encoder of pictures: which one it is, its configuration, its image processor, and
//! how its checkpoint names it.

use serde::Deserialize;
use serde_json::Value;

use super::checks::{check_fields, fill};
use crate::model::dinov2::{Dinov2Config, WITH_REGISTERS};
use crate::model::error::Error;
use crate::model::load::source::Source;
use crate::model::text::chat_files::image_processor;
use crate::model::vision_tower::TowerConfig;
use crate::model::vit::VitConfig;
use crate::vision::{Processor, Tiling};
use crate::weights::{Checkpoint, Tensors};

/// A kind of tower, by the `model_type` of config.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum TowerKind {
    /// `clip`, or `clip_vision_model`, which is its tower alone.
    Clip,
    /// `siglip`, or `siglip_vision_model`, which is its tower alone.
    Siglip,
    /// `vit`: Dosovitskiy et al. 2021, DINO (Caron et al. 2021).
    Vit,
    /// `dinov2`.
    Dinov2,
    /// `dinov2_with_registers`.
    Dinov2WithRegisters,
}

/// Every `model_type` that is read, and whether a text tower stands beside.
const TYPES: [(&str, TowerKind, bool); 7] = [
    ("clip", TowerKind::Clip, true),
    ("clip_vision_model", TowerKind::Clip, false),
    ("siglip", TowerKind::Siglip, true),
    ("siglip_vision_model", TowerKind::Siglip, false),
    ("vit", TowerKind::Vit, false),
    ("dinov2", TowerKind::Dinov2, false),
    (WITH_REGISTERS, TowerKind::Dinov2WithRegisters, false),
];

/// `SiglipVisionConfig`'s defaults, where they are not CLIP's.
const SIGLIP: [(&str, &str); 4] = [
    ("model_type", r#""siglip_vision_model""#),
    ("patch_size", "16"),
    ("hidden_act", r#""gelu_pytorch_tanh""#),
    ("layer_norm_eps", "1e-6"),
];

/// `ViTConfig`'s.
const VIT: [(&str, &str); 4] = [
    ("image_size", "224"),
    ("patch_size", "16"),
    ("hidden_act", r#""gelu""#),
    ("layer_norm_eps", "1e-12"),
];

/// Side of the pictures that `BitImageProcessor` makes where a configuration says nothing.
const BIT_SIDE: usize = 224;

impl TowerKind {
    /// Returns the name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clip => "CLIP",
            Self::Siglip => "SigLIP",
            Self::Vit => "ViT",
            Self::Dinov2 => "DINOv2",
            Self::Dinov2WithRegisters => "DINOv2 with registers",
        }
    }

    /// Renames the tensors of the tower to `vision_tower.*`, under which towers are read.
    pub(in crate::model) fn rename(self, checkpoint: Checkpoint) -> Checkpoint {
        if self == Self::Vit {
            return checkpoint.into_tower();
        }
        let mut checkpoint = checkpoint;
        // A tower stands within a larger model, or by itself without any prefix.
        let within = match self {
            Self::Clip | Self::Siglip => "vision_model.",
            Self::Dinov2WithRegisters => "dinov2_with_registers.",
            Self::Dinov2 | Self::Vit => "dinov2.",
        };
        let prefix = if checkpoint.has_any(within) {
            within
        } else {
            ""
        };
        checkpoint.rename(prefix, "vision_tower.");
        // Stands beside the tower, not in it, whatever the tower's prefix.
        checkpoint.rename("vision_tower.visual_projection.", "visual_projection.");
        checkpoint
    }

    /// Says which tensors belong to heads that classify, which nobody reads.
    pub(in crate::model) fn ignore_head(self, weights: &Tensors<'_>) {
        for name in ["classifier.", "vision_tower.classifier."] {
            if matches!(self, Self::Vit | Self::Dinov2 | Self::Dinov2WithRegisters) {
                weights.ignore_all(name);
            }
        }
    }
}

/// The files of an encoder of pictures, read and checked, but for its tensors.
#[derive(Debug)]
pub(in crate::model) struct TowerFiles {
    pub(in crate::model) kind: TowerKind,
    /// Tells whether a text tower stands beside.
    pub(super) has_text: bool,
    /// config.json.
    pub(in crate::model) json: Value,
    /// The part of config.json that describes the tower.
    pub(super) fields: Value,
    pub(in crate::model) config: Box<dyn TowerConfig>,
    pub(in crate::model) processor: Processor,
}

impl TowerFiles {
    /// Reads config.json and the image processor's configuration.
    pub(in crate::model) fn open(source: &Source) -> Result<Self, Error> {
        let json: Option<Value> = source.json("config.json")?;
        let json = json.ok_or_else(|| source.missing("config.json"))?;
        let (kind, has_text) = kind_of(&json)?;
        let mut fields = if has_text {
            json.get("vision_config").cloned().unwrap_or_default()
        } else {
            json.clone()
        };
        if fields.is_null() {
            fields = Value::Object(serde_json::Map::new());
        }
        check_fields(if has_text { "vision_config" } else { "" }, &fields)?;
        let processor = image_processor(source)?;
        let config = config(kind, &mut fields, &processor)?;
        let processor = Processor::from_json(
            &with_defaults(kind, processor),
            config.image_size(),
            Tiling::None,
            None,
        )?;
        Ok(Self {
            kind,
            has_text,
            json,
            fields,
            config,
            processor,
        })
    }
}

/// Returns the kind that `model_type` names, and whether a text tower stands beside.
fn kind_of(json: &Value) -> Result<(TowerKind, bool), Error> {
    let name = json["model_type"].as_str().unwrap_or_default();
    if let Some((_, kind, has_text)) = TYPES.iter().find(|(known, ..)| *known == name) {
        return Ok((*kind, *has_text));
    }
    let valid = TYPES.map(|(name, ..)| name).join(", ");
    // The same name on the hub stands for both.
    let more = if name == "siglip2" {
        "; of SigLIP 2 the models of a fixed resolution are read, which are siglip"
    } else {
        ""
    };
    Err(Error::Config(format!(
        "model_type {}; of encoders {valid} are supported{more}",
        json["model_type"]
    )))
}

fn config(
    kind: TowerKind,
    fields: &mut Value,
    processor: &Value,
) -> Result<Box<dyn TowerConfig>, Error> {
    match kind {
        TowerKind::Clip => {}
        TowerKind::Siglip => fill(fields, &SIGLIP),
        TowerKind::Vit => {
            fill(fields, &VIT);
            if fields["qkv_bias"] == false {
                let message = "qkv_bias false; of a vit true is supported";
                return Err(Error::Config(message.into()));
            }
        }
        TowerKind::Dinov2 | TowerKind::Dinov2WithRegisters => {
            fill(fields, &[("layer_norm_eps", "1e-6")]);
            if kind == TowerKind::Dinov2WithRegisters {
                fill(fields, &[("patch_size", "16")]);
            }
            let config = Dinov2Config::deserialize(&*fields).map_err(wrong)?;
            let side = Processor::side_of(processor, BIT_SIDE)?;
            return Ok(Box::new(config.seeing(side)?));
        }
    }
    let config = VitConfig::deserialize(&*fields).map_err(wrong)?;
    config.check()?;
    Ok(Box::new(config))
}

fn wrong(error: serde_json::Error) -> Error {
    Error::Config(error.to_string())
}

/// Fills in what the processor's class has where its configuration says nothing.
fn with_defaults(kind: TowerKind, mut processor: Value) -> Value {
    if matches!(kind, TowerKind::Siglip | TowerKind::Vit) {
        let half = "[0.5, 0.5, 0.5]";
        fill(&mut processor, &[("image_mean", half), ("image_std", half)]);
    }
    processor
}
