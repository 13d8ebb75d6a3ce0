//! Puts errors into OpenAI's form.

use std::collections::HashMap;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::field_path::shown;

/// Rewrites a response whose head holds a gRPC status, as the layers and handlers write it: an
/// error becomes OpenAI's JSON with an HTTP status, and success loses the header.
pub async fn in_openai_form(mut response: Response) -> Response {
    match Status::from_header_map(response.headers()) {
        None => response,
        Some(status) if status.code() == Code::Ok => {
            remove_status(response.headers_mut());
            response
        }
        Some(status) => {
            // gRPC says by 200 that the status is in the headers.
            let code = match response.status() {
                StatusCode::OK => http_status(&status),
                code => code,
            };
            let mut answer = (code, Json(body(&status))).into_response();
            // The layers have put headers there, such as the id of the request.
            let kept = response.headers().clone();
            answer.headers_mut().extend(kept);
            remove_status(answer.headers_mut());
            let json = axum::http::HeaderValue::from_static("application/json");
            // In place of gRPC's type, which is among those that were kept.
            answer.headers_mut().insert(CONTENT_TYPE, json);
            if let Some(delay) = retry_delay(&status) {
                answer.headers_mut().insert(RETRY_AFTER, delay.into());
            }
            answer
        }
    }
}

/// Answers what has no path here.
pub(super) async fn unknown_path(method: Method, uri: Uri) -> Response {
    let message = format!(
        "there is no {method} {}; there are POST /v1/chat/completions and /v1/completions, GET \
         /v1/models, /v1/models/MODEL and /v1/records/DIGEST",
        shown(uri.path())
    );
    refused(
        StatusCode::NOT_FOUND,
        Code::NotFound,
        "UNKNOWN_PATH",
        message,
    )
}

/// Answers a path whose methods are others; the header `allow` names them.
pub(super) async fn unknown_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} takes no {method}", shown(uri.path()));
    let code = StatusCode::METHOD_NOT_ALLOWED;
    refused(code, Code::Unimplemented, "WRONG_METHOD", message)
}

/// Returns what the layers read as a status, with the HTTP status that it shall have.
pub(super) fn refused(http: StatusCode, code: Code, reason: &str, message: String) -> Response {
    let details = ErrorDetails::with_error_info(reason, "scotoma", HashMap::new());
    let mut response = Status::with_error_details(code, message, details).into_http();
    *response.status_mut() = http;
    response
}

fn remove_status(headers: &mut HeaderMap) {
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        headers.remove(name);
    }
}

/// Returns the whole seconds after which another try helps.
fn retry_delay(status: &Status) -> Option<u64> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    // Whole seconds, and never too early.
    Some(delay.as_secs_f64().ceil() as u64)
}

/// Returns the `error` object of a status.
pub(super) fn body(status: &Status) -> Value {
    let violations = status.get_details_bad_request();
    let field = violations.and_then(|found| Some(found.field_violations.first()?.field.clone()));
    let reason = status.get_details_error_info().map(|info| info.reason);
    json!({"error": {
        "message": status.message(),
        "type": kind(status.code()),
        "param": field.map(|field| openai_path(&field)),
        "code": reason.map(|reason| code(&reason)),
    }})
}

/// Returns OpenAI's word for a reason: its own where it has one that clients look for.
fn code(reason: &str) -> String {
    match reason {
        "UNKNOWN_MODEL" => "model_not_found".into(),
        "UNAUTHENTICATED" => "invalid_api_key".into(),
        "QUEUE_FULL" | "BACKLOG" => "rate_limit_exceeded".into(),
        other => other.to_lowercase(),
    }
}

fn kind(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated => "authentication_error",
        Code::PermissionDenied => "permission_error",
        Code::ResourceExhausted => "rate_limit_error",
        Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::Unknown => "api_error",
        _ => "invalid_request_error",
    }
}

fn http_status(status: &Status) -> StatusCode {
    match status.code() {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal | Code::Unknown | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        // A message past the limit, in gRPC's words.
        Code::OutOfRange => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Returns the path of a field as a body spells it, from the contract's.
fn openai_path(field: &str) -> String {
    let field = field.strip_prefix("sampling.").unwrap_or(field);
    match field.strip_prefix("prompt.messages") {
        Some(rest) => format!("messages{}", rest.replacen(".parts[", ".content[", 1)),
        None => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_spelled_as_in_bodies() {
        for (contract, body) in [
            ("sampling.top_p", "top_p"),
            (
                "prompt.messages[1].parts[0].text",
                "messages[1].content[0].text",
            ),
            (
                "interventions[0].permute_tokens",
                "interventions[0].permute_tokens",
            ),
        ] {
            assert_eq!(openai_path(contract), body);
        }
    }
}
