//! The report of an experiment: its page, its drawing.

mod page;
mod plot;

pub use page::{Frequencies, Repeats, Report, field, page};
pub use plot::png;
