//! Experiments as data: a readable file each, with the variants under which a benchmark is asked and
//! the drawing of its report. Those of Lee et al. 2024 are inside the program; another one needs a
//! file and no Rust.

mod builtin;
mod check;
mod plan;
mod spec;

pub use builtin::experiments;
pub use plan::experiment;
pub use spec::{Experiment, PaperTable, PlannedVariant, PlotKind, TemplateValues, VariantTemplate};
