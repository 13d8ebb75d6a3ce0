//! Encoder to visual tokens: each distinct one once, from where it differs from another.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use candle_core::Tensor;
use metrics::{counter, histogram};
use quick_cache::{Weighter, unsync::Cache};

use super::cost::Cost;
use super::request::Variant;
use super::reuse::planner::{Start, schedule};
use super::reuse::program::{Program, Row};
use crate::intervention::{Captured, EffectLog, EffectRecord, Plan, PlanHooks};
use crate::model::{Error, ImageTokens, Model, Projector, ViewBatch};
use crate::nn::{Layout, MemoryTracker, SequenceCache, Stack, digest};
use crate::telemetry::names;

/// What a picture is to the language model.
#[derive(Debug)]
pub(super) struct EncodedImage {
    pub(super) key: blake3::Hash,
    /// `(N, D)`.
    pub(super) tokens: Tensor,
    /// BLAKE3 (hex) of the tokens, little-endian f32; empty without any.
    pub(super) digest: String,
    /// What was done on the way.
    pub(super) cells: Vec<EffectRecord>,
    /// What it took, until somebody pays for it.
    unpaid: Mutex<Cost>,
}

impl EncodedImage {
    /// What it took, for the first who asks; nothing for all others.
    pub(super) fn take_cost(&self) -> Cost {
        std::mem::take(&mut self.unpaid.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the tower makes of a picture, `(V N, n D_vision)`.
#[derive(Debug)]
struct Features {
    rows: Tensor,
    cells: Vec<EffectRecord>,
}

/// One picture of one variant.
#[derive(Debug, Clone)]
pub(super) struct EncoderInput {
    pub(super) plan: Arc<Plan>,
    pub(super) image: usize,
    pixels: Tensor,
    tokens: ImageTokens,
    /// The picture in this tower under this plan.
    features: blake3::Hash,
    /// The same after the projector, as the language model reads it.
    pub(super) key: blake3::Hash,
    program: Arc<Program>,
}

impl EncoderInput {
    /// The pictures of a variant.
    pub(super) fn all(model: &Model, tenant: &str, variant: &Variant) -> Result<Vec<Self>, Error> {
        let plan = &variant.plan;
        if variant.images.is_empty() {
            return Ok(Vec::new());
        }
        let (mut tower, mut projector) = (blake3::Hasher::new(), blake3::Hasher::new());
        let (mut in_tower, mut in_projector) = (false, false);
        for (point, acts) in plan.edit_keys()? {
            let (hasher, some) = match point.stack {
                Stack::VisionTower => (&mut tower, &mut in_tower),
                Stack::Projector => (&mut projector, &mut in_projector),
                Stack::LanguageModel => continue,
            };
            *some = true;
            hasher.update(point.to_string().as_bytes());
            acts.iter().for_each(|act| {
                hasher.update(act.digest().as_bytes());
            });
        }
        let path = plan.path(Stack::VisionTower, model.tower.info().layers_run());
        tower.update(format!("{tenant:?} {} {path:?}", model.digest).as_bytes());
        if let Some(swapped) = &plan.projector {
            projector.update(swapped.digest()?.as_bytes());
        }
        let mut looks = Vec::with_capacity(variant.images.len());
        for (image, (pixels, tokens)) in variant.pixels.iter().zip(&variant.images).enumerate() {
            // What is drawn depends on the place of the picture.
            let number = |some: bool| if some { image as u64 + 1 } else { 0 };
            // The same numbers may stand in rows of another length.
            let shape = format!("{:?}", tokens.view.grid);
            let picture = blake3::Hasher::new()
                .update(pixels.digest.as_bytes())
                .update(shape.as_bytes())
                .finalize();
            let mut features = tower.clone();
            features
                .update(picture.as_bytes())
                .update(&number(in_tower).to_le_bytes());
            let features = features.finalize();
            let mut key = projector.clone();
            let shape = format!(
                "{} {:?} {:?} {:?}",
                tokens.views,
                tokens.base,
                tokens.canvas,
                tokens.content()
            );
            key.update(features.as_bytes())
                .update(shape.as_bytes())
                .update(&number(in_projector).to_le_bytes());
            let content =
                u128::from_le_bytes(picture.as_bytes()[..16].try_into().unwrap_or_default());
            let input = [Row {
                content,
                position: number(in_tower) as u32,
            }];
            let layers = model.tower.info().layers_run();
            let program = Program::of(plan, Stack::VisionTower, layers, input.into(), 0)?;
            looks.push(Self {
                plan: plan.clone(),
                image,
                pixels: pixels.views.clone(),
                tokens: tokens.clone(),
                features,
                key: key.finalize(),
                program: Arc::new(program),
            });
        }
        Ok(looks)
    }

    /// Returns after how many layers of its path each feature is read; see
    /// [`TowerInfo::reads`](crate::model::TowerInfo::reads).
    fn reads(&self, model: &Model) -> Vec<usize> {
        let info = model.tower.info();
        info.reads(&self.plan.path(Stack::VisionTower, info.layers_run()))
    }

    /// Returns its rows in the tower.
    pub(super) fn rows(&self) -> usize {
        self.tokens.views * self.tokens.view.rows
    }
}

#[derive(Debug, Clone)]
struct Bytes;

fn bytes(tensor: &Tensor, cells: &[EffectRecord]) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes() + cells.len() * 128 + 256) as u64
}

impl Weighter<blake3::Hash, Arc<EncodedImage>> for Bytes {
    fn weight(&self, _: &blake3::Hash, visual: &Arc<EncodedImage>) -> u64 {
        bytes(&visual.tokens, &visual.cells)
    }
}

impl Weighter<blake3::Hash, Arc<Features>> for Bytes {
    fn weight(&self, _: &blake3::Hash, features: &Arc<Features>) -> u64 {
        bytes(&features.rows, &features.cells)
    }
}

/// What pictures came to, as many as fit.
pub(super) struct Encoder {
    visuals: Cache<blake3::Hash, Arc<EncodedImage>, Bytes>,
    features: Cache<blake3::Hash, Arc<Features>, Bytes>,
    checkpoints: MemoryTracker,
}

/// A picture encoded, and what was captured on the way.
pub(super) type Encoded = (Arc<EncodedImage>, Vec<Captured>);

impl Encoder {
    /// Keeps at most `most` bytes.
    pub(super) fn new(most: u64, checkpoints: &MemoryTracker) -> Self {
        // Few large things: the estimate is of pictures of some megabytes.
        let items = (most >> 22).clamp(16, 4096) as usize;
        Self {
            visuals: Cache::with_weighter(items, most / 2, Bytes),
            features: Cache::with_weighter(items, most - most / 2, Bytes),
            checkpoints: checkpoints.clone(),
        }
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.visuals.weight() + self.features.weight()
    }

    /// A picture, if it is at hand.
    pub(super) fn get(&mut self, look: &EncoderInput) -> Option<Arc<EncodedImage>> {
        if look.program.no_reuse {
            None
        } else {
            self.visuals.get(&look.key).cloned()
        }
    }

    /// Encodes `looks`, of which none is at hand; at most `most_rows` rows of the tower at once, or
    /// one picture.
    pub(super) fn encode(
        &mut self,
        model: &Model,
        looks: &[EncoderInput],
        most_rows: usize,
    ) -> Result<Vec<Encoded>, Error> {
        let mut fresh: Vec<usize> = Vec::new();
        let mut seen = HashSet::new();
        for (i, look) in looks.iter().enumerate() {
            if look.program.no_reuse || seen.insert(look.key) {
                fresh.push(i);
            }
        }
        let own: Vec<&EncoderInput> = fresh.iter().map(|&i| &looks[i]).collect();
        let start = Instant::now();
        let (features, mut captured, mut costs) = self.climb(model, &own, most_rows)?;
        histogram!(names::STAGE_DURATION, "stage" => "vision_tower").record(start.elapsed());
        let start = Instant::now();
        let visuals = project(model, &own, &features, &mut captured, &mut costs)?;
        counter!(names::ROWS_COMPUTED).increment(costs.iter().map(|c| c.rows).sum());
        histogram!(names::STAGE_DURATION, "stage" => "projector").record(start.elapsed());
        let mut by_key = HashMap::new();
        let mut encoded: Vec<Option<Encoded>> = looks.iter().map(|_| None).collect();
        for ((&i, visual), captured) in fresh.iter().zip(visuals).zip(captured) {
            let visual = Arc::new(visual);
            if !looks[i].program.no_reuse {
                self.visuals.insert(looks[i].key, visual.clone());
                by_key.insert(looks[i].key, visual.clone());
            }
            encoded[i] = Some((visual, captured));
        }
        let twin = |(look, encoded): (&EncoderInput, Option<Encoded>)| {
            encoded.or_else(|| Some((by_key.get(&look.key)?.clone(), Vec::new())))
        };
        Ok(looks.iter().zip(encoded).filter_map(twin).collect())
    }

    /// The tower: pictures that agree up to some layer climb to it once.
    #[expect(
        clippy::type_complexity,
        reason = "three lists, one entry for each picture"
    )]
    fn climb(
        &mut self,
        model: &Model,
        looks: &[&EncoderInput],
        most_rows: usize,
    ) -> Result<(Vec<Arc<Features>>, Vec<Vec<Captured>>, Vec<Cost>), Error> {
        let mut captured: Vec<Vec<Captured>> = looks.iter().map(|_| Vec::new()).collect();
        let mut costs = vec![Cost::default(); looks.len()];
        let mut found: HashMap<blake3::Hash, Arc<Features>> = HashMap::new();
        let mut runs: Vec<usize> = Vec::new();
        let mut waits = HashSet::new();
        for (i, look) in looks.iter().enumerate() {
            if look.program.no_reuse {
                runs.push(i);
            } else if let Some(features) = self.features.get(&look.features) {
                counter!(names::IMAGE_CACHE_HITS).increment(1);
                found.insert(look.features, features.clone());
            } else if waits.insert(look.features) {
                counter!(names::IMAGE_CACHE_MISSES).increment(1);
                runs.push(i);
            }
        }
        let programs: Vec<Arc<Program>> = runs.iter().map(|&i| looks[i].program.clone()).collect();
        let starts = schedule(&programs, |_| None, u64::MAX);
        let cache = || SequenceCache::new(0, 0, &self.checkpoints, &self.checkpoints);
        let mut caches: Vec<Vec<SequenceCache>> = runs
            .iter()
            .map(|&i| (0..looks[i].tokens.views).map(|_| cache()).collect())
            .collect();
        for start in starts.iter().filter(|s| s.own.depth > 0) {
            if let Some(parent) = start.parent {
                caches[parent]
                    .iter_mut()
                    .for_each(|cache| cache.request_checkpoint(start.own.depth, 0));
            }
        }
        // Features that are read before the layer where a run starts are those of the run that has
        // passed it.
        for (r, &i) in runs.iter().enumerate() {
            for slot in looks[i].reads(model) {
                if let Some(passed) = passed_by(&starts, r, slot).filter(|&passed| passed != r) {
                    caches[passed]
                        .iter_mut()
                        .for_each(|cache| cache.request_checkpoint(slot, 0));
                }
            }
        }
        let mut made: Vec<Option<Arc<Features>>> = vec![None; runs.len()];
        while made.iter().any(Option::is_none) {
            let ready = |r: &usize| {
                made[*r].is_none() && starts[*r].parent.is_none_or(|p| made[p].is_some())
            };
            let mut batch: Vec<usize> = Vec::new();
            let mut rows = 0;
            for r in (0..runs.len()).filter(ready) {
                let own = looks[runs[r]].rows();
                if !batch.is_empty() && rows + own > most_rows {
                    break;
                }
                rows += own;
                batch.push(r);
            }
            if batch.is_empty() {
                return Err(Error::Config("the tower's schedule does not end".into()));
            }
            let observed = climb_some(model, looks, &runs, &starts, &batch, &mut caches, &made)?;
            for (&r, (rows, mut observed)) in batch.iter().zip(observed) {
                let i = runs[r];
                observed.flush()?;
                costs[i] += Cost::of_patches(model, &looks[i].tokens);
                for (stack, passed) in observed.take_rows_processed() {
                    costs[i] += Cost::of_passed(model, stack, passed);
                }
                captured[i].append(&mut observed.captured);
                let features = Arc::new(Features {
                    rows,
                    cells: observed.records().to_vec(),
                });
                if !looks[i].program.no_reuse {
                    self.features.insert(looks[i].features, features.clone());
                    found.insert(looks[i].features, features.clone());
                }
                made[r] = Some(features);
            }
        }
        let mut features: Vec<Option<Arc<Features>>> = looks
            .iter()
            .map(|l| found.get(&l.features).cloned())
            .collect();
        runs.iter()
            .zip(made)
            .for_each(|(&i, made)| features[i] = made);
        Ok((features.into_iter().flatten().collect(), captured, costs))
    }
}

/// The run that itself has the rows after `slot` layers of run `r`: it, or one that it started
/// from.
fn passed_by(starts: &[Start], r: usize, slot: usize) -> Option<usize> {
    let mut at = r;
    while starts.get(at)?.own.depth > slot {
        at = starts[at].parent?;
    }
    Some(at)
}

/// Runs `batch` of `runs` up the tower together: of each its features and its account.
fn climb_some(
    model: &Model,
    looks: &[&EncoderInput],
    runs: &[usize],
    starts: &[Start],
    batch: &[usize],
    caches: &mut [Vec<SequenceCache>],
    made: &[Option<Arc<Features>>],
) -> Result<Vec<(Tensor, EffectLog)>, Error> {
    let tower = &*model.tower;
    let mut accounts = Vec::with_capacity(batch.len());
    for &r in batch {
        let mut observed = EffectLog::of_sequence(0);
        if let Some(parent) = starts[r].parent.and_then(|p| made[p].as_ref()) {
            observed.inherit_prefix(&parent.cells, Stack::VisionTower, starts[r].own.depth, 0);
        }
        accounts.push((looks[runs[r]].plan.clone(), observed));
    }
    let mut hooks = PlanHooks::new(accounts);
    let (mut packed, mut parts) = (ViewBatch::default(), Vec::new());
    for (sequence, &r) in batch.iter().enumerate() {
        let look = looks[runs[r]];
        let slot = starts[r].own.depth;
        let mut own = ViewBatch::default();
        for view in 0..look.tokens.views {
            own.push(tower, (sequence, look.image, view), look.tokens.view, slot);
        }
        match starts[r].parent.filter(|_| slot > 0) {
            None => parts.push(tower.embed(&look.pixels, &own, &mut hooks)?),
            Some(parent) => {
                for cache in &caches[parent] {
                    parts.extend(cache.checkpoints(slot).iter().map(|c| c.rows.clone()));
                }
            }
        }
        packed.append(own);
    }
    let mut own: Vec<Vec<SequenceCache>> = batch
        .iter()
        .map(|&r| std::mem::take(&mut caches[r]))
        .collect();
    let counts: Vec<usize> = own.iter().map(Vec::len).collect();
    let mut all: Vec<SequenceCache> = own.drain(..).flatten().collect();
    let views: Vec<(usize, usize)> = batch
        .iter()
        .zip(&counts)
        .flat_map(|(&r, &count)| (0..count).map(move |view| (r, view)))
        .collect();
    let earlier = |span: usize, slot: usize| {
        let &(r, view) = views.get(span)?;
        let cache = caches.get(passed_by(starts, r, slot)?)?.get(view)?;
        cache
            .checkpoints(slot)
            .first()
            .map(|kept| kept.rows.clone())
    };
    let x = Tensor::cat(&parts, 0)?;
    let (features, _) = tower.forward_from(x, &packed, &mut all, &earlier, &mut hooks)?; // (V N, n D_vision)
    let mut all = all.into_iter();
    batch
        .iter()
        .zip(counts)
        .for_each(|(&r, count)| caches[r] = all.by_ref().take(count).collect());
    let mut first = 0;
    let mut done = Vec::with_capacity(batch.len());
    for (&r, observed) in batch.iter().zip(hooks.into_logs()) {
        let tokens = &looks[runs[r]].tokens;
        let rows = tokens.views * tokens.view.tokens;
        done.push((
            features.narrow(0, first, rows)?.force_contiguous()?,
            observed,
        ));
        first += rows;
    }
    Ok(done)
}

/// The projector, and the packing of views; neighbours that share a projector share its GEMMs.
fn project(
    model: &Model,
    looks: &[&EncoderInput],
    features: &[Arc<Features>],
    captured: &mut [Vec<Captured>],
    costs: &mut [Cost],
) -> Result<Vec<EncodedImage>, Error> {
    let accounts = looks
        .iter()
        .map(|l| (l.plan.clone(), EffectLog::of_sequence(0)))
        .collect();
    let mut hooks = PlanHooks::new(accounts);
    let projector = |i: usize| {
        looks[i]
            .plan
            .projector
            .as_ref()
            .unwrap_or(model.own_projector())
    };
    let mut parts = Vec::new();
    let numbers: Vec<usize> = (0..looks.len()).collect();
    for run in numbers.chunk_by(|&a, &b| Arc::ptr_eq(projector(a), projector(b))) {
        let mut layout = Layout::default();
        for &i in run {
            let tokens = &looks[i].tokens;
            for view in 0..tokens.views {
                layout.push_sequence(i, (looks[i].image, view), tokens.view.tokens);
            }
        }
        let rows: Vec<&Tensor> = run.iter().map(|&i| &features[i].rows).collect();
        let one: &Projector = projector(run[0]);
        parts.push(one.forward(&Tensor::cat(&rows, 0)?, &layout, &mut hooks)?);
    }
    let projected = Tensor::cat(&parts, 0)?; // (V N, D)
    let pictures = looks
        .iter()
        .enumerate()
        .map(|(i, look)| (i, look.image, &look.tokens));
    let tokens = model.pack(&projected, pictures, &mut hooks)?; // (N, D)
    let mut visuals = Vec::with_capacity(looks.len());
    let mut first = 0;
    for (i, mut observed) in hooks.into_logs().enumerate() {
        observed.flush()?;
        captured[i].append(&mut observed.captured);
        costs[i] += Cost::of_projector(projector(i), &looks[i].tokens);
        let count = looks[i]
            .plan
            .images
            .get(looks[i].image)
            .map_or(0, ImageTokens::len);
        let own = tokens.narrow(0, first, count)?.force_contiguous()?;
        first += count;
        let digest = if count > 0 {
            digest::of_tensor(&own)?.to_hex().to_string()
        } else {
            String::new()
        };
        let mut cells = features[i].cells.clone();
        cells.extend_from_slice(observed.records());
        let unpaid = Mutex::new(costs[i]);
        visuals.push(EncodedImage {
            key: looks[i].key,
            tokens: own,
            digest,
            cells,
            unpaid,
        });
    }
    Ok(visuals)
}
