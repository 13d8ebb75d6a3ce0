//! The kernels of the CPU, in f32 and for the instruction set of the machine.

pub(super) mod attention;
pub(super) mod gemm;
pub(super) mod simd;
