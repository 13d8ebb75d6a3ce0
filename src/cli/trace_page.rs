//! Shows what a trace comes to: a table, a heat map, and the heat laid over the picture.

use std::path::Path;

use scotoma_client::v1::{TraceBaseline, TraceCell, TraceFinished, TracePosition, TraceStarted};

use super::csv_file::write_csv;
use super::error::Failure;
use super::files;
use crate::benchmark::report::{self, HeatPanel, HeatPatch};

/// The columns of a table of cells.
const COLUMNS: [&str; 8] = [
    "point", "layer", "position", "label", "head", "value", "effect", "rows",
];

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
    point: usize,
    head: usize,
    cells: Vec<&'a TraceCell>,
}

impl Traced {
    /// Adds a cell, whose numbers are places in the lists of the first event.
    pub(super) fn add(&mut self, cell: TraceCell) -> Result<(), String> {
        let TraceStarted {
            points,
            layers,
            positions,
            heads,
            ..
        } = &self.started;
        let places = [
            ("point", cell.point, points.len()),
            // Without layers or heads the number of every cell is 0.
            ("layer", cell.layer, layers.len().max(1)),
            ("position", cell.position, positions.len()),
            ("head", cell.head, heads.len().max(1)),
        ];
        if let Some((part, place, count)) = places
            .into_iter()
            .find(|(_, place, count)| *place as usize >= *count)
        {
            return Err(format!(
                "the server sent a cell of {part} {place}, and the grid has {count}"
            ));
        }
        self.cells.push(cell);
        Ok(())
    }

    /// Fails where every cell did.
    pub(super) fn check_any(&self) -> Result<(), Failure> {
        let mut errors = self.cells.iter().map(|cell| cell.error.as_ref());
        match errors.clone().next().flatten() {
            Some(first) if errors.all(|error| error.is_some()) => {
                Err(format!("no cell could be run: {}", first.message).into())
            }
            _ => Ok(()),
        }
    }

    fn slices(&self) -> Vec<Slice<'_>> {
        let mut slices = Vec::new();
        // Without heads the head of every cell is 0.
        let heads = self.started.heads.len().max(1);
        for (point, name) in self.started.points.iter().enumerate() {
            for head in 0..heads {
                let own = |c: &&TraceCell| (c.point as usize, c.head as usize) == (point, head);
                let of_head = self.started.heads.get(head);
                let of_head = of_head.map_or(String::new(), |head| format!(", head {head}"));
                slices.push(Slice {
                    name: format!("{name}{of_head}"),
                    point,
                    head,
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
                // In the order of layers, as the cells are sorted.
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
        // Behind the tables, whose cells have room for a word only.
        self.print_errors();
    }

    /// Says why cells have no number.
    pub(super) fn print_errors(&self) {
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

    /// Draws all panels, one below the other: patches over the picture, and a table of layers by
    /// the positions that do not lie on it.
    fn drawing(&self, picture: Option<&[u8]>) -> String {
        let mut panels = Vec::new();
        for slice in self.slices() {
            let title = self.short_name(&slice);
            let patches: Vec<_> = slice.cells.iter().flat_map(|c| self.patches(c)).collect();
            // Without a picture to lie on patches are columns of the table.
            let has_pictures = picture.is_some() && !patches.is_empty();
            if has_pictures {
                panels.push(HeatPanel::Pictures {
                    title: title.clone(),
                    names: self.layer_names(),
                    patches,
                });
            }
            panels.extend(self.table(&slice, title, has_pictures));
        }
        report::heat_maps(
            "Effect: 1 is the clean run, 0 the corrupted one",
            picture,
            &panels,
        )
    }

    /// Returns the layers by the positions, without those that are drawn over the picture.
    fn table(&self, slice: &Slice<'_>, title: String, has_pictures: bool) -> Option<HeatPanel> {
        let positions = self.started.positions.iter().enumerate();
        let left = positions.filter(|(_, own)| !(has_pictures && lies_on_picture(own)));
        let left: Vec<(usize, String)> = left.map(|(i, own)| (i, spelled(&own.label))).collect();
        let mut cells = Vec::new();
        for (column, (position, _)) in left.iter().enumerate() {
            let own = slice.cells.iter();
            for cell in own.filter(|cell| cell.position as usize == *position) {
                if let Some(effect) = cell.effect {
                    cells.push(((cell.layer as usize, column), effect));
                }
            }
        }
        let title = if has_pictures {
            format!("{title}, not on the picture")
        } else {
            title
        };
        (!left.is_empty()).then(|| HeatPanel::Table {
            title,
            rows: self.layer_names(),
            columns: left.into_iter().map(|(_, label)| label).collect(),
            cells,
        })
    }

    fn layer_names(&self) -> Vec<String> {
        if self.started.layers.is_empty() {
            return vec!["all".into()];
        }
        let layers = self.started.layers.iter();
        layers.map(|layer| format!("layer {layer}")).collect()
    }

    /// Returns what tells a slice apart, in few letters: its point, its head, or both.
    fn short_name(&self, slice: &Slice<'_>) -> String {
        let point = short_point(&self.started.points[slice.point]);
        let head = self.started.heads.get(slice.head);
        head.map_or_else(|| point.clone(), |head| format!("{point}, head {head}"))
    }

    /// Returns the patches of a cell, where its position lies on the picture.
    fn patches(&self, cell: &TraceCell) -> Vec<HeatPatch> {
        let position = self.position(cell);
        let Some(value) = cell.effect.filter(|_| lies_on_picture(position)) else {
            return Vec::new();
        };
        let patches = position.patches.iter().map(|patch| HeatPatch {
            // One copy of the picture for each layer.
            copy: cell.layer as usize,
            place: (patch.row, patch.column),
            grid: (patch.grid_rows, patch.grid_columns),
            value,
        });
        patches.collect()
    }
}

/// Tells whether a position is patches of the first picture, as its base view has them, and
/// nothing else.
fn lies_on_picture(position: &TracePosition) -> bool {
    let patches = &position.patches;
    let is_seen = patches.iter().all(|p| p.image == 0 && p.view == 0);
    !patches.is_empty() && is_seen && patches.len() == position.tokens.len()
}

/// Returns the name of a point without its stack and what all names have.
fn short_point(point: &str) -> String {
    let own = point.split_once(".{l}.").map_or_else(
        || point.split_once('.').map_or(point, |(_, own)| own),
        |(_, own)| own,
    );
    // As --point spells it.
    own.trim_start_matches("attn.hook_").replace("hook_", "")
}

/// Writes a trace to a file of the kind that its name says.
pub(super) fn write(path: &Path, traced: &Traced, picture: Option<&[u8]>) -> Result<(), Failure> {
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => return write_csv(path, &COLUMNS, &traced.rows()),
        Some("html") => page(traced, &traced.drawing(picture)).into_bytes(),
        Some("svg") => traced.drawing(picture).into_bytes(),
        // `out_file` has let no other ending through.
        _ => report::png(&traced.drawing(picture))?,
    };
    Ok(files::write(path, &bytes)?)
}

/// Returns the page: what was measured, and the drawing.
fn page(traced: &Traced, drawing: &str) -> String {
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
         {reused} reused; record {record}.</p>{drawing}</html>\n"
    )
}

/// Returns a label on one line, without the spaces at its ends.
fn spelled(label: &str) -> String {
    label.replace('\n', "\\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use scotoma_client::v1::TracePatch;

    use super::*;

    fn position(label: &str, patches: usize) -> TracePosition {
        TracePosition {
            label: label.into(),
            tokens: vec![0; patches.max(1)],
            patches: vec![TracePatch::default(); patches],
            ..Default::default()
        }
    }

    #[test]
    fn every_head_and_every_position_is_drawn() {
        let mut traced = Traced::default();
        traced.started.points = vec!["language_model.blocks.{l}.attn.hook_z".into()];
        traced.started.layers = vec![3];
        traced.started.heads = vec![0, 2];
        traced.started.positions = vec![position("patch (0, 0)", 1), position("text", 0)];
        for (head, position, effect) in [(0, 0, 0.25), (0, 1, 0.125), (1, 0, 1.0), (1, 1, 0.5)] {
            traced.cells.push(TraceCell {
                head,
                position,
                effect: Some(effect),
                ..Default::default()
            });
        }
        let svg = traced.drawing(Some(b"png"));
        for words in [
            ">z, head 0<",
            ">z, head 2<",
            ">z, head 2, not on the picture<",
            ">text<",
            "<title>0.250</title>",
            "<title>1.000</title>",
            ">0.12<",
            ">0.50<",
        ] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
        assert!(
            !svg.contains("patch (0, 0)"),
            "drawn over the picture alone"
        );
        // Without a picture all are in the table.
        assert!(traced.drawing(None).contains("patch (0, 0)"));
    }

    #[test]
    fn points_are_named_as_they_are_asked_for() {
        for (name, short) in [
            ("language_model.blocks.{l}.hook_resid_pre", "resid_pre"),
            ("language_model.blocks.{l}.attn.hook_z", "z"),
            ("language_model.blocks.{l}.ln1.hook_scale", "ln1.scale"),
            ("projector.hook_in", "in"),
        ] {
            assert_eq!(short_point(name), short);
        }
    }
}
