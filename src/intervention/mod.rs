//! Interventions as data, compiled to a plan and applied at hook points.
//!
//! [`compile()`] checks a list of [`Intervention`]s against a model and a request's pictures and
//! prompt, makes every random choice and returns a [`Plan`] of few primitives: edits of pictures,
//! layers that run, a projector, operations on rows at hook points, rows that leave. [`PlanHooks`]
//! performs the plans of a batch, each on its own rows, and [`EffectLog`] logs how often each one
//! acted, how much it changed and what was captured.
//!
//! | folder | holds |
//! |---|---|
//! | `spec/` | the table of kinds, and one file a kind |
//! | `compile/` | targets, selectors, saliency; the compiler that specs write to |
//! | `plan/` | the primitives, and what performs them |
//!
//! Nothing here knows requests or scheduling, and of the contract only the names of the kinds.
//! docs/adding-an-intervention.md adds one step by step.

mod compile;
mod error;
mod plan;
mod random;
mod spec;

pub use compile::{
    Amount, CaptureTarget, Context, Grid, GridPoint, GridPosition, GridSpec, GridToken, MAX_CELLS,
    MeasuredAmount, MeasuredTokens, Named, Needs, PatchPlace, Patches, Positions, Receiver, Reduce,
    RowPatches, SaliencyMaps, SaliencyQuery, SaliencySource, Salient, Steps, Target, TokenMeasure,
    TokenSelector, Tokens, Volume, compile, compile_grid, compile_with, grid_needs, needs,
    picture_work,
};
pub use error::Error;
pub(crate) use plan::indices;
pub use plan::{
    Capture, Captured, Edit, EditKey, EditKeys, Effect, EffectLog, EffectRecord, FeatureChange,
    FeatureEdit, Fill, ImageChange, ImageEdit, Likeliest, LogMark, Noise, Operation, Plan,
    PlanHooks, PoolValue, Prune, Ranking, Reduction, Resolution, Resolved, Rows, RowsProcessed,
    TopFeatures, TopTokens, Value,
};
pub use random::{Draws, Seeds, fresh_seed};
pub use spec::*;
