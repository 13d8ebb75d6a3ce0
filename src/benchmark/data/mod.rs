//! Benchmarks as people have them: the tables of Hugging Face and VLMEvalKit (TSV, CSV, Parquet)
//! and manifests of one JSON object a line. Read row by row: a text file of any size needs the
//! memory of one row, a Parquet file that of one row group.
//!
//! What a row's columns mean is said once, in `columns` and `map`; docs/benchmark-tables.md has it
//! for users.

mod answer;
mod columns;
mod json;
mod literal;
mod map;
mod options;
mod pictures;
mod table;
mod value;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use scotoma_client::Parquet;

pub use columns::{Reading, Role};
pub use map::{Cells, Mapped, Place, id_of, map};
pub use pictures::Source;
pub use write::{header, row};

use super::{Error, Item, digest};
use table::Table;

/// Bytes of one row, by which every allocation is bounded.
pub const MAX_ROW: usize = 256 << 20;
/// Options of one item: the classes of a classification, of which only the first 26 have letters.
pub const MAX_OPTIONS: usize = 1024;

/// The rows of a file, read when they are asked for.
pub struct Rows<R> {
    lines: Lines<R>,
    reading: Reading,
    /// Where pictures are that are named by a relative path.
    folder: PathBuf,
    /// The file, if it is one.
    path: PathBuf,
    delimiter: u8,
    /// Where the rows of items begin, in bytes: tables name the picture of an earlier row by its
    /// index.
    seen: HashMap<[u8; 16], u64>,
    /// The line on which the last row began.
    line: usize,
    /// Rows so far.
    number: u64,
    /// The file can be read no further.
    failed: bool,
}

enum Lines<R> {
    Table(Box<Table<R>>),
    Json { source: R, line: usize },
    Parquet(Box<Parquet>),
}

/// One row as it stands.
enum Raw {
    Cells(Vec<String>),
    Object(Cells),
    /// It cannot be read; the next one can.
    Bad(String),
}

impl Rows<BufReader<File>> {
    /// Opens a file: `.tsv`, `.csv`, `.jsonl` or `.parquet`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_as(path, Reading::default())
    }

    /// Opens a file whose columns are read as `reading` says.
    pub fn open_as(path: &Path, reading: Reading) -> Result<Self, Error> {
        let at = |message: String| Error {
            line: 0,
            message: format!("{}: {message}", path.display()),
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let ending = path.extension().and_then(|e| e.to_str());
        let file = || {
            let file = File::open(path).map_err(|e| at(e.to_string()))?;
            Ok(BufReader::with_capacity(1 << 20, file))
        };
        let lines = match ending {
            Some("tsv" | "csv") => {
                let delimiter = if ending == Some("csv") { b',' } else { b'\t' };
                let rows = Self::delimited(file()?, folder, delimiter, reading)?;
                return Ok(Self {
                    path: path.to_owned(),
                    ..rows
                });
            }
            Some("jsonl") => Lines::Json {
                source: file()?,
                line: 0,
            },
            Some("parquet") => {
                let file = Parquet::open(path).map_err(|e| Error {
                    line: 0,
                    message: e.to_string(),
                })?;
                check_names(file.columns(), &reading).map_err(at)?;
                Lines::Parquet(Box::new(file))
            }
            _ => {
                return Err(at(
                    "a name that ends in .tsv, .csv, .jsonl or .parquet is needed".into(),
                ));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            ..Self::of(lines, folder, reading)
        })
    }
}

/// Says how many rows a file has, pictures unread.
pub fn count(path: &Path, reading: &Reading) -> Result<usize, Error> {
    let mut rows = Rows::open_as(path, reading.clone())?;
    if let Lines::Parquet(file) = &rows.lines {
        return Ok(usize::try_from(file.rows()).unwrap_or(usize::MAX));
    }
    let mut count = 0;
    while rows.lines.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Tells whether a file of these columns can be read at all.
fn check_names(names: &[String], reading: &Reading) -> Result<(), String> {
    let there = || names.join(", ");
    if let Some((role, missing)) = reading
        .given
        .iter()
        .find(|(_, given)| !names.contains(given))
    {
        return Err(format!(
            "{role}: no column {missing:?}; there are {}",
            there()
        ));
    }
    if let Some(missing) = reading.ignored.iter().find(|name| !names.contains(name)) {
        return Err(format!(
            "ignore: no column {missing:?}; there are {}",
            there()
        ));
    }
    let asked = |name: &String| {
        Role::Question
            .names()
            .contains(&columns::normal(name).as_str())
    };
    if !reading.given.contains_key(&Role::Question) && !names.iter().any(asked) {
        return Err(format!(
            "no column \"question\"; there are {} (--column question=NAME says which one it is)",
            there()
        ));
    }
    Ok(())
}

impl<R: BufRead> Rows<R> {
    /// A table with a header; cells are parted by tabs and may be quoted.
    pub fn table(source: R, folder: PathBuf) -> Result<Self, Error> {
        Self::delimited(source, folder, b'\t', Reading::default())
    }

    fn delimited(
        source: R,
        folder: PathBuf,
        delimiter: u8,
        reading: Reading,
    ) -> Result<Self, Error> {
        let wrong = |message: String| Error { line: 1, message };
        let mut table = Table::new(source, delimiter);
        let (_, first) = table.next()?.ok_or_else(|| wrong("no header".into()))?;
        let Raw::Cells(names) = first else {
            return Err(wrong("no header".into()));
        };
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(wrong(format!("column {name:?} stands there twice")));
            }
        }
        check_names(&names, &reading).map_err(wrong)?;
        table.header = names;
        Ok(Self {
            delimiter,
            ..Self::of(Lines::Table(Box::new(table)), folder, reading)
        })
    }

    /// One JSON object a line, with the names of a table's columns.
    pub fn json(source: R, folder: PathBuf) -> Self {
        Self::of(Lines::Json { source, line: 0 }, folder, Reading::default())
    }

    fn of(lines: Lines<R>, folder: PathBuf, reading: Reading) -> Self {
        let (path, seen) = (PathBuf::new(), HashMap::new());
        Self {
            lines,
            reading,
            folder,
            path,
            delimiter: b'\t',
            seen,
            line: 0,
            number: 0,
            failed: false,
        }
    }

    /// Where the row stands that came last: an error with `message`.
    pub fn error(&self, message: String) -> Error {
        match self.lines {
            Lines::Parquet(_) => Error {
                line: 0,
                message: format!("row {}: {message}", self.number),
            },
            _ => Error {
                line: self.line,
                message,
            },
        }
    }

    fn mapped(&mut self, cells: Cells) -> Result<Mapped, String> {
        let place = Place {
            reading: &self.reading,
            number: self.number,
            pictured: false,
        };
        let start = if let Lines::Table(table) = &self.lines {
            table.start
        } else {
            0
        };
        let id = id_of(&cells, place);
        if !id.is_empty() && self.seen.insert(digest(&id), start).is_some() {
            return Err(format!("index: {id} stands there twice"));
        }
        map(
            cells,
            place,
            &mut Beside {
                rows: self,
                earlier: false,
            },
        )
    }

    /// The next row with what its columns were taken for.
    pub fn next_mapped(&mut self) -> Option<Result<Mapped, Error>> {
        if self.failed {
            return None;
        }
        let raw = match self.lines.next() {
            Ok(row) => row,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        let (line, raw) = raw?;
        (self.line, self.number) = (line, self.number + 1);
        let cells = match (raw, &self.lines) {
            (Raw::Cells(cells), Lines::Table(table)) if cells.len() == table.header.len() => {
                Ok(table
                    .header
                    .iter()
                    .cloned()
                    .zip(cells.into_iter().map(Into::into))
                    .collect())
            }
            (Raw::Cells(cells), Lines::Table(table)) => Err(format!(
                "{} columns, the header has {}",
                cells.len(),
                table.header.len()
            )),
            (Raw::Object(object), _) => Ok(object),
            (Raw::Bad(message), _) => Err(message),
            (Raw::Cells(_), _) => Err("a row of cells".into()),
        };
        let mapped = cells.and_then(|cells| self.mapped(cells));
        Some(mapped.map_err(|message| self.error(message)))
    }
}

/// The pictures that a row of a file names: other files, and earlier rows.
struct Beside<'a, R> {
    rows: &'a Rows<R>,
    /// An earlier row's cell is read.
    earlier: bool,
}

impl<R: BufRead> Source for Beside<'_, R> {
    fn file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.rows.folder.join(name);
        let at = |e: std::io::Error| format!("{}: {e}", path.display());
        let about = path.metadata().map_err(at)?;
        if !about.is_file() {
            return Err(format!("{}: not a file", path.display()));
        }
        if about.len() > MAX_ROW as u64 {
            return Err(format!(
                "{}: {} bytes, at most {MAX_ROW} are read",
                path.display(),
                about.len()
            ));
        }
        std::fs::read(&path).map_err(at)
    }

    /// The row is read again.
    fn row(&mut self, index: &str) -> Result<Vec<u8>, String> {
        // One step: a row that names a row that names a row is a mistake.
        let none = || format!("it names row {index}, which has no picture of its own");
        if self.earlier {
            return Err(none());
        }
        let missing = || format!("it names row {index}, which does not stand before");
        let (Lines::Table(table), Some(&start)) =
            (&self.rows.lines, self.rows.seen.get(&digest(index)))
        else {
            return Err(missing());
        };
        let is_picture = |known: &&str| {
            table
                .header
                .iter()
                .position(|name| columns::normal(name) == *known)
        };
        let given = self.rows.reading.given.get(&Role::Image);
        let column = match given {
            Some(given) => table.header.iter().position(|name| name == given),
            None => Role::Image.names().iter().find_map(is_picture),
        };
        let cell = read_again(&self.rows.path, start, self.rows.delimiter, column);
        let cell = cell.map_err(|e| e.message)?.ok_or_else(missing)?;
        if cell.trim().chars().all(|c| c.is_ascii_digit()) {
            return Err(none());
        }
        let mut found = pictures::read(
            &cell.into(),
            &mut Beside {
                rows: self.rows,
                earlier: true,
            },
        )?;
        match (found.pop(), found.is_empty()) {
            (Some(picture), true) => Ok(picture),
            (None, _) => Err(none()),
            _ => Err(format!("it names row {index}, which has several pictures")),
        }
    }
}

/// The cell of `column` in the row that begins at byte `start`.
fn read_again(
    path: &Path,
    start: u64,
    delimiter: u8,
    column: Option<usize>,
) -> Result<Option<String>, Error> {
    let io = |e: std::io::Error| Error {
        line: 0,
        message: e.to_string(),
    };
    let mut file = File::open(path).map_err(io)?;
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    match Table::new(BufReader::new(file), delimiter).next()? {
        Some((_, Raw::Cells(cells))) => Ok(column.and_then(|c| cells.get(c).cloned())),
        _ => Ok(None),
    }
}

/// Reads the object of a manifest's line.
pub fn cells(json: &str) -> Result<Cells, String> {
    json::object(json.as_bytes())
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_mapped()?.map(|mapped| mapped.item))
    }
}

impl<R: BufRead> Lines<R> {
    /// The next row with the line on which it begins.
    fn next(&mut self) -> Result<Option<(usize, Raw)>, Error> {
        match self {
            Self::Table(table) => table.next(),
            Self::Json { source, line } => json::next(source, line),
            Self::Parquet(file) => match file.next() {
                Some(Ok(cells)) => Ok(Some((0, Raw::Object(cells)))),
                Some(Err(error)) => Err(Error {
                    line: 0,
                    message: error.to_string(),
                }),
                None => Ok(None),
            },
        }
    }
}
