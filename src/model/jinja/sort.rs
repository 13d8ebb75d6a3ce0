//! A sort whose order may fail.

use std::cmp::Ordering;

use super::budget::Failure;

/// Sorts stably by merging, as Python does; an error if two items have no order.
pub(super) fn sort_by<T: Clone>(
    items: &mut Vec<T>,
    mut order: impl FnMut(&T, &T) -> Result<Option<Ordering>, Failure>,
) -> Result<(), Failure> {
    // Not the standard library's: that can neither stop at an error, nor may be given an order that
    // contradicts itself, as NaN's does.
    let mut width = 1;
    while width < items.len() {
        let mut merged = Vec::with_capacity(items.len());
        for pair in items.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some(a), Some(b)) = (left.first(), right.first()) {
                // The right one only where it is less: equal ones keep their order.
                if order(b, a)? == Some(Ordering::Less) {
                    merged.push(b.clone());
                    right = &right[1..];
                } else {
                    merged.push(a.clone());
                    left = &left[1..];
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        *items = merged;
        width *= 2;
    }
    Ok(())
}
