//! Lays the attention of a call out for the kernel on a GPU: which rows look at which keys, cut into
//! tiles.

use std::ops::Range;

/// Pairs of a row and a head that one tile of the kernel for whole prompts serves.
const MANY: usize = 64;
/// Pairs that one tile of the kernel for decoding serves.
const FEW: usize = 16;

/// The rows of one sequence, and the keys that they look at.
#[derive(Debug, Clone)]
pub(super) struct KeySpan {
    /// Elements from the start of the keys' tensor to key 0 of head 0.
    pub(super) offset: usize,
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
    /// Six words a sequence, four a tile, two a row.
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
    pub(super) const SEQUENCE: usize = 6;
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
            let (offset, rows) = (span.offset as u64, span.visible.len());
            // 64 bits: slots of many sequences hold more than 2^32 elements.
            words.extend([offset as u32, (offset >> 32) as u32, span.first_row as u32]);
            words.extend([first_range as u32, rows as u32, span.count as u32]);
            for first in (0..rows * group).step_by(size) {
                let last = (first + size).min(rows * group) - 1;
                let seen = &span.visible[first / group..=last / group];
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
            let [low, high, first_row, first, rows, count] =
                [0, 1, 2, 3, 4, 5].map(|i| words[i] as usize);
            let ranges = ranges[2 * first..2 * (first + rows)].chunks_exact(2);
            let visible = ranges.map(|range| range[0] as usize..range[1] as usize);
            let own = SequenceWords {
                offset: high << 32 | low,
                first_row,
                count,
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
    /// Elements from the start of the keys' tensor to key 0 of head 0.
    pub(super) offset: usize,
    /// The first row, in the queries.
    pub(super) first_row: usize,
    /// Number of keys.
    pub(super) count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causal(rows: usize, past: usize) -> Vec<Range<usize>> {
        (0..rows).map(|row| 0..past + row + 1).collect()
    }

    fn span(offset: usize, first_row: usize, visible: Vec<Range<usize>>) -> KeySpan {
        let count = visible.last().map_or(0, |v| v.end);
        KeySpan {
            offset,
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
            assert_eq!(sequences[..6], [0, 0, 0, 0, 130, 130]);
            assert_eq!(sequences[6..], [0, 7, 130, 130, 3, 503]);
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
        let one = |row| span(row * 4096, row, vec![3..640; 1]);
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
