//! Python's `%` of strings and `str.format`.

use super::budget::{Budget, Failure};
use super::repr::{is_printable, str_repr};
use super::value::Value;

/// Says how a value is set: fill, alignment, sign, width and the like.
#[derive(Debug, Default, Clone)]
struct Spec {
    fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    align: Option<char>,
    /// `+`, `-` or a space.
    sign: Option<char>,
    alternate: bool,
    width: usize,
    comma: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn unsupported(what: &str) -> Failure {
    Failure::new(format!("{what} is not supported in a format"))
}

/// Returns `pattern % values`.
pub(super) fn percent(
    pattern: &str,
    values: &Value,
    budget: &mut Budget,
) -> Result<Value, Failure> {
    budget.charge(pattern.len())?;
    let several = match values {
        Value::Tuple(s) => s.items.clone(),
        // What is no tuple is the one value.
        one => vec![one.clone()],
    };
    let mut several = several.into_iter();
    let (mut used, mut named) = (false, false);
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut value = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let end = inside
                .find(')')
                .ok_or_else(|| Failure::new("incomplete format key"))?;
            value = Some(by_key(values, &inside[..end], budget)?);
            named = true;
            rest = &inside[end + 1..];
        }
        let (spec, after) = percent_spec(rest)?;
        rest = after;
        // `%%` takes no value.
        if spec.kind == Some('%') {
            out.push('%');
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => several
                .next()
                .ok_or_else(|| Failure::new("not enough arguments for format string"))?,
        };
        used = true;
        write_percent(&spec, &value, &mut out, budget)?;
    }
    budget.fits(out.len() + rest.len())?;
    out.push_str(rest);
    let left = several.next().is_some();
    // CPython complains of arguments that are left only where they are no mapping (anything with
    // subscripts but strings and tuples counts as one).
    let excusable = named
        || (!used
            && matches!(
                values,
                Value::Dict(_) | Value::List(_) | Value::Undefined(_) | Value::Range(..)
            ));
    if left && !excusable {
        return Err(Failure::new(
            "not all arguments converted during string formatting",
        ));
    }
    Ok(Value::Str(out.into()))
}

/// Returns the value that a format names.
fn by_key(values: &Value, key: &str, budget: &mut Budget) -> Result<Value, Failure> {
    let Value::Dict(dict) = values else {
        return Err(Failure::new("format requires a mapping"));
    };
    let found = dict.get(&Value::str(key), budget)?.cloned();
    found.ok_or_else(|| Failure::new(format!("no key {key:?} for the format")))
}

fn digits(text: &str) -> Result<(Option<usize>, &str), Failure> {
    let length = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if length == 0 {
        return Ok((None, text));
    }
    let number = text[..length]
        .parse()
        .map_err(|_| Failure::new(format!("a width of {}", &text[..length.min(40)])))?;
    Ok((Some(number), &text[length..]))
}

fn percent_spec(mut rest: &str) -> Result<(Spec, &str), Failure> {
    let mut spec = Spec {
        align: Some('>'),
        ..Spec::default()
    };
    let mut zero = false;
    while let Some(flag) = rest.chars().next().filter(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => spec.align = Some('<'),
            '+' => spec.sign = Some('+'),
            // C: a plus wins over a space.
            ' ' if spec.sign.is_none() => spec.sign = Some(' '),
            '#' => spec.alternate = true,
            '0' => zero = true,
            _ => {}
        }
        rest = &rest[1..];
    }
    if rest.starts_with('*') {
        return Err(unsupported("a width by *"));
    }
    let (width, after) = digits(rest)?;
    spec.width = width.unwrap_or(0);
    rest = after;
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = digits(after)?;
        spec.precision = Some(precision.unwrap_or(0));
        rest = after;
    }
    // Python reads C's length modifiers and forgets them.
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let kind = rest
        .chars()
        .next()
        .ok_or_else(|| Failure::new("incomplete format"))?;
    spec.kind = Some(kind);
    // Zeros fill numbers, and only where they stand to the right.
    if zero && spec.align == Some('>') && !"srac%".contains(kind) {
        (spec.fill, spec.align) = (Some('0'), Some('='));
    }
    Ok((spec, &rest[kind.len_utf8()..]))
}

fn write_percent(
    spec: &Spec,
    value: &Value,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    let kind = spec.kind.unwrap_or('s');
    match kind {
        's' | 'r' | 'a' => {
            let mut text = String::new();
            match kind {
                's' => value.write_text(&mut text, budget)?,
                _ => value.write_repr(&mut text, budget)?,
            }
            if kind == 'a' {
                text = ascii(&text);
            }
            pad_text(spec, &text, out, budget)
        }
        'c' => match value {
            Value::Str(text) if text.chars().count() == 1 => pad_text(spec, text, out, budget),
            other => {
                let c = other
                    .as_int()
                    .and_then(|i| u32::try_from(i).ok())
                    .and_then(char::from_u32);
                let c = c.ok_or_else(|| Failure::new("%c requires a character"))?;
                pad_text(spec, c.encode_utf8(&mut [0; 4]), out, budget)
            }
        },
        'd' | 'i' | 'u' => {
            let whole = match value {
                // `%d` cuts a float's fraction off, `%x` refuses it.
                Value::Float(f) if f.is_finite() && f.abs() < 9e18 => Some(f.trunc() as i64),
                other => other.as_int(),
            };
            let whole = whole.ok_or_else(|| Failure::new("%d requires a number"))?;
            let spec = Spec {
                kind: Some('d'),
                ..spec.clone()
            };
            write_int(&spec, whole, out, budget)
        }
        'x' | 'X' | 'o' => {
            let whole = value
                .as_int()
                .ok_or_else(|| Failure::new(format!("%{kind} requires a whole number")))?;
            write_int(spec, whole, out, budget)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = value
                .as_float()
                .ok_or_else(|| Failure::new(format!("%{kind} requires a number")))?;
            write_float(spec, number, out, budget)
        }
        other => Err(Failure::new(format!(
            "unsupported format character {other:?}"
        ))),
    }
}

/// Python's `ascii` of what `repr` wrote.
fn ascii(text: &str) -> String {
    text.chars().map(ascii_char).collect()
}

fn ascii_char(c: char) -> String {
    match c as u32 {
        _ if c.is_ascii() => c.into(),
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Sets `text` in its width; the sign of a number is in `head`.
fn pad(
    spec: &Spec,
    (head, text): (&str, &str),
    usual: char,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    let length = head.chars().count() + text.chars().count();
    let missing = spec.width.saturating_sub(length);
    let fill = spec.fill.unwrap_or(' ');
    let bytes = out
        .len()
        .saturating_add(head.len() + text.len())
        .saturating_add(missing.saturating_mul(fill.len_utf8()));
    budget.fits(bytes)?;
    budget.charge(head.len() + text.len() + missing)?;
    let (before, inside, after) = match spec.align.unwrap_or(usual) {
        '<' => (0, 0, missing),
        '^' => (missing / 2, 0, missing - missing / 2),
        '=' => (0, missing, 0),
        _ => (missing, 0, 0),
    };
    out.extend(std::iter::repeat_n(fill, before));
    out.push_str(head);
    out.extend(std::iter::repeat_n(fill, inside));
    out.push_str(text);
    out.extend(std::iter::repeat_n(fill, after));
    Ok(())
}

fn pad_text(spec: &Spec, text: &str, out: &mut String, budget: &mut Budget) -> Result<(), Failure> {
    // A precision is the most characters of a text.
    let cut = spec
        .precision
        .and_then(|most| text.char_indices().nth(most));
    let text = cut.map_or(text, |(end, _)| &text[..end]);
    pad(spec, ("", text), '<', out, budget)
}

fn signed(spec: &Spec, negative: bool) -> &'static str {
    match (negative, spec.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    }
}

fn grouped(digits: &str, separator: Option<char>) -> String {
    let Some(separator) = separator else {
        return digits.to_owned();
    };
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    out
}

fn write_int(
    spec: &Spec,
    value: i64,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    // The smallest i64 has no positive twin.
    let size = value.unsigned_abs();
    let (prefix, digits) = match spec.kind {
        Some('x') => ("0x", format!("{size:x}")),
        Some('X') => ("0X", format!("{size:X}")),
        Some('o') => ("0o", format!("{size:o}")),
        Some('b') => ("0b", format!("{size:b}")),
        _ => ("", size.to_string()),
    };
    let least = spec.precision.unwrap_or(0);
    // Zeros by precision are padding that `pad` does not see.
    budget.fits(least)?;
    let digits = format!(
        "{}{}",
        "0".repeat(least.saturating_sub(digits.len())),
        grouped(&digits, spec.comma)
    );
    let head = format!(
        "{}{}",
        signed(spec, value < 0),
        if spec.alternate { prefix } else { "" }
    );
    pad(spec, (&head, &digits), '>', out, budget)
}

fn write_float(
    spec: &Spec,
    value: f64,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), Failure> {
    let kind = spec.kind.unwrap_or('g');
    let places = spec.precision.unwrap_or(6);
    // Bounds what is formatted before it is priced; no prompt asks for so many.
    if places > 400 {
        return Err(unsupported("a precision above 400"));
    }
    if spec.alternate {
        return Err(unsupported("# before a float"));
    }
    let size = value.abs();
    let digits = if size.is_nan() {
        "nan".to_owned()
    } else if size.is_infinite() {
        "inf".to_owned()
    } else {
        match kind.to_ascii_lowercase() {
            'f' => format!("{size:.places$}"),
            'e' => exponential(size, places),
            '%' => format!("{:.places$}%", size * 100.0),
            // `%.0g` counts as one digit in C.
            _ => general(size, places.max(1)),
        }
    };
    let digits = match spec.comma {
        Some(_) => {
            let (whole, rest) = digits.split_at(
                digits
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(digits.len()),
            );
            grouped(whole, spec.comma) + rest
        }
        None => digits,
    };
    let digits = if kind.is_ascii_uppercase() {
        digits.to_ascii_uppercase()
    } else {
        digits
    };
    pad(
        spec,
        (
            // Python prints "nan" without a sign, and "-0.0" with one.
            signed(spec, value.is_sign_negative() && !value.is_nan()),
            &digits,
        ),
        '>',
        out,
        budget,
    )
}

fn exponential(size: f64, places: usize) -> String {
    let text = format!("{size:.places$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    // C writes a sign and two digits at least, Rust neither.
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!(
        "{digits}e{}{:02}",
        if exponent < 0 { '-' } else { '+' },
        exponent.abs()
    )
}

/// Removes zeros at the end of a fraction, and the point if nothing is left behind it.
fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// C's `%g`.
fn general(size: f64, places: usize) -> String {
    let text = format!("{size:.*e}", places - 1);
    let exponent: i32 = text
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    let trimmed = |digits: &str| without_zeros(digits).to_owned();
    // The exponent after rounding to `places` digits decides, as C has it: 9.99e5 at two places is
    // 1e+06.
    if exponent < -4 || exponent >= places as i32 {
        let text = exponential(size, places - 1);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{exponent}", trimmed(digits));
    }
    trimmed(&format!(
        "{size:.*}",
        (places as i32 - 1 - exponent).max(0) as usize
    ))
}

/// A replacement field of `str.format`: name, conversion and format.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    conversion: Option<char>,
    spec: Spec,
}

/// A piece of a pattern of `str.format`.
pub(super) enum Piece<'a> {
    Text(&'a str),
    Field(Field<'a>),
}

/// Returns the pieces of a pattern of `str.format`.
pub(super) fn pieces(pattern: &str) -> Result<Vec<Piece<'_>>, Failure> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        pieces.push(Piece::Text(&rest[..at]));
        // One byte: it is one of the two braces.
        let doubled = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix(doubled) {
            pieces.push(Piece::Text(doubled));
            rest = escaped;
            continue;
        }
        if doubled == "}" {
            return Err(Failure::new("single '}' encountered in format string"));
        }
        let end = after
            .find('}')
            .ok_or_else(|| Failure::new("expected '}' before end of string"))?;
        let inside = &after[..end];
        // `{:{width}}`; no known template has one.
        if inside.contains('{') {
            return Err(unsupported("a field within a field"));
        }
        let (named, spec) = inside.split_once(':').unwrap_or((inside, ""));
        let (name, conversion) = match named.split_once('!') {
            Some((name, "r")) => (name, Some('r')),
            Some((name, "s")) => (name, Some('s')),
            Some((name, "a")) => (name, Some('a')),
            Some(_) => return Err(unsupported("a conversion other than !r, !s and !a")),
            None => (named, None),
        };
        pieces.push(Piece::Field(Field {
            name,
            conversion,
            spec: format_spec(spec)?,
        }));
        rest = &after[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn format_spec(text: &str) -> Result<Spec, Failure> {
    let mut spec = Spec::default();
    let mut rest = text;
    let mut chars = text.chars();
    let (first, second) = (chars.next(), chars.next());
    if let (Some(fill), Some(align)) = (first, second.filter(|c| "<>^=".contains(*c))) {
        (spec.fill, spec.align) = (Some(fill), Some(align));
        rest = &rest[fill.len_utf8() + 1..];
    } else if let Some(align) = first.filter(|c| "<>^=".contains(*c)) {
        spec.align = Some(align);
        rest = &rest[1..];
    }
    if let Some(sign) = rest.chars().next().filter(|c| "+- ".contains(*c)) {
        spec.sign = Some(sign);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('#') {
        spec.alternate = true;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('0') {
        // A zero before the width is short for `0=`; what was said before it stays.
        spec.fill.get_or_insert('0');
        spec.align.get_or_insert('=');
        rest = after;
    }
    let (width, after) = digits(rest)?;
    spec.width = width.unwrap_or(0);
    rest = after;
    if let Some(separator) = rest.chars().next().filter(|c| ",_".contains(*c)) {
        spec.comma = Some(separator);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = digits(after)?;
        spec.precision =
            Some(precision.ok_or_else(|| Failure::new("a format with a point has no precision"))?);
        rest = after;
    }
    let mut kinds = rest.chars();
    spec.kind = kinds.next();
    // Python groups the padding zeros as well (`{:09,}` gives 0,001,234), which is not done here.
    if kinds.next().is_some() || spec.comma.is_some() && spec.fill == Some('0') {
        return Err(unsupported(text));
    }
    Ok(spec)
}

impl Field<'_> {
    /// Appends `value` as the field sets it.
    pub(super) fn write(
        &self,
        value: &Value,
        out: &mut String,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        // `{}` writes any value as `str` does; with a format of its own its type decides.
        let plain =
            self.spec.kind.is_none() && self.spec.width == 0 && self.spec.precision.is_none();
        if let Some(conversion) = self.conversion {
            let text = converted(conversion, value, budget)?;
            return pad_text(&self.spec, &text, out, budget);
        }
        match (value, self.spec.kind) {
            (Value::Undefined(message), _) if !plain => Err(Failure::new(&**message)),
            (value, None) if plain && self.spec.sign.is_none() && self.spec.comma.is_none() => {
                value.write_text(out, budget)
            }
            (Value::Str(text), None | Some('s')) => {
                if self.spec.sign.is_some()
                    || self.spec.comma.is_some()
                    || self.spec.align == Some('=')
                {
                    return Err(Failure::new("a sign or a comma in the format of a string"));
                }
                pad_text(&self.spec, text, out, budget)
            }
            (Value::Int(i), None | Some('d' | 'x' | 'X' | 'o' | 'b'))
                if self.spec.precision.is_none() =>
            {
                write_int(&self.spec, *i, out, budget)
            }
            (Value::Int(_) | Value::Float(_), Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => {
                write_float(
                    &self.spec,
                    value.as_float().unwrap_or_default(),
                    out,
                    budget,
                )
            }
            // Without a kind Python sets a float as `repr` writes it, and not by `g`.
            (Value::Float(f), None) if self.spec.precision.is_none() => {
                let text = plain_float(*f, self.spec.comma);
                let sign = signed(&self.spec, f.is_sign_negative());
                pad(&self.spec, (sign, &text), '>', out, budget)
            }
            (other, _) => Err(unsupported(&format!("this format of a {}", other.kind()))),
        }
    }
}

/// Returns the text that `!s`, `!r` or `!a` makes of a value.
fn converted(conversion: char, value: &Value, budget: &mut Budget) -> Result<String, Failure> {
    let text = match (conversion, value) {
        ('s', value) => value.text(budget)?.to_string(),
        (_, Value::Str(text)) => str_repr(text),
        (_, value) => {
            let mut text = String::new();
            value.write_repr(&mut text, budget)?;
            text
        }
    };
    Ok(if conversion == 'a' {
        ascii(&text)
    } else {
        text
    })
}

/// Returns the digits of a float as `repr` has them, without its sign, those before the point in
/// groups.
fn plain_float(value: f64, comma: Option<char>) -> String {
    let text = super::repr::float_repr(value.abs());
    let point = text.find(|c: char| !c.is_ascii_digit());
    let (whole, rest) = text.split_at(point.unwrap_or(text.len()));
    grouped(whole, comma) + rest
}

/// Tells whether every character is one that `repr` writes as it is.
pub(super) fn all_printable(text: &str) -> bool {
    text.chars().all(is_printable)
}
