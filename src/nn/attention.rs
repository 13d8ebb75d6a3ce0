//! Multi-head attention over packed rows: one set of projections for all sequences, one softmax for each.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::kv_cache::Cache;

use super::{Hooks, Layout, Linear, Point, Result, Rope, Site, Span, Stack};

/// The keys and values of one sequence, `(K, S, Dh)` each, one slot for each layer that it runs, in the order of running. Not
/// `Clone`: clones would share their storage.
#[derive(Debug)]
pub struct KvCache {
    slots: Vec<Slot>,
    /// The slot that the next layer of this pass extends.
    next: usize,
    positions: usize,
}

#[derive(Debug)]
struct Slot {
    keys: Cache,
    values: Cache,
    /// The token of each key.
    tokens: Arc<[u32]>,
}

impl KvCache {
    /// Room for `positions` positions; memory is taken when a layer is first run.
    pub fn new(positions: usize) -> Self {
        Self { slots: Vec::new(), next: 0, positions: positions.max(1) }
    }

    /// A new pass begins.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Appends `k`, `v (K, T, Dh)` of `tokens` to the next slot and returns all keys and values so far, and their tokens.
    fn extend(&mut self, k: &Tensor, v: &Tensor, tokens: &[u32]) -> Result<(Tensor, Tensor, Arc<[u32]>)> {
        if self.next == self.slots.len() {
            let cache = || Cache::new(1, self.positions);
            self.slots.push(Slot { keys: cache(), values: cache(), tokens: Arc::default() });
        }
        let slot = &mut self.slots[self.next];
        self.next += 1;
        slot.keys.append(k)?;
        slot.values.append(v)?;
        slot.tokens = slot.tokens.iter().chain(tokens).copied().collect();
        match (slot.keys.current_data()?, slot.values.current_data()?) {
            (Some(k), Some(v)) => Ok((k, v, slot.tokens.clone())),
            _ => candle_core::bail!("empty cache after an append"),
        }
    }
}

/// Attention with `heads` query heads over `kv_heads` key-value heads (GQA, Ainslie et al. 2023).
#[derive(Debug, Clone)]
pub struct Attention {
    /// `(H Dh, D)`.
    pub q: Linear,
    /// `(K Dh, D)`.
    pub k: Linear,
    /// `(K Dh, D)`.
    pub v: Linear,
    /// `(D, H Dh)`.
    pub o: Linear,
    /// H.
    pub heads: usize,
    /// K; divides H.
    pub kv_heads: usize,
    /// Dh.
    pub head_dim: usize,
    /// Whether a query sees only keys at or before its own position, and q and k are rotated.
    pub causal: bool,
    /// A causal query sees at most this many keys, itself included.
    pub window: Option<usize>,
}

impl Attention {
    /// `x (R, D) -> (R, D)`. `angles` rotate q and k; `caches[i]` belongs to `layout.spans[i]`; a sequence
    /// without one attends to its own rows alone.
    pub fn forward(
        &self,
        x: &Tensor,
        layout: &Layout,
        (stack, layer): (Stack, usize),
        angles: Option<&(Tensor, Tensor)>,
        caches: &mut [Option<&mut KvCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let spans = &layout.spans;
        let mut project = |linear: &Linear, heads: usize, site: Site| {
            let y = linear.forward(x, layout)?.reshape(((), heads, self.head_dim))?; // (R, H, Dh)
            hooks.on(Point::at(stack, layer, site), spans, y)
        };
        let mut q = project(&self.q, self.heads, Site::Q)?;
        let mut k = project(&self.k, self.kv_heads, Site::K)?;
        let v = project(&self.v, self.kv_heads, Site::V)?;
        if let Some(angles) = angles {
            q = hooks.on(Point::at(stack, layer, Site::RotQ), spans, Rope::rotate(&q, angles)?)?;
            k = hooks.on(Point::at(stack, layer, Site::RotK), spans, Rope::rotate(&k, angles)?)?;
        }
        let mut parts = Vec::with_capacity(spans.len());
        for (i, span) in spans.iter().enumerate() {
            let part = |t: &Tensor| t.narrow(0, span.rows.start, span.rows.len())?.transpose(0, 1)?.contiguous();
            let (q, mut k, mut v) = (part(&q)?, part(&k)?, part(&v)?); // (H, T, Dh), (K, T, Dh)
            let mut span = Span { keys: span.tokens.clone(), ..span.clone() };
            if let Some(Some(cache)) = caches.get_mut(i) {
                (k, v, span.keys) = cache.extend(&k, &v, &span.tokens)?; // (K, S, Dh)
            }
            parts.push(self.attend(&q, &k, &v, &span, (stack, layer), hooks)?);
        }
        let z = if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(&parts, 0)? }; // (R, H, Dh)
        let z = hooks.on(Point::at(stack, layer, Site::Z), spans, z)?;
        self.o.forward(&z.flatten_from(1)?, layout)
    }

    /// One sequence: `q (H, T, Dh)`, `k`, `v (K, S, Dh)` -> `(T, H, Dh)`.
    fn attend(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        span: &Span,
        (stack, layer): (Stack, usize),
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let (rows, keys) = (q.dim(1)?, k.dim(1)?);
        let group = self.heads / self.kv_heads;
        // Heads that share keys stand together, so that one batched matmul serves a group.
        let q = q.reshape((self.kv_heads, group * rows, self.head_dim))?; // (K, G T, Dh)
        let scale = (self.head_dim as f64).sqrt().recip();
        let scores = (q.matmul(&k.t()?.contiguous()?)? * scale)?; // (K, G T, S)
        let mut scores = scores.reshape((self.heads, rows, keys))?; // (H, T, S)
        let far = |w: usize| span.tokens.last().zip(span.keys.first()).is_some_and(|(q, k)| (q - k) as usize >= w);
        if self.causal && (rows > 1 || self.window.is_some_and(far)) {
            scores = scores.broadcast_add(&causal_mask(span, self.window, q.dtype(), q.device())?)?;
        }
        let scores = hooks.on(Point::at(stack, layer, Site::Scores), std::slice::from_ref(span), scores)?;
        // The softmax runs in f32 whatever the dtype, as Hugging Face's eager attention does.
        let pattern = candle_nn::ops::softmax(&scores.to_dtype(DType::F32)?, D::Minus1)?.to_dtype(q.dtype())?;
        let pattern = hooks.on(Point::at(stack, layer, Site::Pattern), std::slice::from_ref(span), pattern)?;
        let pattern = pattern.reshape((self.kv_heads, group * rows, keys))?;
        let z = pattern.matmul(&v.contiguous()?)?; // (K, G T, Dh)
        z.reshape((self.heads, rows, self.head_dim))?.transpose(0, 1)?.contiguous() // (T, H, Dh)
    }
}

/// `(T, S)`: 0 where the token of a query may look at the token of a key, minus infinity elsewhere.
fn causal_mask(span: &Span, window: Option<usize>, dtype: DType, device: &Device) -> Result<Tensor> {
    let sees = |query: u32, key: u32| key <= query && window.is_none_or(|w| ((query - key) as usize) < w);
    let row = |&query: &u32| span.keys.iter().map(move |&key| if sees(query, key) { 0.0 } else { f32::NEG_INFINITY });
    let mask: Vec<f32> = span.tokens.iter().flat_map(row).collect();
    Tensor::from_vec(mask, (span.tokens.len(), span.keys.len()), device)?.to_dtype(dtype)
}
