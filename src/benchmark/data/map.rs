//! The one mapping from the columns of a row to an [`Item`]: of the command line, and of the server
//! for rows that clients send.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::Item;
use super::answer::{self, How};
use super::columns::{self, Reading, Role};
use super::value::{into_text, is_empty, text_of};
use super::{MAX_OPTIONS, literal, options, pictures};

/// A row by the names of its columns: texts in a table, any JSON in a manifest or a Parquet file.
pub type Cells = Map<String, Value>;

/// Where a row stands, and how its columns are read.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file's conventions.
    pub reading: &'a Reading,
    /// Its number among the rows, from 1: the id of a row without one, less 1. 0: not known.
    pub number: u64,
    /// Its pictures are there already; those of its columns are passed over, and the item has one
    /// that is empty.
    pub pictured: bool,
}

/// The item of a row, and what each of its columns was taken for.
#[derive(Debug)]
pub struct Mapped {
    /// The item.
    pub item: Item,
    /// By the column's own name.
    pub taken: Vec<(String, Role)>,
}

/// Returns the id that a row will have, as far as it says one.
pub fn id_of(cells: &Cells, place: Place<'_>) -> String {
    let is_id = |name: &str| {
        Role::Id.names().contains(&columns::normal(name).as_str())
            || place
                .reading
                .given
                .get(&Role::Id)
                .is_some_and(|g| g == name)
    };
    let own = cells
        .iter()
        .filter(|(name, _)| is_id(name))
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
    place: Place<'_>,
    source: &mut dyn pictures::Source,
) -> Result<Mapped, String> {
    Row {
        cells,
        place,
        taken: Vec::new(),
    }
    .map(source)
}

/// What is left of a row while its columns are taken.
struct Row<'a> {
    cells: Cells,
    place: Place<'a>,
    taken: Vec<(String, Role)>,
}

impl Row<'_> {
    fn map(mut self, source: &mut dyn pictures::Source) -> Result<Mapped, String> {
        for name in &self.place.reading.ignored {
            if self.cells.remove(name).is_some() {
                self.taken.push((name.clone(), Role::Ignored));
            }
        }
        let (id, by_picture) = self.id()?;
        if id.is_empty() {
            return Err("index: empty".into());
        }
        let images = self.images(source)?;
        let options = self.options()?;
        let answer = self.answer(&options)?;
        let question = self.text(Role::Question)?;
        if question.trim().is_empty() {
            return Err("question: empty".into());
        }
        let group = by_picture.map_or_else(|| self.text(Role::Group), Ok)?;
        // A word that pandas writes for nothing; a hint is no answer.
        let hint = Some(self.text(Role::Hint)?)
            .filter(|hint| hint != "nan" && hint != "N/A")
            .unwrap_or_default();
        let category = self.category()?;
        self.look_at_the_rest(&images, &options, &answer)?;
        let Self {
            cells, mut taken, ..
        } = self;
        taken.extend(cells.keys().map(|name| (name.clone(), Role::Field)));
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
        Ok(Mapped { item, taken })
    }

    /// The columns of `role` that hold something, the one that is taken first.
    fn columns(&self, role: Role) -> Result<Vec<String>, String> {
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
        let rank = |name: &str| {
            let name = columns::normal(name);
            role.names().iter().position(|known| *known == name)
        };
        let there = self
            .cells
            .iter()
            .filter(|(name, value)| !is_empty(value) && !is_taken(name));
        let mut found: Vec<(usize, &String)> = there
            .filter_map(|(name, _)| Some((rank(name)?, name)))
            .collect();
        found.sort_by_key(|(rank, _)| *rank);
        Ok(found.into_iter().map(|(_, name)| name.clone()).collect())
    }

    fn names(&self) -> String {
        self.cells.keys().cloned().collect::<Vec<_>>().join(", ")
    }

    /// Tells whether there is a column of `role` that says nothing.
    fn empty_column(&self, role: Role) -> Option<String> {
        let given = self.place.reading.given.get(&role);
        let is_own = |name: &String| match given {
            Some(given) => name == given,
            None => {
                role.names().contains(&columns::normal(name).as_str())
                    || columns::one_of(name).is_some_and(|(own, _)| own == role)
            }
        };
        let others = &self.place.reading.given;
        let is_free = |name: &String| given.is_some() || !others.values().any(|g| g == name);
        self.cells
            .keys()
            .find(|name| is_own(name) && is_free(name))
            .cloned()
    }

    fn take(&mut self, name: &str, role: Role) -> Value {
        self.taken.push((name.to_owned(), role));
        self.cells.remove(name).unwrap_or_default()
    }

    /// The words of a role's first column; nothing where there is none.
    fn text(&mut self, role: Role) -> Result<String, String> {
        if let Some(name) = self.columns(role)?.first() {
            return Ok(into_text(self.take(name, role)));
        }
        if let Some(name) = self.empty_column(role) {
            self.take(&name, role);
        }
        Ok(String::new())
    }

    /// The id; and the name of the picture where that is what the id's column says, as in MME.
    fn id(&mut self) -> Result<(String, Option<String>), String> {
        let found = self.columns(Role::Id)?;
        let numbered = (self.place.number > 0).then(|| (self.place.number - 1).to_string());
        let Some(name) = found.first() else {
            // A cell that is empty among others that are not is a mistake.
            return match (self.empty_column(Role::Id), numbered) {
                (None, Some(number)) => Ok((number, None)),
                _ => Ok((String::new(), None)),
            };
        };
        let given = self.place.reading.given.contains_key(&Role::Id);
        let is_picture = columns::normal(name) == "question_id"
            && (self.place.reading.benchmark == "mme"
                || pictures::names_picture(&self.cells[name.as_str()]));
        match numbered {
            Some(number) if is_picture && !given => {
                let group = into_text(self.take(name, Role::Group));
                Ok((number, Some(group)))
            }
            _ => Ok((into_text(self.take(name, Role::Id)), None)),
        }
    }

    fn images(&mut self, source: &mut dyn pictures::Source) -> Result<Vec<Vec<u8>>, String> {
        let wrong = |name: &str| {
            let name = name.to_owned();
            move |message: String| format!("{name}: {message}")
        };
        let found = self.columns(Role::Image)?;
        // Beside a picture its path stays a column: it says which items are about the same one.
        let is_path = |cells: &Cells, name: &String| pictures::names_picture(&cells[name.as_str()]);
        let numbered = self.numbered(Role::Image);
        if self.place.pictured {
            let own = found
                .into_iter()
                .filter(|name| !is_path(&self.cells, name))
                .chain(numbered.into_iter().map(|n| n.1));
            own.collect::<Vec<_>>()
                .iter()
                .for_each(|name| drop(self.take(name, Role::Image)));
            return Ok(vec![Vec::new()]);
        }
        let mut images = Vec::new();
        if let Some((name, others)) = found.split_first() {
            let others = others.iter().filter(|o| {
                !is_path(&self.cells, o) && pictures::holds_picture(&self.cells[o.as_str()])
            });
            if let Some(other) = others
                .chain(numbered.iter().map(|(_, n)| n))
                .find(|o| !is_empty(&self.cells[o.as_str()]))
            {
                return Err(format!(
                    "{other}: it looks like a picture, and {name} is one; {}",
                    way_out(other, Role::Image)
                ));
            }
            let value = self.take(name, Role::Image);
            images = pictures::read(&value, source).map_err(wrong(name))?;
            if images.is_empty() && !self.may_be_blind() {
                return Err(format!("{name}: empty"));
            }
            return Ok(images);
        }
        let mut missing: Option<String> = None;
        for (_, name) in numbered {
            let value = self.take(&name, Role::Image);
            match (&missing, is_empty(&value)) {
                (_, true) => missing = missing.or(Some(name)),
                (Some(before), false) => {
                    return Err(format!("{name}: {before} is empty, which stands before"));
                }
                (None, false) => {
                    images.extend(pictures::read(&value, source).map_err(wrong(&name))?)
                }
            }
        }
        let column = missing
            .or_else(|| self.empty_column(Role::Image))
            .filter(|_| images.is_empty());
        if let Some(name) = column {
            if self.cells.contains_key(&name) {
                self.take(&name, Role::Image);
            }
            if !self.may_be_blind() {
                return Err(format!("{name}: empty"));
            }
        }
        Ok(images)
    }

    /// ScienceQA has questions without pictures, which its tools ask as they are.
    fn may_be_blind(&self) -> bool {
        self.place.reading.benchmark == "sqa"
    }

    /// Columns that hold one of several, in order.
    fn numbered(&self, role: Role) -> Vec<(usize, String)> {
        if self.place.reading.given.contains_key(&role) {
            return Vec::new();
        }
        let own = |name: &String| {
            let given = self.place.reading.given.values().any(|g| g == name);
            columns::one_of(name)
                .filter(|(own, _)| *own == role && !given)
                .map(|(_, place)| (place, name.clone()))
        };
        let mut found: Vec<(usize, String)> = self.cells.keys().filter_map(own).collect();
        found.sort();
        found
    }

    fn options(&mut self) -> Result<Vec<String>, String> {
        // Q-Bench fills up to four options with a word.
        let filler =
            self.cells.contains_key("question_concern") || self.place.reading.benchmark == "qbench";
        let mut found: Option<(String, Vec<String>)> = None;
        let columns = self.columns(Role::Options)?;
        if columns.is_empty()
            && let Some(name) = self
                .empty_column(Role::Options)
                .filter(|n| columns::one_of(n).is_none())
        {
            self.take(&name, Role::Options);
        }
        for name in columns {
            let value = self.take(&name, Role::Options);
            let own = options::parse(&value).map_err(|message| format!("{name}: {message}"))?;
            same_options(&mut found, name, own)?;
        }
        let numbered = self.numbered(Role::Options);
        if !numbered.is_empty() {
            let mut places: Vec<(usize, String, Value)> = Vec::new();
            for (place, name) in numbered {
                let mut value = self.take(&name, Role::Options);
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
        if options.len() > MAX_OPTIONS {
            return Err(format!("options: {}, at most {MAX_OPTIONS}", options.len()));
        }
        Ok(options)
    }

    fn answer(&mut self, options: &[String]) -> Result<String, String> {
        /// What a judge compares with, which may stand beside an answer.
        const REFERENCES: [&str; 3] = ["gpt_answer", "gpt4_ans", "reference"];
        let columns = self.columns(Role::Answer)?;
        let Some(first) = columns.first() else {
            if let Some(name) = self.empty_column(Role::Answer) {
                self.take(&name, Role::Answer);
            }
            return Ok(String::new());
        };
        let how = match self.place.reading.benchmark.as_str() {
            "ai2d" | "sqa" => How::Places,
            // Only its table says of what type an answer is.
            "mathvista" => How::Words,
            _ if self.cells.contains_key("answer_type") => How::Words,
            _ => How::Any,
        };
        let read = |row: &Self, name: &String| {
            let found = answer::read(&row.cells[name.as_str()], options, how);
            found.map_err(|message| format!("{name}: {message}"))
        };
        let own = read(self, first)?;
        for other in &columns[1..] {
            if !REFERENCES.contains(&columns::normal(other).as_str())
                && read(self, other).as_ref() != Ok(&own)
            {
                return Err(format!(
                    "{other}: it says another answer than {first}; {}",
                    way_out(other, Role::Answer)
                ));
            }
        }
        self.take(first, Role::Answer);
        Ok(own)
    }

    /// The category's column, or MathVista's within `metadata`.
    fn category(&mut self) -> Result<String, String> {
        let own = self.text(Role::Category)?;
        let inner = || match self.cells.get("metadata")? {
            Value::String(text) => literal::parse(text)?.get("category").map(text_of),
            other => other.get("category").map(text_of),
        };
        Ok(if own.is_empty() {
            inner().unwrap_or_default()
        } else {
            own
        })
    }

    /// Refuses what looks like a picture, options or an answer and was taken for nothing.
    fn look_at_the_rest(
        &self,
        images: &[Vec<u8>],
        options: &[String],
        answer: &str,
    ) -> Result<(), String> {
        for (name, value) in self.cells.iter().filter(|(_, value)| !is_empty(value)) {
            let refused = |role: Role| {
                Err(format!(
                    "{name}: it looks like {}, and is not used; {}",
                    word(role),
                    way_out(name, role)
                ))
            };
            if pictures::holds_picture(value)
                || (images.is_empty() && pictures::names_picture(value))
            {
                return refused(Role::Image);
            }
            match columns::looks_like(name) {
                Some(Role::Image) if images.is_empty() => return refused(Role::Image),
                Some(Role::Options)
                    if (options.is_empty() && !is_number(value)) || value.is_array() =>
                {
                    return refused(Role::Options);
                }
                Some(Role::Answer) if answer.is_empty() => return refused(Role::Answer),
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

/// Says how many options there are, for instance.
fn is_number(value: &Value) -> bool {
    value.is_number()
        || value
            .as_str()
            .is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()))
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Image => "a picture",
        Role::Options => "options",
        _ => "an answer",
    }
}

fn way_out(name: &str, role: Role) -> String {
    format!("--column {role}={name} takes it, --column ignore={name} leaves it out")
}

/// Options that stand in two places must say the same.
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
