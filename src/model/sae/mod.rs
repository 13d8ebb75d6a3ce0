//! Sparse autoencoders: dictionaries of features of the activations at one hook point.
//!
//! An encoder reads a row `x` into many features of which few are active, a decoder writes `x`
//! again as a sum of their directions: `x = sum of f_i d_i + b + error`. Bricken et al. 2023 (ReLU),
//! Gao et al. 2024 (TopK), Rajamanoharan et al. 2024 (gated, JumpReLU), Bussmann et al. 2024 and
//! 2025 (BatchTopK, Matryoshka).
//!
//! `config.rs` reads what the libraries that train them write beside the weights, `load.rs` the
//! weights, `autoencoder.rs` computes, and `add.rs` makes one resident beside its model. It must
//! not know interventions: it is asked for values and directions.

mod add;
mod autoencoder;
mod config;
mod load;

pub use add::SaePlace;
pub use autoencoder::{Feature, SparseAutoencoder};
pub use config::SaeActivation;
