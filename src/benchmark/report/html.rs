//! Pages in HTML that need no other file: light and dark, on a phone and on paper. They are
//! well-formed XML behind their first line.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::{Card, DataTable, Part, Section};

const STYLE: &str = include_str!("page.css");
/// The column whose cells have a colour, and their words: an answer may be "right", too.
const VERDICT_HEAD: &str = "verdict";
const VERDICTS: [(&str, &str); 2] = [("right", "right"), ("wrong", "wrong")];

/// Returns a page.
pub fn html(title: &str, parts: &[Part]) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n"
    );
    add(&mut page, parts, 2);
    page + "</main>\n</body>\n</html>\n"
}

/// Escapes a text for HTML and SVG.
pub fn escaped(text: &str) -> String {
    let is_written = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    // What a model writes may hold characters that no XML can.
    let text: String = text.chars().filter(is_written).collect();
    // Ampersands first, or they would escape what the others make.
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Returns the name by which a section's place is found within the page.
fn anchor(place: &str) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '-';
    place.replace(|c: char| !is_kept(c), "-")
}

/// Adds parts; `level` is that of their headings.
fn add(page: &mut String, parts: &[Part], level: usize) {
    for part in parts {
        match part {
            Part::Heading(text) => {
                let _ = writeln!(page, "<h{level}>{}</h{level}>", escaped(text));
            }
            Part::Text(text) => {
                let _ = writeln!(page, "<p>{}</p>", escaped(text));
            }
            Part::Drawing(drawing) => {
                // An image with a name: its texts alone, read one by one, say nothing.
                let about = escaped(&drawing.about);
                let _ = writeln!(
                    page,
                    "<figure role=\"img\" aria-label=\"{about}\">{}</figure>",
                    drawing.svg
                );
            }
            Part::Table(own) => table(page, own),
            Part::List(lines) => {
                page.push_str("<ul>\n");
                for line in lines {
                    let _ = writeln!(page, "<li>{}</li>", escaped(line));
                }
                page.push_str("</ul>\n");
            }
            Part::Folded(title, parts) => {
                let title = escaped(title);
                let _ = writeln!(page, "<details>\n<summary>{title}</summary>");
                add(page, parts, level + 1);
                page.push_str("</details>\n");
            }
            Part::Section(own) => section(page, own, level),
            Part::Card(own) => card(page, own),
        }
    }
}

fn section(page: &mut String, section: &Section, level: usize) {
    let Section {
        title,
        place,
        parts,
    } = section;
    let (id, title) = (anchor(place), escaped(title));
    let _ = writeln!(page, "<section id=\"{id}\">\n<h{level}>{title}</h{level}>");
    add(page, parts, level + 1);
    let place = escaped(place);
    let _ = writeln!(
        page,
        "<p><a href=\"{place}.html\">All numbers of it</a></p>\n</section>"
    );
}

fn table(page: &mut String, table: &DataTable) {
    let caption = escaped(&table.caption);
    // Wide tables scroll by themselves, with the keyboard, too.
    let _ = writeln!(
        page,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\">\n<table>\n\
         <caption>{caption}</caption>\n<thead>"
    );
    page.push_str("<tr>");
    for head in &table.heads {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(head));
    }
    page.push_str("</tr>\n</thead>\n<tbody>\n");
    for (i, row) in table.rows.iter().enumerate() {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let text = escaped(cell);
            if column > 0 {
                let is_verdict = table.heads.get(column).is_some_and(|h| h == VERDICT_HEAD);
                let class = if is_verdict {
                    class(cell)
                } else {
                    String::new()
                };
                let _ = write!(page, "<td{class}>{text}</td>");
            } else if let Some(place) = table.places.get(i).filter(|p| !p.is_empty()) {
                let place = anchor(place);
                let _ = write!(
                    page,
                    "<th scope=\"row\"><a href=\"#{place}\">{text}</a></th>"
                );
            } else {
                let _ = write!(page, "<th scope=\"row\">{text}</th>");
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

/// Returns the class of a cell that holds a verdict.
fn class(cell: &str) -> String {
    let word = cell.split(',').next().unwrap_or_default();
    let changed = if cell.ends_with(", changed") {
        " changed"
    } else {
        ""
    };
    let known = VERDICTS.iter().find(|(verdict, _)| *verdict == word);
    known.map_or_else(String::new, |(_, class)| {
        format!(" class=\"{class}{changed}\"")
    })
}

fn card(page: &mut String, card: &Card) {
    let title = escaped(&card.title);
    let _ = writeln!(page, "<article class=\"card\">\n<h3>{title}</h3>");
    if let Some(picture) = &card.picture {
        let data = STANDARD.encode(picture);
        let _ = writeln!(
            page,
            "<img alt=\"the picture of {title}\" loading=\"lazy\" \
             src=\"data:image/png;base64,{data}\"/>"
        );
    }
    page.push_str("<div>\n");
    for line in &card.lines {
        let _ = writeln!(page, "<p>{}</p>", escaped(line));
    }
    table(page, &card.table);
    page.push_str("</div>\n</article>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_colours_and_answers_have_none() {
        let cells = ["original", "right", "wrong, changed"].map(str::to_owned);
        let heads = ["variant", "answer", "verdict"];
        let own = DataTable::new("Answers", &heads, vec![cells.to_vec()]);
        let page = html("Items", &[Part::Table(own)]);
        assert!(page.contains("<td>right</td>"), "{page}");
        assert!(
            page.contains("<td class=\"wrong changed\">wrong, changed</td>"),
            "{page}"
        );
    }
}
