//! Tables for programs, as CSV.

use std::path::Path;

use csv::{QuoteStyle, WriterBuilder};

use super::error::Failure;
use super::files;

/// Writes a table. Texts stand in quotation marks, numbers do not.
pub(super) fn write_csv(
    path: &Path,
    heads: &[impl AsRef<str>],
    rows: &[Vec<String>],
) -> Result<(), Failure> {
    let mut bytes = records(QuoteStyle::Necessary, [heads.iter().map(AsRef::as_ref)])?;
    let rows = rows.iter().map(|row| row.iter().map(String::as_str));
    bytes.extend(records(QuoteStyle::NonNumeric, rows)?);
    Ok(files::write(path, &bytes)?)
}

/// Returns one line of a table that is written as it grows.
pub(super) fn csv_line(cells: &[String]) -> Result<Vec<u8>, Failure> {
    records(QuoteStyle::NonNumeric, [cells.iter().map(String::as_str)])
}

fn records<'a>(
    quotes: QuoteStyle,
    rows: impl IntoIterator<Item = impl Iterator<Item = &'a str>>,
) -> Result<Vec<u8>, Failure> {
    let mut writer = WriterBuilder::new()
        .quote_style(quotes)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(writer.into_inner().map_err(|e| e.to_string())?)
}
