//! Reports: documents of texts, drawings and tables, as pages in HTML, in Markdown and in LaTeX.
//! A page holds everything; Markdown has its drawings as files beside it.

mod cost;
mod cost_plot;
mod document;
mod heat;
mod html;
mod latex;
mod markdown;
mod names;
mod page;
mod plot;
mod table;
mod table_one;
mod text;
mod tradeoff;

pub use cost::{AnswerCost, Mean, VariantCost, by_variant, variant_costs};
pub use document::{Card, DataTable, Drawing, Part, Section};
pub use heat::{HeatPanel, HeatPatch, heat_map, heat_maps};
pub use html::{escaped, html};
pub use latex::latex;
pub use markdown::markdown;
pub use names::{benchmark_name, hook_name, plain};
pub use plot::{Bar, bar_chart, png};
pub use table::{AnswerCounts, Report, SeriesPoint};
pub use table_one::{TableOne, TableOneEntry};
pub use text::text_table;
pub use tradeoff::Tradeoff;
