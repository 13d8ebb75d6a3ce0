//! Templates with names in braces.

/// Fills the values of `values` in for each `{name}` of `template`, in one pass: a value that holds
/// a name in braces stays as it is.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    pieces(template, values).collect()
}

/// Returns the size in bytes of what [`fill`] returns.
pub fn filled_bytes(template: &str, values: &[(&str, &str)]) -> usize {
    pieces(template, values).fold(0, |sum, piece| sum.saturating_add(piece.len()))
}

/// Iterates over the values and the texts between them.
fn pieces<'a>(
    template: &'a str,
    values: &'a [(&'a str, &'a str)],
) -> impl Iterator<Item = &'a str> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let value = values
            .iter()
            .find_map(|(name, value)| Some((*value, after_name(rest, name)?)));
        let (piece, after) = value.unwrap_or_else(|| plain_text(rest));
        rest = after;
        Some(piece)
    })
}

/// Returns what follows `{name}`, if `text` begins with it.
fn after_name<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix('{')?
        .strip_prefix(name)?
        .strip_prefix('}')
}

/// Splits `text` before its next brace, the first character apart: it opens no name.
fn plain_text(text: &str) -> (&str, &str) {
    let next = text.char_indices().skip(1).find(|(_, c)| *c == '{');
    text.split_at(next.map_or(text.len(), |(at, _)| at))
}
