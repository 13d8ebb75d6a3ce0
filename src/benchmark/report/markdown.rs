//! Documents in Markdown, with their drawings as files beside them.

use std::fmt::Write as _;

use super::document::{DataTable, Part};

/// Returns a document in Markdown.
pub fn markdown(title: &str, parts: &[Part]) -> String {
    let mut page = format!("# {}\n\n", escaped(title));
    add(&mut page, parts);
    page.trim_end().to_owned() + "\n"
}

fn add(page: &mut String, parts: &[Part]) {
    for part in parts {
        match part {
            Part::Heading(text) => {
                let _ = write!(page, "## {}\n\n", escaped(text));
            }
            Part::Text(text) => {
                let _ = write!(page, "{}\n\n", escaped(text));
            }
            Part::Drawing(drawing) => {
                let about = escaped(&drawing.about);
                let _ = write!(page, "![{about}]({}.svg)\n\n", drawing.name);
            }
            Part::Table(own) => table(page, own),
            Part::List(lines) => {
                for line in lines {
                    let _ = writeln!(page, "- {}", escaped(line));
                }
                page.push('\n');
            }
            Part::Folded(title, parts) => {
                let _ = write!(page, "## {}\n\n", escaped(title));
                add(page, parts);
            }
            // They have files of their own, which tables link to.
            Part::Section(_) | Part::Card(_) => {}
        }
    }
}

fn table(page: &mut String, table: &DataTable) {
    let heads: Vec<String> = table.heads.iter().map(|head| cell(head)).collect();
    let rule = "---|".repeat(heads.len());
    let _ = write!(page, "| {} |\n|{rule}\n", heads.join(" | "));
    for (i, row) in table.rows.iter().enumerate() {
        let mut cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        let place = table.places.get(i).filter(|place| !place.is_empty());
        if let (Some(place), Some(first)) = (place, cells.first_mut()) {
            *first = format!("[{first}]({})", destination(place));
        }
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    page.push('\n');
}

/// Returns the file of a section as the destination of a link.
fn destination(place: &str) -> String {
    // Brackets or spaces would end it.
    if place.contains([' ', '(', ')', '<', '>']) {
        format!("<{}.md>", place.replace(['<', '>'], ""))
    } else {
        format!("{place}.md")
    }
}

/// Escapes a text of a table, which ends its cell nowhere.
fn cell(text: &str) -> String {
    escaped(text).replace('|', "\\|")
}

/// Escapes a text, so that none of it is taken for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace(['\n', '\r'], " ")
}
