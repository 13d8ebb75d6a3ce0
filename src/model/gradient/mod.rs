//! Gradients of what a model says, at hook points and at the pixels: reverse mode over the blocks.
//!
//! The pass forward keeps the residual stream before each layer and nothing else; on the way back
//! each layer runs once more from there, tracked by candle's autograd (checkpointing by layer: Chen
//! et al. 2016). So the memory is that of the graph of one layer beside (layers + 1) states
//! `(R, D)`, and the work that of about four passes forward: one plain, one tracked, and a product
//! for each product on the way back.
//!
//! A pass goes in steps, one for each layer, so that other requests run in between; what it keeps
//! between them is in the memory of the process.

mod input;
mod pass;
mod taps;

pub use input::{Blend, GradientInput, GradientReduction, Gradients, Objective, Tap, TapGradient};
pub use pass::GradientPass;
