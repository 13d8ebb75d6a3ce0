//! The linear layer: the only caller of a weight matmul, and so the keeper of row invariance: the
//! result of a row depends on that row alone, never on how many rows share the call. On a CPU
//! [`gemm`](super::cpu::gemm) holds it to the bit.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
use half::f16;

use super::backend::Backend;
use super::block_weight::BlockWeight;
use super::cpu::gemm::PackedWeight;
use super::cpu::pack::{Panels, pack, pack_pairs, unpack_pairs};
use super::cpu::simd::Numbers;
use super::cpu::tiles::PANEL;
use super::cuda;
use super::storage::{as_floats, numbers, stored};
use crate::weights::Blocks;

/// `y = x W^T + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    dtype: DType,
}

#[derive(Debug, Clone)]
enum Weight {
    /// Panels, for [`Backend::Cpu`].
    Packed {
        /// `(P, in, PANEL)`, or `(P, in / 2, PANEL)` pairs of bf16 as u32.
        panels: Tensor,
        input: usize,
        /// Outputs that are not padding.
        out: usize,
    },
    /// Holds the blocks of its file, for [`Backend::Cpu`].
    Blocks(Arc<BlockWeight>),
    /// `(out, in)`, for [`Backend::Candle`].
    Plain(Tensor),
}

impl Linear {
    /// Creates a layer of `weight (out, in)` and `bias (out)`, laid out for the device they are on.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let dtype = weight.dtype();
        if Backend::of(weight.device()) == Backend::Candle {
            return Ok(Self {
                weight: Weight::Plain(weight),
                bias,
                dtype,
            });
        }
        // The kernel adds the bias in f32, as the first summand.
        let bias = bias.map(|b| as_floats(&b)).transpose()?;
        let (out, input) = weight.dims2()?;
        let panels = weight.contiguous()?.apply_op1_no_bwd(&Pack)?;
        Ok(Self {
            weight: Weight::Packed { panels, input, out },
            bias,
            dtype,
        })
    }

    /// Creates a layer of a weight `(out, in)` that stays in its blocks, on a CPU, with the bits of
    /// the dequantised one in f32.
    pub fn of_blocks(
        blocks: &Blocks<'_>,
        sizes: (usize, usize),
        bias: Option<Tensor>,
    ) -> Result<Self> {
        let weight = BlockWeight::new(blocks, sizes)?;
        if Backend::of(&weight.device) == Backend::Candle {
            // After `use_candle`: there is no product with blocks there, and the numbers are the
            // same.
            return Self::new(weight.decoded()?, bias);
        }
        Ok(Self {
            weight: Weight::Blocks(Arc::new(weight)),
            bias: bias.map(|b| as_floats(&b)).transpose()?,
            dtype: DType::F32,
        })
    }

    /// Lays layers of the same inputs out as one, of which they become parts, so that one product
    /// serves all. `None` where that cannot be: off a GPU, where some have a bias and others none,
    /// and where a part would not begin at 16 bytes, as kernels read.
    pub(super) fn join(parts: &mut [&mut Self]) -> Result<Option<Self>> {
        let mut weights = Vec::with_capacity(parts.len());
        for part in parts.iter() {
            match &part.weight {
                Weight::Plain(weight) if is_on_gpu(weight) => weights.push(weight.clone()),
                _ => return Ok(None),
            }
        }
        let biases: Vec<Tensor> = parts.iter().filter_map(|p| p.bias.clone()).collect();
        // There is one: callers join two parts or three.
        let input = weights[0].dim(1)?;
        // 8 outputs of the same input are a multiple of 16 bytes in any half precision.
        let fits = |w: &Tensor| w.dims()[1] == input && w.dims()[0].is_multiple_of(8);
        if !weights.iter().all(fits) || !(biases.is_empty() || biases.len() == weights.len()) {
            return Ok(None);
        }
        let weight = Tensor::cat(&weights, 0)?;
        let bias = (!biases.is_empty()).then(|| Tensor::cat(&biases, 0));
        // Until this returns the parts' own weights are in memory beside it.
        let joined = Self::new(weight.clone(), bias.transpose()?)?;
        let mut first = 0;
        for part in parts {
            let out = part.sizes().0;
            // A view of the joined weight: both forms take the memory of one.
            part.weight = Weight::Plain(weight.narrow(0, first, out)?);
            if let Some(bias) = &joined.bias {
                part.bias = Some(bias.narrow(0, first, out)?);
            }
            first += out;
        }
        Ok(Some(joined))
    }

    /// Returns `(out, in)`.
    pub fn sizes(&self) -> (usize, usize) {
        match &self.weight {
            Weight::Packed { input, out, .. } => (*out, *input),
            Weight::Blocks(weight) => (weight.out, weight.input),
            Weight::Plain(weight) => (weight.dims()[0], weight.dims()[1]),
        }
    }

    /// Returns the weight `(out, in)`, unpacked.
    pub fn weight(&self) -> Result<Tensor> {
        match &self.weight {
            Weight::Packed { panels, input, out } => unpack(panels, *input, *out),
            Weight::Blocks(weight) => weight.decoded(),
            Weight::Plain(weight) => Ok(weight.clone()),
        }
    }

    /// Returns the weight `(out, in)` where it is kept as it is.
    pub(super) fn plain_weight(&self) -> Option<&Tensor> {
        match &self.weight {
            Weight::Plain(weight) => Some(weight),
            Weight::Packed { .. } | Weight::Blocks(_) => None,
        }
    }

    /// Returns the bias `(out)`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Returns the dtype that the weight is kept in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the device that the weight is on.
    pub fn device(&self) -> &Device {
        match &self.weight {
            Weight::Packed { panels: weight, .. } | Weight::Plain(weight) => weight.device(),
            Weight::Blocks(weight) => &weight.device,
        }
    }

    /// Returns the backend that the weight is laid out for.
    pub fn backend(&self) -> Backend {
        match &self.weight {
            Weight::Packed { .. } | Weight::Blocks(_) => Backend::Cpu,
            Weight::Plain(_) => Backend::Candle,
        }
    }

    /// Maps `x (R, in)` to `(R, out)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.track_op() {
            return self.forward_tracked(x);
        }
        match &self.weight {
            // Rows keep their dtype; sums are f32 inside.
            Weight::Packed { .. } | Weight::Blocks(_) => {
                x.contiguous()?.apply_op1_no_bwd(&Product(self))
            }
            Weight::Plain(weight) => {
                if is_on_gpu(weight) {
                    return cuda::product(x, weight, self.bias.as_ref());
                }
                // Where no kernel of ours serves: f32, Metal, or inputs that are no multiple of 8.
                let y = x.matmul(&weight.t()?)?;
                match &self.bias {
                    Some(bias) => y.broadcast_add(bias),
                    None => Ok(y),
                }
            }
        }
    }

    /// Maps a tracked `x (R, in)` to `(R, out)`, in f32: the kernels have no backward of their own.
    fn forward_tracked(&self, x: &Tensor) -> Result<Tensor> {
        let x = as_floats(x)?;
        if self.backend() == Backend::Cpu {
            return x.apply_op1(FrozenProduct(self.clone()));
        }
        // candle makes the gradient of the weight, too, which nobody reads: twice the work, and
        // memory for one layer's weights at a time.
        let y = x.matmul(&as_floats(&self.weight()?)?.t()?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(&as_floats(bias)?),
            None => Ok(y),
        }
    }

    /// Maps the numbers of a contiguous `(R, in)` to `(R, out)` in the same dtype, on a CPU.
    pub(super) fn product(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        // A copy of one row; the weight itself is borrowed.
        let bias = self.bias.as_ref().map(Tensor::to_vec1::<f32>);
        let bias = bias.transpose()?;
        match &self.weight {
            Weight::Blocks(weight) => multiplied(
                self.packed(weight.panels(), bias.as_deref()),
                storage,
                layout,
            ),
            Weight::Packed { panels, .. } => {
                let (panels, panels_layout) = panels.storage_and_layout();
                let candle_core::Storage::Cpu(panels) = &*panels else {
                    bail!("the weight is not on the CPU")
                };
                let panels = panels_of(panels, panels_layout)?;
                multiplied(self.packed(panels, bias.as_deref()), storage, layout)
            }
            Weight::Plain(_) => bail!("the weight is not packed"),
        }
    }

    fn packed<'a>(&self, panels: Panels<'a>, bias: Option<&'a [f32]>) -> PackedWeight<'a> {
        let (out, input) = self.sizes();
        PackedWeight {
            panels,
            input,
            out,
            bias,
        }
    }
}

/// Multiplies the numbers of a contiguous `(R, in)` in their own dtype.
fn multiplied(
    weight: PackedWeight<'_>,
    storage: &CpuStorage,
    layout: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let (rows, width) = layout.shape().dims2()?;
    // The kernel takes a flat slice, and would cut rows of another width at the wrong places.
    if width != weight.input {
        let input = weight.input;
        bail!("rows of {width} values for a weight of {input} inputs")
    }
    let x = numbers(storage, layout)?;
    Ok((stored(weight.product(x), x), (rows, weight.out).into()))
}

/// Returns the panels that [`Pack`] made.
fn panels_of<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Panels<'a>> {
    if let (CpuStorage::U32(pairs), Some((start, end))) = (storage, layout.contiguous_offsets()) {
        return Ok(Panels::Bf16(&pairs[start..end]));
    }
    let values = numbers(storage, layout)?;
    match values {
        Numbers::F32(values) => Ok(Panels::F32(values)),
        // Widened block by block as it is multiplied: no kernel multiplies f16 as it is.
        Numbers::F16(_) => Ok(Panels::Read(values)),
        Numbers::Bf16(_) => bail!("bf16 weights are packed in pairs"),
    }
}

/// Returns whether kernels for GPUs multiply by a weight.
fn is_on_gpu(weight: &Tensor) -> bool {
    cuda::serves(weight) && cuda::multiplies(weight)
}

/// Returns the first `out` outputs of `panels` as `(out, input)`.
fn unpack(panels: &Tensor, input: usize, out: usize) -> Result<Tensor> {
    if panels.dtype() == DType::U32 {
        return panels.apply_op1_no_bwd(&UnpackPairs { input, out });
    }
    // (P, in, PANEL) -> (P, PANEL, in) -> (P PANEL, in) -> (out, in): the padding comes last.
    let (count, _, width) = panels.dims3()?;
    panels
        .transpose(1, 2)?
        .reshape((count * width, input))?
        .narrow(0, 0, out)?
        .contiguous()
}

/// Packs `weight (out, in)` of any float into panels, in its own width.
struct Pack;

impl CustomOp1 for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (out, input) = layout.shape().dims2()?;
        let count = out.div_ceil(PANEL);
        // A line of a panel is one input, or a pair of them, of its 16 outputs.
        let (packed, lines) = match numbers(storage, layout)? {
            Numbers::F32(values) => (CpuStorage::F32(pack(values, input, 0.0)), input),
            Numbers::F16(values) => (CpuStorage::F16(pack(values, input, f16::ZERO)), input),
            Numbers::Bf16(values) => {
                let pairs = pack_pairs(values, input);
                (CpuStorage::U32(pairs), input.div_ceil(2))
            }
        };
        Ok((packed, (count, lines, PANEL).into()))
    }
}

/// Returns pairs of bf16 to `(out, input)`.
struct UnpackPairs {
    input: usize,
    out: usize,
}

impl CustomOp1 for UnpackPairs {
    fn name(&self) -> &'static str {
        "unpack"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Panels::Bf16(pairs) = panels_of(storage, layout)? else {
            bail!("the weight is not packed in pairs")
        };
        let weight = unpack_pairs(pairs, self.input, self.out);
        Ok((CpuStorage::BF16(weight), (self.out, self.input).into()))
    }
}

/// `x (R, in) -> x W^T + b (R, out)`, in the dtype of `x`.
struct Product<'a>(&'a Linear);

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.product(storage, layout)
    }
}

/// A linear layer of the CPU's kernels, whose weight is a constant: the forward has their bits.
struct FrozenProduct(Linear);

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.product(storage, layout)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        // dL/dx = dL/dy W.
        let weight = self.0.weight()?.to_dtype(DType::F32)?; // (out, in)
        // (R, out) (out, in) -> (R, in).
        gradient.contiguous()?.matmul(&weight).map(Some)
    }
}
