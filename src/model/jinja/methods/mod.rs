//! The methods of Python's strings, lists, tuples and dicts that change nothing.

mod case;
mod parts;

use std::sync::Arc;

use super::arguments::{Passed, needed, text, whole};
use super::budget::{Budget, Failure};
use super::value::{Value, View};
use parts::{affix, find, partition, split, without_affix};
pub(super) use parts::{byte_of, lines, strip};

type Made = Result<Value, Failure>;

// All that Python has, supported or not: to call one that is missing must be an error, not an
// undefined value that prints nothing.
const OF_STRINGS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const OF_LISTS: &[&str] = &["copy", "count", "index"];
const OF_LISTS_CHANGING: &[&str] = &[
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
];
const OF_DICTS: &[&str] = &["copy", "fromkeys", "get", "items", "keys", "values"];
const OF_DICTS_CHANGING: &[&str] = &["clear", "pop", "popitem", "setdefault", "update"];

/// The kind of a value's attribute.
pub(super) enum Attribute {
    Method,
    /// The sandbox lets nobody call it.
    Unsafe,
    None,
}

/// Returns the kind of the attribute `name` of `value`.
pub(super) fn attribute(value: &Value, name: &str) -> Attribute {
    let (known, changing): (&[&str], &[&str]) = match value {
        Value::Str(_) => (OF_STRINGS, &[]),
        Value::List(_) => (OF_LISTS, OF_LISTS_CHANGING),
        Value::Tuple(_) => (&["count", "index"], &[]),
        Value::Dict(_) => (OF_DICTS, OF_DICTS_CHANGING),
        _ => (&[], &[]),
    };
    if known.contains(&name) {
        Attribute::Method
    } else if changing.contains(&name) {
        Attribute::Unsafe
    } else {
        Attribute::None
    }
}

/// Calls a method of a string, a list, a tuple or a dict.
pub(super) fn call(value: &Value, name: &str, passed: Passed, budget: &mut Budget) -> Made {
    match value {
        Value::Str(text) => {
            budget.charge(text.len())?;
            of_string(text, name, passed, budget)
        }
        Value::List(s) | Value::Tuple(s) => of_sequence(value, &s.items, name, passed, budget),
        Value::Dict(dict) => match name {
            "get" => {
                let [key, usual] = passed.positional("get")?;
                let key = needed(key, "get", "key")?;
                if !key.is_hashable(budget)? {
                    return Err(Failure::new(format!("unhashable type: {:?}", key.kind())));
                }
                Ok(dict
                    .get(&key, budget)?
                    .cloned()
                    .unwrap_or(usual.unwrap_or(Value::None)))
            }
            "items" | "keys" | "values" | "copy" => {
                let [] = passed.positional(name)?;
                Ok(match name {
                    // A view, since its text is `dict_items([...])`, and templates print it.
                    "items" => Value::View(View::Items, dict.clone()),
                    "keys" => Value::View(View::Keys, dict.clone()),
                    "values" => Value::View(View::Values, dict.clone()),
                    // A copy of what is never changed is the thing itself.
                    _ => value.clone(),
                })
            }
            _ => Err(unsupported(value, name)),
        },
        _ => Err(unsupported(value, name)),
    }
}

fn unsupported(value: &Value, name: &str) -> Failure {
    Failure::new(format!(
        "the method {name} of a {} is not supported in a chat template",
        value.kind()
    ))
}

fn of_sequence(
    value: &Value,
    items: &[Value],
    name: &str,
    passed: Passed,
    budget: &mut Budget,
) -> Made {
    match name {
        "copy" => {
            let [] = passed.positional("copy")?;
            Ok(value.clone())
        }
        "count" => {
            let [wanted] = passed.positional("count")?;
            let wanted = needed(wanted, "count", "value")?;
            let mut count = 0;
            for item in items {
                count += i64::from(item.equals(&wanted, budget)?);
            }
            Ok(Value::Int(count))
        }
        "index" => {
            let [wanted] = passed.positional("index")?;
            let wanted = needed(wanted, "index", "value")?;
            for (i, item) in items.iter().enumerate() {
                if item.equals(&wanted, budget)? {
                    return Ok(Value::Int(i as i64));
                }
            }
            Err(Failure::new("index: the value is not in the list"))
        }
        _ => Err(unsupported(value, name)),
    }
}

fn of_string(own: &Arc<str>, name: &str, passed: Passed, budget: &mut Budget) -> Made {
    match name {
        "capitalize" | "casefold" | "lower" | "swapcase" | "title" | "upper" | "isalnum"
        | "isalpha" | "isascii" | "isdecimal" | "isdigit" | "isidentifier" | "islower"
        | "isnumeric" | "isprintable" | "isspace" | "istitle" | "isupper" => {
            let [] = passed.positional(name)?;
            // A letter can become three.
            budget.text(own.len() * 3)?;
            case::call(own, name)
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = passed.positional(name)?;
            let kept = strip(own, chars, name)?;
            budget.text(kept.len())?;
            Ok(Value::str(kept))
        }
        "startswith" | "endswith" => affix(own, name, passed),
        "removeprefix" | "removesuffix" => {
            let [part] = passed.positional(name)?;
            let part = text(needed(part, name, "affix")?, name)?;
            Ok(without_affix(own, name, &part))
        }
        "replace" => {
            let [old, new, count] = passed.positional("replace")?;
            let (old, new) = (
                text(needed(old, name, "old")?, name)?,
                text(needed(new, name, "new")?, name)?,
            );
            replace(own, &old, &new, whole(count, name, -1)?, budget)
        }
        "split" | "rsplit" => {
            let [separator, most] = passed.bind(name, ["sep", "maxsplit"])?;
            split(
                own,
                separator,
                whole(most, name, -1)?,
                name == "rsplit",
                budget,
            )
        }
        "splitlines" => {
            let [keep] = passed.bind(name, ["keepends"])?;
            let lines = lines(own, keep.is_some_and(|k| k.is_true()));
            budget.items(lines.len())?;
            budget.charge(own.len())?;
            Value::list(lines.into_iter().map(Value::str).collect())
        }
        "partition" | "rpartition" => partition(own, name, passed, budget),
        "join" => join(own, passed, budget),
        "find" | "rfind" | "index" | "rindex" | "count" => find(own, name, passed, budget),
        "center" | "ljust" | "rjust" | "zfill" => pad(own, name, passed, budget),
        "expandtabs" => {
            let [size] = passed.bind(name, ["tabsize"])?;
            expand_tabs(own, whole(size, name, 8)?.max(0) as usize, budget)
        }
        _ => Err(unsupported(&Value::Str(own.clone()), name)),
    }
}

fn join(own: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [items] = passed.positional("join")?;
    let items = needed(items, "join", "iterable")?.items(budget)?;
    let mut out = String::new();
    for (i, item) in items.into_iter().enumerate() {
        // Python joins strings alone; the filter `join` takes anything.
        let item = text(item, "join")?;
        let between = if i > 0 { own } else { "" };
        budget.fits(out.len() + between.len() + item.len())?;
        budget.charge(between.len() + item.len())?;
        out.push_str(between);
        out.push_str(&item);
    }
    Ok(out.into())
}

/// Python's `str.replace`.
pub(super) fn replace(own: &str, old: &str, new: &str, most: i64, budget: &mut Budget) -> Made {
    budget.charge(own.len())?;
    let found = if old.is_empty() {
        own.chars().count() + 1
    } else {
        own.matches(old).count()
    };
    let count = usize::try_from(most).map_or(found, |most| most.min(found));
    budget.text(
        (own.len() - if old.is_empty() { 0 } else { count * old.len() })
            .saturating_add(count.saturating_mul(new.len())),
    )?;
    // Rust puts `new` around every character as Python does where `old` is empty.
    Ok(own.replacen(old, new, count).into())
}

fn pad(own: &str, name: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [width, fill] = passed.positional(name)?;
    let width = whole(Some(needed(width, name, "width")?), name, 0)?.max(0) as usize;
    let fill = match fill {
        None if name == "zfill" => '0',
        None => ' ',
        Some(fill) => {
            let fill = text(fill, name)?;
            let mut chars = fill.chars();
            match (chars.next(), chars.next()) {
                // `zfill` has its zeros, and takes no fill.
                (Some(c), None) if name != "zfill" => c,
                _ => {
                    return Err(Failure::new(format!(
                        "{name}: the fill must be one character"
                    )));
                }
            }
        }
    };
    let length = own.chars().count();
    let missing = width.saturating_sub(length);
    budget.text(
        own.len()
            .saturating_add(missing.saturating_mul(fill.len_utf8())),
    )?;
    // As CPython rounds it.
    let left = match name {
        "ljust" => 0,
        "rjust" | "zfill" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    let filled = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    if name == "zfill" {
        // Zeros go behind a sign.
        let (sign, digits) = own.split_at(usize::from(own.starts_with(['+', '-'])));
        return Ok(format!("{sign}{}{digits}", filled(missing)).into());
    }
    Ok(format!("{}{own}{}", filled(left), filled(missing - left)).into())
}

fn expand_tabs(own: &str, size: usize, budget: &mut Budget) -> Made {
    budget.text(
        own.len()
            .saturating_add(own.matches('\t').count().saturating_mul(size)),
    )?;
    let mut out = String::new();
    let mut column = 0;
    for c in own.chars() {
        match c {
            '\t' => {
                // To the next multiple of `size`; with 0 a tab is nothing.
                let width = if size == 0 { 0 } else { size - column % size };
                out.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out.into())
}
