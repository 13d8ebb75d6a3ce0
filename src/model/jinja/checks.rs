//! Tests of jinja2: `x is name`.

use super::arguments::{Passed, needed};
use super::ast::Comparison;
use super::budget::{Budget, Failure};
use super::value::{Object, Value};
use super::{filter_names, operators};

// jinja2's own: a test that is none of these is an error when the template is read.
const KNOWN: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// Fails where jinja2 has no test of that name.
pub(super) fn check(name: &str) -> Result<(), String> {
    if KNOWN.contains(&name) {
        Ok(())
    } else {
        Err(format!("no test named {name:?}"))
    }
}

pub(super) fn call(
    name: &str,
    value: &Value,
    passed: Passed,
    budget: &mut Budget,
) -> Result<bool, Failure> {
    if let Some(comparison) = comparison(name) {
        let [other] = passed.positional(name)?;
        return operators::compare(comparison, value, &needed(other, name, "other")?, budget);
    }
    if name == "divisibleby" {
        let [number] = passed.bind(name, ["num"])?;
        let number = needed(number, name, "num")?;
        let rest = operators::binary(super::ast::Operator::Modulo, value, &number, budget)?;
        return Ok(matches!(rest, Value::Int(0)) || matches!(rest, Value::Float(f) if f == 0.0));
    }
    if name == "sameas" {
        let [other] = passed.positional(name)?;
        return same(value, &needed(other, name, "other")?);
    }
    let [] = passed.positional(name)?;
    of_value(name, value, budget)
}

/// Returns the comparison that a test is another name of.
fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "==" | "eq" | "equalto" => Comparison::Equal,
        "!=" | "ne" => Comparison::NotEqual,
        "<" | "lt" | "lessthan" => Comparison::Less,
        "<=" | "le" => Comparison::LessEqual,
        ">" | "gt" | "greaterthan" => Comparison::Greater,
        ">=" | "ge" => Comparison::GreaterEqual,
        "in" => Comparison::In,
        _ => return None,
    })
}

/// Does a test that takes nothing but the value.
fn of_value(name: &str, value: &Value, budget: &mut Budget) -> Result<bool, Failure> {
    Ok(match name {
        "boolean" => matches!(value, Value::Bool(_)),
        "callable" => match value {
            // jinja2's Undefined has a `__call__`, which fails.
            Value::Undefined(_) => true,
            Value::Object(object) => !matches!(**object, Object::Namespace(_) | Object::Cycler(..)),
            _ => false,
        },
        "defined" => !matches!(value, Value::Undefined(_)),
        "undefined" => matches!(value, Value::Undefined(_)),
        "even" | "odd" => {
            let rest =
                operators::binary(super::ast::Operator::Modulo, value, &Value::Int(2), budget)?;
            rest.equals(&Value::Int(i64::from(name == "odd")), budget)?
        }
        // Text that is marked as safe is refused by the parser, but for the end of a print.
        "escaped" => false,
        "false" => matches!(value, Value::Bool(false)),
        "true" => matches!(value, Value::Bool(true)),
        "filter" => matches!(value, Value::Str(name) if filter_names::check(name).is_ok()),
        "test" => matches!(value, Value::Str(name) if check(name).is_ok()),
        "float" => matches!(value, Value::Float(_)),
        // jinja2 leaves out booleans here, though Python's `bool` is an `int`, and counts them as
        // numbers below.
        "integer" => matches!(value, Value::Int(_)),
        "number" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_)),
        "iterable" => match value {
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
            // jinja2's `LoopContext` has `__iter__`; macros and namespaces have not.
            Value::Object(object) => matches!(**object, Object::Loop(_)),
            _ => true,
        },
        "lower" | "upper" => {
            let text = value.text(budget)?;
            let method = if name == "lower" {
                "islower"
            } else {
                "isupper"
            };
            let found = super::methods::call(&Value::Str(text), method, Passed::default(), budget)?;
            matches!(found, Value::Bool(true))
        }
        "mapping" => matches!(value, Value::Dict(_)),
        "none" => matches!(value, Value::None),
        "string" => matches!(value, Value::Str(_)),
        // `len` and `__getitem__`.
        _ => matches!(
            value,
            Value::Undefined(_)
                | Value::Str(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Dict(_)
                | Value::Range(..)
        ),
    })
}

/// Python's `is`, where its answer does not depend on what the interpreter happens to share.
fn same(a: &Value, b: &Value) -> Result<bool, Failure> {
    Ok(match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::List(a), Value::List(b)) => std::rc::Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => std::rc::Rc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => std::rc::Rc::ptr_eq(a, b),
        // CPython makes one object of each of these numbers.
        (Value::Int(a), Value::Int(b)) if a == b && (-5..=256).contains(a) => true,
        (a, b) if a.kind() != b.kind() => false,
        (a, _) => {
            let kind = a.kind();
            return Err(Failure::new(format!(
                "sameas of two {kind} depends on Python's memory; use == instead"
            )));
        }
    })
}
