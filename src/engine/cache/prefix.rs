//! The prefix cache: prompts that were read lately. Their keys and values serve every later prompt
//! that begins alike.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::engine::encoder::EncodedImage;
use crate::engine::reuse::Program;
use crate::engine::sequence::{Sequence, State};
use crate::intervention::EffectRecord;
use crate::model::Model;
use crate::nn::SequenceCache;

/// Number of prompts that are remembered at most, however small they are: every lookup compares
/// with all of them.
const MAX_ENTRIES: usize = 256;
/// Number of tokens that a shared beginning must have; shorter ones cost more than they save.
const MIN_MATCH: u32 = 8;

/// A prompt that was read.
pub(in crate::engine) struct Prefix {
    tenant: Arc<str>,
    // Weak: a prompt that is remembered must not keep the weights of a model that was unloaded.
    model: Weak<Model>,
    program: Arc<Program>,
    digest: blake3::Hash,
    pub(in crate::engine) cache: SequenceCache,
    pub(in crate::engine) cells: Vec<EffectRecord>,
    pub(in crate::engine) images: Vec<Arc<EncodedImage>>,
}

impl Prefix {
    /// Returns whether a tenant's requests to a model may start from it.
    fn is_of(&self, tenant: &str, model: &Arc<Model>) -> bool {
        // The instance and not its digest, which is the same in every dtype.
        &*self.tenant == tenant && std::ptr::eq(self.model.as_ptr(), Arc::as_ptr(model))
    }
}

/// The prompts, the least recently used in front.
#[derive(Default)]
pub(in crate::engine) struct PrefixCache {
    entries: VecDeque<Prefix>,
}

impl PrefixCache {
    /// Returns the prompt that shares the longest beginning with `program`, and the number of its
    /// tokens, at most `most`.
    pub(in crate::engine) fn find(
        &mut self,
        tenant: &str,
        model: &Arc<Model>,
        program: &Program,
        most: u32,
    ) -> Option<(&Prefix, u32)> {
        let mut best: Option<(usize, u32)> = None;
        for (i, prefix) in self.entries.iter().enumerate() {
            if !prefix.is_of(tenant, model) {
                continue;
            }
            // By programs and not by ids: an edit at some layer changes keys and values of the same
            // tokens.
            let shared = program.prefix(&prefix.program).min(most);
            if shared >= MIN_MATCH && best.is_none_or(|(_, longest)| shared > longest) {
                best = Some((i, shared));
            }
        }
        let (i, shared) = best?;
        // To the end, as the most recently used.
        let found = self.entries.remove(i)?;
        self.entries.push_back(found);
        self.entries.back().map(|prefix| (prefix, shared))
    }

    /// Remembers the prompt of `sequence`, all of which has just been read.
    pub(in crate::engine) fn insert(
        &mut self,
        tenant: &Arc<str>,
        model: &Arc<Model>,
        sequence: &Sequence,
    ) {
        // Of a sequence that decodes in a slot nothing is left to share.
        let State::Prefill(prefill) = &sequence.state else {
            return;
        };
        let program = sequence.program.clone();
        let digest = program.digest();
        let is_same = |p: &Prefix| p.is_of(tenant, model) && p.digest == digest;
        if program.no_reuse || self.entries.iter().any(is_same) {
            return;
        }
        self.entries.push_back(Prefix {
            tenant: tenant.clone(),
            model: Arc::downgrade(model),
            program,
            digest,
            // The segments are shared, not copied.
            cache: prefill.cache.share_prefix(0, u32::MAX, 0, 0),
            cells: sequence.observed.records().to_vec(),
            images: sequence.encoded.clone(),
        });
        // At the front stands the one that was used least recently; see `find`.
        if self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
        }
    }

    /// Evicts the least recently used prompt; returns false where there is none.
    pub(in crate::engine) fn evict_lru(&mut self) -> bool {
        self.entries.pop_front().is_some()
    }

    /// Removes the prompts of models that have gone.
    pub(in crate::engine) fn remove_stale(&mut self) {
        self.entries.retain(|p| p.model.strong_count() > 0);
    }
}
