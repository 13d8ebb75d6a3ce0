//! The report of an experiment: a page that holds everything, the same in Markdown, and the drawing
//! by itself.

mod page;
mod plot;
mod table;

pub use page::page;
pub use plot::{heat_map, png};
pub use table::{AnswerCounts, Report, SeriesPoint};
