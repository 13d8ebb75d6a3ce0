//! Item analysis: difficulty, need of the picture, stability of the answer, preference for letters.

use std::collections::BTreeMap;

use super::Item;

/// The separator between an item's id and the number of places by which its options are rotated.
const ROTATION: &str = "~r";

/// The answer to one item under one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The item, or one of its orders: see [`item_of`].
    pub id: String,
    /// The variant.
    pub variant: String,
    /// The item's category.
    pub category: String,
    /// The answer as it was read; empty if it could not be.
    pub answer: String,
    /// True if it is right.
    pub right: bool,
    /// Mean log-probability of the best option less that of the second; only where options were
    /// scored.
    pub margin: Option<f64>,
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// The item.
    pub id: String,
    /// The item's category.
    pub category: String,
    /// True if the item as it is is answered right.
    pub right: bool,
    /// The share of the orders of its options under which it is wrong; for an item without options 1
    /// less `right`.
    pub difficulty: f64,
    /// See [`Response::margin`], of the item as it is.
    pub margin: Option<f64>,
    /// The share of the variants with a picture, the first left out, whose answer is the same as
    /// that of the item as it is.
    pub stability: f64,
    /// The share of the variants without the picture that are wrong, if the item as it is is right;
    /// else 0.
    pub image_needed: f64,
    /// The share of the most frequent letter over all orders of the options, 1 / orders at best; 0
    /// without options.
    pub letter_bias: f64,
    /// True for each variant that is right.
    pub by_variant: BTreeMap<String, bool>,
    /// Counts what the shares are over.
    pub counts: Counts,
    /// The separation of good models from bad ones: see [`discrimination`].
    pub discrimination: Option<f64>,
}

/// The numbers of answers that an item's shares are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders of the options, of difficulty and of the preference for letters.
    pub orders: usize,
    /// Variants with a picture, the first left out, of stability.
    pub shown: usize,
    /// Variants without the picture, of its need.
    pub unseen: usize,
}

/// Returns the point-biserial correlation, over models, of whether an item is right with the share
/// of the other items that are (the item itself left out, as Henrysson 1963 corrects it).
///
/// `models` hold the items that each model has right. Returns `None` if fewer than three models have
/// the item, or all of them do equally well on it.
pub fn discrimination(models: &[BTreeMap<String, bool>], id: &str) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = models
        .iter()
        .filter_map(|model| item_and_rest(model, id))
        .collect();
    if pairs.len() < 3 {
        return None;
    }
    let n = pairs.len() as f64;
    let (x, y) = pairs
        .iter()
        // The means of both.
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    // Pearson's correlation, which is the point-biserial one where one of the two is 0 or 1.
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|&(a, b)| f(a - x, b - y)).sum::<f64>();
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    // Sums of rounded differences are not exactly 0 where all models agree.
    (spread > 1e-12).then(|| sum(&|a, b| a * b) / spread)
}

/// Returns the share of other items that a model has right, behind 1 or 0 for the item `id`; `None`
/// where it has no such item, or no other.
fn item_and_rest(model: &BTreeMap<String, bool>, id: &str) -> Option<(f64, f64)> {
    let own = *model.get(id)?;
    let (mut right, mut all) = (0, 0_u32);
    for (_, &is_right) in model.iter().filter(|(other, _)| *other != id) {
        right += usize::from(is_right);
        all += 1;
    }
    (all > 0).then(|| (f64::from(u8::from(own)), right as f64 / f64::from(all)))
}

/// Returns the item with its options moved by `by` places, under an id of its own; `None` where that
/// is the same item.
pub fn rotated(item: &Item, by: usize) -> Option<Item> {
    let count = item.options.len();
    let right = item.answer_place()?;
    // A full turn is the same item, and would stand in the results twice.
    if by == 0 || by >= count {
        return None;
    }
    let mut options = item.options.clone();
    // The option at place p goes to p + by, and its letter with it.
    options.rotate_right(by);
    // An answer in words is the same wherever its option stands.
    let is_words = item.options.get(right) == Some(&item.answer);
    let answer = if is_words {
        item.answer.clone()
    } else {
        item.letters().nth((right + by) % count)?.to_string()
    };
    Some(Item {
        id: format!("{}{ROTATION}{by}", item.id),
        options,
        answer,
        ..item.clone()
    })
}

/// Returns the item that an id is of, and whether its options are rotated.
pub fn item_of(id: &str) -> (&str, bool) {
    match id.rsplit_once(ROTATION) {
        // The last one with a number behind it: an item's own id may hold the letters as well.
        Some((item, by)) if !by.is_empty() && by.bytes().all(|b| b.is_ascii_digit()) => {
            (item, true)
        }
        _ => (id, false),
    }
}

/// Analyses all items of `responses`, in the order of their ids. `first` is the variant without
/// interventions, `unseen` are those that do not show the picture. An item without an answer under
/// `first` is left out.
pub fn analyse(responses: &[Response], first: &str, unseen: &[&str]) -> Vec<Analysis> {
    let mut items: BTreeMap<&str, Vec<(bool, &Response)>> = BTreeMap::new();
    for response in responses {
        let (id, turned) = item_of(&response.id);
        items.entry(id).or_default().push((turned, response));
    }
    items
        .into_iter()
        .filter_map(|(id, responses)| analyse_item(id, &responses, first, unseen))
        .collect()
}

/// Analyses one item by its responses, those with turned options marked.
fn analyse_item(
    id: &str,
    responses: &[(bool, &Response)],
    first: &str,
    unseen: &[&str],
) -> Option<Analysis> {
    // Orders of the options are compared under the first variant alone.
    let (of_first, of_others): (Vec<_>, Vec<_>) =
        responses.iter().partition(|(_, r)| r.variant == first);
    // Without an answer to the item as it is there is nothing to compare with.
    let plain = of_first.iter().find(|(turned, _)| !turned)?.1;
    let orders: Vec<&Response> = of_first.iter().map(|(_, r)| *r).collect();
    // Turned items are no variants: their letters mean other options.
    let others = of_others.iter().filter(|(turned, _)| !turned);
    let (hidden, shown): (Vec<&Response>, Vec<&Response>) = others
        .map(|(_, r)| *r)
        .partition(|r| unseen.contains(&r.variant.as_str()));
    // An item that is wrong with its picture says nothing of what the picture is for.
    let image_needed = if plain.right {
        share(&hidden, |r| !r.right)
    } else {
        0.0
    };
    // With one order the share of its letter would be 1.
    let letter_bias = if orders.len() > 1 {
        most_frequent(&orders) as f64 / orders.len() as f64
    } else {
        0.0
    };
    let by_variant = responses.iter().filter(|(turned, _)| !turned);
    Some(Analysis {
        id: id.to_owned(),
        category: plain.category.clone(),
        right: plain.right,
        difficulty: share(&orders, |r| !r.right),
        margin: plain.margin,
        stability: share(&shown, |r| r.answer == plain.answer),
        image_needed,
        letter_bias,
        counts: Counts {
            orders: orders.len(),
            shown: shown.len(),
            unseen: hidden.len(),
        },
        discrimination: None,
        by_variant: by_variant
            .map(|(_, r)| (r.variant.clone(), r.right))
            .collect(),
    })
}

/// Returns the share of `responses` that meet `condition`; 0 of none.
fn share(responses: &[&Response], condition: impl Fn(&Response) -> bool) -> f64 {
    if responses.is_empty() {
        return 0.0;
    }
    let count = responses.iter().filter(|r| condition(r)).count();
    count as f64 / responses.len() as f64
}

/// Counts the responses that give the most frequent answer.
fn most_frequent(responses: &[&Response]) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for response in responses {
        *counts.entry(&response.answer).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_options_is_another_item() {
        let options = ["red", "blue", "green"].map(String::from).to_vec();
        let item = Item {
            id: "7".into(),
            options,
            answer: "A".into(),
            ..Item::default()
        };
        let turned = rotated(&item, 2).unwrap();
        assert_eq!((turned.id.as_str(), turned.answer.as_str()), ("7~r2", "C"));
        assert_eq!(turned.option('C'), item.option('A'));
        for (id, expected) in [
            ("7~r2", ("7", true)),
            ("a~red~r12", ("a~red", true)),
            ("a~red", ("a~red", false)),
            ("a~r", ("a~r", false)),
        ] {
            assert_eq!(item_of(id), expected);
        }
        assert!(rotated(&item, 3).is_none() && rotated(&item, 0).is_none());
        assert!(
            rotated(
                &Item {
                    answer: "yes".into(),
                    ..item
                },
                1
            )
            .is_none()
        );
    }

    #[test]
    fn discrimination_is_the_correlation_with_the_rest() {
        let model = |bits: [bool; 4]| {
            (0..)
                .zip(bits)
                .map(|(i, b): (u32, bool)| (i.to_string(), b))
                .collect()
        };
        let models: Vec<BTreeMap<String, bool>> = vec![
            model([true, true, true, false]),
            model([true, true, false, true]),
            model([false, false, false, true]),
            model([false, false, true, true]),
        ];
        // Of item 0: (1, 2/3), (1, 2/3), (0, 1/3), (0, 2/3) by hand: sum of products 1/6, of
        // squares 1 and 1/12.
        let found = discrimination(&models, "0").unwrap();
        assert!(
            (found - (1.0 / 6.0) / (1.0_f64 / 12.0).sqrt()).abs() < 1e-12,
            "{found}"
        );
        assert!(
            discrimination(&models, "3").unwrap() < 0.0 && discrimination(&models, "9").is_none()
        );
        assert!(discrimination(&models[..2], "0").is_none());
    }

    #[test]
    fn numbers_by_hand() {
        let response = |id: &str, variant: &str, answer: &str, right| Response {
            id: id.into(),
            variant: variant.into(),
            category: "c".into(),
            answer: answer.into(),
            right,
            margin: Some(0.5),
        };
        let all = [
            response("1", "original", "A", true),
            response("1~r1", "original", "A", false),
            response("1~r2", "original", "C", true),
            response("1~r3", "original", "A", false),
            response("1", "permuted", "A", true),
            response("1", "shuffled", "B", false),
            response("1", "black", "A", true),
            response("1", "no tokens", "D", false),
            response("2", "black", "A", true),
        ];
        let found = analyse(&all, "original", &["black", "no tokens"]);
        assert_eq!(found.len(), 1, "an item without its first answer is none");
        let one = &found[0];
        assert_eq!(
            (
                one.difficulty,
                one.stability,
                one.image_needed,
                one.letter_bias
            ),
            (0.5, 0.5, 0.5, 0.75)
        );
        assert_eq!(one.by_variant.len(), 5);
        let counts = Counts {
            orders: 4,
            shown: 2,
            unseen: 2,
        };
        assert_eq!(one.counts, counts);
    }
}
