//! Mutual nearest neighbours: whether two representations of the same items find the same items
//! alike (Huh et al. 2024, "The Platonic Representation Hypothesis", with the defaults of their
//! code).

use std::collections::HashSet;

use rayon::prelude::*;

use super::stats::mean_and_half;

/// A feature of each item, in the order of the items.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Their source: a hook point, or a name in a file.
    pub name: String,
    /// Items by dimensions.
    pub rows: Vec<Vec<f32>>,
}

/// Each item's nearest others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours(Vec<Vec<usize>>);

/// The alignment of a pair of features.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedPair {
    /// Index in the first set.
    pub first: usize,
    /// Index in the second set.
    pub second: usize,
    /// 0 to 1; k / (N - 1) for features that have nothing to do with each other.
    pub score: f64,
    /// The ends of the score's 95 % interval, over the items, their neighbours as they are.
    pub interval: (f64, f64),
}

impl Features {
    /// Finds the `k` nearest others of every item by cosine, after entries are clamped to the
    /// `clamp` quantile of all |x| (0.95 in their code; 1 clamps nothing). The first of items at the
    /// same distance are taken.
    pub fn neighbours(&self, k: usize, clamp: f64) -> Result<Neighbours, String> {
        let n = self.rows.len();
        let width = self.rows.first().map_or(0, Vec::len);
        if k == 0 || k >= n {
            return Err(format!(
                "k is {k}; of {n} items 1 to {} are others",
                n.saturating_sub(1)
            ));
        }
        if width == 0 || self.rows.iter().any(|r| r.len() != width) {
            return Err(format!("{}: features of one width are needed", self.name));
        }
        if self.rows.iter().flatten().any(|v| !v.is_finite()) {
            return Err(format!("{}: a value is not finite", self.name));
        }
        // A few dimensions of a transformer are far larger than all others, and would be all that
        // cosines see.
        let limit = if clamp < 1.0 {
            self.quantile(clamp)
        } else {
            f32::INFINITY
        };
        // In f64: sums of f32 in another order would change which of two near neighbours wins.
        let rows: Vec<Vec<f64>> = self.rows.iter().map(|row| unit(row, limit)).collect();
        // Each item by itself, so that threads cannot change the order in which anything is
        // added up.
        let found = (0..n).into_par_iter().map(|i| nearest(&rows, i, k));
        Ok(Neighbours(found.collect()))
    }

    /// Returns the quantile of all |x|.
    fn quantile(&self, share: f64) -> f32 {
        // Of all items together, (N D) numbers: one limit for every item.
        let mut all: Vec<f32> = self.rows.iter().flatten().map(|v| v.abs()).collect();
        // A share of 1 would be one past the end.
        let place = ((share * all.len() as f64) as usize).min(all.len() - 1);
        *all.select_nth_unstable_by(place, f32::total_cmp).1
    }
}

/// Clamps a row to `limit` and scales it to length 1.
fn unit(row: &[f32], limit: f32) -> Vec<f64> {
    let row: Vec<f64> = row
        .iter()
        .map(|v| f64::from(v.clamp(-limit, limit)))
        .collect();
    // A row of zeros stays one, and is equally far from all.
    let length = row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    row.into_iter().map(|v| v / length).collect()
}

/// Returns the `k` rows with the largest products with row `i`, in no order.
fn nearest(rows: &[Vec<f64>], i: usize, k: usize) -> Vec<usize> {
    let mut all: Vec<(f64, usize)> = (0..rows.len())
        .filter(|&j| j != i)
        .map(|j| (dot(&rows[i], &rows[j]), j))
        .collect();
    // Selected, not sorted: for N items this runs N times. The index breaks ties, so that the same
    // rows are taken whatever the algorithm does inside.
    all.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.truncate(k);
    all.into_iter().map(|(_, j)| j).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Neighbours {
    /// Returns the mean share of neighbours that both have.
    pub fn shared(&self, other: &Self) -> f64 {
        // Counted in whole numbers, so that the order of items cannot round.
        let all: usize = other.0.iter().map(Vec::len).sum();
        self.shared_by_item(other).iter().sum::<usize>() as f64 / all.max(1) as f64
    }

    /// Counts the neighbours that both have, item by item.
    fn shared_by_item(&self, other: &Self) -> Vec<usize> {
        let both = self.0.iter().zip(&other.0);
        both.map(|(own, theirs)| {
            let own: HashSet<&usize> = own.iter().collect();
            theirs.iter().filter(|j| own.contains(j)).count()
        })
        .collect()
    }

    /// Returns the ends of the 95 % interval of the mean share, by the normal distribution.
    fn interval(&self, other: &Self) -> (f64, f64) {
        // The same for every item: `neighbours` has taken as many of each.
        let k = other.0.first().map_or(1, Vec::len).max(1) as f64;
        let shares = self.shared_by_item(other).into_iter();
        let shares: Vec<f64> = shares.map(|count| count as f64 / k).collect();
        // (N) shares, from 0 to 1.
        let (mean, half) = mean_and_half(&shares);
        ((mean - half).max(0.0), (mean + half).min(1.0))
    }
}

/// Returns the alignment of every pair, the best one first.
pub fn align(
    first: &[Features],
    second: &[Features],
    k: usize,
    clamp: f64,
) -> Result<Vec<AlignedPair>, String> {
    let n = first.first().map_or(0, |f| f.rows.len());
    if let Some(other) = first.iter().chain(second).find(|f| f.rows.len() != n) {
        return Err(format!(
            "{} has features of {} items, the first one of {n}",
            other.name,
            other.rows.len()
        ));
    }
    // Once for each set of features: the pairs are their product.
    let own = all_neighbours(first, k, clamp)?;
    let theirs = all_neighbours(second, k, clamp)?;
    let mut all = Vec::with_capacity(own.len() * theirs.len());
    for (first, a) in own.iter().enumerate() {
        for (second, b) in theirs.iter().enumerate() {
            all.push(AlignedPair {
                first,
                second,
                score: a.shared(b),
                interval: a.interval(b),
            });
        }
    }
    // Stable: pairs with the same score stay in the order of the layers.
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(all)
}

fn all_neighbours(all: &[Features], k: usize, clamp: f64) -> Result<Vec<Neighbours>, String> {
    all.iter().map(|f| f.neighbours(k, clamp)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervention::Draws;

    fn drawn(seed: u64, n: usize, width: usize) -> Features {
        let mut draws = Draws::new(seed, "features", 0, 0);
        let rows = (0..n)
            .map(|_| (0..width).map(|_| draws.unit() as f32 - 0.5).collect())
            .collect();
        Features {
            name: format!("drawn {seed}"),
            rows,
        }
    }

    fn score(a: &Features, b: &Features, k: usize) -> f64 {
        align(std::slice::from_ref(a), std::slice::from_ref(b), k, 0.95).unwrap()[0].score
    }

    #[test]
    fn equal_features_agree_and_random_ones_do_by_chance() {
        let (a, b) = (drawn(1, 400, 16), drawn(2, 400, 24));
        assert!((score(&a, &a, 10) - 1.0).abs() < 1e-12);
        // Lengths are nothing to it, where nothing is clamped.
        let longer = Features {
            rows: a
                .rows
                .iter()
                .map(|r| r.iter().map(|v| 3.0 * v).collect())
                .collect(),
            ..a.clone()
        };
        assert!((score(&a, &longer, 10) - 1.0).abs() < 1e-12);
        // Of 4,000 neighbours each is shared with a probability of k / (N - 1); four standard
        // deviations.
        let chance = 10.0 / 399.0;
        let spread = 4.0 * (chance * (1.0 - chance) / 4000.0_f64).sqrt();
        assert!(
            (score(&a, &b, 10) - chance).abs() < spread,
            "{}",
            score(&a, &b, 10)
        );
    }

    #[test]
    fn the_order_of_items_changes_nothing() {
        let (a, mut b) = (drawn(3, 60, 8), drawn(3, 60, 8));
        for (i, row) in b.rows.iter_mut().enumerate() {
            row[i % 8] += 0.4;
        }
        let before = score(&a, &b, 5);
        assert!(before > 0.2 && before < 1.0, "{before}");
        let turned = |f: &Features| {
            let mut rows = f.rows.clone();
            rows.rotate_left(17);
            rows.swap(3, 40);
            Features { rows, ..f.clone() }
        };
        assert_eq!(
            score(&turned(&a), &turned(&b), 5).to_bits(),
            before.to_bits()
        );
    }

    /// tests/scorers/alignment.json is what the definition, written with torch, says of these
    /// features.
    #[test]
    fn scores_are_those_of_the_reference() {
        let json = include_str!("../../tests/scorers/alignment.json");
        let golden: serde_json::Value = serde_json::from_str(json).unwrap();
        let features = |name: &str| Features {
            name: name.into(),
            rows: serde_json::from_value(golden[name].clone()).unwrap(),
        };
        let (a, b) = (features("a"), features("b"));
        for case in golden["scores"].as_array().unwrap() {
            let (k, clamp) = (
                case["k"].as_u64().unwrap() as usize,
                case["clamp"].as_f64().unwrap(),
            );
            let ours = align(std::slice::from_ref(&a), std::slice::from_ref(&b), k, clamp).unwrap()
                [0]
            .score;
            assert!(
                (ours - case["score"].as_f64().unwrap()).abs() < 1e-6,
                "{case} {ours}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (a, b) = (drawn(1, 5, 3), drawn(2, 6, 3));
        let of = |a: &Features, b: &Features, k| {
            align(std::slice::from_ref(a), std::slice::from_ref(b), k, 0.95).unwrap_err()
        };
        assert!(
            of(&a, &b, 2).contains("6 items")
                && of(&a, &a, 5).contains("1 to 4")
                && of(&a, &a, 0).contains("k is 0")
        );
        let mut odd = a.clone();
        odd.rows[2].pop();
        assert!(of(&odd, &odd, 2).contains("one width"));
        odd.rows[2].push(f32::NAN);
        assert!(of(&odd, &odd, 2).contains("finite"));
    }
}
