//! Stands for [`bf16`](super::bf16) on processors of other makes.

use super::tiles::{PANEL, Tiles};

/// Is never called.
pub(super) fn multiply(_: Tiles<'_, u32, [u32; PANEL]>) {
    unreachable!("no processor of this make has the instruction")
}

/// Reports that the instruction is missing.
pub(super) fn is_served() -> bool {
    false
}
