//! Rotary position embedding (Su et al. 2021), the half-split form that Hugging Face's Llama uses.

use candle_core::{D, DType, Device, Result, Tensor};

/// What the angles of a [`Rope`] are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies {
    /// Of each pair of dimensions, `Dr/2` of them; dimensions of a head from `Dr` on are not
    /// rotated.
    pub inverse: Vec<f32>,
    /// LongRoPE (Ding et al. 2024): sequences that reach a position of this number or more use
    /// other frequencies.
    pub long: Option<(usize, Vec<f32>)>,
    /// Cosines and sines are multiplied by this.
    pub attention_factor: f64,
}

/// The cosines and sines of every position.
#[derive(Debug, Clone)]
pub struct Rope {
    cos: Tensor,
    sin: Tensor,
    /// Where the second half of the table begins, that of long sequences.
    original: Option<u32>,
}

impl Rope {
    /// `angle(p, i) = p * inverse[i]` for `positions` positions, computed in f32 as Hugging Face
    /// does.
    pub fn new(
        frequencies: &Frequencies,
        positions: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let Frequencies {
            inverse,
            long,
            attention_factor,
        } = frequencies;
        let long = long.as_ref().filter(|(original, _)| *original < positions);
        let angles = |inverse: &[f32], count: usize| {
            let inverse = Tensor::from_slice(inverse, (1, inverse.len()), &Device::Cpu)?;
            let position = Tensor::arange(0u32, count as u32, &Device::Cpu)?
                .to_dtype(DType::F32)?
                .unsqueeze(1)?;
            position.broadcast_mul(&inverse) // (P, Dr/2)
        };
        let angle = match long {
            None => angles(inverse, positions)?,
            Some((original, long)) => {
                Tensor::cat(&[angles(inverse, *original)?, angles(long, positions)?], 0)?
            }
        };
        let scaled = |t: Tensor| {
            // Without a factor no multiplication: the table stays what it was to the bit.
            if *attention_factor == 1.0 {
                Ok(t)
            } else {
                t * *attention_factor
            }
        };
        Ok(Self {
            cos: scaled(angle.cos()?)?.to_dtype(dtype)?.to_device(device)?,
            sin: scaled(angle.sin()?)?.to_dtype(dtype)?.to_device(device)?,
            original: long.map(|(original, _)| *original as u32),
        })
    }

    /// The row of the table for `position` in a pass over a sequence whose positions end before
    /// `end`. Where long sequences have frequencies of their own, rows of both kinds differ, so
    /// that nobody takes one for the other.
    pub fn row(&self, position: u32, end: u32) -> u32 {
        self.original
            .filter(|&original| end > original)
            .map_or(position, |original| original + position)
    }

    /// The rows `rows (R)` of the table: `(cos (R, Dr/2), sin (R, Dr/2))`.
    pub fn at(&self, rows: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((
            self.cos.index_select(rows, 0)?,
            self.sin.index_select(rows, 0)?,
        ))
    }

    /// Rotates the first `Dr` dimensions of each head of `x (R, H, Dh)` by the angles of its rows.
    pub fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
        let (width, rotated) = (x.dim(D::Minus1)?, 2 * cos.dim(D::Minus1)?);
        let turn = |x: &Tensor| {
            candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?.contiguous()?, cos, sin)?.squeeze(0)
        };
        if rotated == width {
            return turn(x);
        }
        let rest = x.narrow(D::Minus1, rotated, width - rotated)?;
        Tensor::cat(
            &[&turn(&x.narrow(D::Minus1, 0, rotated)?)?, &rest],
            D::Minus1,
        )
    }
}
