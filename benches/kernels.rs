//! The parts of the forward pass on a CPU, beside what candle has for them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use candle_core::{D, DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scotoma::nn::{
    Activation, Attention, Backend, Layout, Linear, NoHooks, Norm, PassState, Stack, softmax,
};

const ROWS: usize = 626;
const WIDTH: usize = 1024;
const INNER: usize = 4096;
const HEADS: usize = 16;

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
criterion_main!(benches);
