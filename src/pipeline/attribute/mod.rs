//! Attribute: how much each row of a run matters for a metric, by its gradient.
//!
//! [`points`] says where, [`cost`] what it takes, [`run`] goes through the passes of a method,
//! [`maps`], [`flow`] and [`scores`] make of gradients what methods call an attribution.

mod compiled;
mod cost;
mod flow;
mod maps;
mod points;
mod request;
mod run;
mod scores;

pub use request::{AttributeRequest, AttributionInput, AttributionMethod};
pub use run::{Attribution, AttributionEvent, AttributionFinished};
