//! The page of `items`: every item with its picture and its answers, what changed most first.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use scotoma_client::v1::{BenchmarkMetric, EvaluateStarted, ModelInfo, SampleResult, Verdict};

use super::benchmark_run::Items;
use super::error::Failure;
use super::experiment_report::model_line;
use super::files;
use crate::benchmark::analysis::{Analysis, item_of};
use crate::benchmark::report::{Bar, Card, DataTable, Drawing, Mean, Part, bar_chart, html};
use crate::benchmark::{Item, wilson};
use crate::vision::{self, Filter, ProcessorBackend};

/// The variant that shows the item as it is.
pub(super) const FIRST: &str = "original";
/// Items that the page shows with their pictures: a page of all of a large benchmark would be
/// larger than a browser likes.
const SHOWN: usize = 200;
/// Pixels of the longer side of a small picture.
const SIDE: usize = 112;
/// Characters of a text that the page shows.
const TEXT_CHARS: usize = 1_000;

const TITLE: &str = "Item analysis";
const ABOUT: &str = "Difficulty is the share of the orders of an item's options under which it is \
    wrong; stability the share of the other variants with a picture that give the answer of the \
    item as it is; the picture is needed as far as variants without it are wrong where the item as \
    it is is right; letter bias is the share of the most frequent letter over all orders. The \
    numbers of each item are in items.csv.";

/// The means of a category's items.
pub(super) struct CategoryMeans {
    pub(super) name: String,
    pub(super) n: usize,
    /// Difficulty, stability, need of the picture, preference for letters.
    pub(super) means: [Mean; 4],
}

/// Writes a mean of shares with its interval, which stays within 0 and 1.
pub(super) fn share_with_interval(mean: &Mean) -> String {
    let (low, high) = mean.interval;
    // An interval of a mean is symmetric, and near an end reaches beyond what a share can be.
    let (low, high) = (low.max(0.0), high.min(1.0));
    format!("{:.3} [{low:.2}, {high:.2}]", mean.value)
}

/// Holds what the page is about.
pub(super) struct ItemsPage<'a> {
    pub(super) found: &'a [Analysis],
    pub(super) results: &'a [SampleResult],
    pub(super) metrics: &'a [BenchmarkMetric],
    pub(super) categories: &'a [CategoryMeans],
    pub(super) started: &'a EvaluateStarted,
    pub(super) model: &'a ModelInfo,
}

/// One item that is shown.
struct ShownItem<'a> {
    analysis: &'a Analysis,
    /// The results under all variants, that of the item as it is first; orders of options left out.
    results: Vec<&'a SampleResult>,
    changed: usize,
}

impl ItemsPage<'_> {
    /// Writes report.html to `folder`; `items` are all items, with their pictures.
    pub(super) fn write(&self, folder: &Path, items: Items) -> Result<(), Failure> {
        let shown = self.shown();
        let mut parts = self.overview();
        parts.push(Part::Heading("Item by item".into()));
        parts.push(Part::Text(format!(
            "{} of {} items, those first whose verdict changes under most variants. Probability: \
             of all tokens that were written, or, where options were scored, of the option among \
             all.",
            shown.len(),
            self.found.len()
        )));
        parts.extend(cards(&shown, items));
        parts.push(Part::Heading("What ran".into()));
        parts.push(Part::List(self.facts()));
        let page = html(TITLE, &parts);
        Ok(files::write(&folder.join("report.html"), page.as_bytes())?)
    }

    /// Returns the parts about all items.
    fn overview(&self) -> Vec<Part> {
        let variants = self.by_variant();
        let (mut bars, mut rows) = (Vec::new(), Vec::new());
        for (place, (name, right, n)) in variants.iter().enumerate() {
            let i = wilson(*right, *n);
            let [value, low, high] = [i.share, i.low, i.high].map(|share| 1e2 * share);
            // A share of nothing, where all answers are errors, is none.
            let mut share = "none".to_owned();
            if *n > 0 {
                share = format!("{value:.1} [{low:.1}, {high:.1}]");
                bars.push(Bar {
                    name: name.clone(),
                    value,
                    interval: (low, high),
                    is_base: place == 0,
                });
            }
            rows.push(vec![name.clone(), n.to_string(), share]);
        }
        let heads = ["variant", "n", "right, % [95 % interval]"];
        let by_variant = DataTable::new("Items that are right.", &heads, rows);
        let heads = [
            "category",
            "n",
            "difficulty",
            "stability",
            "image needed",
            "letter bias",
        ];
        let rows = self.categories.iter().map(|own| {
            let mut row = vec![own.name.clone(), own.n.to_string()];
            row.extend(own.means.iter().map(share_with_interval));
            row
        });
        let caption = "Means over n items, with their 95 % intervals.";
        let n = self.found.len();
        let title = format!("items that are right, %, n = {n}; lines: 95 % intervals");
        vec![
            Part::Text(ABOUT.into()),
            Part::Drawing(Drawing {
                name: "items".into(),
                about: "The share of items that are right, by variant".into(),
                svg: bar_chart(&title, &bars, 100.0),
            }),
            Part::Table(by_variant),
            Part::Table(DataTable::new(caption, &heads, rows.collect())),
        ]
    }

    /// Counts the items that are right and all items, by variant, the first one first.
    fn by_variant(&self) -> Vec<(String, usize, usize)> {
        let header = self.started.header.as_ref();
        let names = header.map_or(&[][..], |h| h.variants.as_slice());
        let counted = names.iter().map(|variant| {
            let own = self.found.iter();
            let verdicts: Vec<bool> = own
                .filter_map(|a| a.by_variant.get(&variant.name).copied())
                .collect();
            let right = verdicts.iter().filter(|right| **right).count();
            (variant.name.clone(), right, verdicts.len())
        });
        counted.collect()
    }

    /// Returns the items that the page shows, those first that change under most variants.
    fn shown(&self) -> Vec<ShownItem<'_>> {
        let mut by_item: HashMap<&str, Vec<&SampleResult>> = HashMap::new();
        // Orders of options are in `difficulty`, and would fill the table of answers.
        for result in self.results.iter().filter(|r| !item_of(&r.id).1) {
            by_item.entry(&result.id).or_default().push(result);
        }
        let mut shown: Vec<ShownItem<'_>> = self
            .found
            .iter()
            .map(|analysis| {
                let mut results = by_item.remove(analysis.id.as_str()).unwrap_or_default();
                let key = |r: &SampleResult| (r.variant != FIRST, r.variant.clone());
                // `false` sorts first: the item as it is, then the other variants by name.
                results.sort_by_cached_key(|r| key(r));
                let changes = results.iter().filter(|r| is_right(r) != analysis.right);
                let changed = changes.count();
                ShownItem {
                    analysis,
                    results,
                    changed,
                }
            })
            .collect();
        // Stable: items that change alike stay in the order of their ids.
        shown.sort_by_key(|item| Reverse(item.changed));
        shown.truncate(SHOWN);
        shown
    }

    fn facts(&self) -> Vec<String> {
        let answers: u64 = self.metrics.iter().map(|m| m.n).max().unwrap_or(0);
        vec![
            format!("model: {}", model_line(self.model)),
            format!("model digest: {}", self.started.model_digest),
            format!("rule: {}", self.started.rule),
            format!("server: scotoma {}", self.started.server_version),
            format!("answers under each variant, orders of options among them: {answers}"),
        ]
    }
}

fn is_right(result: &SampleResult) -> bool {
    result.verdict == i32::from(Verdict::Right)
}

/// Returns a card for each item, with its picture and words from `items`.
fn cards(shown: &[ShownItem<'_>], items: Items) -> Vec<Part> {
    let places: HashMap<&str, usize> = shown
        .iter()
        .enumerate()
        .map(|(i, item)| (item.analysis.id.as_str(), i))
        .collect();
    let mut cards: Vec<Option<Card>> = shown.iter().map(|_| None).collect();
    // Rows that cannot be read have no result to be shown.
    for item in items.flatten() {
        if let Some(&place) = places.get(item.id.as_str()) {
            cards[place] = Some(card(&shown[place], &item));
        }
    }
    cards.into_iter().flatten().map(Part::Card).collect()
}

fn card(shown: &ShownItem<'_>, item: &Item) -> Card {
    let ShownItem {
        analysis, changed, ..
    } = shown;
    let mut lines = vec![cut(&item.question)];
    if !item.options.is_empty() {
        lines.push(cut(&item.listed()));
    }
    if !item.answer.is_empty() {
        lines.push(format!("Right is: {}", cut(&item.answer)));
    }
    let others = shown.results.len().saturating_sub(1);
    lines.push(format!(
        "Another verdict under {changed} of {others} variants."
    ));
    let heads = ["variant", "answer", "probability", "verdict"];
    let rows = shown.results.iter();
    let rows = rows.map(|result| answer_row(result, analysis.right));
    let category = &analysis.category;
    let title = if category.is_empty() {
        format!("item {}", analysis.id)
    } else {
        format!("item {}, {category}", analysis.id)
    };
    Card {
        table: DataTable::new(format!("Answers to {title}"), &heads, rows.collect()),
        title,
        picture: item.images.first().and_then(|picture| small(picture)),
        lines,
    }
}

fn answer_row(result: &SampleResult, first_is_right: bool) -> Vec<String> {
    let said = if result.answer.is_empty() {
        &result.text
    } else {
        &result.answer
    };
    let verdict = match result.verdict() {
        Verdict::Right => "right",
        Verdict::Wrong => "wrong",
        Verdict::Unparsed => "wrong, unparsed",
        Verdict::Unjudged => "unjudged",
        Verdict::Graded => "graded",
        Verdict::Unspecified => "error",
    };
    let changed = is_right(result) != first_is_right;
    vec![
        result.variant.clone(),
        cut(said.trim()),
        probability(result).map_or("-".into(), |p| format!("{p:.3}")),
        format!("{verdict}{}", if changed { ", changed" } else { "" }),
    ]
}

/// Returns the probability of an answer: of its tokens, or of its option among all of them by their
/// mean log-probabilities, of which the largest was taken.
fn probability(result: &SampleResult) -> Option<f64> {
    let means = result.options.iter().map(|o| o.mean_logprob);
    let Some(most) = means.clone().reduce(f64::max) else {
        return result.logprob.map(f64::exp);
    };
    // Of the largest alone: it is the one that was taken.
    Some(1.0 / means.map(|mean| (mean - most).exp()).sum::<f64>())
}

/// Cuts a text that is longer than a page shows.
pub(super) fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(TEXT_CHARS).collect();
    // By bytes: `cut` is a prefix of `text`, so that it is shorter only where something was cut.
    if cut.len() < text.len() {
        cut.push_str(" ...");
    }
    cut
}

/// Returns a picture as a small PNG; `None` where it cannot be read, which its result says.
pub(super) fn small(picture: &[u8]) -> Option<Vec<u8>> {
    let picture = vision::decode(picture, vision::MAX_PIXELS).ok()?;
    // Never enlarged: a small picture stays as it is.
    let scale = (SIDE as f64 / picture.width.max(picture.height) as f64).min(1.0);
    // At least one pixel: a strip of 1 by 10,000 would round to none.
    let side = |pixels: usize| ((pixels as f64 * scale).round() as usize).max(1);
    let size = (side(picture.width), side(picture.height));
    let small = vision::resize(&picture, size, Filter::Bilinear, ProcessorBackend::Pillow);
    vision::encode_png(&small).ok()
}

#[cfg(test)]
mod tests {
    use scotoma_client::v1::OptionScore;

    use super::*;

    #[test]
    fn probabilities_are_of_tokens_or_among_options() {
        let written = SampleResult {
            logprob: Some(0.5_f64.ln()),
            ..SampleResult::default()
        };
        assert!((probability(&written).unwrap() - 0.5).abs() < 1e-12);
        let option = |mean: f64| OptionScore {
            mean_logprob: mean,
            ..OptionScore::default()
        };
        let scored = SampleResult {
            options: vec![option(0.2_f64.ln()), option(0.6_f64.ln())],
            ..SampleResult::default()
        };
        assert!((probability(&scored).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(probability(&SampleResult::default()), None);
    }
}
