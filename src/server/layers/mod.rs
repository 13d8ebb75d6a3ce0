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
mod log;
mod metrics;
mod offload;
mod replay;
mod request_id;
mod watchers;
mod weight;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::Router;
use tokio::runtime::Handle;

pub(super) use metrics::ByKey;
pub(super) use replay::Replays;

use super::ApiKeys;
use crate::pipeline::InFlight;

pub(super) use activity::count_requests;
pub(super) use intake::Intake;

/// Says what the layers share with the server.
#[derive(Debug)]
pub(super) struct Shared {
    /// Counts what is on its way.
    pub(super) in_flight: InFlight,
    /// Says who may ask.
    pub(super) keys: ApiKeys,
    /// Counts requests by the names of keys, where that is wanted.
    pub(super) by_key: ByKey,
    /// Bounds what is read.
    pub(super) intake: Intake,
    /// Remembers calls that may be tried again.
    pub(super) replays: Replays,
    /// Runs the handlers.
    pub(super) workers: Handle,
}

/// Puts `services` behind the layers.
pub(super) fn stack(services: Router, shared: Shared) -> Router {
    let methods = metrics::Methods::all();
    services.route_layer((
        // First, since whatever fails names the request.
        from_fn(request_id::assign),
        from_fn_with_state(
            (shared.in_flight.clone(), methods.clone()),
            in_flight::count,
        ),
        // Before the keys: who is refused is logged, too.
        from_fn_with_state(methods.clone(), log::record),
        // Before the metrics: their labels are for those who may ask.
        from_fn_with_state(shared.keys, auth::authenticate),
        from_fn_with_state((methods, shared.by_key), metrics::record),
        // Behind the metrics, which see what these two decide.
        from_fn_with_state(shared.in_flight, draining::refuse),
        from_fn(deadline::enforce),
        // Before anything is read, and after all that says whose request it is.
        from_fn_with_state(shared.intake, intake::admit),
        // After the deadline, which a call that is tried again has for itself; the run that it joins
        // is one.
        from_fn_with_state(shared.replays, replay::join),
        from_fn_with_state(shared.workers, offload::dispatch),
    ))
}

/// Bounds the streams of `services`, which need no key, and lets them end with the server, which does
/// not wait for them.
pub(super) fn end_with_server(services: Router, in_flight: InFlight) -> Router {
    services.layer((
        from_fn_with_state(watchers::budget(), watchers::count),
        from_fn_with_state(in_flight, draining::cut),
    ))
}
