//! Captures: rows that are written down at a hook point, and what is left of them.

use std::sync::Arc;

use candle_core::{D, DType, Tensor};

use super::rows::Rows;
use super::tensors::select;
use crate::model::{Feature, SparseAutoencoder, Translator, TunedLens};
use crate::nn::{HostTensor, Point, Result, Span, Stack};

/// Rows to write down at a hook point.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Position in the request.
    pub target: usize,
    /// The rows.
    pub rows: Arc<Rows>,
    /// The heads; all where it is `None`.
    pub heads: Option<Arc<[u32]>>,
    /// The reduction of the rows.
    pub reduction: Reduction,
}

/// A reduction of captured rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reduction {
    /// None: all of it is kept.
    None,
    /// The mean row.
    Mean,
    /// The Euclidean norm of each row (and head).
    Norm,
    /// The last row.
    Last,
    /// The rows, for a lens.
    TopTokens(TopTokens),
    /// The attention that each key of these tokens receives, mean over heads and rows.
    Received(Arc<Rows>),
    /// The strongest features of each row.
    TopFeatures(TopFeatures),
}

/// The likeliest tokens of rows, by the logit lens or a tuned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopTokens {
    /// The tokens of a row.
    pub top: usize,
    /// The tuned lens; `None` for the logit lens.
    pub lens: Option<Arc<TunedLens>>,
}

/// The strongest features of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopFeatures {
    /// The autoencoder.
    pub sae: Arc<SparseAutoencoder>,
    /// The most features of a row.
    pub top: usize,
    /// The first so many features are told.
    pub prefix: usize,
}

/// Tokens with their log-probabilities, likeliest first.
pub type Likeliest = Vec<(u32, f64)>;

/// Rows that a lens reads once the step is over.
#[derive(Debug)]
pub struct LensRows {
    /// The tokens that are shown of a row.
    pub top: usize,
    /// The map of a tuned lens at this point.
    pub translator: Option<Translator>,
    /// The likeliest of each row, as soon as they are read.
    pub tokens: Vec<Likeliest>,
}

/// Rows taken at a hook point: in the memory of the process, but for the step that takes them.
#[derive(Debug)]
pub struct Captured<V = HostTensor> {
    /// Position in the request.
    pub target: usize,
    /// The hook point.
    pub point: Point,
    /// Step of the answer.
    pub step: u32,
    /// The picture and the view.
    pub view: (usize, usize),
    /// Tokens behind the rows.
    pub tokens: Vec<u32>,
    /// The rows.
    pub value: V,
    /// The likeliest tokens of each row, in place of the rows.
    pub lens: Option<LensRows>,
    /// The strongest features of each row, in place of the rows.
    pub features: Option<Vec<Vec<Feature>>>,
}

impl Captured<Tensor> {
    /// Fetches the rows from the device.
    pub(super) fn download(self) -> Result<Captured> {
        Ok(Captured {
            value: HostTensor::download(&self.value)?,
            target: self.target,
            point: self.point,
            step: self.step,
            view: self.view,
            tokens: self.tokens,
            lens: self.lens,
            features: self.features,
        })
    }
}

impl Capture {
    /// Takes what it captures of the rows of a span.
    pub(super) fn take(
        &self,
        point: Point,
        span: &Span,
        part: &Tensor,
    ) -> Result<Option<Captured<Tensor>>> {
        let rows = self.rows.of(span);
        if rows.is_empty() {
            return Ok(None);
        }
        // A copy: the rows themselves may be a view of a buffer that is written again.
        let mut value = if rows.len() == span.rows.len() {
            part.copy()?
        } else {
            select(part, &rows)?
        };
        if let Some(heads) = &self.heads {
            let heads = Tensor::from_slice(heads, heads.len(), value.device())?;
            // `(n, H, W)`: the heads are the second dimension at every point that has them.
            value = value.contiguous()?.index_select(&heads, 1)?;
        }
        let tokens = rows.iter().map(|&row| span.tokens[row as usize]).collect();
        let (mut value, tokens) = self.reduction.apply(value, tokens, span)?;
        let mut features = None;
        if let Reduction::TopFeatures(TopFeatures { sae, top, prefix }) = &self.reduction {
            let rows = value.to_dtype(DType::F32)?.reshape(((), sae.width()))?; // (n, W)
            features = Some(sae.strongest(&rows, *top, *prefix)?);
            // What a request may take was counted without the rows: they stay behind.
            value = rows.narrow(0, 0, 1)?.narrow(1, 0, 1)?;
        }
        let lens = match &self.reduction {
            Reduction::TopTokens(TopTokens { top, lens }) => Some(LensRows {
                top: *top,
                translator: lens.as_ref().and_then(|lens| lens.at(point)),
                tokens: Vec::new(),
            }),
            _ => None,
        };
        Ok(Some(Captured {
            target: self.target,
            point,
            step: self.step(point, span),
            view: (span.image, span.view),
            tokens,
            value: value.contiguous()?,
            lens,
            features,
        }))
    }

    /// Returns the step of the answer that `span` computes; 0 for the prompt and in the tower.
    fn step(&self, point: Point, span: &Span) -> u32 {
        let first = span.tokens.first().copied().unwrap_or(0);
        // As long as the prompt, whichever of its rows are chosen.
        let prompt = self.rows.of_sequence().len() as u32;
        if point.stack == Stack::LanguageModel && first >= prompt {
            first - prompt + 1
        } else {
            0
        }
    }
}

impl Reduction {
    /// Reduces rows `(n, ...)`; returns what is left, and the tokens behind it.
    fn apply(
        &self,
        value: Tensor,
        mut tokens: Vec<u32>,
        span: &Span,
    ) -> Result<(Tensor, Vec<u32>)> {
        let dtype = value.dtype();
        let reduced = match self {
            Self::None | Self::TopTokens(_) | Self::TopFeatures(_) => value,
            // In f32: a sum of many rows in half precision loses what the later ones add.
            Self::Mean => value
                .to_dtype(DType::F32)?
                .mean_keepdim(0)?
                .to_dtype(dtype)?,
            Self::Norm => {
                // In f32: squares of f16 overflow from 256 on.
                let squares = value.to_dtype(DType::F32)?.sqr()?;
                squares.sum(D::Minus1)?.sqrt()?.to_dtype(dtype)?
            }
            Self::Last => {
                let last = tokens.len() - 1;
                tokens.drain(..last);
                value.narrow(0, last, 1)?
            }
            Self::Received(keys) => {
                // By token and not by place: keys that were pruned are gone from the pattern.
                let places = keys.places(span, &span.keys);
                tokens = places.iter().map(|&i| span.keys[i as usize]).collect();
                // A mean over rows as well: one number for each key, however many rows look.
                let received = value.to_dtype(DType::F32)?.mean((0, 1))?; // (S)
                select(&received, &places)?.to_dtype(dtype)?
            }
        };
        Ok((reduced, tokens))
    }
}
