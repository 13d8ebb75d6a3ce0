//! Plans at work: edits of pictures before the tower runs, and the implementation of [`Hooks`].

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use super::Plan;
use super::effects::EffectLog;
use crate::nn::{Hooks, Point, Result, Site, Span, Stack, replace_rows};
use crate::vision::{Picture, Processor};

impl Plan {
    /// Edits pictures, and begins the log of what the plan does.
    pub fn edit_images(&self, pictures: &mut [Picture], processor: &Processor) -> EffectLog {
        let mut log = EffectLog::of(&self.resolved);
        for edit in &self.image_edits {
            if let Some(picture) = pictures.get_mut(edit.image) {
                log.record_image_edit(edit.owner, edit.apply(picture, processor));
            }
        }
        log
    }
}

/// Performs a plan for each sequence on the rows of that sequence, and on no others.
#[derive(Debug)]
pub struct PlanHooks {
    sequences: Vec<(Arc<Plan>, EffectLog)>,
}

impl PlanHooks {
    /// Performs plans; `sequences[i]` belongs to the spans whose `sequence` is i.
    pub fn new(sequences: Vec<(Arc<Plan>, EffectLog)>) -> Self {
        Self { sequences }
    }

    /// Performs one plan, with a log of its own.
    pub fn one(plan: &Arc<Plan>) -> Self {
        Self::new(vec![(plan.clone(), EffectLog::of(&plan.resolved))])
    }

    /// Returns the logs, sequence by sequence.
    pub fn into_logs(self) -> impl Iterator<Item = EffectLog> {
        self.sequences.into_iter().map(|(_, log)| log)
    }
}

impl Hooks for PlanHooks {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> Result<Tensor> {
        // Attention comes as (heads, rows, keys), one sequence at a time; elsewhere rows come first.
        let attention = matches!(point.site, Site::Scores | Site::Pattern);
        let mut parts: Vec<(Range<usize>, Tensor)> = Vec::new();
        for span in spans {
            let Some((plan, log)) = self.sequences.get_mut(span.sequence) else {
                continue;
            };
            // Every layer passes this point once, so that rows are counted here.
            if point.site == Site::ResidPre {
                log.count_rows(point.stack, span);
            }
            if !plan.acts_at(point) {
                continue;
            }
            let rows = if attention {
                // `(rows, heads, keys)`, so that rows come first for every edit.
                value.transpose(0, 1)?
            } else {
                value.narrow(0, span.rows.start, span.rows.len())?
            };
            // `None` where nothing changed: then no tensor is put together anew.
            if let Some(new) = plan.run(point, span, rows, log)? {
                parts.push((span.rows.clone(), new));
            }
        }
        if attention {
            return match parts.pop() {
                Some((_, part)) => part.transpose(0, 1)?.contiguous(),
                None => Ok(value),
            };
        }
        replace_rows(value, parts)
    }

    fn wants(&self, point: Point, sequence: usize) -> bool {
        self.sequences
            .get(sequence)
            .is_some_and(|(plan, _)| plan.acts_at(point))
    }

    fn path(&self, stack: Stack, sequence: usize) -> Option<&[usize]> {
        self.sequences
            .get(sequence)
            .and_then(|(plan, _)| plan.paths.get(&stack))
            .map(AsRef::as_ref)
    }

    fn survivors(&mut self, stack: Stack, layer: usize, span: &Span) -> Result<Option<Vec<u32>>> {
        let Some((plan, log)) = self.sequences.get_mut(span.sequence) else {
            return Ok(None);
        };
        let Some(prune) = plan.prune_at(stack, layer) else {
            return Ok(None);
        };
        // Taken: a layer that runs again ranks by its own pattern or not at all.
        let Some(leaving) = prune.leaving(span, log.received.take()) else {
            return Ok(None);
        };
        // Rows leave after the layer has written its output.
        let point = Point::at(stack, layer, Site::ResidPost);
        // Recorded even where it is empty: keeping all is acting, too.
        log.record_pruned(prune.owner, point, span, &leaving);
        if leaving.is_empty() {
            return Ok(None);
        }
        let stays = (0..)
            .zip(span.tokens.iter())
            .filter(|(_, token)| leaving.binary_search(token).is_err());
        Ok(Some(stays.map(|(row, _)| row).collect()))
    }
}

impl Plan {
    /// Edits and captures the rows of a span; returns them where they changed.
    fn run(
        &self,
        point: Point,
        span: &Span,
        mut rows: Tensor,
        log: &mut EffectLog,
    ) -> Result<Option<Tensor>> {
        let mut changed = false;
        // In the order of the list, each on what the one before has made.
        for edit in self.edits.get(&point).into_iter().flatten() {
            if let Some(new) = edit.apply(point, span, &rows, log)? {
                (rows, changed) = (new, true);
            }
        }
        // Captures and rankings see what the edits made.
        for capture in self.captures.get(&point).into_iter().flatten() {
            log.taken.extend(capture.take(point, span, &rows)?);
        }
        if let Some(prune) = self.prune_of_pattern(point)
            && let Some(received) = prune.ranking.received(span, &rows)?
        {
            log.received = Some(received);
        }
        Ok(changed.then_some(rows))
    }
}
