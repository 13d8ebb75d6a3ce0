//! Runs pictures up the tower: pictures that agree up to some layer go up to it once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use candle_core::Tensor;
use metrics::counter;

use super::input::EncoderInput;
use super::job::EncodeJob;
use super::output::TowerFeatures;
use crate::engine::cache::encoder::EncoderCache;
use crate::engine::cost::Cost;
use crate::engine::reuse::{Program, Start, schedule};
use crate::intervention::{EffectLog, Plan, PlanHooks};
use crate::model::{Error, Model, ViewBatch};
use crate::nn::{MemoryTracker, SequenceCache, Stack};
use crate::telemetry::names;

/// One picture's pass through the tower.
struct Pass<'a> {
    input: &'a EncoderInput,
    /// The job that the work counts for.
    job: usize,
    start: Start,
    /// A cache for each view, with the checkpoints that other passes start from.
    caches: Vec<SequenceCache>,
    /// Known when the pass is done.
    features: Option<Arc<TowerFeatures>>,
}

/// Gives all jobs their features, with at most `max_rows` rows at once, or one picture.
pub(super) fn run_tower(
    model: &Model,
    cache: &mut EncoderCache,
    checkpoints: &MemoryTracker,
    jobs: &mut [EncodeJob<'_>],
    max_rows: usize,
) -> Result<(), Error> {
    // All passes first, then their checkpoints: a pass must know who will start from it.
    let mut passes = plan(jobs, cache, checkpoints);
    request_checkpoints(model, &mut passes);
    // Generation by generation: a pass runs once the one that it starts from is done.
    while passes.iter().any(|pass| pass.features.is_none()) {
        let batch = next_batch(&passes, max_rows)?;
        let done = run_batch(model, &mut passes, &batch)?;
        for (number, (rows, mut observed)) in batch.into_iter().zip(done) {
            let pass = &mut passes[number];
            let job = &mut jobs[pass.job];
            observed.flush()?;
            job.cost += Cost::of_patches(model, &pass.input.tokens);
            for (stack, passed) in observed.take_rows_processed() {
                job.cost += Cost::of_passed(model, stack, passed);
            }
            job.captured.append(&mut observed.captured);
            let features = Arc::new(TowerFeatures {
                rows,
                cells: observed.records().to_vec(),
            });
            cache.insert_features(pass.input, features.clone());
            // Remembered even if a later pass fails: the work is done.
            job.features = Some(features.clone());
            pass.features = Some(features);
        }
    }
    share_features(&passes, jobs);
    Ok(())
}

/// Plans a pass for each distinct picture whose features are not remembered.
fn plan<'a>(
    jobs: &mut [EncodeJob<'a>],
    cache: &EncoderCache,
    checkpoints: &MemoryTracker,
) -> Vec<Pass<'a>> {
    let mut planned: Vec<usize> = Vec::new();
    let mut seen = HashSet::new();
    for (i, job) in jobs.iter_mut().enumerate() {
        if job.input.program.no_reuse {
            planned.push(i);
        } else if let Some(features) = cache.features(job.input) {
            counter!(names::IMAGE_CACHE_HITS).increment(1);
            job.features = Some(features);
        } else if seen.insert(job.input.features) {
            counter!(names::IMAGE_CACHE_MISSES).increment(1);
            planned.push(i);
        }
    }
    let programs: Vec<Arc<Program>> = planned
        .iter()
        .map(|&job| jobs[job].input.program.clone())
        .collect();
    // Checkpoints live as long as this call, so that they need no bound of their own.
    let starts = schedule(&programs, |_| None, u64::MAX);
    let mut passes = Vec::with_capacity(planned.len());
    for (job, start) in planned.into_iter().zip(starts) {
        let input = jobs[job].input;
        // Without room: attention in a tower has no past, so that only checkpoints are kept.
        let cache = || SequenceCache::new(0, 0, checkpoints, checkpoints);
        passes.push(Pass {
            input,
            job,
            start,
            caches: (0..input.tokens.views).map(|_| cache()).collect(),
            features: None,
        });
    }
    passes
}

/// Requests the rows that passes start from, and those of features below their start.
fn request_checkpoints(model: &Model, passes: &mut [Pass<'_>]) {
    let mut requests: Vec<(usize, usize)> = Vec::new();
    for (number, pass) in passes.iter().enumerate() {
        if let Some(parent) = pass.start.parent
            && pass.start.own.depth > 0
        {
            requests.push((parent, pass.start.own.depth));
        }
        for depth in pass.input.reads(model) {
            // A feature below the start of a pass is a row that another pass has run through.
            let owner = owner_of(passes, number, depth).filter(|&owner| owner != number);
            requests.extend(owner.map(|owner| (owner, depth)));
        }
    }
    for (number, depth) in requests {
        for cache in &mut passes[number].caches {
            cache.request_checkpoint(depth, 0);
        }
    }
}

/// Returns the pass that itself has the rows of pass `number` after `depth` layers: it, or one that
/// it started from.
fn owner_of(passes: &[Pass<'_>], number: usize, depth: usize) -> Option<usize> {
    let mut at = number;
    while passes.get(at)?.start.own.depth > depth {
        at = passes[at].start.parent?;
    }
    Some(at)
}

/// Returns the passes that can run now, as many as fit.
fn next_batch(passes: &[Pass<'_>], max_rows: usize) -> Result<Vec<usize>, Error> {
    let mut batch: Vec<usize> = Vec::new();
    let mut rows = 0;
    for (number, pass) in passes.iter().enumerate() {
        let parent = pass.start.parent;
        let can_start = parent.is_none_or(|parent| passes[parent].features.is_some());
        if pass.features.is_some() || !can_start {
            continue;
        }
        let own = pass.input.rows();
        if !batch.is_empty() && rows + own > max_rows {
            break;
        }
        rows += own;
        batch.push(number);
    }
    // Every pass stands after its parent, so that one can always run. A fault in that would
    // otherwise hold the engine's thread for ever.
    if batch.is_empty() {
        return Err(Error::Config("the tower's schedule does not end".into()));
    }
    Ok(batch)
}

/// Runs passes together; returns the features of each, with its account of effects.
fn run_batch(
    model: &Model,
    passes: &mut [Pass<'_>],
    batch: &[usize],
) -> Result<Vec<(Tensor, EffectLog)>, Error> {
    let tower = &model.tower;
    let accounts = batch.iter().map(|&number| account(passes, number));
    let mut hooks = PlanHooks::new(accounts.collect());
    let (x, packed) = inputs(model, passes, batch, &mut hooks)?;
    // The views of the batch, and their caches, end to end.
    let (mut views, mut caches) = (Vec::new(), Vec::new());
    for &number in batch {
        // Taken out: `earlier` reads those of other passes meanwhile.
        let own = std::mem::take(&mut passes[number].caches);
        views.extend((0..own.len()).map(|view| (number, view)));
        caches.extend(own);
    }
    let earlier = |span: usize, depth: usize| earlier_rows(&*passes, *views.get(span)?, depth);
    // `(V N, n D_vision)`.
    let (features, _) = tower.forward_from(x, &packed, &mut caches, &earlier, &mut hooks)?;
    for ((number, _), cache) in views.into_iter().zip(caches) {
        // Back in their order, since later passes look for a view by its number.
        passes[number].caches.push(cache);
    }
    let mut first = 0;
    let mut done = Vec::with_capacity(batch.len());
    for (&number, observed) in batch.iter().zip(hooks.into_logs()) {
        let tokens = &passes[number].input.tokens;
        let rows = tokens.views * tokens.view.tokens;
        // A copy: a view would keep the features of the whole batch alive.
        let own = features.narrow(0, first, rows)?.force_contiguous()?;
        done.push((own, observed));
        first += rows;
    }
    Ok(done)
}

/// Returns the plan of a pass, with the effects on the rows that it takes from another one.
fn account(passes: &[Pass<'_>], number: usize) -> (Arc<Plan>, EffectLog) {
    let Pass { input, start, .. } = &passes[number];
    let mut observed = EffectLog::of_sequence(0);
    let parent = start.parent.and_then(|p| passes[p].features.as_ref());
    if let Some(parent) = parent {
        observed.inherit_prefix(&parent.cells, Stack::VisionTower, start.own.depth, 0);
    }
    (input.plan.clone(), observed)
}

/// Packs the rows that passes start with: patches, or the checkpoints of others.
fn inputs(
    model: &Model,
    passes: &[Pass<'_>],
    batch: &[usize],
    hooks: &mut PlanHooks,
) -> Result<(Tensor, ViewBatch), Error> {
    let (tower, device) = (&model.tower, model.on_device()?);
    let (mut packed, mut parts) = (ViewBatch::default(), Vec::new());
    for (sequence, &number) in batch.iter().enumerate() {
        let Pass { input, start, .. } = &passes[number];
        let depth = start.own.depth;
        let mut own = ViewBatch::default();
        for view in 0..input.tokens.views {
            let owner = (sequence, input.image, view);
            own.push(tower.info(), owner, input.tokens.view, depth);
        }
        match start.parent.filter(|_| depth > 0) {
            None => parts.push(tower.embed(&input.pixels.upload(&device)?, &own, hooks)?),
            Some(parent) => {
                for cache in &passes[parent].caches {
                    // `(R, D)` of each view, in the order of the views.
                    parts.extend(cache.checkpoints(depth).iter().map(|c| c.rows.clone()));
                }
            }
        }
        packed.append(own);
    }
    Ok((Tensor::cat(&parts, 0)?, packed))
}

/// Returns the rows of a view after `depth` layers, which another pass has run.
fn earlier_rows(
    passes: &[Pass<'_>],
    (number, view): (usize, usize),
    depth: usize,
) -> Option<Tensor> {
    let owner = owner_of(passes, number, depth)?;
    let cache = passes[owner].caches.get(view)?;
    cache
        .checkpoints(depth)
        .first()
        .map(|kept| kept.rows.clone())
}

/// Gives the features of a pass to the other jobs whose picture is the same up to the projector.
fn share_features(passes: &[Pass<'_>], jobs: &mut [EncodeJob<'_>]) {
    let mut by_key: HashMap<blake3::Hash, &Arc<TowerFeatures>> = HashMap::new();
    for pass in passes.iter().filter(|p| !p.input.program.no_reuse) {
        by_key.extend(pass.features.as_ref().map(|f| (pass.input.features, f)));
    }
    for job in jobs.iter_mut().filter(|job| job.features.is_none()) {
        let shared = by_key.get(&job.input.features);
        job.features = shared.map(|&features| features.clone());
    }
}
