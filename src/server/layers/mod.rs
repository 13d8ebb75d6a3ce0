//! Wraps every service that needs a key in the same layers, one a file.
//!
//! They stand in [`stack`] in the order in which a request meets them. Each fills in its part of the
//! [`RequestContext`], and those that watch a stream wrap the body, since a stream outlives its
//! response's head.

mod activity;
mod auth;
mod body;
mod context;
mod deadline;
mod draining;
mod in_flight;
mod intake;
mod metrics;
mod offload;
mod request_id;
mod weight;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::Router;
use tokio::runtime::Handle;

use super::ApiKeys;
use crate::pipeline::InFlight;

pub(super) use activity::count_requests;
pub(super) use intake::Intake;

/// Puts `services` behind the layers; they run on `workers`.
pub(super) fn stack(
    services: Router,
    in_flight: InFlight,
    keys: ApiKeys,
    intake: Intake,
    workers: Handle,
) -> Router {
    services.route_layer((
        // First, since whatever fails names the request.
        from_fn(request_id::assign),
        from_fn_with_state(in_flight.clone(), in_flight::count),
        // Before the metrics: their labels are for those who may ask.
        from_fn_with_state(keys, auth::authenticate),
        from_fn_with_state(metrics::Methods::all(), metrics::record),
        // Behind the metrics, which see what these two decide.
        from_fn_with_state(in_flight, draining::refuse),
        from_fn(deadline::enforce),
        // Before anything is read, and after all that says whose request it is.
        from_fn_with_state(intake, intake::admit),
        from_fn_with_state(workers, offload::dispatch),
    ))
}

/// Lets the streams of `services`, which nobody waits for, end with the server.
pub(super) fn end_with_server(services: Router, in_flight: InFlight) -> Router {
    services.layer(from_fn_with_state(in_flight, draining::cut))
}
