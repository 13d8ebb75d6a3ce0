//! Python literals, as pandas, VLMEvalKit and `str()` leave them in cells: lists, tuples, objects,
//! texts, bytes, numbers, None. JSON is read where it is also Python. Nothing is evaluated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::unique::UniqueValue;

/// Nesting of lists, each of which takes a frame of the stack.
const MAX_DEPTH: usize = 32;

/// The prefix of bytes in a text: a data URI.
pub(super) const BYTES: &str = "data:;base64,";

/// Parses a list or an object, written as JSON or as Python; `None` where it is neither. Bytes
/// become a data URI.
pub(super) fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['[', '{', '(']) {
        return None;
    }
    // JSON first: the two agree where both read a text, but for rare escapes.
    if let Ok(UniqueValue(value)) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut reader = LiteralParser { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    // What goes on behind the bracket is a sentence that begins with one.
    (reader.at == text.len()).then_some(value)
}

struct LiteralParser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> LiteralParser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Skips `token`, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        let rest = self.rest();
        match rest.bytes().next()? {
            b'[' => self.list("[", "]", depth),
            b'(' => self.list("(", ")", depth),
            b'{' => self.object(depth),
            b'\'' | b'"' => self.string(false).map(Value::String),
            _ if rest.starts_with("array(") => self.array(depth),
            _ => self.word(),
        }
    }

    /// Parses elements, with commas between them or, as NumPy prints, without.
    fn list(&mut self, open: &str, close: &str, depth: usize) -> Option<Value> {
        self.take(open);
        let mut all = Vec::new();
        while !self.take(close) {
            all.push(self.value(depth + 1)?);
            // Optional, as NumPy prints arrays without any.
            self.take(",");
        }
        Some(Value::Array(all))
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.take("{");
        let mut all = Map::new();
        while !self.take("}") {
            let name = match self.value(depth + 1)? {
                Value::String(name) => name,
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            if !self.take(":") {
                return None;
            }
            let value = self.value(depth + 1)?;
            // Of two values of one name, Python would keep the last in silence.
            if all.insert(name, value).is_some() {
                return None;
            }
            self.take(",");
        }
        Some(Value::Object(all))
    }

    /// Parses `array([...], dtype=object)`, as NumPy prints a list within an object.
    fn array(&mut self, depth: usize) -> Option<Value> {
        self.take("array(");
        let all = self.value(depth + 1)?;
        // The type of the numbers, which says nothing that they do not.
        if self.take(",") {
            let rest = self.rest();
            self.at += rest.find(')')?;
        }
        self.take(")").then_some(all)
    }

    /// Parses a number, a constant such as None, or a text with a prefix.
    fn word(&mut self) -> Option<Value> {
        let rest = self.rest();
        // What numbers and words are made of; `1e-5` and `nan` among them.
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c)))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        self.at += length;
        if after.starts_with(['\'', '"']) && matches!(word, "b" | "B" | "u" | "U") {
            let text = self.string(word.eq_ignore_ascii_case("b"))?;
            return Some(Value::String(text));
        }
        match word {
            "None" | "null" | "nan" | "NaN" => Some(Value::Null),
            "True" | "true" => Some(true.into()),
            "False" | "false" => Some(false.into()),
            _ => {
                // Whole numbers first: as f64 an id above 2^53 would be another.
                let whole = word.parse::<i64>().map(Number::from).ok();
                whole
                    .or_else(|| word.parse::<f64>().ok().and_then(Number::from_f64))
                    .map(Value::Number)
            }
        }
    }

    /// Parses a text between quotes; bytes become a data URI.
    fn string(&mut self, bytes: bool) -> Option<String> {
        let quote = self.rest().chars().next()?;
        // Both quotes are one byte.
        self.at += 1;
        let mut out = Out {
            text: String::new(),
            bytes: Vec::new(),
            is_bytes: bytes,
        };
        loop {
            let rest = self.rest();
            let end = rest.find([quote, '\\'])?;
            let (plain, after) = rest.split_at(end);
            out.push_str(plain);
            self.at += end + 1;
            if after.starts_with(quote) {
                return Some(out.finish());
            }
            self.escape(&mut out)?;
        }
    }

    /// Parses the rest of an escape, behind its backslash.
    fn escape(&mut self, out: &mut Out) -> Option<()> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        match next {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'v' => out.push('\x0b'),
            // A backslash at the end of a line joins it to the next.
            '\n' => Some(()),
            '\\' | '\'' | '"' => out.push(next),
            'x' => self.code(2).and_then(|code| out.push_code(code)),
            'u' => self.code(4).and_then(|code| out.push_code(code)),
            'U' => self.code(8).and_then(|code| out.push_code(code)),
            '0' => out.push('\0'),
            // Python keeps the backslash of an unknown escape.
            other => out.push('\\').and_then(|()| out.push(other)),
        }
    }

    fn code(&mut self, digits: usize) -> Option<u32> {
        // `None` also where the text ends, or a character begins before it would.
        let hex = self.rest().get(..digits)?;
        self.at += digits;
        u32::from_str_radix(hex, 16).ok()
    }
}

/// A text, or bytes, as far as they are parsed.
struct Out {
    text: String,
    bytes: Vec<u8>,
    is_bytes: bool,
}

impl Out {
    fn push_str(&mut self, text: &str) {
        if self.is_bytes {
            self.bytes.extend_from_slice(text.as_bytes());
        } else {
            self.text.push_str(text);
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "one arm of a match whose others may fail"
    )]
    fn push(&mut self, c: char) -> Option<()> {
        self.push_str(c.encode_utf8(&mut [0; 4]));
        Some(())
    }

    fn push_code(&mut self, code: u32) -> Option<()> {
        if self.is_bytes {
            self.bytes.push(u8::try_from(code).ok()?);
            return Some(());
        }
        self.push(char::from_u32(code)?)
    }

    fn finish(self) -> String {
        if self.is_bytes {
            format!("{BYTES}{}", STANDARD.encode(&self.bytes))
        } else {
            self.text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let cases = [
            ("['a', \"b\"]", json!(["a", "b"])),
            (
                "['it\\'s', 'x\\ty', '\\u00e9', 'C:\\dir']",
                json!(["it's", "x\ty", "é", "C:\\dir"]),
            ),
            ("('a',)", json!(["a"])),
            (
                "{'A': 'x', 'B': None, 1: 2.5}",
                json!({"A": "x", "B": null, "1": 2.5}),
            ),
            ("['a' 'b'\n 'c']", json!(["a", "b", "c"])),
            (
                "{'text': array(['a', 'b'], dtype=object)}",
                json!({"text": ["a", "b"]}),
            ),
            (
                "{'bytes': b'\\x89PNG\\r', 'path': None}",
                json!({"bytes": "data:;base64,iVBORw0=", "path": null}),
            ),
            ("[True, False, nan, 3]", json!([true, false, null, 3])),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "a",
            "['a'",
            "[a]",
            "['a']x",
            "{'a'}",
            "[__import__('os')]",
            "['\\u00']",
            "{'A': 'x', 'A': 'y'}",
            r#"{"A": "x", "A": "y"}"#,
            r#"[{"A": "x", "A": "y"}]"#,
            &"[".repeat(10_000),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
