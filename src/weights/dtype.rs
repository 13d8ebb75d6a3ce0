//! The formats that weights are kept in, and their names.

use candle_core::DType;
use candle_core::quantized::GgmlDType;

/// The format that the weights of a model are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// All are numbers of a type.
    Dtype(DType),
    /// The matrices of the language model are quantised to blocks of llama.cpp while they are
    /// loaded; all else is f32.
    Blocks(GgmlDType),
}

impl WeightFormat {
    /// All of them by their names.
    pub const NAMES: [(&str, Self); 8] = [
        ("f32", Self::Dtype(DType::F32)),
        ("bf16", Self::Dtype(DType::BF16)),
        ("f16", Self::Dtype(DType::F16)),
        ("q8_0", Self::Blocks(GgmlDType::Q8_0)),
        ("q6_k", Self::Blocks(GgmlDType::Q6K)),
        ("q5_k", Self::Blocks(GgmlDType::Q5K)),
        ("q4_k", Self::Blocks(GgmlDType::Q4K)),
        ("q4_0", Self::Blocks(GgmlDType::Q4_0)),
    ];

    /// Parses its name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut named = Self::NAMES.into_iter();
        named
            .find(|(own, _)| *own == name)
            .map(|(_, format)| format)
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dtype(dtype) => dtype.as_str(),
            Self::Blocks(blocks) => blocks_name(blocks),
        }
    }

    /// Returns the type of what is in no blocks, and what the matrices are quantised to.
    pub fn parts(self) -> (DType, Option<GgmlDType>) {
        match self {
            Self::Dtype(dtype) => (dtype, None),
            Self::Blocks(blocks) => (DType::F32, Some(blocks)),
        }
    }
}

/// Returns the name of blocks, of those that nothing is quantised to as well.
fn blocks_name(blocks: GgmlDType) -> &'static str {
    match blocks {
        GgmlDType::F32 => "f32",
        GgmlDType::F16 => "f16",
        GgmlDType::BF16 => "bf16",
        GgmlDType::Q4_0 => "q4_0",
        GgmlDType::Q4_1 => "q4_1",
        GgmlDType::Q5_0 => "q5_0",
        GgmlDType::Q5_1 => "q5_1",
        GgmlDType::Q8_0 => "q8_0",
        GgmlDType::Q8_1 => "q8_1",
        GgmlDType::Q2K => "q2_k",
        GgmlDType::Q3K => "q3_k",
        GgmlDType::Q4K => "q4_k",
        GgmlDType::Q5K => "q5_k",
        GgmlDType::Q6K => "q6_k",
        GgmlDType::Q8K => "q8_k",
    }
}

/// Says how the matrices of a model are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matrices {
    /// As numbers.
    #[default]
    Numbers,
    /// In the blocks of their file, where they stand in blocks: with the bits of the dequantised
    /// model in f32.
    Blocks,
    /// In blocks that those of the language model are quantised to.
    Quantized(GgmlDType),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_again() {
        for (name, format) in WeightFormat::NAMES {
            assert_eq!(WeightFormat::parse(name), Some(format));
            assert_eq!(format.name(), name);
        }
        assert_eq!(WeightFormat::parse("Q8_0"), None);
    }
}
