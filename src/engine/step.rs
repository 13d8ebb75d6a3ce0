//! One packed step: pictures, projector, prompts and decode rows of all requests of a model in one forward pass.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use metrics::{counter, histogram};

use super::Work;
use super::scheduler::Request;
use crate::intervention::{Applied, Plan};
use crate::model::{Error, ImageTokens, Model, Projector};
use crate::nn::{Hooks, KvCache, Layout, Stack};
use crate::telemetry::names;

/// What a step made for one request.
pub(super) struct Rows {
    /// The logits of its rows of interest: the last one, or those that predict the continuations, end to end.
    pub(super) logits: Vec<Vec<f32>>,
    /// (row, layer) pairs computed for it.
    pub(super) computed: u64,
}

/// Runs `batch`: prefills those that have no answer yet, one row of each other. Puts those that decode last.
pub(super) fn run(model: &Model, batch: &mut [&mut Request]) -> Result<Vec<Rows>, Error> {
    batch.sort_by_key(|r| !r.answer.is_empty());
    let fresh = batch.iter().take_while(|r| r.answer.is_empty()).count();
    let plans: Vec<Arc<Plan>> = batch.iter().map(|r| r.job.plan.clone()).collect();
    let plans: Vec<&Plan> = plans.iter().map(AsRef::as_ref).collect();
    let mut hooks = Applied::new(&plans);

    let visual = encode_images(model, &batch[..fresh], &mut hooks)?;
    let start = Instant::now();
    let input = Input::of(batch, fresh);
    let x = input.embed(model, visual)?;
    let mut caches: Vec<Option<&mut KvCache>> = Vec::with_capacity(input.layout.spans.len());
    for request in batch.iter_mut() {
        match &request.job.work {
            // Scored rows are never asked for again.
            Work::Score(continuations) => caches.extend(continuations.iter().map(|_| None)),
            Work::Generate { .. } => caches.push(request.cache.as_mut()),
        }
    }
    let hidden = model.decoder.forward(x, &input.layout, &mut caches, &mut hooks)?;
    let logits = input.logits(model, &hidden, &mut hooks)?;
    let stage = if fresh > 0 { "prefill" } else { "decode_step" };
    histogram!(names::STAGE_DURATION, "stage" => stage).record(start.elapsed());
    histogram!(names::BATCH_ROWS).record(input.layout.rows() as f64);

    let mut rows: Vec<Rows> =
        (0..batch.len()).map(|i| Rows { logits: Vec::new(), computed: computed(model, batch[i]) }).collect();
    for (owner, logits) in input.owners.iter().zip(logits) {
        rows[*owner].logits.push(logits);
    }
    counter!(names::ROWS_COMPUTED).increment(rows.iter().map(|r| r.computed).sum());
    Ok(rows)
}

/// Towers and projectors of the fresh requests: the visual tokens of all pictures end to end, `(N, D)`.
fn encode_images(model: &Model, fresh: &[&mut Request], hooks: &mut dyn Hooks) -> Result<Option<Tensor>, Error> {
    let mut owners = Vec::new();
    let mut pixels = Vec::new();
    for (sequence, request) in fresh.iter().enumerate() {
        for (image, views) in request.job.pixels.iter().enumerate() {
            owners.extend((0..views.dim(0)?).map(|_| (sequence, image)));
            pixels.push(views);
        }
    }
    if pixels.is_empty() {
        return Ok(None);
    }
    let start = Instant::now();
    let (features, layout) = model.tower.forward(&Tensor::cat(&pixels, 0)?, &owners, hooks)?; // (V N, D_vision)
    histogram!(names::STAGE_DURATION, "stage" => "vision_tower").record(start.elapsed());
    let start = Instant::now();
    let own = model.own_projector();
    let of = |sequence: usize| fresh[sequence].job.plan.projector.as_ref().unwrap_or(own);
    // Neighbours that share a projector share its GEMMs.
    let mut parts = Vec::new();
    for run in layout.spans.chunk_by(|a, b| Arc::ptr_eq(of(a.sequence), of(b.sequence))) {
        let mut part = Layout::default();
        for span in run {
            part.prefill(span.sequence, span.image, span.rows.len(), 0);
        }
        let projector: &Projector = of(run[0].sequence);
        let rows = features.narrow(0, run[0].rows.start, part.rows())?;
        parts.push(projector.forward(&rows, &part, hooks)?);
    }
    let projected = Tensor::cat(&parts, 0)?; // (V N, D)
    let pictures = fresh.iter().enumerate().flat_map(|(i, r)| r.job.images.iter().map(move |image| (i, image)));
    let tokens = model.pack(&projected, pictures, hooks)?; // (N, D)
    histogram!(names::STAGE_DURATION, "stage" => "projector").record(start.elapsed());
    Ok(Some(tokens))
}

/// The packed input of the language model.
struct Input {
    layout: Layout,
    /// Token ids row by row.
    ids: Vec<u32>,
    /// For each span of a fresh request: its visual tokens among those of all.
    visual: Vec<Range<usize>>,
    /// Rows whose logits are wanted, ascending.
    wanted: Vec<u32>,
    /// Of those, how many are prefill rows.
    wanted_prefill: usize,
    /// The request of each wanted row.
    owners: Vec<usize>,
}

impl Input {
    fn of(batch: &[&mut Request], fresh: usize) -> Self {
        let mut input = Self {
            layout: Layout::default(),
            ids: Vec::new(),
            visual: Vec::new(),
            wanted: Vec::new(),
            wanted_prefill: 0,
            owners: Vec::new(),
        };
        let mut first = 0;
        for (sequence, request) in batch[..fresh].iter().enumerate() {
            let visual = first..first + request.job.images.iter().map(ImageTokens::len).sum::<usize>();
            first = visual.end;
            let prompt = &request.job.prompt;
            match &request.job.work {
                Work::Generate { .. } => input.prefill(sequence, prompt, &[], visual),
                Work::Score(continuations) => {
                    for continuation in continuations {
                        input.prefill(sequence, prompt, continuation, visual.clone());
                    }
                }
            }
        }
        input.wanted_prefill = input.wanted.len();
        for (sequence, request) in batch.iter().enumerate().skip(fresh) {
            let position = request.job.prompt.len() + request.answer.len() - 1;
            input.layout.decode(sequence, position);
            input.owners.push(sequence);
            input.wanted.push(input.layout.rows() as u32 - 1);
            input.ids.extend(request.answer.last());
        }
        input
    }

    fn prefill(&mut self, sequence: usize, prompt: &[u32], continuation: &[u32], visual: Range<usize>) {
        // The last token of a continuation predicts nothing that is asked for, but is cheap beside the rest.
        self.ids.extend_from_slice(prompt);
        self.ids.extend_from_slice(continuation);
        self.layout.prefill(sequence, 0, prompt.len() + continuation.len(), 0);
        let start = self.layout.rows() - continuation.len() - 1;
        let rows = start..start + continuation.len().max(1);
        self.owners.extend(rows.clone().map(|_| sequence));
        self.wanted.extend(rows.map(|r| r as u32));
        self.visual.push(visual);
    }

    /// Token embeddings with the visual tokens of each request at its image tokens: `(R, D)`.
    fn embed(&self, model: &Model, visual: Option<Tensor>) -> Result<Tensor, Error> {
        let words = model.decoder.embed(&self.ids)?; // (R, D)
        let Some(visual) = visual else { return Ok(words) };
        let rows = self.ids.len() as u32;
        let mut index: Vec<u32> = (0..rows).collect();
        for (span, tokens) in self.layout.spans.iter().zip(&self.visual) {
            let mut tokens = tokens.clone();
            for row in span.rows.clone().filter(|&r| self.ids[r] == model.image_token) {
                if let Some(token) = tokens.next() {
                    index[row] = rows + token as u32;
                }
            }
        }
        let count = index.len();
        let index = Tensor::from_vec(index, count, words.device())?;
        Ok(Tensor::cat(&[words, visual], 0)?.index_select(&index, 0)?)
    }

    /// The logits of the wanted rows.
    fn logits(&self, model: &Model, hidden: &Tensor, hooks: &mut dyn Hooks) -> Result<Vec<Vec<f32>>, Error> {
        let index = Tensor::from_slice(&self.wanted, self.wanted.len(), hidden.device())?;
        let mut layout = Layout::default();
        for (row, &sequence) in self.owners.iter().enumerate() {
            if row < self.wanted_prefill {
                layout.prefill(sequence, 0, 1, 0);
            } else {
                layout.decode(sequence, 0);
            }
        }
        let logits = model.decoder.logits(&hidden.index_select(&index, 0)?, &layout, hooks)?; // (wanted, V)
        Ok(logits.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec2()?)
    }
}

/// (row, layer) pairs that one step computes for a request.
fn computed(model: &Model, request: &Request) -> u64 {
    let dropped = |stack| request.job.plan.dropped.iter().filter(|d| d.0 == stack).count();
    let layers = model.decoder.config().num_hidden_layers - dropped(Stack::LanguageModel);
    if !request.answer.is_empty() {
        return layers as u64;
    }
    let tower_layers = model.tower.feature_layers() - dropped(Stack::VisionTower);
    let tower_rows = request.job.images.iter().map(|i| i.views).sum::<usize>() * model.tower.rows();
    (request.rows() * layers + tower_rows * tower_layers) as u64
}
