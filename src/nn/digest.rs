//! BLAKE3 of numbers as little-endian f32.

use candle_core::{DType, Device, Result, Tensor};

/// Hashes numbers.
pub fn of_values(values: impl Iterator<Item = f32>) -> blake3::Hash {
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    blake3::hash(&bytes)
}

/// Hashes the numbers of a tensor of any float, in order.
pub fn of_tensor(tensor: &Tensor) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    update(&mut hasher, tensor)?;
    Ok(hasher.finalize())
}

/// Feeds the numbers of a tensor of any float to `hasher`, in order.
pub fn update(hasher: &mut blake3::Hasher, tensor: &Tensor) -> Result<()> {
    let values = tensor
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    // At once: BLAKE3 is slow on four bytes at a time.
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    hasher.update(&bytes);
    Ok(())
}
