//! Sizes the parts of a model before they are read, and says which tensor goes to which device.

use std::ops::Range;

use candle_core::{DType, Device};

use super::config::Config;
use super::memory_plan::{DeviceMemory, MemoryPlan, ModelBytes};
use crate::model::vision_tower::TowerConfig;
use crate::nn::{DeviceGroup, DeviceId};
use crate::telemetry;
use crate::weights::{Checkpoint, Matrices, Tensors};

/// A model whose weights are not read yet.
pub(super) struct Unread<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) config: &'a Config,
    pub(super) tower: &'a dyn TowerConfig,
    pub(super) dtype: DType,
    pub(super) matrices: Matrices,
    pub(super) devices: &'a DeviceGroup,
    /// Set where a resident model's tower serves it.
    pub(super) shares_tower: bool,
    /// Bytes of keys and values, at most.
    pub(super) keys_and_values: u64,
}

impl Unread<'_> {
    /// Plans where the parts go, on the thread that owns the devices.
    pub(super) fn plan(&self, devices: &[Device]) -> MemoryPlan {
        let memory: Vec<DeviceMemory> = devices.iter().map(memory_of).collect();
        MemoryPlan::new(&self.bytes(), &memory)
    }

    /// Returns the bytes of a head that is the embedding table of another device.
    pub(super) fn copied_table(&self) -> u64 {
        // A head that the checkpoint has is used, tied or not, and is counted with the tensors.
        let tied = self.config.tied() && self.parameters("lm_head.") == 0;
        if tied && self.devices.ids().len() > 1 {
            self.bytes_of(self.config.text_config.table_parameters())
        } else {
            0
        }
    }

    /// Sizes the parts by the files, or where there are none by the configuration.
    fn bytes(&self) -> ModelBytes {
        let text = &self.config.text_config;
        let layers = 0..text.num_hidden_layers;
        if !self.checkpoint.is_random() {
            return self.bytes_in_files(layers);
        }
        let width = text.hidden_size as u64;
        let (table, norm) = (text.table_parameters(), width);
        let head = if self.config.tied() { 0 } else { table };
        // About: without the first of the projector's layers, which reads rows of the tower.
        let between = self.config.projector_layers().saturating_sub(1) as u64 * width * width;
        // It is on the device already, and so not in what is free there.
        let tower = if self.shares_tower {
            0
        } else {
            self.tower.parameters()
        };
        ModelBytes {
            first: self.bytes_of(tower + between + table),
            layers: layers
                .map(|_| self.bytes_of(text.layer_parameters()))
                .collect(),
            last: self.bytes_of(norm + head) + self.copied_table(),
            keys_and_values: self.keys_and_values,
        }
    }

    /// Returns about how many bytes will be drawn.
    pub(super) fn drawn_bytes(&self, shares_decoder: bool) -> u64 {
        let parts = self.bytes();
        if shares_decoder {
            // What stands between tower and decoder is left out: the same table is small beside it.
            let table = self.bytes_of(self.config.text_config.table_parameters());
            return parts.first - table.min(parts.first);
        }
        let layers = parts
            .layers
            .iter()
            .fold(0, |sum: u64, layer| sum.saturating_add(*layer));
        layers
            .saturating_add(parts.first)
            .saturating_add(parts.last)
    }

    /// Sizes the parts by the files.
    fn bytes_in_files(&self, layers: Range<usize>) -> ModelBytes {
        let of = |prefix: &str| self.file_bytes(&[prefix]);
        let between = of("multi_modal_projector.") + of("image_newline");
        let tower = if self.shares_tower {
            0
        } else {
            of("vision_tower.")
        };
        ModelBytes {
            first: tower + between + of("language_model.embed_tokens."),
            layers: layers.map(|layer| of(&layer_prefix(layer))).collect(),
            last: of("language_model.norm.") + of("lm_head.") + self.copied_table(),
            keys_and_values: self.keys_and_values,
        }
    }

    /// Returns the bytes of tensors of the files, resident.
    pub(super) fn file_bytes(&self, prefixes: &[&str]) -> u64 {
        let size = self.dtype.size_in_bytes() as u64;
        self.checkpoint
            .resident_bytes(prefixes, size, self.matrices)
    }

    fn parameters(&self, prefix: &str) -> u64 {
        self.checkpoint.parameters(&[prefix])
    }

    fn bytes_of(&self, parameters: u64) -> u64 {
        parameters.saturating_mul(self.dtype.size_in_bytes() as u64)
    }
}

fn memory_of(device: &Device) -> DeviceMemory {
    DeviceMemory {
        name: DeviceId::of(device).to_string(),
        free: telemetry::memory_free(device),
    }
}

/// Sends the tensors of the decoder to the devices that `plan` names; all others stay on the first.
pub(super) fn spread(weights: &mut Tensors<'_>, plan: &MemoryPlan, devices: &[Device]) {
    // Whatever has no place of its own is read to the first device, its layers as well.
    for (share, device) in plan.shares().iter().zip(devices).skip(1) {
        for layer in share.layers.clone() {
            weights.place(layer_prefix(layer), device);
        }
    }
    if let Some(last) = devices.last() {
        for prefix in ["language_model.norm.", "lm_head."] {
            // Beside the last layer: its output need not cross to another card again.
            weights.place(prefix.into(), last);
        }
    }
}

/// Returns how the names of a layer's tensors begin.
fn layer_prefix(layer: usize) -> String {
    format!("language_model.layers.{layer}.")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::load::source::Source;

    /// What is counted by configurations is what files have.
    #[test]
    fn layers_are_as_large_as_in_files() {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
        let mut families = 0;
        for set in std::fs::read_dir(goldens).unwrap() {
            let folder = set.unwrap().path().join("model");
            let source = Source::Folder(folder.clone());
            let Ok(Some(json)) = source.json::<serde_json::Value>("config.json") else {
                continue;
            };
            let Ok(parsed) = Config::parse(json) else {
                continue;
            };
            let checkpoint = source.checkpoint().unwrap();
            let (text, count) = (&parsed.config.text_config, |p: &str| {
                checkpoint.parameters(&[p])
            });
            for layer in 0..text.num_hidden_layers {
                let found = count(&layer_prefix(layer));
                assert_eq!(found, text.layer_parameters(), "{}", folder.display());
            }
            let table = count("language_model.embed_tokens.");
            assert_eq!(table, text.table_parameters(), "{}", folder.display());
            let tower = count("vision_tower.");
            let about = parsed.tower.parameters();
            assert!(about <= tower && 2 * about > tower, "{about} of {tower}");
            families += 1;
        }
        assert!(families >= 10, "{families}");
    }
}
