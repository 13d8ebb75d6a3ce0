//! The families of models: a file and a line in [`FAMILIES`] each.

pub(super) mod family;
mod internvl;
mod llava;
mod llava_next;
mod llava_onevision;
mod pixtral;
pub(super) mod registry;
mod vipllava;

pub use family::Family;
pub use registry::FAMILIES;
