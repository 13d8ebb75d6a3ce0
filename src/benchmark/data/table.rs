//! Tables: rows of cells with a delimiter between them, quoted where they hold it.

use std::io::BufRead;

use super::super::Error;
use super::{MAX_ROW, Raw};

/// Columns of a table.
const MAX_COLUMNS: usize = 1024;

/// A table that is read row by row.
pub(super) struct Table<R> {
    source: R,
    parser: csv_core::Reader,
    pub(super) header: Vec<String>,
    /// The line that is read next, from 1.
    line: usize,
    /// Bytes that were read.
    read: u64,
    /// Where the last row began.
    pub(super) start: u64,
    /// The last byte that was read.
    last: u8,
    ended: bool,
}

impl<R: BufRead> Table<R> {
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

    pub(super) fn next(&mut self) -> Result<Option<(usize, Raw)>, Error> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        if self.ended {
            return Ok(None);
        }
        let failed = |line: usize| {
            move |e: std::io::Error| Error {
                line,
                message: e.to_string(),
            }
        };
        // A row ends at its carriage return; the line does so after it.
        if self.last == b'\r'
            && self.source.fill_buf().map_err(failed(self.line))?.first() == Some(&b'\n')
        {
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
                self.parser
                    .read_record(input, &mut cells[filled..], &mut ends[columns..]);
            self.line += input[..read].split(|&b| b == b'\n').count() - 1;
            self.last = input[..read].last().copied().unwrap_or(self.last);
            self.source.consume(read);
            self.read += read as u64;
            (filled, columns) = (filled + written, columns + found);
            match result {
                InputEmpty => {}
                OutputFull if cells.len() < MAX_ROW => {
                    cells.resize((4 * cells.len()).min(MAX_ROW), 0)
                }
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
                Err(e) => {
                    return Ok(Some((
                        line,
                        Raw::Bad(format!("column {}: not UTF-8: {e}", row.len() + 1)),
                    )));
                }
            }
            start = end;
        }
        Ok(Some((line, Raw::Cells(row))))
    }
}
