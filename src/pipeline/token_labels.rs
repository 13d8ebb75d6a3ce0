//! Names rows for people: by the place of their patch, or by the text of their tokens.

use super::error::Error;
use crate::intervention::GridToken;
use crate::model::Model;
use crate::nn::Stack;

/// Returns what some rows of a stack are called; `ids` are the tokens of the language model's input.
pub(super) fn label(
    model: &Model,
    (stack, ids): (Stack, &[u32]),
    rows: &[GridToken],
) -> Result<String, Error> {
    let Some(first) = rows.first() else {
        return Ok(String::new());
    };
    let patches = rows.iter().filter(|row| row.patch.is_some()).count();
    if let Some(patch) = first.patch.filter(|_| patches == 1 && rows.len() == 1) {
        let of = match patch.image {
            0 => String::new(),
            image => format!("picture {image}, "),
        };
        let tiles = if patch.on_canvas { "tiles, " } else { "" };
        return Ok(format!(
            "{of}{tiles}patch ({}, {})",
            patch.row, patch.column
        ));
    }
    if patches > 0 {
        return Ok(format!("{} tokens, {patches} patches", rows.len()));
    }
    let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
    if stack != Stack::LanguageModel {
        // Before the patches; `row 0` would be their first row.
        let tower = model.tower.info();
        let has_class = tower.has_class && (stack == Stack::VisionTower || tower.keeps_class());
        let is_class = has_class && tokens[0] == 0;
        return Ok(match tokens[..] {
            [_] if is_class => "class token".to_owned(),
            _ => format!("token {}", tokens[0]),
        });
    }
    // A newline vector or a class token of a picture stands for nothing that could be spelled.
    let is_visual = tokens
        .iter()
        .all(|&t| ids.get(t as usize) == Some(&model.image_token));
    if is_visual {
        return Ok(format!("visual token {}", tokens[0]));
    }
    text_of(model, ids, &tokens)
}

/// Returns the text of tokens, short enough for a label.
fn text_of(model: &Model, ids: &[u32], tokens: &[u32]) -> Result<String, Error> {
    const LONGEST: usize = 40;
    let chosen: Vec<u32> = tokens
        .iter()
        .filter_map(|&token| ids.get(token as usize).copied())
        .collect();
    let text = model.text.decode(&chosen)?;
    if text.chars().count() <= LONGEST {
        return Ok(text);
    }
    let start: String = text.chars().take(LONGEST).collect();
    Ok(format!("{start}…"))
}
