//! The kernels on a card, against the reference and against themselves: any row, alone and in company.
//! Ignored elsewhere; `make gpu-test` runs them.

use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};

use super::{
    DecodeRow, KeyStore, NormWeights, Plans, activate, attend, decode, likeliest, norm, open,
    output_like, place_keys, product, room, rotate,
};
use crate::nn::attention_plan::{KeyPlace, KeySpan};
use crate::nn::cpu::activation::Function;
use crate::nn::cpu::attention::Scoring;
use crate::nn::kernel_reference::{self as reference, Rows};

const HALVES: [DType; 2] = [DType::BF16, DType::F16];

/// Fills memory that the next tensors get with NaN: what a kernel does not write shows.
fn poison(device: &Device) -> Result<()> {
    let nan = Tensor::full(f32::NAN, 1 << 22, device)?;
    let copies: Vec<Tensor> = (0..4).map(|_| &nan + 0.0).collect::<Result<_>>()?;
    drop((nan, copies));
    device.synchronize()
}

fn random(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::randn(0f32, 1.0, shape, device)?.to_dtype(dtype)
}

fn rows(x: &Tensor) -> Result<Rows> {
    let x = x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    x.flatten_to(x.rank() - 2)?.to_vec2()
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    let x = x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values: Vec<f32> = x.flatten_all()?.to_vec1()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

/// Asserts that `found` is `expected` but for the precision of half.
fn is_near(found: &Rows, expected: &Rows, what: &str) {
    let numbers = || found.iter().flatten().zip(expected.iter().flatten());
    let difference: f64 = numbers().map(|(a, b)| (a - b).powi(2)).sum();
    let size: f64 = expected.iter().flatten().map(|b| b.powi(2)).sum();
    let error = (difference / size).sqrt();
    // NaN fails, too.
    assert!(error < 8e-3, "{what}: relative error {error:.1e}");
}

/// Heads of a call, and what they see.
struct Case {
    heads: usize,
    kv_heads: usize,
    width: usize,
    softcap: Option<f64>,
    window: Option<usize>,
    is_causal: bool,
}

impl Case {
    fn visible(&self, rows: usize) -> Vec<Range<usize>> {
        let first = |row: usize| self.window.map_or(0, |w| (row + 1).saturating_sub(w));
        let end = |row: usize| if self.is_causal { row + 1 } else { rows };
        (0..rows).map(|row| first(row)..end(row)).collect()
    }

    fn scoring(&self) -> Scoring {
        Scoring {
            scale: (self.width as f64).sqrt().recip(),
            softcap: self.softcap,
        }
    }

    /// Attends the rows of `spans` to keys and values of `(n, K, Dh)`.
    fn run(&self, q: &Tensor, (k, v): (&Tensor, &Tensor), spans: &[KeySpan]) -> Result<Tensor> {
        poison(q.device())?;
        let z = output_like(q)?;
        let store = KeyStore {
            keys: k,
            values: v,
            key_stride: self.kv_heads * self.width,
        };
        let plan = Plans::default().upload(spans, self.heads / self.kv_heads, q)?;
        attend(q, &store, &plan, self.kv_heads, self.scoring(), &z)?;
        Ok(z)
    }
}

fn place_of(offset: usize, width: usize) -> KeyPlace {
    KeyPlace::whole((offset as i64, offset as i64), 0, width)
}

fn head_of(x: &Tensor, head: usize) -> Result<Rows> {
    rows(&x.narrow(1, head, 1)?.squeeze(1)?)
}

#[test]
#[ignore = "needs a card"]
fn attention_is_right_and_a_row_has_the_same_bits_alone_in_chunks_and_decoded() -> Result<()> {
    let device = open(0)?;
    let case = |heads, kv_heads, width, softcap, window, is_causal| Case {
        heads,
        kv_heads,
        width,
        softcap,
        window,
        is_causal,
    };
    let cases = [
        case(4, 4, 128, None, None, true),
        case(7, 1, 128, None, None, true),
        case(8, 2, 64, None, None, false),
        case(4, 4, 72, None, None, false),
        case(4, 2, 256, Some(50.0), Some(33), true),
        case(3, 3, 96, None, Some(100), true),
        case(2, 1, 32, Some(5.0), None, true),
        case(2, 2, 8, None, None, true),
    ];
    for dtype in HALVES {
        for case in &cases {
            check_attention(case, dtype, &device)?;
        }
    }
    Ok(())
}

fn check_attention(case: &Case, dtype: DType, device: &Device) -> Result<()> {
    let lengths = [1, 63, 64, 65, 130, 17];
    let total = lengths.iter().sum();
    let (heads, kv_heads, width) = (case.heads, case.kv_heads, case.width);
    let q = random(&[total, heads, width], dtype, device)?;
    let k = random(&[total, kv_heads, width], dtype, device)?;
    let v = random(&[total, kv_heads, width], dtype, device)?;
    let mut first = 0;
    let mut spans = Vec::new();
    for rows in lengths {
        spans.push(KeySpan {
            place: place_of(first * kv_heads * width, width),
            first_row: first,
            count: rows,
            visible: case.visible(rows),
        });
        first += rows;
    }
    let z = case.run(&q, (&k, &v), &spans)?;
    let what = format!("{heads} heads, {kv_heads} of keys, {width} wide, {dtype:?}");
    for span in &spans {
        let (first, count) = (span.first_row, span.count);
        let own = |t: &Tensor| t.narrow(0, first, count);
        for head in [0, heads - 1] {
            let kv_head = head / (heads / kv_heads);
            let (keys, values) = (head_of(&own(&k)?, kv_head)?, head_of(&own(&v)?, kv_head)?);
            let Scoring { scale, softcap } = case.scoring();
            let expected = reference::attention(
                &head_of(&own(&q)?, head)?,
                (&keys, &values),
                &span.visible,
                scale,
                softcap,
            );
            is_near(&head_of(&own(&z)?, head)?, &expected, &what);
        }
        let expected = bits(&own(&z)?)?;
        let alone = case.run(&q, (&k, &v), std::slice::from_ref(span))?;
        assert_eq!(bits(&own(&alone)?)?, expected, "{what}: alone");
        let half = count / 2;
        let part = |rows: Range<usize>| KeySpan {
            first_row: first + rows.start,
            count: if case.is_causal { rows.end } else { count },
            visible: span.visible[rows].to_vec(),
            ..span.clone()
        };
        let parts = [part(0..half), part(half..count)];
        let chunks = case.run(&q, (&k, &v), &parts)?;
        assert_eq!(bits(&own(&chunks)?)?, expected, "{what}: in chunks");
        let last = decoded(case, &q, (&own(&k)?, &own(&v)?), span)?;
        let expected = bits(&z.narrow(0, first + count - 1, 1)?)?;
        assert_eq!(bits(&last)?, expected, "{what}: decoded");
    }
    Ok(())
}

/// Attends the last row of a sequence to keys in a static cache, where its own is kept: `(1, H, Dh)`.
fn decoded(case: &Case, q: &Tensor, (k, v): (&Tensor, &Tensor), span: &KeySpan) -> Result<Tensor> {
    let (index, count) = (1, span.count);
    let kv = room((3, 2, case.kv_heads, 200, case.width), k)?;
    let past = (k.narrow(0, 0, count - 1)?, v.narrow(0, 0, count - 1)?);
    place_keys((&past.0, &past.1), &kv, (index, 0))?;
    // The second row of the call: those around it belong to others.
    let own = DecodeRow {
        kv: kv.clone(),
        index,
        row: 1,
        count,
        visible: span.visible[count - 1].clone(),
    };
    let three = |t: &Tensor, last: usize| {
        let last = t.narrow(0, last, 1)?;
        Tensor::cat(&[&last.zeros_like()?, &last, &last.zeros_like()?], 0)
    };
    let q = three(q, span.first_row + count - 1)?;
    let (k, v) = (three(k, count - 1)?, three(v, count - 1)?);
    poison(q.device())?;
    let (z, plans) = (output_like(&q)?, Plans::default());
    decode((&q, &k, &v), &[own], 7, &plans, case.scoring(), &z)?;
    z.narrow(0, 1, 1)
}

#[test]
#[ignore = "needs a card"]
fn products_are_right_and_a_row_has_the_same_bits_among_any_number() -> Result<()> {
    let device = open(0)?;
    let most = 1300;
    for dtype in HALVES {
        for (outputs, input) in [
            (4096, 4096),
            (4096, 11008),
            (1152, 4304),
            (520, 72),
            (37, 8),
        ] {
            let x = random(&[most, input], dtype, &device)?;
            let scale = (input as f64).sqrt().recip();
            let weight = (random(&[outputs, input], dtype, &device)? * scale)?;
            let bias = random(&[outputs], dtype, &device)?;
            for bias in [None, Some(&bias)] {
                let all = product(&x, &weight, bias)?;
                let few = x.narrow(0, 0, 3)?;
                let mut expected = few
                    .to_dtype(DType::F32)?
                    .matmul(&weight.to_dtype(DType::F32)?.t()?)?;
                if let Some(bias) = bias {
                    expected = expected.broadcast_add(&bias.to_dtype(DType::F32)?)?;
                }
                let what = format!("({outputs}, {input}) {dtype:?}");
                is_near(&rows(&all.narrow(0, 0, 3)?)?, &rows(&expected)?, &what);
                for count in [1, 2, 7, 8, 9, 16, 17, 32, 33, 64, 65, 128, 626] {
                    poison(&device)?;
                    let own = product(&x.narrow(0, 0, count)?, &weight, bias)?;
                    let expected = all.narrow(0, 0, count)?;
                    assert_eq!(bits(&own)?, bits(&expected)?, "{what}: {count} rows");
                }
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a card"]
fn norms_are_right() -> Result<()> {
    let device = open(0)?;
    for dtype in HALVES {
        for (count, width) in [(1, 64), (3, 4096), (17, 3584), (2, 12_288), (9, 8)] {
            let x = random(&[count, width], dtype, &device)?;
            let delta = random(&[count, width], dtype, &device)?;
            for kind in [dtype, DType::F32] {
                let weight = random(&[1, width], kind, &device)?;
                let bias = random(&[1, width], kind, &device)?;
                for bias in [None, Some(&bias)] {
                    let numbers = NormWeights {
                        weight: &weight,
                        bias,
                        eps: 1e-5,
                    };
                    poison(&device)?;
                    let (sum, normed) = norm(&x, Some(&delta), &numbers)?;
                    assert_eq!(bits(&sum)?, bits(&(&x + &delta)?)?);
                    let biases = bias.map(rows).transpose()?;
                    let weights = rows(&weight)?;
                    let biases = biases.as_ref().map(|b| b[0].as_slice());
                    let expected = rows(&sum)?
                        .iter()
                        .map(|row| reference::norm(row, &weights[0], biases, 1e-5))
                        .collect();
                    is_near(&rows(&normed)?, &expected, "a norm");
                    assert_eq!(bits(&norm(&sum, None, &numbers)?.1)?, bits(&normed)?);
                }
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a card"]
fn rotations_are_right() -> Result<()> {
    let device = open(0)?;
    let shapes = [
        (5, 32, 32, 128, 128),
        (3, 28, 4, 128, 128),
        (2, 16, 16, 64, 0),
        (4, 4, 2, 96, 72),
    ];
    for dtype in HALVES {
        for (count, heads, kv_heads, width, rotated) in shapes {
            let joined = random(&[count, (heads + 2 * kv_heads) * width], dtype, &device)?;
            let angles = |n: usize| random(&[count, n.max(1)], dtype, &device);
            let angles = (angles(rotated / 2)?, angles(rotated / 2)?);
            poison(&device)?;
            let given = (rotated > 0).then_some(&angles);
            let (q, k, v) = rotate(&joined, (heads, kv_heads, width), given)?;
            let all = joined.reshape((count, heads + 2 * kv_heads, width))?;
            assert_eq!(
                bits(&v)?,
                bits(&all.narrow(1, heads + kv_heads, kv_heads)?)?
            );
            let (cosines, sines) = (rows(&angles.0)?, rows(&angles.1)?);
            for (found, first, number) in [(&q, 0, heads), (&k, heads, kv_heads)] {
                let part = all.narrow(1, first, number)?;
                let turn = |(i, head): (usize, &Vec<f64>)| {
                    let row = i / number;
                    let pairs = cosines[row].iter().copied().zip(sines[row].iter().copied());
                    let pairs: Vec<(f64, f64)> = pairs.take(rotated / 2).collect();
                    reference::rotate(head, &pairs)
                };
                let expected = rows(&part)?.iter().enumerate().map(turn).collect();
                is_near(&rows(found)?, &expected, "a rotation");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a card"]
fn activations_are_those_of_the_cpu() -> Result<()> {
    let device = open(0)?;
    let functions = [
        Function::Gelu,
        Function::GeluTanh,
        Function::QuickGelu,
        Function::Silu,
        Function::Relu,
    ];
    for dtype in HALVES {
        for (count, width) in [(1, 8), (7, 11_008), (66_000, 8), (577, 4096)] {
            let joined = random(&[count, 2 * width], dtype, &device)?;
            let gate = joined.narrow(1, 0, width)?;
            let numbers: Vec<f32> = rows(&gate)?.concat().iter().map(|x| *x as f32).collect();
            for function in functions {
                let applied = function.apply(&numbers).into_iter().map(f64::from);
                let expected: Vec<f64> = applied.collect();
                poison(&device)?;
                let found = rows(&activate(&gate, function, false)?)?.concat();
                is_near(&vec![found], &vec![expected.clone()], "an activation");
                let up = rows(&joined.narrow(1, width, width)?)?.concat();
                let gated = expected.iter().zip(&up).map(|(a, b)| a * b).collect();
                let found = rows(&activate(&joined, function, true)?)?.concat();
                is_near(&vec![found], &vec![gated], "a gated activation");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs a card"]
fn the_likeliest_token_is_the_lowest_among_equals() -> Result<()> {
    let device = open(0)?;
    for dtype in HALVES {
        for (count, width) in [(1, 5), (33, 32_064), (2, 152_064)] {
            // Of 16 levels each: many are equal.
            let logits = (random(&[count, width], DType::F32, &device)? * 4.0)?;
            let logits = logits.round()?.to_dtype(dtype)?;
            poison(&device)?;
            let found = rows(&likeliest(&logits)?)?;
            for (row, found) in rows(&logits)?.iter().zip(found) {
                let (place, logprob) = reference::likeliest(row);
                assert_eq!(found[0] as usize, place);
                assert!((found[1] - logprob).abs() < 1e-3, "{} {logprob}", found[1]);
            }
            let spoiled = Tensor::full(f32::NAN, (count, 1), &device)?.to_dtype(dtype)?;
            let spoiled = Tensor::cat(&[&logits, &spoiled], 1)?;
            let found = rows(&likeliest(&spoiled)?)?;
            assert!(found.iter().all(|row| !row[1].is_finite()));
        }
    }
    Ok(())
}
