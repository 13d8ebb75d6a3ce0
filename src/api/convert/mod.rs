//! Conversion of messages to the server's own types: every enum number and every absent oneof is
//! checked, and every open seed drawn.

mod attribute;
mod capture;
pub(super) mod evaluation;
mod interventions;
mod model;
mod request;
mod response;
mod target;
mod trace;
mod values;

pub(super) use attribute::{attribute, attribute_finished};
pub(super) use interventions::request_interventions;
pub use interventions::{drawn_interventions, interventions_from_json};
pub(super) use model::{
    empty_parity_report, hook_points, load_request, model_info, parity_case, parity_report, placed,
};
pub use request::capture_targets;
pub(super) use request::{image, multi_image, prompt, requested_dtype, sampling, targets};
pub(super) use response::{
    activation, capture_finished, finished, plan, provenance, scored, started, token, usage,
    verified,
};
pub(super) use trace::{trace, trace_positions};

use super::Error;
use crate::intervention::Seeds;

/// A type of the server's that is made from message `M`.
trait FromWire<M>: Sized {
    /// Converts `message`, the field at `path` of the request, and fills in its open seeds, which
    /// become part of the request's record.
    fn from_wire(message: &mut M, path: &str, seeds: Seeds) -> Result<Self, Error>;
}
