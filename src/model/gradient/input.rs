//! Says what a pass is asked for, and what it finds.

use std::sync::Arc;

use crate::model::image_tokens::ImageTokens;
use crate::model::llava::Prompt;
use crate::model::resident::ResidentProjector;
use crate::nn::{HostTensor, Point, Span};

/// The number whose gradient is taken: of the tokens of an answer behind the prompt, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// The sum of their log-probabilities.
    LogProb,
    /// The product of their probabilities.
    Probability,
    /// The log-probability of the last token less that of this one in its place.
    Contrast(u32),
}

/// Says what is kept of the values `x` and the gradients `g` at a point, for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradientReduction {
    /// The values alone; nothing goes back.
    Values,
    /// Both, as they are.
    Whole,
    /// `sqrt(sum g^2)` over the last dimension: how much a row matters (Simonyan et al. 2013).
    Norm,
    /// `sum g x` over the last dimension; with another value `o` of the point,
    /// `sum g (o - x)`: what putting it there would change, to first order (Nanda 2023). At a point
    /// that is moved, `sum g (x - from)` of the unmoved `x` (Sundararajan et al. 2017).
    Product,
    /// `mean over heads of max(g x, 0)`, of attention patterns `(H, T, S)`: `(T, S)` (Chefer et al.
    /// 2021).
    Relevance,
    /// `mean over heads of x`, of attention patterns: `(T, S)`.
    MeanPattern,
}

/// Moves a point part of the way from another value.
#[derive(Debug, Clone)]
pub struct Blend {
    /// The point.
    pub point: Point,
    /// Begins the way, of the shape that the point has; `None`: zeros.
    pub from: Option<HostTensor>,
    /// `from + share (x - from)`.
    pub share: f64,
}

/// A point at which gradients are kept.
#[derive(Debug, Clone)]
pub struct Tap {
    /// The point.
    pub point: Point,
    /// Takes the place of `x` in the product, see [`GradientReduction::Product`].
    pub other: Option<HostTensor>,
}

/// Says what the gradients of a pass are taken of.
#[derive(Debug)]
pub struct GradientInput {
    /// The prompt as the language model reads it.
    pub prompt: Prompt,
    /// The views of the pictures, `(V, 3, H, W)` each.
    pub pixels: Vec<HostTensor>,
    /// The visual tokens of each.
    pub images: Vec<ImageTokens>,
    /// The projector.
    pub projector: Arc<ResidentProjector>,
    /// The layers of the tower that run, in order.
    pub tower_path: Vec<usize>,
    /// The layers of the language model that run, in order.
    pub decoder_path: Vec<usize>,
    /// The tokens behind the prompt; at least one.
    pub answer: Vec<u32>,
    /// The number whose gradient is taken.
    pub objective: Objective,
    /// The points.
    pub taps: Vec<Tap>,
    /// Says what is kept.
    pub reduction: GradientReduction,
    /// Asks for the gradient of the pixels as well.
    pub pixels_wanted: bool,
    /// Changes one point on the way.
    pub blend: Option<Blend>,
}

/// Holds what was kept at one point, of one picture's view in the tower and the projector.
#[derive(Debug, Clone)]
pub struct TapGradient {
    /// The point.
    pub point: Point,
    /// The rows; at patterns with their keys.
    pub span: Span,
    /// The value there, where it is kept whole.
    pub value: Option<HostTensor>,
    /// The gradient, or what it was reduced to; the value, where nothing goes back.
    pub gradient: HostTensor,
}

/// The end of a pass.
#[derive(Debug, Default)]
pub struct Gradients {
    /// The number itself.
    pub value: f64,
    /// Log-probability of each token of the answer.
    pub logprobs: Vec<f64>,
    /// Go from the head down to the pixels, and within a layer from its input up.
    pub taps: Vec<TapGradient>,
    /// The gradient of each picture, as its views are.
    pub pixels: Vec<HostTensor>,
}
