//! Writes items as a table that [`super::ItemReader`] reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::benchmark::Item;

/// Returns the header for the rows of [`row`]; `fields` are the further columns. Without `pictures`
/// there is no column for them: an empty cell would be a mistake.
pub fn header(fields: &[String], pictures: bool) -> String {
    let names = [
        "index", "image", "question", "hint", "options", "answer", "category", "group",
    ];
    let names = names
        .into_iter()
        .filter(|&name| pictures || name != "image");
    names
        .map(String::from)
        .chain(fields.iter().cloned())
        .collect::<Vec<_>>()
        .join("\t")
}

/// Returns an item as a row: pictures in base64, several as a JSON list, options as a JSON list.
pub fn row(item: &Item, fields: &[String], with_pictures: bool) -> String {
    let pictures: Vec<String> = item.images.iter().map(|i| STANDARD.encode(i)).collect();
    let image = if let [one] = pictures.as_slice() {
        one.clone()
    } else {
        json_list(&pictures)
    };
    let mut cells = vec![item.id.clone()];
    cells.extend(with_pictures.then_some(image));
    cells.extend([
        item.question.clone(),
        item.hint.clone(),
        json_list(&item.options),
    ]);
    cells.extend([
        item.answer.clone(),
        item.category.clone(),
        item.group.clone(),
    ]);
    cells.extend(fields.iter().map(|name| item.field(name).to_owned()));
    let cells: Vec<String> = cells.into_iter().map(quoted).collect();
    cells.join("\t")
}

fn json_list(all: &[String]) -> String {
    if all.is_empty() {
        String::new()
    } else {
        Value::from(all.to_vec()).to_string()
    }
}

/// Quotes a cell where it must be.
fn quoted(cell: String) -> String {
    if cell.contains(['\t', '\n', '\r', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}
