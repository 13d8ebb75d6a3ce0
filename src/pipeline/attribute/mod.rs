//! Attribute: how much each row of a run matters for a metric, by its gradient.
//!
//! [`points`] says where, [`run`] goes through the passes that a method takes, [`maps`] makes of
//! gradients what methods call an attribution.

mod maps;
mod points;
mod request;
mod run;

pub use request::{AttributeRequest, AttributionInput, AttributionMethod};
pub use run::{Attribution, AttributionEvent, AttributionFinished};
