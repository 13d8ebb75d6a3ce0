//! The keys and values that the rows of one sequence attend to, for either backend.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use super::attention_plan::{KeyPlace, KeySpan};

/// The rows of one sequence with the keys and values that they may see.
pub(super) struct AttentionInputs {
    /// The number of its span.
    pub(super) span: usize,
    /// The rows among those of the call.
    pub(super) rows: Range<usize>,
    /// Keys and values `(n, K, Dh)` each, one after the other.
    pub(super) segments: Vec<(Tensor, Tensor)>,
    /// The token of each key.
    pub(super) tokens: Arc<[u32]>,
    /// The keys that each row sees.
    pub(super) visible: Vec<Range<usize>>,
}

impl AttentionInputs {
    /// Returns the number of keys.
    pub(super) fn keys(&self) -> usize {
        self.segments.iter().map(|(k, _)| k.dims()[0]).sum()
    }

    /// Returns them for the kernel on a GPU; their keys begin with number `first` of a tensor
    /// `(n, K, Dh)`, of heads of `width`.
    pub(super) fn key_span(&self, first: usize, (kv_heads, width): (usize, usize)) -> KeySpan {
        // In elements, and the same for both: keys and values have one shape.
        let offset = (first * kv_heads * width) as i64;
        KeySpan {
            place: KeyPlace::whole((offset, offset), 0, width),
            first_row: self.rows.start,
            count: self.keys(),
            visible: self.visible.clone(),
        }
    }

    /// Returns the numbers of its rows.
    pub(super) fn row_numbers(&self) -> impl Iterator<Item = u32> + use<> {
        self.rows.start as u32..self.rows.end as u32
    }
}
