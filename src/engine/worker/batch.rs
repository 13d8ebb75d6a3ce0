//! Chooses the rows of a step: all sequences that decode, and as many rows of prompts as fit.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::{Scheduled, SequenceId, Worker};
use crate::engine::scheduler::{Shares, StepBudget};
use crate::engine::sequence::State;
use crate::model::Model;

impl Worker {
    /// Decides on the next step of `model`: all sequences that decode, and as many prefill rows as
    /// a step holds.
    pub(super) fn schedule(&mut self, model: &Arc<Model>) -> Vec<Scheduled> {
        // All of them, whatever the clients have had: a stream that pauses is worse than one that
        // starts late, and a decode row is cheap.
        let mut batch = self.decoding(model);
        let decoding = batch.len();
        // A sweep has hundreds of sequences, and each is looked for as often.
        let mut ids: HashSet<SequenceId> = batch.iter().map(|scheduled| scheduled.id).collect();
        let mut running = self.running();
        let mut budget = self.budget(decoding, running);
        self.share_step(&batch);
        let mut passed_over: Vec<usize> = Vec::new();
        let mut encoded_rows = 0;
        while budget.rows > 0 {
            let Some(id) = self.next_prefill(model, &ids, &passed_over, &budget) else {
                break;
            };
            let client = self.requests[id.request].client.clone();
            let rows_left = budget.rows.min(self.shares.rows_left(&client));
            if rows_left == 0 {
                passed_over.push(id.request);
                continue;
            }
            // Memory first: the tower must not run for a sequence that has to wait for room.
            if self.sequence(id).is_waiting() {
                if !self.can_allocate(model, id, running) {
                    // Nobody else may take the memory that it waits for.
                    budget.is_short = true;
                    continue;
                }
                match self.start(model, id, &mut encoded_rows, rows_left) {
                    Ok(true) => {
                        // It may be 0: a client below its share starts one beyond the limit.
                        budget.sequences = budget.sequences.saturating_sub(1);
                        self.shares.take(&client, 0, true);
                        running += 1;
                    }
                    Ok(false) => {
                        passed_over.push(id.request);
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, "pictures failed");
                        if self.lost.is_some() {
                            // All requests end when the device is restarted.
                            return Vec::new();
                        }
                        self.requests[id.request].output.fail(|| error.clone());
                        passed_over.push(id.request);
                        continue;
                    }
                }
            }
            // Of prompts: behind rows that decode, which never cease, one that cannot be cut and
            // exceeds what they leave would wait for ever.
            let is_first = batch.len() == decoding;
            match self.prefill_rows(id, &mut budget, rows_left, is_first) {
                Some(rows) => {
                    self.shares.take(&client, rows.len(), false);
                    batch.push(Scheduled { id, rows });
                    ids.insert(id);
                }
                None => passed_over.push(id.request),
            }
        }
        batch
    }

    /// Returns what a step has room for beside `rows` that decode and `running` sequences.
    fn budget(&self, rows: usize, running: usize) -> StepBudget {
        StepBudget {
            rows: self.limits.step_rows.saturating_sub(rows),
            sequences: self.limits.running.saturating_sub(running),
            is_short: false,
        }
    }

    /// Shares the step that begins with `batch` among the clients.
    fn share_step(&mut self, batch: &[Scheduled]) {
        let requests = self.requests.iter().filter(|request| !request.is_over());
        let requests = requests.map(|request| (&request.client, request.running()));
        let mut shares = Shares::of(requests, self.limits.step_rows);
        for scheduled in batch {
            let client = &self.requests[scheduled.id.request].client;
            shares.take(client, scheduled.rows.len(), false);
        }
        self.shares = shares;
    }

    /// Returns all sequences of `model` that decode, charged to their clients.
    fn decoding(&mut self, model: &Arc<Model>) -> Vec<Scheduled> {
        let mut batch = Vec::new();
        for (at, request) in self.requests.iter().enumerate() {
            if !Arc::ptr_eq(&request.model, model) {
                continue;
            }
            for (index, sequence) in request.sequences.iter().enumerate() {
                if sequence.is_decoding() {
                    // The last entry stands for what comes after all layers: the head.
                    let layers = sequence.program.layers.len() as u64;
                    self.scheduler.charge(&request.client, layers);
                    batch.push(Scheduled {
                        id: SequenceId::new(at, index),
                        rows: 0..1,
                    });
                }
            }
        }
        batch
    }

    /// Returns how many sequences run, of all models.
    pub(super) fn running(&self) -> usize {
        // Of all models, since they share the bytes of keys and values.
        let sequences = self.requests.iter().flat_map(|r| &r.sequences);
        sequences.filter(|s| s.is_running()).count()
    }

    /// Returns the next sequence that reads: of the client that has had least, of its oldest
    /// request.
    fn next_prefill(
        &self,
        model: &Arc<Model>,
        scheduled: &HashSet<SequenceId>,
        passed_over: &[usize],
        budget: &StepBudget,
    ) -> Option<SequenceId> {
        let candidates = self
            .requests
            .iter()
            .enumerate()
            .filter_map(|(at, request)| {
                let is_candidate = Arc::ptr_eq(&request.model, model)
                    && !passed_over.contains(&at)
                    && !request.is_over();
                if !is_candidate {
                    return None;
                }
                let is_scheduled = |i| scheduled.contains(&SequenceId::new(at, i));
                let has_room = !budget.is_short
                    && (budget.sequences > 0
                        || self.shares.may_start(&request.client, self.limits.running));
                let sequence = request.ready(has_room, is_scheduled)?;
                Some((&request.client, SequenceId::new(at, sequence)))
            });
        self.scheduler.next(candidates).map(|(_, id)| id)
    }

    /// Returns whether the keys and values of a sequence fit; evicts prompts until they do. A
    /// sequence that would never fit runs alone.
    fn can_allocate(&mut self, model: &Arc<Model>, id: SequenceId, running: usize) -> bool {
        let needed = self.sequence(id).kv_bytes(model);
        // One may not be enough: what a running sequence shares of a prompt stays when that goes.
        while self.memory.kv.bytes() + needed > self.limits.kv_bytes {
            if !self.prefixes.evict_lru() {
                return running == 0;
            }
        }
        true
    }

    /// Takes rows of a prefill from the budget, and charges its client.
    fn prefill_rows(
        &mut self,
        id: SequenceId,
        budget: &mut StepBudget,
        rows_left: usize,
        is_first: bool,
    ) -> Option<Range<usize>> {
        let request = &self.requests[id.request];
        let sequence = &request.sequences[id.sequence];
        let State::Prefill(prefill) = &sequence.state else {
            return None;
        };
        let mut left = prefill.rows.len() - prefill.done;
        // One that cannot be cut has had to wait for a step of its own anyway.
        if !sequence.program.unchunkable {
            left = left.min(rows_left);
        }
        let count = budget.take(left, sequence.program.unchunkable, is_first)?;
        // With the entry of the head, as for rows that decode.
        let layers = (sequence.program.layers.len() - sequence.own.depth) as u64;
        self.scheduler
            .charge(&request.client, count as u64 * layers);
        Some(prefill.done..prefill.done + count)
    }
}
