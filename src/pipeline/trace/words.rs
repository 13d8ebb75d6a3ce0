//! Words: tokens of text joined up to the next space.

use crate::intervention::GridPosition;
use crate::model::Model;
use crate::pipeline::error::Error;

/// Joins the parts of words among `positions`; `ids` are the tokens of the language model's input.
pub(super) fn join(
    model: &Model,
    ids: &[u32],
    positions: Vec<GridPosition>,
) -> Result<Vec<GridPosition>, Error> {
    let mut joined: Vec<GridPosition> = Vec::with_capacity(positions.len());
    for position in positions {
        let Some(part) = position.tokens.first().filter(|_| position.in_word) else {
            joined.push(position);
            continue;
        };
        // Neighbours alone: a word that the selector has cut in two is two positions.
        let goes_on = joined.last().and_then(|word| {
            let last = word.tokens.last().filter(|_| word.in_word)?;
            (word.entry == position.entry && last.token + 1 == part.token).then_some(())
        });
        let begins = begins_word(model, ids, part.token as usize)?;
        match joined.last_mut().filter(|_| goes_on.is_some() && !begins) {
            Some(word) => word.tokens.extend(position.tokens),
            None => joined.push(position),
        }
    }
    Ok(joined)
}

/// Reports whether token `at` begins a word, by the text of it and of the one before.
fn begins_word(model: &Model, ids: &[u32], at: usize) -> Result<bool, Error> {
    let before = &ids[at.saturating_sub(1)..at];
    let alone = model.text.decode(before)?;
    // Together: a token by itself loses its space.
    let both = model.text.decode(&ids[at.saturating_sub(1)..=at])?;
    let own = both.get(alone.len()..).unwrap_or(&both);
    let ends = alone.ends_with(char::is_whitespace) || alone.is_empty();
    Ok(ends
        || own.is_empty()
        || own.starts_with(|c: char| c.is_whitespace() || !c.is_alphanumeric()))
}
