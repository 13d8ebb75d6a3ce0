//! Bounds the streams that need no key, such as Health.Watch, of each connection. Others' requests
//! have no part in it: health is answered whatever is asked.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use super::auth;
use super::body::{Observer, watch};
use crate::api::Error;
use crate::pipeline::{self, Budget, Flags, Reservation, Share};

/// Bounds the streams of one connection. Connections have a bound of their own.
const OF_ONE: u64 = 32;

/// Asks for health once.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Asks a client to come back after this long.
const RETRY: Duration = Duration::from_secs(1);

/// Returns what counts the streams.
pub(super) fn budget() -> Budget {
    let limit = Share {
        all: u64::MAX,
        one: OF_ONE,
    };
    let flags = Flags {
        all: "--max-connections",
        one: "health and reflection, of one connection",
    };
    Budget::new("watchers", flags, limit)
}

/// Counts a stream until it ends.
pub(super) async fn count(State(budget): State<Budget>, request: Request, next: Next) -> Response {
    // A proxy's connection carries the checks of many, and each is over at once.
    if request.uri().path() == CHECK {
        return next.run(request).await;
    }
    // Without its headers: whoever comes without a key names themselves as they like.
    let client = auth::client(None, &HeaderMap::new(), request.extensions());
    match budget.reserve(&client, 1) {
        Ok(held) => watch(next.run(request).await, Held { _stream: held }),
        Err(full) => {
            let error = Error::from(pipeline::Error::from(full));
            error.status("", RETRY).into_http()
        }
    }
}

/// Lets go with the body.
struct Held {
    _stream: Reservation,
}

impl Observer for Held {}
