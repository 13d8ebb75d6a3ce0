//! Table 1 of Lee et al. 2024: a benchmark unchanged, and under permutations of the visual tokens.

use std::collections::{BTreeMap, HashSet};

use super::stats::Bootstrap;
use super::{Metric, Outcome, Verdict};

/// A number with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// The ends of the interval.
    pub interval: (f64, f64),
}

/// A benchmark under permutations, beside itself unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Permuted {
    /// The metric's name.
    pub metric: String,
    /// The largest possible value.
    pub most: f64,
    /// Items that every variant answered, or pairs of them where the metric counts these.
    pub n: usize,
    /// Permutations.
    pub draws: usize,
    /// The metric without an intervention.
    pub unchanged: Estimate,
    /// The mean over the permutations.
    pub permuted: Estimate,
    /// The latter less the former, by a bootstrap over the same groups of items.
    pub difference: Estimate,
}

/// The number of a benchmark that its Table 1 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Headline {
    /// The share of items that are right.
    Accuracy,
    /// The share of pairs of which both are right.
    Pairs,
    /// MME's points, perception and cognition together.
    Points,
    /// A judge's grades, of those of the references.
    Grades,
}

/// Sums over groups of items under one variant.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    right: f64,
    items: f64,
    /// Groups that are right as a whole.
    whole: f64,
    groups: f64,
    grade: f64,
    reference: f64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.items += other.items;
        self.whole += other.whole;
        self.groups += other.groups;
        self.grade += other.grade;
        self.reference += other.reference;
    }

    /// Counts one group of items.
    fn of(headline: Headline, outcomes: &[&Outcome]) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.right += f64::from(u8::from(outcome.verdict == Verdict::Correct));
            tally.items += 1.0;
            if let Verdict::Graded { grade, of } = outcome.verdict {
                // At least as good as the reference.
                tally.right += f64::from(u8::from(grade >= of));
                tally.grade += grade;
                tally.reference += of;
            }
        }
        // MMVP's groups of another size are no pairs.
        if headline != Headline::Pairs || outcomes.len() == 2 {
            tally.groups = 1.0;
            tally.whole = f64::from(u8::from(tally.right >= tally.items));
        }
        tally
    }
}

impl Headline {
    /// Returns what `metrics`, a rule's own, are about; with the one of them that it is.
    fn find(metrics: &[Metric]) -> Option<(Self, &Metric)> {
        // In this order: MMVP's metrics have an accuracy beside that of pairs.
        let named = [
            ("pair accuracy", Self::Pairs),
            ("perception + cognition", Self::Points),
            ("grade", Self::Grades),
            ("accuracy", Self::Accuracy),
        ];
        named.into_iter().find_map(|(name, headline)| {
            let metric = metrics.iter().find(|m| m.name == name)?;
            Some((headline, metric))
        })
    }

    /// Returns the metric of sums by stratum.
    fn value(self, strata: &[Tally]) -> f64 {
        // Of MME every subtask is one, and points of subtasks add up.
        strata.iter().map(|tally| self.of_stratum(tally)).sum()
    }

    fn of_stratum(self, tally: &Tally) -> f64 {
        let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        match self {
            Self::Accuracy => share(tally.right, tally.items),
            Self::Pairs => share(tally.whole, tally.groups),
            Self::Grades => 100.0 * share(tally.grade, tally.reference),
            Self::Points => {
                100.0 * (share(tally.right, tally.items) + share(tally.whole, tally.groups))
            }
        }
    }
}

/// The groups of items of a stratum, each with the sums of every variant.
type Stratum = Vec<Vec<Tally>>;

/// Compares the outcomes of `permutations` with the `unchanged` ones, by the metrics that
/// `summarise` makes of outcomes. Items that one of them lacks are left out.
///
/// # Errors
/// Where there is no permutation, no item that all answered, or no metric of a known kind.
pub fn permuted(
    unchanged: &[Outcome],
    permutations: &[Vec<Outcome>],
    summarise: fn(&[Outcome]) -> Vec<Metric>,
) -> Result<Permuted, String> {
    if permutations.is_empty() {
        return Err("no variant permutes the visual tokens alone".into());
    }
    let all: Vec<&[Outcome]> = std::iter::once(unchanged)
        .chain(permutations.iter().map(Vec::as_slice))
        .collect();
    let common = common(&all);
    if common.is_empty() {
        return Err("no item that every variant has a verdict on".into());
    }
    // Unchanged, but of the items that the permutations have as well.
    let own: Vec<Outcome> = unchanged
        .iter()
        .filter(|o| common.contains(o.label.id.as_str()))
        .cloned()
        .collect();
    let metrics = summarise(&own);
    let (headline, metric) = Headline::find(&metrics)
        .ok_or_else(|| format!("no metric of Table 1 among its {}", metrics.len()))?;
    let strata = strata(headline, &all, &common);
    let draws = permutations.len();
    // Every group once: the values themselves, not a draw.
    let found = values(headline, &strata, |groups, add| {
        groups.iter().for_each(|group| add(group));
    });
    let (mean, difference) = mean_and_difference(&found);
    let (of_mean, of_difference) = bootstrap(headline, &strata);
    Ok(Permuted {
        metric: metric.name.clone(),
        most: metric.most,
        n: metric.n,
        draws,
        unchanged: Estimate {
            value: metric.value,
            interval: metric.interval,
        },
        permuted: Estimate {
            value: mean,
            interval: of_mean,
        },
        difference: Estimate {
            value: difference,
            interval: of_difference,
        },
    })
}

/// Returns the items that all variants have a verdict on.
fn common<'a>(all: &[&'a [Outcome]]) -> HashSet<&'a str> {
    let mut sets = all.iter().map(|outcomes| -> HashSet<&'a str> {
        let judged = outcomes.iter().filter(|o| o.verdict.score().is_some());
        judged.map(|o| o.label.id.as_str()).collect()
    });
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |common, own| &common & &own)
}

/// Sums up the groups of every variant.
fn strata(headline: Headline, all: &[&[Outcome]], common: &HashSet<&str>) -> Vec<Stratum> {
    // Sorted, so that the same draws of a bootstrap meet the same groups in every run.
    let mut groups: BTreeMap<(&str, &str), Vec<Vec<&Outcome>>> = BTreeMap::new();
    for (variant, outcomes) in all.iter().enumerate() {
        let own = outcomes.iter();
        for outcome in own.filter(|o| common.contains(o.label.id.as_str())) {
            let stratum = match headline {
                Headline::Points => outcome.label.category.as_str(),
                _ => "",
            };
            let group = groups.entry((stratum, outcome.group())).or_default();
            // A new one is empty, and has no place for the variants yet.
            group.resize(all.len(), Vec::new());
            group[variant].push(outcome);
        }
    }
    let mut strata: BTreeMap<&str, Vec<Vec<Tally>>> = BTreeMap::new();
    for ((stratum, _), variants) in groups {
        let tallies = variants.iter().map(|own| Tally::of(headline, own));
        strata.entry(stratum).or_default().push(tallies.collect());
    }
    strata.into_values().collect()
}

/// Returns the metric of each variant over the groups that `pick` hands on, stratum by stratum.
fn values(
    headline: Headline,
    strata: &[Stratum],
    mut pick: impl FnMut(&[Vec<Tally>], &mut dyn FnMut(&[Tally])),
) -> Vec<f64> {
    let variants = strata.first().and_then(|groups| groups.first());
    // By variant and stratum.
    let mut sums = vec![vec![Tally::default(); strata.len()]; variants.map_or(0, Vec::len)];
    for (stratum, groups) in strata.iter().enumerate() {
        pick(groups, &mut |group| {
            for (sum, tally) in sums.iter_mut().zip(group) {
                sum[stratum].add(tally);
            }
        });
    }
    sums.iter().map(|own| headline.value(own)).collect()
}

/// Returns the mean of all values but the first, and how far it is from that.
fn mean_and_difference(values: &[f64]) -> (f64, f64) {
    // `permuted` has refused a table without permutations.
    let (first, others) = (values[0], &values[1..]);
    let mean = others.iter().sum::<f64>() / others.len() as f64;
    (mean, mean - first)
}

/// Returns the 95 % intervals of the mean and of the difference, by the percentile bootstrap over
/// groups of items within their strata.
fn bootstrap(headline: Headline, strata: &[Stratum]) -> ((f64, f64), (f64, f64)) {
    let mut draws = Bootstrap::new();
    let (mut means, mut differences) = (Vec::new(), Vec::new());
    for _ in 0..Bootstrap::DRAWS {
        // The same groups of all variants: what makes one of them hard makes it hard for all.
        let found = values(headline, strata, |groups, add| {
            for _ in 0..groups.len() {
                add(&groups[draws.place(groups.len())]);
            }
        });
        let (mean, difference) = mean_and_difference(&found);
        means.push(mean);
        differences.push(difference);
    }
    (Bootstrap::interval(means), Bootstrap::interval(differences))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::{ItemLabel, RULES, rule};

    fn outcomes(rows: &[(&str, &str, Verdict)]) -> Vec<Outcome> {
        let rows = rows.iter().enumerate();
        rows.map(|(i, (category, group, verdict))| Outcome {
            label: ItemLabel {
                id: i.to_string(),
                category: (*category).into(),
                group: (*group).into(),
            }
            .into(),
            verdict: *verdict,
        })
        .collect()
    }

    #[test]
    fn the_first_column_is_the_rules_own() {
        use Verdict::{Correct, Unjudged, Wrong};
        let first = outcomes(&[
            ("count", "a", Correct),
            ("count", "a", Correct),
            ("scene", "a", Correct),
            ("scene", "a", Wrong),
        ]);
        let second = outcomes(&[
            ("count", "a", Correct),
            ("count", "a", Wrong),
            ("scene", "a", Correct),
            ("scene", "a", Wrong),
        ]);
        let found = |name: &str| {
            let summarise = rule(name).unwrap().summarise;
            permuted(&first, std::slice::from_ref(&second), summarise).unwrap()
        };
        // Points by hand: 100 + 100 and 50 + 0; then 50 + 0 twice.
        let mme = found("mme");
        assert_eq!((mme.unchanged.value, mme.permuted.value), (250.0, 100.0));
        assert_eq!((mme.difference.value, mme.n), (-150.0, 4));
        let accuracy = found("mmstar");
        assert_eq!(
            (accuracy.unchanged.value, accuracy.permuted.value),
            (0.75, 0.5)
        );
        // One group only: a bootstrap over groups draws it again and again.
        assert_eq!(accuracy.difference.interval, (-0.25, -0.25));
        let judged = outcomes(&[("count", "a", Unjudged)]);
        let summarise = rule("mmstar").unwrap().summarise;
        assert!(permuted(&first, &[judged], summarise).is_err());
        assert!(permuted(&first, &[], summarise).is_err());
    }

    #[test]
    fn what_reports_draw_is_what_the_table_prints() {
        let rows = outcomes(&[
            ("count", "a", Verdict::Correct),
            ("count", "a", Verdict::Wrong),
            ("code_reasoning", "b", Verdict::Correct),
        ]);
        for rule in RULES {
            let metrics = (rule.summarise)(&rows);
            let (_, printed) = Headline::find(&metrics).unwrap();
            assert_eq!(metrics[0].name, printed.name, "{}", rule.name());
        }
    }

    #[test]
    fn draws_are_averaged_and_pairs_are_pairs() {
        use Verdict::{Correct, Wrong};
        let rows = |bits: [bool; 4]| {
            let verdict = |right: bool| if right { Correct } else { Wrong };
            outcomes(&[
                ("", "a", verdict(bits[0])),
                ("", "a", verdict(bits[1])),
                ("", "b", verdict(bits[2])),
                ("", "b", verdict(bits[3])),
            ])
        };
        let first = rows([true; 4]);
        let draws = [rows([true, true, true, false]), rows([false; 4])];
        let found = permuted(&first, &draws, rule("mmvp").unwrap().summarise).unwrap();
        assert_eq!(
            (found.n, found.draws, found.metric.as_str()),
            (2, 2, "pair accuracy")
        );
        assert_eq!((found.unchanged.value, found.permuted.value), (1.0, 0.25));
        let (low, high) = found.difference.interval;
        assert!(low <= -0.75 && high >= -0.75, "{found:?}");
    }
}
