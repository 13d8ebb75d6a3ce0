//! Tuned lenses: what the residual stream before each layer comes to, by a linear map of its own.
//!
//! A translator reads a row `h` that enters layer l and returns `h + W_l h + b_l`, which the final
//! norm and the unembedding read in its place (Belrose et al. 2023). The files are those that the
//! `tuned-lens` package saves: `config.json`, and `params.pt` with `0.weight`, `0.bias`, `1.weight`;
//! `params.safetensors` holds the same names. The package adds the map to the row, where the paper
//! has the map alone.
//!
//! `add.rs` reads a folder, `lens.rs` computes. It must not know interventions.

mod add;
mod lens;

pub use lens::{Translator, TunedLens};
