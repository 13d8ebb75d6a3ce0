//! `scotoma serve`: the server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;

use super::access_args::AccessArgs;
use super::bounds_args::BoundsArgs;
use super::device::ServerDeviceArgs;
use super::error::{Failure, Usage};
use super::judge_args::JudgeArgs;
use super::lifecycle_args::LifecycleArgs;
use super::openai_args::OpenAiArgs;
use super::origin::{fetch, fetch_with, named_origin};
use super::settings::Settings;
use super::signals;
use super::tenancy_args::TenancyArgs;
use crate::model::{self, ChatTemplate, Origin, Purpose};
use crate::pipeline::LoadOptions;
use crate::server::{ModelSpec, Reload, Server, ServerConfig};
use crate::telemetry::{self, LogFormat};

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address for gRPC, gRPC-Web and /metrics. Use 0.0.0.0:7878 to serve other machines
    #[arg(long, env = "SCOTOMA_LISTEN", default_value = "127.0.0.1:7878")]
    listen: SocketAddr,
    /// A model: `shapes` (inside the binary), a folder in the format of save_pretrained or of the
    /// original LLaVA, or an id of the Hugging Face hub (ORGANISATION/NAME[@REVISION]; HF_HOME,
    /// HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are honoured). NAME=PLACE gives it another name.
    /// Repeat for several
    #[arg(
        long,
        env = "SCOTOMA_MODEL",
        value_delimiter = ',',
        default_value = model::SHAPES,
        default_value_if("random_weights", clap::builder::ArgPredicate::IsPresent, None)
    )]
    model: Vec<String>,
    /// LoRA adapter to merge into the weights of the first model, or of model NAME, at load: a
    /// folder or a hub id, in the format of PEFT or of the original LLaVA. Repeat for several
    /// models
    #[arg(
        long,
        env = "SCOTOMA_ADAPTER",
        value_name = "[NAME=]PLACE",
        value_delimiter = ','
    )]
    adapter: Vec<String>,
    /// One more projector of the first model for SwapProjector, NAME=FILE (safetensors or
    /// mm_projector.bin). Repeat for several
    #[arg(long, env = "SCOTOMA_PROJECTOR", value_delimiter = ',')]
    projector: Vec<String>,
    #[command(flatten)]
    device: ServerDeviceArgs,
    /// Device of a model, such as NAME=cuda:1, in place of the one on which models take the least
    /// memory. Repeat for several
    #[arg(
        long,
        env = "SCOTOMA_PLACE",
        value_name = "NAME=DEVICE",
        value_delimiter = ','
    )]
    place: Vec<String>,
    /// Chat template of a model, in place of its own: a file (Jinja, or JSON with chat_template),
    /// or the name of one of LLaVA's conversations, such as vicuna_v1, llava_v1, mistral_instruct,
    /// chatml_direct, qwen_1_5, llava_llama_3 (an unknown name lists all); MODEL=TEMPLATE where
    /// several models are served. Repeat for several
    #[arg(
        long,
        env = "SCOTOMA_CHAT_TEMPLATE",
        value_name = "[MODEL=]TEMPLATE",
        value_delimiter = ','
    )]
    chat_template: Vec<String>,
    /// A model of real size with random weights, for speed work without a download: llava-1.5-7b,
    /// llava-next-7b, llava-onevision-7b, or a folder without weights. It is served beside the
    /// models of --model, or alone
    #[arg(
        long,
        env = "SCOTOMA_RANDOM_WEIGHTS",
        value_name = "MODEL",
        value_delimiter = ','
    )]
    random_weights: Vec<String>,
    /// Most requests that wait; more are refused with RESOURCE_EXHAUSTED. Raise it for bursts
    #[arg(
        long,
        env = "SCOTOMA_QUEUE",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    queue: u32,
    /// Most requests that share a batch. Lower it if memory for keys and values is short. Default: 64
    /// on a CPU, 256 on a GPU
    #[arg(
        long,
        env = "SCOTOMA_MAX_RUNNING",
        value_parser = clap::value_parser!(u32).range(1..=4096)
    )]
    max_running: Option<u32>,
    /// Most prefill rows of one step. Lower it for steadier token latency, raise it for throughput.
    /// Default: 1024 on a CPU, 8192 on a GPU
    #[arg(
        long,
        env = "SCOTOMA_MAX_STEP_ROWS",
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    max_step_rows: Option<u32>,
    /// Most admitted work that is not done, in (row, layer) pairs; more is refused. Raise it for
    /// large sweeps
    #[arg(long, env = "SCOTOMA_MAX_QUEUE_ROWS", default_value_t = 1 << 28)]
    max_queue_rows: u64,
    /// MiB of keys and values; prompts are kept for reuse as long as there is room. Default: 4096 on a
    /// CPU, two fifths of the free memory on a GPU
    #[arg(
        long,
        env = "SCOTOMA_KV_CACHE_MIB",
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    kv_cache_mib: Option<u32>,
    /// MiB of encoded pictures that are kept for reuse
    #[arg(
        long,
        env = "SCOTOMA_IMAGE_CACHE_MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    image_cache_mib: u32,
    /// MiB of residual-stream checkpoints from which the variants of a sweep start; with fewer the
    /// sweep computes more
    #[arg(
        long,
        env = "SCOTOMA_CHECKPOINT_MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(0..=1_048_576)
    )]
    checkpoint_mib: u32,
    /// Most pictures of one request
    #[arg(
        long,
        env = "SCOTOMA_MAX_IMAGES",
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    max_images: u32,
    /// Most pixels of one picture, checked before it is decoded
    #[arg(
        long,
        env = "SCOTOMA_MAX_IMAGE_PIXELS",
        default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u64).range(1..=1 << 32)
    )]
    max_image_pixels: u64,
    /// Most MiB of one message
    #[arg(
        long,
        env = "SCOTOMA_MAX_MESSAGE_MIB",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    max_message_mib: u32,
    /// Most MiB of all activations of one Capture
    #[arg(
        long,
        env = "SCOTOMA_MAX_CAPTURE_MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    max_capture_mib: u32,
    /// MiB of activations that are kept for Patch; the least recently used make room
    #[arg(
        long,
        env = "SCOTOMA_KEEP_MIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    keep_mib: u32,
    /// MiB of uploaded pictures that are kept; the least recently used make room
    #[arg(
        long,
        env = "SCOTOMA_UPLOAD_MIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    upload_mib: u32,
    /// A ViT whose attention gives saliency, such as DINO's, NAME=PLACE: a folder or a hub id
    #[arg(long, env = "SCOTOMA_SALIENCY", value_name = "NAME=PLACE")]
    saliency: Vec<String>,
    /// Most GiB of all models together; a model that does not fit is refused. Default: no limit
    #[arg(
        long,
        env = "SCOTOMA_MEMORY_BUDGET",
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    memory_budget: Option<u32>,
    /// Let clients load and unload models; with --api-keys those with an admin's key. They may name
    /// any folder of this machine and any id of the hub, unless --model-root and --model-hub say
    /// which
    #[arg(
        long,
        env = "SCOTOMA_ALLOW_LOAD",
        action = clap::ArgAction::SetTrue,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    allow_load: bool,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    openai: OpenAiArgs,
    #[command(flatten)]
    tenancy: TenancyArgs,
    /// Seconds of silence after which a connection is pinged; after as many again without an answer
    /// it is closed, and its requests are cancelled
    #[arg(
        long,
        env = "SCOTOMA_KEEPALIVE",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    keepalive: u64,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
    /// Log level: error, warn, info, debug, trace, off, or TARGET=LEVEL with commas between several
    #[arg(long, env = "SCOTOMA_LOG", default_value = "info")]
    log: String,
    /// Log format; json for machines
    #[arg(long, env = "SCOTOMA_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Reads the command line and the configuration file again.
pub(super) type ParseAgain = fn() -> Result<(Serve, Settings), String>;

/// Flags that SIGHUP takes over; the others need a restart.
const RELOADED: [&str; 6] = [
    "api-keys",
    "drain-timeout",
    "log",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
];

impl Serve {
    pub(super) async fn run(self, settings: Settings, again: ParseAgain) -> Result<(), Failure> {
        if self.lifecycle.check {
            return self.check(&settings);
        }
        let audit = self.tenancy.open_audit()?;
        telemetry::init_logs(&self.log, self.log_format, audit)
            .map_err(|e| Usage(format!("--log {e}")))?;
        self.tenancy.export_traces()?;
        let (mut config, origins) = self.config()?;
        for text in &self.saliency {
            let (name, origin) = named_origin(text)?;
            let source = fetch(origin, Purpose::Part).await?;
            config.saliency.push((name, source));
        }
        config.models = self.fetch_models(origins).await?;
        let encrypted = config.tls.is_some();
        warn_of_expiry(&config);
        // A SIGHUP while models are loaded would end the program.
        let (reload, reloads) = oneshot::channel();
        tokio::spawn(follow_hangups(reloads, settings, again)?);
        let server = tokio::task::spawn_blocking(move || Server::load(&config)).await??;
        // The receiver waits for it.
        let _ = reload.send(server.reload());
        let listener = tokio::net::TcpListener::bind(self.listen)
            .await
            .map_err(|e| format!("{}: {e}", self.listen))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving");
        let scheme = if encrypted { "https" } else { "http" };
        println!(
            "scotoma {} serves on {scheme}://{address} (metrics: {scheme}://{address}/metrics)",
            telemetry::VERSION
        );
        let served = server.run(listener, signals::shutdown()?).await;
        // It waits for the receiver.
        tokio::task::spawn_blocking(telemetry::end_traces).await?;
        Ok(served?)
    }

    /// Says what would be served, or what is wrong.
    fn check(&self, settings: &Settings) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        let log = telemetry::check_log_filter(&self.log);
        mistakes.extend(log.err().map(|e| format!("--log {e}")));
        mistakes.extend(self.lifecycle.check_state().err());
        for text in &self.saliency {
            let wrong = named_origin(text).err();
            mistakes.extend(wrong.map(|e| format!("--saliency {text}: {e}")));
        }
        let planned = self.config().and_then(|(config, origins)| {
            let adapters = self.adapters(&origins)?;
            Ok((config, origins, adapters))
        });
        let planned = planned.map_err(|e| mistakes.push(e.to_string())).ok();
        if let Some((_, origins, adapters)) = &planned {
            let places = origins.iter().map(|(name, origin)| (name, origin, false));
            let parts = adapters.iter().map(|(name, origin)| (name, origin, true));
            for (name, origin, is_adapter) in places.chain(parts) {
                let wrong = check_files(origin, is_adapter).err();
                mistakes.extend(wrong.map(|e| format!("model {name}: {e}")));
            }
        }
        match planned.filter(|_| mistakes.is_empty()) {
            Some((config, origins, adapters)) => {
                self.print_plan(&config, &origins, &adapters, settings);
                Ok(())
            }
            None => Err(Usage(mistakes.join("\nerror: ")).into()),
        }
    }

    fn print_plan(
        &self,
        config: &ServerConfig,
        origins: &[(String, Origin)],
        adapters: &[(String, Origin)],
        settings: &Settings,
    ) {
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let listen = self.listen;
        println!(
            "scotoma {} would serve on {scheme}://{listen}",
            telemetry::VERSION
        );
        for (name, origin) in origins {
            println!("model {name}: {}", place(origin));
        }
        for (name, origin) in adapters {
            println!("adapter of {name}: {}", place(origin));
        }
        let devices: Vec<String> = config.devices.iter().map(ToString::to_string).collect();
        println!("devices: {}", devices.join(", "));
        match &config.tls {
            None => println!("encryption: none"),
            Some(tls) if tls.asks_clients() => {
                println!(
                    "encryption: until {}, clients need a certificate",
                    tls.expires()
                );
            }
            Some(tls) => println!("encryption: until {}", tls.expires()),
        }
        match config.keys.len() {
            0 => println!("keys: none, whoever reaches the port may ask"),
            keys => println!("keys: {keys}"),
        }
        println!("settings:");
        settings
            .lines()
            .iter()
            .for_each(|line| println!("  {line}"));
    }

    /// Takes over what can change while the server runs.
    fn reload_into(&self, reload: &Reload) -> Result<(), String> {
        telemetry::check_log_filter(&self.log).map_err(|e| format!("--log {e}"))?;
        let mut config = ServerConfig {
            models: Vec::new(),
            ..ServerConfig::shapes()
        };
        let access = self.access.apply(&mut config);
        access.map_err(|mistakes| mistakes.join("; "))?;
        self.lifecycle.apply(&mut config);
        reload.apply(&config)?;
        warn_of_expiry(&config);
        telemetry::set_log_filter(&self.log)
    }

    /// Fetches all models, and pairs each with the flags that are for it.
    async fn fetch_models(
        &self,
        origins: Vec<(String, Origin)>,
    ) -> Result<Vec<ModelSpec>, Failure> {
        let mut adapters = self.adapters(&origins)?;
        let mut models = Vec::new();
        for (i, (name, origin)) in origins.into_iter().enumerate() {
            let adapter = adapters.iter().position(|(of, _)| *of == name);
            let adapter = adapter.map(|at| adapters.swap_remove(at).1);
            let options = LoadOptions {
                device: self.placed_on(&name).to_owned(),
                dtype: None,
                image_processor: self.device.image_processor(&name)?,
                chat_template: self.chat_template(&name)?,
            };
            models.push(ModelSpec {
                source: fetch_with(origin, adapter).await?,
                // All further projectors are the first model's.
                projectors: if i == 0 {
                    self.projectors()
                } else {
                    Vec::new()
                },
                name,
                options,
            });
        }
        Ok(models)
    }

    /// Returns the device that `--place` names for a model; empty where it names none.
    fn placed_on(&self, model: &str) -> &str {
        let placed = self.place.iter().filter_map(|p| p.split_once('='));
        let mut own = placed.filter(|(of, _)| *of == model);
        own.next().map_or("", |(_, device)| device)
    }

    /// Parses the adapters, each with the name of its model.
    fn adapters(&self, origins: &[(String, Origin)]) -> Result<Vec<(String, Origin)>, Failure> {
        let mut adapters: Vec<(String, Origin)> = Vec::new();
        for text in &self.adapter {
            let first = origins.first().map_or("", |(name, _)| name);
            let (name, place) = text.split_once('=').unwrap_or((first, text));
            if !is_named(origins, name) {
                return Err(Usage(format!(
                    "--adapter {text}: [NAME=]PLACE is needed, NAME that of a model"
                ))
                .into());
            }
            if is_named(&adapters, name) {
                return Err(Usage(format!(
                    "--adapter {text}: model {name} has one already; one is merged"
                ))
                .into());
            }
            let origin = place
                .parse()
                .map_err(|e| Usage(format!("--adapter {text}: {e}")))?;
            adapters.push((name.to_owned(), origin));
        }
        Ok(adapters)
    }

    /// Finds the chat template of a model. One without a name is for the only model.
    fn chat_template(&self, name: &str) -> Result<Option<ChatTemplate>, String> {
        let is_only = self.model.len() + self.random_weights.len() == 1;
        for text in &self.chat_template {
            match text.split_once('=') {
                Some((of, template)) if of == name => return template.parse().map(Some),
                None if is_only => return text.parse().map(Some),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Lists the further projectors of the first model.
    fn projectors(&self) -> Vec<(String, PathBuf)> {
        self.projector
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(name, file)| (name.to_owned(), PathBuf::from(file)))
            .collect()
    }

    /// Returns the configuration without models, and the models' origins. All mistakes are reported
    /// together.
    fn config(&self) -> Result<(ServerConfig, Vec<(String, Origin)>), Failure> {
        let mut mistakes = Vec::new();
        let mut config = ServerConfig {
            models: Vec::new(),
            ..ServerConfig::shapes()
        };
        let origins = self.origins(&mut mistakes);
        self.check_projectors(&mut mistakes);
        mistakes.extend(self.device.apply(&mut config).err());
        let names = origins.iter().map(|(name, _)| name.as_str());
        mistakes.extend(self.device.wrong_processors(names));
        mistakes.extend(self.judge.apply(&mut config).err());
        mistakes.extend(self.access.apply(&mut config).err().unwrap_or_default());
        mistakes.extend(self.openai.apply(&mut config).err().unwrap_or_default());
        mistakes.extend(self.tenancy.apply(&mut config));
        self.check_places(&origins, &mut mistakes);
        self.check_chat_templates(&origins, &mut mistakes);
        self.apply_limits(&mut config);
        let shares = config.keys.shares(&config.limits);
        mistakes.extend(shares.err().map(|e| format!("--api-keys: {e}")));
        if mistakes.is_empty() {
            Ok((config, origins))
        } else {
            Err(Usage(mistakes.join("\nerror: ")).into())
        }
    }

    /// Parses where the models are.
    fn origins(&self, mistakes: &mut Vec<String>) -> Vec<(String, Origin)> {
        let models = self
            .model
            .iter()
            .map(|text| ("--model", text, text.clone()));
        let random = self
            .random_weights
            .iter()
            .map(|text| ("--random-weights", text, format!("{}{text}", model::RANDOM)));
        let mut origins = Vec::new();
        for (flag, text, place) in models.chain(random) {
            match named_origin(&place) {
                Ok(origin) => origins.push(origin),
                Err(e) => mistakes.push(format!("{flag} {text}: {e}")),
            }
        }
        origins
    }

    fn check_projectors(&self, mistakes: &mut Vec<String>) {
        for text in &self.projector {
            match text.split_once('=') {
                Some((_, file)) if Path::new(file).is_file() => {}
                Some((_, file)) => mistakes.push(format!("--projector {text}: no file {file}")),
                None => mistakes.push(format!("--projector {text}: NAME=FILE is needed")),
            }
        }
    }

    fn check_places(&self, origins: &[(String, Origin)], mistakes: &mut Vec<String>) {
        for text in &self.place {
            let model = text.split_once('=').map(|(name, _)| name);
            if !model.is_some_and(|name| is_named(origins, name)) {
                mistakes.push(format!(
                    "--place {text}: NAME=DEVICE is needed, NAME that of a model"
                ));
            }
        }
    }

    fn check_chat_templates(&self, origins: &[(String, Origin)], mistakes: &mut Vec<String>) {
        for text in &self.chat_template {
            let (model, template) = match text.split_once('=') {
                Some((model, template)) => (Some(model), template),
                None => (None, text.as_str()),
            };
            let known = match model {
                Some(model) => is_named(origins, model),
                None => origins.len() == 1 && self.chat_template.len() == 1,
            };
            if !known {
                mistakes.push(format!(
                    "--chat-template {text}: MODEL=TEMPLATE is needed, MODEL the name of a model"
                ));
            }
            if let Err(e) = template.parse::<ChatTemplate>() {
                mistakes.push(format!("--chat-template {text}: {e}"));
            }
        }
    }

    fn apply_limits(&self, config: &mut ServerConfig) {
        let default = crate::engine::Limits::for_devices(&config.devices);
        let or = |given: Option<u32>, default: usize| given.map_or(default, |n| n as usize);
        config.engine = crate::engine::Limits {
            queue: self.queue as usize,
            running: or(self.max_running, default.running),
            step_rows: or(self.max_step_rows, default.step_rows),
            queue_rows: self.max_queue_rows,
            kv_bytes: self
                .kv_cache_mib
                .map_or(default.kv_bytes, |mib| (mib as usize) << 20),
            picture_bytes: u64::from(self.image_cache_mib) << 20,
            checkpoint_bytes: u64::from(self.checkpoint_mib) << 20,
        };
        config.limits = crate::pipeline::RequestLimits {
            images: self.max_images as usize,
            image_pixels: self.max_image_pixels,
            message_bytes: (self.max_message_mib as usize) << 20,
            capture_bytes: u64::from(self.max_capture_mib) << 20,
            kept_bytes: u64::from(self.keep_mib) << 20,
            upload_bytes: u64::from(self.upload_mib) << 20,
            ..config.limits
        };
        self.bounds.apply(config);
        config.memory_budget = self
            .memory_budget
            .map_or(u64::MAX, |gib| u64::from(gib) << 30);
        config.allow_load = self.allow_load;
        self.lifecycle.apply(config);
        config.keepalive = Duration::from_secs(self.keepalive);
    }
}

/// Follows SIGHUP once the server is there, for as long as it is polled.
fn follow_hangups(
    server: oneshot::Receiver<Reload>,
    settings: Settings,
    again: ParseAgain,
) -> Result<impl Future<Output = ()> + Send, Failure> {
    let (hangups, mut hung_up) = tokio::sync::mpsc::channel(1);
    // One that waits stands for all that come meanwhile.
    let following = signals::on_hangup(move || {
        let _ = hangups.try_send(());
    })?;
    let reloading = async move {
        let Ok(reload) = server.await else { return };
        let mut settings = settings;
        while hung_up.recv().await.is_some() {
            match again().and_then(|(serve, now)| serve.reload_into(&reload).map(|()| now)) {
                Ok(now) => {
                    say_what_waits(&settings, &now);
                    settings = now;
                }
                Err(error) => {
                    tracing::error!(error, "nothing was reloaded; what was there stays");
                }
            }
        }
    };
    Ok(async move {
        tokio::join!(following, reloading);
    })
}

/// Checks that the first file of a model or an adapter is there and is JSON. What the hub has is
/// seen when it is fetched.
fn check_files(origin: &Origin, is_adapter: bool) -> Result<(), String> {
    let Origin::Here(source) = origin else {
        return Ok(());
    };
    let name = if is_adapter {
        "adapter_config.json"
    } else {
        "config.json"
    };
    let read = source.json::<serde_json::Value>(name);
    match read.map_err(|e| e.to_string())? {
        Some(_) => Ok(()),
        None => Err(source.missing(name).to_string()),
    }
}

/// Returns a place in words.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Here(source) => source.place(),
        Origin::Hub(id) => format!(
            "{}@{} of the hub, fetched at the start",
            id.name, id.revision
        ),
    }
}

/// Names the settings that have changed and need a restart.
fn say_what_waits(then: &Settings, now: &Settings) {
    let mut waits = now.changed(then);
    waits.retain(|name| !RELOADED.contains(name));
    if waits.is_empty() {
        tracing::info!("reloaded");
    } else {
        let settings: Vec<&str> = waits.into_iter().collect();
        let settings = settings.join(", ");
        tracing::warn!(settings, "reloaded; these have changed and need a restart");
    }
}

/// Says a month ahead that the certificate expires.
fn warn_of_expiry(config: &ServerConfig) {
    let Some(tls) = &config.tls else { return };
    let left = tls.expires().duration_since(jiff::Timestamp::now());
    if left < jiff::SignedDuration::from_hours(30 * 24) {
        let expires = tls.expires().to_string();
        tracing::warn!(
            expires,
            "the certificate expires soon; SIGHUP loads a new one"
        );
    }
}

fn is_named(origins: &[(String, Origin)], name: &str) -> bool {
    origins.iter().any(|(own, _)| own == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    /// What would be served under some flags, or what is wrong with them.
    fn planned(flags: &[&str]) -> String {
        let command = Serve::augment_args(clap::Command::new("serve"));
        let matches = command
            .try_get_matches_from([&["serve"], flags].concat())
            .unwrap();
        let serve = Serve::from_arg_matches(&matches).unwrap();
        match serve.config() {
            Ok(planned) => {
                let adapters = serve.adapters(&planned.1).map_err(|e| e.to_string());
                format!("{planned:?} {adapters:?}")
            }
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn every_flag_changes_what_is_served() {
        let judge = ["--judge", "http://a", "--judge-model", "b"];
        let tables: [(&[&str], &[&[&str]]); 3] = [
            (
                &[],
                &[
                    &["--model", "a=shapes"],
                    &["--projector", "a=missing.bin"],
                    &["--device", "cuda:77"],
                    &["--dtype", "bf16"],
                    &["--place", "nobody=cpu"],
                    &["--adapter", "nobody=missing"],
                    &["--image-processor", "nobody=pillow"],
                    &["--chat-template", "no-such"],
                    &["--random-weights", "llava-1.5-7b"],
                    &["--queue", "7"],
                    &["--max-running", "7"],
                    &["--max-step-rows", "7"],
                    &["--max-queue-rows", "7"],
                    &["--kv-cache-mib", "7"],
                    &["--image-cache-mib", "7"],
                    &["--checkpoint-mib", "7"],
                    &["--max-images", "7"],
                    &["--max-image-pixels", "7"],
                    &["--max-message-mib", "7"],
                    &["--max-capture-mib", "7"],
                    &["--keep-mib", "7"],
                    &["--upload-mib", "7"],
                    &["--memory-budget", "7"],
                    &["--allow-load"],
                    &["--pending-mib", "7"],
                    &["--pending-mib-per-key", "7"],
                    &["--decoding-pixels", "7"],
                    &["--decoding-pixels-per-key", "7"],
                    &["--unread-mib", "7"],
                    &["--unread-mib-per-key", "7"],
                    &["--read-timeout", "7"],
                    &["--max-connections", "7"],
                    &["--keepalive", "7"],
                    &["--drain-timeout", "7"],
                    &["--state", "folder"],
                    &["--api-keys", "missing"],
                    &["--model-root", "missing"],
                    &["--model-hub", "llava-hf/*"],
                    &["--cors-origin", "https://lab.example"],
                    &["--replay-mib", "7"],
                    &["--metrics-by-key"],
                    &["--no-page"],
                    &["--tls-cert", "missing", "--tls-key", "gone"],
                    &["--tls-key", "missing", "--tls-cert", "gone"],
                    &[
                        "--tls-client-ca",
                        "missing",
                        "--tls-cert",
                        "gone",
                        "--tls-key",
                        "gone",
                    ],
                    &["--judge", "http://a", "--judge-model", "b"],
                    &["--preset", "plain=[]"],
                    &["--fetch-images", "example.org"],
                ],
            ),
            (
                &["--tls-cert", "gone", "--tls-key", "gone"],
                &[&["--tls-client-ca", "missing"]],
            ),
            (&judge, &[&["--judge-prompt", "grade=missing"]]),
        ];
        let mut walked: BTreeSet<String> = BTreeSet::new();
        for (base, rows) in tables {
            for row in rows {
                let with = planned(&[base, row].concat());
                assert_ne!(planned(base), with, "{row:?} changes nothing");
                walked.insert(row[0].trim_start_matches("--").into());
            }
        }
        assert_ne!(
            planned(&judge),
            planned(&["--judge", "http://a", "--judge-model", "c"])
        );
        walked.insert("judge-model".into());
        // Used as they are once the configuration is made, and tried on running servers by other
        // tests; the judge's key does not print.
        let others = [
            "listen",
            "audit-log",
            "otlp",
            "saliency",
            "log",
            "log-format",
            "judge-key",
            "config",
            "check",
        ];
        walked.extend(others.map(String::from));
        let command = Serve::augment_args(clap::Command::new("serve"));
        let there: BTreeSet<String> = command
            .get_arguments()
            .filter_map(|a| Some(a.get_long()?.to_owned()))
            .collect();
        assert_eq!(walked, there, "say here what a new flag changes");
    }
}
