//! The bits of decoding on every instruction set.

use super::*;

pub(in crate::nn) const FORMATS: [BlockFormat; 5] = [
    BlockFormat::Q4_0,
    BlockFormat::Q8_0,
    BlockFormat::Q4K,
    BlockFormat::Q5K,
    BlockFormat::Q6K,
];

/// Blocks of any bytes, but with scales that are finite.
pub(in crate::nn) fn rows(format: BlockFormat, out: usize, input: usize) -> Vec<u8> {
    let (numbers, bytes) = format.sizes();
    let mut rows: Vec<u8> = (0..out * input / numbers * bytes)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8)
        .collect();
    let scales: &[usize] = match format {
        BlockFormat::Q4_0 | BlockFormat::Q8_0 => &[0],
        BlockFormat::Q4K | BlockFormat::Q5K => &[0, 2],
        BlockFormat::Q6K => &[208],
    };
    for (i, block) in rows.chunks_exact_mut(bytes).enumerate() {
        for &at in scales {
            // A subnormal one, and a negative one, too.
            let scale = half::f16::from_f32(1e-7 + 1e-4 * ((i % 7) as f32 - 2.0));
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    rows
}

/// Does `work` with every instruction set that the machine has.
fn on_all<W: WithSimd + Copy>(work: W) -> Vec<W::Output> {
    let mut all = vec![pulp::Scalar.vectorize(work)];
    #[cfg(target_arch = "x86_64")]
    {
        all.extend(pulp::x86::V3::try_new().map(|simd| Simd::vectorize(simd, work)));
        all.extend(pulp::x86::V4::try_new().map(|simd| Simd::vectorize(simd, work)));
    }
    all
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Decodes a panel, and multiplies rows by it and the next one.
#[derive(Clone, Copy)]
struct Both<'a>(&'a [BlockPanel<'a>], &'a [[f32; PLACES]]);

impl WithSimd for Both<'_> {
    type Output = (Vec<u32>, Vec<u32>);

    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self(panels, x) = self;
        let mut out = vec![[0.0; PANEL]; BLOCK];
        let (panel, start) = (panels[0], 0);
        Decode {
            panel,
            start,
            out: &mut out,
        }
        .with_simd(simd);
        let stride = panels.len() * PANEL;
        let mut y = vec![0.5; x.len() * stride];
        let few = Few {
            x,
            panels,
            inputs: 0..BLOCK,
            y: &mut y,
            stride,
        };
        few.with_simd(simd);
        (bits(out.as_flattened()), bits(&y))
    }
}

#[test]
fn every_instruction_set_has_the_same_bits() {
    for format in FORMATS {
        let packed = interleave(&rows(format, 2 * PANEL, BLOCK), format, BLOCK);
        let panels = [0, 1].map(|i| BlockPanel::of(&packed, format, BLOCK, i));
        let x: Vec<[f32; PLACES]> = (0..FEW)
            .map(|row| std::array::from_fn(|i| (row as f32 + i as f32 * 12.9898).sin()))
            .collect();
        for rows in 1..=FEW {
            let all = on_all(Both(&panels, &x[..rows]));
            assert!(
                all.windows(2).all(|two| two[0] == two[1]),
                "{format:?}, {rows}"
            );
        }
    }
}

/// Reads the f16 in the low half of a word, in all lanes.
#[derive(Clone, Copy)]
struct Half(u32);

impl WithSimd for Half {
    type Output = f32;

    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let lanes = Lanes::<S, 1>(simd);
        let [found] = lanes.half([simd.splat_u32s(self.0)]);
        simd.reduce_max_f32s(found)
    }
}

#[test]
fn halves_are_read_as_half_reads_them() {
    for bits in 0..=u16::MAX {
        let expected = half::f16::from_bits(bits).to_f32();
        // Whatever stands above them is another one.
        for found in on_all(Half(u32::from(bits) | 0x3c00_0000)) {
            let is_same = found.to_bits() == expected.to_bits();
            assert!(
                is_same || !expected.is_finite() && !found.is_finite(),
                "{bits}"
            );
        }
    }
}
