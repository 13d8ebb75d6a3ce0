//! Rows of the model without interventions, which selectors choose tokens by.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, IndexOp, Result as TensorResult, Tensor};

use super::error::Error;
use super::llava::{ImageInput, Model, Prompt};
use crate::nn::{Hooks, HostTensor, Point, Site, Span, Stack};

/// Names rows to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowsQuery {
    /// Rows at a hook point; of patterns those of one head, or of the mean over heads.
    At {
        /// The hook point.
        point: Point,
        /// One head; all end to end where it is `None`.
        head: Option<u32>,
    },
    /// Keys of the last layer of the tower that runs, all heads end to end.
    TowerKeys,
}

/// The rows of each picture and view, `(R, W)` in f32; those of the language model are of picture 0,
/// view 0. A query that fits no point of the model has no entry.
pub type MeasuredRows = BTreeMap<RowsQuery, Vec<((usize, usize), HostTensor)>>;

impl Model {
    /// Runs pictures, and the prompt where a query needs it, and returns the rows that are asked for.
    pub fn measure_rows(
        &self,
        images: &[ImageInput<'_>],
        prompt: Option<&Prompt>,
        queries: &BTreeSet<RowsQuery>,
    ) -> Result<MeasuredRows, Error> {
        if queries.is_empty() {
            return Ok(MeasuredRows::new());
        }
        let mut taps = RowTaps {
            queries: queries.iter().map(|&q| (q, self.measured_at(q))).collect(),
            found: MeasuredRows::new(),
        };
        let own = self.own_projector();
        match prompt {
            // The whole model: the tower runs within, so that its queries are answered by the same
            // pass.
            Some(prompt) if taps.reads(Stack::LanguageModel) => {
                self.forward(prompt, &prompt.ids, images, own, &mut taps)?;
            }
            // Nothing above the projector is asked for: the language model, which is most of the
            // work, does not run.
            _ if !images.is_empty() => {
                self.encode_images(images, own, &mut taps)?;
            }
            _ => {}
        }
        Ok(taps.found)
    }

    /// Returns the hook point whose rows a query asks for.
    fn measured_at(&self, query: RowsQuery) -> Point {
        match query {
            RowsQuery::At { point, .. } => point,
            RowsQuery::TowerKeys => {
                // Of the layers that run, not of all in the checkpoint: those above the last
                // feature never see a row.
                let last = self.tower.info().layers_run().saturating_sub(1);
                Point::at(Stack::VisionTower, last, Site::K)
            }
        }
    }
}

impl RowsQuery {
    /// Returns the part of the model that it looks into.
    pub fn stack(self) -> Stack {
        match self {
            Self::At { point, .. } => point.stack,
            Self::TowerKeys => Stack::VisionTower,
        }
    }
}

/// Copies rows at hook points.
struct RowTaps {
    queries: Vec<(RowsQuery, Point)>,
    found: MeasuredRows,
}

impl RowTaps {
    fn reads(&self, stack: Stack) -> bool {
        self.queries.iter().any(|(_, point)| point.stack == stack)
    }
}

impl Hooks for RowTaps {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> TensorResult<Tensor> {
        // Several queries may name one point: two heads of one pattern, say.
        for &(query, at) in self.queries.iter().filter(|(_, at)| *at == point) {
            let head = match query {
                RowsQuery::At { head, .. } => head.map(|h| h as usize),
                RowsQuery::TowerKeys => None,
            };
            // A head that is not there is refused where the selector is compiled.
            let heads = usize::from(at.site != Site::Pattern);
            // Patterns have heads in front, (H, T, S); values of heads have rows in front, (R, H,
            // Dh).
            if head.is_some_and(|h| value.rank() < 3 || h >= value.dims()[heads]) {
                continue;
            }
            for span in spans {
                let rows = HostTensor::download(&rows_of(at, span, &value, head)?)?;
                let views = self.found.entry(query).or_default();
                views.push(((span.image, span.view), rows));
            }
        }
        Ok(value)
    }

    fn wants(&self, point: Point, _: usize) -> bool {
        self.queries.iter().any(|(_, at)| *at == point)
    }
}

/// Returns the rows of a span: `(R, W)`, or `(R, S)` of attention.
fn rows_of(point: Point, span: &Span, value: &Tensor, head: Option<usize>) -> TensorResult<Tensor> {
    let value = value.to_dtype(DType::F32)?;
    // (H, T, S) of one sequence -> (T, S): a pattern is never packed with others.
    if point.site == Site::Pattern {
        return match head {
            Some(head) => value.i(head),
            None => value.mean(0),
        };
    }
    let rows = value.narrow(0, span.rows.start, span.rows.len())?; // (R, ...)
    match head {
        Some(head) => rows.i((.., head)),
        // (R, H, Dh) -> (R, H Dh); rows without heads are flat already.
        None => rows.flatten_from(1),
    }
}
