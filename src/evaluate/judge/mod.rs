//! Asks a judge: a service, or a language model inside the server.

mod local;
mod outcome;
mod remote;

use std::path::PathBuf;
use std::sync::Arc;

use crate::benchmark::judge::JudgePrompt;
use crate::engine::ClientId;
use crate::model::{self, PreparedTextModel};
use crate::pipeline::Runtime;
use local::LocalJudge;
use remote::RemoteJudge;

pub use remote::JudgeAddress;

/// Says who judges and what it is asked.
#[derive(Debug, Clone)]
pub struct JudgeConfig {
    /// Says who judges.
    pub place: JudgePlace,
    /// Lists templates in place of our own.
    pub templates: Vec<(JudgePrompt, String)>,
}

/// Says where a judge is.
#[derive(Debug, Clone)]
pub enum JudgePlace {
    /// Any service that speaks OpenAI's chat completions.
    Service(JudgeAddress),
    /// A language model in a GGUF file.
    Gguf(PathBuf),
}

/// Asks a judge. Clones share it.
#[derive(Debug, Clone)]
pub struct Judge {
    name: Arc<str>,
    templates: Arc<[(JudgePrompt, String)]>,
    kind: JudgeKind,
}

#[derive(Debug, Clone)]
enum JudgeKind {
    Remote(RemoteJudge),
    Local(LocalJudge),
}

impl Judge {
    /// Returns the judge that `config` names. One inside the server is loaded, as far as the budget
    /// of the models in `runtime` goes; that blocks.
    pub fn load(config: &JudgeConfig, runtime: &Runtime) -> Result<Self, model::Error> {
        let (name, kind) = match &config.place {
            JudgePlace::Service(address) => {
                let judge = RemoteJudge::new(address.clone());
                (address.model.clone(), JudgeKind::Remote(judge))
            }
            JudgePlace::Gguf(path) => {
                let judge = LocalJudge::load(PreparedTextModel::open_judge(path)?, runtime)?;
                (judge.name(), JudgeKind::Local(judge))
            }
        };
        Ok(Self {
            name: name.into(),
            templates: config.templates.clone().into(),
            kind,
        })
    }

    /// Returns the name of the model that judges; of one inside the server with the digest of its
    /// file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the template of the question that `task` asks.
    pub fn template(&self, task: JudgePrompt) -> &str {
        let own = self.templates.iter().find(|(of, _)| *of == task);
        own.map_or(task.template(), |(_, template)| template)
    }

    /// Asks `question` for `client`, and returns the reply, or why there is none.
    pub(super) async fn ask(&self, client: &ClientId, question: String) -> Result<String, String> {
        match &self.kind {
            // Without the client: a service has its own bounds, and all share the turns.
            JudgeKind::Remote(judge) => judge.ask(question).await,
            JudgeKind::Local(judge) => judge.ask(client, question).await,
        }
    }
}
