//! Filters of jinja2: `value | name(arguments)`.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use super::arguments::{Passed, needed, whole};
use super::ast::Operator;
use super::budget::{Budget, Failure};
use super::filter_names::{self, MARKUP};
use super::json::{self, Style};
use super::sort::sort_by;
use super::value::{Dict, Value, View, is_space};
use super::{access, checks, format, methods, operators};

type Made = Result<Value, Failure>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "what a filter or a method returns"
)]
fn made(text: String) -> Made {
    Ok(Value::Str(text.into()))
}

fn undefined(message: &Arc<str>) -> Failure {
    Failure::new(&**message)
}

pub(super) fn call(name: &str, value: Value, passed: Passed, budget: &mut Budget) -> Made {
    match name {
        "capitalize" | "lower" | "title" | "trim" | "upper" | "wordcount" | "center"
        | "urlencode" | "replace" | "indent" | "truncate" | "format" | "string" | "safe" | "e"
        | "escape" | "forceescape" => of_text(name, &value, passed, budget),
        "map" | "select" | "reject" | "selectattr" | "rejectattr" => {
            lazily(name, &value, passed, budget)
        }
        "tojson" => to_json(&value, passed, budget),
        "abs" | "int" | "float" | "round" => of_number(name, &value, passed),
        "attr" => {
            if let Value::Undefined(message) = &value {
                return Err(undefined(message));
            }
            let [attribute] = passed.bind(name, ["name"])?;
            let attribute = methods::text(needed(attribute, name, "name")?, name)?;
            if let Some(own) = access::own(&value, &attribute)? {
                return Ok(own);
            }
            // Unlike a dot, this filter never looks at items.
            Ok(Value::undefined(format!(
                "{:?} object has no attribute {attribute:?}",
                value.kind()
            )))
        }
        "d" | "default" => {
            let [usual, boolean] = passed.bind(name, ["default_value", "boolean"])?;
            let boolean = boolean.is_some_and(|b| b.is_true());
            let missing = matches!(value, Value::Undefined(_)) || boolean && !value.is_true();
            Ok(if missing {
                usual.unwrap_or_else(|| Value::str(""))
            } else {
                value
            })
        }
        "count" | "length" => {
            let [] = passed.positional(name)?;
            if let Value::Str(text) = &value {
                budget.charge(text.len())?;
            }
            let none = || Failure::new(format!("object of type {:?} has no length", value.kind()));
            Ok(Value::Int(value.length().ok_or_else(none)? as i64))
        }
        _ => of_items(name, &value, passed, budget),
    }
}

/// Filters of a value's text.
fn of_text(name: &str, value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let text = match (name, value) {
        ("indent" | "truncate", Value::Str(text)) => text.clone(),
        ("indent" | "truncate", Value::Undefined(message)) => return Err(undefined(message)),
        ("indent" | "truncate", other) => {
            return Err(Failure::new(format!(
                "{name} needs a string, not a {:?}",
                other.kind()
            )));
        }
        _ => value.text(budget)?,
    };
    budget.charge(text.len())?;
    match name {
        "capitalize" | "lower" | "upper" => methods::call(&Value::Str(text), name, passed, budget),
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
            made(title(&text))
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

/// Escapes as MarkupSafe does, which writes quotation marks by number.
fn escaped(text: &str, budget: &mut Budget) -> Made {
    // `&amp;`, `&#39;` and `&#34;` have five bytes for one.
    budget.text(text.len() * 5)?;
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    made(escaped.replace('\'', "&#39;").replace('"', "&#34;"))
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
    made(text.bytes().map(url_byte).collect())
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
    made(out)
}

fn truncate(text: &str, passed: Passed, budget: &mut Budget) -> Made {
    let [length, kill, end, leeway] =
        passed.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let length = whole(length, "truncate", 255)?;
    let end = end.map_or_else(|| Ok("...".into()), |end| methods::text(end, "truncate"))?;
    // The environment's policy `truncate.leeway` is 5.
    let leeway = whole(leeway.filter(|l| !matches!(l, Value::None)), "truncate", 5)?;
    let ends = end.chars().count() as i64;
    if length < ends || leeway < 0 {
        return Err(Failure::new(format!(
            "truncate needs a length of {ends} or more and a leeway of 0 or more"
        )));
    }
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
    made(format!("{kept}{end}"))
}

/// Applies `map`, `select` and the other filters that make generators.
fn lazily(name: &str, value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    // Before the arguments are looked at: so does jinja2, whatever they are.
    if !value.is_true() {
        return Value::iterator(Vec::new());
    }
    let items = value.items(budget)?;
    let of_attribute =
        passed.positional.is_empty() && passed.named.iter().any(|(n, _)| &**n == "attribute");
    match name {
        "map" if of_attribute => map_attribute(items, passed, budget),
        "map" => map_filter(items, passed, budget),
        _ => select(name, items, passed, budget),
    }
}

fn map_attribute(items: Vec<Value>, passed: Passed, budget: &mut Budget) -> Made {
    let [attribute, usual] = passed.bind("map", ["attribute", "default"])?;
    // jinja2 cannot tell `default=none` from no default either.
    let usual = usual.filter(|u| !matches!(u, Value::None));
    let path = path(attribute.as_ref())?;
    let items = items.into_iter();
    let found = items.map(|item| follow(item, &path, usual.as_ref(), budget));
    Value::iterator(found.collect::<Result<_, _>>()?)
}

fn map_filter(items: Vec<Value>, mut passed: Passed, budget: &mut Budget) -> Made {
    if passed.positional.is_empty() {
        return Err(Failure::new("map needs a filter's name or attribute="));
    }
    let filter = methods::text(passed.positional.remove(0), "map")?;
    filter_names::check(&filter).map_err(Failure::new)?;
    // The parser sees names of filters after a bar, not in a string.
    if MARKUP.contains(&&*filter) {
        return Err(Failure::new(format!(
            "map({filter:?}) is not supported in a chat template"
        )));
    }
    let mut out = Vec::new();
    for item in items {
        // A filter may be `map` again.
        budget.enter()?;
        out.push(call(&filter, item, passed.clone(), budget)?);
        budget.leave();
    }
    Value::iterator(out)
}

/// `select`, `reject`, and the two of them by an attribute.
fn select(name: &str, items: Vec<Value>, mut passed: Passed, budget: &mut Budget) -> Made {
    let path = if name.ends_with("attr") {
        if passed.positional.is_empty() {
            return Err(Failure::new(format!("{name} needs an attribute")));
        }
        path(Some(&passed.positional.remove(0)))?
    } else {
        Vec::new()
    };
    let test = if passed.positional.is_empty() {
        None
    } else {
        Some(methods::text(passed.positional.remove(0), name)?)
    };
    if let Some(test) = &test {
        checks::check(test).map_err(Failure::new)?;
    }
    let mut out = Vec::new();
    for item in items {
        budget.charge(32)?;
        let looked_at = follow(item.clone(), &path, None, budget)?;
        let holds = match &test {
            Some(test) => checks::call(test, &looked_at, passed.clone(), budget)?,
            None => looked_at.is_true(),
        };
        if holds == name.starts_with("select") {
            out.push(item);
        }
    }
    Value::iterator(out)
}

/// Reads a step of an attribute's path: a number is an index.
fn path_step(part: &str) -> Value {
    let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match part.parse() {
        Ok(i) if number => Value::Int(i),
        _ => Value::str(part),
    }
}

/// Cuts off a number's fraction.
fn truncated(number: f64) -> Made {
    // Below 2^63, with room: Python goes on into whole numbers of any size.
    if number.is_finite() && number.abs() < 9e18 {
        Ok(Value::Int(number.trunc() as i64))
    } else {
        Err(Failure::new("int: the number is beyond 64 bits"))
    }
}

/// The steps of an attribute such as `function.name` or `0`.
fn path(attribute: Option<&Value>) -> Result<Vec<Value>, Failure> {
    match attribute {
        None | Some(Value::None) => Ok(Vec::new()),
        Some(Value::Str(text)) => Ok(text.split('.').map(path_step).collect()),
        Some(Value::Int(i)) => Ok(vec![Value::Int(*i)]),
        Some(other) => Err(Failure::new(format!(
            "an attribute is a string or a number, not a {:?}",
            other.kind()
        ))),
    }
}

fn follow(item: Value, path: &[Value], usual: Option<&Value>, budget: &mut Budget) -> Made {
    let mut item = item;
    for step in path {
        item = access::item(&item, step, budget)?;
        if let (Value::Undefined(_), Some(usual)) = (&item, usual) {
            item = usual.clone();
        }
    }
    Ok(item)
}

fn to_json(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
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
            let [first, second] = [0, 1].map(|i| methods::text(s.items[i].clone(), "separators"));
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
    made(out)
}

/// The whole number that a text writes, as Python's `int` reads it.
fn parse_int(text: &str, base: u32) -> Option<Result<i64, Failure>> {
    let text = text.trim_matches(is_space);
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let lower = digits.to_ascii_lowercase();
    let digits = lower
        .strip_prefix(prefix)
        .filter(|_| !prefix.is_empty())
        .unwrap_or(&lower);
    let fine = !digits.is_empty()
        // Python's grammar of underscores: single ones, between digits.
        && digits.chars().all(|c| c.is_digit(base) || c == '_')
        && !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__");
    let beyond = || Failure::new("int: the number is beyond 64 bits");
    fine.then(|| {
        i64::from_str_radix(&format!("{sign}{}", digits.replace('_', "")), base)
            .map_err(|_| beyond())
    })
}

fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_space);
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn of_number(name: &str, value: &Value, passed: Passed) -> Made {
    if let Value::Undefined(message) = value {
        return Err(undefined(message));
    }
    match name {
        "abs" => {
            let [] = passed.positional(name)?;
            match value {
                Value::Float(f) => Ok(Value::Float(f.abs())),
                other => {
                    let whole = other.as_int().and_then(i64::checked_abs);
                    whole
                        .map(Value::Int)
                        .ok_or_else(|| Failure::new(format!("abs of a {:?}", other.kind())))
                }
            }
        }
        "int" => {
            let [usual, base] = passed.bind(name, ["default", "base"])?;
            let base = u32::try_from(whole(base, name, 10)?)
                .ok()
                .filter(|b| (2..=36).contains(b));
            let base = base.ok_or_else(|| Failure::new("int: a base of 2 to 36 is needed"))?;
            match value {
                Value::Float(f) if f.is_nan() => Ok(usual.unwrap_or(Value::Int(0))),
                Value::Float(f) => truncated(*f),
                Value::Str(text) => match parse_int(text, base) {
                    Some(number) => Ok(Value::Int(number?)),
                    None => match parse_float(text) {
                        Some(f) if f.is_finite() => truncated(f),
                        _ => Ok(usual.unwrap_or(Value::Int(0))),
                    },
                },
                other => Ok(other
                    .as_int()
                    .map(Value::Int)
                    .or(usual)
                    .unwrap_or(Value::Int(0))),
            }
        }
        "float" => {
            let [usual] = passed.bind(name, ["default"])?;
            let number = match value {
                Value::Str(text) => parse_float(text),
                other => other.as_float(),
            };
            Ok(number
                .map(Value::Float)
                .or(usual)
                .unwrap_or(Value::Float(0.0)))
        }
        _ => round(value, passed),
    }
}

fn round(value: &Value, passed: Passed) -> Made {
    let [precision, method] = passed.bind("round", ["precision", "method"])?;
    let precision = whole(precision, "round", 0)?;
    // The scale below is a power of ten, of which an f64 has 308.
    let places = usize::try_from(precision).ok().filter(|p| *p <= 300);
    let places = places.ok_or_else(|| Failure::new("round: a precision of 0 to 300 is needed"))?;
    let method = method.map_or_else(|| Ok("common".into()), |m| methods::text(m, "round"))?;
    let number = value
        .as_float()
        .ok_or_else(|| Failure::new(format!("round of a {:?}", value.kind())))?;
    let scale = 10f64.powi(places as i32);
    match &*method {
        "common" => match value.as_int() {
            Some(i) => Ok(Value::Int(i)),
            // Correctly rounded from the exact value, as Python does it.
            None => Ok(Value::Float(
                format!("{number:.places$}").parse().unwrap_or(number),
            )),
        },
        // As jinja2 computes them, with what rounding does to the scaled number.
        "ceil" => Ok(Value::Float((number * scale).ceil() / scale)),
        "floor" => Ok(Value::Float((number * scale).floor() / scale)),
        _ => Err(Failure::new("method must be common, ceil or floor")),
    }
}

/// A string in small letters; anything else as it is.
fn ignore_case(value: Value, budget: &mut Budget) -> Made {
    match value {
        Value::Str(text) => {
            budget.text(text.len() * 3)?;
            made(text.to_lowercase())
        }
        other => Ok(other),
    }
}

/// The one key of an item.
fn only(keys: &Value) -> &Value {
    match keys {
        Value::List(keys) if keys.items.len() == 1 => &keys.items[0],
        other => other,
    }
}

/// Items with what they are sorted by.
fn keyed(
    items: Vec<Value>,
    attribute: Option<&Value>,
    case_sensitive: bool,
    several: bool,
    budget: &mut Budget,
) -> Result<Vec<(Value, Value)>, Failure> {
    let paths = match attribute {
        Some(Value::Str(text)) if several => text
            .split(',')
            .map(|part| path(Some(&Value::str(part))))
            .collect::<Result<Vec<_>, _>>()?,
        other => vec![path(other)?],
    };
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let mut keys = Vec::new();
        for path in &paths {
            let key = follow(item.clone(), path, None, budget)?;
            keys.push(if case_sensitive {
                key
            } else {
                ignore_case(key, budget)?
            });
        }
        out.push((Value::list(keys)?, item));
    }
    Ok(out)
}

/// Filters of the items of a value.
fn of_items(name: &str, value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    match name {
        "first" => {
            let [] = passed.positional(name)?;
            let first = match value {
                Value::Iterator(queue) => queue.items.borrow_mut().pop_front(),
                other => other.items(budget)?.into_iter().next(),
            };
            Ok(first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
        }
        "last" => {
            let [] = passed.positional(name)?;
            // jinja2 takes the first of `reversed(value)`, which a generator is not.
            if matches!(value, Value::Iterator(_)) {
                return Err(Failure::new(
                    "a generator is not reversible; use |list|last",
                ));
            }
            let last = value.items(budget)?.pop();
            Ok(last.unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
        }
        "list" => {
            let [] = passed.positional(name)?;
            Value::list(value.items(budget)?)
        }
        "items" => {
            let [] = passed.positional(name)?;
            match value {
                Value::Undefined(_) => Value::iterator(Vec::new()),
                Value::Dict(dict) => Value::iterator(pairs(dict, budget)?),
                _ => Err(Failure::new("Can only get item pairs from a mapping.")),
            }
        }
        "reverse" => {
            let [] = passed.positional(name)?;
            reversed(value, budget)
        }
        "join" => join(value, passed, budget),
        "sum" => sum(value, passed, budget),
        "min" => extreme(value, passed, name, Ordering::Less, budget),
        "max" => extreme(value, passed, name, Ordering::Greater, budget),
        "sort" => sort(value, passed, budget),
        "dictsort" => dictsort(value, passed, budget),
        "unique" => unique(value, passed, budget),
        "batch" => batch(value, passed, budget),
        "slice" => slice(value, passed, budget),
        _ => Err(Failure::new(format!("no filter named {name:?}"))),
    }
}

fn truth(value: Option<Value>) -> bool {
    value.is_some_and(|v| v.is_true())
}

fn pairs(dict: &Rc<Dict>, budget: &mut Budget) -> Result<Vec<Value>, Failure> {
    Value::View(View::Items, dict.clone()).items(budget)
}

fn reversed(value: &Value, budget: &mut Budget) -> Made {
    if let Value::Str(text) = value {
        budget.text(text.len())?;
        return made(text.chars().rev().collect());
    }
    let mut items = value.items(budget)?;
    items.reverse();
    // What `reversed` cannot take, jinja2 makes a list of and turns that.
    if matches!(value, Value::Iterator(_)) {
        Value::list(items)
    } else {
        Value::iterator(items)
    }
}

fn sum(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [attribute, start] = passed.bind("sum", ["attribute", "start"])?;
    let mut sum = start.unwrap_or(Value::Int(0));
    // Python's `sum` refuses it, too.
    if matches!(sum, Value::Str(_)) {
        return Err(Failure::new("sum() can't sum strings; use |join"));
    }
    let path = path(attribute.as_ref())?;
    for item in value.items(budget)? {
        let item = follow(item, &path, None, budget)?;
        sum = operators::binary(Operator::Add, &sum, &item, budget)?;
    }
    Ok(sum)
}

/// Returns the item that stands to all others as `wanted`: the first of several, as `min` and `max`
/// of Python.
fn extreme(
    value: &Value,
    passed: Passed,
    name: &str,
    wanted: Ordering,
    budget: &mut Budget,
) -> Made {
    let [case, attribute] = passed.bind(name, ["case_sensitive", "attribute"])?;
    let items = value.items(budget)?;
    let items = keyed(items, attribute.as_ref(), truth(case), false, budget)?;
    let mut items = items.into_iter();
    let Some(mut best) = items.next() else {
        return Ok(Value::undefined("No aggregated item, sequence was empty."));
    };
    for item in items {
        if only(&item.0).order(only(&best.0), budget)? == Some(wanted) {
            best = item;
        }
    }
    Ok(best.1)
}

fn sort(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [reverse, case, attribute] =
        passed.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let items = value.items(budget)?;
    // `sort` alone takes several attributes with commas.
    let items = keyed(items, attribute.as_ref(), truth(case), true, budget)?;
    sorted(items, truth(reverse), budget)
}

fn dictsort(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [case, by, reverse] = passed.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let Value::Dict(dict) = value else {
        return Err(Failure::new(format!("dictsort of a {:?}", value.kind())));
    };
    let by = by.map_or_else(|| Ok("key".into()), |by| methods::text(by, "dictsort"))?;
    let place = match &*by {
        "key" => 0,
        "value" => 1,
        _ => {
            return Err(Failure::new(
                "You can only sort by either \"key\" or \"value\"",
            ));
        }
    };
    let place = Some(&Value::Int(place));
    let items = keyed(pairs(dict, budget)?, place, truth(case), false, budget)?;
    let by_one = items
        .into_iter()
        .map(|(keys, item)| (only(&keys).clone(), item));
    sorted(by_one.collect(), truth(reverse), budget)
}

fn unique(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [case, attribute] = passed.bind("unique", ["case_sensitive", "attribute"])?;
    let items = value.items(budget)?;
    let items = keyed(items, attribute.as_ref(), truth(case), false, budget)?;
    let mut kept: Vec<(Value, Value)> = Vec::new();
    'items: for item in items {
        let Value::List(keys) = &item.0 else { continue };
        // Python keeps a set of them. Compared one by one they need no hash, and the budget pays.
        if !keys.items.iter().all(Value::is_hashable) {
            return Err(Failure::new("unique needs values that can be keys"));
        }
        for known in &kept {
            if known.0.equals(&item.0, budget)? {
                continue 'items;
            }
        }
        kept.push(item);
    }
    Value::iterator(kept.into_iter().map(|(_, item)| item).collect())
}

/// Returns items in the order of their keys.
fn sorted(mut items: Vec<(Value, Value)>, reverse: bool, budget: &mut Budget) -> Made {
    // Equal items keep their order either way.
    if reverse {
        items.reverse();
    }
    sort_by(&mut items, |a, b| {
        budget.charge(64)?;
        a.0.order(&b.0, budget)
    })?;
    if reverse {
        items.reverse();
    }
    Value::list(items.into_iter().map(|(_, item)| item).collect())
}

fn join(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [between, attribute] = passed.bind("join", ["d", "attribute"])?;
    let between = between.map_or_else(|| Ok("".into()), |b| b.text(budget))?;
    let path = path(attribute.as_ref())?;
    let mut out = String::new();
    for (i, item) in value.items(budget)?.into_iter().enumerate() {
        let item = follow(item, &path, None, budget)?;
        if i > 0 {
            budget.fits(out.len() + between.len())?;
            budget.charge(between.len())?;
            out.push_str(&between);
        }
        item.write_text(&mut out, budget)?;
    }
    made(out)
}

fn batch(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [count, fill] = passed.bind("batch", ["linecount", "fill_with"])?;
    let count = whole(Some(needed(count, "batch", "linecount")?), "batch", 0)?;
    let count = usize::try_from(count).ok().filter(|c| *c > 0);
    let count = count.ok_or_else(|| Failure::new("batch needs a size of 1 or more"))?;
    let mut out = Vec::new();
    for rows in value.items(budget)?.chunks(count) {
        let mut rows = rows.to_vec();
        if let Some(fill) = fill.as_ref().filter(|f| !matches!(f, Value::None)) {
            // Paid for apart: the size of a batch is the template's to choose.
            budget.items(count - rows.len())?;
            rows.resize(count, fill.clone());
        }
        out.push(Value::list(rows)?);
    }
    Value::iterator(out)
}

fn slice(value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    let [slices, fill] = passed.bind("slice", ["slices", "fill_with"])?;
    let slices = whole(Some(needed(slices, "slice", "slices")?), "slice", 0)?;
    let slices = usize::try_from(slices).ok().filter(|s| *s > 0);
    let slices = slices.ok_or_else(|| Failure::new("slice needs 1 slice or more"))?;
    budget.items(slices)?;
    let items = value.items(budget)?;
    let (each, extra) = (items.len() / slices, items.len() % slices);
    let mut rest = items.into_iter();
    let mut out = Vec::new();
    for number in 0..slices {
        let mut part: Vec<Value> = rest
            .by_ref()
            .take(each + usize::from(number < extra))
            .collect();
        if let Some(fill) = fill
            .as_ref()
            // jinja2 fills every slice that is not one longer, also where all are equal.
            .filter(|f| number >= extra && !matches!(f, Value::None))
        {
            part.push(fill.clone());
        }
        out.push(Value::list(part)?);
    }
    Value::iterator(out)
}
