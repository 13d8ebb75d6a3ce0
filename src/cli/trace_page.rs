//! Shows what a trace comes to: a table, a heat map, and the heat laid over the picture.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma_client::v1::{TraceBaseline, TraceCell, TraceFinished, TracePosition, TraceStarted};

use super::csv_file::write_csv;
use super::error::Failure;
use super::files;
use crate::benchmark::report::{self, escaped};

/// The columns of a table of cells.
const COLUMNS: [&str; 8] = [
    "point", "layer", "position", "label", "head", "value", "effect", "rows",
];
/// Units of a panel's side.
const PANEL: f64 = 168.0;
/// Panels side by side.
const ACROSS: usize = 4;

/// All that a trace has said.
#[derive(Debug, Default)]
pub(super) struct Traced {
    pub(super) started: TraceStarted,
    pub(super) baseline: TraceBaseline,
    /// Sorted as the grid is.
    pub(super) cells: Vec<TraceCell>,
    pub(super) finished: TraceFinished,
}

/// One point, of one head: layers by positions.
struct Slice<'a> {
    name: String,
    cells: Vec<&'a TraceCell>,
}

impl Traced {
    fn slices(&self) -> Vec<Slice<'_>> {
        let mut slices = Vec::new();
        let heads = self.started.heads.len().max(1);
        for (point, name) in self.started.points.iter().enumerate() {
            for head in 0..heads {
                let own = |c: &&TraceCell| (c.point as usize, c.head as usize) == (point, head);
                let of_head = self.started.heads.get(head);
                let of_head = of_head.map_or(String::new(), |head| format!(", head {head}"));
                slices.push(Slice {
                    name: format!("{name}{of_head}"),
                    cells: self.cells.iter().filter(own).collect(),
                });
            }
        }
        slices
    }

    fn layer(&self, cell: &TraceCell) -> String {
        let layer = self.started.layers.get(cell.layer as usize);
        layer.map_or_else(|| "all".into(), u32::to_string)
    }

    fn position(&self, cell: &TraceCell) -> &TracePosition {
        &self.started.positions[cell.position as usize]
    }

    /// Prints the effects, a table for each point: positions by layers.
    pub(super) fn print(&self) {
        let TraceBaseline { clean, corrupted } = self.baseline;
        println!("clean {clean:.4}, corrupted {corrupted:.4}");
        for slice in self.slices() {
            println!("\n{}", slice.name);
            let layers = self.started.layers.iter().map(|l| format!("{l:>7}"));
            println!("{:<24}{}", "position", layers.collect::<String>());
            for (i, position) in self.started.positions.iter().enumerate() {
                let own = slice.cells.iter().filter(|c| c.position as usize == i);
                let numbers = own.map(|cell| match (&cell.error, cell.effect) {
                    (Some(_), _) => format!("{:>7}", "error"),
                    (None, Some(effect)) => format!("{effect:>7.2}"),
                    (None, None) => format!("{:>7}", "-"),
                });
                let label: String = spelled(&position.label).chars().take(23).collect();
                println!("{label:<24}{}", numbers.collect::<String>());
            }
        }
        let TraceFinished {
            rows_computed,
            rows_reused,
            total_seconds,
            ..
        } = &self.finished;
        eprintln!("{rows_computed} rows computed, {rows_reused} reused, {total_seconds:.2} s");
        for cell in self.cells.iter().filter(|cell| cell.error.is_some()) {
            let message = cell.error.as_ref().map_or("", |error| &error.message);
            eprintln!(
                "layer {} {}: {message}",
                self.layer(cell),
                self.position(cell).label
            );
        }
    }

    /// Returns a row for each cell, as a table of text has them.
    fn rows(&self) -> Vec<Vec<String>> {
        self.cells.iter().map(|cell| self.row(cell)).collect()
    }

    fn row(&self, cell: &TraceCell) -> Vec<String> {
        let head = self.started.heads.get(cell.head as usize);
        // A cell that failed has 0 for its value.
        let value = (cell.error.is_none()).then(|| cell.value.to_string());
        vec![
            self.started.points[cell.point as usize].clone(),
            self.layer(cell),
            cell.position.to_string(),
            spelled(&self.position(cell).label),
            head.map_or(String::new(), u32::to_string),
            value.unwrap_or_default(),
            cell.effect
                .map_or(String::new(), |effect| effect.to_string()),
            cell.rows_computed.to_string(),
        ]
    }

    /// Draws the heat maps of all points, one below the other.
    fn maps(&self) -> Vec<String> {
        let layers: Vec<String> = match &self.started.layers[..] {
            [] => vec!["all".into()],
            layers => layers
                .iter()
                .map(|layer| format!("layer {layer}"))
                .collect(),
        };
        let columns: Vec<String> = self
            .started
            .positions
            .iter()
            .map(|p| spelled(&p.label))
            .collect();
        let mut maps = Vec::new();
        for slice in self.slices() {
            let place = |c: &&TraceCell| Some(((c.layer as usize, c.position as usize), c.effect?));
            let cells: Vec<_> = slice.cells.iter().filter_map(place).collect();
            maps.push(report::heat_map(&slice.name, &layers, &columns, &cells));
        }
        maps
    }

    /// Draws the effects of patches over the picture, a panel for each layer.
    fn overlays(&self, picture: &[u8]) -> Vec<String> {
        self.slices()
            .into_iter()
            .filter(|slice| self.has_patches(slice))
            .map(|slice| self.overlay(&slice, picture))
            .collect()
    }

    fn has_patches(&self, slice: &Slice<'_>) -> bool {
        slice
            .cells
            .iter()
            .any(|cell| !self.position(cell).patches.is_empty())
    }

    fn overlay(&self, slice: &Slice<'_>, picture: &[u8]) -> String {
        let layers = self.started.layers.len().max(1);
        let (across, down) = (layers.min(ACROSS), layers.div_ceil(ACROSS));
        let (width, height) = (
            20.0 + (PANEL + 12.0) * across as f64,
            30.0 + (PANEL + 26.0) * down as f64,
        );
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" \
             xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             font-family=\"Helvetica, Arial, DejaVu Sans, sans-serif\" font-size=\"12\" \
             fill=\"#222\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
             <text x=\"16\" y=\"18\">{}</text>",
            escaped(&slice.name)
        );
        let data = STANDARD.encode(picture);
        for layer in 0..layers {
            let (x, y) = (
                16.0 + (PANEL + 12.0) * (layer % ACROSS) as f64,
                44.0 + (PANEL + 26.0) * (layer / ACROSS) as f64,
            );
            let name = self
                .started
                .layers
                .get(layer)
                .map_or("all".into(), |l| format!("layer {l}"));
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\">{name}</text>\
                 <image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{PANEL}\" height=\"{PANEL}\" \
                 preserveAspectRatio=\"none\" href=\"data:image/png;base64,{data}\"/>",
                y - 6.0
            );
            for cell in slice.cells.iter().filter(|c| c.layer as usize == layer) {
                self.draw_patches(cell, (x, y), &mut svg);
            }
        }
        svg + "</svg>"
    }

    /// Draws the patches of a cell in the panel whose corner is at `(x, y)`.
    fn draw_patches(&self, cell: &TraceCell, (x, y): (f64, f64), svg: &mut String) {
        let Some(effect) = cell.effect else { return };
        // Of several pictures the first one is drawn, and of a tiled one its base view.
        let patches = self.position(cell).patches.iter();
        for patch in patches.filter(|p| p.image == 0 && p.view == 0) {
            let (w, h) = (
                PANEL / f64::from(patch.grid_columns.max(1)),
                PANEL / f64::from(patch.grid_rows.max(1)),
            );
            let (x, y) = (
                x + w * f64::from(patch.column),
                y + h * f64::from(patch.row),
            );
            // Blue restores the clean run, red goes the other way.
            let colour = if effect >= 0.0 { "#1b6ca8" } else { "#c8553d" };
            let opacity = effect.abs().min(1.0) * 0.85;
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" \
                 fill=\"{colour}\" fill-opacity=\"{opacity:.2}\" stroke=\"#fff\" \
                 stroke-opacity=\"0.4\"><title>{effect:.3}</title></rect>"
            );
        }
    }
}

/// Writes a trace to a file of the kind that its name says.
pub(super) fn write(path: &Path, traced: &Traced, picture: Option<&[u8]>) -> Result<(), Failure> {
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => return write_csv(path, &COLUMNS, &traced.rows()),
        Some("html") => page(traced, &drawings(traced, picture)).into_bytes(),
        kind => {
            let drawing = drawings(traced, picture)
                .into_iter()
                .next()
                .unwrap_or_default();
            if kind == Some("svg") {
                drawing.into_bytes()
            } else {
                report::png(&drawing)?
            }
        }
    };
    Ok(files::write(path, &bytes)?)
}

/// Draws everything: what lies over the picture first, where there is one.
fn drawings(traced: &Traced, picture: Option<&[u8]>) -> Vec<String> {
    let mut all = picture.map_or(Vec::new(), |picture| traced.overlays(picture));
    all.extend(traced.maps());
    all
}

/// Returns the page: what was measured, and all drawings.
fn page(traced: &Traced, drawings: &[String]) -> String {
    let TraceBaseline { clean, corrupted } = traced.baseline;
    let record = traced
        .finished
        .provenance
        .as_ref()
        .map_or("", |record| &record.digest);
    let (computed, reused) = (traced.finished.rows_computed, traced.finished.rows_reused);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Trace</title>\
         <style>body{{font:14px sans-serif;margin:2em;max-width:80em}}\
         svg{{max-width:100%;height:auto}}</style><h1>Trace</h1>\
         <p>Metric of the clean run {clean:.4}, of the corrupted run {corrupted:.4}. An effect of \
         1 is the clean run, 0 the corrupted one.</p><p>{computed} (row, layer) pairs computed, \
         {reused} reused; record {record}.</p>{}</html>\n",
        drawings.concat()
    )
}

/// Returns a label on one line, its spaces at the ends shown.
fn spelled(label: &str) -> String {
    label.replace('\n', "\\n").trim().to_owned()
}
