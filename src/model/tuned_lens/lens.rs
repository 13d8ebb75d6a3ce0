//! One tuned lens, and the maps that it is of.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::model::error::Error;
use crate::model::hosted_linear::HostedLinear;
use crate::nn::{Point, Site, Stack};

/// A tuned lens in the memory of the process.
#[derive(Debug)]
pub struct TunedLens {
    /// One for each layer.
    pub(super) translators: Vec<HostedLinear>,
    pub(super) digest: String,
    /// Of its tensors.
    pub(super) bytes: u64,
}

/// The translator of one layer.
#[derive(Debug, Clone)]
pub struct Translator {
    lens: Arc<TunedLens>,
    layer: usize,
}

impl TunedLens {
    /// Returns the translator of rows at `point` of the language model. `None` for what leaves the last
    /// layer, which needs none, and for points that no lens [reads](Self::reads).
    pub fn at(self: &Arc<Self>, point: Point) -> Option<Translator> {
        let layer = match (point.site, point.layer) {
            (Site::ResidPre, Some(layer)) => layer,
            // What leaves a layer enters the next one.
            (Site::ResidPost, Some(layer)) => layer + 1,
            (Site::Embed, _) => 0,
            _ => return None,
        };
        (layer < self.layers()).then(|| Translator {
            lens: self.clone(),
            layer,
        })
    }

    /// Returns whether it reads rows at a hook point: those of the residual stream between layers.
    pub fn reads(stack: Stack, site: Site) -> bool {
        stack == Stack::LanguageModel
            && matches!(site, Site::Embed | Site::ResidPre | Site::ResidPost)
    }

    /// Returns the number of its translators.
    pub fn layers(&self) -> usize {
        self.translators.len()
    }

    /// Returns the bytes that it takes in the memory of the process.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns BLAKE3 (hex) of its weights and configuration.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Translator {
    /// Maps rows `(n, D)`, on the thread of the device that they are on.
    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let rows = x.to_dtype(DType::F32)?;
        // (n, D) -> (n, D).
        let moved = self.lens.translators[self.layer].forward(&rows)?;
        // The maps are f32; the norm and the head behind them take rows of the model's dtype.
        Ok((rows + moved)?.to_dtype(x.dtype())?)
    }
}

/// Takes two of equal weights and configurations for the same.
impl PartialEq for TunedLens {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for TunedLens {}
