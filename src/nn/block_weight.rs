//! A weight in blocks of llama.cpp's formats, on a CPU.

use candle_core::quantized::GgmlDType;
use candle_core::{CpuStorage, Device, Layout, Result, Shape, Tensor, bail};

use super::cpu::blocks::{self, BlockFormat};
use super::storage::floats;
use crate::weights::Blocks;

/// A weight `(out, input)` in panels of interleaved blocks.
#[derive(Debug)]
pub(super) struct BlockWeight {
    panels: Vec<u8>,
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

    fn with_bias<'a>(&'a self, bias: Option<&'a [f32]>) -> blocks::BlockWeight<'a> {
        blocks::BlockWeight {
            panels: &self.panels,
            format: self.format,
            input: self.input,
            out: self.out,
            bias,
        }
    }

    /// Returns the weight as f32.
    pub(super) fn decoded(&self) -> Result<Tensor> {
        let values = self.with_bias(None).decoded();
        Tensor::from_vec(values, (self.out, self.input), &self.device)
    }

    /// Maps the f32 numbers of a contiguous `(R, in)` to `(R, out)`.
    pub(super) fn product(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        // The kernel takes a flat slice, and would cut rows of another width at the wrong places.
        if width != self.input {
            bail!(
                "rows of {width} values for a weight of {} inputs",
                self.input
            )
        }
        let y = self.with_bias(bias).product(floats(storage, layout)?);
        Ok((CpuStorage::F32(y), (rows, self.out).into()))
    }
}
