//! Holds what clients have loaded and checked, as it is kept for the next start.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::v1;

/// Lists what would be missed after a restart.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    // Locked for a change and a copy; the disk is waited for without a lock.
    /// Lists models in the order of loading.
    pub(super) models: Mutex<Vec<LoadedModel>>,
    /// Lists the last report of each model.
    pub(super) parity: Mutex<Vec<v1::ParityReport>>,
    /// Lists models of the command line that clients have unloaded.
    pub(super) unloaded: Mutex<Vec<CommandLineModel>>,
    /// Lists the models of the command line.
    pub(super) command_line: Vec<CommandLineModel>,
}

/// Names a model of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLineModel {
    /// Names it in requests.
    pub name: String,
    /// Says where its files are: another place is another model.
    pub place: String,
}

/// Holds what a client has asked to be loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoadedModel {
    pub(super) request: v1::LoadModelRequest,
    /// Tells whether the files are those of then.
    pub(super) digest: String,
    pub(super) projectors: Vec<v1::LoadProjectorRequest>,
}
