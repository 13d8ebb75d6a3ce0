//! Starts sequences: gets their pictures, and what they take from others.

use std::sync::Arc;
use std::time::Instant;

use metrics::{counter, histogram};

use super::{SequenceId, Worker};
use crate::engine::cost::Cost;
use crate::engine::encoder::{EncodedImage, EncoderInput};
use crate::engine::error::Error;
use crate::engine::guard::guarded;
use crate::engine::reuse::Rectangle;
use crate::intervention::{Captured, EffectRecord};
use crate::model::Model;
use crate::nn::{SequenceCache, Stack};
use crate::telemetry::names;

/// The beginning that a sequence takes from a prompt that was read before.
struct PrefixHit {
    cache: SequenceCache,
    position: u32,
    cells: Vec<EffectRecord>,
    images: Vec<Arc<EncodedImage>>,
}

/// The images of a sequence that was not encoded before, with what was captured on the way.
type FreshImages = (Vec<Arc<EncodedImage>>, Vec<Captured>);

impl Worker {
    /// Starts a sequence: gets its pictures, and what it takes from others. Returns false where its
    /// pictures have to wait for the next step.
    pub(super) fn start(
        &mut self,
        model: &Arc<Model>,
        id: SequenceId,
        encoded_rows: &mut usize,
        rows_left: usize,
    ) -> Result<bool, Error> {
        // Before the pictures: a prefix that is found brings some of them along.
        let above = self.children_above(id);
        let hit = self.find_prefix(model, id, &above);
        let mut known = self.sequence(id).encoded.clone();
        known.extend(hit.iter().flat_map(|hit| hit.images.iter().cloned()));
        let begun = Instant::now();
        let fresh = self.encode_missing(model, id, &mut known, encoded_rows, rows_left)?;
        let Some((images, captured)) = fresh else {
            return Ok(false);
        };
        let has_encoded = !images.is_empty();
        known.splice(0..0, images);
        self.mark_started(id);
        if has_encoded {
            self.requests[id.request].sequences[id.sequence].encoding = begun.elapsed();
        }
        self.attach_images(id, &known, captured)?;
        let slots = self.slots_of(model);
        let sequence = &mut self.requests[id.request].sequences[id.sequence];
        if sequence.parent.is_none() {
            let name = if hit.is_some() {
                names::PREFIX_CACHE_HITS
            } else {
                names::PREFIX_CACHE_MISSES
            };
            counter!(name).increment(1);
            if let Some(hit) = &hit {
                let stack = Stack::LanguageModel;
                sequence
                    .observed
                    .inherit_prefix(&hit.cells, stack, 0, hit.position);
            }
            let with = hit.as_ref().map(|hit| (&hit.cache, hit.position));
            sequence.begin(model, &self.memory, &slots, with);
        }
        sequence.start(&above);
        let program = &sequence.program;
        let reused = program
            .cells(Rectangle::WHOLE)
            .saturating_sub(program.cells(sequence.own));
        counter!(names::ROWS_REUSED).increment(reused);
        Ok(true)
    }

    /// Returns the rectangles of the children that start above the bottom. They need rows that this
    /// sequence computes itself.
    fn children_above(&self, id: SequenceId) -> Vec<Rectangle> {
        let sequences = &self.requests[id.request].sequences;
        sequences[id.sequence]
            .children
            .iter()
            .map(|&child| sequences[child].own)
            .filter(|own| own.depth > 0)
            .collect()
    }

    fn find_prefix(
        &mut self,
        model: &Arc<Model>,
        id: SequenceId,
        above: &[Rectangle],
    ) -> Option<PrefixHit> {
        let request = &self.requests[id.request];
        let sequence = &request.sequences[id.sequence];
        if sequence.parent.is_some() {
            return None;
        }
        // Children need residual rows from these positions on, which a prefix does not have.
        let most = above.iter().map(|own| own.position).min();
        let (prefix, position) = self.prefixes.find(
            &request.client.tenant,
            model,
            &sequence.program,
            most.unwrap_or(u32::MAX),
        )?;
        Some(PrefixHit {
            cache: prefix.cache.share_prefix(0, position, 0, 0),
            position,
            cells: prefix.cells.clone(),
            images: prefix.images.clone(),
        })
    }

    /// Encodes the pictures of a sequence that are neither known nor cached, together with those of
    /// sequences that may start in this step too, and adds those that are cached to `known`. `None`
    /// where the step has encoded enough.
    fn encode_missing(
        &mut self,
        model: &Arc<Model>,
        id: SequenceId,
        known: &mut Vec<Arc<EncodedImage>>,
        encoded_rows: &mut usize,
        rows_left: usize,
    ) -> Result<Option<FreshImages>, Error> {
        // An `Arc`, since the worker is borrowed mutably while they are encoded.
        let images = self.sequence(id).images.clone();
        let mut missing: Vec<EncoderInput> = Vec::new();
        for image in images.iter() {
            if known.iter().any(|v| v.key == image.key) {
                continue;
            }
            match self.encoder.get(image) {
                // Held from here on: what is encoded below may push it out of the cache.
                Some(cached) => known.push(cached),
                None => missing.push(image.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(Some((Vec::new(), Vec::new())));
        }
        let most = self.limits.step_rows;
        let is_crowding = self.shares.is_crowding(&self.requests[id.request].client);
        if *encoded_rows > 0 && (is_crowding || *encoded_rows >= most) {
            return Ok(None);
        }
        let own = missing.len();
        // Its own pictures are never left out, even where they exceed `most` together.
        let mut rows: usize = missing.iter().map(EncoderInput::rows).sum();
        // One tower pass for several pictures costs less than one for each.
        for image in self.upcoming_images(model, rows_left, id) {
            let is_known =
                missing.iter().any(|i| i.key == image.key) || self.encoder.get(&image).is_some();
            if !is_known && rows + image.rows() <= most {
                rows += image.rows();
                missing.push(image);
            }
        }
        *encoded_rows += rows;
        let mut encoded = guarded(|| self.encoder.encode(model, &missing, most));
        if let Err(error) = &encoded {
            self.count_failure(error);
            // Once more, without the pictures of others.
            if self.lost.is_none() {
                encoded = guarded(|| self.encoder.encode(model, &missing[..own], most));
                let kind = encoded.as_ref().map_err(|error| self.count_failure(error));
                counter!(names::STEPS_RETRIED).increment(u64::from(kind.is_ok()));
            }
        }
        let encoded = encoded?;
        let (mut fresh, mut captured) = (Vec::new(), Vec::new());
        // Those of others are in the cache, where they will be looked for.
        for (image, of_image) in encoded.into_iter().take(own) {
            fresh.push(image);
            captured.extend(of_image);
        }
        Ok(Some((fresh, captured)))
    }

    /// Returns the pictures of other sequences that may start in this step, as far as `left` rows
    /// go.
    fn upcoming_images(
        &self,
        model: &Arc<Model>,
        mut left: usize,
        id: SequenceId,
    ) -> Vec<EncoderInput> {
        let mut images = Vec::new();
        for (at, request) in self.requests.iter().enumerate() {
            // Nor does another client's picture wait for those of one that asks for many.
            if !Arc::ptr_eq(&request.model, model) || self.shares.is_crowding(&request.client) {
                continue;
            }
            for (index, sequence) in request.sequences.iter().enumerate() {
                let is_same = (at, index) == (id.request, id.sequence);
                // A sequence that captures has to encode its pictures for itself.
                if is_same || !sequence.is_waiting() || sequence.program.no_reuse {
                    continue;
                }
                let rows = sequence.ids.len() - sequence.own.position as usize;
                if rows > left {
                    return images;
                }
                left -= rows;
                images.extend(sequence.images.iter().cloned());
            }
        }
        images
    }

    fn mark_started(&mut self, id: SequenceId) {
        let request = &mut self.requests[id.request];
        let admitted = request.output.admitted;
        if !request.started {
            request.started = true;
            self.admission.start(&request.client);
            histogram!(names::QUEUE_DURATION).record(admitted.elapsed());
        }
        request.sequences[id.sequence].mark_started(admitted);
    }

    /// Gives a sequence its pictures, all of them `at_hand`, with their effects and cost.
    fn attach_images(
        &mut self,
        id: SequenceId,
        at_hand: &[Arc<EncodedImage>],
        captured: Vec<Captured>,
    ) -> Result<(), Error> {
        let sequence = &mut self.requests[id.request].sequences[id.sequence];
        // In the order of the prompt, in which `Model::embed` places them.
        sequence.encoded.clear();
        for image in sequence.images.iter() {
            let Some(known) = at_hand.iter().find(|v| v.key == image.key) else {
                // With one less, the next picture's tokens would stand in its place, unnoticed.
                return Err(Error::Fault("a picture was not encoded".into()));
            };
            sequence.encoded.push(known.clone());
        }
        for image in &sequence.encoded {
            sequence.observed.extend(&image.cells);
            let cost = image.take_cost();
            // Somebody else has paid for it.
            if cost == Cost::default() {
                counter!(names::IMAGE_CACHE_HITS).increment(1);
            }
            sequence.cost += cost;
        }
        sequence.captured = captured;
        Ok(())
    }
}
