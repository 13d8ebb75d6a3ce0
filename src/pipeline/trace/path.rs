//! Path patching: which activations are held while a sender's effect goes to the receiver
//! (Wang et al. 2022).

use std::sync::Arc;

use super::axes::Axes;
use super::cells::{Cells, Write};
use super::request::Via;
use crate::intervention::{Capture, Reduction, Rows, indices};
use crate::nn::{Point, Site, Stack};

/// The receiver of a trace, and what is held on the way.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) points: Vec<Point>,
    rows: Arc<Rows>,
    heads: Option<Arc<[u32]>>,
    via: Via,
    layers: usize,
}

impl Path {
    /// Takes what the grid's receiver resolved to; `layers` are those of the language model.
    pub(super) fn new(
        (points, rows, heads): (Vec<Point>, Arc<Rows>, Option<Arc<[u32]>>),
        via: Via,
        layers: usize,
    ) -> Self {
        Self {
            points,
            rows,
            heads,
            via,
            layers,
        }
    }

    /// Returns the points of the receiver that come after the sender's.
    pub(super) fn behind(&self, sender: Point) -> Vec<Point> {
        let sender = place(&sender);
        self.points
            .iter()
            .copied()
            .filter(|p| place(p) > sender)
            .collect()
    }

    /// Returns all points whose values may be held: what each layer adds to the residual stream.
    pub(super) fn held(&self) -> Vec<Point> {
        let at = |layer, site| Point::at(Stack::LanguageModel, layer, site);
        let mut all = Vec::new();
        for layer in 0..self.layers {
            all.push(at(layer, Site::AttnOut));
            // Via MLPs these are not held, so that effects pass through them.
            if self.via == Via::Residual {
                all.push(at(layer, Site::MlpOut));
            }
        }
        all
    }

    /// Returns what a sender's run holds, from its first token on; rows are kept of all tokens.
    pub(super) fn holds(&self, cells: &Cells, axes: &Axes, i: usize) -> Vec<Write> {
        let sender = axes.point(i);
        let behind = self.behind(sender);
        let Some(last) = behind.iter().map(place).max() else {
            return Vec::new();
        };
        // Rows before the sender's first token are as they were: attention is causal.
        let rows = self.rows_from(axes, i, None);
        // Kept of the whole prompt: a row is known by its token.
        let order: Arc<[u32]> = indices(rows.of_sequence()).into();
        let rows = Arc::new(rows);
        // Up to the last receiver: what comes after it cannot reach any.
        let between = place(&sender)..last;
        self.held()
            .into_iter()
            // What the sender itself is, or is a part of, is not held.
            .filter(|p| place(p) > between.start && place(p) < between.end)
            .filter(|point| !is_within(sender, point))
            .map(|point| Write {
                origin: cells.origin(&format!("held {point}")),
                rows: rows.clone(),
                heads: None,
                order: order.clone(),
                point,
            })
            .collect()
    }

    /// Returns the rows of the prompt from the first token of cell `i` on; those of the receiver
    /// alone where `of` is set.
    fn rows_from(&self, axes: &Axes, i: usize, of: Option<&Rows>) -> Rows {
        let [_, _, position, _] = axes.places(i);
        let first = axes.positions[position].first() as usize;
        let mut rows = self.rows.of_whole_prompt();
        if let Some(of) = of {
            rows = of.clone();
        }
        rows.without_before(first)
    }

    /// Returns all rows of the prompt.
    pub(super) fn all_rows(&self) -> Arc<Rows> {
        Arc::new(self.rows.of_whole_prompt())
    }

    /// Returns the rows that are received in cell `i`.
    pub(super) fn received_rows(&self, axes: &Axes, i: usize) -> Rows {
        self.rows_from(axes, i, Some(&self.rows))
    }

    /// Returns what a sender's run keeps at the receiver.
    pub(super) fn captures(&self, axes: &Axes, i: usize) -> Vec<(Point, Capture)> {
        let rows = Arc::new(self.received_rows(axes, i));
        self.behind(axes.point(i))
            .into_iter()
            .enumerate()
            .map(|(target, point)| {
                let capture = Capture {
                    target,
                    rows: rows.clone(),
                    heads: None,
                    reduction: Reduction::None,
                };
                (point, capture)
            })
            .collect()
    }

    /// Returns what the second run of cell `i` writes at the receiver; `sender` is what the first
    /// one wrote.
    pub(super) fn writes(
        &self,
        cells: &Cells,
        axes: &Axes,
        i: usize,
        sender: &Write,
    ) -> Vec<Write> {
        let rows = Arc::new(self.received_rows(axes, i));
        let order: Arc<[u32]> = (0..rows.count() as u32).collect();
        let from = axes.positions[axes.places(i)[2]].first();
        self.behind(axes.point(i))
            .into_iter()
            .map(|point| Write {
                origin: cells.origin(&format!("received {point} {from} {}", sender.origin)),
                rows: rows.clone(),
                heads: self.heads.clone(),
                order: order.clone(),
                point,
            })
            .collect()
    }

    /// Returns how many rows the receiver has in all its points.
    pub(super) fn volume(&self) -> usize {
        self.points.len() * self.rows.count()
    }
}

/// Returns a key that orders points as a forward pass comes to them.
fn place(point: &Point) -> (usize, Site) {
    (point.layer.unwrap_or(0), point.site)
}

/// Reports whether `sender` is a part of what is added at `held`.
fn is_within(sender: Point, held: &Point) -> bool {
    let in_attention = matches!(
        sender.site,
        Site::Ln1Normalized | Site::Q | Site::K | Site::V | Site::RotQ | Site::RotK | Site::Z
    );
    let in_mlp = matches!(
        sender.site,
        Site::Ln2Normalized | Site::MlpPre | Site::MlpPreLinear | Site::MlpPost
    );
    sender.layer == held.layer
        && ((in_attention && held.site == Site::AttnOut) || (in_mlp && held.site == Site::MlpOut))
}
