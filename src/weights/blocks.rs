//! Blocks of llama.cpp's formats as numbers, and the rows that its conversion has moved.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

/// Says what a conversion has changed, and reading undoes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Undo {
    /// Nothing.
    #[default]
    Nothing,
    /// The rows of each of so many heads were interleaved: the pairs that a rotation turns stand
    /// side by side.
    Interleaved(usize),
    /// 1 was added.
    PlusOne,
}

/// The blocks of a matrix `(out, input)`, row by row, in the order that it had before its conversion.
#[derive(Debug)]
pub struct Blocks<'a> {
    /// Their format.
    pub format: GgmlDType,
    /// Their bytes.
    pub bytes: Cow<'a, [u8]>,
}

/// Tells whether a matrix can stay in its blocks: whether there are products for the format.
pub(super) fn can_stay(format: GgmlDType) -> bool {
    use GgmlDType::{Q4_0, Q4K, Q5K, Q6K, Q8_0};
    [Q4_0, Q8_0, Q4K, Q5K, Q6K].contains(&format)
}

/// Returns the format that rows of `input` numbers are quantised to where `format` is asked for:
/// rows that are not whole blocks of it become Q8_0, or stay numbers.
pub(super) fn fitting(format: GgmlDType, input: usize) -> Option<GgmlDType> {
    let mut formats = [format, GgmlDType::Q8_0].into_iter();
    // 0 would be a multiple of every block.
    formats.find(|format| input > 0 && input.is_multiple_of(format.block_size()))
}

/// Quantises a matrix, whose rows are whole blocks.
pub(super) fn quantize(matrix: &Tensor, format: GgmlDType) -> Result<Vec<u8>> {
    let (rows, _) = matrix.dims2()?;
    // In shares: candle quantises on one thread.
    let share = rows.div_ceil(4 * rayon::current_num_threads()).max(1);
    let starts: Vec<usize> = (0..rows).step_by(share).collect();
    let parts = starts
        .into_par_iter()
        .map(|start| quantize_rows(matrix, start..rows.min(start + share), format));
    Ok(parts.collect::<Result<Vec<Vec<u8>>>>()?.concat())
}

fn quantize_rows(matrix: &Tensor, rows: Range<usize>, format: GgmlDType) -> Result<Vec<u8>> {
    let part = matrix.narrow(0, rows.start, rows.len())?;
    // A copy: candle quantises what is stored, from its first number on, and not the view.
    let part = QTensor::quantize(&part.force_contiguous()?, format)?;
    Ok(part.data()?.into_owned())
}

/// Reads the blocks of a tensor as f32.
pub(super) fn dequantize(bytes: &[u8], format: GgmlDType, shape: &[usize]) -> Result<Tensor> {
    qtensor_from_ggml(format, bytes, shape.to_vec(), &Device::Cpu)?.dequantize(&Device::Cpu)
}

/// Returns the rows of a tensor in the order that they had before its conversion. Blocks lie within
/// a row, so that rows of any format move as bytes.
pub(super) fn in_order<'a>(bytes: &'a [u8], shape: &[usize], undo: Undo) -> Cow<'a, [u8]> {
    let Undo::Interleaved(heads) = undo else {
        return Cow::Borrowed(bytes);
    };
    let rows = shape.first().copied().unwrap_or_default();
    // What does not fit is of another shape than the configuration implies, which is told later.
    if heads == 0 || rows == 0 || !rows.is_multiple_of(2 * heads) {
        return Cow::Borrowed(bytes);
    }
    // Bytes of a row, and rows of a head. A bias comes here as well, with rows of one number.
    let (row, width) = (bytes.len() / rows, rows / heads);
    let mut ordered = Vec::with_capacity(bytes.len());
    for head in bytes.chunks_exact(width * row) {
        // The first of each pair, then the second.
        for part in 0..2 {
            let pairs = head.chunks_exact(2 * row);
            pairs.for_each(|pair| ordered.extend_from_slice(&pair[part * row..][..row]));
        }
    }
    Cow::Owned(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_taken_apart() {
        let bytes: Vec<u8> = (0..16).collect();
        // Two heads of four rows of two bytes.
        let ordered = in_order(&bytes, &[8, 2], Undo::Interleaved(2));
        let expected = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
        assert_eq!(*ordered, expected);
        assert_eq!(*in_order(&bytes, &[8, 2], Undo::Nothing), *bytes);
    }
}
