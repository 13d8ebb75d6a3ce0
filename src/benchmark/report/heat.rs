//! Heat maps: tables of numbers, and patches laid over their picture. All panels of one drawing
//! have one scale.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::html::escaped;
use super::plot::{cell_text, opened, shade, text};

/// Units of a picture's side.
const SIDE: f64 = 168.0;
/// Pictures side by side.
const ACROSS: usize = 4;
/// Units of a cell's side.
const CELL: f64 = 40.0;
/// Room for the title and the legend.
const HEAD: f64 = 66.0;
/// The least width, which titles fit into.
const LEAST_WIDTH: f64 = 480.0;

/// The numbers of a table by row and column.
type Cells = Vec<((usize, usize), f64)>;

/// A part of a drawing of heat maps.
#[derive(Debug, Clone)]
pub enum HeatPanel {
    /// A table of numbers.
    Table {
        /// Names the panel.
        title: String,
        /// Names of the rows.
        rows: Vec<String>,
        /// Names of the columns.
        columns: Vec<String>,
        /// The numbers.
        cells: Cells,
    },
    /// The picture several times, with patches over it.
    Pictures {
        /// Names the panel.
        title: String,
        /// Names each copy of the picture.
        names: Vec<String>,
        /// The patches.
        patches: Vec<HeatPatch>,
    },
}

/// A patch over a picture.
#[derive(Debug, Clone, Copy)]
pub struct HeatPatch {
    /// The number of the copy.
    pub copy: usize,
    /// Row and column in the grid.
    pub place: (u32, u32),
    /// Rows and columns of the grid.
    pub grid: (u32, u32),
    /// The number that it shows.
    pub value: f64,
}

impl HeatPanel {
    /// Returns its largest number, whatever the sign.
    fn most(&self) -> f64 {
        let most = |m: f64, value: f64| m.max(value.abs());
        match self {
            Self::Table { cells, .. } => cells.iter().map(|(_, v)| *v).fold(0.0, most),
            Self::Pictures { patches, .. } => patches.iter().map(|p| p.value).fold(0.0, most),
        }
    }

    fn has_negative(&self) -> bool {
        match self {
            Self::Table { cells, .. } => cells.iter().any(|(_, value)| *value < 0.0),
            Self::Pictures { patches, .. } => patches.iter().any(|patch| patch.value < 0.0),
        }
    }

    fn size(&self) -> (f64, f64) {
        match self {
            Self::Table { rows, columns, .. } => table_size(rows, columns),
            Self::Pictures { names, .. } => {
                let across = names.len().clamp(1, ACROSS) as f64;
                let down = names.len().div_ceil(ACROSS) as f64;
                (20.0 + (SIDE + 12.0) * across, 30.0 + (SIDE + 26.0) * down)
            }
        }
    }

    fn draw(&self, most: f64) -> String {
        match self {
            Self::Table {
                title,
                rows,
                columns,
                cells,
            } => text((20.0, 20.0), "start", title) + &table(rows, columns, cells, most),
            Self::Pictures {
                title,
                names,
                patches,
            } => text((20.0, 20.0), "start", title) + &pictures(names, patches, most),
        }
    }
}

/// Draws `panels`, one below the other, on the scale of their largest number, with its legend.
/// Pictures are `picture`, a PNG.
pub fn heat_maps(title: &str, picture: Option<&[u8]>, panels: &[HeatPanel]) -> String {
    // Never 0, by which shares are divided.
    let most = panels
        .iter()
        .fold(f64::MIN_POSITIVE, |most, panel| most.max(panel.most()));
    let is_signed = panels.iter().any(HeatPanel::has_negative);
    let sizes = panels.iter().map(HeatPanel::size);
    let (width, height) = sizes.fold((LEAST_WIDTH, HEAD), |(width, height), (w, h)| {
        (width.max(w), height + h)
    });
    let mut svg = opened(width, height, title);
    if let Some(picture) = picture {
        // Once, however many copies are drawn.
        let _ = write!(
            svg,
            "<defs><image id=\"picture\" width=\"{SIDE}\" height=\"{SIDE}\" \
             preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/></defs>",
            STANDARD.encode(picture)
        );
    }
    svg += &legend(most, is_signed);
    let mut top = HEAD;
    for panel in panels {
        let body = panel.draw(most);
        let _ = write!(svg, r#"<g transform="translate(0 {top:.0})">{body}</g>"#);
        top += panel.size().1;
    }
    svg + "</svg>"
}

/// Draws a table of numbers from 0 to the largest as a heat map; rows and columns have names.
pub fn heat_map(
    title: &str,
    rows: &[String],
    columns: &[String],
    cells: &[((usize, usize), f64)],
) -> String {
    let (width, height) = table_size(rows, columns);
    let most = cells.iter().fold(f64::MIN_POSITIVE, |m, (_, v)| m.max(*v));
    opened(width, height, title) + &table(rows, columns, cells, most) + "</svg>"
}

/// Draws five colours of the scale with their numbers.
fn legend(most: f64, is_signed: bool) -> String {
    let shares = if is_signed {
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    } else {
        [0.0, 0.25, 0.5, 0.75, 1.0]
    };
    // Of small numbers two digits would all be 0.00.
    let digits = if most < 0.1 { 4 } else { 2 };
    let mut body = String::new();
    for (i, share) in shares.into_iter().enumerate() {
        let x = 20.0 + 84.0 * i as f64;
        let (colour, _) = shade(share);
        let _ = write!(
            body,
            r##"<rect x="{x:.1}" y="34" width="20" height="14" fill="{colour}" stroke="#ddd"/>"##
        );
        let number = format!("{:.digits$}", share * most);
        body += &text((x + 26.0, 46.0), "start", &number);
    }
    body
}

/// Returns room at the left for names of rows, and above for names of columns.
fn margins(rows: &[String], columns: &[String]) -> (f64, f64) {
    // About 7 units for a character at 12 px; nothing here measures fonts.
    let longest =
        |names: &[String]| 7.0 * names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as f64;
    (30.0 + longest(rows), 40.0 + longest(columns))
}

fn table_size(rows: &[String], columns: &[String]) -> (f64, f64) {
    let (left, head) = margins(rows, columns);
    (
        left + CELL * columns.len() as f64 + 20.0,
        head + CELL * rows.len() as f64 + 20.0,
    )
}

fn table(
    rows: &[String],
    columns: &[String],
    cells: &[((usize, usize), f64)],
    most: f64,
) -> String {
    let (left, head) = margins(rows, columns);
    let mut body = String::new();
    for (i, name) in rows.iter().enumerate() {
        body += &text((left - 8.0, head + CELL * i as f64 + 24.0), "end", name);
    }
    for (i, name) in columns.iter().enumerate() {
        let (x, y) = (left + CELL * i as f64 + 24.0, head - 8.0);
        let _ = write!(
            body,
            r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)">{}</text>"#,
            escaped(name)
        );
    }
    for &((row, column), value) in cells {
        let (x, y) = (left + CELL * column as f64, head + CELL * row as f64);
        let (colour, ink) = shade(value / most);
        let _ = write!(
            body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{CELL}" height="{CELL}" {}/>"#,
            format_args!(r##"fill="{colour}" stroke="#fff""##)
        );
        body += &cell_text((x, y), CELL, ink, &format!("{value:.2}"));
    }
    body
}

fn pictures(names: &[String], patches: &[HeatPatch], most: f64) -> String {
    let mut body = String::new();
    for (i, name) in names.iter().enumerate() {
        let (x, y) = corner(i);
        body += &text((x, y - 6.0), "start", name);
        let _ = write!(body, "<use href=\"#picture\" x=\"{x:.1}\" y=\"{y:.1}\"/>");
    }
    for patch in patches {
        let (left, top) = corner(patch.copy);
        let (w, h) = (
            SIDE / f64::from(patch.grid.1.max(1)),
            SIDE / f64::from(patch.grid.0.max(1)),
        );
        let (x, y) = (
            left + w * f64::from(patch.place.1),
            top + h * f64::from(patch.place.0),
        );
        // In full colour, since its strength is the opacity: the picture has to be seen below.
        let (colour, _) = shade(patch.value.signum());
        let opacity = (patch.value / most).abs().min(1.0) * 0.85;
        let _ = write!(
            body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" \
             fill=\"{colour}\" fill-opacity=\"{opacity:.2}\" stroke=\"#fff\" \
             stroke-opacity=\"0.4\"><title>{:.3}</title></rect>",
            patch.value
        );
    }
    body
}

/// Returns the upper left corner of a copy of the picture.
fn corner(copy: usize) -> (f64, f64) {
    (
        16.0 + (SIDE + 12.0) * (copy % ACROSS) as f64,
        44.0 + (SIDE + 26.0) * (copy / ACROSS) as f64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_of(title: &str, value: f64) -> HeatPanel {
        HeatPanel::Table {
            title: title.into(),
            rows: vec!["layer 0".into()],
            columns: vec!["text".into()],
            cells: vec![((0, 0), value)],
        }
    }

    #[test]
    fn panels_have_one_scale() {
        let patch = HeatPatch {
            copy: 0,
            place: (1, 2),
            grid: (7, 7),
            value: -0.5,
        };
        let panels = [
            table_of("head 0", 0.25),
            table_of("head 1", 1.0),
            HeatPanel::Pictures {
                title: "head 2".into(),
                names: vec!["layer 0".into()],
                patches: vec![patch],
            },
        ];
        let svg = heat_maps("effects", Some(b"png"), &panels);
        for words in ["head 0", "head 1", "head 2", ">-1.00<", ">1.00<"] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
        // A quarter of the way to blue, and the whole way.
        assert!(svg.contains(&format!("fill=\"{}\" stroke=\"#fff\"", shade(0.25).0)));
        assert!(svg.contains(&format!("fill=\"{}\" stroke=\"#fff\"", shade(1.0).0)));
        assert!(svg.contains("fill-opacity=\"0.42\"") || svg.contains("fill-opacity=\"0.43\""));
        super::super::png(&svg).unwrap();
    }

    #[test]
    fn nothing_negative_has_no_red() {
        let svg = heat_maps("effects", None, &[table_of("z", 0.01)]);
        assert!(svg.contains(">0.0100<") && !svg.contains(">-0.0"), "{svg}");
    }
}
