//! The parts of the forward pass on a CPU, beside what candle has for them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::inline_always,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::time::Instant;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{D, DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group};
use rayon::prelude::*;
use scotoma::nn::{
    Activation, Attention, Backend, Layout, Linear, NoHooks, Norm, PassState, Stack, softmax,
};
use scotoma::weights::Blocks;

const ROWS: usize = 626;
const WIDTH: usize = 1024;
const INNER: usize = 4096;
const HEADS: usize = 16;
/// Formats of blocks that products are made in.
const BLOCKS: [GgmlDType; 5] = [
    GgmlDType::Q4_0,
    GgmlDType::Q8_0,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

fn random(rows: usize, columns: usize) -> Tensor {
    Tensor::randn(0f32, 1.0, (rows, columns), &Device::Cpu).unwrap()
}

fn gemm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    for (rows, dtype) in [
        (1, DType::F32),
        (8, DType::F32),
        (ROWS, DType::F32),
        (1, DType::BF16),
        (ROWS, DType::BF16),
    ] {
        let (x, weight) = (
            random(rows, WIDTH).to_dtype(dtype).unwrap(),
            random(INNER, WIDTH).to_dtype(dtype).unwrap(),
        );
        let linear = Linear::new(weight.clone(), None).unwrap();
        group.throughput(Throughput::Elements((2 * rows * WIDTH * INNER) as u64));
        let name = format!("{rows}x{WIDTH}x{INNER} {dtype:?}");
        group.bench_function(format!("{name} ours"), |b| {
            b.iter(|| linear.forward(&x).unwrap());
        });
        group.bench_function(format!("{name} candle"), |b| {
            b.iter(|| x.matmul(&weight.t().unwrap()).unwrap());
        });
    }
    group.finish();
}

fn attention(criterion: &mut Criterion) {
    let linear =
        || Linear::new(Tensor::eye(WIDTH, DType::F32, &Device::Cpu).unwrap(), None).unwrap();
    let attention = Attention {
        q: linear(),
        k: linear(),
        v: linear(),
        qkv: None,
        o: linear(),
        q_norm: None,
        k_norm: None,
        heads: HEADS,
        kv_heads: HEADS,
        head_dim: WIDTH / HEADS,
        scale: ((WIDTH / HEADS) as f64).sqrt().recip(),
        softcap: None,
        causal: true,
        window: None,
    };
    let x = random(ROWS, WIDTH);
    let mut layout = Layout::default();
    layout.push_sequence(0, (0, 0), ROWS);
    let mut group = criterion.benchmark_group("attention");
    group.bench_function("ours, with its four projections", |b| {
        b.iter(|| {
            attention
                .forward(
                    &x,
                    &layout,
                    (Stack::LanguageModel, 0),
                    &PassState::default(),
                    &mut [],
                    &mut NoHooks,
                )
                .unwrap()
        });
    });
    group.bench_function("the four projections", |b| {
        b.iter(|| {
            (0..4)
                .map(|_| attention.q.forward(&x).unwrap())
                .collect::<Vec<_>>()
        });
    });
    let heads = || {
        x.reshape((ROWS, HEADS, WIDTH / HEADS))
            .unwrap()
            .transpose(0, 1)
            .unwrap()
            .contiguous()
            .unwrap()
    };
    let (q, k, v) = (heads(), heads().t().unwrap().contiguous().unwrap(), heads());
    group.bench_function("candle: matmul, softmax, matmul", |b| {
        b.iter(|| {
            candle_nn::ops::softmax(&q.matmul(&k).unwrap(), D::Minus1)
                .unwrap()
                .matmul(&v)
                .unwrap()
        });
    });
    group.finish();
}

fn pointwise(criterion: &mut Criterion) {
    let (x, y) = (random(ROWS, INNER), random(ROWS, INNER));
    let mut group = criterion.benchmark_group("pointwise");
    group.bench_function("gelu ours", |b| {
        b.iter(|| Activation::Gelu.forward(&x, Backend::Cpu).unwrap());
    });
    group.bench_function("gelu candle", |b| b.iter(|| x.gelu_erf().unwrap()));
    group.bench_function("silu x mul ours", |b| {
        b.iter(|| Activation::Silu.gated(&x, &y, Backend::Cpu).unwrap());
    });
    group.bench_function("silu x mul candle", |b| {
        b.iter(|| (x.silu().unwrap() * &y).unwrap());
    });
    group.bench_function("softmax ours", |b| b.iter(|| softmax(&x).unwrap()));
    group.bench_function("softmax candle", |b| {
        b.iter(|| candle_nn::ops::softmax(&x, D::Minus1).unwrap());
    });
    let weight = Tensor::ones(WIDTH, DType::F32, &Device::Cpu).unwrap();
    let (norm, rows) = (
        Norm::Rms {
            weight: weight.clone(),
            eps: 1e-6,
        },
        random(ROWS, WIDTH),
    );
    group.bench_function("rms norm ours", |b| {
        b.iter(|| norm.forward(&rows, Backend::Cpu).unwrap());
    });
    group.bench_function("rms norm candle", |b| {
        b.iter(|| candle_nn::ops::rms_norm(&rows, &weight, 1e-6).unwrap());
    });
    group.finish();
}

criterion_group!(benches, gemm, attention, pointwise);

/// `cargo bench --bench kernels -- peak` prints products beside what the machine can do at most.
fn main() {
    if std::env::args().any(|argument| argument == "peak") {
        peak();
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}

/// Rounds of multiply-adds of a measurement.
const ROUNDS: usize = 20_000;
/// f32 numbers of a copy: more than caches hold.
const COPIED: usize = 1 << 25;

/// Multiply-adds that wait for nothing but themselves.
struct MulAdds;

impl pulp::WithSimd for MulAdds {
    type Output = f64;

    /// Returns the number of operations.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> f64 {
        let factors = black_box([1.000_1, 0.999_9]);
        let [a, b] = factors.map(|x| simd.splat_f32s(x));
        // 12 chains keep two units with a latency of 4 to 6 busy, and fit in 16 registers.
        let mut sums = [simd.splat_f32s(0.0); 12];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(a, b, *sum);
            }
        }
        let total = sums.map(|sum| simd.reduce_sum_f32s(sum));
        black_box(total);
        (2 * ROUNDS * total.len() * S::F32_LANES) as f64
    }
}

/// Returns the shortest of the times of `work`, in seconds.
fn shortest(times: usize, mut work: impl FnMut()) -> f64 {
    let timed = (0..times).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    timed.fold(f64::INFINITY, f64::min)
}

/// Prints the rate of multiply-adds and the bandwidth of copies on all threads, and products as
/// shares of them.
fn peak() {
    let arch = pulp::Arch::new();
    let threads = rayon::current_num_threads();
    let mut operations = 0.0;
    let time = shortest(100, || {
        operations = rayon::broadcast(|_| arch.dispatch(MulAdds)).iter().sum();
    });
    let peak = operations / time;
    let (from, mut to) = (vec![1f32; COPIED], vec![0f32; COPIED]);
    let time = shortest(10, || {
        let parts = to.par_chunks_mut(COPIED / threads);
        let parts = parts.zip(from.par_chunks(COPIED / threads));
        parts.for_each(|(to, from)| to.copy_from_slice(from));
    });
    // Read and written.
    let bandwidth = (8 * COPIED) as f64 / time;
    println!(
        "{threads} threads, {arch:?}: {:.0} GFLOP/s of f32 multiply-adds, {:.1} GB/s of copies",
        peak / 1e9,
        bandwidth / 1e9
    );
    println!("products: time, of the multiply-adds (bf16 can reach 200 %), of a copy's bandwidth");
    let ceilings = (peak, bandwidth);
    for (rows, input, out) in [(1, 4096, 11008), (8, 4096, 11008), (ROWS, 4096, 4096)] {
        let (x, weight) = (random(rows, input), random(out, input));
        for dtype in [DType::F32, DType::BF16] {
            let linear = Linear::new(weight.to_dtype(dtype).unwrap(), None).unwrap();
            let bytes = input * out * dtype.size_in_bytes();
            let x = x.to_dtype(dtype).unwrap();
            product(&format!("{dtype:?}"), &x, &linear, bytes, ceilings);
        }
        for format in BLOCKS {
            let blocks = QTensor::quantize(&weight, format).unwrap();
            let bytes = blocks.data().unwrap();
            let (format, length) = (blocks.dtype(), bytes.len());
            let linear = Linear::of_blocks(&Blocks { format, bytes }, (out, input), None).unwrap();
            product(&format!("{format:?}"), &x, &linear, length, ceilings);
        }
    }
}

/// Prints the time of a product, as shares of (operations, bytes) a second.
fn product(weight: &str, x: &Tensor, linear: &Linear, bytes: usize, (peak, bandwidth): (f64, f64)) {
    let ((rows, input), (out, _)) = (x.dims2().unwrap(), linear.sizes());
    let time = shortest(10, || {
        black_box(linear.forward(x).unwrap());
    });
    let rate = (2 * rows * input * out) as f64 / time;
    let read = bytes as f64 / time;
    let name = format!("{rows} x {input} x {out} {weight}");
    println!(
        "{name:22} {:8.2} ms, {:4.0} GFLOP/s {:4.0} %, {:5.1} GB/s {:4.0} %",
        time * 1e3,
        rate / 1e9,
        100.0 * rate / peak,
        read / 1e9,
        100.0 * read / bandwidth,
    );
}
