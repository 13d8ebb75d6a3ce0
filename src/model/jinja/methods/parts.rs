//! Parts of Python's strings: found, counted, cut off and cut apart.

use std::sync::Arc;

use crate::model::jinja::arguments::{Passed, needed, text, whole};
use crate::model::jinja::budget::{Budget, Failure};
use crate::model::jinja::repr::is_space;
use crate::model::jinja::value::Value;

type Made = Result<Value, Failure>;

pub(in crate::model::jinja) fn strip<'a>(
    own: &'a str,
    chars: Option<Value>,
    name: &str,
) -> Result<&'a str, Failure> {
    let chars: Option<Vec<char>> = match chars {
        None | Some(Value::None) => None,
        Some(Value::Str(chars)) => Some(chars.chars().collect()),
        Some(other) => {
            return Err(Failure::new(format!(
                "{name} needs a string or none, not a {:?}",
                other.kind()
            )));
        }
    };
    let chosen = chars.as_deref();
    // A set of characters, no word: `"abc".strip("ca")` is `"b"`.
    let gone = |c: char| chosen.map_or_else(|| is_space(c), |these| these.contains(&c));
    Ok(match name {
        "lstrip" => own.trim_start_matches(gone),
        "rstrip" => own.trim_end_matches(gone),
        _ => own.trim_matches(gone),
    })
}

/// Returns a text without `part` at its start or its end, if it is there.
pub(super) fn without_affix(own: &Arc<str>, name: &str, part: &str) -> Value {
    let kept = if name == "removeprefix" {
        own.strip_prefix(part)
    } else {
        own.strip_suffix(part)
    };
    kept.map_or_else(|| Value::Str(own.clone()), Value::str)
}

pub(super) fn partition(own: &str, name: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [separator] = passed.positional(name)?;
    let separator = text(needed(separator, name, "sep")?, name)?;
    if separator.is_empty() {
        return Err(Failure::new("empty separator"));
    }
    budget.charge(own.len())?;
    let from_left = name == "partition";
    let found = if from_left {
        own.split_once(&*separator)
    } else {
        own.rsplit_once(&*separator)
    };
    // Where there is no separator, all of it stands at the end that is looked from.
    let parts = match found {
        Some((before, after)) => [before, &*separator, after],
        None if from_left => [own, "", ""],
        None => ["", "", own],
    };
    Value::tuple(parts.map(Value::str).to_vec())
}

pub(super) fn affix(own: &str, name: &str, passed: Passed) -> Made {
    let [affixes, start, end] = passed.positional(name)?;
    let affixes = match needed(affixes, name, "prefix")? {
        // Several affixes come as a tuple; Python refuses a list.
        Value::Tuple(s) => s.items.clone(),
        one => vec![one],
    };
    let within = part(own, start, end)?;
    for affix in affixes {
        let affix = text(affix, name)?;
        let has = match within {
            Some((_, within)) if name == "startswith" => within.starts_with(&*affix),
            Some((_, within)) => within.ends_with(&*affix),
            None => false,
        };
        if has {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn find(own: &str, name: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [wanted, start, end] = passed.positional(name)?;
    let wanted = text(needed(wanted, name, "sub")?, name)?;
    budget.charge(own.len())?;
    let within = part(own, start, end)?;
    if name == "count" {
        let count = within.map_or(0, |(_, within)| {
            if wanted.is_empty() {
                // Python finds nothing between any two characters, and at both ends.
                within.chars().count() + 1
            } else {
                within.matches(&*wanted).count()
            }
        });
        return Ok(Value::Int(count as i64));
    }
    let found = within.and_then(|(start, within)| {
        let at = if name.starts_with('r') {
            within.rfind(&*wanted)
        } else {
            within.find(&*wanted)
        };
        // Python counts characters.
        at.map(|at| (start + within[..at].chars().count()) as i64)
    });
    match found {
        None if name.ends_with("index") => Err(Failure::new("substring not found")),
        found => Ok(Value::Int(found.unwrap_or(-1))),
    }
}

/// Returns the part of `own` between two indices of characters, as Python slices; `None` where it
/// begins past the end.
fn part(
    own: &str,
    start: Option<Value>,
    end: Option<Value>,
) -> Result<Option<(usize, &str)>, Failure> {
    let length = own.chars().count() as i64;
    let (start, end) = (index_or(start, 0)?, index_or(end, length)?);
    let place = |i: i64| if i < 0 { (i + length).max(0) } else { i };
    let (start, end) = (place(start), place(end).min(length));
    // Python finds not even an empty text beyond the end.
    if start > length || end < start {
        return Ok(None);
    }
    let bytes = byte_of(own, start)..byte_of(own, end);
    Ok(Some((start as usize, &own[bytes])))
}

fn index_or(value: Option<Value>, usual: i64) -> Result<i64, Failure> {
    match value {
        None | Some(Value::None) => Ok(usual),
        some => whole(some, "an index", 0),
    }
}

/// Returns the byte of a text's `i`th character, or its end.
pub(in crate::model::jinja) fn byte_of(text: &str, i: i64) -> usize {
    text.char_indices()
        .nth(i as usize)
        .map_or(text.len(), |(at, _)| at)
}

/// Tells whether Python's `splitlines` ends a line at this character.
fn ends_line(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

pub(super) fn split(
    own: &str,
    separator: Option<Value>,
    most: i64,
    from_right: bool,
    budget: &mut Budget,
) -> Made {
    // Negative means without limit. One less than all, for the `+ 1` below.
    let most = usize::try_from(most).unwrap_or(usize::MAX - 1);
    let mut parts = match separator {
        None | Some(Value::None) => {
            budget.charge(own.len() * 4)?;
            split_at_spaces(own, most, from_right)
        }
        Some(separator) => {
            let separator = text(separator, "split")?;
            if separator.is_empty() {
                return Err(Failure::new("empty separator"));
            }
            budget.charge(own.len() * 2)?;
            // Before the parts are collected: a text of separators alone becomes as many strings.
            budget.items(own.matches(&*separator).count().min(most) + 1)?;
            if from_right {
                own.rsplitn(most + 1, &*separator).collect()
            } else {
                own.splitn(most + 1, &*separator).collect()
            }
        }
    };
    if from_right {
        // Found from the right, they came last first.
        parts.reverse();
    }
    budget.items(parts.len())?;
    Value::list(parts.into_iter().map(Value::str).collect())
}

/// Splits at runs of spaces, at most `most` of them; the parts come in the order that they are found
/// in. Spaces at both ends are no parts, but where a limit ends the splitting the rest keeps those
/// at its far end.
fn split_at_spaces(own: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = if from_right {
        own.trim_end_matches(is_space)
    } else {
        own.trim_start_matches(is_space)
    };
    while !rest.is_empty() && parts.len() < most {
        let at = if from_right {
            rest.rfind(is_space)
        } else {
            rest.find(is_space)
        };
        let Some(at) = at else {
            parts.push(rest);
            return parts;
        };
        // Spaces beyond ASCII have several bytes.
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        if from_right {
            parts.push(&rest[at + width..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            parts.push(&rest[..at]);
            rest = rest[at..].trim_start_matches(is_space);
        }
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// Returns the lines of a text, as Python's `splitlines` cuts them.
pub(in crate::model::jinja) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends_line) {
        // One end of a line, not two.
        let width = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(&rest[..at + if keep { width } else { 0 }]);
        rest = &rest[at + width..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}
