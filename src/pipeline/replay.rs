//! Requests that records hold, to be run again.

use std::sync::Arc;

use super::attribute::AttributeRequest;
use super::error::Error;
use super::record::Recorded;
use super::request::{CaptureRequest, GenerateRequest, ScoreRequest};
use super::trace::TraceRequest;
use crate::model::Model;

/// A request that a record holds.
#[derive(Debug)]
pub enum Replay {
    /// Repeats an answer.
    Generate(GenerateRequest),
    /// Repeats likelihoods.
    Score(ScoreRequest),
    /// Repeats activations.
    Capture(CaptureRequest),
    /// Repeats a grid of patched runs.
    Trace(Box<TraceRequest>),
    /// Repeats attributions.
    Attribute(Box<AttributeRequest>),
}

/// Asks whether a record can be repeated.
#[derive(Debug)]
pub struct VerifyRequest {
    /// The model that the record names.
    pub model: Arc<Model>,
    /// The record.
    pub record: Recorded,
    /// The request that it holds, its pictures put back; not looked at where the model is another.
    pub replay: Result<Replay, Error>,
}
