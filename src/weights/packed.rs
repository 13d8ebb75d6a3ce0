//! Matrices that AWQ, GPTQ and bitsandbytes have packed, as the numbers that their libraries make of
//! them.
//!
//! The references are `dequantize_gemm` of `AutoAWQ`, `dequantize_weight` of `GPTQModel` with its
//! conversion of the first layout to the second, and `dequantize_4bit` and `int8_vectorwise_dequant`
//! of bitsandbytes: products in f32, rounded once to the type that the library returns.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::Dtype;
use serde::Deserialize;

use super::float_dtype;

/// The tensors beside the one that holds the numbers of a packed matrix.
#[derive(Debug, Clone)]
pub(super) struct Packed<T> {
    pub(super) scheme: Scheme,
    /// Holds tensors by the last part of their names.
    pub(super) parts: BTreeMap<&'static str, T>,
}

/// Says how numbers are packed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scheme {
    /// 4 bits, eight outputs a word; `qzeros` and `scales` of groups of inputs.
    Awq,
    /// So many bits, packed along inputs; `qzeros` and `scales` of groups of inputs, and `g_idx`
    /// with the group of each input.
    Gptq { bits: u32, is_v1: bool },
    /// An index into `quant_map` of 16 numbers, times the `absmax` of its block.
    Bnb4(Bnb4Blocks),
    /// A byte times the `SCB` of its output, over 127.
    Bnb8,
}

/// Sizes of blocks of bitsandbytes' 4 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bnb4Blocks {
    pub(super) block: usize,
    /// Numbers of a block of `absmax`, which is packed itself, and what is added to them.
    pub(super) nested: Option<(usize, f32)>,
    pub(super) dtype: DType,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Awq => write!(f, "awq"),
            Self::Gptq { bits, is_v1 } => {
                let version = if *is_v1 { "" } else { "_v2" };
                write!(f, "gptq{version} {bits}")
            }
            // The rest is in its own tensor.
            Self::Bnb4(_) => write!(f, "bnb 4"),
            Self::Bnb8 => write!(f, "bnb 8"),
        }
    }
}

/// `quant_state` of bitsandbytes: what of a packed matrix is no tensor.
#[derive(Debug, Deserialize)]
pub(super) struct QuantState {
    blocksize: usize,
    dtype: String,
    pub(super) shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f64>,
}

impl QuantState {
    /// Checks it and returns the sizes of its blocks.
    pub(super) fn sizes(&self) -> Result<Bnb4Blocks, String> {
        let is_block = |size: usize| size.is_power_of_two() && (32..=4096).contains(&size);
        let nested = match (self.nested_blocksize, self.nested_offset) {
            (Some(block), Some(offset)) => Some((block, offset as f32)),
            (None, None) => None,
            _ => return Err("nested_blocksize and nested_offset go together".into()),
        };
        if !is_block(self.blocksize) || nested.is_some_and(|(block, _)| !is_block(block)) {
            return Err("blocksize: a power of two of 32 to 4096 is valid".into());
        }
        let dtype = match self.dtype.as_str() {
            "float32" => DType::F32,
            "float16" => DType::F16,
            "bfloat16" => DType::BF16,
            other => {
                return Err(format!(
                    "dtype {other:?}; float32, float16 and bfloat16 are read"
                ));
            }
        };
        Ok(Bnb4Blocks {
            block: self.blocksize,
            nested,
            dtype,
        })
    }
}

/// The bytes of a tensor in its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) dtype: Dtype,
}

impl Packed<Part<'_>> {
    /// Returns the matrix `(out, input)` whose numbers are packed in `codes`. Sizes were checked when
    /// the tensors were put together.
    pub(super) fn dequantize(
        &self,
        codes: &[u8],
        (out, input): (usize, usize),
    ) -> Result<Tensor, String> {
        let (values, dtype) = match self.scheme {
            Scheme::Awq => (
                self.grouped(Codes::Awq(codes), (out, input))?,
                self.dtype("scales")?,
            ),
            Scheme::Gptq { bits, .. } => (
                self.grouped(Codes::Gptq(codes, bits), (out, input))?,
                self.dtype("scales")?,
            ),
            Scheme::Bnb4(blocks) => (self.bnb4(codes, blocks, out * input)?, blocks.dtype),
            Scheme::Bnb8 => (self.bnb8(codes, input)?, DType::F32),
        };
        // Rounded here, as the library rounds: the model's dtype may be a wider one.
        let values = Tensor::from_vec(values, (out, input), &Device::Cpu);
        let rounded = values.and_then(|values| values.to_dtype(dtype));
        rounded.map_err(|e| e.to_string())
    }

    fn part(&self, name: &str) -> Result<Part<'_>, String> {
        let part = self.parts.get(name).copied();
        part.ok_or_else(|| format!("{name} is missing"))
    }

    fn dtype(&self, name: &str) -> Result<DType, String> {
        let dtype = self.part(name)?.dtype;
        float_dtype(dtype)
            .ok_or_else(|| format!("{name} has dtype {dtype}; f32, f16 and bf16 are read"))
    }

    /// Reads a tensor of floats as f32.
    fn floats(&self, name: &str) -> Result<Vec<f32>, String> {
        let (part, dtype) = (self.part(name)?, self.dtype(name)?);
        let count = part.bytes.len() / dtype.size_in_bytes();
        let values = Tensor::from_raw_buffer(part.bytes, dtype, &[count], &Device::Cpu);
        let values = values.and_then(|values| values.to_dtype(DType::F32)?.to_vec1());
        values.map_err(|e| format!("{name}: {e}"))
    }

    /// Computes `(code - zero) * scale` with the zero and the scale of the input's group.
    fn grouped(&self, codes: Codes<'_>, (out, input): (usize, usize)) -> Result<Vec<f32>, String> {
        let scales = self.floats("scales")?; // (groups, out)
        let groups = scales.len() / out.max(1);
        let zeros = self.zeros(out, groups)?;
        let groups = self.groups(input, groups)?;
        let mut values = vec![0.0; out * input];
        let rows = values.par_chunks_mut(input.max(1)).enumerate();
        rows.for_each(|(o, row)| {
            for (i, (value, group)) in row.iter_mut().zip(&groups).enumerate() {
                let at = group * out + o;
                let code = codes.at(i, o, out) as i32;
                // Exact in f32: 9 bits by at most 11. f32 scales are rounded here, once.
                *value = (code - zeros[at]) as f32 * scales[at];
            }
        });
        Ok(values)
    }

    /// Returns the zeros, `(groups, out)`.
    fn zeros(&self, out: usize, groups: usize) -> Result<Vec<i32>, String> {
        let bytes = self.part("qzeros")?.bytes;
        let Scheme::Gptq { bits, is_v1 } = self.scheme else {
            // AWQ packs zeros as it packs codes, along outputs.
            let zeros = (0..groups * out).map(|at| awq_code(bytes, at / out, at % out, out));
            return Ok(zeros.map(|zero| zero as i32).collect());
        };
        // Words of a row of zeros; whole ones, as was checked.
        let width = out * bits as usize / 32;
        let zero = |at: usize| field(bytes, at / out * width, 1, bits, at % out);
        let plain = (0..groups * out).map(zero);
        if !is_v1 {
            return Ok(plain.map(|zero| zero as i32).collect());
        }
        if bits == 3 {
            // Here the library adds field by field, since fields lie across words.
            return Ok(plain.map(|zero| ((zero + 1) & 7) as i32).collect());
        }
        // Elsewhere it adds to whole words: what overflows is carried into the next field, which is
        // what made it one too low when the file was written.
        // 1 in every field of a word.
        let one = u32::MAX / ((1 << bits) - 1);
        let words = (0..bytes.len() / 4).map(|at| word(bytes, at).wrapping_add(one).to_le_bytes());
        let bytes: Vec<u8> = words.flatten().collect();
        let zero = |at: usize| field(&bytes, at / out * width, 1, bits, at % out) as i32;
        Ok((0..groups * out).map(zero).collect())
    }

    /// Returns the group of each input.
    fn groups(&self, input: usize, groups: usize) -> Result<Vec<usize>, String> {
        let size = input.div_ceil(groups.max(1)).max(1);
        let Some(listed) = self.parts.get("g_idx") else {
            // Groups of one size, into which the inputs divide, as was checked.
            return Ok((0..input).map(|i| i / size).collect());
        };
        let listed = (0..input).map(|i| word(listed.bytes, i) as usize);
        let listed: Vec<usize> = listed.collect();
        match listed.iter().find(|group| **group >= groups) {
            None => Ok(listed),
            Some(group) => Err(format!(
                // The file has i32: a group below 0 is shown as such.
                "g_idx names group {}; there are {groups}",
                *group as u32 as i32
            )),
        }
    }

    fn bnb4(&self, codes: &[u8], sizes: Bnb4Blocks, count: usize) -> Result<Vec<f32>, String> {
        let map = self.floats("quant_map")?;
        let scales = match sizes.nested {
            None => self.floats("absmax")?,
            Some((block, offset)) => self.nested_scales(block, offset)?,
        };
        let mut values = vec![0.0; count];
        let blocks = values.par_chunks_mut(sizes.block).enumerate();
        blocks.for_each(|(block, values)| {
            for (at, value) in values.iter_mut().enumerate() {
                let at = block * sizes.block + at;
                // The first of two numbers stands in the upper half.
                let code = codes[at / 2] >> (4 * (1 - at % 2)) & 15;
                *value = map[usize::from(code)] * scales[block];
            }
        });
        Ok(values)
    }

    /// Returns the scales of blocks, which are packed themselves.
    fn nested_scales(&self, block: usize, offset: f32) -> Result<Vec<f32>, String> {
        let (map, scales) = (
            self.floats("nested_quant_map")?,
            self.floats("nested_absmax")?,
        );
        let mut found = Vec::new();
        for (at, code) in self.part("absmax")?.bytes.iter().enumerate() {
            // bitsandbytes takes the mean of the scales off before it packs them.
            found.push(map[usize::from(*code)] * scales[at / block] + offset);
        }
        Ok(found)
    }

    fn bnb8(&self, codes: &[u8], input: usize) -> Result<Vec<f32>, String> {
        // `int8_vectorwise_dequant` multiplies by the reciprocal, which rounds otherwise than
        // dividing.
        const STEP: f32 = 1.0 / 127.0;
        let scales = self.floats("SCB")?;
        let mut values = vec![0.0; codes.len()];
        let rows = values.par_chunks_mut(input.max(1)).enumerate();
        rows.for_each(|(row, values)| {
            for (value, code) in values.iter_mut().zip(&codes[row * input..]) {
                *value = f32::from(code.cast_signed()) * scales[row] * STEP;
            }
        });
        Ok(values)
    }
}

/// The codes of a matrix in groups.
#[derive(Clone, Copy)]
enum Codes<'a> {
    Awq(&'a [u8]),
    Gptq(&'a [u8], u32),
}

impl Codes<'_> {
    /// Returns the code of input `i` for output `o` of `out`.
    fn at(self, i: usize, o: usize, out: usize) -> u32 {
        match self {
            Self::Awq(bytes) => awq_code(bytes, i, o, out),
            Self::Gptq(bytes, bits) => field(bytes, o, out, bits, i),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[4 * at..4 * at + 4]);
    u32::from_le_bytes(word)
}

/// Returns the code of output `o` in row `row` of words that hold eight outputs each.
fn awq_code(bytes: &[u8], row: usize, o: usize, out: usize) -> u32 {
    /// Says in which four bits of a word each of its outputs stands.
    // AutoAWQ packs outputs 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits up.
    const PLACES: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];
    word(bytes, row * (out / 8) + o / 8) >> (4 * PLACES[o % 8]) & 15
}

/// Returns the `n`-th field of `bits` in a stream of words, every `stride`-th from `first` on.
fn field(bytes: &[u8], first: usize, stride: usize, bits: u32, n: usize) -> u32 {
    let bit = n * bits as usize;
    let (at, shift) = (bit / 32, (bit % 32) as u32);
    let low = word(bytes, first + at * stride) >> shift;
    // Fields of 3 bits may begin in one word and end in the next one.
    let value = if shift + bits > 32 {
        low | word(bytes, first + (at + 1) * stride) << (32 - shift)
    } else {
        low
    };
    value & ((1 << bits) - 1)
}
