//! A plan: interventions compiled against one model and one input, every random choice made.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use candle_core::Tensor;

use super::retouch::Retouch;
use super::{Draws, Observed};
use crate::model::{ImageTokens, Projector};
use crate::nn::{Point, Site, Span, Stack};
use crate::vision::{Picture, Processor};

/// The primitive operations of one request.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Changes of pictures, in order.
    pub retouches: Vec<Retouch>,
    /// The visual tokens of each picture as the language model reads them.
    pub images: Vec<ImageTokens>,
    /// The layers that run, in order; all of a stack that is not here.
    pub paths: BTreeMap<Stack, Arc<[usize]>>,
    /// The projector to run instead of the model's own.
    pub projector: Option<Arc<Projector>>,
    /// Edits at hook points, in order.
    pub edits: BTreeMap<Point, Vec<Edit>>,
    /// Where rows leave the language model, by layer.
    pub prunes: BTreeMap<usize, Prune>,
    /// What is written down at hook points.
    pub captures: BTreeMap<Point, Vec<Capture>>,
    /// What each intervention came to, in the order of the request.
    pub resolved: Vec<Resolved>,
}

impl Plan {
    /// Performs the changes of pictures, and begins the account of what the plan does.
    pub fn retouch(&self, pictures: &mut [Picture], processor: &Processor) -> Observed {
        let mut observed = Observed::of(self);
        for retouch in &self.retouches {
            if let Some(picture) = pictures.get_mut(retouch.image) {
                observed.measured(retouch.owner, retouch.apply(picture, processor));
            }
        }
        observed
    }

    /// Whether something happens at `point`.
    pub fn acts_at(&self, point: Point) -> bool {
        let ranks = |layer| {
            self.prunes
                .get(&layer)
                .is_some_and(|p| matches!(p.ranking, Ranking::Received { .. }))
        };
        self.edits.contains_key(&point)
            || self.captures.contains_key(&point)
            || (point.stack == Stack::LanguageModel
                && point.site == Site::Pattern
                && point.layer.is_some_and(ranks))
    }

    /// Whether it looks into the attention of the language model, at scores or patterns of any
    /// layer.
    pub fn looks_into_attention(&self) -> bool {
        let inside = |p: &Point| {
            p.stack == Stack::LanguageModel && matches!(p.site, Site::Scores | Site::Pattern)
        };
        let ranks = self
            .prunes
            .values()
            .any(|p| matches!(p.ranking, Ranking::Received { .. }));
        ranks || self.edits.keys().chain(self.captures.keys()).any(inside)
    }

    /// The layers of `stack` that run, of `layers` that the model would run.
    pub fn path(&self, stack: Stack, layers: usize) -> Vec<usize> {
        self.paths
            .get(&stack)
            .map_or_else(|| (0..layers).collect(), |p| p.to_vec())
    }
}

/// Which rows of a tensor: tokens of pictures and views, or of a sequence (picture 0, view 0) with
/// what it generates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// By picture and view, token by token.
    pub(super) views: BTreeMap<(usize, usize), Vec<bool>>,
    /// Steps whose generated token belongs to it.
    pub(super) generated: Option<RangeInclusive<u32>>,
}

impl Rows {
    /// Whether token `token` of that picture and view, or of the sequence, belongs to it.
    pub fn holds(&self, view: (usize, usize), token: u32) -> bool {
        let prompt = self.views.get(&view);
        let length = prompt.map_or(0, Vec::len) as u32;
        match prompt.and_then(|rows| rows.get(token as usize)) {
            Some(&row) => row,
            None => self
                .generated
                .as_ref()
                .is_some_and(|steps| steps.contains(&(token - length + 1))),
        }
    }

    /// The rows of `span` that belong to it, counted within the span.
    pub fn of(&self, span: &Span) -> Vec<u32> {
        let view = (span.image, span.view);
        (0..)
            .zip(span.tokens.iter())
            .filter(|(_, t)| self.holds(view, **t))
            .map(|(i, _)| i)
            .collect()
    }

    /// Those of the prompt and the pictures, counted.
    pub fn count(&self) -> usize {
        self.views.values().flatten().filter(|p| **p).count()
    }

    /// Whether there are none and will be none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.generated.is_none()
    }

    /// Generated tokens do not belong to it.
    pub(super) fn of_prompt(&self) -> Self {
        Self {
            views: self.views.clone(),
            generated: None,
        }
    }

    /// Among all that belong to it, in ascending order, the number of this one.
    pub(super) fn rank(&self, view: (usize, usize), token: u32) -> usize {
        let before: usize = self
            .views
            .range(..view)
            .map(|(_, rows)| rows.iter().filter(|p| **p).count())
            .sum();
        let own = self.views.get(&view).map_or(0, |rows| {
            rows[..token as usize].iter().filter(|p| **p).count()
        });
        before + own
    }
}

/// An operation on chosen values at one hook point.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Which intervention it belongs to.
    pub owner: usize,
    /// Which rows.
    pub rows: Arc<Rows>,
    /// Which heads; all where it is `None`.
    pub heads: Option<Arc<[u32]>>,
    /// Which places of the last dimension; all where it is `None`.
    pub dimensions: Option<Arc<[u32]>>,
    /// What.
    pub operation: Operation,
}

/// What can happen to rows `x`.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Row i becomes what row `order[i]` was. At `projector.hook_tokens` there may be fewer.
    Gather(Arc<[u32]>),
    /// Row i becomes the mean of the rows `groups[i]`; at `projector.hook_tokens` alone.
    Pool(Arc<[Vec<u32>]>),
    /// `factor * x`.
    Scale(f64),
    /// `x + shift |x| + (constant + absolute |x|) value`.
    Add {
        /// What is added.
        value: Value,
        /// Its factor.
        constant: f64,
        /// Its factor by magnitude.
        absolute: f64,
        /// The magnitude's own.
        shift: f64,
    },
    /// The values themselves: `(n, ...)` for n chosen rows in ascending order, or one for all.
    Write(Tensor),
    /// `mean + deviation * value` over the chosen rows of `over`, dimension by dimension.
    Like {
        /// The rows that the mean and the deviation are of.
        over: Arc<Rows>,
        /// Noise, or nothing: then the mean alone.
        value: Option<Noise>,
    },
    /// `x - x B^T B` for an orthonormal basis `B (k, width)`.
    Project(Tensor),
    /// Attention scores become minus infinity at the keys of these tokens.
    Hide(Arc<Rows>),
}

/// What is added to rows.
#[derive(Debug, Clone)]
pub enum Value {
    /// The same to every row: `(1, ...)`.
    Fixed(Tensor),
    /// Drawn.
    Noise(Noise),
}

/// Random numbers, each fixed by its row and its place within the row.
#[derive(Debug, Clone)]
pub struct Noise {
    /// A stream for each picture; the first one is the sequence's.
    pub draws: Arc<[Draws]>,
    /// Standard normal numbers, or uniform ones in `[-1, 1)`.
    pub gaussian: bool,
    /// Rows of each view, which number the rows of a picture through.
    pub per_view: usize,
    /// Length of the last dimension; at attention scores and patterns that of the prompt.
    pub width: usize,
}

/// Visual tokens leave the language model.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Which intervention it belongs to.
    pub owner: usize,
    /// How many stay.
    pub keep: usize,
    /// How many leave.
    pub leave: usize,
    /// Who stays.
    pub ranking: Ranking,
}

/// Who stays.
#[derive(Debug, Clone)]
pub enum Ranking {
    /// These visual tokens, best first.
    Fixed(Arc<[u32]>),
    /// Of the visual tokens `visual` those that the rows `from` attend to most.
    Received {
        /// Tokens that look.
        from: Arc<Rows>,
        /// Positions of the visual tokens.
        visual: Arc<[u32]>,
    },
}

/// Something to write down at a hook point.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Position in the request.
    pub target: usize,
    /// Which rows.
    pub rows: Arc<Rows>,
    /// Which heads; all where it is `None`.
    pub heads: Option<Arc<[u32]>>,
    /// What is left of them.
    pub reduction: Reduction,
}

/// What is left of captured rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reduction {
    /// All of it.
    None,
    /// The mean row.
    Mean,
    /// The Euclidean norm of each row (and head).
    Norm,
    /// The last row.
    Last,
    /// The rows, for the logit lens: so many likeliest tokens.
    TopTokens(usize),
    /// Of attention patterns what each key of these tokens receives, mean over heads and rows.
    Received(Arc<Rows>),
}

/// What became of one intervention when it was compiled.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The choices made.
    pub resolutions: Vec<Resolution>,
    /// How often it has acted already: layers left out, projectors swapped. `None` where that is
    /// seen when it runs.
    pub fired: Option<u64>,
    /// It is known to change nothing.
    pub changed_nothing: bool,
}

/// A concrete choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Which picture.
    pub image: usize,
    /// Which view of it.
    pub view: usize,
    /// The order, the cells, the layers, the tokens.
    pub indices: Vec<u32>,
    /// Digest of what ran instead.
    pub digest: String,
    /// Hook points.
    pub points: Vec<String>,
}

impl Resolution {
    /// A choice for one picture.
    pub(super) fn of(image: usize, indices: Vec<u32>) -> Self {
        Self {
            image,
            indices,
            ..Self::default()
        }
    }
}
