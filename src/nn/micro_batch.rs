//! Cuts a step into micro-batches, which pass the devices of a stack one behind the other (GPipe,
//! Huang et al. 2019): while one is on the second device, the next one is on the first.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use super::attention::PassState;
use super::kv_cache::sequence::SequenceCache;
use super::layout::{Layout, Span};

/// Rows below which a micro-batch does not pay on a GPU: each reads all weights anew, which takes
/// longer than the products of so few rows.
const LEAST_ROWS: usize = 256;

/// Sequences that pass the layers together.
pub(super) struct MicroBatch {
    /// Their places among the spans of the step.
    pub(super) spans: Range<usize>,
    /// `(R, D)`.
    pub(super) x: Tensor,
    pub(super) layout: Layout,
    /// Made anew on every device, and when rows leave.
    pub(super) pass: PassState,
    /// The layers that each sequence runs; the first `layers` where it is `None`.
    pub(super) paths: Vec<Option<Vec<usize>>>,
    pub(super) layers: usize,
}

impl MicroBatch {
    fn of(
        spans: Range<usize>,
        x: Tensor,
        layout: Layout,
        layers: usize,
        path: impl Fn(&Span) -> Option<Vec<usize>>,
    ) -> Self {
        Self {
            paths: layout.spans.iter().map(path).collect(),
            pass: PassState::default(),
            spans,
            x,
            layout,
            layers,
        }
    }

    /// Cuts `x (R, D)` between sequences into at most `most` parts of about as many rows each.
    pub(super) fn cut(
        x: Tensor,
        layout: &Layout,
        most: usize,
        layers: usize,
        path: impl Fn(&Span) -> Option<Vec<usize>>,
    ) -> Result<Vec<Self>> {
        let of = |spans, x, layout| Self::of(spans, x, layout, layers, &path);
        if most < 2 {
            // Nothing is copied for a stack that is on one device.
            return Ok(vec![of(0..layout.spans.len(), x, layout.clone())]);
        }
        let rows: Vec<usize> = layout.spans.iter().map(|span| span.rows.len()).collect();
        let least = if x.device().is_cpu() { 1 } else { LEAST_ROWS };
        let mut parts = Vec::with_capacity(most);
        for spans in cut_evenly(&rows, most, least) {
            let (own, rows) = layout.select(|i| spans.contains(&i));
            let first = rows.first().map_or(0, |&row| row as usize);
            // A view: neighbouring spans stand end to end.
            parts.push(of(spans, x.narrow(0, first, rows.len())?, own));
        }
        Ok(parts)
    }

    /// Puts the rows of all parts together: `(R', D)` on `device`, with their layout.
    pub(super) fn join(mut parts: Vec<Self>, device: &Device) -> Result<(Tensor, Layout)> {
        if parts.len() == 1 {
            let only = parts.swap_remove(0);
            return Ok((only.x, only.layout));
        }
        let (mut rows, mut layout) = (Vec::with_capacity(parts.len()), Layout::default());
        for part in parts {
            rows.push(to_device(&part.x, device)?);
            part.layout.spans.into_iter().for_each(|s| layout.push(s));
        }
        Ok((Tensor::cat(&rows, 0)?, layout))
    }

    /// Returns the lowest layer that any of its sequences has next.
    pub(super) fn next_layer(&self) -> Option<usize> {
        (0..self.layout.spans.len())
            .filter_map(|i| self.next_layer_of(i))
            .min()
    }

    /// Returns the layer that span `i` runs next.
    pub(super) fn next_layer_of(&self, i: usize) -> Option<usize> {
        let done = self.layout.spans[i].layers_done;
        match &self.paths[i] {
            Some(path) => path.get(done).copied(),
            None => Some(done).filter(|&layer| layer < self.layers),
        }
    }

    /// Reports whether the next layer of span `i` is its last one.
    pub(super) fn is_last(&self, i: usize) -> bool {
        let layers = self.paths[i].as_ref().map_or(self.layers, Vec::len);
        self.layout.spans[i].layers_done + 1 == layers
    }

    /// Returns the caches of its sequences, of those of the step; there may be none.
    pub(super) fn own<'a, 'c>(
        &self,
        caches: &'a mut [Option<&'c mut SequenceCache>],
    ) -> &'a mut [Option<&'c mut SequenceCache>] {
        // A call without caches passes an empty list.
        let end = self.spans.end.min(caches.len());
        &mut caches[self.spans.start.min(end)..end]
    }
}

/// Cuts items of `rows` rows into at most `most` runs of at least `least` rows on average, each
/// about as large as the others; at least one run, none of them empty where there are items.
fn cut_evenly(rows: &[usize], most: usize, least: usize) -> Vec<Range<usize>> {
    let total: usize = rows.iter().sum();
    let count = (total / least.max(1)).clamp(1, most.min(rows.len()).max(1));
    let (mut runs, mut start, mut before) = (Vec::with_capacity(count), 0, 0);
    for run in 1..=count {
        // As many items stay as there are runs to come.
        let latest = rows.len().saturating_sub(count - run);
        let mut end = start;
        while end < latest && (end == start || run == count || before * count < total * run) {
            // The item that crosses the border goes to the run that holds more of it.
            let after = before + rows[end];
            if end > start && run < count && (before + after) * count > 2 * total * run {
                break;
            }
            before = after;
            end += 1;
        }
        runs.push(start..end);
        start = end;
    }
    runs
}

/// Copies `x` to `device` where it is not there already.
pub fn to_device(x: &Tensor, device: &Device) -> Result<Tensor> {
    if x.device().same_device(device) {
        return Ok(x.clone());
    }
    // A view is cut out first: candle copies all of what it is a view of.
    let copy = x.force_contiguous()?.to_device(device)?;
    // Memory is freed and used again in the order of its own device's work, which knows nothing of
    // a copy that the other device still makes.
    device.synchronize()?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(run: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(run).collect()
    }

    #[test]
    fn runs_are_even() {
        assert_eq!(cut_evenly(&[1, 1, 1, 1], 2, 1), [0..2, 2..4]);
        assert_eq!(cut_evenly(&[6, 1, 1, 1, 1, 1], 2, 1), [0..1, 1..6]);
        assert_eq!(cut_evenly(&[1, 1, 1, 9], 2, 1), [0..3, 3..4]);
        assert_eq!(cut_evenly(&[9, 1], 4, 1), [0..1, 1..2]);
        assert_eq!(cut_evenly(&[100, 100, 100], 3, 256), one(0..3));
        assert_eq!(cut_evenly(&[256, 256, 256], 2, 256), [0..2, 2..3]);
        assert_eq!(cut_evenly(&[7], 3, 1), one(0..1));
        assert_eq!(cut_evenly(&[], 3, 1), one(0..0));
    }

    #[test]
    fn runs_hold_every_item_once() {
        let mut seed = 1u64;
        for _ in 0..500 {
            let mut next = |below: u64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((seed >> 33) % below) as usize
            };
            let rows: Vec<usize> = (0..=next(12)).map(|_| 1 + next(40)).collect();
            let (most, least) = (2 + next(5), 1 + next(30));
            let runs = cut_evenly(&rows, most, least);
            let ends: Vec<usize> = runs.iter().map(|run| run.end).collect();
            let starts: Vec<usize> = runs.iter().map(|run| run.start).collect();
            assert_eq!((starts[0], ends[ends.len() - 1]), (0, rows.len()));
            assert_eq!(starts[1..], ends[..ends.len() - 1]);
            assert!(runs.len() <= most && runs.iter().all(|run| !run.is_empty()));
        }
    }
}
