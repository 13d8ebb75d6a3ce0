#!/bin/sh
# candle-core 0.11.1 (Rust, crates.io): `QTensor::quantize` of a view that does not begin where its storage
# begins quantises the numbers at the start of the storage, without an error. Rows cut out of a matrix by
# `narrow` become the first rows of the matrix.
#
# Seen on 2026-11-28 (x86-64, Linux):
#     narrow(0, 1, 1) of [[1, ...], [2, ...]] holds 2; quantised to Q8_0 and back it holds 1
#     a copy of the same view holds 2; quantised and back 2.00
#
# Quantise `view.force_contiguous()?`. Needs cargo and a C compiler; takes a minute or two to build.
# Ends with another code than 0 once the view is quantised rightly.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "view"
version = "0.0.0"
edition = "2024"

[dependencies]
candle-core = "=0.11.1"
TOML
cat > src/main.rs <<'RUST'
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, Tensor};

fn first(tensor: &Tensor) -> Result<f32> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?[0])
}

fn there_and_back(tensor: &Tensor) -> Result<f32> {
    first(&QTensor::quantize(tensor, GgmlDType::Q8_0)?.dequantize(&Device::Cpu)?)
}

fn main() -> Result<()> {
    let rows = [vec![1f32; 32], vec![2f32; 32]].concat();
    let matrix = Tensor::from_vec(rows, (2, 32), &Device::Cpu)?;
    let view = matrix.narrow(0, 1, 1)?;
    let copy = view.force_contiguous()?;
    println!("the view holds {}, quantised {:.2}", first(&view)?, there_and_back(&view)?);
    println!("a copy of it holds {}, quantised {:.2}", first(&copy)?, there_and_back(&copy)?);
    let is_as_seen = there_and_back(&view)?.round() == 1.0 && there_and_back(&copy)?.round() == 2.0;
    std::process::exit(i32::from(!is_as_seen));
}
RUST
cargo run --quiet --release
