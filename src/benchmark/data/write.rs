//! Items as a table that [`super::Rows`] reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::Item;

/// Returns the header of a table that [`row`] writes; `fields` are the other columns. Without
/// `pictures` there is no column for them: one that is empty is a mistake.
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

/// Returns an item as a row of a table; pictures in base64, several as a JSON list, options as a
/// JSON list.
pub fn row(item: &Item, fields: &[String], with_pictures: bool) -> String {
    let pictures: Vec<String> = item.images.iter().map(|i| STANDARD.encode(i)).collect();
    let listed = |all: &[String]| {
        if all.is_empty() {
            String::new()
        } else {
            Value::from(all.to_vec()).to_string()
        }
    };
    let image = if let [one] = pictures.as_slice() {
        one.clone()
    } else {
        listed(&pictures)
    };
    let mut cells = vec![item.id.clone()];
    cells.extend(with_pictures.then_some(image));
    cells.extend([
        item.question.clone(),
        item.hint.clone(),
        listed(&item.options),
    ]);
    cells.extend([
        item.answer.clone(),
        item.category.clone(),
        item.group.clone(),
    ]);
    cells.extend(fields.iter().map(|name| item.field(name).to_owned()));
    let quoted = |cell: String| {
        if cell.contains(['\t', '\n', '\r', '"']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    };
    cells.into_iter().map(quoted).collect::<Vec<_>>().join("\t")
}
