//! A reference for the GPU kernels, number by number in f64: tests compare the kernels, and candle's
//! operations, with it.

use std::ops::Range;

/// Numbers of a row-major matrix.
pub(super) type Rows = Vec<Vec<f64>>;

/// Attends `q` (rows of one head) to `keys` and `values`: each row sees a range of keys.
pub(super) fn attention(
    q: &Rows,
    (keys, values): (&Rows, &Rows),
    visible: &[Range<usize>],
    scale: f64,
    softcap: Option<f64>,
) -> Rows {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut z = Rows::new();
    for (row, seen) in q.iter().zip(visible) {
        let bounded = |s: f64| softcap.map_or(s, |cap| cap * (s / cap).tanh());
        let scores: Vec<f64> = keys[seen.clone()]
            .iter()
            .map(|key| bounded(dot(row, key) * scale))
            .collect();
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0; row.len()];
        for (weight, value) in weights.iter().zip(&values[seen.clone()]) {
            for (sum, number) in mean.iter_mut().zip(value) {
                *sum += weight / total * number;
            }
        }
        z.push(mean);
    }
    z
}

/// Norms a row: a layer norm with a bias, an RMS norm without.
pub(super) fn norm(row: &[f64], weight: &[f64], bias: Option<&[f64]>, eps: f64) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = bias.map_or(0.0, |_| row.iter().sum::<f64>() / count);
    let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let factor = (square + eps).sqrt().recip();
    let shift = |i: usize| bias.map_or(0.0, |bias| bias[i]);
    let numbers = row.iter().enumerate();
    numbers
        .map(|(i, x)| (x - mean) * factor * weight[i] + shift(i))
        .collect()
}

/// Rotates the first dimensions of a head by `(cosine, sine)` pairs.
pub(super) fn rotate(head: &[f64], angles: &[(f64, f64)]) -> Vec<f64> {
    let half = angles.len();
    let mut turned = head.to_vec();
    for (i, (cosine, sine)) in angles.iter().enumerate() {
        turned[i] = head[i] * cosine - head[i + half] * sine;
        turned[i + half] = head[i + half] * cosine + head[i] * sine;
    }
    turned
}

/// Returns the likeliest entry, the lowest among equals, and its log-probability.
pub(super) fn likeliest(logits: &[f64]) -> (usize, f64) {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let place = logits.iter().position(|&x| x == highest).unwrap_or(0);
    let total: f64 = logits.iter().map(|x| (x - highest).exp()).sum();
    (place, -total.ln())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::nn::candle::attention as candle;
    use crate::nn::{Backend, Norm, Rope};

    fn random(shape: (usize, usize)) -> (Tensor, Rows) {
        let tensor = Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
        let rows = tensor.to_dtype(candle_core::DType::F64).unwrap();
        (tensor, rows.to_vec2().unwrap())
    }

    fn is_near(found: &Tensor, expected: &Rows) {
        let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
        let expected: Vec<f64> = expected.iter().flatten().copied().collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= 1e-5 * expected.abs().max(1.0),
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn attention_is_what_candle_computes_step_by_step() {
        let ((q, q_rows), (k, k_rows), (v, v_rows)) =
            (random((5, 8)), random((9, 8)), random((9, 8)));
        let visible: Vec<Range<usize>> = (0..5).map(|row| row / 2..row + 5).collect();
        for softcap in [None, Some(2.0)] {
            let expected = attention(&q_rows, (&k_rows, &v_rows), &visible, 0.3, softcap);
            let masks = candle::Masks::default();
            let mask = masks.of(&visible, 0..9, &Device::Cpu).unwrap();
            let four = |t: &Tensor, rows| t.reshape((1, 1, rows, 8)).unwrap();
            let q = (&q * 0.3).unwrap().reshape((1, 5, 1, 8)).unwrap();
            let scores = candle::scores(&q, &four(&k, 9), softcap, mask.as_ref()).unwrap();
            let pattern = candle::softmax(&scores).unwrap();
            is_near(&candle::weigh(&pattern, &four(&v, 9)).unwrap(), &expected);
        }
    }

    #[test]
    fn norms_are_those_of_both_backends() {
        let ((x, rows), (weight, weights), (bias, biases)) =
            (random((3, 16)), random((1, 16)), random((1, 16)));
        let flat = |t: &Tensor| t.flatten_all().unwrap();
        let layer = Norm::Layer {
            weight: flat(&weight),
            bias: flat(&bias),
            eps: 1e-3,
        };
        let rms = Norm::Rms {
            weight: flat(&weight),
            eps: 1e-3,
        };
        for (ours, bias) in [(layer, Some(biases[0].as_slice())), (rms, None)] {
            let expected = rows
                .iter()
                .map(|row| norm(row, &weights[0], bias, 1e-3))
                .collect();
            for backend in [Backend::Cpu, Backend::Candle] {
                is_near(&ours.forward(&x, backend).unwrap(), &expected);
                let (sum, normed) = ours
                    .forward_sum(&x, &x.zeros_like().unwrap(), backend)
                    .unwrap();
                is_near(&sum, &rows);
                is_near(&normed, &expected);
            }
        }
    }

    #[test]
    fn rotation_and_the_likeliest_token_are_those_of_candle() {
        let ((x, rows), (cosines, c), (sines, s)) =
            (random((4, 8)), random((4, 3)), random((4, 3)));
        let angles = |row: usize| {
            c[row]
                .iter()
                .copied()
                .zip(s[row].iter().copied())
                .collect::<Vec<_>>()
        };
        let expected = (0..4).map(|row| rotate(&rows[row], &angles(row))).collect();
        let heads = x.reshape((4, 1, 8)).unwrap();
        is_near(&Rope::rotate(&heads, &(cosines, sines)).unwrap(), &expected);
        let expected = rows.iter().map(|row| likeliest(row));
        let expected = expected.map(|(place, logprob)| vec![place as f64, logprob]);
        is_near(&candle::likeliest(&x).unwrap(), &expected.collect());
    }
}
