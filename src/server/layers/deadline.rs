//! Ends a request at the deadline that its client sent, or after the longest run that its key
//! allows.
//!
//! tonic's own timeout ends with the response's head, so streams escape it.

use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::{Sleep, sleep_until, timeout_at};
use tonic::Status;

use super::body::{Observer, watch};
use super::context;
use crate::api::Error;
use crate::engine;
use crate::pipeline::RequestContext;

/// Ends a head this much early, or a quarter of its time where that is less: tonic keeps a timer of
/// its own, which calls a request cancelled. On a busy machine two milliseconds were not enough:
/// 10 of 60 requests.
const HEAD_START: Duration = Duration::from_millis(50);

/// Answers with DEADLINE_EXCEEDED where a response, or its stream, is not complete in time.
pub(super) async fn enforce(mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let asked = deadline_of(request.headers());
    let context = context::of(&mut request);
    let account = context.account.as_ref();
    let longest = account.and_then(|account| begun.checked_add(account.grant.max_run?));
    let Some(deadline) = asked.into_iter().chain(longest).min() else {
        return next.run(request).await;
    };
    context.deadline = engine::Deadline::at(deadline);
    let context = context.clone();
    let start = HEAD_START.min(deadline.saturating_duration_since(begun) / 4);
    let head = deadline.checked_sub(start).unwrap_or(deadline);
    match timeout_at(head.into(), next.run(request)).await {
        Ok(response) => {
            let timer = Timer {
                sleep: Box::pin(sleep_until(deadline.into())),
                context,
                is_over: false,
            };
            watch(response, timer)
        }
        Err(_) => deadline_exceeded(&context).into_http(),
    }
}

/// Cuts a stream short once its time is up.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    context: RequestContext,
    is_over: bool,
}

impl Observer for Timer {
    fn cut_short(&mut self, context: &mut Context<'_>) -> Option<HeaderMap> {
        // Once cut, the body is empty and ends by itself.
        if self.is_over || self.sleep.as_mut().poll(context).is_pending() {
            return None;
        }
        self.is_over = true;
        let mut trailers = HeaderMap::new();
        // Fails for messages that no header can hold; this one is ours.
        let _ = deadline_exceeded(&self.context).add_header(&mut trailers);
        Some(trailers)
    }
}

fn deadline_exceeded(context: &RequestContext) -> Status {
    let tokens = context.metrics.tokens();
    Error::from(engine::Error::Deadline { tokens }).status(&context.id, Duration::ZERO)
}

/// Returns the instant that `grpc-timeout` names, if it can be read.
fn deadline_of(headers: &HeaderMap) -> Option<Instant> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    Instant::now().checked_add(parse(value)?)
}

/// Parses at most eight digits and a unit: H, M, S, m, u or n.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
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
