//! The families, a line each.

use super::family::Family;
use super::internvl::InternVl;
use super::llava::Llava;
use super::llava_next::LlavaNext;
use super::llava_onevision::LlavaOnevision;
use super::pixtral::Pixtral;
use super::vipllava::VipLlava;
use serde_json::Value;

use crate::model::error::Error;

/// All families.
pub const FAMILIES: [&dyn Family; 6] = [
    // Before LLaVA, whose `model_type` it has.
    &Pixtral,
    &Llava,
    &LlavaNext,
    &LlavaOnevision,
    &VipLlava,
    &InternVl,
];

/// Finds the family of a config.json.
///
/// # Errors
///
/// Lists the supported families where it is of none.
pub(in crate::model) fn family(config: &Value) -> Result<&'static dyn Family, Error> {
    let found = FAMILIES.into_iter().find(|family| family.is_of(config));
    found.ok_or_else(|| {
        let mut known: Vec<&str> = FAMILIES.iter().map(|f| f.model_type()).collect();
        known.sort_unstable();
        // Pixtral and LLaVA share one.
        known.dedup();
        Error::Config(format!(
            "model_type {:?}; {} are supported",
            config["model_type"].as_str().unwrap_or_default(),
            known.join(", ")
        ))
    })
}
