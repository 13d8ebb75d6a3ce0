//! Samples and rows of tables to questions.

use std::collections::{BTreeMap, HashMap};

use crate::api::{Error, convert, v1};
use crate::benchmark::{Item, data};
use crate::evaluate::Question;
use crate::field_path::FieldPath;
use crate::pipeline::Image;

/// Converts a sample.
pub(in crate::api) fn question(sample: v1::Sample) -> Result<Question, Error> {
    let mut substitutes = BTreeMap::new();
    for (name, pictures) in sample.substitutes {
        let pictures = images(&substitute(&name), pictures.images)?;
        substitutes.insert(name, pictures);
    }
    Ok(Question {
        images: images(&"sample.images".into(), sample.images)?,
        substitutes,
        item: Item {
            id: sample.id,
            // Beside the item: a request may name pictures by handles, which an item has no bytes
            // of.
            images: Vec::new(),
            question: sample.question,
            hint: sample.hint,
            options: sample.options,
            answer: sample.answer,
            category: sample.category,
            group: sample.group,
            fields: sample.fields.into_iter().collect(),
            substitutes: BTreeMap::new(),
        },
        held: None,
    })
}

/// Converts a row whose columns are read as `reading` says; returns its id beside it.
pub(in crate::api) fn row(
    row: v1::Row,
    reading: &data::ColumnMapping,
) -> (String, Result<Question, Error>) {
    // Parquet files have no lines.
    let (unit, at) = if row.line == 0 {
        ("row", row.number)
    } else {
        ("line", row.line)
    };
    let invalid = |message: String| Error::invalid("row", format!("{unit} {at}: {message}"));
    if !row.cells.is_empty() && !row.json.is_empty() {
        let message = format!("{unit} {at}: given beside row.json; a row is one or the other");
        return (String::new(), Err(Error::invalid("row.cells", message)));
    }
    let cells = match cells(row.cells, &row.json) {
        Ok(cells) => cells,
        // Its id cannot be read either: the error has the number of the row.
        Err(message) => return (String::new(), Err(invalid(message))),
    };
    let place = data::RowContext {
        reading,
        number: row.number,
        pictured: !row.images.is_empty(),
    };
    // Before the row is read: also a row that cannot be read is named by its id.
    let id = data::id_of(&cells, place);
    let mapped = data::map(cells, place, &mut SentFiles(row.files)).map_err(invalid);
    (
        id,
        mapped.and_then(|mapped| of_item(mapped.item, row.images)),
    )
}

fn cells(cells: HashMap<String, String>, json: &str) -> Result<data::Cells, String> {
    if !json.is_empty() {
        return data::cells(json);
    }
    let cells = cells.into_iter().map(|(name, text)| (name, text.into()));
    Ok(cells.collect())
}

/// Takes the pictures out of an item; those that came beside the row count instead of its own.
fn of_item(mut item: Item, beside: Vec<v1::Image>) -> Result<Question, Error> {
    // What the columns hold is a sample from here on, as its question and its answer are.
    let own = sent(&"sample.images".into(), std::mem::take(&mut item.images));
    let mut substitutes = BTreeMap::new();
    for (name, pictures) in std::mem::take(&mut item.substitutes) {
        let pictures = sent(&substitute(&name), pictures);
        substitutes.insert(name, pictures);
    }
    Ok(Question {
        // Pictures that came beside a row go before those that its cells name.
        images: if beside.is_empty() {
            own
        } else {
            images(&"row.images".into(), beside)?
        },
        substitutes,
        item,
        held: None,
    })
}

/// Converts the pictures of the list at `path`, by which errors name them.
fn images(path: &FieldPath, all: Vec<v1::Image>) -> Result<Vec<Image>, Error> {
    let numbered = all.into_iter().enumerate();
    numbered
        .map(|(i, image)| convert::image(path.clone().index(i), image))
        .collect()
}

fn sent(path: &FieldPath, all: Vec<Vec<u8>>) -> Vec<Image> {
    let numbered = all.into_iter().enumerate();
    numbered
        .map(|(i, bytes)| Image::sent(path.clone().index(i), bytes.into()))
        .collect()
}

/// Returns the path of the pictures that stand in place of a sample's own under `name`.
fn substitute(name: &str) -> FieldPath {
    let all = FieldPath::from("sample.substitutes");
    all.join(name).join("images")
}

/// Holds the files that a client has sent with a row, by the names that its columns give them.
struct SentFiles(HashMap<String, Vec<u8>>);

impl data::PictureSource for SentFiles {
    fn file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        self.0.get(name).cloned().ok_or_else(|| {
            format!(
                "{name}: no picture of that name came with the row: there is none beside the \
                 table, or its ending says otherwise"
            )
        })
    }

    fn row(&mut self, index: &str) -> Result<Vec<u8>, String> {
        Err(format!(
            "it names row {index}; the picture itself is needed here"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(found: Result<Question, Error>) -> String {
        found.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_of_what_was_sent() {
        let reading = data::ColumnMapping::of("mmvp");
        let json = r#"{"question": "Which?", "A": "red", "B": "blue", "answer": "A"}"#;
        let given = || v1::Row {
            number: 1,
            json: json.into(),
            ..v1::Row::default()
        };
        let beside = v1::Row {
            images: vec![v1::Image::default()],
            ..given()
        };
        let (_, found) = row(beside, &reading);
        assert_eq!(
            said(found),
            "row.images[0].source: unset; data or handle is needed"
        );
        let twice = v1::Row {
            cells: HashMap::from([("question".to_owned(), "Which?".to_owned())]),
            ..given()
        };
        let (_, found) = row(twice, &reading);
        assert_eq!(
            said(found),
            "row.cells: row 1: given beside row.json; a row is one or the other"
        );
        let pictures = v1::Pictures {
            images: vec![v1::Image::default()],
        };
        let sample = v1::Sample {
            substitutes: HashMap::from([("other".to_owned(), pictures)]),
            ..v1::Sample::default()
        };
        assert_eq!(
            said(question(sample)),
            "sample.substitutes.other.images[0].source: unset; data or handle is needed"
        );
    }
}
