//! Holds what clients have loaded and checked, as it is kept for the next start.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::v1;

/// Lists what would be missed after a restart.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Lists models in the order of loading.
    pub(super) models: Mutex<Vec<LoadedModel>>,
    /// Lists the last report of each model.
    pub(super) parity: Mutex<Vec<v1::ParityReport>>,
}

/// Holds what a client has asked to be loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoadedModel {
    pub(super) request: v1::LoadModelRequest,
    /// Tells whether the files are those of then.
    pub(super) digest: String,
    pub(super) projectors: Vec<v1::LoadProjectorRequest>,
}
