//! The pre-norm transformer block, which both towers and decoders are made of; Gemma 2 norms what a
//! part returns, too.

use candle_core::{Device, Result, Tensor};

use super::activation::Activation;
use super::attention::{Attention, PassState};
use super::backend::Backend;
use super::hook::{Hooks, Point, Site, Stack, wanted};
use super::kv_cache::sequence::SequenceCache;
use super::layout::{Layout, Span};
use super::linear::Linear;
use super::norm::Norm;

/// Two linear layers with an activation between, or three with a gate (SwiGLU, Shazeer 2020).
#[derive(Debug, Clone)]
pub struct Mlp {
    /// `(F, D)`: `fc1` of a plain MLP, the gate of a gated one.
    pub pre: Linear,
    /// `(F, D)`: the up projection of a gated MLP.
    pub linear: Option<Linear>,
    /// `(D, F)`.
    pub out: Linear,
    /// The function of `pre`.
    pub activation: Activation,
    /// `(2 F, D)`: the gate beside the up projection, where one product serves both.
    pub joined: Option<Linear>,
}

/// `m = x + attn(ln1(x)); y = m + mlp(ln2(m))`; with norms after the parts
/// `m = x + ln1_post(attn(ln1(x)))` and so on.
#[derive(Debug, Clone)]
pub struct Block {
    /// Before the attention.
    pub ln1: Norm,
    /// The attention.
    pub attention: Attention,
    /// After the attention.
    pub ln1_post: Option<Norm>,
    /// Before the MLP.
    pub ln2: Norm,
    /// The MLP.
    pub mlp: Mlp,
    /// After the MLP.
    pub ln2_post: Option<Norm>,
}

impl Mlp {
    /// Maps `x (R, D)` to the input of [`out`](Self::out), `(R, F)`.
    fn activate(
        &self,
        x: &Tensor,
        spans: &[Span],
        (stack, layer): (Stack, usize),
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let at = |site| Point::at(stack, layer, site);
        let backend = self.pre.backend();
        // Gate and value never stand apart in the joined product, as these hooks would have to see
        // them.
        if let Some(joined) = &self.joined
            && !wanted(hooks, at(Site::MlpPre), spans)
            && !wanted(hooks, at(Site::MlpPreLinear), spans)
        {
            // (R, D) -> (R, 2 F) -> (R, F).
            return self.activation.gated_joined(&joined.forward(x)?, backend);
        }
        let pre = hooks.on(at(Site::MlpPre), spans, self.pre.forward(x)?)?;
        let Some(linear) = &self.linear else {
            return self.activation.forward(&pre, backend);
        };
        let up = hooks.on(at(Site::MlpPreLinear), spans, linear.forward(x)?)?;
        self.activation.gated(&pre, &up, backend)
    }
}

impl Block {
    /// Lays out layers of the same inputs as one, where one product serves them all.
    pub(super) fn join(&mut self) -> Result<()> {
        let Attention { q, k, v, .. } = &mut self.attention;
        // Also where heads are grouped: q has more outputs than k and v, and the same inputs.
        self.attention.qkv = Linear::join(&mut [q, k, v])?;
        if let Some(linear) = &mut self.mlp.linear {
            self.mlp.joined = Linear::join(&mut [&mut self.mlp.pre, linear])?;
        }
        Ok(())
    }

    /// Returns the device of its weights.
    pub fn device(&self) -> &Device {
        self.mlp.pre.device()
    }

    /// Maps `x (R, D)` to `(R', D)`: all rows, but where the pass says which ones go on.
    pub fn forward(
        &self,
        x: Tensor,
        layout: &Layout,
        (stack, layer): (Stack, usize),
        pass: &PassState,
        caches: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor> {
        let spans = &layout.spans;
        // Norms have no backend of their own: they follow the weights that their rows go through.
        let backend = self.mlp.pre.backend();
        let at = |site| Point::at(stack, layer, site);
        // What a hook returns stands for the value in all that follows, in the residual sum, too.
        let x = hooks.on(at(Site::ResidPre), spans, x)?;
        let normed = hooks.on(
            at(Site::Ln1Normalized),
            spans,
            self.ln1.forward(&x, backend)?,
        )?;
        let attended =
            self.attention
                .forward(&normed, layout, (stack, layer), pass, caches, hooks)?;
        let attended = hooks.on(
            // Behind the second norm of Gemma 2: the hook sees what is added to the stream.
            at(Site::AttnOut),
            pass.spans(layout),
            normed_by(self.ln1_post.as_ref(), attended, backend)?,
        )?;
        // Keys and values were made of all rows. From here on a row stands for itself: (R', D).
        let (x, spans) = (pass.going_on(&x)?, pass.spans(layout));
        // The residual stream stays unnormed.
        let (middle, normed) = if wanted(hooks, at(Site::ResidMid), spans) {
            let middle = hooks.on(at(Site::ResidMid), spans, (x + attended)?)?;
            let normed = self.ln2.forward(&middle, backend)?;
            (middle, normed)
        } else {
            // One kernel where no hook looks in between.
            self.ln2.forward_sum(&x, &attended, backend)?
        };
        let normed = hooks.on(at(Site::Ln2Normalized), spans, normed)?;
        let post = self.mlp.activate(&normed, spans, (stack, layer), hooks)?;
        let post = hooks.on(at(Site::MlpPost), spans, post)?; // (R, F)
        let out = normed_by(
            self.ln2_post.as_ref(),
            self.mlp.out.forward(&post)?,
            backend,
        )?;
        let out = hooks.on(at(Site::MlpOut), spans, out)?;
        hooks.on(at(Site::ResidPost), spans, (middle + out)?)
    }
}

fn normed_by(norm: Option<&Norm>, x: Tensor, backend: Backend) -> Result<Tensor> {
    match norm {
        Some(norm) => norm.forward(&x, backend),
        None => Ok(x),
    }
}
