//! The ceilings of a device, from which floors are computed: operations a second of its fastest
//! product, and bytes a second of a copy.

use std::time::Instant;

use rayon::prelude::*;

use super::warm_median::warm_median;
use super::{BenchReport, Failure, Measured};
use crate::nn::Linear;

/// Bytes that one thread copies at a time.
const PIECE: usize = 8 << 20;
/// The copy in memory: larger than any processor's caches.
const MEMORY_COPY: usize = 512 << 20;

/// A product of a model's layers: rows of `input` numbers to rows of `out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProductShape {
    /// The weights, in the words of checkpoints.
    pub name: &'static str,
    pub out: usize,
    pub input: usize,
}

impl ProductShape {
    /// Returns the name and the sizes, as rows of the report have them.
    pub(super) fn title(&self) -> String {
        format!("product {} ({}, {})", self.name, self.out, self.input)
    }
}

impl Measured {
    /// Lists the products of the language model and of the tower, each size once; those with the
    /// same input alone and joined.
    pub(super) fn products(&self) -> Vec<ProductShape> {
        let (decoder, tower) = (self.model.decoder.config(), self.model.tower.info());
        let (width, inner) = (decoder.hidden_size, decoder.intermediate_size);
        let queries = decoder.num_attention_heads * decoder.head_width();
        let keys = decoder.kv_heads() * decoder.head_width();
        let listed = [
            ("q", queries, width),
            ("k", keys, width),
            ("q, k, v", queries + 2 * keys, width),
            ("o", width, queries),
            ("gate", inner, width),
            ("gate, up", 2 * inner, width),
            ("down", width, inner),
            ("head", decoder.vocab_size, width),
            ("tower q", tower.width, tower.width),
            ("tower q, k, v", 3 * tower.width, tower.width),
            ("tower fc1", tower.inner, tower.width),
            ("tower fc2", tower.width, tower.inner),
            ("projector", width, tower.feature_width),
        ];
        let mut shapes: Vec<ProductShape> = Vec::new();
        for (name, out, input) in listed {
            if !shapes.iter().any(|s| (s.out, s.input) == (out, input)) {
                shapes.push(ProductShape { name, out, input });
            }
        }
        shapes
    }

    /// Measures every product of the model with many rows, and the copy; the fastest product is the
    /// ceiling.
    pub(super) fn ceilings(&self, report: &mut BenchReport) -> Result<(), Failure> {
        report.bandwidth = self.bandwidth()?;
        // Large enough that a second more would not be faster; 5,008 rows are eight prompts of 626
        // tokens.
        let (rows, side) = if self.model.device.is_cpu() {
            (256, 2048)
        } else {
            (5008, 8192)
        };
        for shape in self.products() {
            let linear = Linear::new(self.random(shape.out, shape.input)?, None)?;
            let x = self.random(rows, shape.input)?;
            let time = self.time(|| Ok(linear.forward(&x)?))?;
            // A product and a sum for each weight and row.
            let flops = 2.0 * (rows * shape.out * shape.input) as f64;
            // Weights, rows in and rows out, each once.
            let numbers = shape.out * shape.input + rows * (shape.out + shape.input);
            report.matrix_rate = report.matrix_rate.max(flops / time.as_secs_f64());
            report.push(&format!("{}, {rows} rows", shape.title()), time, |row| {
                row.flops = Some(flops);
                row.bytes = Some((numbers * self.model.dtype.size_in_bytes()) as f64);
                row.note = format!("{}FLOP/s", super::scaled(flops / time.as_secs_f64()));
            });
        }
        // What the library makes of a square product by itself: a ceiling that no kernel of ours
        // has a part in.
        let (a, b) = (self.random(side, side)?, self.random(side, side)?);
        let time = self.time(|| Ok(a.matmul(&b.t()?)?))?.as_secs_f64();
        report.matrix_rate = report.matrix_rate.max(2.0 * (side as f64).powi(3) / time);
        Ok(())
    }

    /// Measures the bytes a second of a plain copy, read and written.
    fn bandwidth(&self) -> Result<f64, Failure> {
        #[cfg(feature = "cuda")]
        if let candle_core::Device::Cuda(card) = self.random(1, 1)?.device() {
            return super::card_copy::bandwidth(card, self.repeat);
        }
        self.copy_in_memory()
    }

    /// Copies by all threads from one buffer to another.
    fn copy_in_memory(&self) -> Result<f64, Failure> {
        let (from, mut to) = (buffer()?, buffer()?);
        let mut times = Vec::new();
        for _ in 0..=self.repeat {
            let start = Instant::now();
            to.par_chunks_mut(PIECE)
                .zip(from.par_chunks(PIECE))
                .for_each(|(to, from)| to.copy_from_slice(from));
            times.push(start.elapsed().as_secs_f64());
            // Without a reader the compiler may leave the copy out.
            std::hint::black_box(&to);
        }
        // Twice: a copy reads and writes every byte.
        Ok(2.0 * MEMORY_COPY as f64 / warm_median(times))
    }
}

/// Makes a buffer whose pages are all there before anything is timed.
fn buffer() -> Result<Vec<u8>, Failure> {
    let mut buffer = Vec::new();
    let room = buffer.try_reserve_exact(MEMORY_COPY);
    room.map_err(|e| format!("{MEMORY_COPY} bytes to measure a copy: {e}"))?;
    // Ones: a buffer of zeros may be pages that the system only promises.
    buffer.resize(MEMORY_COPY, 1u8);
    Ok(buffer)
}
