//! The encoder: pictures to visual tokens, each distinct one once, from the layer where it differs
//! from another.

mod encode;
mod input;
mod job;
mod output;
mod tower;

pub(in crate::engine) use encode::Encoder;
pub(in crate::engine) use input::EncoderInput;
pub(in crate::engine) use output::{EncodedImage, TowerFeatures};
