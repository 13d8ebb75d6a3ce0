//! What sparse autoencoders and tuned lenses have in common: a folder of a configuration and one file
//! of weights, read beside a model and kept in the memory of the process.

use std::path::{Path, PathBuf};

use candle_core::{Storage, Tensor};
use serde_json::Value;

use super::error::Error;
use crate::weights::{self, Checkpoint, Tensors};

/// Returns the first of the files `names` that is in `folder`.
pub(super) fn file_in(folder: &Path, names: &[&str]) -> Result<PathBuf, String> {
    let mut paths = names.iter().map(|name| folder.join(name));
    // `names` stand in the order of preference: safetensors before pickles.
    let found = paths.find(|path| path.is_file());
    found.ok_or_else(|| format!("{} is not there", names.join(" or ")))
}

/// Fails where the weights, in f32, take more than `left` bytes.
pub(super) fn check_budget(weights: &Checkpoint, left: u64) -> Result<(), Error> {
    // As f32, which may be twice what the file takes.
    let needed = weights.floats_bytes();
    if needed > left {
        return Err(Error::Budget { needed, left });
    }
    Ok(())
}

/// Returns a tensor in f32 on the CPU, which must have `shape`. Fails where a number of it is not
/// finite: it would spoil whatever is computed with it, far from here.
pub(super) fn finite(
    tensors: &Tensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Tensor, weights::Error> {
    let tensor = tensors.get(name, shape)?;
    let is_finite = is_finite(&tensor).map_err(weights::Error::of_device(name))?;
    if is_finite {
        Ok(tensor)
    } else {
        Err(weights::Error::NotFinite(name.to_owned()))
    }
}

fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets())
    else {
        candle_core::bail!("not on the CPU");
    };
    let numbers = &storage.as_slice::<f32>()?[start..end];
    // Number by number: a sum of finite ones may overflow.
    Ok(numbers.iter().all(|number| number.is_finite()))
}

/// Returns the BLAKE3 (hex) of weights and configuration, which records hold.
pub(super) fn digest(weights: &Checkpoint, json: &Value) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(weights.digest(&[""]).as_bytes());
    // Parsed and written again, with sorted keys: spaces and order in the file say nothing.
    hasher.update(json.to_string().as_bytes());
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn weights_that_are_not_finite_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights.safetensors");
        let row = |last: f32| Tensor::from_vec(vec![1.0, -2.0, last], 3, &Device::Cpu).unwrap();
        let all = [
            ("good", row(f32::MAX)),
            ("nan", row(f32::NAN)),
            ("infinite", row(f32::NEG_INFINITY)),
        ];
        let all: HashMap<_, _> = all.into_iter().collect();
        candle_core::safetensors::save(&all, &file).unwrap();
        let checkpoint = Checkpoint::open(&[file]).unwrap();
        let tensors = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
        let numbers: Vec<f32> = finite(&tensors, "good", &[3]).unwrap().to_vec1().unwrap();
        assert_eq!(numbers, [1.0, -2.0, f32::MAX]);
        for name in ["nan", "infinite"] {
            let error = finite(&tensors, name, &[3]).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("tensor {name} holds a number that is not finite")
            );
        }
    }
}
