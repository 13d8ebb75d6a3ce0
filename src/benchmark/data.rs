//! Benchmarks as people have them: VLMEvalKit's tables (TSV) and manifests of one JSON object a line. Read row by row, so that a file
//! of any size needs the memory of one row.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Error, Item, digest};

/// Bytes of one row, by which every allocation is bounded.
pub const MAX_ROW: usize = 256 << 20;
/// Options of one item: the classes of a classification, of which only the first 26 have letters.
pub const MAX_OPTIONS: usize = 1024;
/// Columns of a table.
const MAX_COLUMNS: usize = 1024;

/// The rows of a file, read when they are asked for.
pub struct Rows<R> {
    lines: Lines<R>,
    /// Where pictures are that are named by a relative path.
    folder: PathBuf,
    /// The file, if it is one.
    path: PathBuf,
    /// Where the rows of items begin, in bytes: tables name the picture of an earlier row by its index.
    seen: HashMap<[u8; 16], u64>,
    /// The line on which the last row began.
    line: usize,
    /// The file can be read no further.
    failed: bool,
}

struct Table<R> {
    source: R,
    parser: csv_core::Reader,
    header: Vec<String>,
    /// The line that is read next, from 1.
    line: usize,
    /// Bytes that were read.
    read: u64,
    /// Where the last row began.
    start: u64,
    /// The last byte that was read.
    last: u8,
    ended: bool,
}

enum Lines<R> {
    Table(Box<Table<R>>),
    Json { source: R, line: usize },
}

impl Rows<BufReader<File>> {
    /// A file: `.tsv`, or `.jsonl`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let at = |message: String| Error { line: 0, message: format!("{}: {message}", path.display()) };
        let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(|e| at(e.to_string()))?);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        match path.extension().and_then(|e| e.to_str()) {
            Some("tsv") => Ok(Self { path: path.to_owned(), ..Self::table(file, folder)? }),
            Some("jsonl") => Ok(Self::json(file, folder)),
            _ => Err(at("a name that ends in .tsv or .jsonl is needed".into())),
        }
    }
}

/// How many rows a file has, pictures unread.
pub fn count(path: &Path) -> Result<usize, Error> {
    let mut rows = Rows::open(path)?;
    let mut count = 0;
    while rows.lines.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

impl<R: BufRead> Rows<R> {
    /// A table with a header; cells are parted by tabs and may be quoted.
    pub fn table(source: R, folder: PathBuf) -> Result<Self, Error> {
        let mut table = Table::new(source);
        let (_, first) = table.next()?.ok_or_else(|| Error { line: 1, message: "no header".into() })?;
        let Raw::Cells(names) = first else { return Err(Error { line: 1, message: "no header".into() }) };
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(Error { line: 1, message: format!("column {name:?} stands there twice") });
            }
        }
        if let Some(missing) = ["index", "question"].iter().find(|n| !names.iter().any(|name| name == *n)) {
            let message = format!("no column {missing:?}; there are {}", names.join(", "));
            return Err(Error { line: 1, message });
        }
        table.header = names;
        Ok(Self::of(Lines::Table(Box::new(table)), folder))
    }

    /// One JSON object a line, with the names of a table's columns; `options` may be a list, `image` and `images` paths or base64.
    pub fn json(source: R, folder: PathBuf) -> Self {
        Self::of(Lines::Json { source, line: 0 }, folder)
    }

    fn of(lines: Lines<R>, folder: PathBuf) -> Self {
        Self { lines, folder, path: PathBuf::new(), seen: HashMap::new(), line: 0, failed: false }
    }

    /// The line on which the row began that came last.
    pub fn line(&self) -> usize {
        self.line
    }

    fn item(&mut self, line: usize, cells: Cells) -> Result<Item, Error> {
        let error = |message: String| Error { line, message };
        let start = if let Lines::Table(table) = &self.lines { table.start } else { 0 };
        let id = cells.get("index").map_or("", String::as_str);
        if !id.is_empty() && self.seen.insert(digest(id), start).is_some() {
            return Err(error(format!("index: {id} stands there twice")));
        }
        item(cells, |text| self.image(text)).map_err(error)
    }

    /// The picture of an earlier row, which is read again.
    fn image_of(&self, id: &str) -> Result<Vec<u8>, String> {
        let missing = || format!("it names row {id}, which does not stand before");
        let (Lines::Table(table), Some(&start)) = (&self.lines, self.seen.get(&digest(id))) else {
            return Err(missing());
        };
        let read = || -> Result<Option<String>, Error> {
            let io = |e: std::io::Error| Error { line: 0, message: e.to_string() };
            let mut file = File::open(&self.path).map_err(io)?;
            file.seek(SeekFrom::Start(start)).map_err(io)?;
            let column = table.header.iter().position(|name| name == "image");
            match Table::new(BufReader::new(file)).next()? {
                Some((_, Raw::Cells(cells))) => Ok(column.and_then(|c| cells.get(c).cloned())),
                _ => Ok(None),
            }
        };
        let cell = read().map_err(|e| e.message)?.ok_or_else(missing)?;
        // One step: a row that names a row that names a row is a mistake.
        if cell.chars().all(|c| c.is_ascii_digit()) {
            return Err(format!("it names row {id}, which has no picture of its own"));
        }
        self.image(&cell)
    }

    /// Base64, a path, or the index of an earlier row.
    fn image(&self, text: &str) -> Result<Vec<u8>, String> {
        let (short, text) = (text.len() <= 1024, text.trim());
        if short && text.chars().all(|c| c.is_ascii_digit()) {
            return self.image_of(text);
        }
        let path = self.folder.join(text);
        if short && path.extension().is_some() && !text.ends_with('=') {
            let size = path.metadata().map_err(|e| format!("{}: {e}", path.display()))?.len();
            if size > MAX_ROW as u64 {
                return Err(format!("{}: {size} bytes, at most {MAX_ROW} are read", path.display()));
            }
            return std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()));
        }
        STANDARD.decode(text).map_err(|e| format!("neither base64 nor the name of a file: {e}"))
    }
}

/// A row by the names of its columns.
pub type Cells = BTreeMap<String, String>;

/// The columns of an object in JSON.
pub fn cells(json: &str) -> Result<Cells, String> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    Ok(columns(&object))
}

fn columns(object: &serde_json::Map<String, Value>) -> Cells {
    object.iter().map(|(name, value)| (name.clone(), text_of(value))).collect()
}

/// The item that a row holds; `image` reads what stands in place of a picture.
pub fn item(mut cells: Cells, mut image: impl FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Item, String> {
    let mut take = |name: &str| cells.remove(name).unwrap_or_default();
    let id = take("index");
    if id.is_empty() {
        return Err("index: empty".into());
    }
    let (question, hint, answer, category) = (take("question"), take("hint"), take("answer"), take("category"));
    let group = take("group");
    // Beside a picture its path stays a column: it says which items are about the same one.
    let inline = take("image");
    let whole = if inline.is_empty() { take("image_path") } else { inline };
    let read = |text: &String| image(text).map_err(|m| format!("image: {m}"));
    let images = listed(&whole).iter().map(read).collect::<Result<_, _>>()?;
    let mut options = listed(&take("options"));
    for letter in ('A'..='Z').map(String::from) {
        let Some(option) = cells.remove(&letter).filter(|o| !is_missing(o)) else { continue };
        let place = usize::from(letter.as_bytes()[0] - b'A');
        if place != options.len() {
            return Err(format!("{letter}: there is no option before it"));
        }
        options.push(option);
    }
    let letter = (answer.len() == 1).then(|| usize::from(answer.as_bytes()[0].wrapping_sub(b'A')));
    if options.len() > MAX_OPTIONS {
        return Err(format!("options: {}, at most {MAX_OPTIONS}", options.len()));
    }
    // Some tables have an option's words as the answer, which may be of one character, too.
    let is_option = options.contains(&answer);
    if !options.is_empty() && !is_option && letter.is_some_and(|l| l >= options.len()) {
        let last = char::from(b'A' + options.len().min(26) as u8 - 1);
        return Err(format!("answer: {answer:?}, the options are A to {last}"));
    }
    if question.is_empty() {
        return Err("question: empty".into());
    }
    let hint = if is_missing(&hint) { String::new() } else { hint };
    let substitutes = BTreeMap::new();
    Ok(Item { id, images, question, hint, options, answer, category, group, fields: cells, substitutes })
}

/// A picture in base64.
pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text.trim()).map_err(|e| format!("not base64: {e}"))
}

/// The header of a table that [`row`] writes; `fields` are the other columns.
pub fn header(fields: &[String]) -> String {
    let names = ["index", "image", "question", "hint", "options", "answer", "category", "group"];
    names.into_iter().map(String::from).chain(fields.iter().cloned()).collect::<Vec<_>>().join("\t")
}

/// An item as a row of a table; pictures in base64, several as a JSON list, options as a JSON list.
pub fn row(item: &Item, fields: &[String]) -> String {
    let pictures: Vec<String> = item.images.iter().map(|i| STANDARD.encode(i)).collect();
    let listed = |all: &[String]| if all.is_empty() { String::new() } else { Value::from(all.to_vec()).to_string() };
    let image = if let [one] = pictures.as_slice() { one.clone() } else { listed(&pictures) };
    let mut cells = vec![item.id.clone(), image, item.question.clone(), item.hint.clone(), listed(&item.options)];
    cells.extend([item.answer.clone(), item.category.clone(), item.group.clone()]);
    cells.extend(fields.iter().map(|name| item.field(name).to_owned()));
    let quoted = |cell: String| {
        if cell.contains(['\t', '\n', '\r', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    };
    cells.into_iter().map(quoted).collect::<Vec<_>>().join("\t")
}

/// What pandas writes for nothing.
fn is_missing(cell: &str) -> bool {
    cell.is_empty() || cell == "nan" || cell == "N/A"
}

/// A JSON list of texts, or one text; nothing for nothing.
fn listed(cell: &str) -> Vec<String> {
    if is_missing(cell) {
        return Vec::new();
    }
    if cell.starts_with('[')
        && let Ok(Value::Array(all)) = serde_json::from_str(cell)
    {
        return all.iter().map(text_of).collect();
    }
    vec![cell.to_owned()]
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let (line, raw) = match self.lines.next() {
            Ok(row) => row?,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        self.line = line;
        let cells = match (raw, &self.lines) {
            (Raw::Cells(cells), Lines::Table(table)) if cells.len() == table.header.len() => {
                Ok(table.header.iter().cloned().zip(cells).collect())
            }
            (Raw::Cells(cells), Lines::Table(table)) => {
                Err(format!("{} columns, the header has {}", cells.len(), table.header.len()))
            }
            (Raw::Object(object), _) => Ok(columns(&object)),
            (Raw::Bad(message), _) => Err(message),
            (Raw::Cells(_), Lines::Json { .. }) => Err("a row of cells".into()),
        };
        Some(cells.map_err(|message| Error { line, message }).and_then(|cells| self.item(line, cells)))
    }
}

/// One row as it stands.
enum Raw {
    Cells(Vec<String>),
    Object(serde_json::Map<String, Value>),
    /// It cannot be read; the next one can.
    Bad(String),
}

impl<R: BufRead> Lines<R> {
    /// The next row with the line on which it begins.
    fn next(&mut self) -> Result<Option<(usize, Raw)>, Error> {
        match self {
            Self::Table(table) => table.next(),
            Self::Json { source, line } => json_row(source, line),
        }
    }
}

impl<R: BufRead> Table<R> {
    fn new(source: R) -> Self {
        let parser = csv_core::ReaderBuilder::new().delimiter(b'\t').build();
        Self { source, parser, header: Vec::new(), line: 1, read: 0, start: 0, last: b'\n', ended: false }
    }

    fn next(&mut self) -> Result<Option<(usize, Raw)>, Error> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        if self.ended {
            return Ok(None);
        }
        let failed = |line: usize| move |e: std::io::Error| Error { line, message: e.to_string() };
        // A row ends at its carriage return; the line does so after it.
        if self.last == b'\r' && self.source.fill_buf().map_err(failed(self.line))?.first() == Some(&b'\n') {
            self.source.consume(1);
            (self.line, self.read, self.last) = (self.line + 1, self.read + 1, b'\n');
        }
        let line = self.line;
        self.start = self.read;
        let (mut cells, mut ends) = (vec![0; 1 << 16], vec![0; MAX_COLUMNS]);
        let (mut filled, mut columns, mut too_large) = (0, 0, false);
        loop {
            let input = self.source.fill_buf().map_err(failed(line))?;
            let (result, read, written, found) =
                self.parser.read_record(input, &mut cells[filled..], &mut ends[columns..]);
            self.line += input[..read].split(|&b| b == b'\n').count() - 1;
            self.last = input[..read].last().copied().unwrap_or(self.last);
            self.source.consume(read);
            self.read += read as u64;
            (filled, columns) = (filled + written, columns + found);
            match result {
                InputEmpty => {}
                OutputFull if cells.len() < MAX_ROW => cells.resize((4 * cells.len()).min(MAX_ROW), 0),
                // What is left of the row is read and forgotten.
                OutputFull | OutputEndsFull => (filled, columns, too_large) = (0, 0, true),
                Record => break,
                End => {
                    self.ended = true;
                    return Ok(None);
                }
            }
        }
        if too_large {
            let message = format!("more than {MAX_ROW} bytes or {MAX_COLUMNS} columns");
            return Ok(Some((line, Raw::Bad(message))));
        }
        let mut start = 0;
        let mut row = Vec::with_capacity(columns);
        for &end in &ends[..columns] {
            match std::str::from_utf8(&cells[start..end]) {
                Ok(text) => row.push(text.to_owned()),
                Err(e) => return Ok(Some((line, Raw::Bad(format!("column {}: not UTF-8: {e}", row.len() + 1))))),
            }
            start = end;
        }
        Ok(Some((line, Raw::Cells(row))))
    }
}

fn json_row<R: BufRead>(source: &mut R, line: &mut usize) -> Result<Option<(usize, Raw)>, Error> {
    loop {
        *line += 1;
        let (mut text, mut too_large) = (Vec::new(), false);
        loop {
            let input = source.fill_buf().map_err(|e| Error { line: *line, message: e.to_string() })?;
            let end = input.iter().position(|&b| b == b'\n');
            let part = &input[..end.unwrap_or(input.len())];
            too_large |= text.len() + part.len() > MAX_ROW;
            if !too_large {
                text.extend_from_slice(part);
            }
            let (read, ended) = (part.len() + usize::from(end.is_some()), input.is_empty());
            source.consume(read);
            if ended && text.is_empty() && !too_large {
                return Ok(None);
            }
            if ended || end.is_some() {
                break;
            }
        }
        if too_large {
            return Ok(Some((*line, Raw::Bad(format!("more than {MAX_ROW} bytes")))));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        // As the parser of tables does.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        let raw = serde_json::from_slice(text).map_or_else(|e| Raw::Bad(e.to_string()), Raw::Object);
        return Ok(Some((*line, raw)));
    }
}
