//! One sparse autoencoder: values of features, and their directions.
//!
//! Values are of `p = (n(x) - b) W + c` with n the normalisation of the row; see [`SaeActivation`]. In f32,
//! row by row: what a row's features are does not depend on the rows beside it.

use candle_core::{D, Device, Tensor};

use super::config::{Normalize, SaeActivation};
use crate::model::hosted_linear::HostedLinear;
use crate::nn::{HostTensor, Point, Result};

/// Most numbers of all features of the rows that are encoded at once: 64 MiB of them.
const AT_ONCE: usize = 1 << 24;
/// Keeps the standard deviation of a row off 0, as SAELens does.
const DEVIATION: f64 = 1e-5;

/// A feature and its value.
pub type Feature = (u32, f32);

/// A sparse autoencoder in the memory of the process.
#[derive(Debug)]
pub struct SparseAutoencoder {
    pub(super) point: Point,
    pub(super) class: String,
    pub(super) width: usize,
    pub(super) rule: SaeActivation,
    pub(super) normalize: Normalize,
    pub(super) prefixes: Vec<usize>,
    pub(super) digest: String,
    pub(super) bytes: u64,
    pub(super) encoder: HostedLinear,
    /// Taken from a row before it is encoded, `(W)`.
    pub(super) centre: Option<HostTensor>,
    /// Thresholds of the features, `(F)` or `(1)`; of a gated one the bias of the gates.
    pub(super) threshold: Option<HostTensor>,
    /// `exp(r)` and the bias of the magnitudes, each `(F)`, of a gated one.
    pub(super) magnitude: Option<(HostTensor, HostTensor)>,
    /// Multiplies values, `(F)`.
    pub(super) norms: Option<HostTensor>,
    /// Directions `(F, W)`, for values as they are told; `None` of a transcoder, which writes
    /// elsewhere than it reads.
    pub(super) decoder: Option<HostTensor>,
}

/// Describes it.
impl SparseAutoencoder {
    /// Returns the hook point whose rows it reads.
    pub fn point(&self) -> Point {
        self.point
    }

    /// Returns its class, as the library that trained it spells it.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Returns how many numbers a row has that it reads.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns how many features it has.
    pub fn features(&self) -> usize {
        self.encoder.sizes().0
    }

    /// Returns how features follow from the encoder's product.
    pub fn activation(&self) -> SaeActivation {
        self.rule
    }

    /// Returns how many features each nested prefix of a Matryoshka autoencoder has; empty for
    /// others.
    pub fn prefixes(&self) -> &[usize] {
        &self.prefixes
    }

    /// Returns BLAKE3 (hex) of its weights and configuration.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the bytes that it takes in the memory of the process.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether it writes where it reads; a transcoder does not.
    pub fn reconstructs(&self) -> bool {
        self.decoder.is_some()
    }

    /// Returns the directions of `features`, `(m, W)`; `None` of a transcoder.
    pub fn directions(&self, features: &[u32]) -> Option<Result<HostTensor>> {
        let decoder = self.decoder.as_ref()?;
        Some(decoder.rows(features))
    }
}

/// Computes, on the thread of the device that the rows are on.
impl SparseAutoencoder {
    /// Returns the values of `features` in rows `x (n, W)` of f32, `(n, m)`.
    pub fn values(&self, x: &Tensor, features: &[u32]) -> Result<Tensor> {
        if let SaeActivation::TopK(k) = self.rule {
            // Which k are kept depends on all features, not on those that are asked for.
            let kept = self.strongest(x, k, self.features())?;
            let pairs = kept
                .iter()
                .flat_map(|row| features.iter().map(move |of| (row, *of)));
            let values: Vec<f32> = pairs.map(|(row, feature)| value_of(row, feature)).collect();
            let shape = (kept.len(), features.len());
            return Tensor::from_vec(values, shape, &Device::Cpu)?.to_device(x.device());
        }
        let chosen = Tensor::from_slice(features, features.len(), x.device())?;
        let mut parts = Vec::new();
        self.for_parts(x, |product| {
            // (n, F) -> (n, m).
            parts.push(self.activate(product)?.index_select(&chosen, 1)?);
            Ok(())
        })?;
        Tensor::cat(&parts, 0)
    }

    /// Returns the largest values of each row of `x (n, W)` of f32, largest first: at most `top`, of
    /// the first `prefix` features, none that is 0.
    pub fn strongest(&self, x: &Tensor, top: usize, prefix: usize) -> Result<Vec<Vec<Feature>>> {
        let most = match self.rule {
            SaeActivation::TopK(k) => k,
            _ => self.features(),
        };
        let mut found = Vec::with_capacity(x.dim(0)?);
        self.for_parts(x, |product| {
            // Sorted on the host, so that ties go by number whatever the device.
            let values = self.activate(product)?.to_device(&Device::Cpu)?;
            for row in values.to_vec2::<f32>()? {
                let mut features = largest(&row, most);
                // After the choice of the k largest, which are those of all features.
                features.retain(|(feature, _)| (*feature as usize) < prefix);
                features.truncate(top);
                found.push(features);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns what the sum of directions is multiplied by in each row of `x (n, W)`, `(n, 1)`; 1
    /// where it is `None`.
    pub fn scale(&self, x: &Tensor) -> Result<Option<Tensor>> {
        Ok(match self.normalize {
            Normalize::None => None,
            Normalize::ConstantNorm => Some((norm(x)? / (self.width as f64).sqrt())?),
            Normalize::LayerNorm => Some(deviation(x)?.1),
        })
    }

    /// Shows `f` the encoder's product of some rows at a time, `(n, F)`.
    fn for_parts(&self, x: &Tensor, mut f: impl FnMut(&Tensor) -> Result<()>) -> Result<()> {
        // One row at least, however many features there are.
        let (rows, step) = (x.dim(0)?, (AT_ONCE / self.features()).max(1));
        for first in (0..rows).step_by(step) {
            let part = x.narrow(0, first, step.min(rows - first))?;
            // (n, W) -> (n, F).
            f(&self.encoder.forward(&self.centred(&part)?)?)?;
        }
        Ok(())
    }

    /// Returns rows as the encoder reads them.
    fn centred(&self, x: &Tensor) -> Result<Tensor> {
        let x = match self.normalize {
            Normalize::None => x.clone(),
            Normalize::ConstantNorm => {
                // (n, W) by (n, 1): a row of norm sqrt(W), as rows of mean 0 and variance 1 have.
                x.broadcast_mul(&(norm(x)?.recip()? * (self.width as f64).sqrt())?)?
            }
            Normalize::LayerNorm => {
                let (centred, deviation) = deviation(x)?;
                centred.broadcast_div(&(deviation + DEVIATION)?)?
            }
        };
        let x = match &self.centre {
            // After the normalisation: the bias is one of normalised rows.
            Some(centre) => x.broadcast_sub(&centre.upload_once(x.device())?)?,
            None => x,
        };
        x.contiguous()
    }

    /// Returns values of the encoder's product; all positive ones, where the k largest are to be
    /// kept.
    fn activate(&self, product: &Tensor) -> Result<Tensor> {
        // (n, F), as are all that follow from it.
        let device = product.device();
        let values = match self.rule {
            SaeActivation::Relu | SaeActivation::TopK(_) => product.relu()?,
            SaeActivation::JumpRelu | SaeActivation::BatchTopK => {
                let threshold = on(self.threshold.as_ref(), device)?;
                let active = product.broadcast_gt(&threshold)?;
                // relu as well: a threshold below 0 would let negative values through.
                active.where_cond(&product.relu()?, &product.zeros_like()?)?
            }
            SaeActivation::Gated => {
                // One product without a bias serves both paths: gates add their own, magnitudes
                // scale and add theirs.
                let gate = on(self.threshold.as_ref(), device)?;
                let factor = self.magnitude.as_ref().map(|(factor, _)| factor);
                let bias = self.magnitude.as_ref().map(|(_, bias)| bias);
                let values = product
                    .broadcast_mul(&on(factor, device)?)?
                    .broadcast_add(&on(bias, device)?)?
                    .relu()?;
                let open = product.broadcast_add(&gate)?.gt(0.0)?;
                open.where_cond(&values, &values.zeros_like()?)?
            }
        };
        match &self.norms {
            // Before the k largest are chosen, as `rescale_acts_by_decoder_norm` has it.
            Some(norms) => values.broadcast_mul(&norms.upload_once(device)?),
            None => Ok(values),
        }
    }
}

/// Returns a part that the rule of the autoencoder needs, on `device`.
fn on(part: Option<&HostTensor>, device: &Device) -> Result<Tensor> {
    match part {
        Some(part) => part.upload_once(device),
        // The loader reads all that a rule needs.
        None => candle_core::bail!("a part of the autoencoder is missing"),
    }
}

/// Returns the value of a feature among those of a row that are not 0.
fn value_of(row: &[Feature], feature: u32) -> f32 {
    let own = row.iter().find(|(own, _)| *own == feature);
    own.map_or(0.0, |(_, value)| *value)
}

/// Returns the `most` largest values of a row that are above 0, largest first; of equals those that
/// come first.
fn largest(row: &[f32], most: usize) -> Vec<Feature> {
    let pairs = (0..).zip(row.iter().copied());
    let mut active: Vec<Feature> = pairs.filter(|(_, value)| *value > 0.0).collect();
    // NaN is not above 0, so that none is left here.
    active.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    active.truncate(most);
    active
}

/// Returns the norm of each row, `(n, 1)`.
pub(super) fn norm(x: &Tensor) -> Result<Tensor> {
    x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()
}

/// Returns rows without their means, and their standard deviations as of samples, `(n, 1)`.
fn deviation(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    // torch's `std` divides by n - 1, which is 0 for a row of one number.
    let degrees = (x.dim(D::Minus1)? as f64 - 1.0).max(1.0);
    let variance = (centred.sqr()?.sum_keepdim(D::Minus1)? / degrees)?;
    Ok((centred, variance.sqrt()?))
}

/// Takes two of equal weights and configurations for the same.
impl PartialEq for SparseAutoencoder {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.point == other.point
    }
}

impl Eq for SparseAutoencoder {}
