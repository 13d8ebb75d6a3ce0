//! Tables as plain text, for terminals.

use super::document::DataTable;
use super::names::plain;

/// Returns the lines of a table: the first column from the left, the others from the right.
pub fn text_table(table: &DataTable) -> Vec<String> {
    let heads = std::iter::once(&table.heads);
    let lines: Vec<&Vec<String>> = heads.chain(&table.rows).collect();
    let columns = 0..table.heads.len();
    let widths: Vec<usize> = columns
        .map(|i| lines.iter().map(|line| width(line, i)).max().unwrap_or(0))
        .collect();
    lines
        .iter()
        .map(|line| plain(&aligned(line, &widths)))
        .collect()
}

fn width(line: &[String], column: usize) -> usize {
    // By characters, since names are not all ASCII.
    line.get(column).map_or(0, |cell| cell.chars().count())
}

fn aligned(line: &[String], widths: &[usize]) -> String {
    let cells = line.iter().zip(widths).enumerate();
    let cells = cells.map(|(i, (cell, &width))| match i {
        0 => format!("{cell:<width$}"),
        _ => format!("  {cell:>width$}"),
    });
    cells.collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let cells = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        let table = DataTable {
            heads: cells(["name", "%"]),
            rows: vec![cells(["a", "10.0"]), cells(["longer", "9.0"])],
            ..DataTable::default()
        };
        assert_eq!(
            text_table(&table),
            ["name       %", "a       10.0", "longer   9.0"]
        );
    }
}
