//! Lays the attention of a call out for the kernel on a GPU: which rows look at which keys, cut into
//! tiles.

use std::ops::Range;

/// Pairs of a row and a head that one tile of the kernel for whole prompts serves.
const MANY: usize = 64;
/// Pairs that one tile of the kernel for decoding serves.
const FEW: usize = 16;

/// Says where the keys and values of a sequence are, in elements from where those of the call begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPlace {
    /// To key 0 and value 0 of head 0, in layer 0.
    pub(super) first: (i64, i64),
    /// The same of keys from number `split` on, counted as if all keys before them were there, too.
    pub(super) rest: (i64, i64),
    pub(super) split: usize,
    /// From a layer to the next one; 0 where a call has the keys of one layer alone.
    pub(super) layer_stride: usize,
    /// From a head to the next one.
    pub(super) head_stride: usize,
}

impl KeyPlace {
    /// Places keys that are all side by side.
    pub(super) fn whole(first: (i64, i64), layer_stride: usize, head_stride: usize) -> Self {
        Self {
            first,
            rest: first,
            // No key has that number, so that all are read from the first place.
            split: i32::MAX as usize,
            layer_stride,
            head_stride,
        }
    }
}

/// The rows of one sequence, and the keys that they look at.
#[derive(Debug, Clone)]
pub(super) struct KeySpan {
    pub(super) place: KeyPlace,
    /// The first row, in the queries.
    pub(super) first_row: usize,
    /// Number of keys.
    pub(super) count: usize,
    /// The keys that each row sees.
    pub(super) visible: Vec<Range<usize>>,
}

/// Holds the structures of `attention.cu` as words, which the kernel reads beside queries, keys and
/// values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttentionPlan {
    /// Sixteen words a sequence, four a tile, two a row.
    pub(super) words: Vec<u32>,
    /// Number of sequences.
    pub(super) sequences: usize,
    /// Number of tiles.
    pub(super) tiles: usize,
    /// Says whether no sequence has more pairs than a tile of the kernel for decoding.
    pub(super) is_few: bool,
}

impl AttentionPlan {
    /// Words of a sequence.
    pub(super) const SEQUENCE: usize = 16;
    /// Words of a tile.
    pub(super) const TILE: usize = 4;

    /// Lays out `spans`, whose heads share keys in groups of `group`.
    pub(super) fn new(spans: &[KeySpan], group: usize) -> Self {
        // For the whole call: one launch has tiles of one size.
        let is_few = spans.iter().all(|s| s.visible.len() * group <= FEW);
        let size = if is_few { FEW } else { MANY };
        let mut words = Vec::new();
        let mut tiles: Vec<[u32; Self::TILE]> = Vec::new();
        let mut first_range = 0;
        for (number, span) in spans.iter().enumerate() {
            let (place, rows) = (&span.place, span.visible.len());
            // 64 bits: an offset may be an address.
            let ((keys, values), (more_keys, more_values)) = (place.first, place.rest);
            let stride = place.layer_stride as i64;
            // The order is that of `Sequence` in attention.cu: five numbers of 64 bits, six of 32.
            for wide in [keys, values, more_keys, more_values, stride] {
                words.extend([wide as u32, (wide >> 32) as u32]);
            }
            words.extend([place.split as u32, place.head_stride as u32]);
            words.extend([span.first_row as u32, first_range as u32]);
            words.extend([rows as u32, span.count as u32]);
            // Pairs are counted row by row: row * group + head of the group.
            for first in (0..rows * group).step_by(size) {
                let last = (first + size).min(rows * group) - 1;
                let seen = &span.visible[first / group..=last / group];
                // Keys that no row of the tile sees are not even loaded.
                let start = seen.iter().map(|v| v.start).min().unwrap_or(0);
                let end = seen.iter().map(|v| v.end).max().unwrap_or(0);
                tiles.push([number as u32, first as u32, start as u32, end as u32]);
            }
            first_range += rows;
        }
        // The longest first: the card's last processors are not left with them.
        tiles.sort_by_key(|&[_, _, start, end]| std::cmp::Reverse(end.saturating_sub(start)));
        words.extend(tiles.iter().flatten());
        for seen in spans.iter().flat_map(|s| &s.visible) {
            words.extend([seen.start as u32, seen.end as u32]);
        }
        Self {
            words,
            sequences: spans.len(),
            tiles: tiles.len(),
            is_few,
        }
    }

    /// Reads `words`, those of this plan, back: the sequences, and what each of their rows sees.
    pub(super) fn read<'a>(
        &self,
        words: &'a [u32],
    ) -> impl Iterator<Item = (SequenceWords, Vec<Range<usize>>)> + use<'a> {
        let ranges = &words[self.first_range()..];
        let sequences = words[..self.first_tile()].chunks_exact(Self::SEQUENCE);
        sequences.map(move |words| {
            // What the stand-in on a CPU needs: values have the offset of keys there, and nothing
            // is split.
            let [low, high, head_stride, first_row, first, rows] =
                [0, 1, 11, 12, 13, 14].map(|i| words[i] as usize);
            let ranges = ranges[2 * first..2 * (first + rows)].chunks_exact(2);
            let visible = ranges.map(|range| range[0] as usize..range[1] as usize);
            let own = SequenceWords {
                offset: high << 32 | low,
                head_stride,
                first_row,
            };
            (own, visible.collect())
        })
    }

    /// Returns the word at which the tiles begin.
    pub(super) fn first_tile(&self) -> usize {
        self.sequences * Self::SEQUENCE
    }

    /// Returns the word at which the list of what rows see begins.
    pub(super) fn first_range(&self) -> usize {
        self.first_tile() + self.tiles * Self::TILE
    }
}

/// One sequence of a plan, as the kernel reads it.
pub(super) struct SequenceWords {
    /// Elements from the start of the keys, and of the values, to those of key 0 of head 0.
    pub(super) offset: usize,
    /// Elements from a head to the next one.
    pub(super) head_stride: usize,
    /// The first row, in the queries.
    pub(super) first_row: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causal(rows: usize, past: usize) -> Vec<Range<usize>> {
        (0..rows).map(|row| 0..past + row + 1).collect()
    }

    fn span(offset: i64, first_row: usize, visible: Vec<Range<usize>>) -> KeySpan {
        let count = visible.last().map_or(0, |v| v.end);
        KeySpan {
            place: KeyPlace {
                first: (offset, 3),
                rest: (17, 19),
                split: 23,
                layer_stride: 5 << 32,
                head_stride: 11,
            },
            first_row,
            count,
            visible,
        }
    }

    #[test]
    fn tiles_cover_every_pair_once_and_name_the_keys_that_their_rows_see() {
        let spans = [
            span(0, 0, causal(130, 0)),
            span(7 << 32, 130, causal(3, 500)),
        ];
        for group in [1, 2, 7] {
            let plan = AttentionPlan::new(&spans, group);
            assert!(!plan.is_few);
            let (sequences, rest) = plan.words.split_at(plan.first_tile());
            let (tiles, ranges) = rest.split_at(plan.first_range() - plan.first_tile());
            let (one, other) = sequences.split_at(AttentionPlan::SEQUENCE);
            assert_eq!(one[..10], [0, 0, 3, 0, 17, 0, 19, 0, 0, 5]);
            assert_eq!(one[10..], [23, 11, 0, 0, 130, 130]);
            assert_eq!(other[..2], [0, 7]);
            assert_eq!(other[10..], [23, 11, 130, 130, 3, 503]);
            assert_eq!(ranges.len(), 2 * 133);
            assert_eq!(ranges[2 * 131..2 * 131 + 2], [0, 502]);
            let mut covered = vec![0; 133 * group];
            for tile in tiles.chunks_exact(AttentionPlan::TILE) {
                let own = &spans[tile[0] as usize];
                let first = if tile[0] == 0 { 0 } else { 130 * group };
                let last = (tile[1] as usize + MANY).min(own.visible.len() * group);
                for pair in tile[1] as usize..last {
                    covered[first + pair] += 1;
                    assert!(own.visible[pair / group].end <= tile[3] as usize);
                    assert!(own.visible[pair / group].start >= tile[2] as usize);
                }
            }
            assert!(covered.iter().all(|&times| times == 1));
            let work: Vec<u32> = tiles.chunks(4).map(|tile| tile[3] - tile[2]).collect();
            assert!(work.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn rows_that_decode_go_to_the_kernel_for_few_pairs() {
        let one = |row: usize| span(row as i64 * 4096, row, vec![3..640; 1]);
        let plan = AttentionPlan::new(&[one(0), one(1)], 7);
        assert!(plan.is_few);
        assert_eq!((plan.sequences, plan.tiles), (2, 2));
        assert!(!AttentionPlan::new(&[one(0), span(0, 1, causal(3, 0))], 7).is_few);
    }

    #[test]
    fn no_sequence_is_a_plan_without_tiles() {
        let plan = AttentionPlan::new(&[], 1);
        assert_eq!((plan.tiles, plan.words.len()), (0, 0));
    }
}
