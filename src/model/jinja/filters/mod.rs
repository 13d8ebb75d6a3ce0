//! Filters of jinja2: `value | name(arguments)`. Here are those that take any value, and those that
//! call others.

mod items;
mod numbers;
mod text;

use crate::model::jinja::arguments::{self, Passed, needed};
use crate::model::jinja::budget::{Budget, Failure};
use crate::model::jinja::filter_names::{self, MARKUP};
use crate::model::jinja::value::Value;
use crate::model::jinja::{access, checks};
use items::{follow, of_items, path};
use numbers::of_number;
use text::{of_text, to_json, undefined};

type Made = Result<Value, Failure>;

pub(super) fn call(name: &str, value: Value, passed: Passed, budget: &mut Budget) -> Made {
    match name {
        "capitalize" | "lower" | "title" | "trim" | "upper" | "wordcount" | "center"
        | "urlencode" | "replace" | "indent" | "truncate" | "format" | "string" | "safe" | "e"
        | "escape" | "forceescape" => of_text(name, &value, passed, budget),
        "map" | "select" | "reject" | "selectattr" | "rejectattr" => {
            lazily(name, &value, passed, budget)
        }
        // Not jinja2's own, which writes HTML-safe JSON: transformers puts `json.dumps` in its
        // place.
        "tojson" => to_json(&value, passed, budget),
        "abs" | "int" | "float" | "round" => of_number(name, &value, passed),
        "attr" => {
            if let Value::Undefined(message) = &value {
                return Err(undefined(message));
            }
            let [attribute] = passed.bind(name, ["name"])?;
            let attribute = arguments::text(needed(attribute, name, "name")?, name)?;
            if let Some(own) = access::own(&value, &attribute, budget)? {
                return Ok(own);
            }
            // Unlike a dot, this filter never looks at items.
            Ok(access::missing(&value, &attribute))
        }
        "d" | "default" => {
            let [usual, boolean] = passed.bind(name, ["default_value", "boolean"])?;
            let boolean = boolean.is_some_and(|b| b.is_true());
            // `boolean` asks for the default in place of anything that is false, "" and 0 included.
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
    let filter = arguments::text(passed.positional.remove(0), "map")?;
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
        budget.items(passed.len())?;
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
        Some(arguments::text(passed.positional.remove(0), name)?)
    };
    if let Some(test) = &test {
        checks::check(test).map_err(Failure::new)?;
    }
    let mut out = Vec::new();
    for item in items {
        budget.charge(32)?;
        budget.items(passed.len())?;
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
