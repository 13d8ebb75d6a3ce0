//! Wraps every service that needs a key in the same layers, one a file.
//!
//! They stand in [`stack`] in the order in which a request meets them. Each fills in its part of the
//! [`RequestContext`], and those that watch a stream wrap the body, since a stream outlives its
//! response's head.

mod auth;
mod body;
mod context;
mod deadline;
mod in_flight;
mod metrics;
mod request_id;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::Router;

use super::ApiKeys;
use crate::pipeline::InFlight;

/// Puts `services` behind the layers.
pub(super) fn stack(services: Router, in_flight: InFlight, keys: ApiKeys) -> Router {
    services.route_layer((
        // First, since whatever fails names the request.
        from_fn(request_id::assign),
        from_fn_with_state(in_flight, in_flight::count),
        // Before the metrics: their labels are for those who may ask.
        from_fn_with_state(keys, auth::authenticate),
        from_fn_with_state(metrics::Methods::of_contract(), metrics::record),
        // Last, so that the metrics see what it decides.
        from_fn(deadline::enforce),
    ))
}
