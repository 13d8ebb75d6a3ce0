//! Requests as the server's own types: prepared, compiled, run and recorded, with no message of the
//! wire in sight.

mod in_flight;
mod request_context;

pub use in_flight::{InFlight, InFlightGuard};
pub use request_context::{RequestContext, RequestMetrics};
