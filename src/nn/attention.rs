//! Multi-head attention over packed rows: one set of projections for all sequences, one softmax for each.

use std::ops::Range;

use candle_core::{D, DType, Device, Tensor};

use super::attend::{self, Sight};
use super::simd::as_floats;
use super::track::Keys;
use super::{Hooks, Layout, Linear, Point, Result, Rope, Site, Span, Stack, Track};

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
    /// `x (R, D) -> (R, D)`. `angles` rotate q and k; `tracks[i]` belongs to `layout.spans[i]`; a sequence without one attends
    /// to its own rows alone.
    pub fn forward(
        &self,
        x: &Tensor,
        layout: &Layout,
        (stack, layer): (Stack, usize),
        angles: Option<&(Tensor, Tensor)>,
        tracks: &mut [Option<&mut Track>],
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let spans = &layout.spans;
        let mut project = |linear: &Linear, heads: usize, site: Site| {
            let y = linear.forward(x)?.reshape(((), heads, self.head_dim))?; // (R, H, Dh)
            hooks.on(Point::at(stack, layer, site), spans, y)
        };
        let mut q = project(&self.q, self.heads, Site::Q)?;
        let mut k = project(&self.k, self.kv_heads, Site::K)?;
        let v = project(&self.v, self.kv_heads, Site::V)?;
        if let Some(angles) = angles {
            q = hooks.on(Point::at(stack, layer, Site::RotQ), spans, Rope::rotate(&q, angles)?)?;
            k = hooks.on(Point::at(stack, layer, Site::RotK), spans, Rope::rotate(&k, angles)?)?;
        }
        let (k, v) = (k.contiguous()?, v.contiguous()?);
        let mut keys = Vec::with_capacity(spans.len());
        for (i, span) in spans.iter().enumerate() {
            let part = |t: &Tensor| t.narrow(0, span.rows.start, span.rows.len());
            keys.push(match tracks.get_mut(i) {
                Some(Some(track)) if self.causal => track.extend(span.slot, &part(&k)?, &part(&v)?, &span.tokens)?,
                _ => Keys { pieces: vec![(part(&k)?, part(&v)?)], tokens: span.tokens.to_vec() },
            });
        }
        let sights: Vec<Sight> =
            spans.iter().zip(keys).enumerate().map(|(i, (span, keys))| self.sight(i, span, keys)).collect();
        let looked_at = |s: &&Sight| {
            let at = |site| Point::at(stack, layer, site);
            let span = &spans[s.number];
            hooks.wants(at(Site::Scores), span.sequence) || hooks.wants(at(Site::Pattern), span.sequence)
        };
        let whole = q.device().is_cpu();
        let (open, closed): (Vec<&Sight>, Vec<&Sight>) = sights.iter().partition(|s| !whole || looked_at(s));
        let scale = (self.head_dim as f64).sqrt().recip();
        // Those that nobody looks into go together, and keep no scores.
        let mut z = if closed.is_empty() {
            None
        } else {
            Some(attend::fused(&as_floats(&q)?, &closed, scale as f32)?.to_dtype(q.dtype())?)
        };
        let mut parts: Vec<(Range<usize>, Tensor)> = Vec::with_capacity(open.len());
        for sight in open {
            let span = &spans[sight.number];
            let q = q.narrow(0, span.rows.start, span.rows.len())?.contiguous()?;
            parts.push((span.rows.clone(), self.attend(&q, sight, span, (stack, layer), hooks)?));
        }
        let z = match z.take() {
            Some(z) if parts.is_empty() => z,
            Some(z) => super::layout::replace_rows(z, parts)?,
            None => Tensor::cat(&parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>(), 0)?,
        }; // (R, H, Dh)
        let z = hooks.on(Point::at(stack, layer, Site::Z), spans, z)?;
        self.o.forward(&z.flatten_from(1)?)
    }

    /// What the rows of a sequence see of its keys.
    fn sight(&self, number: usize, span: &Span, keys: Keys) -> Sight {
        let before = |token: u32| keys.tokens.partition_point(|&k| k < token);
        let seen = |&token: &u32| {
            if !self.causal {
                return 0..keys.tokens.len();
            }
            let first = self.window.map_or(0, |w| (token + 1).saturating_sub(w as u32));
            before(first)..before(token + 1)
        };
        let visible = span.tokens.iter().map(seen).collect();
        Sight { number, rows: span.rows.clone(), pieces: keys.pieces, tokens: keys.tokens.into(), visible }
    }

    /// One sequence, step by step: `q (T, H, Dh)` -> `(T, H, Dh)`.
    fn attend(
        &self,
        q: &Tensor,
        sight: &Sight,
        span: &Span,
        (stack, layer): (Stack, usize),
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let span = [Span { keys: sight.tokens.clone(), ..span.clone() }];
        let scale = (self.head_dim as f64).sqrt().recip();
        let on_cpu = q.device().is_cpu();
        let scores =
            if on_cpu { attend::scores(&as_floats(q)?, sight, scale as f32)? } else { self.scores(q, sight, scale)? }; // (H, T, S)
        let scores = hooks.on(Point::at(stack, layer, Site::Scores), &span, scores)?;
        let pattern = hooks.on(Point::at(stack, layer, Site::Pattern), &span, softmax(&scores)?)?;
        if on_cpu {
            return attend::weigh(&as_floats(&pattern)?, sight)?.to_dtype(q.dtype());
        }
        let (rows, keys) = (q.dim(0)?, sight.keys());
        let pattern = pattern.to_dtype(q.dtype())?.reshape((self.kv_heads, self.heads / self.kv_heads * rows, keys))?;
        let values: Vec<&Tensor> = sight.pieces.iter().map(|(_, v)| v).collect();
        let z = pattern.matmul(&Tensor::cat(&values, 0)?.transpose(0, 1)?.contiguous()?)?; // (K, G T, Dh)
        z.reshape((self.heads, rows, self.head_dim))?.transpose(0, 1)?.contiguous() // (T, H, Dh)
    }

    /// On a GPU: scores `(H, T, S)` in f32, as Hugging Face's eager attention has them before its softmax.
    fn scores(&self, q: &Tensor, sight: &Sight, scale: f64) -> Result<Tensor> {
        let (rows, keys) = (q.dim(0)?, sight.keys());
        let group = self.heads / self.kv_heads;
        // Heads that share keys stand together, so that one batched matmul serves a group.
        let q = q.transpose(0, 1)?.contiguous()?.reshape((self.kv_heads, group * rows, self.head_dim))?; // (K, G T, Dh)
        let k: Vec<&Tensor> = sight.pieces.iter().map(|(k, _)| k).collect();
        let k = Tensor::cat(&k, 0)?.permute((1, 2, 0))?.contiguous()?; // (K, Dh, S)
        let scores = (q.matmul(&k)? * scale)?.reshape((self.heads, rows, keys))?.to_dtype(DType::F32)?; // (H, T, S)
        if sight.visible.iter().all(|v| *v == (0..keys)) {
            return Ok(scores);
        }
        scores.broadcast_add(&mask(&sight.visible, keys, q.device())?)
    }
}

/// The softmax over the last dimension, f32; masked scores at the end of a row change no bit of it.
pub fn softmax(scores: &Tensor) -> Result<Tensor> {
    if scores.device().is_cpu() {
        return attend::softmax(&as_floats(scores)?);
    }
    candle_nn::ops::softmax(&scores.to_dtype(DType::F32)?, D::Minus1)
}

/// `(T, S)`: 0 where a row sees a key, minus infinity elsewhere.
fn mask(visible: &[Range<usize>], keys: usize, device: &Device) -> Result<Tensor> {
    let row = |seen: &Range<usize>| {
        let seen = seen.clone();
        (0..keys).map(move |key| if seen.contains(&key) { 0.0 } else { f32::NEG_INFINITY })
    };
    let mask: Vec<f32> = visible.iter().flat_map(row).collect();
    Tensor::from_vec(mask, (visible.len(), keys), device)
}
