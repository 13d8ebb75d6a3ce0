//! BLAKE3 of numbers as little-endian f32.

use candle_core::{DType, Device, Result, Storage, Tensor};

use super::cpu::simd::Numbers;
use super::device::for_host;
use super::storage::numbers;

/// Numbers that are widened at once: BLAKE3 is slow on four bytes at a time, and whole tensors would
/// need fresh memory twice their size.
const PIECE: usize = 1 << 14;

/// Hashes numbers.
pub fn of_values(values: impl Iterator<Item = f32>) -> blake3::Hash {
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    blake3::hash(&bytes)
}

/// Hashes the numbers of a tensor of any float, in order.
pub fn of_tensor(tensor: &Tensor) -> Result<blake3::Hash> {
    Ok(HostValues::download(tensor)?.hash())
}

/// Feeds the numbers of a tensor of any float to `hasher`, in order.
pub fn update(hasher: &mut blake3::Hasher, tensor: &Tensor) -> Result<()> {
    HostValues::download(tensor)?.feed(hasher);
    Ok(())
}

/// Numbers in host memory, which any thread may hash.
#[derive(Debug, Clone)]
pub struct HostValues(Tensor);

impl HostValues {
    /// Copies the numbers of a tensor of any float from its device.
    pub fn download(tensor: &Tensor) -> Result<Self> {
        // Before they are widened: half precision is half the bytes.
        let values = for_host(|| tensor.to_device(&Device::Cpu)?.contiguous())?;
        match values.dtype() {
            DType::F32 | DType::BF16 | DType::F16 => Ok(Self(values)),
            _ => Ok(Self(values.to_dtype(DType::F32)?)),
        }
    }

    /// Returns those of some rows.
    pub fn rows(&self, first: usize, count: usize) -> Result<Self> {
        Ok(Self(self.0.narrow(0, first, count)?))
    }

    /// Hashes the numbers, in order.
    pub fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        self.feed(&mut hasher);
        hasher.finalize()
    }

    fn feed(&self, hasher: &mut blake3::Hasher) {
        let (storage, layout) = self.0.storage_and_layout();
        // `download` has brought them to the CPU.
        let Storage::Cpu(storage) = &*storage else {
            return;
        };
        match numbers(storage, layout) {
            Ok(Numbers::F32(values)) => feed(hasher, values, |x| *x),
            Ok(Numbers::Bf16(values)) => feed(hasher, values, |x| x.to_f32()),
            Ok(Numbers::F16(values)) => feed(hasher, values, |x| x.to_f32()),
            // `download` lets in no other kind.
            Err(_) => {}
        }
    }
}

fn feed<T>(hasher: &mut blake3::Hasher, values: &[T], widen: impl Fn(&T) -> f32) {
    let mut bytes = Vec::with_capacity(4 * PIECE.min(values.len()));
    for piece in values.chunks(PIECE) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|x| widen(x).to_le_bytes()));
        hasher.update(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_and_length_hashes_as_its_f32() -> Result<()> {
        for count in [1, PIECE - 1, PIECE, 3 * PIECE + 5] {
            let values: Vec<f32> = (0..count).map(|i| (i as f32).sin()).collect();
            let tensor = Tensor::from_vec(values, count, &Device::Cpu)?;
            for dtype in [DType::F32, DType::BF16, DType::F16, DType::F64] {
                let narrow = tensor.to_dtype(dtype)?;
                let wide: Vec<f32> = narrow.to_dtype(DType::F32)?.to_vec1()?;
                let expected = of_values(wide.iter().copied());
                assert_eq!(of_tensor(&narrow)?, expected, "{count} {dtype:?}");
                let part = HostValues::download(&narrow)?.rows(0, count / 2)?;
                assert_eq!(part.hash(), of_values(wide.into_iter().take(count / 2)));
            }
        }
        Ok(())
    }
}
