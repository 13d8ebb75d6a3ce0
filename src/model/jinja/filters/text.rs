//! Filters of a value's text.

use std::sync::Arc;

use crate::model::jinja::arguments::{self, Passed, needed, whole};
use crate::model::jinja::budget::{Budget, Failure};
use crate::model::jinja::json::{self, Style};
use crate::model::jinja::repr::is_space;
use crate::model::jinja::value::Value;
use crate::model::jinja::{format, methods};

type Made = Result<Value, Failure>;

pub(super) fn undefined(message: &Arc<str>) -> Failure {
    Failure::new(&**message)
}

/// Filters of a value's text.
pub(super) fn of_text(name: &str, value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let text = match name {
        // jinja2 gives these the value itself, and its text to the others.
        "indent" | "truncate" => own_text(name, value)?,
        _ => value.text(budget)?,
    };
    budget.charge(text.len())?;
    match name {
        "capitalize" | "lower" | "upper" => methods::call(&Value::Str(text), name, passed, budget),
        // `safe` marks text for an environment that escapes, which that of transformers does not.
        "string" | "safe" => {
            let [] = passed.positional(name)?;
            Ok(Value::Str(text))
        }
        "e" | "escape" | "forceescape" => {
            let [] = passed.positional(name)?;
            escaped(&text, budget)
        }
        "trim" => {
            let [chars] = passed.bind(name, ["chars"])?;
            Ok(Value::str(methods::strip(&text, chars, "strip")?))
        }
        "center" => {
            let [width] = passed.bind(name, ["width"])?;
            // jinja2's default; `str.center` has none.
            let width = width.unwrap_or(Value::Int(80));
            methods::call(&Value::Str(text), "center", Passed::of(vec![width]), budget)
        }
        "title" => {
            let [] = passed.positional(name)?;
            // Small letters of one capital take three bytes at most where it takes one.
            budget.text(text.len() * 3)?;
            Ok(title(&text).into())
        }
        "wordcount" => {
            let [] = passed.positional(name)?;
            Ok(Value::Int(words(&text)))
        }
        "urlencode" => {
            let [] = passed.positional(name)?;
            if !matches!(value, Value::Str(_)) {
                return Err(Failure::new(
                    "urlencode of anything but a string is not supported",
                ));
            }
            urlencoded(&text, budget)
        }
        "replace" => {
            let [old, new, count] = passed.bind(name, ["old", "new", "count"])?;
            let (old, new) = (
                needed(old, name, "old")?.text(budget)?,
                needed(new, name, "new")?.text(budget)?,
            );
            let count = count.filter(|c| !matches!(c, Value::None));
            methods::replace(&text, &old, &new, whole(count, name, -1)?, budget)
        }
        "indent" => indent(&text, passed, budget),
        "truncate" => truncate(&text, passed, budget),
        _ => formatted(&text, passed, budget),
    }
}

/// Returns the text of a filter that takes only strings.
fn own_text(name: &str, value: &Value) -> Result<Arc<str>, Failure> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Undefined(message) => Err(undefined(message)),
        other => Err(Failure::new(format!(
            "{name} needs a string, not a {:?}",
            other.kind()
        ))),
    }
}

/// Escapes as MarkupSafe does, which writes quotation marks by number.
fn escaped(text: &str, budget: &mut Budget) -> Made {
    // `&amp;`, `&#39;` and `&#34;` have five bytes for one.
    budget.text(text.len() * 5)?;
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    Ok(escaped.replace('\'', "&#39;").replace('"', "&#34;").into())
}

/// Counts words, as runs of Python's `\w`.
fn words(text: &str) -> i64 {
    let (mut before, mut count) = (false, 0);
    for c in text.chars() {
        let inside = c == '_' || c.is_alphanumeric();
        count += i64::from(inside && !before);
        before = inside;
    }
    count
}

fn urlencoded(text: &str, budget: &mut Budget) -> Made {
    // `%20`: three bytes for one.
    budget.text(text.len() * 3)?;
    Ok(text.bytes().map(url_byte).collect::<String>().into())
}

/// Spells a byte of a URL. jinja2 keeps slashes, unlike `urllib.parse.quote_plus`.
fn url_byte(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The filter `format`: the operator `%` with its arguments by place or by name.
fn formatted(text: &Arc<str>, passed: Passed, budget: &mut Budget) -> Made {
    if passed.named.is_empty() {
        return format::percent(text, &Value::tuple(passed.positional)?, budget);
    }
    if !passed.positional.is_empty() {
        return Err(Failure::new(
            "format takes arguments by place or by name, not both",
        ));
    }
    let named = passed.named.into_iter();
    let named = named.map(|(name, value)| (Value::Str(name), value));
    format::percent(text, &Value::dict(named.collect())?, budget)
}

/// jinja2's title case: a word begins after a space, a hyphen or an opening bracket.
fn title(text: &str) -> String {
    let between = |c: char| is_space(c) || "-({[<".contains(c);
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(between) {
        let (word, end) = match word.chars().last().filter(|c| between(*c)) {
            Some(c) => (&word[..word.len() - c.len_utf8()], Some(c)),
            None => (word, None),
        };
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            // Upper case where `str.title` has title case: jinja2 calls `upper` on the letter.
            out.extend(first.to_uppercase());
            out.push_str(&chars.as_str().to_lowercase());
        }
        out.extend(end);
    }
    out
}

fn indent(text: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [width, first, blank] = passed.bind("indent", ["width", "first", "blank"])?;
    let indention = match width {
        Some(Value::Str(text)) => text.to_string(),
        other => {
            let width = whole(other, "indent", 4)?.max(0) as usize;
            budget.text(width)?;
            " ".repeat(width)
        }
    };
    let (first, blank) = (truth(first), truth(blank));
    // The newline at the end keeps an empty last line.
    let whole = format!("{text}\n");
    let lines = methods::lines(&whole, false);
    budget.items(lines.len())?;
    budget.text(
        lines
            .len()
            .saturating_mul(indention.len())
            .saturating_add(whole.len()),
    )?;
    let mut out = String::new();
    for (i, line) in lines.into_iter().enumerate() {
        out.push_str(if i > 0 { "\n" } else { "" });
        let indented = if i == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        out.push_str(if indented { &indention } else { "" });
        out.push_str(line);
    }
    Ok(out.into())
}

fn truncate(text: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [length, kill, end, leeway] =
        passed.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let length = whole(length, "truncate", 255)?;
    let end = end.map_or_else(|| Ok("...".into()), |end| arguments::text(end, "truncate"))?;
    // The environment's policy `truncate.leeway` is 5.
    let leeway = whole(leeway.filter(|l| !matches!(l, Value::None)), "truncate", 5)?;
    let ends = end.chars().count() as i64;
    if length < ends || leeway < 0 {
        return Err(Failure::new(format!(
            "truncate needs a length of {ends} or more and a leeway of 0 or more"
        )));
    }
    // One that is longer by the leeway or less stays whole.
    if (text.chars().count() as i64) <= length.saturating_add(leeway) {
        return Ok(Value::str(text));
    }
    let kept = text
        .char_indices()
        .nth((length - ends) as usize)
        .map_or(text, |(at, _)| &text[..at]);
    let kept = if kill.is_some_and(|k| k.is_true()) {
        kept
    } else {
        // At a space alone, as jinja2: other white space does not end a word here.
        kept.rsplit_once(' ').map_or(kept, |(kept, _)| kept)
    };
    budget.text(kept.len() + end.len())?;
    Ok(format!("{kept}{end}").into())
}

pub(super) fn to_json(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [ascii, indent, separators, sorted] = passed.bind(
        "tojson",
        ["ensure_ascii", "indent", "separators", "sort_keys"],
    )?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(text)) => Some(text.to_string()),
        other => {
            let width = whole(other, "tojson: indent", 0)?.max(0) as usize;
            budget.text(width)?;
            Some(" ".repeat(width))
        }
    };
    let separators = match separators {
        None | Some(Value::None) => (
            // `json.dumps` leaves the space out at the end of lines.
            if indent.is_some() { "," } else { ", " }.to_owned(),
            ": ".to_owned(),
        ),
        Some(Value::List(s) | Value::Tuple(s)) if s.items.len() == 2 => {
            let [first, second] = [0, 1].map(|i| arguments::text(s.items[i].clone(), "separators"));
            (first?.to_string(), second?.to_string())
        }
        Some(_) => return Err(Failure::new("tojson: separators are a pair of strings")),
    };
    let style = Style {
        ascii: truth(ascii),
        indent,
        separators,
        sorted: truth(sorted),
    };
    let mut out = String::new();
    json::write(value, &style, 0, &mut out, budget)?;
    Ok(out.into())
}

pub(super) fn truth(value: Option<Value>) -> bool {
    value.is_some_and(|v| v.is_true())
}
