//! `tojson`: Python's `json.dumps`.

use std::fmt::Write as _;

use super::budget::{Budget, Failure};
use super::repr::float_repr;
use super::sort::sort_by;
use super::value::Value;

/// Says how JSON is written.
pub(super) struct Style {
    pub(super) ascii: bool,
    /// The indentation of one level; `None` writes all on one line.
    pub(super) indent: Option<String>,
    /// Between items, and between a key and its value.
    pub(super) separators: (String, String),
    pub(super) sorted: bool,
}

pub(super) fn write(
    value: &Value,
    style: &Style,
    level: usize,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    budget.charge(8)?;
    budget.fits(out.len())?;
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        // Writing to a String never fails.
        Value::Int(i) => drop(write!(out, "{i}")),
        Value::Float(f) => out.push_str(&float(*f)),
        Value::Str(text) => string(text, style, out, budget)?,
        // JSON has no tuples; `json.dumps` writes them as lists.
        Value::List(s) | Value::Tuple(s) => {
            out.push('[');
            for (i, item) in s.items.iter().enumerate() {
                separate(i, style, level, out, budget)?;
                write(item, style, level + 1, out, budget)?;
            }
            close(']', s.items.is_empty(), style, level, out, budget)?;
        }
        Value::Dict(d) => {
            let mut entries: Vec<&(Value, Value)> = d.entries.iter().collect();
            if style.sorted {
                // Keys of different kinds have no order: an error here as in `json.dumps`.
                sort_by(&mut entries, |a, b| a.0.order(&b.0, budget))?;
            }
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                separate(i, style, level, out, budget)?;
                match key {
                    Value::Str(text) => string(text, style, out, budget)?,
                    Value::Int(i) => drop(write!(out, "\"{i}\"")),
                    Value::Float(f) => drop(write!(out, "\"{}\"", float(*f))),
                    // `json.dumps` writes keys that are no strings as JSON spells them.
                    Value::Bool(b) => drop(write!(out, "\"{b}\"")),
                    Value::None => out.push_str("\"null\""),
                    other => {
                        return Err(Failure::new(format!(
                            "a {:?} is no key in JSON",
                            other.kind()
                        )));
                    }
                }
                out.push_str(&style.separators.1);
                write(item, style, level + 1, out, budget)?;
            }
            close('}', d.entries.is_empty(), style, level, out, budget)?;
        }
        other => {
            return Err(Failure::new(format!(
                "a {:?} cannot be written as JSON",
                other.kind()
            )));
        }
    }
    Ok(())
}

fn separate(
    i: usize,
    style: &Style,
    level: usize,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    if i > 0 {
        budget.charge(style.separators.0.len())?;
        out.push_str(&style.separators.0);
    }
    line(level + 1, style, out, budget)
}

fn close(
    bracket: char,
    empty: bool,
    style: &Style,
    level: usize,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    // `[]` and `{}` stay on one line, however much is indented.
    if !empty {
        line(level, style, out, budget)?;
    }
    out.push(bracket);
    Ok(())
}

fn line(level: usize, style: &Style, out: &mut String, budget: &mut Budget) -> Result<(), Failure> {
    let Some(indent) = &style.indent else {
        return Ok(());
    };
    budget.fits(out.len() + indent.len() * level)?;
    budget.charge(1 + indent.len() * level)?;
    out.push('\n');
    (0..level).for_each(|_| out.push_str(indent));
    Ok(())
}

fn float(value: f64) -> String {
    match value {
        // No JSON, but what `json.dumps` writes under `allow_nan`.
        v if v.is_nan() => "NaN".into(),
        v if v.is_infinite() => if v > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        v => float_repr(v),
    }
}

fn string(text: &str, style: &Style, out: &mut String, budget: &mut Budget) -> Result<(), Failure> {
    // `\u001f`: six bytes for one.
    budget.fits(out.len() + text.len() * 6)?;
    budget.charge(text.len() * 2)?;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            // DEL stays without `ensure_ascii`, as in `json.dumps`.
            c if c < ' ' || (style.ascii && !(' '..='~').contains(&c)) => {
                // Characters beyond the first plane are two escapes: JSON has UTF-16's surrogates.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}
