//! Holds what the handlers share, and does for them what all of them ask.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::body::invalid;
use super::images::ImageHosts;
use super::presets::Presets;
use crate::api::{self, Error};
use crate::model::Model;
use crate::pipeline::{Interventions, Price, Provenance, RequestContext};

/// Configures the door.
#[derive(Debug, Clone, Default)]
pub struct OpenAiConfig {
    /// Names lists of interventions.
    pub presets: Presets,
    /// Lists the hosts that pictures are fetched from; none: pictures come as data URLs.
    pub image_hosts: ImageHosts,
}

/// Holds what the handlers share.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) state: Arc<api::State>,
    pub(super) config: OpenAiConfig,
    /// Bounds the threads that wait for other people's servers.
    pub(super) fetches: Arc<Semaphore>,
}

impl Door {
    /// Fetches of pictures that go on at once.
    const FETCHES: usize = 32;

    /// Opens the door to `state`.
    pub(super) fn new(state: Arc<api::State>, config: OpenAiConfig) -> Self {
        Self {
            state,
            config,
            fetches: Arc::new(Semaphore::new(Self::FETCHES)),
        }
    }

    /// Returns the bytes of a body that says it is JSON. Pages of other origins can send any other
    /// type without asking.
    pub(super) fn json(
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Bytes, Error> {
        let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let kind = kind.unwrap_or_default();
        // Without parameters such as `charset=utf-8`.
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let message = format!("{kind:?}; the body has to be application/json");
            return Err(invalid("content-type", message));
        }
        body.map_err(|rejection| unreadable(&rejection))
    }

    /// Reads a body when it is the client's turn: bodies hold whole pictures.
    pub(super) async fn parse<A: Send + 'static>(
        &self,
        context: &RequestContext,
        body: Bytes,
        parse: impl FnOnce(&[u8]) -> Result<A, Error> + Send + 'static,
    ) -> Result<A, Error> {
        let price = Price::of_json(body.len());
        let read = move || Ok(parse(&body));
        self.state.turns.run(&context.client, price, read).await?
    }

    /// Finds a model by name, or by its name and that of a preset.
    pub(super) fn find<'a>(
        &self,
        context: &RequestContext,
        id: &'a str,
    ) -> Result<(Arc<Model>, Option<&'a str>), Error> {
        let unknown = match self.state.models.resident(context, id) {
            Ok(model) => return Ok((model, None)),
            Err(error) => Error::from(error),
        };
        // A model's own name may hold a colon.
        let Some((name, preset)) = id.rsplit_once(':').filter(|(name, _)| !name.is_empty()) else {
            return Err(unknown);
        };
        let model = self
            .state
            .models
            .resident(context, name)
            // About the id as it was sent: what stands before a colon need not be a model's name.
            .map_err(|_| unknown)?;
        if self.config.presets.get(preset).is_none() {
            let known: Vec<&str> = self.config.presets.names().collect();
            let message = format!("no preset {preset:?}; known: {}", known.join(", "));
            return Err(invalid("model", message));
        }
        Ok((model, Some(preset)))
    }

    /// Finds the model that a body names, with the interventions of its preset before those of the
    /// body.
    pub(super) fn model_and_interventions(
        &self,
        context: &RequestContext,
        id: &str,
        own: Vec<Value>,
    ) -> Result<(Arc<Model>, Interventions), Error> {
        let (model, preset) = self.find(context, id)?;
        let preset = preset.and_then(|name| self.config.presets.get(name));
        let mut list = preset.map(<[Value]>::to_vec).unwrap_or_default();
        list.extend(own);
        Ok((model, api::drawn_interventions(list)?))
    }

    /// Keeps the record of an answer and returns its digest.
    pub(super) fn keep_record(&self, context: &RequestContext, record: &Provenance) -> String {
        let digest = record.digest.clone();
        // A record is made of finite numbers and texts, which JSON has.
        if let Ok(json) = serde_json::to_value(record) {
            let (tenant, text) = (&context.client.tenant, json.to_string());
            let bytes = text.len() as u64;
            // One that is larger than its owner's share is answered, and not kept.
            let _ = self.state.records.put(tenant, &digest, text.into(), bytes);
        }
        digest
    }

    /// Returns the response of a request that failed.
    pub(super) fn failed(&self, context: &RequestContext, error: &Error) -> Response {
        self.state.status(context, error).into_http()
    }

    /// Returns the response of a request that went well.
    pub(super) fn ok(object: &Value) -> Response {
        Self::went_well(Json(object).into_response())
    }

    /// Tells the layers that a request went well: without a status it would look cancelled to them.
    pub(super) fn went_well(mut response: Response) -> Response {
        let ok = HeaderValue::from(Code::Ok as i32);
        response.headers_mut().insert("grpc-status", ok);
        response
    }
}

/// Returns the error of a body that did not come whole: what a layer has said of it, such as that
/// there is no room, or that it is too long.
fn unreadable(rejection: &BytesRejection) -> Error {
    // axum and the layers wrap it, some more than once.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(rejection);
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<Status>() {
            return Error::Inbound(Box::new(status.clone()));
        }
        cause = error.source();
    }
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Error::MessageTooLarge;
    }
    invalid("body", rejection.body_text())
}
