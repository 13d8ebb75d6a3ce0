//! Documents of texts, drawings and tables; each kind of file has a module that writes it.

/// A part of a document.
#[derive(Debug, Clone)]
pub enum Part {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A drawing.
    Drawing(Drawing),
    /// A table.
    Table(DataTable),
    /// A list of points.
    List(Vec<String>),
    /// Parts that a page shows when they are asked for.
    Folded(String, Vec<Part>),
    /// The parts of another document, which can be read by itself.
    Section(Section),
    /// A picture with what is known of it; pages alone have it.
    Card(Card),
}

/// A drawing.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// The name of its file, without an ending.
    pub name: String,
    /// Says what it shows, for whoever does not see it.
    pub about: String,
    /// The drawing.
    pub svg: String,
}

/// A table whose first column names the rows.
#[derive(Debug, Clone, Default)]
pub struct DataTable {
    /// A sentence on what it shows.
    pub caption: String,
    /// Names of the columns.
    pub heads: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// Places of the sections that rows are about, see [`Section::place`]; empty, or one a row.
    pub places: Vec<String>,
}

/// The parts of another document.
#[derive(Debug, Clone)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// The file of that document, seen from this one, without an ending.
    pub place: String,
    /// The parts.
    pub parts: Vec<Part>,
}

/// A picture with what is known of it.
#[derive(Debug, Clone)]
pub struct Card {
    /// The heading.
    pub title: String,
    /// A small picture, PNG.
    pub picture: Option<Vec<u8>>,
    /// Lines beside it.
    pub lines: Vec<String>,
    /// A table below them.
    pub table: DataTable,
}

impl DataTable {
    /// Makes a table without links.
    pub fn new(caption: impl Into<String>, heads: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self {
            caption: caption.into(),
            heads: heads.iter().map(ToString::to_string).collect(),
            rows,
            places: Vec::new(),
        }
    }

    /// Leaves out the columns that no row has anything in.
    pub(super) fn without_empty_columns(mut self) -> Self {
        let columns = 0..self.heads.len();
        let used: Vec<bool> = columns.map(|column| self.uses(column)).collect();
        for row in std::iter::once(&mut self.heads).chain(&mut self.rows) {
            let mut columns = used.iter();
            row.retain(|_| columns.next().copied().unwrap_or(true));
        }
        self
    }

    fn uses(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.any(|cell| !cell.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_no_row_uses_are_left_out() {
        let rows = [["", "a", "1"], ["", "b", ""]].map(|row| row.map(str::to_owned).to_vec());
        let table = DataTable::new("", &["panel", "series", "at"], rows.to_vec());
        let table = table.without_empty_columns();
        assert_eq!(table.heads, ["series", "at"]);
        assert_eq!(table.rows, [["a", "1"], ["b", ""]]);
    }
}
