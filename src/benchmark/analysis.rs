//! Items as instruments: how hard each is, whether it needs its picture, how stable its answer is,
//! whether letters are preferred.

use std::collections::BTreeMap;

use super::Item;

/// What stands between the id of an item and the number of a rotation of its options.
pub const ROTATION: &str = "~r";

/// What was answered to one item under one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The item, with [`ROTATION`] and a number where its options were rotated.
    pub id: String,
    /// The variant.
    pub variant: String,
    /// What it tests.
    pub category: String,
    /// What was read from the answer; empty where nothing could be.
    pub answer: String,
    /// Whether it is right.
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
    /// What it tests.
    pub category: String,
    /// Whether it is answered as it is.
    pub right: bool,
    /// The share of the orders of its options under which it is not; of an item without options 1
    /// less `right`.
    pub difficulty: f64,
    /// See [`Response::margin`], of the item as it is.
    pub margin: Option<f64>,
    /// The share of the variants that show the picture, the first left out, whose answer is that of
    /// the item as it is.
    pub stability: f64,
    /// The share of the variants without the picture that are not right, where the item as it is,
    /// is; else 0.
    pub image_needed: f64,
    /// Of the letters chosen over all orders of the options the share of the most frequent one, 1 /
    /// orders at best; 0 without options.
    pub letter_bias: f64,
    /// Whether each variant is right.
    pub by_variant: BTreeMap<String, bool>,
    /// How well it tells good models from bad ones: see [`discrimination`].
    pub discrimination: Option<f64>,
}

/// The point-biserial correlation, over models, of whether an item is right with how many of the
/// other items are (the item itself left out, as Henrysson 1963 corrects it). `models` say which
/// items they have right; `None` where fewer than three models have the item, or all of them do as
/// well on it.
pub fn discrimination(models: &[BTreeMap<String, bool>], id: &str) -> Option<f64> {
    let of = |model: &BTreeMap<String, bool>| {
        let own = *model.get(id)?;
        let others = model.iter().filter(|(other, _)| *other != id);
        let (right, all) = others.fold((0, 0), |(r, n), (_, &is)| (r + usize::from(is), n + 1));
        (all > 0).then(|| (f64::from(u8::from(own)), right as f64 / all as f64))
    };
    let pairs: Vec<(f64, f64)> = models.iter().filter_map(of).collect();
    if pairs.len() < 3 {
        return None;
    }
    let n = pairs.len() as f64;
    let (x, y) = pairs
        .iter()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|&(a, b)| f(a - x, b - y)).sum::<f64>();
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    (spread > 1e-12).then(|| sum(&|a, b| a * b) / spread)
}

/// The item with its options moved by `by` places, under an id of its own; `None` where that is no
/// other item.
pub fn rotated(item: &Item, by: usize) -> Option<Item> {
    let count = item.options.len();
    let right = item.answer_place()?;
    if by == 0 || by >= count {
        return None;
    }
    let mut options = item.options.clone();
    options.rotate_right(by);
    // Words stay what they are wherever their option stands.
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

/// All items of `responses`, in the order of their ids. `first` is the variant without
/// interventions, `unseen` are those that do not show the picture.
pub fn analyse(responses: &[Response], first: &str, unseen: &[&str]) -> Vec<Analysis> {
    let mut items: BTreeMap<&str, Vec<(bool, &Response)>> = BTreeMap::new();
    for response in responses {
        let (id, turned) = response
            .id
            .split_once(ROTATION)
            .map_or((response.id.as_str(), false), |(id, _)| (id, true));
        items.entry(id).or_default().push((turned, response));
    }
    let share = |(yes, all): (usize, usize)| {
        if all == 0 {
            0.0
        } else {
            yes as f64 / all as f64
        }
    };
    let one = |(id, all): (&str, Vec<(bool, &Response)>)| {
        let plain = all
            .iter()
            .find(|(turned, r)| !turned && r.variant == first)?
            .1;
        let orders: Vec<&Response> = all
            .iter()
            .filter(|(_, r)| r.variant == first)
            .map(|(_, r)| *r)
            .collect();
        let others = || {
            all.iter()
                .filter(|(turned, r)| !turned && r.variant != first)
                .map(|(_, r)| *r)
        };
        let (hidden, shown): (Vec<&Response>, Vec<&Response>) =
            others().partition(|r| unseen.contains(&r.variant.as_str()));
        let mut letters: BTreeMap<&str, usize> = BTreeMap::new();
        orders
            .iter()
            .for_each(|r| *letters.entry(&r.answer).or_default() += 1);
        let most = letters.values().copied().max().unwrap_or(0);
        let needed = share((hidden.iter().filter(|r| !r.right).count(), hidden.len()));
        Some(Analysis {
            id: id.to_owned(),
            category: plain.category.clone(),
            right: plain.right,
            difficulty: share((orders.iter().filter(|r| !r.right).count(), orders.len())),
            margin: plain.margin,
            stability: share((
                shown.iter().filter(|r| r.answer == plain.answer).count(),
                shown.len(),
            )),
            image_needed: if plain.right { needed } else { 0.0 },
            letter_bias: if orders.len() > 1 {
                share((most, orders.len()))
            } else {
                0.0
            },
            discrimination: None,
            by_variant: all
                .iter()
                .filter(|(turned, _)| !turned)
                .map(|(_, r)| (r.variant.clone(), r.right))
                .collect(),
        })
    };
    items.into_iter().filter_map(one).collect()
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
    }
}
