//! The options of a question: a list, an object, one text that lists them, or a column for each.

use serde_json::{Map, Value};

use super::literal;
use super::value::{is_empty, text_of};

/// Marks before options in one text: the texts before and behind the letter.
const MARKS: [(&str, &str); 5] = [("(", ")"), ("", "."), ("", ")"), ("", ":"), ("[", "]")];

/// Reads the options of one cell.
pub(super) fn parse(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(all) => list(all),
        Value::Object(object) => by_name(object),
        Value::String(text) if text.trim().is_empty() => Ok(Vec::new()),
        // A list or an object in a text goes before marks: both may hold "A.".
        Value::String(text) => match literal::parse(text) {
            Some(Value::Array(all)) => list(&all),
            Some(Value::Object(object)) => by_name(&object),
            // "(a) red (b) blue" begins like a Python tuple.
            _ => listed(text).ok_or_else(|| unread(text)),
        },
        other => Err(format!("{other} is no list of options")),
    }
}

fn unread(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    format!(
        "{start:?} is one text; a list (JSON or Python), an object {{\"A\": ..}}, or a text \
         such as \"A. .. B. ..\" or \"(a) .. (b) ..\" is read"
    )
}

fn list(all: &[Value]) -> Result<Vec<String>, String> {
    all.iter()
        .enumerate()
        .map(|(i, value)| {
            list_option(value).map_err(|what| format!("option {} of the list is {what}", i + 1))
        })
        .collect()
}

/// Reads one option of a list; the error says what it is instead.
fn list_option(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::Null => Err("empty"),
        Value::String(text) if text.trim().is_empty() => Err("empty"),
        Value::Array(_) => Err("a list"),
        // Objects of a label and a text.
        Value::Object(object) => ["text", "option", "content", "value"]
            .into_iter()
            .find_map(|name| object.get(name)?.as_str())
            .map(String::from)
            .ok_or("an object without \"text\""),
        other => Ok(text_of(other)),
    }
}

/// Reads `{"A": "red", "B": "blue"}`, `{"0": ..}`, or
/// `{"label": ["A", "B"], "text": ["red", "blue"]}`.
fn by_name(object: &Map<String, Value>) -> Result<Vec<String>, String> {
    // The form of ARC's `choices` on the Hugging Face hub: two lists of one length.
    if let (2, Some(Value::Array(labels)), Some(Value::Array(texts))) =
        (object.len(), object.get("label"), object.get("text"))
    {
        let ordered = labels
            .iter()
            .enumerate()
            .all(|(i, label)| place(&text_of(label)).is_some_and(|p| p == i));
        return if ordered && labels.len() == texts.len() {
            list(texts)
        } else {
            Err("the labels of the options are not A, B, ... in order".into())
        };
    }
    let mut places = Vec::new();
    for (name, value) in object {
        let place = place(name)
            .ok_or_else(|| format!("{name:?} names no option: A, B, ... or 0, 1, ... do"))?;
        places.push((place, name.clone(), value.clone()));
    }
    // Objects of JSON have no order that one could rely on.
    places.sort_by_key(|p| p.0);
    in_places(places)
}

/// Returns the index of the option `name`: A or 0 is the first.
pub(super) fn place(name: &str) -> Option<usize> {
    let name = name.trim().trim_matches(['(', ')', '.']);
    match name.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => {
            Some(usize::from(letter.to_ascii_uppercase() - b'A'))
        }
        digits
            if digits.len() <= 3 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
        {
            name.parse().ok()
        }
        _ => None,
    }
}

/// Orders options by their places, which begin at 0 or 1 and have no gap; empty ones come last.
pub(super) fn in_places(places: Vec<(usize, String, Value)>) -> Result<Vec<String>, String> {
    // Numbers may begin at 1, letters begin at A.
    let first = places
        .first()
        .filter(|p| p.1.ends_with(|c: char| c.is_ascii_digit()))
        .map_or(0, |p| p.0.min(1));
    let (mut options, mut expected) = (Vec::new(), first);
    for (place, name, value) in places {
        if place != expected && !is_empty(&value) {
            return Err(format!("{name}: there is no option before it"));
        }
        if is_empty(&value) {
            // The next option that is not empty is then an error: none stands before it.
            continue;
        }
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            return Err(format!(
                "{name}: a list or an object, not the words of an option"
            ));
        }
        options.push(text_of(&value));
        expected = place + 1;
    }
    Ok(options)
}

/// Parses a text such as "(a) red (b) blue" or "A. red\nB. blue": marks of one kind, in the order of
/// the alphabet.
fn listed(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    // `(a)` before `a)`, which is a part of it.
    for (before, after) in MARKS {
        for first in [b'A', b'a'] {
            let found = marked(text, first, before, after);
            // One mark alone is the beginning of a sentence: "A. Lincoln".
            if found.len() > 1 && found.iter().all(|o| !o.is_empty()) {
                return Some(found);
            }
        }
    }
    None
}

fn marked(text: &str, first: u8, before: &str, after: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mark = |i: u8| format!("{before}{}{after}", char::from(first + i));
    // The first mark has to open the text: words before it would be lost.
    let Some(mut rest) = text.strip_prefix(&mark(0)) else {
        return found;
    };
    for next in 1..=26 {
        let end = if next < 26 {
            start_of(rest, &mark(next))
        } else {
            None
        };
        let option = &rest[..end.unwrap_or(rest.len())];
        // Separators between options do not belong to their words.
        let cut = if end.is_some() {
            option.trim_end().trim_end_matches([',', ';'])
        } else {
            option
        };
        found.push(cut.trim().to_owned());
        let Some(end) = end else { break };
        rest = &rest[end + mark(next).len()..];
    }
    found
}

/// Finds `mark` in `text` as a word of its own.
fn start_of(text: &str, mark: &str) -> Option<usize> {
    for (at, _) in text.match_indices(mark) {
        let before = text[..at].chars().next_back();
        let after = text[at + mark.len()..].chars().next();
        if before.is_some_and(|c| c.is_whitespace() || matches!(c, ',' | ';'))
            && (mark.starts_with('(') || after.is_none_or(char::is_whitespace))
        {
            return Some(at);
        }
    }
    // "(b)" is a mark even without a space before it.
    text.find(mark).filter(|_| mark.starts_with('('))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_read_from_every_form() {
        let two = json!(["red", "blue"]);
        let forms = [
            json!(["red", "blue"]),
            json!("['red', 'blue']"),
            json!("[\"red\", \"blue\"]"),
            json!("['red' 'blue']"),
            json!("(a) red (b) blue"),
            json!("(A) red\n(B) blue"),
            json!("(a)red (b)blue"),
            json!("(a) red(b) blue"),
            json!({"1": "red", "2": "blue"}),
            json!("A. red\nB. blue"),
            json!("A. red B. blue"),
            json!("A: red, B: blue"),
            json!("a) red b) blue"),
            json!({"A": "red", "B": "blue"}),
            json!({"A": "red", "B": "blue", "C": null}),
            json!("{'A': 'red', 'B': 'blue'}"),
            json!({"0": "red", "1": "blue"}),
            json!({"label": ["A", "B"], "text": ["red", "blue"]}),
            json!([{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]),
        ];
        for form in forms {
            assert_eq!(parse(&form).map(|o| json!(o)), Ok(two.clone()), "{form}");
        }
        assert_eq!(parse(&json!("")), Ok(Vec::new()));
        assert_eq!(
            parse(&json!(["N/A", "nan", 3, 2.5])),
            Ok(["N/A", "nan", "3", "2.5"].map(String::from).to_vec())
        );
        let many = json!("A. x is A. B. y");
        assert_eq!(parse(&many).unwrap(), ["x is A.", "y"]);
    }

    #[test]
    fn what_would_drop_an_option_is_an_error() {
        let forms = [
            json!("red"),
            json!("red, blue"),
            json!("(a) red"),
            json!("['red'"),
            json!(["red", null]),
            json!([["red"], "blue"]),
            json!({"A": "red", "C": "blue"}),
            json!({"B": "red", "C": "blue"}),
            json!({"first": "red"}),
            json!({"label": ["B", "A"], "text": ["red", "blue"]}),
            json!([{"name": "red"}]),
            json!(3),
        ];
        for form in forms {
            assert!(parse(&form).is_err(), "{form}");
        }
    }
}
