//! Rotary position embedding (Su et al. 2021), the half-split form that Hugging Face's Llama uses;
//! and the axial form of Pixtral's tower, whose positions have a row and a column.

use candle_core::{CpuStorage, CustomOp3, D, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::cpu::rope::{Angles, rotate};
use super::storage::{as_floats, floats};

/// The parameters of the angles of a [`Rope`].
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies {
    /// One for each pair of dimensions, `Dr/2` of them; dimensions of a head from `Dr` on are not
    /// rotated.
    pub inverse: Vec<f32>,
    /// LongRoPE (Ding et al. 2024): sequences that reach a position of this number or more use
    /// other frequencies.
    pub long: Option<(usize, Vec<f32>)>,
    /// Multiplies cosines and sines.
    pub attention_factor: f64,
}

/// The cosines and sines of positions.
#[derive(Debug, Clone)]
pub enum Rope {
    /// Positions that are numbers; tabulated once.
    Table {
        /// `(P, Dr/2)`.
        cos: Tensor,
        /// `(P, Dr/2)`.
        sin: Tensor,
        /// The first row of the second half of the table, that of long sequences.
        original: Option<u32>,
    },
    /// Positions in a grid; computed for each pass, since grids are of any size.
    Axial {
        /// Frequencies that turn by the row, `Dh/4`.
        rows: Vec<f32>,
        /// Frequencies that turn by the column, `Dh/4`.
        columns: Vec<f32>,
        /// The dtype of cosines and sines.
        dtype: DType,
    },
}

impl Rope {
    /// Tabulates `angle(p, i) = p * inverse[i]` for `positions` positions, in f32 as Hugging Face
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
        // A table that ends before the original length has no long sequences.
        let long = long.as_ref().filter(|(original, _)| *original < positions);
        // (P, Dr/2); of LongRoPE (original + P, Dr/2): short sequences first, then long ones.
        let angle = match long {
            None => angles(inverse, positions)?,
            Some((original, long)) => {
                Tensor::cat(&[angles(inverse, *original)?, angles(long, positions)?], 0)?
            }
        };
        // Scaled in f32 and then rounded, in the order of transformers.
        let scale = |t: Tensor| scaled(t, *attention_factor)?.to_dtype(dtype);
        Ok(Self::Table {
            cos: scale(angle.cos()?)?.to_device(device)?,
            sin: scale(angle.sin()?)?.to_device(device)?,
            original: long.map(|(original, _)| *original as u32),
        })
    }

    /// Creates the axial form for heads of `width` (a multiple of 4): of the frequencies
    /// `theta^(-2 i / width)` the even ones turn by the row, the odd ones by the column, as in
    /// Hugging Face's `PixtralVisionRotaryEmbedding`.
    pub fn axial(theta: f64, width: usize, dtype: DType) -> Self {
        let inverse = |i: usize| 1.0 / (theta as f32).powf(2.0 * i as f32 / width as f32);
        // `freqs[::2]` goes with the row and `freqs[1::2]` with the column.
        let every_other = |first: usize| (first..width / 2).step_by(2).map(inverse).collect();
        Self::Axial {
            rows: every_other(0),
            columns: every_other(1),
            dtype,
        }
    }

    /// Returns the position of a place, for the axial form.
    pub fn place(row: usize, column: usize) -> u32 {
        ((row as u32) << 16) | column as u32
    }

    /// Returns the row of the table for `position` in a pass over a sequence whose positions end
    /// before `end`. Where long sequences have frequencies of their own, the rows of both kinds
    /// differ, so that reuse never takes one for the other.
    pub fn row(&self, position: u32, end: u32) -> u32 {
        self.rows().row(position, end)
    }

    /// Returns the rule by which [`row`](Self::row) counts.
    pub fn rows(&self) -> RopeRows {
        RopeRows(match self {
            Self::Table { original, .. } => *original,
            Self::Axial { .. } => None,
        })
    }

    /// Returns whether it serves rows on `device`.
    pub fn serves(&self, device: &Device) -> bool {
        match self {
            Self::Table { cos, .. } => cos.device().same_device(device),
            Self::Axial { .. } => true,
        }
    }

    /// Returns the cosines and sines of positions: `(cos (R, Dr/2), sin (R, Dr/2))`.
    pub fn at(&self, positions: Vec<u32>, device: &Device) -> Result<(Tensor, Tensor)> {
        let count = positions.len();
        match self {
            Self::Table { cos, sin, .. } => {
                let rows = Tensor::from_vec(positions, count, device)?;
                Ok((cos.index_select(&rows, 0)?, sin.index_select(&rows, 0)?))
            }
            Self::Axial {
                rows,
                columns,
                dtype,
            } => {
                let mut angles = Vec::with_capacity(count * 2 * rows.len());
                for position in positions {
                    // Row and column share a position, 16 bits each.
                    let (row, column) = ((position >> 16) as f32, (position & 0xffff) as f32);
                    // Dh/4 angles of the row, then Dh/4 of the column: angle i turns dimensions i
                    // and i + Dh/2.
                    angles.extend(rows.iter().map(|inverse| row * inverse));
                    angles.extend(columns.iter().map(|inverse| column * inverse));
                }
                let shape = (count, 2 * rows.len());
                let angles = Tensor::from_vec(angles, shape, &Device::Cpu)?; // (R, Dh/2)
                Ok((
                    angles.cos()?.to_dtype(*dtype)?.to_device(device)?,
                    angles.sin()?.to_dtype(*dtype)?.to_device(device)?,
                ))
            }
        }
    }

    /// Rotates the first `Dr` dimensions of each head of `x (R, H, Dh)` by the angles of its rows.
    pub fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
        let (width, rotated) = (x.dim(D::Minus1)?, 2 * cos.dim(D::Minus1)?);
        if rotated == width {
            return rotate_all(x, cos, sin);
        }
        // `partial_rotary_factor`: the dimensions behind Dr carry no position.
        let turned = rotate_all(&x.narrow(D::Minus1, 0, rotated)?, cos, sin)?;
        let rest = x.narrow(D::Minus1, rotated, width - rotated)?;
        Tensor::cat(&[&turned, &rest], D::Minus1)
    }
}

/// Counts the rows of a rotary table; see [`Rope::row`]. Without any tensor, so that it can be asked
/// on any thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct RopeRows(Option<u32>);

impl RopeRows {
    /// Returns the row of `position` in a pass over positions before `end`.
    pub fn row(self, position: u32, end: u32) -> u32 {
        match self.0 {
            // As transformers' LongRoPE: by the length of the whole pass, not of the token's own
            // place.
            Some(original) if end > original => original + position,
            _ => position,
        }
    }
}

/// Returns the angles `(P, Dr/2)` of positions 0 to `count - 1`.
fn angles(inverse: &[f32], count: usize) -> Result<Tensor> {
    let inverse = Tensor::from_slice(inverse, (1, inverse.len()), &Device::Cpu)?;
    // Exact in f32, which holds whole numbers up to 2^24.
    let position = Tensor::arange(0u32, count as u32, &Device::Cpu)?
        .to_dtype(DType::F32)?
        .unsqueeze(1)?;
    position.broadcast_mul(&inverse)
}

fn scaled(t: Tensor, factor: f64) -> Result<Tensor> {
    // Without a factor no multiplication: the table stays what it was to the bit.
    if factor == 1.0 { Ok(t) } else { t * factor }
}

/// Rotates all dimensions of each head of `x (R, H, Dr)`.
fn rotate_all(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if x.track_op() {
        return rotate_tracked(x, cos, sin);
    }
    let x = x.contiguous()?;
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        return x.apply_op3_no_bwd(&cos.contiguous()?, &sin.contiguous()?, &Rotation);
    }
    // `thd`: rows first, as packed rows are; the other forms want heads first.
    candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?, cos, sin)?.squeeze(0)
}

/// Rotates `(R, H, Dr)` by cosines and sines `(R, Dr/2)`, in f32 on a CPU: to candle's bits, in a
/// fifth of its time.
struct Rotation;

impl CustomOp3 for Rotation {
    fn name(&self) -> &'static str {
        "rotation"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, heads, width) = layout.shape().dims3()?;
        let angles = Angles {
            cos: floats(cos, cos_layout)?,
            sin: floats(sin, sin_layout)?,
            width: width / 2,
        };
        let count = rows * angles.width;
        // The kernel cuts all three side by side, and would end with the shortest in silence.
        if !width.is_multiple_of(2) || angles.cos.len() != count || angles.sin.len() != count {
            bail!(
                "{} and {} angles for {:?}",
                angles.cos.len(),
                angles.sin.len(),
                layout.shape()
            );
        }
        let turned = rotate(floats(x, layout)?, heads, angles);
        Ok((CpuStorage::F32(turned), layout.shape().clone()))
    }
}

/// Rotates a tracked `x`, in f32, by operations that have a backward; `cos` and `sin` are
/// `(R, Dr/2)`.
fn rotate_tracked(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let x = as_floats(x)?;
    let half = cos.dim(D::Minus1)?;
    let (cos, sin) = (as_floats(cos)?.unsqueeze(1)?, as_floats(sin)?.unsqueeze(1)?); // (R, 1, Dr/2)
    let left = x.narrow(D::Minus1, 0, half)?;
    let right = x.narrow(D::Minus1, half, half)?;
    let turned = |by: &Tensor, t: &Tensor| t.broadcast_mul(by);
    Tensor::cat(
        &[
            (turned(&cos, &left)? - turned(&sin, &right)?)?,
            (turned(&cos, &right)? + turned(&sin, &left)?)?,
        ],
        D::Minus1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thread's share, more than one, and heads that no vector divides.
    #[test]
    fn heads_are_rotated_to_the_bits_of_candle() -> Result<()> {
        for (rows, heads, width) in [(1, 1, 2), (3, 4, 6), (70, 4, 32), (300, 5, 64)] {
            let x = Tensor::randn(0f32, 1.0, (rows, heads, width), &Device::Cpu)?;
            let angles = Tensor::randn(0f32, 3.0, (rows, width / 2), &Device::Cpu)?;
            let (cos, sin) = (angles.cos()?, angles.sin()?);
            let own = rotate_all(&x, &cos, &sin)?;
            let candle = candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?, &cos, &sin)?;
            let bits = |t: &Tensor| -> Result<Vec<u32>> {
                let values = t.flatten_all()?.to_vec1::<f32>()?;
                Ok(values.into_iter().map(f32::to_bits).collect())
            };
            assert_eq!(bits(&own)?, bits(&candle)?, "{rows} {heads} {width}");
        }
        Ok(())
    }
}
