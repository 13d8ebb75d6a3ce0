//! Tables: rows of cells with a delimiter between them, quoted where a cell holds it.

use std::io::BufRead;

use super::raw::{MAX_ROW, RawRow};
use crate::benchmark::Error;

/// Most columns of a table.
const MAX_COLUMNS: usize = 1024;

/// A table that is read row by row.
pub(super) struct Table<R> {
    source: R,
    parser: csv_core::Reader,
    pub(super) header: Vec<String>,
    /// The next line, from 1.
    line: usize,
    /// Bytes read so far.
    read: u64,
    /// The byte at which the last row began.
    pub(super) start: u64,
    /// The last byte read.
    last: u8,
    ended: bool,
}

impl<R: BufRead> Table<R> {
    /// Creates a table whose header is still to be read, as its first row.
    pub(super) fn new(source: R, delimiter: u8) -> Self {
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self {
            source,
            parser,
            header: Vec::new(),
            line: 1,
            read: 0,
            start: 0,
            last: b'\n',
            ended: false,
        }
    }

    /// Returns the next row with the line on which it begins; `None` at the end. Fails where the
    /// source cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<(usize, RawRow)>, Error> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        if self.ended {
            return Ok(None);
        }
        // The parser ends a row at its carriage return; the line ends at the newline behind it.
        if self.last == b'\r'
            && self
                .source
                .fill_buf()
                .map_err(|e| failed(self.line, &e))?
                .first()
                == Some(&b'\n')
        {
            self.source.consume(1);
            (self.line, self.read, self.last) = (self.line + 1, self.read + 1, b'\n');
        }
        let line = self.line;
        self.start = self.read;
        // Enough for a row of texts; a row with a picture grows it below.
        let (mut cells, mut ends) = (vec![0; 1 << 16], vec![0; MAX_COLUMNS]);
        let (mut filled, mut columns, mut too_large) = (0, 0, false);
        loop {
            let input = self.source.fill_buf().map_err(|e| failed(line, &e))?;
            let (result, read, written, found) =
                self.parser
                    .read_record(input, &mut cells[filled..], &mut ends[columns..]);
            // One piece more than there are newlines.
            self.line += input[..read].split(|&b| b == b'\n').count() - 1;
            self.last = input[..read].last().copied().unwrap_or(self.last);
            self.source.consume(read);
            self.read += read as u64;
            (filled, columns) = (filled + written, columns + found);
            match result {
                InputEmpty => {}
                OutputFull if cells.len() < MAX_ROW => {
                    // Few steps from 64 KiB to what a row with several pictures takes.
                    cells.resize((4 * cells.len()).min(MAX_ROW), 0);
                }
                // The rest of the row is read and dropped.
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
            return Ok(Some((line, RawRow::Bad(message))));
        }
        Ok(Some((line, texts(&cells, &ends[..columns]))))
    }
}

fn failed(line: usize, error: &std::io::Error) -> Error {
    Error {
        line,
        message: error.to_string(),
    }
}

/// Splits the bytes of a row at the ends of its cells.
fn texts(cells: &[u8], ends: &[usize]) -> RawRow {
    let mut start = 0;
    let mut row = Vec::with_capacity(ends.len());
    for &end in ends {
        match std::str::from_utf8(&cells[start..end]) {
            Ok(text) => row.push(text.to_owned()),
            Err(e) => {
                return RawRow::Bad(format!("column {}: not UTF-8: {e}", row.len() + 1));
            }
        }
        start = end;
    }
    RawRow::Cells(row)
}
