//! Counts how often features fire, and keeps where each is strongest.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use scotoma_client::v1::{Activation, TracePatch, TracePosition};
use serde_json::{Value, json};

/// One question as it is put to the model.
pub(super) struct Question {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) images: Vec<Vec<u8>>,
}

/// Where a feature is strong.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) value: f32,
    /// The id of the question.
    pub(super) item: String,
    /// The number of the token.
    pub(super) token: u32,
    /// The text of the token, or the place of its patch.
    pub(super) label: String,
    pub(super) patch: Option<TracePatch>,
    /// Tells pictures, or questions where the token is one of text, apart.
    source: [u8; 16],
}

/// What is known of one feature.
#[derive(Debug, Default)]
struct Statistics {
    tokens: u64,
    items: u64,
    sum: f64,
    examples: Vec<Example>,
}

/// All features that fired.
#[derive(Debug, Default)]
pub(super) struct FeatureTable {
    features: BTreeMap<u32, Statistics>,
    /// The features that are looked at; `None` for all.
    chosen: Option<Vec<u32>>,
    /// Examples that are kept of each.
    top: usize,
    /// The most active features of a token.
    active: usize,
    pub(super) items: u64,
    pub(super) tokens: u64,
}

/// One feature as it is shown.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) feature: u32,
    own: Option<&'a Statistics>,
    items: u64,
    tokens: u64,
}

impl FeatureTable {
    /// Makes an empty table that keeps `top` examples of each of the features `chosen`, or of all.
    pub(super) fn new(top: usize, chosen: Option<Vec<u32>>) -> Self {
        Self {
            chosen,
            top,
            ..Self::default()
        }
    }

    /// Adds what was captured of one question.
    pub(super) fn add(&mut self, asked: &Question, captured: &[Activation]) {
        self.items += 1;
        // By their bytes: each item carries its picture, also where several ask about one.
        let pictures: Vec<[u8; 16]> = asked.images.iter().map(|own| digest(own)).collect();
        let question = digest(asked.id.as_bytes());
        // Of one question only the strongest token of a feature is an example.
        let mut strongest: BTreeMap<u32, Example> = BTreeMap::new();
        for activation in captured {
            let rows = activation.features.iter().zip(&activation.positions);
            for ((row, position), token) in rows.zip(&activation.tokens) {
                self.tokens += 1;
                self.active = self.active.max(row.features.len());
                for (&feature, &value) in row.features.iter().zip(&row.values) {
                    if !self.is_chosen(feature) {
                        continue;
                    }
                    let own = self.features.entry(feature).or_default();
                    own.tokens += 1;
                    own.sum += f64::from(value);
                    if strongest
                        .get(&feature)
                        .is_none_or(|best| best.value < value)
                    {
                        strongest.insert(feature, example(asked, value, *token, position));
                    }
                }
            }
        }
        for (feature, mut example) in strongest {
            let image = example.patch.as_ref().map(|patch| patch.image as usize);
            let picture = image.and_then(|image| pictures.get(image));
            example.source = *picture.unwrap_or(&question);
            if let Some(own) = self.features.get_mut(&feature) {
                own.items += 1;
                own.keep(example, self.top);
            }
        }
    }

    fn is_chosen(&self, feature: u32) -> bool {
        let chosen = self.chosen.as_ref();
        chosen.is_none_or(|chosen| chosen.contains(&feature))
    }

    /// Returns how many features fired.
    pub(super) fn fired(&self) -> usize {
        self.features.len()
    }

    /// Reports whether a token had `most` active features.
    pub(super) fn is_cut(&self, most: u32) -> bool {
        self.active >= most as usize
    }

    /// Returns the chosen features, or `most` of those that fire at most tokens (0 for all).
    pub(super) fn summaries(&self, most: usize) -> Vec<Summary<'_>> {
        if let Some(chosen) = &self.chosen {
            return chosen
                .iter()
                .map(|feature| self.summary(*feature))
                .collect();
        }
        let mut shown: Vec<Summary<'_>> = self.features.keys().map(|f| self.summary(*f)).collect();
        // Stable over sorted numbers: of equals the lowest comes first.
        shown.sort_by_key(|own| Reverse(own.own.map_or(0, |own| own.tokens)));
        if most > 0 {
            shown.truncate(most);
        }
        shown
    }

    fn summary(&self, feature: u32) -> Summary<'_> {
        Summary {
            feature,
            own: self.features.get(&feature),
            items: self.items,
            tokens: self.tokens,
        }
    }
}

impl Statistics {
    /// Keeps an example if it is among the `top` strongest; a picture is shown once.
    fn keep(&mut self, example: Example, top: usize) {
        // Several questions about one picture would fill the list with it.
        let same = |own: &Example| own.source == example.source;
        if let Some(known) = self.examples.iter().position(same) {
            if self.examples[known].value >= example.value {
                return;
            }
            self.examples.remove(known);
        }
        // `>=`: of equal values the earlier question stays in front.
        let place = self
            .examples
            .partition_point(|own| own.value >= example.value);
        self.examples.insert(place, example);
        self.examples.truncate(top);
    }
}

impl Summary<'_> {
    /// Returns where it is strongest, strongest first.
    pub(super) fn examples(&self) -> &[Example] {
        self.own.map_or(&[], |own| &own.examples)
    }

    /// Returns the shares of tokens and of questions at which it fires, in percent, and its mean
    /// where it does.
    pub(super) fn numbers(&self) -> [f64; 3] {
        let Some(own) = self.own else { return [0.0; 3] };
        let share = |part: u64, all: u64| 1e2 * part as f64 / all.max(1) as f64;
        [
            share(own.tokens, self.tokens),
            share(own.items, self.items),
            own.sum / own.tokens.max(1) as f64,
        ]
    }

    /// Returns its largest value; 0 where it never fires.
    pub(super) fn largest(&self) -> f32 {
        self.examples().first().map_or(0.0, |own| own.value)
    }

    /// Returns it as a line of text.
    pub(super) fn line(&self) -> String {
        let [tokens, items, mean] = self.numbers();
        let strongest = self.examples().iter().take(3);
        let strongest =
            strongest.map(|own| format!("{:.2} {} of {}", own.value, own.name(), own.item));
        let strongest: Vec<String> = strongest.collect();
        format!(
            "{:>7} {tokens:>10.2} {items:>9.1} {mean:>8.2} {:>8.2}  {}",
            self.feature,
            self.largest(),
            strongest.join("; ")
        )
    }

    /// Returns it as `--json` prints it.
    pub(super) fn json(&self) -> Value {
        let own = self.own;
        let examples = self.examples().iter().map(|own| {
            json!({
                "value": own.value, "item": own.item, "token": own.token, "label": own.label,
                "patch": own.patch,
            })
        });
        json!({
            "feature": self.feature, "tokens": own.map_or(0, |own| own.tokens),
            "items": own.map_or(0, |own| own.items), "mean": self.numbers()[2],
            "largest": self.largest(), "top": examples.collect::<Vec<_>>(),
        })
    }
}

impl Example {
    /// Returns what its token is called, on one line.
    pub(super) fn name(&self) -> String {
        let text = self.label.trim();
        if self.patch.is_some() || text.is_empty() {
            return text.to_owned();
        }
        format!("{text:?}")
    }
}

fn example(asked: &Question, value: f32, token: u32, position: &TracePosition) -> Example {
    Example {
        value,
        item: asked.id.clone(),
        token,
        label: position.label.clone(),
        patch: position.patches.first().copied(),
        source: [0; 16],
    }
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use scotoma_client::v1::TopFeatures;

    use super::*;

    fn asked(id: &str) -> Question {
        Question {
            id: id.into(),
            text: String::new(),
            images: vec![id.as_bytes()[..1].to_vec()],
        }
    }

    /// Two tokens, the first of them a patch.
    fn captured(first: &[(u32, f32)], second: &[(u32, f32)]) -> Vec<Activation> {
        let row = |pairs: &[(u32, f32)]| {
            let (features, values) = pairs.iter().copied().unzip();
            TopFeatures { features, values }
        };
        let patch = TracePosition {
            patches: vec![TracePatch::default()],
            ..TracePosition::default()
        };
        vec![Activation {
            tokens: vec![4, 5],
            features: vec![row(first), row(second)],
            positions: vec![patch, TracePosition::default()],
            ..Activation::default()
        }]
    }

    #[test]
    fn features_are_counted_by_token_and_question_and_pictures_shown_once() {
        let mut table = FeatureTable::new(2, None);
        // a1 and a2 ask about one picture.
        table.add(&asked("a1"), &captured(&[(7, 2.0), (3, 1.0)], &[(7, 1.5)]));
        table.add(&asked("a2"), &captured(&[(7, 2.5)], &[]));
        table.add(&asked("b"), &captured(&[(7, 1.0)], &[(3, 4.0)]));
        table.add(&asked("c"), &captured(&[(7, 0.5)], &[]));
        let shown = table.summaries(0);
        let numbers: Vec<u32> = shown.iter().map(|own| own.feature).collect();
        assert_eq!((numbers, table.tokens, table.items), (vec![7, 3], 8, 4));
        let [tokens, items, mean] = shown[0].numbers();
        assert_eq!((tokens, items, mean), (62.5, 100.0, 1.5));
        let top = |own: &Summary<'_>| -> Vec<(String, f32)> {
            let examples = own.examples().iter();
            examples.map(|e| (e.item.clone(), e.value)).collect()
        };
        assert_eq!(top(&shown[0]), [("a2".into(), 2.5), ("b".into(), 1.0)]);
        assert_eq!(top(&shown[1]), [("b".into(), 4.0), ("a1".into(), 1.0)]);
        assert_eq!(table.summaries(1).len(), 1);
        let mut chosen = FeatureTable::new(2, Some(vec![3, 9]));
        chosen.add(&asked("b"), &captured(&[(7, 1.0)], &[(3, 4.0)]));
        let shown = chosen.summaries(0);
        assert_eq!((shown[0].largest(), shown[1].largest()), (4.0, 0.0));
    }
}
