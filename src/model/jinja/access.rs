//! Attributes and subscripts, as transformers' sandbox looks them up.

use std::sync::Arc;

use super::ast::Macro;
use super::budget::{Budget, Failure};
use super::methods::{self, Attribute};
use super::repr::str_repr;
use super::value::{Loop, Object, Value, range_length};

type Made = Result<Value, Failure>;

/// Characters of a name that an error repeats: one that is computed may have millions.
const SHOWN: usize = 200;

/// Returns the value of an attribute that is not there.
pub(super) fn missing(value: &Value, name: &str) -> Value {
    Value::undefined(format!(
        "{:?} object has no attribute {}",
        value.kind(),
        quoted(name)
    ))
}

fn quoted(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => str_repr(&name[..end]) + "..",
        None => str_repr(name),
    }
}

/// Looks up `value.name`: an attribute, or else an item.
pub(super) fn attribute(value: &Value, name: &Arc<str>, budget: &mut Budget) -> Made {
    if let Value::Undefined(message) = value {
        return Err(Failure::new(&**message));
    }
    // jinja2's `getattr` tries attributes first: `d.items` is the method, whatever the dict holds.
    if let Some(found) = own(value, name, budget)? {
        return Ok(found);
    }
    match value {
        Value::Dict(dict) => {
            let found = dict.get(&Value::Str(name.clone()), budget)?;
            Ok(found.cloned().unwrap_or_else(|| missing(value, name)))
        }
        _ => Ok(missing(value, name)),
    }
}

/// Looks up an attribute that is no item; `None` where there is none.
pub(super) fn own(
    value: &Value,
    name: &Arc<str>,
    budget: &mut Budget,
) -> Result<Option<Value>, Failure> {
    // The sandbox makes these undefined, not an error: a template may ask `is defined`.
    if name.starts_with("__") && name.ends_with("__") {
        return Ok(Some(Value::undefined(format!(
            "access to attribute {} is unsafe",
            quoted(name)
        ))));
    }
    match methods::attribute(value, name) {
        Attribute::Method => {
            return Ok(Some(method(value, name)));
        }
        Attribute::Unsafe => {
            let message = format!(
                "access to attribute {} of {:?} object is unsafe",
                str_repr(name),
                value.kind()
            );
            return Ok(Some(Value::undefined(message)));
        }
        Attribute::None => {}
    }
    let Value::Object(object) = value else {
        // Python's numbers have these. Saying that one is undefined would render another text.
        let numbers = [
            "real",
            "imag",
            "numerator",
            "denominator",
            "conjugate",
            "bit_length",
            "bit_count",
            "is_integer",
        ];
        if value.as_float().is_some() && numbers.contains(&&**name) {
            return Err(Failure::new(format!(
                "the attribute {name} of a {} is not supported",
                value.kind()
            )));
        }
        return Ok(None);
    };
    match &**object {
        Object::Namespace(namespace) => namespace.get(name, budget),
        Object::Macro(made, _) => of_macro(made, name, budget),
        Object::Cycler(items, at) if &**name == "current" => Ok(items.items.get(at.get()).cloned()),
        Object::Cycler(..) if matches!(&**name, "next" | "reset") => Ok(Some(method(value, name))),
        Object::Loop(_) if matches!(&**name, "cycle" | "changed") => Ok(Some(method(value, name))),
        Object::Loop(state) => Ok(of_loop(state, name)),
        _ => Ok(None),
    }
}

fn method(value: &Value, name: &Arc<str>) -> Value {
    Value::Object(Object::Method(value.clone(), name.clone()).into())
}

/// Returns an attribute of the variable `loop`; `None` where it has none of the name.
fn of_loop(state: &Loop, name: &str) -> Option<Value> {
    // `index` is below `length`: `loop` is seen from within a turn alone, and stays at the last
    // one.
    let items = &state.items.items;
    let (index, length) = (state.index.get(), items.len());
    Some(match name {
        "index" => Value::Int(index as i64 + 1),
        "index0" => Value::Int(index as i64),
        "revindex" => Value::Int((length - index) as i64),
        "revindex0" => Value::Int((length - index - 1) as i64),
        "length" => Value::Int(length as i64),
        "depth" => Value::Int(state.depth as i64 + 1),
        "depth0" => Value::Int(state.depth as i64),
        "first" => Value::Bool(index == 0),
        "last" => Value::Bool(index + 1 == length),
        "previtem" => {
            let before = index.checked_sub(1).and_then(|i| items.get(i));
            let none = || Value::undefined("there is no previous item");
            before.cloned().unwrap_or_else(none)
        }
        "nextitem" => {
            let next = items.get(index + 1).cloned();
            next.unwrap_or_else(|| Value::undefined("there is no next item"))
        }
        _ => return None,
    })
}

/// Returns an attribute of jinja2's class `Macro`; `None` where it has none of the name.
fn of_macro(made: &Macro, name: &str, budget: &mut Budget) -> Result<Option<Value>, Failure> {
    Ok(Some(match name {
        "name" if made.is_caller() => Value::None,
        "name" => Value::Str(made.name.clone()),
        "arguments" => {
            budget.items(made.parameters.len())?;
            let names = made.parameters.iter();
            Value::tuple(names.map(|(own, _)| Value::Str(own.clone())).collect())?
        }
        "catch_kwargs" => Value::Bool(made.reads_kwargs),
        "catch_varargs" => Value::Bool(made.reads_varargs),
        "caller" => Value::Bool(made.reads_caller),
        "explicit_caller" => Value::Bool(made.takes("caller")),
        _ => return Ok(None),
    }))
}

/// Looks up `value[key]`: an item, or else an attribute.
pub(super) fn item(value: &Value, key: &Value, budget: &mut Budget) -> Made {
    let found = match (value, key.as_int()) {
        (Value::Undefined(message), _) => return Err(Failure::new(&**message)),
        // Python raises a TypeError for a list as a key, which jinja2 catches: the item is
        // undefined then.
        (Value::Dict(dict), _) if key.is_hashable(budget)? => dict.get(key, budget)?.cloned(),
        (Value::List(s) | Value::Tuple(s), Some(i)) => {
            place(i, s.items.len()).map(|i| s.items[i].clone())
        }
        (Value::Str(text), Some(i)) => {
            budget.charge(text.len())?;
            let length = if i < 0 {
                text.chars().count()
            } else {
                // Counting is left out where nothing counts from the end; the half still fits an
                // i64 in `place`.
                usize::MAX >> 1
            };
            let c = place(i, length).and_then(|i| text.chars().nth(i));
            c.map(|c| Value::str(c.encode_utf8(&mut [0; 4])))
        }
        (Value::Range(first, end, step), Some(i)) => {
            place(i, range_length(*first, *end, *step)).map(|i| Value::Int(first + i as i64 * step))
        }
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    // Where there is no item, as behind a dot.
    if let Value::Str(name) = key {
        let own = own(value, name, budget)?;
        return Ok(own.unwrap_or_else(|| missing(value, name)));
    }
    let mut shown = String::new();
    // The message alone needs the text; a key too large to print must not become another error.
    if key.write_repr(&mut shown, budget).is_err() {
        key.kind().clone_into(&mut shown);
    }
    Ok(Value::undefined(format!(
        "{:?} object has no element {shown}",
        value.kind()
    )))
}

/// Returns the index that a number, counted from the end where it is negative, means.
fn place(i: i64, length: usize) -> Option<usize> {
    let i = if i < 0 {
        i.checked_add(length as i64)?
    } else {
        i
    };
    usize::try_from(i).ok().filter(|i| *i < length)
}

/// Returns `value[start:stop:step]`.
pub(super) fn slice(value: &Value, parts: [Value; 3], budget: &mut Budget) -> Made {
    let mut numbers = [None; 3];
    for (number, part) in numbers.iter_mut().zip(&parts) {
        *number = match part {
            Value::None => None,
            other => {
                let Some(number) = other.as_int() else {
                    return Err(Failure::new(format!(
                        "slice indices must be whole numbers, not {:?}",
                        other.kind()
                    )));
                };
                Some(number)
            }
        };
    }
    let [start, stop, step] = numbers;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Failure::new("slice step cannot be zero"));
    }
    let slice = (start, stop, step);
    match value {
        Value::Undefined(message) => Err(Failure::new(&**message)),
        Value::Str(text) => {
            budget.charge(text.len())?;
            // The usual slice is cut at two bytes, without a copy of its characters.
            if step == 1 {
                return sliced(text, start, stop, budget);
            }
            // With a step it is copied as characters, which indices can be stepped through.
            budget.items(text.len() / 4)?;
            let chars: Vec<char> = text.chars().collect();
            Ok(Value::Str(
                picked(slice, chars.len())
                    .map(|i| chars[i])
                    .collect::<String>()
                    .into(),
            ))
        }
        Value::List(s) | Value::Tuple(s) => {
            budget.items(s.items.len())?;
            let items = picked(slice, s.items.len())
                .map(|i| s.items[i].clone())
                .collect();
            if matches!(value, Value::List(_)) {
                Value::list(items)
            } else {
                Value::tuple(items)
            }
        }
        Value::Range(first, end, by) => {
            let (from, to) = bounds(slice, range_length(*first, *end, *by) as i64);
            let at = |i: i64| first.saturating_add(i.saturating_mul(*by));
            // As in Python, a slice of a range is a range: nothing is made.
            Ok(Value::Range(at(from), at(to), by.saturating_mul(step)))
        }
        other => Err(Failure::new(format!("a {:?} has no slices", other.kind()))),
    }
}

/// Returns the first index of a slice of `length` items and the end, as Python's `slice.indices`
/// does.
fn bounds((start, stop, step): (Option<i64>, Option<i64>, i64), length: i64) -> (i64, i64) {
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        // Downwards the end may be before the first item.
        (-1, length - 1)
    };
    let from_end = |i: i64| i.saturating_add(length).max(low);
    let bound = |i: i64| if i < 0 { from_end(i) } else { i.min(high) };
    let first = start.map_or(if step > 0 { low } else { high }, bound);
    (first, stop.map_or(if step > 0 { high } else { low }, bound))
}

/// Returns the indices of a slice of `length` items.
fn picked(slice: (Option<i64>, Option<i64>, i64), length: usize) -> impl Iterator<Item = usize> {
    let (first, end) = bounds(slice, length as i64);
    let step = slice.2;
    let count = range_length(first, end, step) as i64;
    (0..count).map(move |i| (first + i * step) as usize)
}

/// Counts a negative index from the end; one before the start is the start.
fn from_start(i: i64, length: i64) -> i64 {
    if i < 0 {
        i.saturating_add(length).max(0)
    } else {
        i
    }
}

/// Returns `text[start:stop]`.
fn sliced(text: &str, start: Option<i64>, stop: Option<i64>, budget: &mut Budget) -> Made {
    let negative = [start, stop].into_iter().flatten().any(|i| i < 0);
    // Characters are counted only where an index counts from the end.
    let length = if negative {
        text.chars().count() as i64
    } else {
        i64::MAX
    };
    let byte = |i: i64| methods::byte_of(text, from_start(i, length));
    let first = start.map_or(0, byte);
    let end = stop.map_or(text.len(), byte);
    let part = text.get(first..end).unwrap_or_default();
    budget.text(part.len())?;
    Ok(Value::str(part))
}
