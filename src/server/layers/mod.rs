//! Wraps every service that needs a key in the same layers, a file for each concern.
//!
//! They stand in [`stack`] in the order in which a request meets them. Each fills in its part of the
//! [`RequestContext`], and those that watch a stream wrap the body, since a stream outlives its
//! response's head.

mod arrival;
mod auth;
mod body;
mod cutoff;
mod intake;
mod log;
mod malformed;
mod metrics;
mod replay;
mod watchers;
mod weight;
mod workers;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::Router;
use tokio::runtime::Handle;

pub(super) use arrival::count_requests;
pub(super) use cutoff::note_arrival;
pub(super) use intake::Intake;
pub(super) use metrics::ByKey;
pub(super) use replay::Replays;
pub(super) use workers::Workers;

use super::ApiKeys;
use crate::pipeline::InFlight;

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
    let in_flight = shared.in_flight;
    // Not `layer`: what no service has is answered without a key, and runs nothing.
    services.route_layer((
        // First, since whatever fails names the request.
        from_fn_with_state((in_flight.clone(), arrival::Methods::all()), arrival::begin),
        // Before the keys: who is refused is logged, too.
        from_fn(log::record),
        // Before the metrics: their labels are for those who may ask.
        from_fn_with_state(shared.keys, auth::authenticate),
        from_fn_with_state(shared.by_key, metrics::record),
        // Behind the metrics, which see what these two decide.
        from_fn_with_state(in_flight, cutoff::refuse_late),
        from_fn(cutoff::at_the_deadline),
        // Before anything is read, and after all that says whose request it is.
        from_fn_with_state(shared.intake, intake::admit),
        // After the deadline, which a call that is tried again has for itself; the run that it joins
        // is one.
        from_fn_with_state(shared.replays, replay::join),
        // Behind the replays: what is answered from memory takes no thread of the handlers.
        from_fn_with_state(shared.workers, workers::dispatch),
        // Last: a handler's own statuses and those of the layers above have details already.
        from_fn(malformed::blame),
    ))
}

/// Bounds the streams of `services`, which need no key, and lets them end with the server, which does
/// not wait for them.
pub(super) fn end_with_server(services: Router, in_flight: InFlight) -> Router {
    services.layer((
        from_fn_with_state(watchers::budget(), watchers::count),
        from_fn_with_state(in_flight, cutoff::at_the_end),
    ))
}
