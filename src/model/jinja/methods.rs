//! The methods of Python's strings, lists, tuples and dicts that change nothing.

use std::sync::Arc;

use super::arguments::{Passed, needed, whole};
use super::budget::{Budget, Failure};
use super::format::all_printable;
use super::value::{Value, View, is_space};

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

/// Returns the kind of a value's attribute `name`.
pub(super) enum Attribute {
    Method,
    /// The sandbox lets nobody call it.
    Unsafe,
    None,
}

/// Tells whether `value` has a method of that name.
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
                if !key.is_hashable() {
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

#[expect(
    clippy::unnecessary_wraps,
    reason = "what a filter or a method returns"
)]
fn made(text: String) -> Made {
    Ok(Value::Str(text.into()))
}

fn strings(parts: impl IntoIterator<Item = String>) -> Made {
    Value::list(parts.into_iter().map(|p| Value::Str(p.into())).collect())
}

/// A string argument.
pub(super) fn text(value: Value, what: &str) -> Result<Arc<str>, Failure> {
    match value {
        Value::Str(text) => Ok(text),
        other => Err(Failure::new(format!(
            "{what} needs a string, not a {:?}",
            other.kind()
        ))),
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
            of_string_alone(own, name)
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
            strings(lines.into_iter().map(str::to_owned))
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

/// Returns a text without `part` at its start or its end, if it is there.
fn without_affix(own: &Arc<str>, name: &str, part: &str) -> Value {
    let kept = if name == "removeprefix" {
        own.strip_prefix(part)
    } else {
        own.strip_suffix(part)
    };
    kept.map_or_else(|| Value::Str(own.clone()), Value::str)
}

fn partition(own: &str, name: &str, passed: Passed, budget: &mut Budget) -> Made {
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

fn join(own: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [items] = passed.positional("join")?;
    let items = needed(items, "join", "iterable")?.items(budget)?;
    let mut out = String::new();
    for (i, item) in items.into_iter().enumerate() {
        let item = text(item, "join")?;
        let between = if i > 0 { own } else { "" };
        budget.fits(out.len() + between.len() + item.len())?;
        budget.charge(between.len() + item.len())?;
        out.push_str(between);
        out.push_str(&item);
    }
    made(out)
}

/// Methods without arguments.
fn of_string_alone(own: &str, name: &str) -> Made {
    let cased = |c: char| c.is_uppercase() || c.is_lowercase() || is_title_case(c);
    let all = |holds: fn(char) -> bool| Ok(Value::Bool(!own.is_empty() && own.chars().all(holds)));
    match name {
        "capitalize" => made(capitalize(own)),
        "lower" => made(own.to_lowercase()),
        "upper" => made(own.to_uppercase()),
        "title" => made(title(own)),
        "swapcase" => made(swap_case(own)),
        // Beyond ASCII it needs Unicode's full case folding, which the standard library has not.
        "casefold" if own.is_ascii() => made(own.to_ascii_lowercase()),
        "casefold" => Err(Failure::new(
            "casefold of letters beyond ASCII is not supported",
        )),
        "isascii" => Ok(Value::Bool(own.is_ascii())),
        "isspace" => all(is_space),
        "isalpha" => all(is_letter),
        "isprintable" => Ok(Value::Bool(all_printable(own))),
        "islower" => Ok(Value::Bool(
            own.chars().any(cased) && !own.chars().any(|c| c.is_uppercase() || is_title_case(c)),
        )),
        "isupper" => Ok(Value::Bool(
            own.chars().any(cased) && !own.chars().any(|c| c.is_lowercase() || is_title_case(c)),
        )),
        "isalnum" | "isdecimal" | "isdigit" | "isnumeric" if !own.is_ascii() => {
            // Python tells decimals, digits and numerals apart by tables of their own.
            let other = own.chars().any(|c| !c.is_ascii() && c.is_numeric());
            if other {
                return Err(Failure::new(format!(
                    "{name} of numerals beyond ASCII is not supported"
                )));
            }
            if name == "isalnum" {
                all(|c| c.is_ascii_digit() || is_letter(c))
            } else {
                Ok(Value::Bool(false))
            }
        }
        "isalnum" => all(|c| c.is_ascii_alphanumeric()),
        "isdecimal" | "isdigit" | "isnumeric" => all(|c| c.is_ascii_digit()),
        "isidentifier" => {
            let starts = own.starts_with(|c: char| c == '_' || is_letter(c));
            Ok(Value::Bool(
                starts && own.chars().all(|c| c == '_' || c.is_alphanumeric()),
            ))
        }
        _ => {
            // istitle: capitals only after what has no case, small letters only after what has.
            let (mut before, mut any) = (false, false);
            for c in own.chars() {
                let upper = c.is_uppercase() || is_title_case(c);
                if (upper && before) || (c.is_lowercase() && !before) {
                    return Ok(Value::Bool(false));
                }
                before = cased(c);
                any |= before;
            }
            Ok(Value::Bool(any))
        }
    }
}

/// Python's `str.swapcase`.
fn swap_case(text: &str) -> String {
    let lower = text.to_lowercase();
    let same = lower.chars().count() == text.chars().count();
    let mut lowered = lower.chars();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // From the whole text in small letters, since the last sigma of a word has a form of its
        // own.
        let small = if same { lowered.next() } else { None };
        if c.is_lowercase() {
            out.extend(c.to_uppercase());
        } else if let Some(small) = small {
            out.push(small);
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

fn is_title_case(c: char) -> bool {
    matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// A letter, as Unicode's categories have it: `char::is_alphabetic` counts marks and numerals too.
fn is_letter(c: char) -> bool {
    // `regex` is linked already, with Unicode's categories.
    static LETTER: std::sync::LazyLock<Option<regex::Regex>> =
        std::sync::LazyLock::new(|| regex::Regex::new(r"^\p{L}").ok());
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    LETTER
        .as_ref()
        .is_some_and(|letter| letter.is_match(c.encode_utf8(&mut [0; 4])))
}

/// The first letter of a word: in title case where Unicode has one.
fn push_title(c: char, out: &mut String) {
    match c {
        '\u{1c4}'..='\u{1c6}' => out.push('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => out.push('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => out.push('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => out.push('\u{1f2}'),
        // Georgian has capitals, but no title case.
        '\u{10d0}'..='\u{10ff}' => out.push(c),
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            // A ligature: the rest stays small.
            out.extend(upper.flat_map(char::to_lowercase));
        }
    }
}

/// Python's `str.capitalize`.
pub(super) fn capitalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    if let Some(first) = chars.next() {
        push_title(first, &mut out);
        // Lower case as a whole, since the last sigma of a word has a form of its own.
        let lower = text.to_lowercase();
        let skipped = first.to_lowercase().count();
        out.extend(lower.chars().skip(skipped));
    }
    out
}

/// Python's `str.title`.
fn title(text: &str) -> String {
    let lower = text.to_lowercase();
    let same = lower.chars().count() == text.chars().count();
    let mut lowered = lower.chars();
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let small = if same { lowered.next() } else { None };
        if !inside {
            push_title(c, &mut out);
        } else if let Some(small) = small {
            out.push(small);
        } else {
            out.extend(c.to_lowercase());
        }
        inside = c.is_uppercase() || c.is_lowercase() || is_title_case(c);
    }
    out
}

pub(super) fn strip<'a>(
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
    let gone = |c: char| {
        chars
            .as_ref()
            .map_or_else(|| is_space(c), |chars| chars.contains(&c))
    };
    Ok(match name {
        "lstrip" => own.trim_start_matches(gone),
        "rstrip" => own.trim_end_matches(gone),
        _ => own.trim_matches(gone),
    })
}

/// The part of `own` between two indices of characters, as Python slices; `None` where it begins
/// past the end.
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
pub(super) fn byte_of(text: &str, i: i64) -> usize {
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

fn affix(own: &str, name: &str, passed: Passed) -> Made {
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

fn find(own: &str, name: &str, passed: Passed, budget: &mut Budget) -> Made {
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
        at.map(|at| (start + within[..at].chars().count()) as i64)
    });
    match found {
        None if name.ends_with("index") => Err(Failure::new("substring not found")),
        found => Ok(Value::Int(found.unwrap_or(-1))),
    }
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
    made(own.replacen(old, new, count))
}

fn split(
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
        parts.reverse();
    }
    budget.items(parts.len())?;
    strings(parts.into_iter().map(str::to_owned))
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

/// The lines of a text, as Python's `splitlines` cuts them.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
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
        return made(format!("{sign}{}{digits}", filled(missing)));
    }
    made(format!("{}{own}{}", filled(left), filled(missing - left)))
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
    made(out)
}
