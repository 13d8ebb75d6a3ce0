//! Filters that make numbers.

use super::text::undefined;
use crate::model::jinja::arguments::{self, Passed, whole};
use crate::model::jinja::budget::Failure;
use crate::model::jinja::repr::is_space;
use crate::model::jinja::value::Value;

type Made = Result<Value, Failure>;

/// Cuts off a number's fraction.
fn truncated(number: f64) -> Made {
    // Below 2^63, with room: Python goes on into whole numbers of any size.
    if number.is_finite() && number.abs() < 9e18 {
        Ok(Value::Int(number.trunc() as i64))
    } else {
        Err(Failure::new("int: the number is beyond 64 bits"))
    }
}

/// Returns the whole number that a text writes, as Python's `int` reads it.
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

pub(super) fn of_number(name: &str, value: &Value, passed: Passed) -> Made {
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
                // Python's `int(nan)` is a ValueError, for which jinja2 has the default.
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
    let method = method.map_or_else(|| Ok("common".into()), |m| arguments::text(m, "round"))?;
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
