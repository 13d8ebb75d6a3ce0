//! The `shapes` benchmark: one category per claim, held out from the training of the embedded
//! model.

use std::path::PathBuf;

use super::data::ItemReader;
use super::{Error, Item};

const TSV: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/shapes/benchmark.tsv"
));

/// Returns the categories in the order of tables.
pub fn category_order() -> [&'static str; 6] {
    [
        "existence",
        "colour",
        "counting",
        "left/right",
        "reading",
        "arithmetic",
    ]
}

/// Reads the items: columns `index image question A B C D answer category`, as in VLMEvalKit.
pub fn shapes() -> Result<Vec<Item>, Error> {
    ItemReader::table(TSV, PathBuf::new())?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::{Rule, Verdict, rule};

    fn item(answer: &str, options: usize) -> Item {
        let options = (0..options).map(|i| format!("option {i}")).collect();
        Item {
            answer: answer.into(),
            options,
            ..Item::default()
        }
    }

    fn judge(item: &Item, text: &str) -> Verdict {
        rule("shapes")
            .map(|r: &Rule| r.score(item, text).1)
            .unwrap()
    }

    #[test]
    fn letters() {
        for right in ["B", " b", "B.", "B) red", "B: red"] {
            assert_eq!(judge(&item("B", 4), right), Verdict::Correct, "{right}");
        }
        assert_eq!(judge(&item("B", 4), "C"), Verdict::Wrong);
        for unparsed in ["", "Blue", "E", "?", "\u{e4}"] {
            assert_eq!(
                judge(&item("B", 4), unparsed),
                Verdict::Unparsed,
                "{unparsed}"
            );
        }
    }

    #[test]
    fn words() {
        assert_eq!(judge(&item("yes", 0), " Yes."), Verdict::Correct);
        assert_eq!(judge(&item("12", 0), "1"), Verdict::Wrong);
        assert_eq!(judge(&item("12", 0), "  "), Verdict::Unparsed);
    }

    #[test]
    fn every_item_can_be_read() {
        let items = shapes().unwrap();
        assert!(items.len() >= 300);
        for category in category_order() {
            assert!(
                items.iter().filter(|i| i.category == category).count() >= 50,
                "{category}"
            );
        }
        assert!(
            items
                .iter()
                .all(|i| judge(i, &i.answer) == Verdict::Correct)
        );
    }
}
