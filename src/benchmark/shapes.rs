//! The `shapes` benchmark: one category per claim, held out from the training of the embedded model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;

const TSV: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes/benchmark.tsv"));

/// One question about one picture.
#[derive(Debug, Clone)]
pub struct Item {
    /// Names it.
    pub index: String,
    /// PNG.
    pub image: Vec<u8>,
    /// The question with its options, as the model reads it.
    pub prompt: String,
    /// The right answer: a letter where there are options.
    pub answer: String,
    /// How many options there are; 0 for yes/no and short answers.
    pub options: usize,
    /// The claim that it tests.
    pub category: String,
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Right,
    /// Another answer.
    Wrong,
    /// No answer can be read from it; counted as not right, never guessed.
    Unparsed,
}

/// The categories in the order in which a table shows them.
pub fn category_order() -> [&'static str; 6] {
    ["existence", "colour", "counting", "left/right", "reading", "arithmetic"]
}

/// The items: columns `index image question A B C D answer category`, as VLMEvalKit has them.
pub fn shapes() -> Result<Vec<Item>, Error> {
    TSV.lines().enumerate().skip(1).map(|(i, line)| parse(i + 1, line)).collect()
}

fn parse(line: usize, text: &str) -> Result<Item, Error> {
    let error = |message: &str| Error { line, message: message.to_owned() };
    let cells: Vec<&str> = text.split('\t').collect();
    let [index, image, question, a, b, c, d, answer, category] = cells[..] else {
        return Err(error(&format!("{} columns, 9 are needed", cells.len())));
    };
    let image = STANDARD.decode(image).map_err(|e| error(&format!("image: {e}")))?;
    let options: Vec<&str> = [a, b, c, d].into_iter().filter(|o| !o.is_empty()).collect();
    let mut prompt = question.to_owned();
    for (letter, option) in ('A'..).zip(&options) {
        prompt.extend(["\n", letter.to_string().as_str(), ". ", option]);
    }
    if !options.is_empty() {
        prompt.push_str("\nAnswer with the letter.");
    }
    Ok(Item {
        index: index.into(),
        image,
        prompt,
        answer: answer.into(),
        options: options.len(),
        category: category.into(),
    })
}

/// Reads an answer. With options: a letter alone, or followed by `.`, `)`, `:` or a space. Without: the whole text, case and a final
/// period aside.
pub fn judge(item: &Item, text: &str) -> Verdict {
    let text = text.trim();
    let said = if item.options > 0 {
        let mut chars = text.chars();
        let letter = chars.next().map(|c| c.to_ascii_uppercase());
        let ends = chars.next().is_none_or(|c| matches!(c, '.' | ')' | ':' | ' ' | '\n'));
        match letter {
            Some(l) if ends && ('A'..).take(item.options).any(|o| o == l) => l.to_string(),
            _ => return Verdict::Unparsed,
        }
    } else {
        let said = text.strip_suffix('.').unwrap_or(text).to_lowercase();
        if said.is_empty() {
            return Verdict::Unparsed;
        }
        said
    };
    if said == item.answer { Verdict::Right } else { Verdict::Wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(answer: &str, options: usize) -> Item {
        Item {
            index: String::new(),
            image: Vec::new(),
            prompt: String::new(),
            answer: answer.into(),
            options,
            category: String::new(),
        }
    }

    #[test]
    fn letters() {
        for right in ["B", " b", "B.", "B) red", "B: red"] {
            assert_eq!(judge(&item("B", 4), right), Verdict::Right, "{right}");
        }
        assert_eq!(judge(&item("B", 4), "C"), Verdict::Wrong);
        for unparsed in ["", "Blue", "E", "?", "\u{e4}"] {
            assert_eq!(judge(&item("B", 4), unparsed), Verdict::Unparsed, "{unparsed}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(judge(&item("yes", 0), " Yes."), Verdict::Right);
        assert_eq!(judge(&item("12", 0), "1"), Verdict::Wrong);
        assert_eq!(judge(&item("12", 0), "  "), Verdict::Unparsed);
    }

    #[test]
    fn every_item_can_be_read() {
        let items = shapes().unwrap();
        assert!(items.len() >= 300);
        for category in category_order() {
            assert!(items.iter().filter(|i| i.category == category).count() >= 50, "{category}");
        }
        assert!(items.iter().all(|i| judge(i, &i.answer) == Verdict::Right));
    }
}
