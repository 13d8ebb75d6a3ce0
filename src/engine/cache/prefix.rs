//! Prompts that were read lately: their keys and values serve every later prompt that begins alike.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::engine::encoder::Visual;
use crate::engine::reuse::planner::Program;
use crate::engine::sequence::Run;
use crate::intervention::Cell;
use crate::model::Model;
use crate::nn::SequenceCache;

/// How many prompts are remembered at most, however small they are.
const MOST: usize = 256;
/// Shorter beginnings are not worth looking after.
const WORTH: u32 = 8;

/// A prompt that was read.
pub(in crate::engine) struct Prefix {
    tenant: Arc<str>,
    model: Weak<Model>,
    program: Arc<Program>,
    digest: blake3::Hash,
    pub(in crate::engine) cache: SequenceCache,
    pub(in crate::engine) cells: Vec<Cell>,
    pub(in crate::engine) visuals: Vec<Arc<Visual>>,
}

/// The prompts, the one used longest ago in front.
#[derive(Default)]
pub(in crate::engine) struct Prefixes {
    all: VecDeque<Prefix>,
}

impl Prefixes {
    /// The prompt that shares the longest beginning with `run`, and how many tokens of it; at most
    /// `most`.
    pub(in crate::engine) fn find(
        &mut self,
        tenant: &str,
        model: &Arc<Model>,
        run: &Run,
        most: u32,
    ) -> Option<(&Prefix, u32)> {
        let mut best = (0, WORTH - 1);
        for (i, prefix) in self.all.iter().enumerate() {
            if &*prefix.tenant == tenant && std::ptr::eq(prefix.model.as_ptr(), Arc::as_ptr(model))
            {
                let shared = run.program.prefix(&prefix.program).min(most);
                if shared > best.1 {
                    best = (i + 1, shared);
                }
            }
        }
        let found = self.all.remove(best.0.checked_sub(1)?)?;
        self.all.push_back(found);
        self.all.back().map(|prefix| (prefix, best.1))
    }

    /// Remembers the prompt of `run`, all of which has been read.
    pub(in crate::engine) fn remember(&mut self, tenant: &Arc<str>, model: &Arc<Model>, run: &Run) {
        let Some(cache) = &run.cache else { return };
        let program = run.program.clone();
        let digest = program.digest();
        let same = |p: &Prefix| p.digest == digest && p.tenant == *tenant;
        if program.alone || self.all.iter().any(same) {
            return;
        }
        self.all.push_back(Prefix {
            tenant: tenant.clone(),
            model: Arc::downgrade(model),
            program,
            digest,
            cache: cache.share_prefix(0, u32::MAX, 0, 0),
            cells: run.observed.cells().to_vec(),
            visuals: run.visuals.clone(),
        });
        if self.all.len() > MOST {
            self.all.pop_front();
        }
    }

    /// Forgets the one used longest ago; false where there is none.
    pub(in crate::engine) fn forget_one(&mut self) -> bool {
        self.all.pop_front().is_some()
    }

    /// Forgets those of models that have gone.
    pub(in crate::engine) fn sweep(&mut self) {
        self.all.retain(|p| p.model.strong_count() > 0);
    }
}
