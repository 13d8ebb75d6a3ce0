//! Cells: which rows are written where, and the variants that the engine runs for them.
//!
//! Knows plans and keys. A key says whose rows are written, not which numbers they are, so that
//! cells can be compared, and priced, before the run that they are of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::axes::Axes;
use crate::engine::reuse::Rectangle;
use crate::engine::{Measure, Task, Variant};
use crate::intervention::{Edit, EditKey, EffectLog, Operation, Plan, Rows};
use crate::nn::{HostTensor, Point, Site, Stack};

/// Rows of another run that are written at one point.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) point: Point,
    pub(super) rows: Arc<Rows>,
    pub(super) heads: Option<Arc<[u32]>>,
    /// The number of each row among those that the other run kept at that point.
    pub(super) order: Arc<[u32]>,
    /// Tells whose rows they are.
    pub(super) origin: blake3::Hash,
}

/// Rows that a run has kept, by point.
pub(super) type Kept = BTreeMap<Point, HostTensor>;

/// Makes the variants of a trace's cells.
#[derive(Debug)]
pub(super) struct Cells {
    /// The unpatched run.
    base: Variant,
    /// The layers of each stack that it runs, in order.
    path: Vec<usize>,
    /// Rows may be written before the next layer in place of behind this one.
    moves: Moves,
    /// The cells of the language model in which the two runs may differ; `None`: in none.
    dirty: Option<Rectangle>,
    /// Tells origins of this trace from those of others.
    nonce: u64,
}

/// Knows what stands in the way of writing the residual stream one point later.
#[derive(Debug)]
struct Moves {
    layers: usize,
    /// Each layer runs once, in order, and no row leaves.
    is_plain: bool,
    /// Points where either run is changed.
    edited: Vec<Point>,
}

impl Cells {
    /// Takes the unpatched run, and the plan of the run whose activations are written; `layers` are
    /// those of the language model.
    pub(super) fn new(
        base: Variant,
        source: &Plan,
        stack: Stack,
        layers: usize,
        dirty: Option<Rectangle>,
        nonce: u64,
    ) -> Self {
        let plans = [&*base.plan, source];
        let is_plain = plans
            .iter()
            .all(|plan| !plan.paths.contains_key(&Stack::LanguageModel) && plan.prunes.is_empty());
        let edited = plans.iter().flat_map(|plan| plan.edits.keys().copied());
        Self {
            path: base.plan.path(stack, layers),
            moves: Moves {
                layers,
                is_plain,
                edited: edited.collect(),
            },
            dirty,
            nonce,
            base,
        }
    }

    /// Returns the plan of the unpatched run.
    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.base.plan
    }

    /// Reports whether each layer of the language model runs once, in order, with all rows.
    pub(super) fn is_plain(&self) -> bool {
        self.moves.is_plain
    }

    /// Returns the point where the rows of `point` are written: what leaves a layer enters the next
    /// one, which is a layer less to compute.
    pub(super) fn written_at(&self, point: Point) -> Point {
        let (Some(layer), Stack::LanguageModel, Site::ResidPost) =
            (point.layer, point.stack, point.site)
        else {
            return point;
        };
        // Only where nothing happens between the two points, in either run.
        let next = Point::at(point.stack, layer + 1, Site::ResidPre);
        let is_free = !self.moves.edited.contains(&point) && !self.moves.edited.contains(&next);
        if self.moves.is_plain && is_free && layer + 1 < self.moves.layers {
            next
        } else {
            point
        }
    }

    /// Returns what cell `i` writes.
    pub(super) fn write(&self, axes: &Axes, i: usize) -> Write {
        let [_, _, position, _] = axes.places(i);
        let point = self.written_at(axes.point(i));
        let position = &axes.positions[position];
        let heads = axes.heads_of(i);
        // All that chooses the numbers: two cells of one origin write the same rows of the source.
        let whose = format!("{point} {heads:?} {:?}", position.order);
        Write {
            origin: self.origin(&whose),
            rows: position.rows.clone(),
            order: position.order.clone(),
            point,
            heads,
        }
    }

    /// Returns the origin of rows that `whose` describes.
    pub(super) fn origin(&self, whose: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"trace").update(&self.nonce.to_le_bytes());
        hasher.update(whose.as_bytes());
        hasher.finalize()
    }

    /// Reports whether both runs have the same activations in cell `i`, by arithmetic: below and
    /// before the first difference of the two.
    pub(super) fn is_unchanged(&self, axes: &Axes, i: usize) -> bool {
        let [_, _, position, _] = axes.places(i);
        let (point, position) = (axes.point(i), &axes.positions[position]);
        // Inputs that are the same may still be paired token by other token.
        let Some(dirty) = self.dirty else {
            return position.is_same_before(u32::MAX);
        };
        // `dirty` is about the language model; towers of two pictures differ from the start.
        if point.stack != Stack::LanguageModel {
            return false;
        }
        // Layers below the first difference are alike at every token, those before it at every
        // layer.
        let is_below = self.slot(point).is_some_and(|slot| slot < dirty.depth);
        position.is_same_before(dirty.position) || (is_below && position.is_same_before(u32::MAX))
    }

    /// Returns the place of a point's layer in the path; of a layer that runs again, the first one.
    pub(super) fn slot(&self, point: Point) -> Option<usize> {
        let Some(layer) = point.layer else {
            return (point.site == Site::Embed).then_some(0);
        };
        self.path.iter().position(|&own| own == layer)
    }

    /// Returns the unpatched run, with a task.
    pub(super) fn unpatched(&self, measure: Measure) -> Variant {
        self.variant(&[], self.base.plan.clone(), measure)
    }

    /// Returns the run of a cell as planning needs it, without the rows that are written.
    pub(super) fn planned(&self, writes: &[Write], measure: Measure) -> Variant {
        self.variant(writes, self.base.plan.clone(), measure)
    }

    /// Returns the run of a cell that writes rows of `kept`, the first of these that has the point.
    pub(super) fn patched(&self, writes: &[Write], kept: &[&Kept], measure: Measure) -> Variant {
        let mut plan = Plan::clone(&self.base.plan);
        for write in writes {
            // There: a run of which some point did not come was failed by `kept` in `run.rs`.
            let values = kept.iter().find_map(|kept| kept.get(&write.point));
            let Some(values) = values else { continue };
            plan.edits.entry(write.point).or_default().push(Edit {
                // Beyond all interventions: nobody asks for its effect.
                owner: self.base.plan.resolved.len(),
                rows: write.rows.clone(),
                heads: write.heads.clone(),
                dimensions: None,
                operation: Operation::Take {
                    values: values.clone(),
                    order: write.order.clone(),
                },
            });
        }
        self.variant(writes, Arc::new(plan), measure)
    }

    /// Returns a run with `plan`, whose keys are those of the unpatched run and of `writes`.
    pub(super) fn variant(&self, writes: &[Write], plan: Arc<Plan>, measure: Measure) -> Variant {
        // Not hashed anew: a key of origin stands in for rows that may not be there yet.
        let mut edit_keys = self.base.edit_keys.clone();
        for write in writes {
            let key = EditKey::of_origin(write.origin, write.rows.clone());
            // Last at its point, as the edit is: writes go over what interventions have made there.
            edit_keys.entry(write.point).or_default().push(key);
        }
        Variant {
            plan,
            edit_keys,
            // The first runs have counted the edits of pictures, once for all cells.
            observed: EffectLog::default(),
            pixels: self.base.pixels.clone(),
            images: self.base.images.clone(),
            prompt: self.base.prompt.clone(),
            task: Task::Measure(measure),
        }
    }
}
