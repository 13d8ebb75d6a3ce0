//! The pages of a column, whose sizes are checked before anything is allocated for them. The
//! parquet crate's own reader believes the headers: one byte that is wrong could cost gigabytes, or
//! the process.

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::RowIter;

use super::codec::decompress;
use super::encoding::{self, after_delta, delta_total};
use super::header::{DATA, DATA_V2, DICTIONARY, Header};
use super::{MAX_VALUES, wrong};

/// Bytes of one page.
const MAX_PAGE: usize = 1 << 30;
/// Bytes of the header of a page, which may hold the least and the greatest value.
const MAX_HEADER: u64 = 16 << 20;
/// A file that is read here and there.
#[derive(Debug)]
pub(super) struct Source {
    file: Mutex<File>,
    pub(super) size: u64,
}

impl Source {
    pub(super) fn new(file: File) -> std::io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self {
            file: Mutex::new(file),
            size,
        })
    }

    /// Reads `length` bytes from `at` on, all of them within the file.
    pub(super) fn read(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        if at.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(wrong("it says more bytes than the file has"));
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = vec![0; usize::try_from(length)?];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// One row group of a file.
pub(super) struct Group {
    pub(super) source: Arc<Source>,
    pub(super) about: RowGroupMetaData,
}

impl RowGroupReader for Group {
    fn metadata(&self) -> &RowGroupMetaData {
        &self.about
    }

    fn num_columns(&self) -> usize {
        self.about.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let column = self
            .about
            .columns()
            .get(i)
            .ok_or_else(|| wrong("no such column"))?;
        Ok(Box::new(Pages::new(self.source.clone(), column)?))
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&parquet::bloom_filter::Sbbf> {
        None
    }

    fn get_row_iter(
        &self,
        projection: Option<parquet::schema::types::Type>,
    ) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// The pages of one column in one row group.
struct Pages {
    source: Arc<Source>,
    at: u64,
    end: u64,
    codec: Compression,
    physical: Type,
    /// True for each kind of levels that pages have: repetition and definition.
    levels: (bool, bool),
    /// Values that are still to come.
    left: i64,
}

impl Pages {
    fn new(source: Arc<Source>, column: &ColumnChunkMetaData) -> Result<Self> {
        // The dictionary stands before the data; an offset of 0 is none.
        let first = column
            .dictionary_page_offset()
            .into_iter()
            .chain([column.data_page_offset()])
            .filter(|&at| at > 0)
            .min();
        let start =
            u64::try_from(first.unwrap_or(-1)).map_err(|_| wrong("a column begins nowhere"))?;
        let length = u64::try_from(column.compressed_size())
            .map_err(|_| wrong("a column of less than nothing"))?;
        let end = start.checked_add(length).filter(|&end| end <= source.size);
        let descr = column.column_descr();
        Ok(Self {
            at: start,
            end: end.ok_or_else(|| wrong("a column ends after the file"))?,
            codec: column.compression(),
            physical: column.column_type(),
            levels: (descr.max_rep_level() > 0, descr.max_def_level() > 0),
            left: column.num_values(),
            source,
        })
    }

    fn header(&self) -> Result<Header> {
        // Most headers are short. One with a least and a greatest value may not be, and is read
        // again.
        let mut window = 1024;
        loop {
            let length = (self.end - self.at).min(window);
            let bytes = self.source.read(self.at, length)?;
            if let Some(header) = Header::read(&bytes) {
                return Ok(header);
            }
            if length < window || window >= MAX_HEADER {
                return Err(wrong("a page has no header that can be read"));
            }
            window *= 16;
        }
    }

    fn page(&mut self) -> Result<Option<Page>> {
        while self.left > 0 && self.at < self.end {
            let header = self.header()?;
            self.at += header.bytes;
            let length = header.compressed as u64;
            if self.at.checked_add(length).is_none_or(|end| end > self.end) {
                return Err(wrong("a page ends after its column"));
            }
            let start = self.at;
            self.at += length;
            // Pages of other kinds, such as an index, are passed over.
            if matches!(header.kind, DATA | DICTIONARY | DATA_V2) {
                if header.uncompressed > MAX_PAGE {
                    return Err(wrong(format!(
                        "a page of {} bytes, at most {MAX_PAGE} are read",
                        header.uncompressed
                    )));
                }
                let bytes = self.source.read(start, length)?;
                return self.decode(&header, bytes).map(Some);
            }
        }
        Ok(None)
    }

    fn decode(&mut self, header: &Header, bytes: Vec<u8>) -> Result<Page> {
        let plain = if header.kind == DATA_V2 {
            // In pages of version 2 levels come first and are never compressed.
            header.level_bytes.0 + header.level_bytes.1
        } else {
            0
        };
        if plain > bytes.len() || plain > header.uncompressed || header.values > i32::MAX as usize {
            return Err(wrong("a page whose header contradicts itself"));
        }
        let buf = self.uncompressed(header, bytes, plain)?;
        let encoding = encoding::encoding(header.encoding)?;
        // It fits, as was seen above.
        let num_values = header.values as u32;
        if header.kind == DICTIONARY {
            self.check_dictionary(header, &buf)?;
            return Ok(Page::DictionaryPage {
                buf,
                num_values,
                encoding,
                is_sorted: header.sorted,
            });
        }
        self.left -= header.values as i64;
        self.check_values(header, encoding, &buf)?;
        Ok(if header.kind == DATA {
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding: encoding::encoding(header.levels.0)?,
                rep_level_encoding: encoding::encoding(header.levels.1)?,
                statistics: None,
            }
        } else {
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls: header.nulls as u32,
                num_rows: header.rows as u32,
                def_levels_byte_len: header.level_bytes.1 as u32,
                rep_levels_byte_len: header.level_bytes.0 as u32,
                // Unpacked above, whatever the file had.
                is_compressed: false,
                statistics: None,
            }
        })
    }

    /// Returns the bytes of a page, of which the first `plain` are never compressed.
    fn uncompressed(&self, header: &Header, bytes: Vec<u8>, plain: usize) -> Result<Bytes> {
        let whole = self.codec == Compression::UNCOMPRESSED
            || (header.kind == DATA_V2 && !header.is_compressed);
        if !whole {
            // `decode` has seen that so many are there, and in `uncompressed`.
            let mut out = bytes[..plain].to_vec();
            let left = header.uncompressed - plain;
            decompress(self.codec, &bytes[plain..], left, &mut out)?;
            return Ok(out.into());
        }
        if bytes.len() != header.uncompressed {
            return Err(wrong("a page whose header contradicts itself"));
        }
        Ok(bytes.into())
    }

    /// Refuses a dictionary of more values than it has bytes for.
    fn check_dictionary(&self, header: &Header, buf: &Bytes) -> Result<()> {
        let least = match self.physical {
            Type::BOOLEAN | Type::FIXED_LEN_BYTE_ARRAY => 1,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        };
        if header.values > MAX_VALUES || header.values.saturating_mul(least) > buf.len() {
            return Err(wrong("a dictionary of more values than it has room for"));
        }
        Ok(())
    }

    /// Refuses an encoding whose own header says how much is allocated, where that is more than the
    /// page has values.
    fn check_values(&self, header: &Header, encoding: Encoding, buf: &Bytes) -> Result<()> {
        let delta = match encoding {
            Encoding::DELTA_BINARY_PACKED
            | Encoding::DELTA_LENGTH_BYTE_ARRAY
            | Encoding::DELTA_BYTE_ARRAY => true,
            Encoding::PLAIN
            | Encoding::PLAIN_DICTIONARY
            | Encoding::RLE_DICTIONARY
            | Encoding::RLE
            | Encoding::BYTE_STREAM_SPLIT => false,
            other => return Err(wrong(format!("the encoding {other} is not read"))),
        };
        let mut at = header.level_bytes.0 + header.level_bytes.1;
        if header.kind == DATA {
            // In pages of version 1 each kind of levels has its length before it.
            for _ in [self.levels.0, self.levels.1]
                .into_iter()
                .filter(|has| *has)
            {
                let length = buf
                    .get(at..)
                    .and_then(|rest| rest.first_chunk::<4>())
                    .map(|b| u32::from_le_bytes(*b));
                at += 4 + length.ok_or_else(|| wrong("a page without its levels"))? as usize;
            }
        }
        let values = buf
            .get(at..)
            .ok_or_else(|| wrong("a page of less than its levels"))?;
        if delta {
            delta_total(values, header.values)?;
            if encoding == Encoding::DELTA_BYTE_ARRAY {
                // The lengths of suffixes come after the lengths of prefixes, which are decoded to
                // find them.
                let rest = after_delta(values)
                    .ok_or_else(|| wrong("a page whose lengths cannot be read"))?;
                delta_total(&values[rest..], header.values)?;
            }
        }
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.page()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        if self.left <= 0 || self.at >= self.end {
            return Ok(None);
        }
        let header = self.header()?;
        Ok(Some(PageMetadata {
            num_rows: (header.kind == DATA_V2).then_some(header.rows),
            num_levels: (header.kind != DICTIONARY).then_some(header.values),
            is_dict: header.kind == DICTIONARY,
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.page().map(|_| ())
    }
}
