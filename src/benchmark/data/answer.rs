//! The right answer of a row: a letter, a number, an option's words, or several texts of which each
//! is right.

use serde_json::Value;

use super::literal;
use super::value::text_of;

/// The forms of an answer to a question with options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerForm {
    /// A letter, an option's words, or a number that is not both.
    Any,
    /// A number is the index of an option, whatever the options say: AI2D, ScienceQA.
    Places,
    /// Words as they are, which need not be an option's: MathVista.
    Words,
}

/// Options that have letters.
const LETTERS: usize = 26;

/// Reads an answer: the letter of questions with options, or the words where the table has these; the
/// text of open questions. Several right answers become a JSON list of texts.
pub(super) fn read(value: &Value, options: &[String], how: AnswerForm) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Bool(yes) if options.is_empty() => Ok(if *yes { "Yes" } else { "No" }.into()),
        Value::Array(all)
            if all
                .iter()
                .any(|v| matches!(v, Value::Object(_) | Value::Array(_) | Value::Null)) =>
        {
            Err("a list of something else than texts".into())
        }
        Value::Array(all) => match all.as_slice() {
            [] => Ok(String::new()),
            [one] => read(one, options, how),
            several if several.iter().all(Value::is_string) => {
                let read = |v: &Value| read(v, options, how);
                let mut texts = several.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                // Two spellings of one option that stand side by side are one answer.
                texts.dedup();
                Ok(if let [one] = texts.as_slice() {
                    one.clone()
                } else {
                    Value::from(texts).to_string()
                })
            }
            _ => Ok(value.to_string()),
        },
        Value::Object(_) => Err("an object".into()),
        // Unless it is an option's words: some questions offer lists to choose from.
        Value::String(text) if text.starts_with('[') && !options.iter().any(|o| o == text) => {
            match several(text) {
                Some(all) => read(&all, options, how),
                None if options.is_empty() => Ok(text.clone()),
                None => one(text, false, options, how),
            }
        }
        Value::String(text) if options.is_empty() => Ok(text.clone()),
        Value::Number(number) if options.is_empty() => Ok(number.to_string()),
        Value::String(text) if text.is_empty() => Ok(String::new()),
        _ => one(&text_of(value), !value.is_string(), options, how),
    }
}

/// Parses a list of texts in one text, as JSON or as Python; lists of numbers are answers by
/// themselves.
fn several(text: &str) -> Option<Value> {
    let all = literal::parse(text)?;
    all.as_array()
        .is_some_and(|a| !a.is_empty() && a.iter().all(Value::is_string))
        .then_some(all)
}

/// Reads one answer; `typed` marks a number, not a text of digits.
fn one(text: &str, typed: bool, options: &[String], how: AnswerForm) -> Result<String, String> {
    if how == AnswerForm::Words {
        return Ok(text.to_owned());
    }
    let number = whole(text);
    if let Some(number) = number.filter(|_| how == AnswerForm::Places) {
        return by_number(text, number, options);
    }
    // To the letter; `by_words` sets case aside where nothing else fits.
    let same: Vec<usize> = (0..options.len()).filter(|&i| options[i] == text).collect();
    match (same.as_slice(), number) {
        // A text "2" is the words of an option that says 2. A number 2 may be either, and a guess
        // would score rows wrong without a sign.
        ([own], Some(number)) if typed && number < options.len() && number != *own => Err(format!(
            "{text} is option {number}, counted from 0, and the words of option {own}; write a \
             letter, or a text"
        )),
        ([_], _) => Ok(text.to_owned()),
        // Letters tell apart what words do not.
        ([_, _, ..], _) if letter(text, options).is_none() => {
            Err(format!("{text:?} says {} of the options", same.len()))
        }
        (_, Some(number)) => by_number(text, number, options),
        (_, None) => match letter(text, options) {
            Some(letter) => letter,
            None => by_words(text, options),
        },
    }
}

/// Parses a number, also as pandas writes it in a column with missing ones: 2.0.
fn whole(text: &str) -> Option<usize> {
    let digits = text
        .trim()
        .trim_end_matches('0')
        // Only behind a point: 20 stays 20.
        .strip_suffix('.')
        .filter(|_| text.contains('.'))
        .unwrap_or(text.trim());
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        None
    } else {
        digits.parse().ok()
    }
}

/// Returns the letter of the option at index `number`; its words if it has no letter.
fn by_number(text: &str, number: usize, options: &[String]) -> Result<String, String> {
    // `options` is not empty: `one` is called for questions with options alone.
    let Some(words) = options.get(number) else {
        return Err(format!(
            "{text}, the options are 0 to {}",
            options.len() - 1
        ));
    };
    // Options beyond Z have no letter by which readers could name them.
    Ok(if number < LETTERS {
        char::from(b'A' + number as u8).to_string()
    } else {
        words.clone()
    })
}

/// Parses a letter as tables write it: B, (b), B., "B. blue"; an error if there is no such option.
fn letter(text: &str, options: &[String]) -> Option<Result<String, String>> {
    let text = text.trim();
    let bare = text.trim_matches(['(', ')', '[', ']', '.', ':', ' ']);
    // Brackets, a point and a colon aside.
    let letter = if bare.len() == 1 {
        first_letter(bare)?
    } else {
        // "B. blue": a letter, and below the words that must be its option's.
        first_letter(text.trim_start_matches(['(', '[']))?
    };
    let place = usize::from(letter - b'A');
    if bare.len() == 1 {
        if place < options.len() {
            return Some(Ok(char::from(letter).to_string()));
        }
        let last = char::from(b'A' + options.len().min(LETTERS) as u8 - 1);
        return Some(Err(format!("{text:?}, the options are A to {last}")));
    }
    let rest = text
        .trim_start_matches(['(', '['])
        .get(1..)?
        .trim_start_matches([')', ']', '.', ':'])
        .trim();
    (options.get(place).map(|o| o.trim()) == Some(rest)).then(|| Ok(char::from(letter).to_string()))
}

/// Returns the first character in upper case, if it is an ASCII letter.
fn first_letter(text: &str) -> Option<u8> {
    let letter = text.bytes().next()?.to_ascii_uppercase();
    letter.is_ascii_uppercase().then_some(letter)
}

/// Finds the option of these words, case and outer spaces aside, and returns it as it is spelled.
fn by_words(text: &str, options: &[String]) -> Result<String, String> {
    let plain = |s: &str| s.trim().to_lowercase();
    let found: Vec<&String> = options.iter().filter(|o| plain(o) == plain(text)).collect();
    match found.as_slice() {
        [own] => Ok((*own).clone()),
        [] => Err(format!(
            "{:?} is none of the options",
            text.chars().take(60).collect::<String>()
        )),
        several => Err(format!("{text:?} says {} of the options", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options() -> Vec<String> {
        ["red", "Blue", "3", "0"].map(String::from).to_vec()
    }

    #[test]
    fn answers_are_read_from_every_form() {
        let none = AnswerForm::Any;
        let cases = [
            ("A", "A"),
            ("b", "B"),
            ("(b)", "B"),
            ("(B)", "B"),
            ("B.", "B"),
            ("[d]", "D"),
            ("B. Blue", "B"),
            ("(b) Blue", "B"),
            ("red", "red"),
            ("Red", "red"),
            (" blue ", "Blue"),
            ("3", "3"),
            ("1", "B"),
            ("1.0", "B"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                read(&json!(text), &options(), none).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        assert_eq!(read(&json!(1), &options(), none).as_deref(), Ok("B"));
        assert_eq!(
            read(&json!("3"), &options(), AnswerForm::Places).as_deref(),
            Ok("D")
        );
        assert_eq!(
            read(&json!(0), &options(), AnswerForm::Words).as_deref(),
            Ok("0")
        );
        assert_eq!(
            read(&json!("B"), &options(), AnswerForm::Words).as_deref(),
            Ok("B")
        );
        assert_eq!(
            read(&json!("2.5"), &options(), AnswerForm::Words).as_deref(),
            Ok("2.5")
        );
        assert_eq!(
            read(&json!(["x", "y"]), &[], none).as_deref(),
            Ok("[\"x\",\"y\"]")
        );
        assert_eq!(read(&json!(["x"]), &[], none).as_deref(), Ok("x"));
        assert_eq!(read(&json!("[1, 2]"), &[], none).as_deref(), Ok("[1, 2]"));
        assert_eq!(
            read(&json!("['x', 'y']"), &[], none).as_deref(),
            Ok("[\"x\",\"y\"]")
        );
        assert_eq!(read(&json!(true), &[], none).as_deref(), Ok("Yes"));
        for word in ["N/A", "nan", "None", "null"] {
            assert_eq!(read(&json!(word), &[], none).as_deref(), Ok(word));
            let with = [word.to_owned(), "x".into()];
            assert_eq!(read(&json!(word), &with, none).as_deref(), Ok(word));
        }
    }

    #[test]
    fn what_no_option_says_is_an_error() {
        let none = AnswerForm::Any;
        for value in [
            json!("E"),
            json!("purple"),
            json!("7"),
            json!(0),
            json!("A,B"),
            json!({"a": 1}),
            json!([["x"]]),
            json!(true),
        ] {
            assert!(read(&value, &options(), none).is_err(), "{value}");
        }
        let twice = ["x".to_owned(), "x".into()];
        assert!(read(&json!("x"), &twice, none).is_err());
        assert_eq!(read(&json!("B"), &twice, none).as_deref(), Ok("B"));
    }
}
