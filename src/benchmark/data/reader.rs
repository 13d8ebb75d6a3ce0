//! Reads the items of a file, row by row.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use scotoma_client::Parquet;

use super::columns::{ColumnMapping, ColumnRole};
use super::json;
use super::map::{MappedRow, RowContext, id_of, map};
use super::pictures::{self, PictureSource};
use super::raw::{Cells, MAX_ROW, RawRow};
use super::table::Table;
use crate::benchmark::{Error, Item, digest};

/// Reads the items of a file, one row at a time.
pub struct ItemReader<R> {
    lines: Lines<R>,
    reading: ColumnMapping,
    /// The folder of pictures that are named by a relative path.
    folder: PathBuf,
    /// The file, empty if the source is none.
    path: PathBuf,
    delimiter: u8,
    /// The byte at which each row begins, by the digest of its id: tables name the picture of an
    /// earlier row by its id.
    seen: HashMap<[u8; 16], u64>,
    /// The line of the last row's beginning.
    line: usize,
    /// Rows so far.
    number: u64,
    /// True once the file can be read no further.
    failed: bool,
}

enum Lines<R> {
    Table(Box<Table<R>>),
    Json { source: R, line: usize },
    Parquet(Box<Parquet>),
}

impl ItemReader<BufReader<File>> {
    /// Opens a file: `.tsv`, `.csv`, `.jsonl` or `.parquet`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_as(path, ColumnMapping::default())
    }

    /// Opens a file whose columns are read as `reading` says.
    pub fn open_as(path: &Path, reading: ColumnMapping) -> Result<Self, Error> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let ending = path.extension().and_then(|e| e.to_str());
        let lines = match ending {
            Some("tsv" | "csv") => {
                let delimiter = if ending == Some("csv") { b',' } else { b'\t' };
                let rows = Self::delimited(buffered(path)?, folder, delimiter, reading)?;
                return Ok(Self {
                    path: path.to_owned(),
                    ..rows
                });
            }
            Some("jsonl") => Lines::Json {
                source: buffered(path)?,
                line: 0,
            },
            Some("parquet") => {
                let file = Parquet::open(path).map_err(|e| Error {
                    line: 0,
                    message: e.to_string(),
                })?;
                check_names(file.columns(), &reading).map_err(|e| of_file(path, &e))?;
                Lines::Parquet(Box::new(file))
            }
            _ => {
                let needed = "a name that ends in .tsv, .csv, .jsonl or .parquet is needed";
                return Err(of_file(path, &needed));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            ..Self::of(lines, folder, reading)
        })
    }
}

fn buffered(path: &Path) -> Result<BufReader<File>, Error> {
    let file = File::open(path).map_err(|e| of_file(path, &e))?;
    // A row with a picture has hundreds of kilobytes.
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// Returns the error of a whole file.
fn of_file(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error {
        line: 0,
        message: format!("{}: {reason}", path.display()),
    }
}

/// Counts the rows of a file, pictures unread.
pub fn count(path: &Path, reading: &ColumnMapping) -> Result<usize, Error> {
    let mut rows = ItemReader::open_as(path, reading.clone())?;
    // The footer says it.
    if let Lines::Parquet(file) = &rows.lines {
        return Ok(usize::try_from(file.rows()).unwrap_or(usize::MAX));
    }
    let mut count = 0;
    while rows.lines.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Checks that the mapping fits these columns, and that one of them holds the question.
fn check_names(names: &[String], reading: &ColumnMapping) -> Result<(), String> {
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
    let is_question = |name: &String| ColumnRole::Question.rank(name).is_some();
    if !reading.given.contains_key(&ColumnRole::Question) && !names.iter().any(is_question) {
        return Err(format!(
            "no column \"question\"; there are {} (--column question=NAME says which one it is)",
            there()
        ));
    }
    Ok(())
}

impl<R: BufRead> ItemReader<R> {
    /// Reads a table with a header, whose cells are separated by tabs and may be quoted.
    pub fn table(source: R, folder: PathBuf) -> Result<Self, Error> {
        Self::delimited(source, folder, b'\t', ColumnMapping::default())
    }

    fn delimited(
        source: R,
        folder: PathBuf,
        delimiter: u8,
        reading: ColumnMapping,
    ) -> Result<Self, Error> {
        let wrong = |message: String| Error { line: 1, message };
        let mut table = Table::new(source, delimiter);
        let (_, first) = table.next()?.ok_or_else(|| wrong("no header".into()))?;
        let RawRow::Cells(names) = first else {
            return Err(wrong("no header".into()));
        };
        for (i, name) in names.iter().enumerate() {
            // pandas would rename the second; which one an author means nobody can tell.
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

    /// Reads one JSON object a line, with the names of a table's columns.
    pub fn json(source: R, folder: PathBuf) -> Self {
        Self::of(
            Lines::Json { source, line: 0 },
            folder,
            ColumnMapping::default(),
        )
    }

    fn of(lines: Lines<R>, folder: PathBuf, reading: ColumnMapping) -> Self {
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

    /// Returns an error at the last row.
    pub fn error(&self, message: String) -> Error {
        match self.lines {
            // Rows of parquet stand on no line: 0 leaves it out of the message.
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

    fn mapped(&mut self, cells: Cells) -> Result<MappedRow, String> {
        let place = RowContext {
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
        // 16 bytes an id rather than the id itself: tables may have millions of rows, and ids may
        // be long.
        // Before the row is mapped, so that a bad row keeps its id taken.
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

    /// Returns the next row with the roles of its columns.
    pub fn next_mapped(&mut self) -> Option<Result<MappedRow, Error>> {
        if self.failed {
            return None;
        }
        let raw = match self.lines.next() {
            Ok(row) => row,
            Err(error) => {
                // Where reading broke off, nobody knows where the next row begins.
                self.failed = true;
                return Some(Err(error));
            }
        };
        let (line, raw) = raw?;
        // Bad rows count, too: numbers are places in the file.
        (self.line, self.number) = (line, self.number + 1);
        let cells = match (raw, &self.lines) {
            (RawRow::Cells(cells), Lines::Table(table)) if cells.len() == table.header.len() => {
                Ok(table
                    .header
                    .iter()
                    .cloned()
                    .zip(cells.into_iter().map(Into::into))
                    .collect())
            }
            (RawRow::Cells(cells), Lines::Table(table)) => Err(format!(
                "{} columns, the header has {}",
                cells.len(),
                table.header.len()
            )),
            (RawRow::Object(object), _) => Ok(object),
            (RawRow::Bad(message), _) => Err(message),
            (RawRow::Cells(_), _) => Err("a row of cells".into()),
        };
        let mapped = cells.and_then(|cells| self.mapped(cells));
        Some(mapped.map_err(|message| self.error(message)))
    }
}

/// Reads the pictures that a row of a file names: other files, and those of earlier rows.
struct Beside<'a, R> {
    rows: &'a ItemReader<R>,
    /// True while an earlier row's cell is read.
    earlier: bool,
}

impl<R: BufRead> PictureSource for Beside<'_, R> {
    fn file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.rows.folder.join(name);
        let at = |e: std::io::Error| format!("{}: {e}", path.display());
        // Before opening: a named pipe would wait for a writer.
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

    /// Reads the earlier row again, so that no picture need be kept.
    fn row(&mut self, index: &str) -> Result<Vec<u8>, String> {
        // One step only: the row that is named must have a picture of its own.
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
        let column = picture_column(&table.header, &self.rows.reading);
        // VLMEvalKit writes a picture once and then the index of that row; keeping them all could
        // take gigabytes.
        let cell = read_again(&self.rows.path, start, self.rows.delimiter, column);
        let cell = cell.map_err(|e| e.message)?.ok_or_else(missing)?;
        // The index of another row, or nothing.
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

/// Finds the column of pictures in a table's header.
fn picture_column(header: &[String], reading: &ColumnMapping) -> Option<usize> {
    if let Some(given) = reading.given.get(&ColumnRole::Image) {
        return header.iter().position(|name| name == given);
    }
    let ranked = header.iter().enumerate();
    ranked
        .filter_map(|(i, name)| Some((ColumnRole::Image.rank(name)?, i)))
        .min()
        .map(|(_, i)| i)
}

/// Reads the cell of `column` in the row that begins at byte `start`.
fn read_again(
    path: &Path,
    start: u64,
    delimiter: u8,
    column: Option<usize>,
) -> Result<Option<String>, Error> {
    let opened = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    });
    let file = opened.map_err(|e| Error {
        line: 0,
        message: e.to_string(),
    })?;
    match Table::new(BufReader::new(file), delimiter).next()? {
        Some((_, RawRow::Cells(cells))) => Ok(column.and_then(|c| cells.get(c).cloned())),
        _ => Ok(None),
    }
}

impl<R: BufRead> Iterator for ItemReader<R> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_mapped()?.map(|mapped| mapped.item))
    }
}

impl<R: BufRead> Lines<R> {
    /// Returns the next row with the line on which it begins.
    fn next(&mut self) -> Result<Option<(usize, RawRow)>, Error> {
        match self {
            Self::Table(table) => table.next(),
            Self::Json { source, line } => json::next(source, line),
            Self::Parquet(file) => match file.next() {
                Some(Ok(cells)) => Ok(Some((0, RawRow::Object(cells)))),
                Some(Err(error)) => Err(Error {
                    line: 0,
                    message: error.to_string(),
                }),
                None => Ok(None),
            },
        }
    }
}
