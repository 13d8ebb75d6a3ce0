//! The mapping from the columns of a row to an [`Item`], for the command line, and for the server,
//! to which clients send rows.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::{self, AnswerForm};
use super::columns::{self, ColumnMapping, ColumnRole};
use super::raw::{Cells, MAX_OPTIONS};
use super::value::{into_text, is_empty, text_of};
use super::{literal, options, pictures};
use crate::benchmark::Item;

/// The context of a row: its file's mapping, and its number.
#[derive(Debug, Clone, Copy)]
pub struct RowContext<'a> {
    /// The mapping of the file's columns.
    pub reading: &'a ColumnMapping,
    /// The number of the row, from 1, or 0 if it is not known. A row without an id gets this number
    /// minus 1.
    pub number: u64,
    /// True if the pictures were sent apart: columns of pictures are skipped, and the item has one
    /// empty picture.
    pub pictured: bool,
}

/// The item of a row, and the role of each of its columns.
#[derive(Debug)]
pub struct MappedRow {
    /// The item.
    pub item: Item,
    /// Columns and their roles, by the columns' own names.
    pub taken: Vec<(String, ColumnRole)>,
}

/// Returns the id that a row will have; empty if it names none.
pub fn id_of(cells: &Cells, place: RowContext<'_>) -> String {
    let given = place.reading.given.get(&ColumnRole::Id);
    let known = ColumnRole::Id.names();
    let own = cells
        .iter()
        // Few cells are copied: a row may hold pictures.
        .filter(|(name, _)| known.contains(&columns::normal(name).as_str()) || given == Some(*name))
        .map(|(name, value)| (name.clone(), value.clone()));
    let mut row = Row {
        cells: own.collect(),
        place,
        taken: Vec::new(),
    };
    row.id().map_or_else(|_| String::new(), |(id, _)| id)
}

/// Maps a row to an item; `source` reads the pictures that it names. An error begins with the
/// column's name.
pub fn map(
    cells: Cells,
    place: RowContext<'_>,
    source: &mut dyn pictures::PictureSource,
) -> Result<MappedRow, String> {
    Row {
        cells,
        place,
        taken: Vec::new(),
    }
    .map(source)
}

/// A row whose columns are taken one by one.
struct Row<'a> {
    cells: Cells,
    place: RowContext<'a>,
    taken: Vec<(String, ColumnRole)>,
}

impl Row<'_> {
    fn map(mut self, source: &mut dyn pictures::PictureSource) -> Result<MappedRow, String> {
        // First, so that nothing below looks at them.
        for name in &self.place.reading.ignored {
            if self.cells.remove(name).is_some() {
                self.taken.push((name.clone(), ColumnRole::Ignored));
            }
        }
        // Before the pictures, which are not read for a row without an id.
        let (id, by_picture) = self.id()?;
        if id.is_empty() {
            return Err("index: empty".into());
        }
        let images = self.images(source)?;
        let options = self.options()?;
        let answer = self.answer(&options)?;
        let question = self.text(ColumnRole::Question)?;
        if question.trim().is_empty() {
            return Err("question: empty".into());
        }
        // The name of a picture that stood in the place of an id.
        let group = by_picture.map_or_else(|| self.text(ColumnRole::Group), Ok)?;
        // Words that pandas writes for a missing value. In an answer they may be meant.
        let hint = Some(self.text(ColumnRole::Hint)?)
            .filter(|hint| hint != "nan" && hint != "N/A")
            .unwrap_or_default();
        let category = self.category()?;
        // After every part has taken its columns: what is left and looks like one was overlooked.
        self.check_rest(&images, &options, &answer)?;
        let Self {
            cells, mut taken, ..
        } = self;
        taken.extend(cells.keys().map(|name| (name.clone(), ColumnRole::Field)));
        let fields = cells
            .into_iter()
            .map(|(name, value)| (name, into_text(value)))
            .collect();
        let substitutes = BTreeMap::new();
        let item = Item {
            id,
            images,
            question,
            hint,
            options,
            answer,
            category,
            group,
            fields,
            substitutes,
        };
        Ok(MappedRow { item, taken })
    }

    /// Lists the columns of `role` that hold something, the one to take first.
    fn columns(&self, role: ColumnRole) -> Result<Vec<String>, String> {
        // What the user says is all there is: known names beside it would be another answer.
        if let Some(given) = self.place.reading.given.get(&role) {
            if self.cells.contains_key(given) {
                return Ok(vec![given.clone()]);
            }
            return Err(format!(
                "{role}: there is no column {given:?}; there are {}",
                self.names()
            ));
        }
        let is_taken = |name: &str| self.place.reading.given.values().any(|g| g == name);
        let there = self
            .cells
            .iter()
            .filter(|(name, value)| !is_empty(value) && !is_taken(name));
        let mut found: Vec<(usize, &String)> = there
            .filter_map(|(name, _)| Some((role.rank(name)?, name)))
            .collect();
        found.sort_by_key(|(rank, _)| *rank);
        // `Question` beside `question`: neither comes first.
        for pair in found.windows(2) {
            let [(rank, first), (other_rank, other)] = pair else {
                continue;
            };
            if rank == other_rank && self.cells[*first] != self.cells[*other] {
                return Err(format!(
                    "{other}: {first} is the same name, and says something else; {}",
                    way_out(other, role)
                ));
            }
        }
        Ok(found.into_iter().map(|(_, name)| name.clone()).collect())
    }

    fn names(&self) -> String {
        self.cells.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    /// Finds a column of `role` that holds nothing.
    fn empty_column(&self, role: ColumnRole) -> Option<String> {
        let given = self.place.reading.given.get(&role);
        if let Some(given) = given {
            return self.cells.keys().find(|name| *name == given).cloned();
        }
        let others = &self.place.reading.given;
        let mut own = self.cells.keys().filter(|name| {
            role.rank(name).is_some() || columns::one_of(name).is_some_and(|(own, _)| own == role)
        });
        own.find(|name| !others.values().any(|g| g == *name))
            .cloned()
    }

    fn take(&mut self, name: &str, role: ColumnRole) -> Value {
        self.taken.push((name.to_owned(), role));
        self.cells.remove(name).unwrap_or_default()
    }

    /// Takes the text of a role's first column; empty if there is none.
    fn text(&mut self, role: ColumnRole) -> Result<String, String> {
        if let Some(name) = self.columns(role)?.first() {
            return Ok(into_text(self.take(name, role)));
        }
        if let Some(name) = self.empty_column(role) {
            self.take(&name, role);
        }
        Ok(String::new())
    }

    /// Takes the id; and the picture's name where the id's column holds that, as in MME.
    fn id(&mut self) -> Result<(String, Option<String>), String> {
        let found = self.columns(ColumnRole::Id)?;
        let numbered = (self.place.number > 0).then(|| (self.place.number - 1).to_string());
        let Some(name) = found.first() else {
            // An empty cell in a column of ids is a mistake, a missing column is none.
            return match (self.empty_column(ColumnRole::Id), numbered) {
                (None, Some(number)) => Ok((number, None)),
                _ => Ok((String::new(), None)),
            };
        };
        let given = self.place.reading.given.contains_key(&ColumnRole::Id);
        let is_picture = columns::normal(name) == "question_id"
            && (self.place.reading.benchmark == "mme"
                || pictures::names_picture(&self.cells[name.as_str()]));
        match numbered {
            // MME's `question_id` is the name of a picture with two questions; as an id it would
            // stand twice.
            Some(number) if is_picture && !given => {
                let group = into_text(self.take(name, ColumnRole::Group));
                Ok((number, Some(group)))
            }
            _ => Ok((into_text(self.take(name, ColumnRole::Id)), None)),
        }
    }

    fn images(&mut self, source: &mut dyn pictures::PictureSource) -> Result<Vec<Vec<u8>>, String> {
        let found = self.columns(ColumnRole::Image)?;
        // Beside a picture its path stays a column: it says which items are about the same one.
        let is_path = |cells: &Cells, name: &String| pictures::names_picture(&cells[name.as_str()]);
        let numbered = self.numbered(ColumnRole::Image);
        if self.place.pictured {
            let own = found
                .into_iter()
                .filter(|name| !is_path(&self.cells, name))
                .chain(numbered.into_iter().map(|n| n.1));
            own.collect::<Vec<_>>()
                .iter()
                .for_each(|name| drop(self.take(name, ColumnRole::Image)));
            // One empty picture says that there is one; the client has sent its bytes apart.
            return Ok(vec![Vec::new()]);
        }
        if let Some((name, others)) = found.split_first() {
            return self.images_of(name, others, &numbered, source);
        }
        let mut images = Vec::new();
        let mut missing: Option<String> = None;
        // In the order of their numbers, which is that of the prompt.
        for (_, name) in numbered {
            let value = self.take(&name, ColumnRole::Image);
            match (&missing, is_empty(&value)) {
                (_, true) => missing = missing.or(Some(name)),
                (Some(before), false) => {
                    return Err(format!("{name}: {before} is empty, which stands before"));
                }
                (None, false) => {
                    let read = pictures::read(&value, source);
                    images.extend(read.map_err(|message| of_column(&name, &message))?);
                }
            }
        }
        let column = missing
            .or_else(|| self.empty_column(ColumnRole::Image))
            .filter(|_| images.is_empty());
        if let Some(name) = column {
            // A numbered one is taken already.
            if self.cells.contains_key(&name) {
                self.take(&name, ColumnRole::Image);
            }
            if !self.may_be_blind() {
                return Err(format!("{name}: empty"));
            }
        }
        Ok(images)
    }

    /// Reads the pictures of the column `name`; none of the others may have one.
    fn images_of(
        &mut self,
        name: &str,
        others: &[String],
        numbered: &[(usize, String)],
        source: &mut dyn pictures::PictureSource,
    ) -> Result<Vec<Vec<u8>>, String> {
        let others = others
            .iter()
            // Another name of the same picture is no second one.
            .filter(|o| pictures::is_another(&self.cells[name], &self.cells[o.as_str()]));
        if let Some(other) = others
            .chain(numbered.iter().map(|(_, n)| n))
            .find(|o| !is_empty(&self.cells[o.as_str()]))
        {
            return Err(format!(
                "{other}: it looks like a picture, and {name} is one; {}",
                way_out(other, ColumnRole::Image)
            ));
        }
        let value = self.take(name, ColumnRole::Image);
        let images = pictures::read(&value, source).map_err(|m| of_column(name, &m))?;
        if images.is_empty() && !self.may_be_blind() {
            return Err(format!("{name}: empty"));
        }
        Ok(images)
    }

    /// Reads the answer in a column, as it is given for an item with `options`.
    fn read_answer(
        &self,
        name: &str,
        options: &[String],
        how: AnswerForm,
    ) -> Result<String, String> {
        answer::read(&self.cells[name], options, how).map_err(|m| of_column(name, &m))
    }

    /// Tells whether an item may lack a picture: ScienceQA has such questions, which its tools ask
    /// without one.
    fn may_be_blind(&self) -> bool {
        self.place.reading.benchmark == "sqa"
    }

    /// Lists the columns that hold one of several pictures or options, in order.
    fn numbered(&self, role: ColumnRole) -> Vec<(usize, String)> {
        if self.place.reading.given.contains_key(&role) {
            return Vec::new();
        }
        let given = &self.place.reading.given;
        let mut found: Vec<(usize, String)> = self
            .cells
            .keys()
            // What a flag names for something else is not looked at.
            .filter(|name| given.values().all(|g| g != *name))
            .filter_map(|name| {
                let (own, place) = columns::one_of(name)?;
                (own == role).then(|| (place, name.clone()))
            })
            .collect();
        // By number: `image_10` comes behind `image_2`.
        found.sort();
        found
    }

    fn options(&mut self) -> Result<Vec<String>, String> {
        // Q-Bench fills up to four options with a word.
        // `question_concern` is a column of Q-Bench alone, also where nobody names the rule.
        let filler =
            self.cells.contains_key("question_concern") || self.place.reading.benchmark == "qbench";
        let mut found: Option<(String, Vec<String>)> = None;
        let columns = self.columns(ColumnRole::Options)?;
        if columns.is_empty()
            && let Some(name) = self
                .empty_column(ColumnRole::Options)
                .filter(|n| columns::one_of(n).is_none())
        {
            // It holds nothing, and is no field of the item either.
            self.take(&name, ColumnRole::Options);
        }
        for name in columns {
            let value = self.take(&name, ColumnRole::Options);
            let own = options::parse(&value).map_err(|message| format!("{name}: {message}"))?;
            same_options(&mut found, name, own)?;
        }
        let numbered = self.numbered(ColumnRole::Options);
        if !numbered.is_empty() {
            let mut places: Vec<(usize, String, Value)> = Vec::new();
            for (place, name) in numbered {
                let mut value = self.take(&name, ColumnRole::Options);
                if filler && value == "N/A" && columns::normal(&name).starts_with("option") {
                    value = Value::Null;
                }
                if let Some(other) = places.iter().find(|p| p.0 == place) {
                    return Err(format!("{name}: {} is the same option", other.1));
                }
                places.push((place, name, value));
            }
            let own = options::in_places(places)?;
            if !own.is_empty() {
                same_options(&mut found, "A, B, ...".into(), own)?;
            }
        }
        let options = found.map_or_else(Vec::new, |(_, own)| own);
        if let [only] = &options[..] {
            return Err(format!(
                "options: {only:?} alone, which leaves nothing to choose; two or more are needed, \
                 or none"
            ));
        }
        if options.len() > MAX_OPTIONS {
            return Err(format!("options: {}, at most {MAX_OPTIONS}", options.len()));
        }
        Ok(options)
    }

    fn answer(&mut self, options: &[String]) -> Result<String, String> {
        /// References for a judge, which may stand beside an answer.
        const REFERENCES: [&str; 3] = ["gpt_answer", "gpt4_ans", "reference"];
        let columns = self.columns(ColumnRole::Answer)?;
        let Some(first) = columns.first() else {
            if let Some(name) = self.empty_column(ColumnRole::Answer) {
                self.take(&name, ColumnRole::Answer);
            }
            return Ok(String::new());
        };
        let how = match self.place.reading.benchmark.as_str() {
            "ai2d" | "sqa" => AnswerForm::Places,
            // Only its table says of what type an answer is.
            "mathvista" => AnswerForm::Words,
            _ if self.cells.contains_key("answer_type") => AnswerForm::Words,
            _ => AnswerForm::Any,
        };
        let own = self.read_answer(first, options, how)?;
        for other in &columns[1..] {
            if !REFERENCES.contains(&columns::normal(other).as_str())
                && self.read_answer(other, options, how).as_ref() != Ok(&own)
            {
                return Err(format!(
                    "{other}: it says another answer than {first}; {}",
                    way_out(other, ColumnRole::Answer)
                ));
            }
        }
        self.take(first, ColumnRole::Answer);
        Ok(own)
    }

    /// Takes the category, or MathVista's within `metadata`.
    fn category(&mut self) -> Result<String, String> {
        let own = self.text(ColumnRole::Category)?;
        if !own.is_empty() {
            return Ok(own);
        }
        let category = match self.cells.get("metadata") {
            // CSV and TSV have the object as text.
            Some(Value::String(text)) => {
                literal::parse(text).and_then(|m| m.get("category").map(text_of))
            }
            Some(metadata) => metadata.get("category").map(text_of),
            None => None,
        };
        Ok(category.unwrap_or_default())
    }

    /// Refuses columns that look like a picture, options or an answer and have no role.
    fn check_rest(
        &self,
        images: &[Vec<u8>],
        options: &[String],
        answer: &str,
    ) -> Result<(), String> {
        for (name, value) in self.cells.iter().filter(|(_, value)| !is_empty(value)) {
            // By content, whatever the column is called: base64 in a column "data" is a picture
            // that nobody would see.
            if pictures::holds_picture(value)
                || (images.is_empty() && pictures::names_picture(value))
            {
                return refused(name, ColumnRole::Image);
            }
            match columns::looks_like(name) {
                Some(ColumnRole::Image) if images.is_empty() => {
                    return refused(name, ColumnRole::Image);
                }
                Some(ColumnRole::Options)
                    if (options.is_empty() && !is_number(value)) || value.is_array() =>
                {
                    return refused(name, ColumnRole::Options);
                }
                Some(ColumnRole::Answer) if answer.is_empty() => {
                    return refused(name, ColumnRole::Answer);
                }
                _ => {}
            }
        }
        if images.is_empty() && self.place.reading.needs_picture() {
            return Err(format!(
                "image: there is none, and {} asks about pictures; there are {}",
                self.place.reading.benchmark,
                self.names()
            ));
        }
        Ok(())
    }
}

/// Puts the name of a column in front of what is wrong with it.
fn of_column(name: &str, message: &str) -> String {
    format!("{name}: {message}")
}

/// Tells whether a value is a number, such as the count of options.
fn is_number(value: &Value) -> bool {
    value.is_number()
        || value
            .as_str()
            .is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()))
}

fn refused(name: &str, role: ColumnRole) -> Result<(), String> {
    Err(format!(
        "{name}: it looks like {}, and is not used; {}",
        word(role),
        way_out(name, role)
    ))
}

fn word(role: ColumnRole) -> &'static str {
    match role {
        ColumnRole::Image => "a picture",
        ColumnRole::Options => "options",
        _ => "an answer",
    }
}

fn way_out(name: &str, role: ColumnRole) -> String {
    format!("--column {role}={name} takes it, --column ignore={name} leaves it out")
}

/// Keeps the options of a column; those of another column must be the same.
fn same_options(
    found: &mut Option<(String, Vec<String>)>,
    name: String,
    own: Vec<String>,
) -> Result<(), String> {
    match found {
        Some((other, options)) if *options != own => {
            Err(format!("{name}: other options than {other}"))
        }
        _ => {
            *found = Some((name, own));
            Ok(())
        }
    }
}
