//! Arrays for NumPy, as .npz.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use candle_core::npy::NpzTensors;

use super::files;

/// Writes arrays by their names.
pub(super) fn write_npz(path: &Path, arrays: &BTreeMap<String, Tensor>) -> Result<(), String> {
    let arrays: Vec<_> = arrays.iter().collect();
    let written = Tensor::write_npz(&arrays, path);
    // The list of arrays stands at the end, which candle writes as it drops the file, without a
    // word where the disk is full.
    let written = written.and_then(|()| NpzTensors::new(path).map(drop));
    written.map_err(|e| files::named(path, &e))
}
