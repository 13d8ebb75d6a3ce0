//! Tables in LaTeX, by the package booktabs.

use std::fmt::Write as _;

use super::document::DataTable;

/// Returns a table, to be read by `\input` where `booktabs` is loaded.
pub fn latex(table: &DataTable) -> String {
    let heads: Vec<String> = table.heads.iter().map(|head| escaped(head)).collect();
    let columns = "l".repeat(heads.len());
    let mut text = format!(
        "% Needs \\usepackage{{booktabs}}.\n\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\
         \\begin{{tabular}}{{{columns}}}\n\\toprule\n{} \\\\\n\\midrule\n",
        escaped(&table.caption),
        heads.join(" & ")
    );
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(text, "{} \\\\", cells.join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
}

/// Escapes a text for LaTeX.
pub(super) fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => written.extend(['\\', c]),
            '\\' => written.push_str("\\textbackslash{}"),
            '~' => written.push_str("\\textasciitilde{}"),
            '^' => written.push_str("\\textasciicircum{}"),
            '|' => written.push_str("\\textbar{}"),
            '<' => written.push_str("\\textless{}"),
            '>' => written.push_str("\\textgreater{}"),
            // A row would begin with it: LaTeX takes [..] behind \\ for a length.
            '[' => written.push_str("{[}"),
            ']' => written.push_str("{]}"),
            '\n' | '\r' => written.push(' '),
            c => written.push(c),
        }
    }
    written
}
