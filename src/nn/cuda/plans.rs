//! Plans of attention on the device that reads them.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::nn::attention_plan::{AttentionPlan, KeySpan};

/// The most words of one upload: the driver takes 64 KB without waiting for the card.
const UPLOAD_WORDS: usize = 8192;

/// Plans of a pass on its device: most layers of a pass have the same.
#[derive(Debug, Default)]
pub(in crate::nn) struct Plans(RefCell<Vec<(AttentionPlan, Tensor)>>);

/// A plan on its device.
pub(in crate::nn) struct Uploaded {
    pub(super) plan: AttentionPlan,
    /// The plan's words on the device.
    pub(super) words: Tensor,
}

/// Keys and values that a plan's offsets are counted in.
pub(in crate::nn) struct KeyStore<'a> {
    /// Contiguous.
    pub(in crate::nn) keys: &'a Tensor,
    /// Contiguous, of the same shape.
    pub(in crate::nn) values: &'a Tensor,
    /// Elements from a key to the next one.
    pub(in crate::nn) key_stride: usize,
}

/// A row that decodes, with the keys and values of its sequence.
pub(in crate::nn) struct DecodeRow {
    /// Keys and values of several layers, `(L, 2, K, S, Dh)`.
    pub(in crate::nn) kv: Tensor,
    /// The layer's number among the L.
    pub(in crate::nn) index: usize,
    /// The row in the call.
    pub(in crate::nn) row: usize,
    /// Number of keys, the row's own included, which comes last.
    pub(in crate::nn) count: usize,
    /// The keys that the row sees.
    pub(in crate::nn) visible: Range<usize>,
}

/// Rows of a sequence whose keys and values, `(n, K, Dh)` each, are in two places.
pub(in crate::nn) struct SplitRows {
    /// Those of the first keys.
    pub(in crate::nn) first: (Tensor, Tensor),
    /// Those of the others.
    pub(in crate::nn) rest: (Tensor, Tensor),
    /// The first row in the call.
    pub(in crate::nn) first_row: usize,
    /// The keys that each row sees.
    pub(in crate::nn) visible: Vec<Range<usize>>,
}

impl Plans {
    /// Lays `spans` out and uploads them to the device of `like`, unless an earlier layer has.
    pub(in crate::nn) fn upload(
        &self,
        spans: &[KeySpan],
        group: usize,
        like: &Tensor,
    ) -> Result<Uploaded> {
        let plan = AttentionPlan::new(spans, group);
        let mut known = self.0.borrow_mut();
        // Laying out costs less than an upload, and all layers but those with a window or a prune
        // before them agree.
        if let Some((_, words)) = known.iter().find(|(p, _)| *p == plan) {
            let words = words.clone();
            return Ok(Uploaded { plan, words });
        }
        let parts = plan
            .words
            .chunks(UPLOAD_WORDS)
            .map(|part| Tensor::from_slice(part, part.len(), like.device()))
            .collect::<Result<Vec<_>>>()?;
        let words = match parts.as_slice() {
            [one] => one.clone(),
            _ => Tensor::cat(&parts, 0)?,
        };
        known.push((plan.clone(), words.clone()));
        Ok(Uploaded { plan, words })
    }
}
