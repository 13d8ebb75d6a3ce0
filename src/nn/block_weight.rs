//! A weight in blocks of llama.cpp's formats, on a CPU.

use candle_core::quantized::GgmlDType;
use candle_core::{Device, Result, Tensor, bail};

use super::cpu::blocks::{self, BlockFormat};
use super::cpu::pack::Panels;
use crate::weights::Blocks;

/// A weight `(out, input)` in panels of interleaved blocks.
#[derive(Debug)]
pub(super) struct BlockWeight {
    panels: Vec<u32>,
    format: BlockFormat,
    pub(super) input: usize,
    pub(super) out: usize,
    pub(super) device: Device,
}

impl BlockWeight {
    /// Packs the blocks of a matrix `(out, input)`.
    pub(super) fn new(weight: &Blocks<'_>, (out, input): (usize, usize)) -> Result<Self> {
        let format = match weight.format {
            GgmlDType::Q4_0 => BlockFormat::Q4_0,
            GgmlDType::Q8_0 => BlockFormat::Q8_0,
            GgmlDType::Q4K => BlockFormat::Q4K,
            GgmlDType::Q5K => BlockFormat::Q5K,
            GgmlDType::Q6K => BlockFormat::Q6K,
            // `weights` leaves matrices in these formats alone; of others it makes numbers.
            other => bail!("no product with {other:?}"),
        };
        Ok(Self {
            // A copy: the pages of the file are let go of once the next tensor is read.
            panels: blocks::interleave(&weight.bytes, format, input),
            format,
            input,
            out,
            device: Device::Cpu,
        })
    }

    /// Returns the weight as f32.
    pub(super) fn decoded(&self) -> Result<Tensor> {
        let sizes = (self.out, self.input);
        let values = blocks::decoded(&self.panels, self.format, sizes);
        Tensor::from_vec(values, sizes, &self.device)
    }

    /// Returns the panels.
    pub(super) fn panels(&self) -> Panels<'_> {
        Panels::Blocks(&self.panels, self.format)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::ggml_file::qtensor_from_ggml;

    use super::super::cpu::blocks::tests::{FORMATS, rows};
    use super::*;

    #[test]
    fn numbers_are_those_that_candle_reads() -> Result<()> {
        let sizes = (40, 768);
        for format in FORMATS {
            let bytes = rows(format, sizes.0, sizes.1);
            let theirs = match format {
                BlockFormat::Q4_0 => GgmlDType::Q4_0,
                BlockFormat::Q8_0 => GgmlDType::Q8_0,
                BlockFormat::Q4K => GgmlDType::Q4K,
                BlockFormat::Q5K => GgmlDType::Q5K,
                BlockFormat::Q6K => GgmlDType::Q6K,
            };
            let blocks = Blocks {
                format: theirs,
                bytes: bytes.as_slice().into(),
            };
            let expected = qtensor_from_ggml(theirs, &bytes, vec![sizes.0, sizes.1], &Device::Cpu)?;
            let expected: Vec<Vec<f32>> = expected.dequantize(&Device::Cpu)?.to_vec2()?;
            let found: Vec<Vec<f32>> = BlockWeight::new(&blocks, sizes)?.decoded()?.to_vec2()?;
            // 0 and -0 are the same number.
            assert_eq!(found, expected, "{format:?}");
        }
        Ok(())
    }
}
