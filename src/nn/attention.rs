//! Multi-head attention over packed rows: one set of projections for all sequences, one softmax for
//! each.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{Result, Tensor};

use super::attention_inputs::AttentionInputs;
use super::attention_plan::KeySpan;
use super::backend::Backend;
use super::candle::attention::{self as candle, Masks};
use super::cpu::attention::Scoring;
use super::cpu_attention as cpu;
use super::cuda::{self, DecodeRow, SplitRows};
use super::hook::{Hooks, Point, Site, Stack, wanted};
use super::kv_cache::cached_keys::CachedKeys;
use super::kv_cache::sequence::SequenceCache;
use super::kv_cache::slots::{DecodeSlots, SlotEntry};
use super::layout::{Layout, Queries, Span, replace_rows};
use super::linear::Linear;
use super::norm::Norm;
use super::rope::Rope;
use super::storage::{as_floats, rounded_to};

/// Attention with `heads` query heads over `kv_heads` key-value heads (GQA, Ainslie et al. 2023).
#[derive(Debug, Clone)]
pub struct Attention {
    /// `(H Dh, D)`.
    pub q: Linear,
    /// `(K Dh, D)`.
    pub k: Linear,
    /// `(K Dh, D)`.
    pub v: Linear,
    /// `((H + 2 K) Dh, D)`: the three of them, where one product serves all.
    pub qkv: Option<Linear>,
    /// `(D, H Dh)`.
    pub o: Linear,
    /// Applied to the queries before they are rotated: `(Dh)`, to every head (Qwen3), or `(H Dh)`, to
    /// all heads together (InternVL).
    pub q_norm: Option<Norm>,
    /// The same for the keys.
    pub k_norm: Option<Norm>,
    /// H.
    pub heads: usize,
    /// K; divides H.
    pub kv_heads: usize,
    /// Dh.
    pub head_dim: usize,
    /// Multiplies the product of a query and a key.
    pub scale: f64,
    /// Bounds scores: `c tanh(s / c)` (Gemma 2).
    pub softcap: Option<f64>,
    /// Lets a query see only keys at or before its own position.
    pub causal: bool,
    /// A causal query sees at most this many keys, itself included.
    pub window: Option<usize>,
}

/// The state that all layers of a pass share.
#[derive(Debug, Default)]
pub struct PassState {
    /// The cosines and sines that rotate the query and the key of every row, `(R, Dh/2)` each; none
    /// in a tower.
    pub angles: Option<(Tensor, Tensor)>,
    /// The rows that go on from the attention of the next layer; all of them where it is `None`.
    pub(super) queries: Option<Queries>,
    masks: Masks,
    pub(super) plans: cuda::Plans,
}

impl PassState {
    /// Creates the state of a pass whose rows are rotated by `angles`.
    pub fn new(angles: Option<(Tensor, Tensor)>) -> Self {
        Self {
            angles,
            ..Self::default()
        }
    }

    /// Returns the rows of `x (R, D)` that go on from the attention, `(R', D)`.
    pub(super) fn going_on(&self, x: &Tensor) -> Result<Tensor> {
        match &self.queries {
            Some(queries) => queries.of(x),
            None => Ok(x.clone()),
        }
    }

    /// Returns the spans of these rows, of those of `layout`.
    pub(super) fn spans<'a>(&'a self, layout: &'a Layout) -> &'a [Span] {
        let queries = self.queries.as_ref();
        &queries.map_or(layout, |queries| &queries.layout).spans
    }
}

/// Queries `(R', H, Dh)`, keys and values `(R, K, Dh)` of the rows of a call.
struct Projected {
    q: Tensor,
    k: Tensor,
    v: Tensor,
}

/// The sequences of a call, by how their attention is computed.
#[derive(Default)]
struct Groups {
    /// Rows that decode where our kernels attend.
    decode: Vec<DecodeRow>,
    /// Rows in decode slots, by how often their sequence ran the layer before.
    slots: BTreeMap<usize, (DecodeSlots, Vec<SlotEntry>)>,
    /// Sequences whose scores or pattern a hook reads or changes.
    hooked: Vec<AttentionInputs>,
    /// All others, which keep no scores.
    plain: Vec<AttentionInputs>,
}

/// Rows of a call with their outputs `(n, H, Dh)`.
type Part = (Vec<u32>, Tensor);

impl Attention {
    /// Maps `x (R, D)` to `(R', D)`, the rows that go on. `caches[i]` belongs to `layout.spans[i]`; a
    /// sequence without one attends to its own rows alone.
    pub fn forward(
        &self,
        x: &Tensor,
        layout: &Layout,
        (stack, layer): (Stack, usize),
        pass: &PassState,
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let at = (stack, layer);
        // Those of the rows that go on: in a last layer they may be fewer than have keys.
        let asking = pass.spans(layout);
        let projected = self.project(x, layout, at, pass, hooks)?;
        let groups = self.partition(&projected, (&layout.spans, asking), at, caches, hooks)?;
        // Our kernels write each row of one output in place. candle's parts are joined below.
        if cuda::attends(&projected.q, self.head_dim) {
            let z = self.attend_on_gpu(&projected, &groups, &layout.spans, at, pass, hooks)?;
            // On a GPU all rows go on: see `Transformer::queries`.
            let z = hooks.on(Point::at(stack, layer, Site::Z), &layout.spans, z)?;
            return self.o.forward(&z.flatten_from(1)?);
        }
        let mut parts: Vec<Part> = Vec::new();
        // A layer that a path runs twice has other keys the second time, and storage for them.
        for (repetition, (slots, entries)) in &groups.slots {
            let z = slots.attend(
                (layer, *repetition),
                entries,
                (&projected.q, &projected.k, &projected.v),
                self.scoring(),
                &pass.masks,
            )?;
            parts.push((entries.iter().map(|e| e.row).collect(), z));
        }
        // One by one: a hook sees the scores of one sequence, `(H, T, S)`.
        for inputs in &groups.hooked {
            let span = &asking[inputs.span];
            let z = self.attend_hooked(&projected, inputs, span, at, pass, hooks)?;
            parts.push((inputs.row_numbers().collect(), z));
        }
        self.attend_plain(&projected, &groups.plain, pass, &mut parts)?;
        let z = candle::in_order(&parts)?;
        let z = hooks.on(Point::at(stack, layer, Site::Z), asking, z)?;
        // (R', H, Dh) -> (R', H Dh) -> (R', D).
        self.o.forward(&z.flatten_from(1)?)
    }

    fn project(
        &self,
        x: &Tensor,
        layout: &Layout,
        (stack, layer): (Stack, usize),
        pass: &PassState,
        hooks: &mut dyn Hooks,
    ) -> Result<Projected> {
        let at = |site| Point::at(stack, layer, site);
        let (spans, asking) = (&layout.spans, pass.spans(layout));
        // The fused kernel goes from the joined product to rotated heads, and has no place for what
        // hooks or norms do on the way.
        if let Some(qkv) = &self.qkv
            && !x.track_op()
            && self.q_norm.is_none()
            && self.k_norm.is_none()
            && cuda::rotates(self.head_dim, pass.angles.as_ref())
            && ![Site::Q, Site::K, Site::V, Site::RotQ, Site::RotK]
                .into_iter()
                .any(|site| wanted(hooks, at(site), spans))
        {
            let sizes = (self.heads, self.kv_heads, self.head_dim);
            let (q, k, v) = cuda::rotate(&qkv.forward(x)?, sizes, pass.angles.as_ref())?;
            return Ok(Projected { q, k, v });
        }
        // Queries of the rows that go on, (R', H, Dh); keys and values of all rows, (R, K, Dh).
        let q = self.heads_of(&self.q, &pass.going_on(x)?, self.heads)?;
        let mut q = hooks.on(at(Site::Q), asking, q)?;
        let rows = |linear: &Linear| self.heads_of(linear, x, self.kv_heads);
        let mut k = hooks.on(at(Site::K), spans, rows(&self.k)?)?;
        let v = hooks.on(at(Site::V), spans, rows(&self.v)?)?;
        // Behind the hooks of q and k, which HOOK_TABLE defines as the plain projections.
        if let Some(norm) = &self.q_norm {
            q = norm_heads(norm, &q, self.backend())?;
        }
        if let Some(norm) = &self.k_norm {
            k = norm_heads(norm, &k, self.backend())?;
        }
        if let Some(angles) = &pass.angles {
            // (R', Dr/2): the queries are fewer rows than the angles.
            let own = (pass.going_on(&angles.0)?, pass.going_on(&angles.1)?);
            q = hooks.on(at(Site::RotQ), asking, Rope::rotate(&q, &own)?)?;
            k = hooks.on(at(Site::RotK), spans, Rope::rotate(&k, angles)?)?;
        }
        // Kernels and caches want them side by side.
        Ok(Projected {
            q,
            k: k.contiguous()?,
            v: v.contiguous()?,
        })
    }

    /// Appends the keys and values of the call to the caches, and sorts the sequences by how they
    /// attend to them.
    fn partition(
        &self,
        projected: &Projected,
        (spans, asking): (&[Span], &[Span]),
        (stack, layer): (Stack, usize),
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &dyn Hooks,
    ) -> Result<Groups> {
        let wants = |site, span: &Span| hooks.wants(Point::at(stack, layer, site), span.sequence);
        let on_gpu = cuda::attends(&projected.q, self.head_dim);
        let mut groups = Groups::default();
        for (i, span) in spans.iter().enumerate() {
            // Caches are indexed by the place on the path: a path may run a layer twice.
            let at = (span.layers_done, layer);
            let own = |t: &Tensor| t.narrow(0, span.rows.start, span.rows.len());
            let keys = match caches.get_mut(i) {
                // In a tower every row sees every other one of this call: there is no past to keep.
                Some(Some(cache)) if self.causal => {
                    if on_gpu && cache.decodes_together(span) {
                        // The kernel itself stores the row's key and value, before it attends.
                        let row = self.decode_row(cache, span, at, &projected.k)?;
                        groups.decode.push(row);
                        continue;
                    }
                    if let Some(slots) = cache.slot_of(span).map(|(slots, _)| slots) {
                        // `DecodeSlots::attend` writes the keys of all its rows at once.
                        let (repetition, entry) = self.slot_entry(cache, span, at)?;
                        let group = groups.slots.entry(repetition);
                        group.or_insert_with(|| (slots, Vec::new())).1.push(entry);
                        continue;
                    }
                    let (k, v) = (own(&projected.k)?, own(&projected.v)?);
                    cache.append(at, (&k, &v), &span.tokens)?
                }
                _ => CachedKeys {
                    segments: vec![(own(&projected.k)?, own(&projected.v)?)],
                    tokens: span.tokens.to_vec(),
                },
            };
            if asking[i].rows.is_empty() {
                // Its keys are for steps that follow.
                continue;
            }
            let inputs = self.inputs(i, &asking[i], keys);
            if wants(Site::Scores, span) || wants(Site::Pattern, span) {
                groups.hooked.push(inputs);
            } else {
                groups.plain.push(inputs);
            }
        }
        Ok(groups)
    }

    /// Tells whether rows that decode find their keys in static caches, rather than in slots.
    pub(super) fn decodes_by_kernel(&self) -> bool {
        let weight = self.o.plain_weight();
        weight.is_some_and(|weight| cuda::attends(weight, self.head_dim))
    }

    /// Returns the row of a sequence that decodes, for our kernels.
    fn decode_row(
        &self,
        cache: &mut SequenceCache,
        span: &Span,
        at: (usize, usize),
        like: &Tensor,
    ) -> Result<DecodeRow> {
        let token = span.tokens[0];
        let layer = cache.append_to_static(at, token, like)?;
        let (kv, index) = layer.kv();
        Ok(DecodeRow {
            kv: kv.clone(),
            index,
            row: span.rows.start,
            count: layer.tokens().len(),
            visible: self.visible(layer.tokens(), token),
        })
    }

    /// Returns how often the sequence ran this layer before, and its entry.
    fn slot_entry(
        &self,
        cache: &mut SequenceCache,
        span: &Span,
        at: (usize, usize),
    ) -> Result<(usize, SlotEntry)> {
        let token = span.tokens[0];
        let keys = cache.append_to_slot(at, token)?;
        let entry = SlotEntry {
            slot: keys.slot,
            row: span.rows.start as u32,
            seen: self.visible(keys.tokens, token).len(),
            prompt_kv: keys.prompt_kv,
        };
        Ok((keys.repetition, entry))
    }

    /// Maps `x (R, D)` to `(R, heads, Dh)`.
    fn heads_of(&self, linear: &Linear, x: &Tensor, heads: usize) -> Result<Tensor> {
        linear.forward(x)?.reshape(((), heads, self.head_dim))
    }

    fn backend(&self) -> Backend {
        self.q.backend()
    }

    /// Returns the backend for queries: the kernels of the CPU have no backward.
    fn backend_of(&self, q: &Tensor) -> Backend {
        if q.track_op() {
            Backend::Candle
        } else {
            self.backend()
        }
    }

    fn scoring(&self) -> Scoring {
        Scoring {
            scale: self.scale,
            softcap: self.softcap,
        }
    }

    /// Returns which of the keys of `tokens` a query sees.
    fn visible(&self, tokens: &[u32], query: u32) -> Range<usize> {
        // In a tower each patch sees all patches of its view, which is a span of its own.
        if !self.causal {
            return 0..tokens.len();
        }
        let first = self
            .window
            // The row itself is one of the window, as transformers counts it.
            .map_or(0, |w| (query + 1).saturating_sub(w as u32));
        // Keys are ascending but may have gaps: pruned tokens have none.
        tokens.partition_point(|&k| k < first)..tokens.partition_point(|&k| k <= query)
    }

    fn inputs(&self, number: usize, span: &Span, keys: CachedKeys) -> AttentionInputs {
        let visible = span
            .tokens
            .iter()
            .map(|&token| self.visible(&keys.tokens, token))
            .collect();
        AttentionInputs {
            span: number,
            rows: span.rows.clone(),
            segments: keys.segments,
            tokens: keys.tokens.into(),
            visible,
        }
    }

    /// Runs one sequence step by step, so that hooks see its scores `(H, T, S)` and its pattern:
    /// `(T, H, Dh)`.
    fn attend_hooked(
        &self,
        Projected { q, k, v }: &Projected,
        inputs: &AttentionInputs,
        span: &Span,
        (stack, layer): (Stack, usize),
        pass: &PassState,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let at = |site| Point::at(stack, layer, site);
        let span = [Span {
            // So that a hook can say which token each column of the scores is.
            keys: inputs.tokens.clone(),
            ..span.clone()
        }];
        let q = q
            .narrow(0, inputs.rows.start, inputs.rows.len())?
            .contiguous()?; // (T, H, Dh)
        if self.backend_of(&q) == Backend::Cpu {
            let scores = cpu::scores(&as_floats(&q)?, inputs, self.scoring())?;
            let scores = hooks.on(at(Site::Scores), &span, scores)?; // (H, T, S)
            // A hook may have returned another dtype or layout.
            let pattern = cpu::softmax(&as_floats(&scores)?)?;
            let pattern = hooks.on(at(Site::Pattern), &span, pattern)?;
            // (T, H, Dh): the kernels of the CPU are f32 inside, and round once.
            return rounded_to(cpu::weigh(&as_floats(&pattern)?, inputs)?, q.dtype());
        }
        let (keys, values) = candle::keys_of(k, v, &[inputs])?;
        let mask = pass
            .masks
            .of(&inputs.visible, 0..inputs.keys(), q.device())?;
        let q = (q * self.scale)?.unsqueeze(0)?; // (1, T, H, Dh)
        let scores = candle::scores(&q, &keys, self.softcap, mask.as_ref())?;
        let scores = hooks.on(at(Site::Scores), &span, scores)?; // (H, T, S)
        let pattern = hooks.on(at(Site::Pattern), &span, candle::softmax(&scores)?)?;
        // (1, T, H, Dh) -> (T, H, Dh).
        candle::weigh(&pattern, &values)?.squeeze(0)
    }

    /// Runs all sequences of a call on a GPU: `(R, H, Dh)`.
    fn attend_on_gpu(
        &self,
        projected: &Projected,
        groups: &Groups,
        spans: &[Span],
        (stack, layer): (Stack, usize),
        pass: &PassState,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let Projected { q, k, v } = projected;
        let q = &q.contiguous()?;
        // Each of its rows belongs to one sequence, which writes it.
        let mut z = cuda::output_like(q)?;
        if !groups.decode.is_empty() {
            let (rows, scoring) = (&groups.decode, self.scoring());
            cuda::decode((q, k, v), rows, layer, &pass.plans, scoring, &z)?;
        }
        // A sequence without a past reads its keys where this call has them. Most others have one
        // segment before them; more need to be side by side.
        let (own, past): (Vec<_>, Vec<_>) = groups
            .plain
            .iter()
            .partition(|inputs| inputs.keys() == inputs.rows.len());
        let (split, joined): (Vec<_>, Vec<_>) =
            past.into_iter().partition(|i| i.segments.len() == 2);
        let split: Vec<SplitRows> = split.into_iter().map(split_rows).collect();
        cuda::attend_split(q, &split, &pass.plans, self.scoring(), &z)?;
        let sizes = (self.kv_heads, self.head_dim);
        let own: Vec<KeySpan> = own
            .into_iter()
            .map(|inputs| inputs.key_span(inputs.rows.start, sizes))
            .collect();
        self.attend_store(q, (k, v), &own, pass, &z)?;
        if !joined.is_empty() {
            let segments = joined.iter().flat_map(|inputs| &inputs.segments);
            let (keys, values): (Vec<&Tensor>, Vec<&Tensor>) =
                segments.map(|(k, v)| (k, v)).unzip();
            // (sum of n, K, Dh): one store, in which every sequence has an offset.
            let (keys, values) = (Tensor::cat(&keys, 0)?, Tensor::cat(&values, 0)?);
            let mut first = 0;
            let mut all = Vec::with_capacity(joined.len());
            for inputs in joined {
                all.push(inputs.key_span(first, sizes));
                first += inputs.keys();
            }
            self.attend_store(q, (&keys, &values), &all, pass, &z)?;
        }
        // Last: replacing rows makes a new z, and the kernels above have written to the old one.
        for inputs in &groups.hooked {
            let span = &spans[inputs.span];
            let own = self.attend_hooked(projected, inputs, span, (stack, layer), pass, hooks)?;
            z = replace_rows(z, vec![(inputs.rows.clone(), own)])?;
        }
        Ok(z)
    }

    /// Attends rows of `q (R, H, Dh)` to keys and values `(n, K, Dh)`.
    fn attend_store(
        &self,
        q: &Tensor,
        (keys, values): (&Tensor, &Tensor),
        spans: &[KeySpan],
        pass: &PassState,
        z: &Tensor,
    ) -> Result<()> {
        if spans.is_empty() {
            return Ok(());
        }
        let store = cuda::KeyStore {
            keys,
            values,
            key_stride: self.kv_heads * self.head_dim,
        };
        let plan = pass.plans.upload(spans, self.heads / self.kv_heads, q)?;
        cuda::attend(q, &store, &plan, self.kv_heads, self.scoring(), z)
    }

    /// Runs sequences together, keeping no scores.
    fn attend_plain(
        &self,
        Projected { q, k, v }: &Projected,
        plain: &[AttentionInputs],
        pass: &PassState,
        parts: &mut Vec<Part>,
    ) -> Result<()> {
        let plain: Vec<&AttentionInputs> = plain.iter().collect();
        if plain.is_empty() || self.backend_of(q) == Backend::Candle {
            for group in candle::alike(&plain) {
                let z = candle::together((q, k, v), &group, self.scoring(), &pass.masks)?;
                let rows = group.into_iter().flat_map(AttentionInputs::row_numbers);
                parts.push((rows.collect(), z));
            }
            return Ok(());
        }
        // (R', H, Dh), 0 in the rows of other groups.
        let z = cpu::fused(&as_floats(q)?, &plain, self.scoring())?;
        let z = rounded_to(z, q.dtype())?;
        if parts.is_empty() {
            // Nobody else has rows in the call: no part has to be cut out.
            parts.push(((0..z.dim(0)? as u32).collect(), z)); // (R, H, Dh)
            return Ok(());
        }
        for inputs in plain {
            let own = z.narrow(0, inputs.rows.start, inputs.rows.len())?;
            parts.push((inputs.row_numbers().collect(), own));
        }
        Ok(())
    }
}

/// Returns rows whose keys are in two segments.
fn split_rows(inputs: &AttentionInputs) -> SplitRows {
    SplitRows {
        first: inputs.segments[0].clone(),
        rest: inputs.segments[1].clone(),
        first_row: inputs.rows.start,
        visible: inputs.visible.clone(),
    }
}

/// Norms `x (R, H, Dh)` head by head, or all heads together where the norm is as wide as these.
fn norm_heads(norm: &Norm, x: &Tensor, backend: Backend) -> Result<Tensor> {
    let (rows, heads, width) = x.dims3()?;
    if norm.width() == width {
        return norm.forward(x, backend);
    }
    let normed = norm.forward(&x.flatten_from(1)?, backend)?; // (R, H Dh)
    normed.reshape((rows, heads, width))
}

/// Takes the softmax over the last dimension, f32; masked scores at the end of a row change no bit
/// of it.
pub fn softmax(scores: &Tensor) -> Result<Tensor> {
    match Backend::of(scores.device()) {
        Backend::Cpu => cpu::softmax(&as_floats(scores)?),
        Backend::Candle => candle::softmax(scores),
    }
}
