//! Metrics over outcomes, with their intervals.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::stats::Bootstrap;
use super::{Verdict, wilson};

/// The parts of an item that metrics need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemLabel {
    /// The item's id.
    pub id: String,
    /// The category.
    pub category: String,
    /// The group that it counts together with; empty for itself alone.
    pub group: String,
}

impl ItemLabel {
    /// Returns its approximate size in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.category.len() + self.group.len()
    }
}

/// The verdict on one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The item, shared by all variants.
    pub label: Arc<ItemLabel>,
    /// The verdict on its answer.
    pub verdict: Verdict,
}

impl Outcome {
    /// Returns what the item counts together with: its group, or its id where it has none.
    pub(super) fn group(&self) -> &str {
        if self.label.group.is_empty() {
            &self.label.id
        } else {
            &self.label.group
        }
    }
}

/// One number of a benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// `accuracy`, or `accuracy: counting` for a category.
    pub name: String,
    /// A share from 0 to 1, or points where `most` is more.
    pub value: f64,
    /// The ends of the 95 % interval: Wilson's for shares, else of a bootstrap by group.
    pub interval: (f64, f64),
    /// The largest possible value.
    pub most: f64,
    /// The number of items, or groups, that it is over.
    pub n: usize,
    /// The number of these that could not be read. Unjudged answers are not in `n`.
    pub unparsed: usize,
}

impl Metric {
    /// Reports whether it is over anything: where all answers are errors, the value and its
    /// interval say nothing.
    pub fn has_items(&self) -> bool {
        self.n > 0
    }
}

fn share(name: &str, outcomes: &[&Outcome]) -> Metric {
    // Answers that nobody judged have no score, and are in no count.
    let judged: Vec<f64> = outcomes.iter().filter_map(|o| o.verdict.score()).collect();
    let unparsed = outcomes
        .iter()
        .filter(|o| o.verdict == Verdict::Unparsed)
        .count();
    // A grade below the best is not right; `grades` averages them.
    let right = judged.iter().filter(|s| **s >= 1.0).count();
    let i = wilson(right, judged.len());
    Metric {
        name: name.into(),
        value: i.share,
        interval: (i.low, i.high),
        most: 1.0,
        n: judged.len(),
        unparsed,
    }
}

fn by_category(outcomes: &[Outcome]) -> BTreeMap<&str, Vec<&Outcome>> {
    let mut all: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let category = &outcome.label.category;
        all.entry(category).or_default().push(outcome);
    }
    all
}

fn by_group<'a>(outcomes: &[&'a Outcome]) -> BTreeMap<&'a str, Vec<&'a Outcome>> {
    let mut all: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        all.entry(outcome.group()).or_default().push(outcome);
    }
    all
}

/// Returns the accuracy over all items, and over each category where there are several.
pub(super) fn accuracy(outcomes: &[Outcome]) -> Vec<Metric> {
    let mut metrics = vec![share("accuracy", &outcomes.iter().collect::<Vec<_>>())];
    let categories = by_category(outcomes);
    // A single category would say the same once more.
    if categories.len() > 1 {
        metrics.extend(
            categories
                .iter()
                .map(|(name, own)| share(&format!("accuracy: {name}"), own)),
        );
    }
    metrics
}

/// Returns MMVP's metrics: the share of pairs of which both are right, then of single items. Groups
/// of another size are not pairs.
pub(super) fn pairs(outcomes: &[Outcome]) -> Vec<Metric> {
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let groups = by_group(&all);
    // Half a pair is in no count.
    let whole: Vec<&Vec<&Outcome>> = groups.values().filter(|g| g.len() == 2).collect();
    let right = whole
        .iter()
        .filter(|g| g.iter().all(|o| o.verdict == Verdict::Correct))
        .count();
    let unparsed = whole
        .iter()
        .filter(|g| g.iter().any(|o| o.verdict == Verdict::Unparsed))
        .count();
    let i = wilson(right, whole.len());
    let interval = (i.low, i.high);
    let pair = Metric {
        name: "pair accuracy".into(),
        value: i.share,
        interval,
        most: 1.0,
        n: whole.len(),
        unparsed,
    };
    std::iter::once(pair).chain(accuracy(outcomes)).collect()
}

/// The subtasks of MME that are of perception; the others are of cognition (Fu et al. 2023).
const PERCEPTION: [&str; 10] = [
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
];

/// Returns MME's metrics in points: for every subtask 100 times accuracy plus 100 times the share of
/// pictures of which both answers are right; of these the sums over perception and cognition
/// (2800), and over each of the two (2000 and 800).
pub(super) fn mme(outcomes: &[Outcome]) -> Vec<Metric> {
    let categories = by_category(outcomes);
    let subtasks: Vec<Metric> = categories
        .iter()
        .map(|(name, own)| mme_subtask(name, own))
        .collect();
    let is_perception = |m: &&Metric| PERCEPTION.contains(&m.name.as_str());
    let (perception, cognition): (Vec<&Metric>, Vec<&Metric>) =
        subtasks.iter().partition(is_perception);
    let all: Vec<&Metric> = subtasks.iter().collect();
    // The whole first: reports draw the first metric beside Table 1, which prints this one.
    let mut metrics = vec![
        mme_sum("perception + cognition", &all),
        mme_sum("perception", &perception),
        mme_sum("cognition", &cognition),
    ];
    metrics.extend(subtasks);
    metrics
}

fn mme_subtask(name: &str, outcomes: &[&Outcome]) -> Metric {
    // Groups are pictures; an item without a group is a picture of its own.
    let groups: Vec<Vec<&Outcome>> = by_group(outcomes).into_values().collect();
    let all: Vec<&Vec<&Outcome>> = groups.iter().collect();
    let unparsed = outcomes
        .iter()
        .filter(|o| o.verdict == Verdict::Unparsed)
        .count();
    Metric {
        name: name.into(),
        value: mme_points(&all),
        interval: bootstrap(&all, mme_points),
        most: 200.0,
        n: outcomes.len(),
        unparsed,
    }
}

/// Returns the points of a subtask over pictures, each with its answers.
fn mme_points(pictures: &[&Vec<&Outcome>]) -> f64 {
    let (mut right, mut items, mut both) = (0, 0, 0);
    for answers in pictures {
        let own = answers
            .iter()
            .filter(|o| o.verdict == Verdict::Correct)
            .count();
        right += own;
        items += answers.len();
        // The tool's accuracy+: it asks two questions about every picture.
        both += usize::from(own == answers.len());
    }
    100.0 * (right as f64 / items.max(1) as f64 + both as f64 / pictures.len().max(1) as f64)
}

/// Adds up subtasks. They are independent, so that half widths of intervals add as squares.
fn mme_sum(name: &str, subtasks: &[&Metric]) -> Metric {
    let value: f64 = subtasks.iter().map(|m| m.value).sum();
    // Below and above apart, since bootstrap intervals near 0 or 200 points are not symmetric.
    let below = half_width(subtasks, |m| m.interval.0);
    let above = half_width(subtasks, |m| m.interval.1);
    Metric {
        name: name.into(),
        value,
        interval: (value - below, value + above),
        most: 200.0 * subtasks.len() as f64,
        n: subtasks.iter().map(|m| m.n).sum(),
        unparsed: subtasks.iter().map(|m| m.unparsed).sum(),
    }
}

fn half_width(metrics: &[&Metric], end: impl Fn(&Metric) -> f64) -> f64 {
    metrics
        .iter()
        .map(|m| (end(m) - m.value).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Returns the judge's grades of the answers over its grades of the references, each summed, of 100;
/// and the number of answers that it did not grade.
pub(super) fn grades(outcomes: &[Outcome]) -> Vec<Metric> {
    let graded: Vec<(f64, f64)> = outcomes.iter().filter_map(grade).collect();
    let all: Vec<&(f64, f64)> = graded.iter().collect();
    let ratio = Metric {
        name: "grade".into(),
        value: grade_ratio(&all),
        // A ratio of sums, for which Wilson's interval does not hold.
        interval: bootstrap(&all, grade_ratio),
        most: 100.0,
        n: graded.len(),
        unparsed: 0,
    };
    let missing = (outcomes.len() - graded.len()) as f64;
    let count = Metric {
        name: "unjudged".into(),
        value: missing,
        interval: (missing, missing),
        most: outcomes.len() as f64,
        n: outcomes.len(),
        unparsed: 0,
    };
    vec![ratio, count]
}

/// Returns the grades of (answer, reference).
fn grade(outcome: &Outcome) -> Option<(f64, f64)> {
    match outcome.verdict {
        Verdict::Graded { grade, of } => Some((grade, of)),
        _ => None,
    }
}

fn grade_ratio(grades: &[&(f64, f64)]) -> f64 {
    let (mut answers, mut references) = (0.0, 0.0);
    for (grade, of) in grades {
        answers += grade;
        references += of;
    }
    if references > 0.0 {
        100.0 * answers / references
    } else {
        0.0
    }
}

/// One variant against the first, item by item.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The number of items that both answered.
    pub n: usize,
    /// The number of items that are better under this variant.
    pub better: usize,
    /// The number of items that are better under the first.
    pub worse: usize,
    /// The mean score minus that of the first, of 1.
    pub difference: f64,
    /// The ends of its 95 % interval, by a bootstrap over groups.
    pub interval: (f64, f64),
    /// The p of McNemar's exact test, two-sided.
    pub p: f64,
}

/// Compares `own` with `first`, both in the order of ids.
pub fn compare(first: &[Outcome], own: &[Outcome]) -> Comparison {
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let mut differences: Vec<Vec<f64>> = Vec::new();
    // Items, and those of which the score rose or fell.
    let (mut n, mut better, mut worse) = (0, 0, 0);
    for outcome in own {
        // Of items that one of the two lacks nothing can be said.
        let Ok(place) = first.binary_search_by(|o| o.label.id.cmp(&outcome.label.id)) else {
            continue;
        };
        let (Some(was), Some(is)) = (first[place].verdict.score(), outcome.verdict.score()) else {
            continue;
        };
        (n, better, worse) = (
            n + 1,
            better + usize::from(is > was),
            worse + usize::from(is < was),
        );
        // In the order of their first items, so that the draws meet the same groups in every run.
        let group = *groups.entry(outcome.group()).or_insert_with(|| {
            differences.push(Vec::new());
            differences.len() - 1
        });
        differences[group].push(is - was);
    }
    let all: Vec<&Vec<f64>> = differences.iter().collect();
    Comparison {
        n,
        better,
        worse,
        // Over items, not over groups: a group counts by its size.
        difference: mean_over_groups(&all),
        interval: bootstrap(&all, mean_over_groups),
        // For grades, too: it is then the sign test of which variant was graded higher.
        p: mcnemar(better, worse),
    }
}

fn mean_over_groups(groups: &[&Vec<f64>]) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for group in groups {
        sum += group.iter().sum::<f64>();
        count += group.len();
    }
    sum / count.max(1) as f64
}

/// Returns the 95 % interval of `value` over `groups` by the percentile bootstrap.
fn bootstrap<T>(groups: &[&T], value: impl Fn(&[&T]) -> f64) -> (f64, f64) {
    if groups.is_empty() {
        return (0.0, 0.0);
    }
    // Groups are drawn, not items: two questions about one picture are not independent.
    let (mut draws, n) = (Bootstrap::new(), groups.len());
    let mut values = Vec::with_capacity(Bootstrap::DRAWS);
    for _ in 0..Bootstrap::DRAWS {
        let drawn: Vec<&T> = (0..n).map(|_| groups[draws.place(n)]).collect();
        values.push(value(&drawn));
    }
    Bootstrap::interval(values)
}

/// Returns the two-sided probability of a split as uneven as `better` to `worse` if both are equally
/// likely: McNemar's exact test (1947).
fn mcnemar(better: usize, worse: usize) -> f64 {
    let n = better + worse;
    // Terms of the binomial, in logarithms, so that no n is too large.
    let log_half = -(n as f64) * std::f64::consts::LN_2;
    let (mut log_choose, mut tail) = (0.0, 0.0);
    for k in 0..=better.min(worse) {
        if k > 0 {
            // C(n, k) from C(n, k - 1): times n - k + 1, over k.
            log_choose += ((n - k + 1) as f64 / k as f64).ln();
        }
        tail += (log_choose + log_half).exp();
    }
    // An even split counts its middle twice.
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(id: usize, category: &str, group: &str, verdict: Verdict) -> Outcome {
        let label = ItemLabel {
            id: id.to_string(),
            category: category.into(),
            group: group.into(),
        };
        Outcome {
            label: Arc::new(label),
            verdict,
        }
    }

    #[test]
    fn a_pair_counts_where_both_are_right() {
        use Verdict::{Correct, Unparsed, Wrong};
        let all = [
            ("a", Correct),
            ("a", Correct),
            ("b", Correct),
            ("b", Wrong),
            ("c", Unparsed),
            ("c", Correct),
            ("d", Correct),
        ];
        let outcomes: Vec<Outcome> = (0..)
            .zip(all)
            .map(|(i, (group, v))| outcome(i, "", group, v))
            .collect();
        let metrics = pairs(&outcomes);
        assert_eq!(
            (metrics[0].value, metrics[0].n, metrics[0].unparsed),
            (1.0 / 3.0, 3, 1)
        );
        assert_eq!((metrics[1].value, metrics[1].n), (5.0 / 7.0, 7));
    }

    #[test]
    fn mme_is_a_sum_of_points() {
        use Verdict::{Correct, Wrong};
        let mut outcomes = Vec::new();
        for (category, verdicts) in [
            ("count", [Correct, Correct, Correct, Wrong]),
            ("code_reasoning", [Wrong, Wrong, Correct, Correct]),
        ] {
            for (i, verdict) in verdicts.into_iter().enumerate() {
                outcomes.push(outcome(i, category, &format!("{}", i / 2), verdict));
            }
        }
        let metrics = mme(&outcomes);
        let value = |name: &str| metrics.iter().find(|m| m.name == name).unwrap().value;
        assert_eq!(
            (
                value("perception"),
                value("cognition"),
                value("perception + cognition")
            ),
            (125.0, 100.0, 225.0)
        );
    }

    #[test]
    fn grades_are_summed_before_they_are_divided() {
        let graded = |id, grade, of| outcome(id, "", "", Verdict::Graded { grade, of });
        let all = [
            graded(1, 4.0, 8.0),
            graded(2, 9.0, 10.0),
            outcome(3, "", "", Verdict::Unjudged),
        ];
        let metrics = grades(&all);
        assert!(
            (metrics[0].value - 100.0 * 13.0 / 18.0).abs() < 1e-12 && metrics[0].n == 2,
            "{metrics:?}"
        );
        assert_eq!((metrics[1].value, metrics[1].n), (1.0, 3));
    }

    #[test]
    fn a_comparison_is_of_the_same_items() {
        use Verdict::{Correct, Unjudged, Wrong};
        let of = |all: &[(usize, Verdict)]| {
            all.iter()
                .map(|&(i, v)| outcome(i, "", "", v))
                .collect::<Vec<_>>()
        };
        let first = of(&[(1, Correct), (2, Correct), (3, Wrong), (4, Correct)]);
        let own = of(&[(1, Wrong), (3, Correct), (4, Unjudged), (5, Correct)]);
        let found = compare(&first, &own);
        assert_eq!(
            (found.n, found.better, found.worse, found.difference),
            (2, 1, 1, 0.0)
        );
    }

    #[test]
    fn mcnemar_by_hand() {
        // 1 and 5 of 6: 2 (1 + 6) / 64.
        assert!((mcnemar(1, 5) - 14.0 / 64.0).abs() < 1e-12);
        assert!((mcnemar(3, 3) - 1.0).abs() < 1e-12);
        assert!(mcnemar(0, 4000) < 1e-300 * 1e300);
    }

    #[test]
    fn a_bootstrap_is_the_same_every_time_and_holds_the_mean() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let all: Vec<&f64> = values.iter().collect();
        let mean = |v: &[&f64]| v.iter().copied().sum::<f64>() / v.len() as f64;
        let (low, high) = bootstrap(&all, mean);
        assert_eq!((low, high), bootstrap(&all, mean));
        assert!(
            low < 0.45 && high > 0.55 && high - low < 0.25,
            "{low} {high}"
        );
    }
}
