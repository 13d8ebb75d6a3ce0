//! Attention flow: how much of what a row comes to can come from each token.

use candle_core::Result as TensorResult;
use petgraph::Graph;
use petgraph::algo::dinics;
use petgraph::graph::NodeIndex;

use crate::model::TapGradient;
use crate::nn::HostTensor;

/// Most ways between layers, counted once for each token: about ten seconds of one core (1.4 s were
/// measured for 8.3 million).
pub(super) const MOST_WAYS: usize = 1 << 26;
/// Parts of a capacity of 1. Capacities are whole numbers, so that a way that is full is full; and
/// as many of them as a row has tokens add up without overflow.
const PARTS: f64 = (1_u64 << 40) as f64;

/// Returns how many ways there are between layers, counted once for each token.
pub(super) fn ways(tokens: usize, layers: usize) -> usize {
    // A token sees itself and those before it.
    let of_layer = tokens.saturating_mul(tokens + 1) / 2;
    of_layer.saturating_mul(layers).saturating_mul(tokens)
}

/// Returns the largest flow from row `row` above all layers to each token below them, `(T)`, through
/// `(I + A) / 2` as capacities (Abnar and Zuidema 2020), with `A (T, T)` the mean over heads of
/// attention; `layers` go from the last layer to the first.
pub(super) fn flow(layers: &[TapGradient], row: usize) -> TensorResult<HostTensor> {
    let patterns: Vec<Vec<Vec<f32>>> = layers
        .iter()
        .map(|layer| layer.gradient.to_vec2())
        .collect::<TensorResult<_>>()?;
    let all = patterns.first().map_or(0, Vec::len);
    // Nothing comes from the rows of an answer, which are behind it.
    let count = all.min(row + 1);
    let graph = graph(&patterns, count);
    // Nodes are added level by level, so that their numbers follow.
    let node = |level: usize, token: usize| NodeIndex::new(level * count + token);
    let source = node(0, row);
    // A flow for each token by itself: flows to several at once would share the capacities.
    let flows = (0..count).map(|token| {
        let (most, _) = dinics(&graph, source, node(layers.len(), token));
        (most as f64 / PARTS) as f32
    });
    let mut flows: Vec<f32> = flows.collect();
    // One number a token of the pattern, which has the answer's rows, too.
    flows.resize(all, 0.0);
    HostTensor::from_vec(flows, all)
}

/// Returns the ways between layers: level 0 is above the last layer, the last level below the first.
fn graph(patterns: &[Vec<Vec<f32>>], count: usize) -> Graph<(), u64> {
    let mut graph = Graph::with_capacity((patterns.len() + 1) * count, 0);
    for _ in 0..(patterns.len() + 1) * count {
        graph.add_node(());
    }
    for (level, pattern) in patterns.iter().enumerate() {
        for (token, row) in pattern.iter().take(count).enumerate() {
            for (key, paid) in row.iter().take(count).enumerate() {
                let own = if key == token { 0.5 } else { 0.0 };
                let share = own + 0.5 * f64::from(*paid);
                // A value that is no number, of a run that overflowed, is no way.
                let capacity = (share * PARTS).round() as u64;
                if capacity > 0 {
                    let (from, to) = (level * count + token, (level + 1) * count + key);
                    graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), capacity);
                }
            }
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Point, Site, Span, Stack};

    fn tap(pattern: &[f32], count: usize) -> TapGradient {
        TapGradient {
            point: Point::at(Stack::LanguageModel, 0, Site::Pattern),
            span: Span::default(),
            value: None,
            gradient: HostTensor::from_vec(pattern.to_vec(), (count, count)).unwrap(),
        }
    }

    fn flows(layers: &[TapGradient], row: usize) -> Vec<f32> {
        flow(layers, row).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn flows_by_hand() {
        let lower = tap(&[1.0, 0.0, 0.5, 0.5], 2);
        // Of one layer they are its capacities.
        assert_eq!(flows(std::slice::from_ref(&lower), 1), [0.25, 0.75]);
        // (0.25 by itself) + min(0.75, 0.25) to the first token; min(0.75, 0.75) to the second.
        let upper = tap(&[1.0, 0.0, 0.5, 0.5], 2);
        assert_eq!(flows(&[upper, lower], 1), [0.5, 0.75]);
        // Of a row in the middle nothing comes from those behind it.
        let longer = tap(&[1.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.2, 0.2, 0.6], 3);
        assert_eq!(flows(&[longer], 1), [0.25, 0.75, 0.0]);
        // Above no layer nothing flows.
        assert!(flows(&[], 0).is_empty());
        let spoilt = tap(&[1.0, 0.0, f32::NAN, 0.5], 2);
        assert_eq!(flows(&[spoilt], 1), [0.0, 0.75]);
    }

    #[test]
    fn ways_are_counted() {
        assert_eq!(ways(2, 3), 2 * 3 * 3);
        assert_eq!(ways(usize::MAX / 2, 64), usize::MAX);
    }
}
