//! The model that a command asks: one of a server, or one that this process runs.

use clap::Args;
use scotoma_client::Client;

use super::connection::RemoteArgs;
use super::device::{DeviceArgs, MODEL};
use super::error::{Failure, Usage};
use super::judge_args::JudgeArgs;
use super::lens_args::LensArgs;
use super::local_server::with_local_server;
use super::origin::{AdapterArgs, named_origin};
use super::sae_args::SaeArgs;
use crate::model::{ChatTemplate, Origin, SHAPES};
use crate::nn::DeviceId;
use crate::server::{ModelSpec, ServerConfig};

/// The model of commands whose requests name one.
#[derive(Debug, Clone, Args)]
pub(super) struct ModelArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Model: a folder, an id of the hub, or `shapes`; with --server a loaded one's name
    ///
    /// A place is taken as `serve --model` takes it. Default: `shapes`, which is inside the binary,
    /// or the server's first model.
    #[arg(help_heading = MODEL, long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    sae: SaeArgs,
    #[command(flatten)]
    lens: LensArgs,
    #[command(flatten)]
    template: ChatTemplateArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

impl ModelArgs {
    /// Runs `work` with a client of the server that the flags name, or of one in this process.
    pub(super) async fn with_client<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        with_client(&self.remote, self.local(), &self.device, None, work).await
    }

    /// Does the same, with a judge for a server in this process.
    pub(super) async fn with_judged_client<T>(
        &self,
        judge: &JudgeArgs,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        with_client(&self.remote, self.local(), &self.device, Some(judge), work).await
    }

    fn local(&self) -> LocalModel<'_> {
        LocalModel {
            place: self.model.as_deref(),
            adapter: &self.adapter,
            sae: &self.sae,
            lens: &self.lens,
            template: self.template.chat_template.as_deref(),
        }
    }

    /// Returns the model's name for requests: empty for a server in this process, which has one
    /// model only.
    pub(super) fn name(&self) -> String {
        if self.is_remote() {
            self.model.clone().unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// Tells whether a server is named.
    pub(super) fn is_remote(&self) -> bool {
        !self.remote.server.is_empty()
    }

    /// Returns the first device for models of this process.
    pub(super) fn device(&self) -> Result<DeviceId, String> {
        let mut config = ServerConfig {
            models: Vec::new(),
            ..ServerConfig::shapes()
        };
        self.device.apply(&mut config)?;
        Ok(config.devices[0].first())
    }
}

/// The server of commands whose requests name no model.
#[derive(Debug, Clone, Args)]
pub(super) struct HostArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    local: LocalModelArgs,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    sae: SaeArgs,
    #[command(flatten)]
    lens: LensArgs,
    #[command(flatten)]
    template: ChatTemplateArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// The model of a server in this process.
#[derive(Debug, Clone, Args)]
struct LocalModelArgs {
    /// Model to run in this process, without --server: a folder, an id of the hub, or `shapes`
    #[arg(help_heading = MODEL, long, value_name = "MODEL")]
    model: Option<String>,
}

impl HostArgs {
    /// Runs `work` with a client of the server that the flags name, or of one in this process.
    pub(super) async fn with_client<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let model = LocalModel {
            place: self.local.model.as_deref(),
            adapter: &self.adapter,
            sae: &self.sae,
            lens: &self.lens,
            template: self.template.chat_template.as_deref(),
        };
        with_client(&self.remote, model, &self.device, None, work).await
    }
}

/// The chat template of a model in this process.
#[derive(Debug, Clone, Args)]
struct ChatTemplateArgs {
    /// Chat template of a model in this process, as `serve --chat-template` takes it
    #[arg(help_heading = MODEL, long, env = "SCOTOMA_CHAT_TEMPLATE", value_name = "TEMPLATE")]
    chat_template: Option<String>,
}

/// The model of a server in this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalModel<'a> {
    /// The place; `None` for `shapes`.
    pub(super) place: Option<&'a str>,
    /// The adapter to merge into its weights.
    pub(super) adapter: &'a AdapterArgs,
    /// The sparse autoencoders that it is loaded with.
    pub(super) sae: &'a SaeArgs,
    /// Its tuned lenses.
    pub(super) lens: &'a LensArgs,
    /// A chat template in place of its own.
    pub(super) template: Option<&'a str>,
}

impl LocalModel<'_> {
    /// Parses the place into the model's name and where it is.
    fn origin(&self) -> Result<Option<(String, Origin)>, String> {
        let Some(place) = self.place else {
            return Ok(None);
        };
        let origin = named_origin(place).map(Some);
        origin.map_err(|e| format!("--model {place}: {e}"))
    }
}

/// Runs `work` with a client of the server that `remote` names, or of one in this process that
/// runs `model` on `device`.
pub(super) async fn with_client<T>(
    remote: &RemoteArgs,
    model: LocalModel<'_>,
    device: &DeviceArgs,
    judge: Option<&JudgeArgs>,
    work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match remote.connect().await? {
        Some(client) => work(client).await,
        None => with_local_server(config(model, device, judge).await?, work).await,
    }
}

/// Returns the configuration of a server in this process, its model fetched. All mistakes of the
/// flags are reported together, before that.
async fn config(
    model: LocalModel<'_>,
    device: &DeviceArgs,
    judge: Option<&JudgeArgs>,
) -> Result<ServerConfig, Failure> {
    let mut config = ServerConfig::shapes();
    let mut mistakes = Vec::new();
    // Of a copy without models, which get their processors once they are there.
    let mut without_models = ServerConfig {
        models: Vec::new(),
        ..ServerConfig::shapes()
    };
    mistakes.extend(device.apply(&mut without_models).err());
    mistakes.extend(judge.and_then(|judge| judge.apply(&mut config).err()));
    let origin = model.origin().map_err(|e| mistakes.push(e)).ok().flatten();
    let name = origin.as_ref().map_or(SHAPES, |(name, _)| name);
    mistakes.extend(device.wrong_processors(std::iter::once(name)));
    let template = model.template.map(parse_template).transpose();
    mistakes.extend(template.as_ref().err().cloned());
    let (saes, lenses) = (model.sae.places(), model.lens.places());
    mistakes.extend(saes.as_ref().err().map(ToString::to_string));
    mistakes.extend(lenses.as_ref().err().map(ToString::to_string));
    if !mistakes.is_empty() {
        return Err(Usage(mistakes.join("\nerror: ")).into());
    }
    // Without a place the embedded model of `ServerConfig::shapes` stays.
    if let Some((name, origin)) = origin {
        config.models = vec![ModelSpec::new(&name, model.adapter.fetch(origin).await?)];
    }
    let (template, saes, lenses) = (template?, saes?, lenses?);
    for spec in &mut config.models {
        spec.saes.clone_from(&saes);
        spec.lenses.clone_from(&lenses);
        spec.options.chat_template.clone_from(&template);
    }
    // Once more, now that the models have names, for which processors may be set.
    device.apply(&mut config).map_err(Usage)?;
    Ok(config)
}

fn parse_template(text: &str) -> Result<ChatTemplate, String> {
    let template = text.parse();
    template.map_err(|e| format!("--chat-template {text}: {e}"))
}
