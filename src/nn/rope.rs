//! Rotary position embedding (Su et al. 2021), the half-split form that Hugging Face's Llama uses.

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use super::Result;

/// `rope_parameters` (transformers 5) or `rope_scaling` (before) of config.json.
#[derive(Debug, Clone, Deserialize)]
pub struct RopeConfig {
    /// `default` or `linear`.
    #[serde(alias = "type", default = "default_type")]
    pub rope_type: String,
    /// Base of the frequencies.
    pub rope_theta: Option<f64>,
    /// Positions are divided by this (`linear`).
    pub factor: Option<f64>,
}

fn default_type() -> String {
    "default".into()
}

/// The cosines and sines of every position.
#[derive(Debug, Clone)]
pub struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// `angle(p, i) = p / factor * theta^(-2 i / Dh)` for `positions` positions, computed in f32 as Hugging Face does.
    pub fn new(
        head_dim: usize,
        positions: usize,
        theta: f64,
        factor: f64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let half = head_dim / 2;
        let inverse: Vec<f32> =
            (0..half).map(|i| 1.0 / (theta as f32).powf(2.0 * i as f32 / head_dim as f32) / factor as f32).collect();
        let inverse = Tensor::from_vec(inverse, (1, half), &Device::Cpu)?;
        let position = Tensor::arange(0u32, positions as u32, &Device::Cpu)?.to_dtype(DType::F32)?.unsqueeze(1)?;
        let angle = position.broadcast_mul(&inverse)?; // (P, Dh/2)
        Ok(Self {
            cos: angle.cos()?.to_dtype(dtype)?.to_device(device)?,
            sin: angle.sin()?.to_dtype(dtype)?.to_device(device)?,
        })
    }

    /// The rows of `positions (R)`: `(cos (R, Dh/2), sin (R, Dh/2))`.
    pub fn at(&self, positions: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.cos.index_select(positions, 0)?, self.sin.index_select(positions, 0)?))
    }

    /// Rotates `x (R, H, Dh)` by the angles of its rows.
    pub fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
        candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?.contiguous()?, cos, sin)?.squeeze(0)
    }
}
