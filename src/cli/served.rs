//! Who answers: a server that is there, or a model in this process.

use candle_core::Device;
use clap::Args;
use scotoma_client::Client;

use super::connection::Remote;
use super::device::Hardware;
use super::judge::Judge;
use super::serve::{Adapter, named_origin};
use super::{Failure, Local};
use crate::model::ChatTemplate;
use crate::server::{Config, ModelSpec};

/// Who answers, for commands whose requests name a model.
#[derive(Debug, Clone, Args)]
pub(super) struct Served {
    #[command(flatten)]
    remote: Remote,
    /// The model: with --server the name of a resident one (default: its first), else as
    /// `serve --model` takes it: `shapes`, a folder, or an id of the hub
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    adapter: Adapter,
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    hardware: Hardware,
}

impl Served {
    /// Connects to the server that the flags name, or to one in this process.
    pub(super) async fn connect(&self) -> Result<(Option<Local>, Client), Failure> {
        connect(&self.remote, self.own(), &self.hardware, None).await
    }

    /// The same; a server in this process has this judge.
    pub(super) async fn connect_with(
        &self,
        judge: &Judge,
    ) -> Result<(Option<Local>, Client), Failure> {
        connect(&self.remote, self.own(), &self.hardware, Some(judge)).await
    }

    fn own(&self) -> Own<'_> {
        let model = self.model.as_deref();
        Own {
            model,
            adapter: &self.adapter,
            template: self.template.chat_template.as_deref(),
        }
    }

    /// Returns the model's name in requests; a server in this process has one alone.
    pub(super) fn name(&self) -> String {
        if self.is_remote() {
            self.model.clone().unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// Tells whether a server is named.
    pub(super) fn is_remote(&self) -> bool {
        self.remote.server.is_some()
    }

    /// Returns the device on which models of this process run.
    pub(super) fn device(&self) -> Result<Device, String> {
        let mut config = Config {
            models: Vec::new(),
            ..Config::shapes()
        };
        self.hardware.apply(&mut config)?;
        Ok(config.devices.swap_remove(0))
    }
}

/// Who answers, for commands whose requests need no name of a model.
#[derive(Debug, Clone, Args)]
pub(super) struct Host {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    own: OwnModel,
    #[command(flatten)]
    adapter: Adapter,
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    hardware: Hardware,
}

/// The model of a server in this process.
#[derive(Debug, Clone, Args)]
struct OwnModel {
    /// Without --server, the model of the server in this process, as `serve --model` takes it.
    /// Default: `shapes`
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl Host {
    /// Connects to the server that the flags name, or to one in this process.
    pub(super) async fn connect(&self) -> Result<(Option<Local>, Client), Failure> {
        let model = self.own.model.as_deref();
        let own = Own {
            model,
            adapter: &self.adapter,
            template: self.template.chat_template.as_deref(),
        };
        connect(&self.remote, own, &self.hardware, None).await
    }
}

/// The chat template of a model in this process.
#[derive(Debug, Clone, Args)]
struct Template {
    /// The chat template of a model in this process, in place of its own, as
    /// `serve --chat-template` takes it
    #[arg(long, env = "SCOTOMA_CHAT_TEMPLATE", value_name = "TEMPLATE")]
    chat_template: Option<String>,
}

/// The model of a server in this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    /// None: `shapes`.
    pub(super) model: Option<&'a str>,
    /// What is merged into it.
    pub(super) adapter: &'a Adapter,
    /// In place of its own.
    pub(super) template: Option<&'a str>,
}

/// Connects to the server that `remote` names, or to one in this process with `own`.
pub(super) async fn connect(
    remote: &Remote,
    Own {
        model,
        adapter,
        template,
    }: Own<'_>,
    hardware: &Hardware,
    judge: Option<&Judge>,
) -> Result<(Option<Local>, Client), Failure> {
    if let Some(client) = remote.connect().await? {
        return Ok((None, client));
    }
    let mut config = Config::shapes();
    // Before anything is fetched, what can be wrong with it.
    hardware.apply(&mut Config {
        models: Vec::new(),
        ..Config::shapes()
    })?;
    if let Some(judge) = judge {
        judge.apply(&mut config)?;
    }
    if let Some(model) = model {
        let (name, origin) = named_origin(model).map_err(|e| format!("--model {model}: {e}"))?;
        config.models = vec![ModelSpec::new(&name, adapter.fetch(origin).await?)];
    }
    let parse = |text: &str| {
        text.parse::<ChatTemplate>()
            .map_err(|e| format!("--chat-template {text}: {e}"))
    };
    let template = template.map(parse).transpose()?;
    for spec in &mut config.models {
        spec.options.chat_template.clone_from(&template);
    }
    hardware.apply(&mut config)?;
    let (local, client) = Local::start(config).await?;
    Ok((Some(local), client))
}

/// Ends a server of this process, if there is one.
pub(super) async fn stop(local: Option<Local>) -> Result<(), Failure> {
    match local {
        Some(local) => local.stop().await,
        None => Ok(()),
    }
}
