//! Rows as they stand in a file, and their limits.

use serde_json::{Map, Value};

/// A row by the names of its columns: texts in a table, any JSON in a manifest or a Parquet file.
pub type Cells = Map<String, Value>;

/// Most bytes of one row; bounds every allocation.
pub const MAX_ROW: usize = 256 << 20;
/// Most options of one item: the classes of a classification, of which the first 26 have letters.
pub const MAX_OPTIONS: usize = 1024;

/// A row as it stands in its file.
pub(super) enum RawRow {
    Cells(Vec<String>),
    Object(Cells),
    /// A row that cannot be read, with the reason; the next one can.
    Bad(String),
}
