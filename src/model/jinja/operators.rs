//! Python's operators. What would be long is priced before it is made.

use std::cmp::Ordering;

use super::ast::{Comparison, Operator};
use super::budget::{Budget, Failure};
use super::format;
use super::value::Value;

type Made = Result<Value, Failure>;

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::FloorDivide => "//",
        Operator::Modulo => "%",
        Operator::Power => "**",
    }
}

pub(super) fn binary(operator: Operator, left: &Value, right: &Value, budget: &mut Budget) -> Made {
    // `%` of a string takes whatever comes, as Python's does.
    let formats = operator == Operator::Modulo && matches!(left, Value::Str(_));
    for side in [left, right].into_iter().filter(|_| !formats) {
        if let Value::Undefined(message) = side {
            return Err(Failure::new(&**message));
        }
    }
    match (operator, left, right) {
        // A string and a number do not add up, as in Python; `~` joins whatever comes.
        (Operator::Add, Value::Str(a), Value::Str(b)) => {
            budget.text(a.len() + b.len())?;
            Ok(Value::Str([&**a, &**b].concat().into()))
        }
        (Operator::Add, Value::List(a), Value::List(b)) => {
            budget.items(a.items.len() + b.items.len())?;
            Value::list([&*a.items, &*b.items].concat())
        }
        (Operator::Add, Value::Tuple(a), Value::Tuple(b)) => {
            budget.items(a.items.len() + b.items.len())?;
            Value::tuple([&*a.items, &*b.items].concat())
        }
        (Operator::Modulo, Value::Str(pattern), values) => format::percent(pattern, values, budget),
        (Operator::Multiply, Value::Str(_) | Value::List(_) | Value::Tuple(_), times) => {
            repeat(left, times, budget)
        }
        (Operator::Multiply, times, Value::Str(_) | Value::List(_) | Value::Tuple(_)) => {
            repeat(right, times, budget)
        }
        _ => numbers(operator, left, right),
    }
}

fn repeat(value: &Value, times: &Value, budget: &mut Budget) -> Made {
    let Some(times) = times.as_int() else {
        return Err(Failure::new(format!(
            "a {} is not multiplied by a {}",
            value.kind(),
            times.kind()
        )));
    };
    // Less than none is none, as in Python.
    let times = times.max(0) as usize;
    match value {
        Value::Str(text) => {
            budget.text(text.len().saturating_mul(times))?;
            Ok(Value::Str(text.repeat(times).into()))
        }
        Value::List(s) | Value::Tuple(s) => {
            budget.items(s.items.len().saturating_mul(times))?;
            // In range: the budget, which saturates, has been paid for as many.
            let count = s.items.len() * times;
            let items = s.items.iter().cycle().take(count).cloned().collect();
            if matches!(value, Value::List(_)) {
                Value::list(items)
            } else {
                Value::tuple(items)
            }
        }
        other => Err(Failure::new(format!("a {} is not repeated", other.kind()))),
    }
}

fn unsupported(operator: Operator, left: &Value, right: &Value) -> Failure {
    let (a, b) = (left.kind(), right.kind());
    Failure::new(format!(
        "unsupported operand types for {}: {a:?} and {b:?}",
        sign(operator)
    ))
}

fn beyond(operator: Operator) -> Failure {
    Failure::new(format!(
        "the result of {} is beyond whole numbers of 64 bits",
        sign(operator)
    ))
}

fn numbers(operator: Operator, left: &Value, right: &Value) -> Made {
    let unsupported = || unsupported(operator, left, right);
    let beyond = || beyond(operator);
    let by_zero = || Failure::new("division by zero");
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        let whole = match operator {
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::FloorDivide | Operator::Modulo | Operator::Divide if b == 0 => {
                return Err(by_zero());
            }
            // Checked: the smallest number over -1 is beyond 64 bits.
            Operator::FloorDivide => a
                .checked_div(b)
                // Python floors, Rust truncates: they differ where the signs do.
                .map(|q| q - i64::from(a % b != 0 && (a < 0) != (b < 0))),
            Operator::Modulo => a.checked_rem(b).map(|r| {
                if r != 0 && (r < 0) != (b < 0) {
                    r + b
                } else {
                    r
                }
            }),
            // True division: two whole numbers make a float.
            Operator::Divide => return Ok(Value::Float(a as f64 / b as f64)),
            Operator::Power if b < 0 && a == 0 => return Err(by_zero()),
            // Python's `int ** -int` is a float.
            Operator::Power if b < 0 => return Ok(Value::Float((a as f64).powf(b as f64))),
            Operator::Power => power(a, b),
        };
        return whole.map(Value::Int).ok_or_else(beyond);
    }
    let (Some(a), Some(b)) = (left.as_float(), right.as_float()) else {
        return Err(unsupported());
    };
    Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide | Operator::FloorDivide | Operator::Modulo if b == 0.0 => {
            return Err(by_zero());
        }
        Operator::Divide => a / b,
        Operator::FloorDivide => floor_divide(a, b),
        Operator::Modulo => modulo(a, b),
        // A complex number in Python.
        Operator::Power if a < 0.0 && b.fract() != 0.0 => return Err(unsupported()),
        Operator::Power if a == 0.0 && b < 0.0 => return Err(by_zero()),
        Operator::Power => {
            let power = a.powf(b);
            // Python raises OverflowError, where other operators give `inf`.
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return Err(Failure::new("the result of ** is beyond floats"));
            }
            power
        }
    }))
}

/// Returns `a ** b` for a `b` of 0 or more, where it has 64 bits.
fn power(a: i64, b: i64) -> Option<i64> {
    match a {
        // However large `b` is.
        0 | 1 => Some(if b == 0 { 1 } else { a }),
        -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
        _ => a.checked_pow(u32::try_from(b).ok()?),
    }
}

/// Python's remainder: it has the sign of the divisor.
fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        // A remainder of 0 has the divisor's sign, too.
        return 0f64.copysign(b);
    }
    if (rest < 0.0) == (b < 0.0) {
        rest
    } else {
        rest + b
    }
}

/// Python's floor division of floats.
fn floor_divide(a: f64, b: f64) -> f64 {
    let quotient = (a - modulo(a, b)) / b;
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    // CPython's own correction: the quotient of a rounded remainder may be just below the whole
    // number.
    if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    }
}

pub(super) fn negative(value: &Value) -> Made {
    match value {
        Value::Undefined(message) => Err(Failure::new(&**message)),
        Value::Float(f) => Ok(Value::Float(-f)),
        other => {
            let negated = other.as_int().map(i64::checked_neg);
            match negated {
                Some(Some(i)) => Ok(Value::Int(i)),
                Some(None) => Err(Failure::new(
                    "the result of - is beyond whole numbers of 64 bits",
                )),
                None => Err(Failure::new(format!("a {} has no negative", other.kind()))),
            }
        }
    }
}

pub(super) fn positive(value: &Value) -> Made {
    match value {
        Value::Undefined(message) => Err(Failure::new(&**message)),
        Value::Float(f) => Ok(Value::Float(*f)),
        other => match other.as_int() {
            Some(i) => Ok(Value::Int(i)),
            None => Err(Failure::new(format!("a {} has no +", other.kind()))),
        },
    }
}

pub(super) fn compare(
    comparison: Comparison,
    a: &Value,
    b: &Value,
    budget: &mut Budget,
) -> Result<bool, Failure> {
    Ok(match comparison {
        Comparison::Equal => a.equals(b, budget)?,
        Comparison::NotEqual => !a.equals(b, budget)?,
        Comparison::Less => a.order(b, budget)? == Some(Ordering::Less),
        Comparison::LessEqual => a.order(b, budget)?.is_some_and(Ordering::is_le),
        Comparison::Greater => a.order(b, budget)? == Some(Ordering::Greater),
        Comparison::GreaterEqual => a.order(b, budget)?.is_some_and(Ordering::is_ge),
        Comparison::In => contains(b, a, budget)?,
        Comparison::NotIn => !contains(b, a, budget)?,
    })
}

/// Tells whether `item in container`.
fn contains(container: &Value, item: &Value, budget: &mut Budget) -> Result<bool, Failure> {
    match (container, item) {
        (Value::Str(text), Value::Str(part)) => {
            budget.charge(text.len())?;
            Ok(text.contains(&**part))
        }
        (Value::Str(_), other) => Err(Failure::new(format!(
            "'in <string>' needs a string, not {:?}",
            other.kind()
        ))),
        (Value::Dict(dict), key) => {
            if !key.is_hashable(budget)? {
                return Err(Failure::new(format!("unhashable type: {:?}", key.kind())));
            }
            Ok(dict.get(key, budget)?.is_some())
        }
        (Value::Range(first, end, step), number) if number.as_int().is_some() => {
            let number = number.as_int().unwrap_or_default();
            let inside = if *step > 0 {
                *first <= number && number < *end
            } else {
                *end < number && number <= *first
            };
            // In 128 bits: the ends of a range may be at both ends of an i64.
            Ok(inside && (i128::from(number) - i128::from(*first)) % i128::from(*step) == 0)
        }
        (Value::Iterator(queue), item) => {
            // Python reads up to the item and leaves the rest.
            loop {
                let Some(next) = queue.items.borrow_mut().pop_front() else {
                    return Ok(false);
                };
                if next.equals(item, budget)? {
                    return Ok(true);
                }
            }
        }
        (container, item) => {
            for known in container.items(budget)? {
                if known.equals(item, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}
