//! Rows of Parquet files, as Hugging Face has data sets: one row group at a time, and nothing is
//! allocated that the file cannot hold. Reads PLAIN, dictionary, RLE and delta encodings and all
//! codecs but LZO; encrypted files are refused.

mod codec;
mod encoding;
mod header;
mod pages;
mod thrift;

use std::collections::HashSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::record::Field;
use parquet::record::reader::{ReaderIter, TreeBuilder};
use serde_json::{Map, Number, Value};

use crate::Error;
use pages::{Group, Source};
use thrift::{Reader, kind};

/// Bytes of a file's metadata.
const MAX_METADATA: u64 = 64 << 20;
/// Columns, those within columns counted, and how deep they stand in each other.
const MAX_COLUMNS: usize = 4096;
const MAX_DEPTH: usize = 32;
/// Bytes of one row.
const MAX_ROW: usize = 256 << 20;
/// Values of a dictionary, and of one page.
const MAX_VALUES: usize = 1 << 22;
/// Values of a column that are decoded at once: pictures are large.
const BATCH: usize = 16;

/// The rows of a Parquet file, read when they are asked for.
///
/// A row is an object by the names of the columns: texts, numbers, truth values, lists and objects
/// are themselves, bytes are a data URI (`data:;base64,...`), NaN is null. An error ends the
/// iteration.
pub struct Parquet {
    path: PathBuf,
    source: Arc<Source>,
    metadata: ParquetMetaData,
    columns: Vec<String>,
    group: usize,
    rows: Option<ReaderIter>,
    failed: bool,
}

impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet")
            .field("path", &self.path)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl Parquet {
    /// Opens a file and reads its metadata. Errors name the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> std::result::Result<Self, Error> {
        let path = path.as_ref();
        let at = |message: String| Error::file(path, None, message);
        let file = File::open(path).map_err(|e| at(e.to_string()))?;
        let opened = guarded(|| {
            let source = Source::new(file)?;
            check_metadata(&source)?;
            // A second handle: the metadata's reader has a place of its own.
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(path)?)?;
            Ok((source, metadata))
        });
        let (source, metadata) =
            opened.map_err(|e| at(format!("not a Parquet file that can be read: {e}")))?;
        let root = metadata.file_metadata().schema_descr().root_schema();
        let columns: Vec<String> = root
            .get_fields()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        // In an object the second would replace the first.
        let mut seen = HashSet::new();
        if let Some(twice) = columns.iter().find(|name| !seen.insert(*name)) {
            return Err(at(format!("column {twice:?} stands there twice")));
        }
        Ok(Self {
            path: path.to_owned(),
            source: source.into(),
            metadata,
            columns,
            group: 0,
            rows: None,
            failed: false,
        })
    }

    /// Returns the names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns how many rows the file says that it has.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    fn row(&mut self) -> Result<Option<Map<String, Value>>> {
        loop {
            if let Some(row) = self.rows.as_mut().and_then(Iterator::next) {
                let mut left = MAX_ROW;
                let cell = |(name, field)| Ok((name, value(field, &mut left)?));
                return row?
                    .into_columns()
                    .into_iter()
                    .map(cell)
                    .collect::<Result<_>>()
                    .map(Some);
            }
            let Some(about) = self.metadata.row_groups().get(self.group) else {
                return Ok(None);
            };
            self.group += 1;
            let group = Group {
                source: self.source.clone(),
                about: about.clone(),
            };
            let schema = self.metadata.file_metadata().schema_descr_ptr();
            self.rows = Some(
                TreeBuilder::new()
                    .with_batch_size(BATCH)
                    .as_iter(schema, &group)?,
            );
        }
    }
}

impl Iterator for Parquet {
    type Item = std::result::Result<Map<String, Value>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = guarded(|| self.row()).transpose()?;
        self.failed = row.is_err();
        Some(row.map_err(|e| Error::file(&self.path, None, e)))
    }
}

fn wrong(message: impl Into<String>) -> ParquetError {
    ParquetError::General(message.into())
}

/// Returns what `work` gives. A panic is an error: the parquet crate asserts what a damaged file
/// does not keep.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing is read on after a panic: `failed` ends the iteration.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(wrong("it is damaged")))
}

/// Looks at the metadata before the crate does, which would allocate whatever a list says.
fn check_metadata(source: &Source) -> Result<()> {
    // PAR1 at both ends, and the length of the metadata.
    if source.size < 12 {
        return Err(wrong("it is too short"));
    }
    let tail = source.read(source.size - 8, 8)?;
    match tail.get(4..) {
        Some(b"PAR1") => {}
        Some(b"PARE") => return Err(wrong("it is encrypted")),
        _ => return Err(wrong("it does not end as one")),
    }
    let length = tail
        .first_chunk::<4>()
        .map_or(0, |b| u64::from(u32::from_le_bytes(*b)));
    if length > MAX_METADATA || length + 12 > source.size {
        return Err(wrong(format!(
            "metadata of {length} bytes; at most {MAX_METADATA}, and no more than the file, are \
             read"
        )));
    }
    let bytes = source.read(source.size - 8 - length, length)?;
    look(&bytes).ok_or_else(|| {
        wrong(format!(
            "its metadata is damaged, or has more than {MAX_COLUMNS} columns or {MAX_DEPTH} within \
             each other"
        ))
    })
}

/// Goes through the metadata; `None` where it is damaged or too much.
fn look(bytes: &[u8]) -> Option<()> {
    let mut reader = Reader { bytes, at: 0 };
    let mut last = 0;
    loop {
        let (number, kind) = reader.field(last)?;
        match (number, kind) {
            (_, 0) => return Some(()),
            // Field 2 of FileMetaData: the schema, its elements in one list, each group before its
            // children.
            (2, kind::LIST) => look_at_schema(&mut reader)?,
            _ => reader.skip(kind, 0)?,
        }
        last = number;
    }
}

fn look_at_schema(reader: &mut Reader<'_>) -> Option<()> {
    let (count, kind) = reader.list()?;
    if count > MAX_COLUMNS || kind != kind::STRUCT {
        return None;
    }
    // Children that are still to come, group by group.
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..count {
        let children = children(reader)?;
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > MAX_DEPTH || children < 0 || children > MAX_COLUMNS as i64 {
            return None;
        }
    }
    open.is_empty().then_some(())
}

/// Returns the number of children of the element that comes next.
fn children(reader: &mut Reader<'_>) -> Option<i64> {
    let (mut last, mut children) = (0, 0);
    loop {
        let (number, kind) = reader.field(last)?;
        match (number, kind) {
            (_, 0) => return Some(children),
            // Field 5 of SchemaElement: num_children.
            (5, kind::I32) => children = reader.int()?,
            _ => reader.skip(kind, 0)?,
        }
        last = number;
    }
}

/// Returns a map's key as a text.
fn key_name(key: &Field) -> String {
    match key {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns a cell as JSON; `left` are the bytes that its row may still have.
fn value(field: Field, left: &mut usize) -> Result<Value> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => truth.into(),
        Field::Byte(n) => n.into(),
        Field::Short(n) => n.into(),
        Field::Int(n) => n.into(),
        Field::Long(n) => n.into(),
        Field::UByte(n) => n.into(),
        Field::UShort(n) => n.into(),
        Field::UInt(n) => n.into(),
        Field::ULong(n) => n.into(),
        Field::Float16(x) => float(x.into()),
        Field::Float(x) => float(x.into()),
        Field::Double(x) => float(x),
        Field::Str(text) => {
            take(text.len(), left)?;
            text.into()
        }
        Field::Bytes(bytes) => {
            take(bytes.data().len(), left)?;
            format!("data:;base64,{}", STANDARD.encode(bytes.data())).into()
        }
        Field::Group(row) => object(row.into_columns().into_iter(), left)?,
        Field::ListInternal(list) => Value::Array(
            list.elements()
                .iter()
                .map(|field| value(field.clone(), left))
                .collect::<Result<_>>()?,
        ),
        Field::MapInternal(map) => object(
            map.entries()
                .iter()
                .map(|(key, field)| (key_name(key), field.clone())),
            left,
        )?,
        // Dates, times and decimals, which no rule reads.
        other => other.to_string().into(),
    })
}

fn object(cells: impl Iterator<Item = (String, Field)>, left: &mut usize) -> Result<Value> {
    let cell = |(name, field)| Ok((name, value(field, left)?));
    Ok(Value::Object(cells.map(cell).collect::<Result<_>>()?))
}

fn take(bytes: usize, left: &mut usize) -> Result<()> {
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| wrong(format!("a row of more than {MAX_ROW} bytes")))?;
    Ok(())
}

fn float(x: f64) -> Value {
    match Number::from_f64(x) {
        Some(number) => Value::Number(number),
        None if x.is_nan() => Value::Null,
        None => x.to_string().into(),
    }
}
