//! `/v1/models` and `/v1/records`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tonic::Code;

use super::body::invalid;
use super::door::Door;
use super::error::refused;
use crate::api::Error;
use crate::model::Model;
use crate::pipeline::RequestContext;

/// Lists the models, each alone and under every preset.
pub(super) async fn list(
    State(door): State<Arc<Door>>,
    Extension(context): Extension<RequestContext>,
) -> Response {
    let models = door.state.models.open_to(&context);
    let data = models.iter().flat_map(|model| {
        let presets = door.config.presets.names().map(Some);
        std::iter::once(None)
            .chain(presets)
            .map(|preset| describe(&door, model, preset))
    });
    let data: Vec<Value> = data.collect();
    Door::ok(&json!({"object": "list", "data": data}))
}

/// Describes one model.
pub(super) async fn retrieve(
    State(door): State<Arc<Door>>,
    Extension(context): Extension<RequestContext>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    match named("model", id).and_then(|id| found(&door, &context, &id)) {
        Ok(model) => Door::ok(&model),
        Err(error) => door.failed(&context, &error),
    }
}

fn found(door: &Door, context: &RequestContext, id: &str) -> Result<Value, Error> {
    let (model, preset) = door.find(context, id)?;
    Ok(describe(door, &model, preset))
}

/// Returns the name in a path; the error of one that is no text blames it as `field`.
fn named(field: &'static str, path: Result<Path<String>, PathRejection>) -> Result<String, Error> {
    match path {
        Ok(Path(name)) => Ok(name),
        // Bytes behind `%` that are no UTF-8.
        Err(rejection) => Err(invalid(field, rejection.body_text())),
    }
}

fn describe(door: &Door, model: &Model, preset: Option<&str>) -> Value {
    let id = match preset {
        Some(preset) => format!("{}:{preset}", model.name),
        None => model.name.clone(),
    };
    let mut object = json!({
        "id": id,
        "object": "model",
        // No date stands in a checkpoint, and clients only want a number.
        "created": 0,
        "owned_by": "scotoma",
        "max_model_len": model.decoder.config().max_position_embeddings,
    });
    if let Some(preset) = preset {
        object["parent"] = model.name.as_str().into();
        object["interventions"] = json!(door.config.presets.get(preset));
    }
    object
}

/// Returns a record in the contract's canonical JSON, which `scotoma replay` and Verify take.
pub(super) async fn record(
    State(door): State<Arc<Door>>,
    Extension(context): Extension<RequestContext>,
    digest: Result<Path<String>, PathRejection>,
) -> Response {
    let digest = match named("digest", digest) {
        Ok(digest) => digest,
        Err(error) => return door.failed(&context, &error),
    };
    let Some(record) = door.state.records.get(&context.client.tenant, &digest) else {
        let message = "no record of this digest is kept; an answer carries it".into();
        return refused(
            StatusCode::NOT_FOUND,
            Code::NotFound,
            "UNKNOWN_RECORD",
            message,
        );
    };
    // As it was kept: parsed and written anew it might be another text.
    let mut response = record.to_string().into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Door::went_well(response)
}

/// Returns the seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
