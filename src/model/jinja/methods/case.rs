//! Tells and changes the case of characters, and tells their kind, as Python's strings do.

use crate::model::jinja::budget::Failure;
use crate::model::jinja::format::all_printable;
use crate::model::jinja::repr::is_space;
use crate::model::jinja::value::Value;

type Made = Result<Value, Failure>;

/// Calls a method that takes no arguments: a change of case or a question about all characters.
pub(super) fn call(own: &str, name: &str) -> Made {
    match name {
        "capitalize" => Ok(capitalize(own).into()),
        "lower" => Ok(own.to_lowercase().into()),
        "upper" => Ok(own.to_uppercase().into()),
        "title" => Ok(title(own).into()),
        "swapcase" => Ok(swap_case(own).into()),
        // Beyond ASCII it needs Unicode's full case folding, which the standard library has not.
        "casefold" if own.is_ascii() => Ok(own.to_ascii_lowercase().into()),
        "casefold" => Err(Failure::new(
            "casefold of letters beyond ASCII is not supported",
        )),
        _ => is(own, name).map(Value::Bool),
    }
}

/// Answers the questions that begin with `is`.
fn is(own: &str, name: &str) -> Result<bool, Failure> {
    Ok(match name {
        "isascii" => own.is_ascii(),
        "isspace" => all(own, is_space),
        "isalpha" => all(own, is_letter),
        "isprintable" => all_printable(own),
        // A capital that is in title case, such as `ǅ`, is neither.
        "islower" => {
            own.chars().any(is_cased) && !own.chars().any(|c| c.is_uppercase() || is_title_case(c))
        }
        "isupper" => {
            own.chars().any(is_cased) && !own.chars().any(|c| c.is_lowercase() || is_title_case(c))
        }
        "isalnum" | "isdecimal" | "isdigit" | "isnumeric" if !own.is_ascii() => {
            // Python tells decimals, digits and numerals apart by tables of their own.
            if own.chars().any(|c| !c.is_ascii() && c.is_numeric()) {
                return Err(Failure::new(format!(
                    "{name} of numerals beyond ASCII is not supported"
                )));
            }
            name == "isalnum" && all(own, |c| c.is_ascii_digit() || is_letter(c))
        }
        "isalnum" => all(own, |c| c.is_ascii_alphanumeric()),
        "isdecimal" | "isdigit" | "isnumeric" => all(own, |c| c.is_ascii_digit()),
        "isidentifier" => {
            own.starts_with(|c: char| c == '_' || is_letter(c))
                && own.chars().all(|c| c == '_' || c.is_alphanumeric())
        }
        _ => is_title(own),
    })
}

/// Tells whether `holds` is true of all characters, of which there is one at least.
fn all(own: &str, holds: fn(char) -> bool) -> bool {
    !own.is_empty() && own.chars().all(holds)
}

/// Tells whether capitals stand only after what has no case, small letters only after what has.
fn is_title(own: &str) -> bool {
    let (mut before, mut any) = (false, false);
    for c in own.chars() {
        let upper = c.is_uppercase() || is_title_case(c);
        if (upper && before) || (c.is_lowercase() && !before) {
            return false;
        }
        before = is_cased(c);
        any |= before;
    }
    any
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase() || is_title_case(c)
}

/// Python's `str.swapcase`.
fn swap_case(text: &str) -> String {
    let lower = text.to_lowercase();
    // Both are walked together, unless a letter becomes several in small letters.
    let same = lower.chars().count() == text.chars().count();
    let mut lowered = lower.chars();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // From the whole text in small letters, since the last sigma of a word has a form of its
        // own.
        let small = if same { lowered.next() } else { None };
        if c.is_lowercase() {
            out.extend(c.to_uppercase());
        } else if is_title_case(c) {
            // Python leaves it: it is neither upper nor lower case.
            out.push(c);
        } else if let Some(small) = small {
            out.push(small);
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

/// Tells whether `c` is a letter in title case: one character for two letters of which the first
/// is a capital.
fn is_title_case(c: char) -> bool {
    matches!(
        c,
        '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}'
            // Greek capitals with an iota at their side.
            | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}'
            | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}'
    )
}

/// Tells whether `c` is a letter, as Unicode's categories have it: `char::is_alphabetic` counts
/// marks and numerals too.
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

/// Appends the first letter of a word: in title case where Unicode has one.
fn push_title(c: char, out: &mut String) {
    match c {
        '\u{1c4}'..='\u{1c6}' => out.push('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => out.push('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => out.push('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => out.push('\u{1f2}'),
        // The one whose first letter has no case.
        '\u{149}' => out.push_str("\u{2bc}N"),
        // Georgian has capitals, but no title case; the three Greek letters are in title case.
        '\u{10d0}'..='\u{10ff}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}' => out.push(c),
        // Eight small letters with an iota below, and behind them the eight in title case.
        '\u{1f80}'..='\u{1faf}' => {
            out.extend(char::from_u32(u32::from(c) | 8));
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => {
            out.extend(char::from_u32(u32::from(c) + 9));
        }
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            for more in upper {
                match more {
                    // The iota below stays below; only in upper case it is a letter of its own.
                    '\u{399}' if is_iota_below(c) => out.push('\u{345}'),
                    // A ligature: the rest stays small.
                    more => out.extend(more.to_lowercase()),
                }
            }
        }
    }
}

/// Tells whether `c` is a small Greek letter that has an accent and an iota below it.
fn is_iota_below(c: char) -> bool {
    matches!(
        c,
        '\u{1fb2}'
            | '\u{1fb4}'
            | '\u{1fb7}'
            | '\u{1fc2}'
            | '\u{1fc4}'
            | '\u{1fc7}'
            | '\u{1ff2}'
            | '\u{1ff4}'
            | '\u{1ff7}'
    )
}

/// Python's `str.capitalize`.
fn capitalize(text: &str) -> String {
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
    // Both are walked together, unless a letter becomes several in small letters.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Compares with what CPython 3.11 makes of `c.title()`, `c.swapcase()` and `c.istitle()`.
    #[test]
    fn letters_in_title_case_are_those_of_python() {
        for (letter, titled, swapped, is_titled) in [
            ("ǆ", "ǅ", "Ǆ", false),
            ("ǅ", "ǅ", "ǅ", true),
            ("ŉ", "ʼN", "ʼN", false),
            ("ﬁ", "Fi", "FI", false),
            ("ა", "ა", "Ა", false),
            // Greek, with the iota below, at the side, and as a letter of its own.
            ("ᾀ", "ᾈ", "ἈΙ", false),
            ("ᾈ", "ᾈ", "ᾈ", true),
            ("ᾗ", "ᾟ", "ἯΙ", false),
            ("ᾳ", "ᾼ", "ΑΙ", false),
            ("ῌ", "ῌ", "ῌ", true),
            ("ῳ", "ῼ", "ΩΙ", false),
            ("ᾲ", "Ὰ\u{345}", "ᾺΙ", false),
            ("ῇ", "Η\u{342}\u{345}", "Η\u{342}Ι", false),
            ("ῴ", "Ώ\u{345}", "ΏΙ", false),
        ] {
            assert_eq!(title(letter), titled, "{letter}");
            assert_eq!(swap_case(letter), swapped, "{letter}");
            assert_eq!(is(letter, "istitle").unwrap(), is_titled, "{letter}");
        }
        assert_eq!(title("ᾠδὴ ᾄδειν"), "ᾨδὴ ᾌδειν");
        assert_eq!(capitalize("ᾅδης"), "ᾍδης");
    }
}
