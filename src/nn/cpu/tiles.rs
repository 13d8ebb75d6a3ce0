//! Walks the tiles of a product: some rows times some panels, whose sums stay in registers.
//!
//! A kernel says how one tile is summed up; the walk around it is the same for all. It is inlined
//! into each kernel's entry, so that it is compiled for that kernel's instruction set.

use pulp::{Simd, WithSimd};

/// Outputs of a panel: one vector of 512 bits.
pub(in crate::nn) const PANEL: usize = 16;
/// Inputs that are summed up in one chain.
pub(super) const BLOCK: usize = 512;
/// Places of a row of a block: 64 bytes more than it holds, so that rows that are read side by
/// side do not fall into the same set of the first cache.
pub(super) const PLACES: usize = BLOCK + 16;

/// Sums tiles up.
pub(super) trait Kernel: Copy {
    /// The numbers of rows.
    type X: Copy;
    /// The weights of one input of a panel, or of a pair of them.
    type Line;
    /// Rows that share the reading of panels, at most 12.
    const TILE: usize;
    /// Panels that share the reading of many rows.
    const PANELS: usize;

    /// Adds the sums of `M` rows times `P` panels up in `y`, whose rows are `stride` apart.
    fn tile<const M: usize, const P: usize>(
        self,
        x: &[[Self::X; PLACES]; M],
        panels: [&[Self::Line]; P],
        y: &mut [f32],
        stride: usize,
    );
}

/// Some blocks of rows times some panels of a weight.
pub(super) struct Tiles<'a, X, Line> {
    /// `(blocks, R)`.
    pub(super) x: &'a [[X; PLACES]],
    /// `(P, lines)`.
    pub(super) panels: &'a [Line],
    /// Lines of a panel.
    pub(super) lines: usize,
    /// Lines of a panel before the first block.
    pub(super) before: usize,
    /// Lines of the blocks together.
    pub(super) within: usize,
    /// Lines of a whole block.
    pub(super) block: usize,
    /// The outputs, in rows that are `stride` apart.
    pub(super) y: &'a mut [f32],
    pub(super) stride: usize,
}

impl<X: Copy, Line> Tiles<'_, X, Line> {
    /// Multiplies all.
    #[inline(always)]
    pub(super) fn walk<K: Kernel<X = X, Line = Line>>(mut self, kernel: K) {
        let rows = self.x.len() / self.within.div_ceil(self.block).max(1);
        let count = self.panels.len() / self.lines.max(1);
        let mut panel = 0;
        // One row is bound by the reading of the weight: four panels hide each other's latency.
        while rows == 1 && panel + 4 <= count {
            self.panels::<K, 4>(kernel, rows, panel);
            panel += 4;
        }
        while K::PANELS == 2 && panel + 2 <= count {
            self.panels::<K, 2>(kernel, rows, panel);
            panel += 2;
        }
        while panel < count {
            self.panels::<K, 1>(kernel, rows, panel);
            panel += 1;
        }
    }

    /// Multiplies all rows by `P` panels.
    #[inline(always)]
    fn panels<K, const P: usize>(&mut self, kernel: K, rows: usize, panel: usize)
    where
        K: Kernel<X = X, Line = Line>,
    {
        let mut row = 0;
        while row < rows {
            let at = (row, panel);
            // The number of rows is a constant of the tile, so that its sums stay in registers.
            row += match rows - row {
                12.. if K::TILE == 12 => self.blocks::<K, 12, P>(kernel, rows, at),
                8.. if K::TILE == 12 => self.blocks::<K, 8, P>(kernel, rows, at),
                6.. => self.blocks::<K, 6, P>(kernel, rows, at),
                4.. => self.blocks::<K, 4, P>(kernel, rows, at),
                3 => self.blocks::<K, 3, P>(kernel, rows, at),
                2 => self.blocks::<K, 2, P>(kernel, rows, at),
                _ => self.blocks::<K, 1, P>(kernel, rows, at),
            };
        }
    }

    /// Multiplies all blocks of `M` rows by `P` panels, and returns `M`.
    #[inline(always)]
    fn blocks<K, const M: usize, const P: usize>(
        &mut self,
        kernel: K,
        rows: usize,
        (row, panel): (usize, usize),
    ) -> usize
    where
        K: Kernel<X = X, Line = Line>,
    {
        let y = &mut self.y[row * self.stride + panel * PANEL..];
        for (block, x) in self.x.chunks_exact(rows).enumerate() {
            let from = block * self.block;
            let length = self.block.min(self.within - from);
            let mut panels: [&[Line]; P] = [&[]; P];
            for (p, lines) in panels.iter_mut().enumerate() {
                *lines = &self.panels[(panel + p) * self.lines + self.before + from..][..length];
            }
            if let Some(x) = x[row..].first_chunk::<M>() {
                kernel.tile::<M, P>(x, panels, y, self.stride);
            }
        }
        M
    }
}

/// The weights of a panel for one step of a sum.
pub(super) trait Line: Copy {
    /// Inputs of a step.
    const INPUTS: usize;

    /// Returns the `V` vectors of the step's input `i`.
    fn vectors<S: Simd, const V: usize>(&self, simd: S, i: usize) -> [S::f32s; V];
}

/// Weights of one input, one for each output.
impl Line for [f32; PANEL] {
    const INPUTS: usize = 1;

    #[inline(always)]
    fn vectors<S: Simd, const V: usize>(&self, simd: S, _: usize) -> [S::f32s; V] {
        let mut vectors = [simd.splat_f32s(0.0); V];
        vectors.copy_from_slice(S::as_simd_f32s(self).0);
        vectors
    }
}

/// bf16 weights of two inputs for each output, the first one in the upper half.
impl Line for [u32; PANEL] {
    const INPUTS: usize = 2;

    #[inline(always)]
    fn vectors<S: Simd, const V: usize>(&self, simd: S, i: usize) -> [S::f32s; V] {
        let mut vectors = [simd.splat_f32s(0.0); V];
        // No closures here and in `tile`: they are not compiled for the instruction set for sure.
        for (vector, &pairs) in vectors.iter_mut().zip(S::as_simd_u32s(self).0) {
            let bits = if i == 0 {
                simd.and_u32s(pairs, simd.splat_u32s(0xffff_0000))
            } else {
                simd.wrapping_dyn_shl_u32s(pairs, simd.splat_u32s(16))
            };
            *vector = simd.transmute_f32s_u32s(bits);
        }
        vectors
    }
}

/// Fused multiply-adds in f32, in vectors of which `V` make up a panel.
struct MulAdd<S, L, const V: usize>(S, std::marker::PhantomData<L>);

impl<S: Copy, L, const V: usize> Clone for MulAdd<S, L, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Copy, L, const V: usize> Copy for MulAdd<S, L, V> {}

impl<S: Simd, L: Line, const V: usize> Kernel for MulAdd<S, L, V> {
    type X = f32;
    type Line = L;
    // With 32 registers 24 hold sums, enough to keep two multiply-adders of Intel's busy; with 16
    // of AVX2 it is 12, which leaves room for the weight and the input.
    const TILE: usize = if V == 1 { 12 } else { 6 };
    const PANELS: usize = if V == 1 { 2 } else { 1 };

    #[inline(always)]
    fn tile<const M: usize, const P: usize>(
        self,
        x: &[[f32; PLACES]; M],
        panels: [&[L]; P],
        y: &mut [f32],
        stride: usize,
    ) {
        let simd = self.0;
        let steps = panels[0].len().min(PLACES / L::INPUTS);
        let mut panels = panels;
        for panel in &mut panels {
            *panel = &panel[..steps];
        }
        let mut weights = [[simd.splat_f32s(0.0); V]; P];
        let mut sums = [[[simd.splat_f32s(0.0); V]; P]; M];
        for k in 0..steps {
            for input in 0..L::INPUTS {
                for p in 0..P {
                    weights[p] = panels[p][k].vectors(simd, input);
                }
                for i in 0..M {
                    let x = simd.splat_f32s(x[i][k * L::INPUTS + input]);
                    for p in 0..P {
                        for v in 0..V {
                            // Fused on every machine: the law fixes the rounding.
                            sums[i][p][v] = simd.mul_add_f32s(x, weights[p][v], sums[i][p][v]);
                        }
                    }
                }
            }
        }
        // The bias is in the total already, as the first summand of the chain over blocks.
        for (i, sums) in sums.into_iter().enumerate() {
            let total = &mut y[i * stride..][..P * PANEL];
            let total = S::as_mut_simd_f32s(total).0;
            for (total, sum) in total.iter_mut().zip(sums.as_flattened()) {
                *total = simd.add_f32s(*total, *sum);
            }
        }
    }
}

impl<L: Line> WithSimd for Tiles<'_, f32, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let kind = std::marker::PhantomData::<L>;
        match S::F32_LANES {
            16 => self.walk(MulAdd::<S, L, 1>(simd, kind)),
            8 => self.walk(MulAdd::<S, L, 2>(simd, kind)),
            4 => self.walk(MulAdd::<S, L, 4>(simd, kind)),
            // Without vector instructions a lane is one number.
            _ => self.walk(MulAdd::<S, L, PANEL>(simd, kind)),
        }
    }
}
