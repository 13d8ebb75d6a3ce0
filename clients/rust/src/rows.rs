//! Questions in files: tables (TSV, CSV, Parquet) and manifests of one JSON object a line. What the
//! columns mean is the server's business; a client only brings the pictures that a row names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::v1::Row;
use crate::{Error, Parquet};

/// The rows of a file, read when they are asked for, so that a text file of any size needs the
/// memory of one row, a Parquet file that of one row group.
#[derive(Debug)]
pub struct Rows {
    path: PathBuf,
    lines: Lines,
    /// Rows so far.
    number: u64,
}

#[derive(Debug)]
enum Lines {
    Table {
        reader: csv::Reader<File>,
        header: csv::StringRecord,
        /// The beginnings of rows, by their ids: a row may name the picture of an earlier one.
        starts: HashMap<String, csv::Position>,
    },
    Manifest {
        reader: BufReader<File>,
        line: u64,
    },
    Parquet(Box<Parquet>),
}

/// A name, not base64.
const LONGEST_NAME: usize = 1024;
const LONGEST_FILE: u64 = 256 << 20;
/// Files that a row may name, and that are sent with it.
const ENDINGS: [&str; 14] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "ppm", "jp2", "avif",
    "heic",
];

/// Opens a table (.tsv, .csv, .parquet) or a manifest (.jsonl).
pub fn rows(path: impl AsRef<Path>) -> Result<Rows, Error> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| Error::file(path, None, e))?;
    let lines = match path.extension().and_then(|e| e.to_str()) {
        Some("tsv" | "csv") => {
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(delimiter(path))
                .from_reader(file);
            let header = reader
                .headers()
                .map_err(|e| Error::file(path, Some(1), e))?
                .clone();
            Lines::Table {
                reader,
                header,
                starts: HashMap::new(),
            }
        }
        Some("jsonl") => Lines::Manifest {
            reader: BufReader::new(file),
            line: 0,
        },
        Some("parquet") => Lines::Parquet(Box::new(Parquet::open(path)?)),
        _ => {
            return Err(Error::file(
                path,
                None,
                "a name that ends in .tsv, .csv, .jsonl or .parquet is needed",
            ));
        }
    };
    Ok(Rows {
        path: path.to_owned(),
        lines,
        number: 0,
    })
}

fn delimiter(path: &Path) -> u8 {
    if path.extension().is_some_and(|e| e == "csv") {
        b','
    } else {
        b'\t'
    }
}

/// Tells whether a cell is the index of an earlier row, and not a file's name or a picture.
fn is_index(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(|b| b.is_ascii_digit())
}

impl Rows {
    fn table(&mut self) -> Result<Option<Row>, Error> {
        let Lines::Table {
            reader,
            header,
            starts,
        } = &mut self.lines
        else {
            return Ok(None);
        };
        // The place of the row, for a later one that names its picture.
        let (mut record, start) = (csv::StringRecord::new(), reader.position().clone());
        if !reader
            .read_record(&mut record)
            .map_err(|e| failed(&self.path, &e))?
        {
            return Ok(None);
        }
        let line = record.position().map_or(start.line(), csv::Position::line);
        let mut cells: HashMap<String, String> = header
            .iter()
            .zip(record.iter())
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect();
        // Where rows have ids, later ones may point at them.
        if let Some(index) = cells.get("index") {
            starts.insert(index.clone(), start);
        }
        // VLMEvalKit writes a picture once, and in further rows the index of that one.
        if let Some(cell) = cells.get("image").filter(|cell| is_index(cell)) {
            let own = match starts.get(cell) {
                Some(earlier) => picture_of(&self.path, header, earlier)?,
                None => None,
            };
            // One step alone: an index that leads to an index is refused.
            let Some(own) = own.filter(|picture| !is_index(picture)) else {
                let reason = format!("image: row {cell} does not stand before");
                return Err(Error::file(&self.path, Some(line), reason));
            };
            cells.insert("image".into(), own);
        }
        let mut files = HashMap::new();
        cells
            .values()
            .try_for_each(|cell| self.add_named(cell, &mut files))
            .map_err(|e| self.error(line, e))?;
        Ok(Some(Row {
            line,
            cells,
            files,
            ..Row::default()
        }))
    }

    fn manifest(&mut self) -> Result<Option<Row>, Error> {
        let Lines::Manifest { reader, line } = &mut self.lines else {
            return Ok(None);
        };
        let mut json = String::new();
        loop {
            *line += 1;
            json.clear();
            if reader
                .read_line(&mut json)
                .map_err(|e| Error::file(&self.path, Some(*line), e))?
                == 0
            {
                return Ok(None);
            }
            if !json.trim().is_empty() {
                break;
            }
        }
        let line = *line;
        // Some editors write a byte order mark.
        let json = json.trim_start_matches('\u{feff}').to_owned();
        // What is wrong with it is the server's to say.
        let parsed = serde_json::from_str(&json)
            // pandas writes NaN, which is no JSON; only names of files are looked for here.
            .or_else(|_| serde_json::from_str(&json.replace("NaN", "null")));
        let object: Value = parsed.unwrap_or_default();
        let mut files = HashMap::new();
        self.add_files(&object, &mut files)
            .map_err(|e| self.error(line, e))?;
        Ok(Some(Row {
            line,
            json,
            files,
            ..Row::default()
        }))
    }

    fn parquet(&mut self) -> Result<Option<Row>, Error> {
        let Lines::Parquet(file) = &mut self.lines else {
            return Ok(None);
        };
        let Some(cells) = file.next().transpose()? else {
            return Ok(None);
        };
        let (object, mut files) = (Value::Object(cells), HashMap::new());
        if let Err(e) = self.add_files(&object, &mut files) {
            let message = format!("row {}: image: {e}", self.number + 1);
            return Err(Error::file(&self.path, None, message));
        }
        Ok(Some(Row {
            json: object.to_string(),
            files,
            ..Row::default()
        }))
    }

    fn error(&self, line: u64, message: String) -> Error {
        Error::file(&self.path, Some(line), format!("image: {message}"))
    }

    /// Adds the pictures beside the table that the texts of `value` name.
    fn add_files(&self, value: &Value, files: &mut HashMap<String, Vec<u8>>) -> Result<(), String> {
        match value {
            Value::String(text) => self.add_named(text, files),
            Value::Array(all) => all
                .iter()
                .try_for_each(|value| self.add_files(value, files)),
            Value::Object(object) => object
                .values()
                .try_for_each(|value| self.add_files(value, files)),
            _ => Ok(()),
        }
    }

    /// The same of one text, which may be a list of quoted names.
    fn add_named(&self, text: &str, files: &mut HashMap<String, Vec<u8>>) -> Result<(), String> {
        let text = text.trim();
        if !text.starts_with(['[', '(', '{']) {
            return self.add_file(text, files);
        }
        // Names are short: this is a text, or a picture in base64.
        if text.len() > 64 * LONGEST_NAME {
            return Ok(());
        }
        let mut rest = text;
        // Python writes lists with either kind of quotation mark.
        while let Some(start) = rest.find(['\'', '"']) {
            let (quote, after) = rest[start..].split_at(1);
            let Some(end) = after.find(quote) else { break };
            self.add_file(after[..end].trim(), files)?;
            rest = &after[end + 1..];
        }
        Ok(())
    }

    fn add_file(&self, name: &str, files: &mut HashMap<String, Vec<u8>>) -> Result<(), String> {
        let ending = Path::new(name)
            .extension()
            .map(|e| e.to_string_lossy().to_ascii_lowercase());
        let is_name =
            name.len() <= LONGEST_NAME && ending.is_some_and(|e| ENDINGS.contains(&e.as_str()));
        if !is_name || files.contains_key(name) {
            return Ok(());
        }
        // Names are relative to the file that has them.
        let path = self.path.parent().unwrap_or(Path::new("")).join(name);
        // What is not there is the server's to say, who knows whether the column is a picture.
        let Some(about) = path.metadata().ok().filter(std::fs::Metadata::is_file) else {
            return Ok(());
        };
        if about.len() > LONGEST_FILE {
            return Err(format!(
                "{}: more than {LONGEST_FILE} bytes",
                path.display()
            ));
        }
        let data = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        files.insert(name.to_owned(), data);
        Ok(())
    }
}

/// Reads the picture of the row that begins at `start`.
fn picture_of(
    path: &Path,
    header: &csv::StringRecord,
    start: &csv::Position,
) -> Result<Option<String>, Error> {
    // A handle of its own: the place of the reader of rows stays where it is.
    let mut file = File::open(path).map_err(|e| Error::file(path, None, e))?;
    file.seek(SeekFrom::Start(start.byte()))
        .map_err(|e| Error::file(path, None, e))?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(path))
        .has_headers(false)
        .from_reader(file);
    let record = reader
        .records()
        .next()
        .transpose()
        .map_err(|e| failed(path, &e))?;
    let column = header.iter().position(|name| name == "image");
    Ok(record
        .zip(column)
        .and_then(|(record, column)| record.get(column).map(String::from)))
}

fn failed(path: &Path, error: &csv::Error) -> Error {
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("not UTF-8: {err}"),
        _ => error.to_string(),
    };
    Error::file(path, error.position().map(csv::Position::line), message)
}

impl Iterator for Rows {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.lines {
            Lines::Table { .. } => self.table(),
            Lines::Manifest { .. } => self.manifest(),
            Lines::Parquet(_) => self.parquet(),
        };
        let row = row.transpose()?;
        self.number += 1;
        Some(row.map(|row| Row {
            number: self.number,
            ..row
        }))
    }
}
