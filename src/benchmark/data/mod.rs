//! Files of benchmarks: the tables of Hugging Face and VLMEvalKit (TSV, CSV, Parquet) and manifests
//! with one JSON object a line. They are read row by row: a text file of any size takes the memory
//! of one row, a Parquet file that of one row group.
//!
//! The meaning of columns is defined once, in `columns` and `map`; docs/benchmark-tables.md
//! describes it for users.

mod answer;
mod columns;
mod json;
mod literal;
mod map;
mod options;
mod pictures;
mod raw;
mod reader;
mod table;
mod unique;
mod value;
mod write;

pub use columns::{ColumnMapping, ColumnRole};
pub use json::cells;
pub use map::{MappedRow, RowContext, id_of, map};
pub use pictures::PictureSource;
pub use raw::{Cells, MAX_OPTIONS, MAX_ROW};
pub use reader::{ItemReader, count};
pub use write::{header, row};
