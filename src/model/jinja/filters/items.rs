//! Filters of the items of a value.

use std::cmp::Ordering;
use std::rc::Rc;

use super::text::truth;
use crate::model::jinja::arguments::{self, Passed, needed, whole};
use crate::model::jinja::ast::Operator;
use crate::model::jinja::budget::{Budget, Failure};
use crate::model::jinja::sort::sort_by;
use crate::model::jinja::value::{Dict, Value, View};
use crate::model::jinja::{access, operators};

type Made = Result<Value, Failure>;

/// Reads a step of an attribute's path: a number is an index.
fn path_step(part: &str) -> Value {
    let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match part.parse() {
        Ok(i) if number => Value::Int(i),
        _ => Value::str(part),
    }
}

/// Returns the steps of an attribute such as `function.name` or `0`.
pub(super) fn path(attribute: Option<&Value>) -> Result<Vec<Value>, Failure> {
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

pub(super) fn follow(
    item: Value,
    path: &[Value],
    usual: Option<&Value>,
    budget: &mut Budget,
) -> Made {
    let mut item = item;
    for step in path {
        item = access::item(&item, step, budget)?;
        if let (Value::Undefined(_), Some(usual)) = (&item, usual) {
            item = usual.clone();
        }
    }
    Ok(item)
}

/// Returns a string in small letters; anything else as it is.
fn ignore_case(value: Value, budget: &mut Budget) -> Made {
    match value {
        Value::Str(text) => {
            budget.text(text.len() * 3)?;
            Ok(text.to_lowercase().into())
        }
        other => Ok(other),
    }
}

/// Returns the one key of an item.
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
pub(super) fn of_items(name: &str, value: &Value, passed: Passed, budget: &mut Budget) -> Made {
    match name {
        "first" => {
            let [] = passed.positional(name)?;
            let first = match value {
                // One is taken of a generator, and the rest stays.
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

fn pairs(dict: &Rc<Dict>, budget: &mut Budget) -> Result<Vec<Value>, Failure> {
    Value::View(View::Items, dict.clone()).items(budget)
}

fn reversed(value: &Value, budget: &mut Budget) -> Made {
    if let Value::Str(text) = value {
        budget.text(text.len())?;
        return Ok(text.chars().rev().collect::<String>().into());
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
    let by = by.map_or_else(|| Ok("key".into()), |by| arguments::text(by, "dictsort"))?;
    let place = match &*by {
        "key" => 0,
        "value" => 1,
        _ => {
            return Err(Failure::new(
                "You can only sort by either \"key\" or \"value\"",
            ));
        }
    };
    // Pairs are sorted by their item 0 or 1.
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
        for key in &keys.items {
            if !key.is_hashable(budget)? {
                return Err(Failure::new("unique needs values that can be keys"));
            }
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
pub(super) fn sorted(mut items: Vec<(Value, Value)>, reverse: bool, budget: &mut Budget) -> Made {
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
    Ok(out.into())
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
    // There may be more slices than items: the others are empty lists.
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
