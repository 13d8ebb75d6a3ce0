//! Encodes pictures: the tower, the projector, the packing of views.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use candle_core::Tensor;
use metrics::{counter, histogram};

use super::input::EncoderInput;
use super::job::EncodeJob;
use super::output::{EncodedImage, TokensDigest};
use super::tower::run_tower;
use crate::engine::cache::encoder::EncoderCache;
use crate::engine::cost::Cost;
use crate::intervention::{Captured, EffectLog, PlanHooks};
use crate::model::{Error, ImageTokens, Model};
use crate::nn::digest::HostValues;
use crate::nn::{Layout, MemoryTracker};
use crate::telemetry::names;

/// A picture, with what was captured on the way.
type Encoded = (Arc<EncodedImage>, Vec<Captured>);

/// Encodes pictures, and remembers them.
pub(in crate::engine) struct Encoder {
    cache: EncoderCache,
    /// Counts the bytes of checkpoints within the tower.
    checkpoints: MemoryTracker,
}

impl Encoder {
    /// Remembers at most `max_bytes` of pictures.
    pub(in crate::engine) fn new(max_bytes: u64, checkpoints: &MemoryTracker) -> Self {
        Self {
            cache: EncoderCache::new(max_bytes),
            checkpoints: checkpoints.clone(),
        }
    }

    /// Returns the bytes that are kept.
    pub(in crate::engine) fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// Returns a picture that is remembered.
    pub(in crate::engine) fn get(&self, input: &EncoderInput) -> Option<Arc<EncodedImage>> {
        self.cache.image(input)
    }

    /// Encodes `inputs`, none of which is remembered, with at most `max_rows` rows of the tower at
    /// once, or one picture. Returns each picture with what was captured on the way.
    pub(in crate::engine) fn encode(
        &mut self,
        model: &Model,
        inputs: &[EncoderInput],
        max_rows: usize,
    ) -> Result<Vec<Encoded>, Error> {
        let (mut jobs, job_of) = distinct(inputs);
        let start = Instant::now();
        run_tower(
            model,
            &mut self.cache,
            &self.checkpoints,
            &mut jobs,
            max_rows,
        )?;
        histogram!(names::STAGE_DURATION, "stage" => "vision_tower").record(start.elapsed());
        let start = Instant::now();
        let images = project(model, &mut jobs)?;
        counter!(names::ROWS_COMPUTED).increment(jobs.iter().map(|job| job.cost.rows).sum());
        histogram!(names::STAGE_DURATION, "stage" => "projector").record(start.elapsed());
        // After both stages: a picture of a step that failed is remembered by its features at most.
        for (job, image) in jobs.iter().zip(&images) {
            self.cache.insert_image(job.input, image.clone());
        }
        let mut encoded = Vec::with_capacity(inputs.len());
        for job in job_of {
            // The first input of a job gets what was captured.
            let captured = std::mem::take(&mut jobs[job].captured);
            encoded.push((images[job].clone(), captured));
        }
        Ok(encoded)
    }
}

/// Returns a job for each distinct input, and the number of each input's job.
fn distinct(inputs: &[EncoderInput]) -> (Vec<EncodeJob<'_>>, Vec<usize>) {
    let mut jobs: Vec<EncodeJob<'_>> = Vec::new();
    let mut by_key: HashMap<blake3::Hash, usize> = HashMap::new();
    let mut job_of = Vec::with_capacity(inputs.len());
    for input in inputs {
        let known = by_key.get(&input.key).copied();
        if let Some(job) = known.filter(|_| !input.program.no_reuse) {
            job_of.push(job);
            continue;
        }
        if !input.program.no_reuse {
            // A picture that captures is nobody's duplicate: each input gets rows of its own.
            by_key.insert(input.key, jobs.len());
        }
        job_of.push(jobs.len());
        jobs.push(EncodeJob::new(input));
    }
    (jobs, job_of)
}

/// Projects features and packs the views of each picture; neighbours that share a projector share
/// its GEMMs.
fn project(model: &Model, jobs: &mut [EncodeJob<'_>]) -> Result<Vec<Arc<EncodedImage>>, Error> {
    let plans = jobs
        .iter()
        .map(|job| (job.input.plan.clone(), EffectLog::of_sequence(0)));
    let mut hooks = PlanHooks::new(plans.collect());
    let projected = run_projectors(model, jobs, &mut hooks)?; // (V N, D)
    let pictures = jobs
        .iter()
        .enumerate()
        .map(|(i, job)| (i, job.input.image, &job.input.tokens));
    let tokens = model.pack(&projected, pictures, &mut hooks)?; // (N, D)
    // One transfer for all pictures; each digest is made of its rows of it.
    let values = HostValues::download(&tokens)?;
    let (mut images, mut digests) = (Vec::with_capacity(jobs.len()), Vec::new());
    let mut first = 0;
    for (job, mut observed) in jobs.iter_mut().zip(hooks.into_logs()) {
        observed.flush()?;
        job.captured.append(&mut observed.captured);
        job.cost += Cost::of_projector(job.projector(model), &job.input.tokens);
        // Of the plan: it may leave fewer tokens than the input has.
        let selected = job.input.plan.images.get(job.input.image);
        let count = selected.map_or(0, ImageTokens::len);
        // A copy: a view would keep the tokens of all pictures alive.
        let own = tokens.narrow(0, first, count)?.force_contiguous()?;
        let values = (count > 0).then(|| values.rows(first, count)).transpose()?;
        first += count;
        let digest = TokensDigest::of(values);
        digests.push(digest.clone());
        let mut cells = job.features()?.cells.clone();
        cells.extend_from_slice(observed.records());
        images.push(Arc::new(EncodedImage {
            key: job.input.key,
            tokens: own,
            digest,
            cells,
            unattributed_cost: Mutex::new(job.cost),
        }));
    }
    TokensDigest::make_all(digests, !tokens.device().is_cpu());
    Ok(images)
}

fn run_projectors(
    model: &Model,
    jobs: &[EncodeJob<'_>],
    hooks: &mut PlanHooks,
) -> Result<Tensor, Error> {
    let mut parts = Vec::new();
    let mut first = 0;
    // Neighbours alone: the parts must come out in the order of the jobs.
    for group in jobs.chunk_by(|a, b| Arc::ptr_eq(a.projector(model), b.projector(model))) {
        let (mut layout, mut rows) = (Layout::default(), Vec::with_capacity(group.len()));
        for (i, job) in (first..).zip(group) {
            let EncoderInput { image, tokens, .. } = job.input;
            // Views are spans of their own: noise and selectors count rows view by view.
            for view in 0..tokens.views {
                layout.push_sequence(i, (*image, view), tokens.view.tokens);
            }
            rows.push(&job.features()?.rows);
        }
        first += group.len();
        let projector = group[0].projector(model);
        parts.push(projector.forward(&Tensor::cat(&rows, 0)?, &layout, hooks)?);
    }
    Ok(Tensor::cat(&parts, 0)?)
}
