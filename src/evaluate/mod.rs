//! Runs benchmarks over the pipeline: items in, verdicts and metrics out.
//!
//! An item is a sweep over the variants of the run; many items are on their way at once. The rules
//! of benchmarks are in `benchmark`, which asks no model; messages of the wire are in `api`.

mod event;
mod item;
mod judge;
mod run;
mod spec;

pub use event::{
    Answer, EvaluationEvent, EvaluationFinished, ItemResult, OptionScore, VariantComparison,
    VariantMetric,
};
pub use item::Question;
pub use judge::{Judge, JudgeAddress, JudgeConfig, JudgePlace};
pub use run::{Evaluation, EvaluationInput, KnownResult};
pub use spec::{Answering, EvaluationSpec, EvaluationVariant, MAX_VARIANTS, option_prefix};
