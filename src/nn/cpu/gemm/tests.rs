//! The law against a reference that is written number by number, for every instruction set that the
//! machine has.

use half::{bf16, f16};
use proptest::prelude::*;
use pulp::Simd;

use super::super::blocks::tests::{FORMATS, rows};
use super::super::blocks::{decoded, interleave};
use super::super::pack::{pack, pack_pairs, unpack_pairs};
use super::super::tiles::Line;
use super::*;

/// Draws numbers between -1 and 1.
struct Draw(u32);

impl Draw {
    fn bf16s(&mut self, count: usize) -> Vec<bf16> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bf16::from_f32((self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0)
        };
        (0..count).map(|_| next()).collect()
    }
}

fn floats(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Computes the chain of the law.
fn reference(x: &[f32], weight: &[f32], input: usize, bias: &[f32]) -> Vec<f32> {
    let mut y = Vec::new();
    for x in x.chunks_exact(input) {
        for (weight, bias) in weight.chunks_exact(input).zip(bias) {
            let blocks = x.chunks(BLOCK).zip(weight.chunks(BLOCK));
            let sums = blocks.map(|(x, w)| {
                let products = x.iter().zip(w);
                products.fold(0.0, |sum, (x, w)| x.mul_add(*w, sum))
            });
            y.push(sums.fold(*bias, |total, sum: f32| total + sum));
        }
    }
    y
}

/// Multiplies as one instruction set does.
fn on<S: Simd, L: Line>(simd: S, columns: &Columns<'_>, lines: &[L], x: &[f32]) -> Vec<f32> {
    let rows = x.len() / columns.input;
    let inputs = 0..columns.input;
    let mut y = vec![0.0; rows * columns.count * PANEL];
    for y in y.chunks_exact_mut(columns.count * PANEL) {
        let bias = columns.bias.unwrap_or_default();
        y[..bias.len()].copy_from_slice(bias);
    }
    with_blocks_of_floats(Numbers::F32(x), columns.input, &(0..rows), &inputs, |x| {
        simd.vectorize(columns.tiles(x, lines, L::INPUTS, &inputs, &mut y));
    });
    y
}

/// Multiplies with every instruction set of the machine.
fn on_all<L: Line>(columns: &Columns<'_>, lines: &[L], x: &[f32]) -> Vec<Vec<f32>> {
    let mut all = vec![on(pulp::Scalar, columns, lines, x)];
    #[cfg(target_arch = "x86_64")]
    {
        all.extend(pulp::x86::V3::try_new().map(|simd| on(simd, columns, lines, x)));
        all.extend(pulp::x86::V4::try_new().map(|simd| on(simd, columns, lines, x)));
    }
    all
}

/// Compares everything that multiplies `(rows, input)` by `(out, input)` with the reference.
fn check(rows: usize, input: usize, out: usize) {
    let mut draw = Draw((rows * 7919 + input * 31 + out) as u32);
    let (x, weight) = (draw.bf16s(rows * input), draw.bf16s(out * input));
    let bias = floats(&draw.bf16s(out));
    let (wide_x, wide) = (floats(&x), floats(&weight));
    let expected = bits(&reference(&wide_x, &wide, input, &bias));

    let (single, pairs) = (pack(&wide, input, 0.0), pack_pairs(&weight, input));
    assert_eq!(unpack_pairs(&pairs, input, out), weight);
    // Numbers of f16 that are those of bf16, as far as its exponents go.
    let narrow: Vec<f16> = wide.iter().map(|w| f16::from_f32(*w)).collect();
    let half = pack(&narrow, input, f16::ZERO);
    let of_half = floats_of(&narrow);
    let of_half = bits(&reference(&wide_x, &of_half, input, &bias));
    let product = |panels, x| {
        let bias = Some(bias.as_slice());
        let weight = PackedWeight {
            panels,
            input,
            out,
            bias,
        };
        (bits(&weight.product(x)), bits(&weight.product_here(x)))
    };
    for (panels, x, expected) in [
        (Panels::F32(&single), Numbers::F32(&wide_x), &expected),
        (Panels::F32(&single), Numbers::Bf16(&x), &expected),
        (Panels::Bf16(&pairs), Numbers::Bf16(&x), &expected),
        (Panels::Bf16(&pairs), Numbers::F32(&wide_x), &expected),
        (
            Panels::Read(Numbers::F16(&half)),
            Numbers::F32(&wide_x),
            &of_half,
        ),
    ] {
        let (shared, here) = product(panels, x);
        assert_eq!(
            &shared, expected,
            "{rows} x {input} x {out}, on all threads"
        );
        assert_eq!(&here, expected, "{rows} x {input} x {out}, on one");
    }

    let columns = Columns {
        panels: Panels::F32(&single),
        input,
        bias: Some(&bias),
        first: 0,
        count: out.div_ceil(PANEL),
    };
    let single: &[[f32; PANEL]] = single.as_chunks().0;
    let pairs: &[[u32; PANEL]] = pairs.as_chunks().0;
    let mut found = on_all(&columns, single, &wide_x);
    found.extend(on_all(&columns, pairs, &wide_x));
    for y in found {
        let rows = y.chunks_exact(columns.count * PANEL);
        let y: Vec<f32> = rows.flat_map(|y| y[..out].to_vec()).collect();
        assert_eq!(bits(&y), expected, "{input} inputs");
    }
}

fn floats_of(values: &[f16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

#[test]
fn every_number_of_rows_has_the_bits_of_the_reference() {
    for rows in (1..=26).chain([63, 127]) {
        check(rows, 2 * BLOCK + 3, 2 * PANEL + 5);
    }
}

#[test]
fn every_remainder_of_inputs_and_outputs_has_the_bits_of_the_reference() {
    for input in (1..=5).chain(BLOCK - 2..=BLOCK + 2).chain([1535]) {
        check(1, input, 5 * PANEL);
        check(7, input, PANEL);
    }
    for out in 1..=PANEL + 1 {
        check(3, 65, out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_product_has_the_bits_of_the_reference(
        rows in 1usize..300,
        input in 1usize..1100,
        out in 1usize..50,
    ) {
        check(rows, input, out);
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_company(
        rows in 2usize..300,
        input in 1usize..1100,
        out in 1usize..100,
        seed: u32,
    ) {
        let mut draw = Draw(seed);
        let (x, weight) = (draw.bf16s(rows * input), draw.bf16s(out * input));
        let pairs = pack_pairs(&weight, input);
        let panels = Panels::Bf16(&pairs);
        let weight = PackedWeight { panels, input, out, bias: None };
        let together = bits(&weight.product(Numbers::Bf16(&x)));
        for (x, together) in x.chunks_exact(input).zip(together.chunks_exact(out)) {
            prop_assert_eq!(&bits(&weight.product(Numbers::Bf16(x)))[..], together);
        }
        // In two calls, as chunks of a prompt come.
        let first = rows / 3 * input;
        let mut chunked = bits(&weight.product(Numbers::Bf16(&x[..first])));
        chunked.extend(bits(&weight.product(Numbers::Bf16(&x[first..]))));
        prop_assert_eq!(chunked, together);
    }
}

#[test]
fn blocks_have_the_bits_of_their_numbers_in_any_company() {
    for format in FORMATS {
        // Whole chains, and a part of one; panels by pairs, one alone, and one with padding.
        for (out, input) in [(40, 768), (16, 512), (33, 1280)] {
            let bias: Vec<f32> = (0..out).map(|n| n as f32 - 7.5).collect();
            // More rows than are multiplied at a time.
            let x: Vec<f32> = (0..260 * input)
                .map(|i| (i as f32 * 12.9898).sin())
                .collect();
            let panels = interleave(&rows(format, out, input), format, input);
            let values = decoded(&panels, format, (out, input));
            let expected = bits(&reference(&x, &values, input, &bias));
            let weight = PackedWeight {
                panels: Panels::Blocks(&panels, format),
                input,
                out,
                bias: Some(&bias),
            };
            for count in [0, 1, 2, 5, 6, 7, 12, 13, 260] {
                let (own, expected) = (&x[..count * input], &expected[..count * out]);
                let what = format!("{format:?}, {count} x {input} x {out}");
                assert_eq!(bits(&weight.product(Numbers::F32(own))), expected, "{what}");
                assert_eq!(
                    bits(&weight.product_here(Numbers::F32(own))),
                    expected,
                    "{what}, on one thread"
                );
            }
        }
    }
}
