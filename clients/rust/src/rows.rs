//! Questions in files: VLMEvalKit's tables (TSV) and manifests of one JSON object a line. What the columns mean is the server's
//! business; a client only brings the pictures that a row names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Error;
use crate::v1::image::Source;
use crate::v1::{Image, Row};

/// The rows of a file, read when they are asked for, so that a file of any size needs the memory of one row.
#[derive(Debug)]
pub struct Rows {
    path: PathBuf,
    lines: Lines,
}

#[derive(Debug)]
enum Lines {
    Table {
        reader: csv::Reader<File>,
        header: csv::StringRecord,
        /// Where rows begin, by their index: a row may name the picture of an earlier one by it.
        starts: HashMap<String, csv::Position>,
    },
    Manifest {
        reader: BufReader<File>,
        line: u64,
    },
}

/// A name, not base64.
const LONGEST_NAME: usize = 1024;

/// Opens a table (.tsv) or a manifest (.jsonl).
pub fn rows(path: impl AsRef<Path>) -> Result<Rows, Error> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| Error::file(path, None, e))?;
    let lines = match path.extension().and_then(|e| e.to_str()) {
        Some("tsv") => {
            let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(file);
            let header = reader.headers().map_err(|e| Error::file(path, Some(1), e))?.clone();
            Lines::Table { reader, header, starts: HashMap::new() }
        }
        Some("jsonl") => Lines::Manifest { reader: BufReader::new(file), line: 0 },
        _ => return Err(Error::file(path, None, "a name that ends in .tsv or .jsonl is needed")),
    };
    Ok(Rows { path: path.to_owned(), lines })
}

/// The index of an earlier row, the name of a file, or the picture itself.
fn is_index(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.ends_with('=') && Path::new(text.trim()).extension().is_some()
}

impl Rows {
    fn table(&mut self) -> Result<Option<Row>, Error> {
        let Lines::Table { reader, header, starts } = &mut self.lines else { return Ok(None) };
        let (mut record, start) = (csv::StringRecord::new(), reader.position().clone());
        if !reader.read_record(&mut record).map_err(|e| failed(&self.path, &e))? {
            return Ok(None);
        }
        let line = record.position().map_or(start.line(), csv::Position::line);
        let mut cells: HashMap<String, String> =
            header.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect();
        if let Some(index) = cells.get("index") {
            starts.insert(index.clone(), start);
        }
        let column = ["image", "image_path"].into_iter().find(|name| cells.get(*name).is_some_and(|c| !c.is_empty()));
        let Some(column) = column else { return Ok(Some(Row { line, cells, ..Row::default() })) };
        let cell = &cells[column];
        if is_index(cell) {
            let missing = || Error::file(&self.path, Some(line), format!("image: row {cell} does not stand before"));
            let earlier = starts.get(cell).ok_or_else(missing)?;
            let own = picture_of(&self.path, header, earlier)?;
            cells.insert(column.into(), own.filter(|p| !is_index(p)).ok_or_else(missing)?);
        }
        let images = self.named(line, &cells[column])?;
        Ok(Some(Row { line, cells, images, ..Row::default() }))
    }

    fn manifest(&mut self) -> Result<Option<Row>, Error> {
        let Lines::Manifest { reader, line } = &mut self.lines else { return Ok(None) };
        let mut json = String::new();
        loop {
            *line += 1;
            json.clear();
            if reader.read_line(&mut json).map_err(|e| Error::file(&self.path, Some(*line), e))? == 0 {
                return Ok(None);
            }
            if !json.trim().is_empty() {
                break;
            }
        }
        let line = *line;
        let json = json.trim_start_matches('\u{feff}').to_owned();
        // What is wrong with it is the server's to say.
        let object: Value = serde_json::from_str(&json).unwrap_or_default();
        let images = ["image", "image_path"].into_iter().find_map(|name| match &object[name] {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            list @ Value::Array(_) => Some(list.to_string()),
            _ => None,
        });
        let images = images.map_or(Ok(Vec::new()), |cell| self.named(line, &cell))?;
        Ok(Some(Row { line, json, images, ..Row::default() }))
    }

    /// The pictures of a cell whose names it gives; none where it holds them itself.
    fn named(&self, line: u64, cell: &str) -> Result<Vec<Image>, Error> {
        let listed: Vec<String> = serde_json::from_str(cell).unwrap_or_else(|_| vec![cell.to_owned()]);
        if !listed.iter().all(|text| is_name(text)) {
            return Ok(Vec::new());
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let read = |name: &String| {
            let path = folder.join(name.trim());
            let data = std::fs::read(&path);
            let data = data.map_err(|e| Error::file(&self.path, Some(line), format!("{}: {e}", path.display())))?;
            Ok(Image { source: Some(Source::Data(data)) })
        };
        listed.iter().map(read).collect()
    }
}

/// The picture of the row that begins at `start`.
fn picture_of(path: &Path, header: &csv::StringRecord, start: &csv::Position) -> Result<Option<String>, Error> {
    let mut file = File::open(path).map_err(|e| Error::file(path, None, e))?;
    file.seek(SeekFrom::Start(start.byte())).map_err(|e| Error::file(path, None, e))?;
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').has_headers(false).from_reader(file);
    let record = reader.records().next().transpose().map_err(|e| failed(path, &e))?;
    let column = header.iter().position(|name| name == "image");
    Ok(record.zip(column).and_then(|(record, column)| record.get(column).map(String::from)))
}

fn failed(path: &Path, error: &csv::Error) -> Error {
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
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
        match self.lines {
            Lines::Table { .. } => self.table(),
            Lines::Manifest { .. } => self.manifest(),
        }
        .transpose()
    }
}
