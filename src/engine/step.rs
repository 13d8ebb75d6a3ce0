//! One packed step: pictures, projector, prompts and decode rows of all requests of a model in one forward pass.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use metrics::{counter, histogram};

use super::sampling::{likeliest, log_softmax};
use super::scheduler::Request;
use super::{Cost, Prefilled, Work};
use crate::intervention::{Applied, Observed};
use crate::model::{Error, ImageTokens, Model, Projector, Prompt};
use crate::nn::{Hooks, Layout, Track};
use crate::telemetry::names;

/// What a step made for one request.
pub(super) struct Rows {
    /// The logits of its rows of interest: the last one, or those that predict the continuations, end to end.
    pub(super) logits: Vec<Vec<f32>>,
    /// What came out on the way, where this was its prompt.
    pub(super) prefilled: Option<Prefilled>,
}

/// Runs `batch`: prefills those that have no answer yet, one row of each other. Puts those that decode last.
pub(super) fn run(model: &Model, batch: &mut [&mut Request]) -> Result<Vec<Rows>, Error> {
    batch.sort_by_key(|r| !r.answer.is_empty());
    let fresh = batch.iter().take_while(|r| r.answer.is_empty()).count();
    let runs = batch.iter_mut().map(|r| (r.job.plan.clone(), std::mem::take(&mut r.observed))).collect();
    let mut hooks = Applied::new(runs);

    let visual = encode_images(model, &batch[..fresh], &mut hooks)?;
    let mut digests = visual_digests(&batch[..fresh], visual.as_ref())?.into_iter();
    let start = Instant::now();
    let input = Input::of(batch, fresh);
    let x = input.embed(model, visual)?;
    let mut caches: Vec<Option<&mut Track>> = Vec::with_capacity(input.layout.spans.len());
    for request in batch.iter_mut() {
        match &request.job.work {
            // Scored rows are never asked for again.
            Work::Score(continuations) => caches.extend(continuations.iter().map(|_| None)),
            Work::Generate { .. } => caches.push(request.cache.as_mut()),
        }
    }
    let (hidden, layout) = model.decoder.forward(x, &input.layout, &mut caches, &mut hooks)?;
    let logits = input.logits(model, &hidden, &layout, &mut hooks)?;
    let stage = if fresh > 0 { "prefill" } else { "decode_step" };
    histogram!(names::STAGE_DURATION, "stage" => stage).record(start.elapsed());
    histogram!(names::BATCH_ROWS).record(input.layout.rows() as f64);

    let mut rows: Vec<Rows> = (0..batch.len()).map(|_| Rows { logits: Vec::new(), prefilled: None }).collect();
    for (wanted, logits) in input.wanted.iter().zip(logits) {
        rows[input.layout.spans[wanted.span].sequence].logits.push(logits);
    }
    for (i, mut observed) in hooks.into_observed().enumerate() {
        observed.settle()?;
        look_through(model, &mut observed)?;
        let request = &mut *batch[i];
        let cost = computed(model, request);
        request.cost += cost;
        counter!(names::ROWS_COMPUTED).increment(cost.rows);
        if let Some(visual_tokens) = digests.next() {
            let values = rows[i].logits.iter().flatten().copied();
            let pruned = observed.pruned.clone();
            rows[i].prefilled = Some(Prefilled { visual_tokens, logits: digest(values), pruned });
        }
        request.observed = observed;
    }
    Ok(rows)
}

/// BLAKE3 (hex) of numbers as little-endian f32.
fn digest(values: impl Iterator<Item = f32>) -> String {
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    blake3::hash(&bytes).to_hex().to_string()
}

/// The digest of each fresh request's visual tokens; empty for those without any.
fn visual_digests(fresh: &[&mut Request], visual: Option<&Tensor>) -> Result<Vec<String>, Error> {
    let mut first = 0;
    let mut digests = Vec::with_capacity(fresh.len());
    for request in fresh {
        let count: usize = request.job.plan.images.iter().map(ImageTokens::len).sum();
        digests.push(match visual {
            Some(visual) if count > 0 => {
                let own = visual.narrow(0, first, count)?.to_dtype(DType::F32)?.flatten_all()?;
                digest(own.to_device(&Device::Cpu)?.to_vec1::<f32>()?.into_iter())
            }
            _ => String::new(),
        });
        first += count;
    }
    Ok(digests)
}

/// Reads the likeliest tokens off rows that were captured for the logit lens.
fn look_through(model: &Model, observed: &mut Observed) -> Result<(), Error> {
    for captured in &mut observed.captured {
        let Some((count, top)) = &mut captured.lens else { continue };
        let rows = captured.value.to_device(&model.device)?;
        let logits = model.decoder.lens(&rows)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        for row in logits.to_vec2::<f32>()? {
            top.push(log_softmax(&row).map(|row| likeliest(&row, *count)).unwrap_or_default());
        }
    }
    Ok(())
}

/// Towers and projectors of the fresh requests: the visual tokens of all pictures end to end, `(N, D)`.
fn encode_images(model: &Model, fresh: &[&mut Request], hooks: &mut dyn Hooks) -> Result<Option<Tensor>, Error> {
    let mut owners = Vec::new();
    let mut pixels = Vec::new();
    for (sequence, request) in fresh.iter().enumerate() {
        for (image, views) in request.job.pixels.iter().enumerate() {
            owners.extend((0..views.dim(0)?).map(|view| (sequence, (image, view))));
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
            part.whole(span.sequence, (span.image, span.view), span.rows.len());
        }
        let projector: &Projector = of(run[0].sequence);
        let rows = features.narrow(0, run[0].rows.start, part.rows())?;
        parts.push(projector.forward(&rows, &part, hooks)?);
    }
    let projected = Tensor::cat(&parts, 0)?; // (V N, D)
    let pictures = fresh.iter().enumerate().flat_map(|(i, r)| r.job.images.iter().map(move |image| (i, image)));
    let tokens = model.pack(&projected, pictures, hooks)?; // (N, D)
    histogram!(names::STAGE_DURATION, "stage" => "projector").record(start.elapsed());
    Ok(if tokens.dim(0)? == 0 { None } else { Some(tokens) })
}

/// The packed input of the language model.
struct Input {
    layout: Layout,
    /// Token ids row by row.
    ids: Vec<u32>,
    /// For each span of a fresh request: its visual tokens among those of all.
    visual: Vec<Range<usize>>,
    /// Rows whose logits are wanted, in order.
    wanted: Vec<Wanted>,
}

/// A row, counted from the end of its span: rows may leave from the middle of it.
struct Wanted {
    span: usize,
    /// 1 is the last row.
    from_end: usize,
}

impl Input {
    fn of(batch: &[&mut Request], fresh: usize) -> Self {
        let mut input = Self { layout: Layout::default(), ids: Vec::new(), visual: Vec::new(), wanted: Vec::new() };
        let mut first = 0;
        for (sequence, request) in batch[..fresh].iter().enumerate() {
            let visual = first..first + request.job.plan.images.iter().map(ImageTokens::len).sum::<usize>();
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
        for (sequence, request) in batch.iter().enumerate().skip(fresh) {
            let (prompt, read) = (&request.job.prompt, request.answer.len() as u32 - 1);
            input.layout.rows_of(sequence, 0, [prompt.ids.len() as u32 + read].into(), [prompt.next + read].into());
            input.wanted.push(Wanted { span: input.layout.spans.len() - 1, from_end: 1 });
            input.ids.extend(request.answer.last());
        }
        input
    }

    fn prefill(&mut self, sequence: usize, prompt: &Prompt, continuation: &[u32], visual: Range<usize>) {
        // The last token of a continuation predicts nothing that is asked for, but is cheap beside the rest.
        self.ids.extend_from_slice(&prompt.ids);
        self.ids.extend_from_slice(continuation);
        let tokens = (0..(prompt.ids.len() + continuation.len()) as u32).collect();
        let after = prompt.next..prompt.next + continuation.len() as u32;
        let positions = prompt.positions.iter().copied().chain(after).collect();
        self.layout.rows_of(sequence, 0, tokens, positions);
        let span = self.layout.spans.len() - 1;
        // A plain prompt's last row, or the row before each token of the continuation.
        let last = usize::from(!continuation.is_empty());
        let rows = (1..=continuation.len().max(1)).rev();
        self.wanted.extend(rows.map(|i| Wanted { span, from_end: last + i }));
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

    /// The logits of the wanted rows of `hidden`, whose rows `layout` names.
    fn logits(
        &self,
        model: &Model,
        hidden: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let mut rows = Vec::with_capacity(self.wanted.len());
        let mut chosen = Layout::default();
        for wanted in &self.wanted {
            let span = &layout.spans[wanted.span];
            let row = span.rows.len() - wanted.from_end;
            rows.push((span.rows.start + row) as u32);
            let (token, position) = (span.tokens[row], span.positions[row]);
            chosen.rows_of(span.sequence, 0, [token].into(), [position].into());
        }
        let count = rows.len();
        let index = Tensor::from_vec(rows, count, hidden.device())?;
        let logits = model.decoder.logits(&hidden.index_select(&index, 0)?, &chosen, hooks)?; // (wanted, V)
        Ok(logits.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec2()?)
    }
}

/// What one step takes for a request.
fn computed(model: &Model, request: &Request) -> Cost {
    let (plan, prompt) = (&request.job.plan, request.job.prompt.ids.len());
    if !request.answer.is_empty() {
        return Cost::of_step(model, plan, prompt, request.answer.len());
    }
    let views = request.job.images.iter().map(|i| i.views).sum();
    match &request.job.work {
        Work::Generate { .. } => Cost::of_prompt(model, plan, views, prompt, &[0]),
        Work::Score(continuations) => {
            let lengths: Vec<usize> = continuations.iter().map(Vec::len).collect();
            Cost::of_prompt(model, plan, views, prompt, &lengths)
        }
    }
}
