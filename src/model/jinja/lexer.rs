//! A template's source in tokens, as jinja2's lexer cuts it under `trim_blocks` and
//! `lstrip_blocks`.

use std::sync::Arc;

use super::budget::Failure;
use super::repr::is_space;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(Arc<str>),
    PrintBegin,
    PrintEnd,
    BlockBegin,
    BlockEnd,
    Name(Arc<str>),
    Str(Arc<str>),
    Int(i64),
    Float(f64),
    Operator(&'static str),
    End,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => write!(f, "text"),
            Self::PrintBegin => write!(f, "{{{{"),
            Self::PrintEnd => write!(f, "}}}}"),
            Self::BlockBegin => write!(f, "{{%"),
            Self::BlockEnd => write!(f, "%}}"),
            Self::Name(name) => write!(f, "{name}"),
            Self::Str(text) => write!(f, "{text:?}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Operator(operator) => write!(f, "{operator}"),
            Self::End => write!(f, "the end of the template"),
        }
    }
}

/// Bytes of a name, which errors repeat wherever it stands.
const NAME: usize = 1000;

/// Longest first: `//` would else be two divisions.
const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",",
];

/// Returns the tokens of `source`, each with its line.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, Failure> {
    // jinja2's `newline_sequence`, which goes for text between tags as well.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // One newline at the end is dropped: jinja2's `keep_trailing_newline` is off.
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer {
        source,
        at: 0,
        line: 1,
        // The source begins as a line does.
        line_starting: true,
        tokens: Vec::new(),
    };
    lexer.root()?;
    lexer.push(Token::End);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    /// Tells whether what was matched last ended a line.
    line_starting: bool,
    tokens: Vec<(Token, usize)>,
}

impl<'a> Lexer<'a> {
    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Goes on by `bytes`, counting lines.
    fn advance(&mut self, bytes: usize) {
        let passed = &self.source[self.at..self.at + bytes];
        self.line += passed.matches('\n').count();
        // Where nothing was passed, the line is where it was.
        if let Some(last) = passed.chars().last() {
            self.line_starting = last == '\n';
        }
        self.at += bytes;
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(Token::Text(text.into()));
        }
    }

    fn root(&mut self) -> Result<(), Failure> {
        loop {
            let rest = self.rest();
            // The first in the text: two of them never begin at one place.
            let opening = ["{{", "{%", "{#"]
                .iter()
                .filter_map(|open| Some((rest.find(open)?, *open)))
                .min();
            let Some((length, open)) = opening else {
                self.text(rest);
                self.advance(rest.len());
                return Ok(());
            };
            let sign = rest[length + 2..]
                .chars()
                .next()
                .filter(|c| matches!(c, '-' | '+'));
            // Comments count as blocks: `lstrip_blocks` goes for both, and not for prints.
            let before = self.stripped(&rest[..length], sign, open != "{{");
            self.text(before);
            // Known here already: nothing within {% raw %} is a token.
            let raw = if open == "{%" {
                raw_begin(&rest[length..])
            } else {
                None
            };
            self.advance(
                raw.map_or(length + 2 + usize::from(sign.is_some()), |bytes| {
                    length + bytes
                }),
            );
            match (raw, open) {
                (Some(_), _) => self.raw()?,
                (None, "{{") => self.code(Token::PrintBegin)?,
                (None, "{%") => self.code(Token::BlockBegin)?,
                (None, _) => self.comment()?,
            }
        }
    }

    /// Returns the text before a tag, without what its sign or `lstrip_blocks` takes away.
    fn stripped(&self, text: &'a str, sign: Option<char>, is_block: bool) -> &'a str {
        match sign {
            Some('-') => text.trim_end_matches(is_space),
            None if is_block => {
                let line = text.rfind('\n').map_or(0, |i| i + 1);
                // `lstrip_blocks` strips spaces from a line's start only; text behind a print on
                // the same line keeps them.
                let whole = line > 0 || self.line_starting;
                if whole && text[line..].chars().all(is_space) {
                    &text[..line]
                } else {
                    text
                }
            }
            _ => text,
        }
    }

    /// Returns the end of a tag whose closing is `close`, in bytes, with what is swallowed behind it.
    fn closing(rest: &str, close: &str, trims: bool) -> Option<usize> {
        // `+%}` keeps what `trim_blocks` would swallow.
        if rest.starts_with('+') && rest[1..].starts_with(close) && trims {
            return Some(1 + close.len());
        }
        // `-%}` swallows all space behind it, newlines included.
        if rest.starts_with('-') && rest[1..].starts_with(close) {
            let after = &rest[1 + close.len()..];
            return Some(1 + close.len() + after.len() - after.trim_start_matches(is_space).len());
        }
        let after = rest.strip_prefix(close)?;
        // `trim_blocks`: a newline behind a block is swallowed, behind a print it stays.
        Some(close.len() + usize::from(trims && after.starts_with('\n')))
    }

    fn comment(&mut self) -> Result<(), Failure> {
        let rest = self.rest();
        let unclosed = || Failure::at(self.line, "a comment {# that never ends");
        let end = rest.find("#}").ok_or_else(unclosed)?;
        // The sign belongs to the end: `-#}` swallows the space behind the comment.
        let signed = rest[..end].ends_with(['+', '-']);
        let start = end - usize::from(signed);
        let bytes = Self::closing(&rest[start..], "#}", true).ok_or_else(unclosed)?;
        self.advance(start + bytes);
        Ok(())
    }

    fn raw(&mut self) -> Result<(), Failure> {
        let rest = self.rest();
        // Other tags within are text.
        for (at, _) in rest.match_indices("{%") {
            let inside = &rest[at + 2..];
            let sign = inside.chars().next().filter(|c| matches!(c, '-' | '+'));
            let word = inside[usize::from(sign.is_some())..].trim_start_matches(is_space);
            let Some(after) = word.strip_prefix("endraw") else {
                continue;
            };
            let after = after.trim_start_matches(is_space);
            let Some(bytes) = Self::closing(after, "%}", true) else {
                continue;
            };
            let text = self.stripped(&rest[..at], sign, true);
            self.text(text);
            self.advance(rest.len() - after.len() + bytes);
            return Ok(());
        }
        Err(Failure::at(self.line, "{% raw %} without {% endraw %}"))
    }

    /// Reads the tokens between the braces of a tag.
    fn code(&mut self, begin: Token) -> Result<(), Failure> {
        let (close, end, trims) = if begin == Token::PrintBegin {
            ("}}", Token::PrintEnd, false)
        } else {
            ("%}", Token::BlockEnd, true)
        };
        let opened = self.line;
        self.push(begin);
        let mut open: Vec<&str> = Vec::new();
        loop {
            let rest = self.rest();
            // A `}}` within brackets closes two dicts, not the tag.
            if open.is_empty()
                && let Some(bytes) = Self::closing(rest, close, trims)
            {
                self.push(end);
                self.advance(bytes);
                return Ok(());
            }
            let Some(first) = rest.chars().next() else {
                return Err(Failure::at(
                    opened,
                    format!("a tag that never ends with {close}"),
                ));
            };
            if is_space(first) {
                self.advance(rest.len() - rest.trim_start_matches(is_space).len());
            } else if first.is_ascii_digit() {
                self.number()?;
            // Python's identifiers may have letters of any script; names that begin with a numeral
            // are refused by the parser.
            } else if first == '_' || first.is_alphanumeric() {
                let name: &str = rest
                    .split(|c: char| c != '_' && !c.is_alphanumeric())
                    .next()
                    .unwrap_or_default();
                if name.len() > NAME {
                    let message = format!("a name of {} bytes; at most {NAME}", name.len());
                    return Err(Failure::at(self.line, message));
                }
                self.push(Token::Name(name.into()));
                self.advance(name.len());
            } else if matches!(first, '\'' | '"') {
                self.string(first)?;
            } else {
                self.operator(&mut open)?;
            }
        }
    }

    fn operator(&mut self, open: &mut Vec<&'static str>) -> Result<(), Failure> {
        let rest = self.rest();
        let Some(operator) = OPERATORS.into_iter().find(|o| rest.starts_with(o)) else {
            let odd = rest.chars().next().unwrap_or_default();
            return Err(Failure::at(
                self.line,
                format!("unexpected character {odd:?}"),
            ));
        };
        // Matched here, since a `}}` within brackets must not end the tag.
        match operator {
            "(" => open.push(")"),
            "[" => open.push("]"),
            "{" => open.push("}"),
            ")" | "]" | "}" if open.pop() != Some(operator) => {
                return Err(Failure::at(self.line, format!("unexpected {operator}")));
            }
            _ => {}
        }
        self.push(Token::Operator(operator));
        self.advance(operator.len());
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<(), Failure> {
        let rest = self.rest();
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                // Whatever it is: an escaped quotation mark does not end the string.
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => {
                    let text = unescape(&rest[1..i]).map_err(|e| Failure::at(self.line, e))?;
                    self.push(Token::Str(text.into()));
                    self.advance(i + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Failure::at(self.line, "a string that never ends"))
    }

    fn number(&mut self) -> Result<(), Failure> {
        let rest = self.rest();
        // `x.0.1` is two subscripts, not one and a float.
        let after_dot = self.source[..self.at].ends_with('.');
        if !after_dot && let Some(length) = float(rest) {
            let number = rest[..length].replace('_', "").parse();
            self.push(Token::Float(
                number.map_err(|_| Failure::at(self.line, "not a number"))?,
            ));
            self.advance(length);
            return Ok(());
        }
        // Python's prefixes, small or capital; without a digit behind it the 0 stands alone.
        let based = [("0b", 2), ("0o", 8), ("0x", 16)]
            .into_iter()
            .find_map(|(prefix, base)| {
                let head = rest.get(..2)?;
                let digits = digits(&rest[2..], base);
                (head.eq_ignore_ascii_case(prefix) && digits > 0).then_some((2, digits, base))
            });
        let (skip, length, base) = based.unwrap_or_else(|| {
            // A zero in front stands alone: `01` is 0, then 1.
            let zeros = rest.len() - rest.trim_start_matches(['0', '_']).len();
            (
                0,
                if rest.starts_with('0') {
                    zeros
                } else {
                    digits(rest, 10)
                },
                10,
            )
        });
        let text = rest[skip..skip + length].replace('_', "");
        let number = i64::from_str_radix(&text, base);
        let message = format!("{text} is beyond whole numbers of 64 bits");
        self.push(Token::Int(
            number.map_err(|_| Failure::at(self.line, message))?,
        ));
        self.advance(skip + length);
        Ok(())
    }
}

/// Counts the bytes of `{% raw %}` at the start of `tag`.
fn raw_begin(tag: &str) -> Option<usize> {
    let inside = tag.strip_prefix("{%")?;
    let inside = inside
        .strip_prefix(['-', '+'])
        .unwrap_or(inside)
        .trim_start_matches(is_space);
    let after = inside.strip_prefix("raw")?.trim_start_matches(is_space);
    // `trim_blocks` does not reach here: jinja2 keeps the newline behind {% raw %}.
    Some(tag.len() - after.len() + Lexer::closing(after, "%}", false)?)
}

/// Counts the bytes of the digits, with single underscores between them, at the start of `text`.
fn digits(text: &str, base: u32) -> usize {
    let mut length = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let between = c == '_' && rest.peek().is_some_and(|next| next.is_digit(base));
        if !c.is_digit(base) && !between {
            break;
        }
        length += 1;
    }
    length
}

/// Counts the bytes of a number with a point or an exponent at the start of `text`.
fn float(text: &str) -> Option<usize> {
    let whole = digits(text, 10);
    let mut length = whole;
    if let Some(fraction) = text[length..].strip_prefix('.') {
        let places = digits(fraction, 10);
        length += if places > 0 { 1 + places } else { 0 };
    }
    if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
        let signed = usize::from(exponent.starts_with(['+', '-']));
        let places = digits(&exponent[signed..], 10);
        length += if places > 0 { 1 + signed + places } else { 0 };
    }
    (length > whole).then_some(length)
}

/// Returns the character of a number in base `radix`.
fn character(digits: &str, radix: u32) -> Option<char> {
    let code = u32::from_str_radix(digits, radix).ok();
    code.and_then(char::from_u32)
}

/// Returns the escape of a character that is not ASCII.
fn escape(c: char) -> String {
    let code = c as u32;
    match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

/// Reads a string's text as Python's unicode-escape reads it.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            return Err("a backslash at the end of a string".into());
        };
        rest = &rest[c.len_utf8()..];
        match c {
            // A backslash before the end of a line joins it to the next.
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            'x' | 'u' | 'U' => {
                let count = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let code = rest.get(..count).and_then(|digits| character(digits, 16));
                out.push(code.ok_or_else(|| {
                    format!("\\{c} without {count} hexadecimal digits of a character")
                })?);
                rest = &rest[count..];
            }
            '0'..='7' => {
                // Up to three octal digits, the first of which is `c`.
                let more = rest.chars().take(2).take_while(|d| d.is_digit(8)).count();
                let code = character(&format!("{c}{}", &rest[..more]), 8);
                out.push(code.ok_or("an octal escape that is no character")?);
                rest = &rest[more..];
            }
            'N' => return Err("\\N{name} is not supported; write the character itself".into()),
            // jinja2 escapes what is not ASCII before it unescapes, so that the backslash swallows
            // that escape's own.
            c if !c.is_ascii() => out.push_str(&escape(c)),
            // Python keeps the backslash of an escape that it does not know.
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}
