//! Multi-head attention over packed rows: one set of projections for all sequences, one softmax for
//! each.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{Result, Tensor};

use super::backend::is_ours;
use super::candle::attention::{self as dense, Masks};
use super::cpu::attention::{self as attend, Scoring, Sight};
use super::cpu::simd::as_floats;
use super::hook::{Hooks, Point, Site, Stack};
use super::kv_cache::sequence::{Keys, Track};
use super::kv_cache::slots::{Lanes, Member};
use super::layout::{Layout, Span};
use super::linear::Linear;
use super::norm::Norm;
use super::rope::Rope;

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
    /// `(Dh)`, of every head of the queries before they are rotated (Qwen3).
    pub q_norm: Option<Norm>,
    /// The same of the keys.
    pub k_norm: Option<Norm>,
    /// H.
    pub heads: usize,
    /// K; divides H.
    pub kv_heads: usize,
    /// Dh.
    pub head_dim: usize,
    /// What the product of a query and a key is multiplied by.
    pub scale: f64,
    /// The bound of scores: `c tanh(s / c)` (Gemma 2).
    pub softcap: Option<f64>,
    /// Whether a query sees only keys at or before its own position.
    pub causal: bool,
    /// A causal query sees at most this many keys, itself included.
    pub window: Option<usize>,
}

impl Attention {
    /// `x (R, D) -> (R, D)`. `tracks[i]` belongs to `layout.spans[i]`; a sequence without one
    /// attends to its own rows alone.
    pub fn forward(
        &self,
        x: &Tensor,
        layout: &Layout,
        (stack, layer): (Stack, usize),
        frame: &Frame,
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
        if let Some(norm) = &self.q_norm {
            q = norm.forward(&q)?;
        }
        if let Some(norm) = &self.k_norm {
            k = norm.forward(&k)?;
        }
        if let Some(angles) = &frame.angles {
            q = hooks.on(
                Point::at(stack, layer, Site::RotQ),
                spans,
                Rope::rotate(&q, angles)?,
            )?;
            k = hooks.on(
                Point::at(stack, layer, Site::RotK),
                spans,
                Rope::rotate(&k, angles)?,
            )?;
        }
        let (k, v) = (k.contiguous()?, v.contiguous()?);
        let mut sights: Vec<Sight> = Vec::with_capacity(spans.len());
        let mut writing: BTreeMap<usize, (Lanes, Vec<Member>)> = BTreeMap::new();
        for (i, span) in spans.iter().enumerate() {
            let part = |t: &Tensor| t.narrow(0, span.rows.start, span.rows.len());
            let keys = match tracks.get_mut(i) {
                Some(Some(track)) if self.causal => {
                    if let Some(lanes) = track.lanes_of(span).map(|(lanes, _)| lanes) {
                        let token = span.tokens[0];
                        let (lane, before, tokens, brings) =
                            track.write((span.slot, layer), token)?;
                        let seen = self.visible(tokens, token).len();
                        let (_, members) =
                            writing.entry(before).or_insert_with(|| (lanes, Vec::new()));
                        members.push(Member {
                            lane,
                            row: span.rows.start as u32,
                            seen,
                            brings,
                        });
                        continue;
                    }
                    track.extend((span.slot, layer), (&part(&k)?, &part(&v)?), &span.tokens)?
                }
                _ => Keys {
                    pieces: vec![(part(&k)?, part(&v)?)],
                    tokens: span.tokens.to_vec(),
                },
            };
            sights.push(self.sight(i, span, keys));
        }
        let looked_at = |s: &&Sight| {
            let at = |site| Point::at(stack, layer, site);
            let span = &spans[s.number];
            hooks.wants(at(Site::Scores), span.sequence)
                || hooks.wants(at(Site::Pattern), span.sequence)
        };
        let (open, closed): (Vec<&Sight>, Vec<&Sight>) = sights.iter().partition(looked_at);
        let mut parts: Vec<(Vec<u32>, Tensor)> = Vec::new(); // (n, H, Dh)
        for (before, (lanes, members)) in &writing {
            let z = lanes.attend(
                (layer, *before),
                members,
                (&q, &k, &v),
                self.scoring(),
                &frame.masks,
            )?;
            parts.push((members.iter().map(|m| m.row).collect(), z));
        }
        let rows = |sight: &Sight| sight.rows.start as u32..sight.rows.end as u32;
        for sight in open {
            let z = self.attend(
                (&q, &k, &v),
                sight,
                &spans[sight.number],
                (stack, layer),
                frame,
                hooks,
            )?;
            parts.push((rows(sight).collect(), z));
        }
        // Those that nobody looks into go together, and keep no scores.
        if !closed.is_empty() && is_ours(q.device()) {
            let z = attend::fused(&as_floats(&q)?, &closed, self.scoring())?.to_dtype(q.dtype())?; // (R, H, Dh)
            if parts.is_empty() {
                parts.push(((0..layout.rows() as u32).collect(), z));
            } else {
                for sight in closed {
                    parts.push((
                        rows(sight).collect(),
                        z.narrow(0, sight.rows.start, sight.rows.len())?,
                    ));
                }
            }
        } else {
            for group in dense::alike(&closed) {
                let z = dense::together((&q, &k, &v), &group, self.scoring(), &frame.masks)?;
                parts.push((group.into_iter().flat_map(rows).collect(), z));
            }
        }
        let z = hooks.on(
            Point::at(stack, layer, Site::Z),
            spans,
            dense::in_order(&parts)?,
        )?;
        self.o.forward(&z.flatten_from(1)?)
    }

    fn scoring(&self) -> Scoring {
        Scoring {
            scale: self.scale,
            softcap: self.softcap,
        }
    }

    /// Of the keys of `tokens` those that a query sees.
    fn visible(&self, tokens: &[u32], query: u32) -> Range<usize> {
        if !self.causal {
            return 0..tokens.len();
        }
        let before = |token: u32| tokens.partition_point(|&k| k < token);
        before(
            self.window
                .map_or(0, |w| (query + 1).saturating_sub(w as u32)),
        )..before(query + 1)
    }

    /// What the rows of a sequence see of its keys.
    fn sight(&self, number: usize, span: &Span, keys: Keys) -> Sight {
        let visible = span
            .tokens
            .iter()
            .map(|&token| self.visible(&keys.tokens, token))
            .collect();
        Sight {
            number,
            rows: span.rows.clone(),
            pieces: keys.pieces,
            tokens: keys.tokens.into(),
            visible,
        }
    }

    /// One sequence, step by step: of all rows `q (R, H, Dh)`, `k` and `v (R, K, Dh)` to its own,
    /// `(T, H, Dh)`.
    fn attend(
        &self,
        (q, k, v): (&Tensor, &Tensor, &Tensor),
        sight: &Sight,
        span: &Span,
        (stack, layer): (Stack, usize),
        frame: &Frame,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let span = [Span {
            keys: sight.tokens.clone(),
            ..span.clone()
        }];
        let own = q
            .narrow(0, span[0].rows.start, span[0].rows.len())?
            .contiguous()?;
        let mut look = |scores: Tensor| -> Result<Tensor> {
            let scores = hooks.on(Point::at(stack, layer, Site::Scores), &span, scores)?; // (H, T, S)
            hooks.on(
                Point::at(stack, layer, Site::Pattern),
                &span,
                softmax(&scores)?,
            )
        };
        if is_ours(q.device()) {
            let pattern = look(attend::scores(&as_floats(&own)?, sight, self.scoring())?)?;
            return attend::weigh(&as_floats(&pattern)?, sight)?.to_dtype(q.dtype());
        }
        let (keys, values) = dense::keys_of(k, v, &[sight])?;
        let mask = frame
            .masks
            .of(&sight.visible, 0..sight.keys(), q.device())?;
        let pattern = look(dense::scores(
            &(own * self.scale)?.unsqueeze(0)?,
            &keys,
            self.softcap,
            mask.as_ref(),
        )?)?;
        dense::weigh(&pattern, &values)?.squeeze(0)
    }
}

/// The softmax over the last dimension, f32; masked scores at the end of a row change no bit of it.
pub fn softmax(scores: &Tensor) -> Result<Tensor> {
    if is_ours(scores.device()) {
        attend::softmax(&as_floats(scores)?)
    } else {
        dense::softmax(scores)
    }
}

/// What all layers of a pass share.
#[derive(Debug, Default)]
pub struct Frame {
    /// Of every row the cosines and sines that rotate its query and its key, `(R, Dh/2)` each; none
    /// in a tower.
    pub angles: Option<(Tensor, Tensor)>,
    masks: Masks,
}

impl Frame {
    /// With these angles.
    pub fn new(angles: Option<(Tensor, Tensor)>) -> Self {
        Self {
            angles,
            masks: Masks::default(),
        }
    }
}
