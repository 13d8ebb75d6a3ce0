//! The text of values, as Python's `str` and `repr` write it.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::budget::{Budget, Failure};
use super::value::{Dict, Object, Value};

impl Value {
    /// Python's `str`.
    pub(super) fn text(&self, budget: &mut Budget) -> Result<Arc<str>, Failure> {
        match self {
            Self::Str(text) => Ok(text.clone()),
            Self::Undefined(_) => Ok("".into()),
            other => {
                let mut out = String::new();
                other.write_repr(&mut out, budget)?;
                Ok(out.into())
            }
        }
    }

    /// Appends Python's `str` to `out`.
    pub(super) fn write_text(&self, out: &mut String, budget: &mut Budget) -> Result<(), Failure> {
        match self {
            Self::Str(text) => {
                budget.fits(out.len() + text.len())?;
                budget.charge(text.len())?;
                out.push_str(text);
                Ok(())
            }
            Self::Undefined(_) => Ok(()),
            other => other.write_repr(out, budget),
        }
    }

    /// Appends Python's `repr` to `out`.
    pub(super) fn write_repr(&self, out: &mut String, budget: &mut Budget) -> Result<(), Failure> {
        budget.charge(8)?;
        budget.fits(out.len())?;
        match self {
            Self::Undefined(_) => out.push_str("Undefined"),
            Self::None => out.push_str("None"),
            Self::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Self::Int(i) => drop(write!(out, "{i}")),
            Self::Float(f) => out.push_str(&float_repr(*f)),
            Self::Str(text) => {
                // `\U0010ffff` has ten.
                budget.fits(out.len() + text.len() * 10)?;
                budget.charge(text.len() * 4)?;
                write_str_repr(text, out);
            }
            Self::List(s) => write_items(out, budget, ("[", "]"), &s.items)?,
            // `(1,)`: without the comma it would read as a number in brackets.
            Self::Tuple(s) if s.items.len() == 1 => {
                write_items(out, budget, ("(", ",)"), &s.items)?;
            }
            Self::Tuple(s) => write_items(out, budget, ("(", ")"), &s.items)?,
            Self::Dict(d) => d.write_repr(out, budget)?,
            Self::View(..) => {
                let _ = write!(out, "{}(", self.kind());
                let items = self.items(budget)?;
                write_items(out, budget, ("[", "]"), &items)?;
                out.push(')');
            }
            // Python leaves a step of 1 out.
            Self::Range(first, end, 1) => drop(write!(out, "range({first}, {end})")),
            Self::Range(first, end, step) => drop(write!(out, "range({first}, {end}, {step})")),
            Self::Iterator(_) => return Err(address("generator; use |list or |join")),
            Self::Object(object) => self.write_object(object, out, budget)?,
        }
        Ok(())
    }

    fn write_object(
        &self,
        object: &Object,
        out: &mut String,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        match object {
            Object::Macro(made, _) if made.is_caller() => out.push_str("<Macro anonymous>"),
            Object::Macro(made, _) => drop(write!(out, "<Macro {}>", str_repr(&made.name))),
            Object::Loop(l) => {
                let (turn, count) = (l.index.get() + 1, l.items.items.len());
                let _ = write!(out, "<LoopContext {turn}/{count}>");
            }
            Object::Namespace(n) => {
                // Its depth is that of what was set: one may hold another that got its own later,
                // or itself.
                budget.enter()?;
                let attributes = n.attributes.borrow();
                budget.items(attributes.len())?;
                let entries = attributes
                    .iter()
                    .map(|(name, value)| (Self::Str(name.clone()), value.clone()));
                out.push_str("<Namespace ");
                Self::dict(entries.collect())?.write_repr(out, budget)?;
                out.push('>');
                budget.leave();
            }
            _ => return Err(address(self.kind())),
        }
        Ok(())
    }
}

impl Dict {
    fn write_repr(&self, out: &mut String, budget: &mut Budget) -> Result<(), Failure> {
        out.push('{');
        for (i, (key, value)) in self.entries.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            key.write_repr(out, budget)?;
            out.push_str(": ");
            value.write_repr(out, budget)?;
        }
        out.push('}');
        Ok(())
    }
}

fn address(kind: &str) -> Failure {
    Failure::new(format!(
        "the text of a {kind} is an address in memory, no part of a prompt"
    ))
}

fn write_items(
    out: &mut String,
    budget: &mut Budget,
    (open, close): (&str, &str),
    items: &[Value],
) -> Result<(), Failure> {
    out.push_str(open);
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        item.write_repr(out, budget)?;
    }
    out.push_str(close);
    Ok(())
}

/// Python's `str.isspace` of one character.
pub(super) fn is_space(c: char) -> bool {
    // Unicode's White_Space lacks the four separators of ASCII, which Python counts.
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Python's `repr` of a float: the fewest digits that read back as it.
pub(super) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    // Rust, too, prints the shortest digits that read back; only where the point stands differs.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // The bounds of CPython's `repr`: 1e16 has an exponent, 1e15 has none.
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Tells whether Python's `repr` writes a character as it is.
pub(super) fn is_printable(c: char) -> bool {
    // Unicode's categories Other and Separator, which Python escapes.
    static OTHER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{C}\p{Z}]").ok());
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    !OTHER
        .as_ref()
        .is_some_and(|other| other.is_match(c.encode_utf8(&mut [0; 4])))
}

pub(super) fn str_repr(text: &str) -> String {
    let mut out = String::new();
    write_str_repr(text, &mut out);
    out
}

fn write_str_repr(text: &str, out: &mut String) {
    // Python avoids escapes where it can.
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => {
                let code = c as u32;
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}
