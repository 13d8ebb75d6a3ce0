//! Ends responses that are not complete in time: at the deadline that a client sent, after the
//! longest run that its key allows, or when the server has gone down.
//!
//! tonic's own timeout ends with the response's head, so streams escape it.

use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::{sleep_until, timeout_at};
use tonic::Status;

use super::arrival;
use super::body::{Observer, watch};
use crate::api::{Error, RESTART_DELAY};
use crate::engine;
use crate::pipeline::{InFlight, Phase, RequestContext};

/// Ends a head this much early, or a quarter of its time where that is less: tonic keeps a timer of
/// its own, which calls a request cancelled. On a busy machine two milliseconds were not enough:
/// 10 of 60 requests.
const HEAD_START: Duration = Duration::from_millis(50);

/// Refuses what comes to a server that goes down, and otherwise does as [`at_the_end`].
pub(super) async fn refuse_late(
    State(in_flight): State<InFlight>,
    mut request: Request,
    next: Next,
) -> Response {
    if in_flight.phase() == Phase::Serving {
        return at_the_end(State(in_flight), request, next).await;
    }
    going_down(arrival::context(&mut request)).into_http()
}

/// Ends a response that is not complete when the server has waited long enough, or when nothing but
/// streams without an end are left.
pub(super) async fn at_the_end(
    State(in_flight): State<InFlight>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = arrival::context(&mut request).clone();
    let mut ending: Due = Box::pin(in_flight.reached(Phase::Ending));
    tokio::select! {
        // A response that is there is better than a refusal.
        biased;
        response = next.run(request) => {
            let status = going_down;
            watch(response, Cutoff { due: Some(ending), context, status })
        }
        () = &mut ending => going_down(&context).into_http(),
    }
}

fn going_down(context: &RequestContext) -> Status {
    Error::from(engine::Error::Draining).status(&context.id, RESTART_DELAY)
}

/// Says when a request came.
#[derive(Debug, Clone, Copy)]
struct Arrived(Instant);

/// Notes when a request comes, from where its deadline counts. tonic calls this before it starts its
/// own timer, so that ours is due first however late the layers behind are polled.
pub(in crate::server) fn note_arrival(
    mut request: axum::http::Request<tonic::body::Body>,
) -> axum::http::Request<tonic::body::Body> {
    request.extensions_mut().insert(Arrived(Instant::now()));
    request
}

/// Answers with DEADLINE_EXCEEDED where a response, or its stream, is not complete in time.
pub(super) async fn at_the_deadline(mut request: Request, next: Next) -> Response {
    let arrived = request.extensions().get::<Arrived>();
    let begun = arrived.map_or_else(Instant::now, |arrived| arrived.0);
    let asked = deadline_of(request.headers(), begun);
    let context = arrival::context(&mut request);
    let account = context.account.as_ref();
    let longest = account.and_then(|account| begun.checked_add(account.grant.max_run?));
    let Some(deadline) = asked.into_iter().chain(longest).min() else {
        return next.run(request).await;
    };
    context.deadline = engine::Deadline::at(deadline);
    let context = context.clone();
    let start = HEAD_START.min(deadline.saturating_duration_since(begun) / 4);
    let head = deadline.checked_sub(start).unwrap_or(deadline);
    // Ends the head alone; the body is cut by the observer below.
    match timeout_at(head.into(), next.run(request)).await {
        Ok(response) => {
            let due: Due = Box::pin(sleep_until(deadline.into()));
            let status = deadline_exceeded;
            watch(
                response,
                Cutoff {
                    due: Some(due),
                    context,
                    status,
                },
            )
        }
        Err(_) => deadline_exceeded(&context).into_http(),
    }
}

fn deadline_exceeded(context: &RequestContext) -> Status {
    let tokens = context.metrics.tokens();
    Error::from(engine::Error::Deadline { tokens }).status(&context.id, Duration::ZERO)
}

/// Resolves when a response is due.
type Due = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Cuts a stream short once it is due.
struct Cutoff {
    /// `None` once it has cut: the body is empty then, and ends by itself.
    due: Option<Due>,
    context: RequestContext,
    /// Says why, when it cuts: a deadline tells how far the answer came.
    status: fn(&RequestContext) -> Status,
}

impl Observer for Cutoff {
    fn cut_short(&mut self, context: &mut Context<'_>) -> Option<HeaderMap> {
        let due = self.due.as_mut()?;
        // Polling leaves the body's waker there: the body is polled again when it is due, frames
        // or none.
        if due.as_mut().poll(context).is_pending() {
            return None;
        }
        self.due = None;
        let mut trailers = HeaderMap::new();
        // Fails for messages that no header can hold; these are ours.
        let _ = (self.status)(&self.context).add_header(&mut trailers);
        Some(trailers)
    }
}

/// Returns the instant that `grpc-timeout` names, counted from `begun`, if it can be read.
fn deadline_of(headers: &HeaderMap, begun: Instant) -> Option<Instant> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    // A deadline too far for the clock to name is none.
    begun.checked_add(parse(value)?)
}

/// Parses at most eight digits and a unit: H, M, S, m, u or n.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Eight digits of hours are 3.6 * 10^11 seconds: no product below overflows.
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        for bad in ["", "m", "-1S", "123456789S", "1x", "1\u{e4}"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
