//! Features of sparse autoencoders that get other values.

use std::sync::Arc;

use candle_core::{D, Tensor};

use crate::model::SparseAutoencoder;
use crate::nn::{HostTensor, Result};

/// Other values of some features.
#[derive(Debug, Clone)]
pub struct FeatureEdit {
    /// The autoencoder.
    pub sae: Arc<SparseAutoencoder>,
    /// The features.
    pub features: Arc<[u32]>,
    /// Their directions, `(m, W)`.
    pub directions: HostTensor,
    /// Says what each becomes.
    pub change: FeatureChange,
}

/// Makes another value of a feature's value `f`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FeatureChange {
    /// This.
    Clamp(f64),
    /// So many times `f`.
    Scale(f64),
    /// `f` and so much.
    Add(f64),
    /// 0.
    Ablate,
}

impl FeatureEdit {
    /// Returns rows `x (n, ...)` of f32 with the other values: `x + sum of (new - old) d`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        // At points with heads a row is that of all heads, end to end.
        let mut rows = x.reshape(((), self.sae.width()))?; // (n, W)
        let old = self.sae.values(&rows, &self.features)?; // (n, m)
        // Added as a difference: what the autoencoder does not explain of a row stays as it is.
        let mut difference = (self.change.of(&old)? - &old)?; // (n, m)
        if let Some(scale) = self.sae.scale(&rows)? {
            difference = difference.broadcast_mul(&scale)?;
        }
        let directions = self.directions.upload_once(x.device())?; // (m, W)
        // Feature by feature: a matrix product would make a row's bits depend on its neighbours.
        for i in 0..self.features.len() {
            let difference = difference.narrow(D::Minus1, i, 1)?; // (n, 1)
            let moved = (&rows + difference.broadcast_mul(&directions.narrow(0, i, 1)?)?)?;
            // Rows whose feature stays are chosen, not added to: they keep every bit, -0 as well.
            let stays = difference.eq(0.0)?.broadcast_as(rows.shape())?;
            rows = stays.where_cond(&rows, &moved)?;
        }
        rows.reshape(x.shape())
    }

    /// Feeds what it is to `hasher`.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        let Self {
            sae,
            features,
            change,
            // They follow from the autoencoder and the features, which are hashed.
            directions: _,
        } = self;
        let what = format!("set feature {} {features:?} {change:?}", sae.digest());
        hasher.update(what.as_bytes());
    }
}

impl FeatureChange {
    fn of(self, old: &Tensor) -> Result<Tensor> {
        match self {
            Self::Clamp(value) => old.ones_like()? * value,
            Self::Scale(factor) => old * factor,
            Self::Add(more) => old + more,
            Self::Ablate => old.zeros_like(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use candle_core::{Device, Tensor};

    use super::{FeatureChange, FeatureEdit};
    use crate::model::{SaePlace, SparseAutoencoder};

    /// Largest difference of values that PyTorch computed, and sums in another order.
    const TOLERANCE: f32 = 1e-5;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/saes")
    }

    fn read(name: &str) -> SparseAutoencoder {
        let mut folder = folder().join(name);
        if name == "sparsify" {
            folder = folder.join("layers.0");
        }
        SparseAutoencoder::read(&SaePlace {
            folder,
            point: None,
        })
        .unwrap()
    }

    fn differ(found: &Tensor, expected: &Tensor) -> f32 {
        let difference = (found - expected).unwrap().abs().unwrap();
        difference.max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn features_and_edits_are_those_of_pytorch_in_every_layout() {
        let file = folder().join("expected.safetensors");
        let expected = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
        let (rows, all) = (&expected["rows"], (0..24).collect::<Vec<u32>>());
        let mut layouts = 0;
        for (name, values) in &expected {
            let Some(name) = name.strip_suffix(".values") else {
                continue;
            };
            let sae = Arc::new(read(name));
            assert_eq!(
                sae.point().to_string(),
                "language_model.blocks.0.hook_resid_post"
            );
            let found = sae.values(rows, &all).unwrap();
            assert!(differ(&found, values) < TOLERANCE, "{name}: features");
            // What captures tell are the same numbers.
            let strongest = sae.strongest(rows, 24, 24).unwrap();
            let found = found.to_vec2::<f32>().unwrap();
            for (strongest, found) in strongest.into_iter().zip(&found) {
                assert!(
                    strongest
                        .iter()
                        .all(|&(feature, value)| found[feature as usize] == value)
                );
                let active = found.iter().filter(|value| **value > 0.0).count();
                assert_eq!(strongest.len(), active, "{name}: active features");
                assert!(strongest.is_sorted_by(|a, b| a.1 >= b.1), "{name}: order");
            }
            layouts += 1;
            let Some(set) = expected.get(&format!("{name}.set")) else {
                assert!(sae.directions(&[3, 7]).is_none(), "{name} is a transcoder");
                continue;
            };
            let edit = FeatureEdit {
                directions: sae.directions(&[3, 7]).unwrap().unwrap(),
                sae,
                features: [3, 7].into(),
                change: FeatureChange::Clamp(2.0),
            };
            let found = edit.apply(rows).unwrap();
            assert!(differ(&found, set) < TOLERANCE, "{name}: edited rows");
        }
        assert_eq!(layouts, 18);
    }

    fn bits(x: &Tensor) -> Vec<u32> {
        let numbers = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        numbers.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn a_feature_that_is_set_to_its_own_value_changes_no_bit() {
        let file = folder().join("expected.safetensors");
        let expected = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
        for name in [
            "saelens-topk",
            "saelens-layer-norm",
            "dictionary-GatedAutoEncoder",
        ] {
            let sae = Arc::new(read(name));
            for i in 0..8 {
                let row = expected["rows"].narrow(0, i, 1).unwrap();
                let strongest = sae.strongest(&row, 1, 24).unwrap();
                let Some(&(feature, value)) = strongest[0].first() else {
                    continue;
                };
                for change in [
                    FeatureChange::Clamp(value.into()),
                    FeatureChange::Scale(1.0),
                    FeatureChange::Add(0.0),
                ] {
                    let edit = FeatureEdit {
                        directions: sae.directions(&[feature]).unwrap().unwrap(),
                        sae: sae.clone(),
                        features: [feature].into(),
                        change,
                    };
                    assert_eq!(
                        bits(&edit.apply(&row).unwrap()),
                        bits(&row),
                        "{name} {change:?}"
                    );
                }
            }
        }
    }
}
