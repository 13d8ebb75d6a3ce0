//! `scotoma serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::connection::Access;
use super::device::ServerHardware;
use super::judge::Judge;
use crate::model::{self, ChatTemplate, Origin, Purpose, Source};
use crate::pipeline::LoadOptions;
use crate::server::{Config, ModelSpec, Server};
use crate::telemetry::{self, LogFormat};

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address of gRPC, gRPC-Web and /metrics. Use 0.0.0.0:7878 to serve other machines
    #[arg(long, env = "SCOTOMA_LISTEN", default_value = "127.0.0.1:7878")]
    listen: SocketAddr,
    /// A model: `shapes` (inside the binary), a folder as save_pretrained or the original LLaVA
    /// writes it, or an id of the Hugging Face hub (ORGANISATION/NAME[@REVISION]; HF_HOME,
    /// HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are honoured); optionally NAME=PLACE. Repeat for
    /// several
    #[arg(long, env = "SCOTOMA_MODEL", value_delimiter = ',', default_value = model::SHAPES, default_value_if("random_weights", clap::builder::ArgPredicate::IsPresent, None))]
    model: Vec<String>,
    /// A LoRA adapter that is merged into the weights of the first model at load, or of model NAME
    /// (NAME=PLACE): a folder or a hub id, as PEFT or the original LLaVA writes it. Repeat for
    /// several models
    #[arg(
        long,
        env = "SCOTOMA_ADAPTER",
        value_name = "[NAME=]PLACE",
        value_delimiter = ','
    )]
    adapter: Vec<String>,
    /// One more projector for the first model, NAME=FILE (safetensors or mm_projector.bin), for
    /// SwapProjector. Repeat for several
    #[arg(long, env = "SCOTOMA_PROJECTOR", value_delimiter = ',')]
    projector: Vec<String>,
    #[command(flatten)]
    hardware: ServerHardware,
    /// The device of a model, NAME=cuda:N, where it is not to be the one on which models hold
    /// least. Repeat for several
    #[arg(
        long,
        env = "SCOTOMA_PLACE",
        value_name = "NAME=DEVICE",
        value_delimiter = ','
    )]
    place: Vec<String>,
    /// The chat template of a model, in place of its own: a file (Jinja, or JSON with
    /// chat_template), or the name of one of LLaVA's conversations, such as vicuna_v1, llava_v1,
    /// mistral_instruct, chatml_direct, qwen_1_5, llava_llama_3 (a name that is not known lists
    /// all); MODEL=TEMPLATE where several models are served. Repeat for several
    #[arg(
        long,
        env = "SCOTOMA_CHAT_TEMPLATE",
        value_name = "[MODEL=]TEMPLATE",
        value_delimiter = ','
    )]
    chat_template: Vec<String>,
    /// A model of real size whose weights are drawn at random, for speed work without a download:
    /// llava-1.5-7b, llava-next-7b, llava-onevision-7b, or a folder without weights. Serves it
    /// beside what --model says, or alone
    #[arg(
        long,
        env = "SCOTOMA_RANDOM_WEIGHTS",
        value_name = "MODEL",
        value_delimiter = ','
    )]
    random_weights: Vec<String>,
    /// Requests that may wait; more are refused with RESOURCE_EXHAUSTED. Raise it for bursts
    #[arg(long, env = "SCOTOMA_QUEUE", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queue: u32,
    /// Requests that share a batch. Lower it where memory for keys and values is short
    #[arg(long, env = "SCOTOMA_MAX_RUNNING", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    max_running: u32,
    /// Prefill rows of one step; lower it for steadier token latency, raise it for throughput
    #[arg(long, env = "SCOTOMA_MAX_STEP_ROWS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    max_step_rows: u32,
    /// Work that may be admitted and not yet done, in (row, layer) pairs
    #[arg(long, env = "SCOTOMA_MAX_QUEUE_ROWS", default_value_t = 1 << 28)]
    max_queue_rows: u64,
    /// MiB of keys and values; prompts that were read are remembered as long as there is room
    #[arg(long, env = "SCOTOMA_KV_CACHE_MIB", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    kv_cache_mib: u32,
    /// MiB of encoded pictures that are remembered
    #[arg(long, env = "SCOTOMA_IMAGE_CACHE_MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    image_cache_mib: u32,
    /// MiB of the residual stream that a sweep keeps for its variants to start from; with less it
    /// computes more
    #[arg(long, env = "SCOTOMA_CHECKPOINT_MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    checkpoint_mib: u32,
    /// Pictures in one request
    #[arg(long, env = "SCOTOMA_MAX_IMAGES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_images: u32,
    /// Pixels of one picture, checked before it is decoded
    #[arg(long, env = "SCOTOMA_MAX_IMAGE_PIXELS", default_value_t = 64 << 20, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    max_image_pixels: u64,
    /// MiB of one message
    #[arg(long, env = "SCOTOMA_MAX_MESSAGE_MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_message_mib: u32,
    /// MiB of all activations of one Capture
    #[arg(long, env = "SCOTOMA_MAX_CAPTURE_MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    max_capture_mib: u32,
    /// MiB of activations that are kept for Patch; the least used make room
    #[arg(long, env = "SCOTOMA_KEEP_MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    keep_mib: u32,
    /// MiB of uploaded pictures that are kept; the least used make room
    #[arg(long, env = "SCOTOMA_UPLOAD_MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    upload_mib: u32,
    /// A ViT that says where to look (DINO's, for instance), NAME=PLACE: a folder or a hub id
    #[arg(long, env = "SCOTOMA_SALIENCY", value_name = "NAME=PLACE")]
    saliency: Vec<String>,
    /// GiB that all models may hold together; a model that does not fit is refused. Default: no
    /// limit
    #[arg(long, env = "SCOTOMA_MEMORY_BUDGET", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    memory_budget: Option<u32>,
    /// Let clients load and unload models. They name folders of this machine and ids of the hub, so
    /// trust them
    #[arg(long, env = "SCOTOMA_ALLOW_LOAD")]
    allow_load: bool,
    #[command(flatten)]
    judge: Judge,
    #[command(flatten)]
    access: Access,
    /// Seconds of silence after which a connection is asked for a sign of life; after as many again
    /// it is given up, and its requests are cancelled
    #[arg(long, env = "SCOTOMA_KEEPALIVE", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    keepalive: u64,
    /// Seconds that running streams have to finish after SIGTERM
    #[arg(long, env = "SCOTOMA_DRAIN_TIMEOUT", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain_timeout: u64,
    /// What is logged: error, warn, info, debug, trace, or a filter as tracing-subscriber takes it
    #[arg(long, env = "SCOTOMA_LOG", default_value = "info")]
    log: String,
    /// How it is logged: json for machines
    #[arg(long, env = "SCOTOMA_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        telemetry::init_logs(&self.log, self.log_format).map_err(|e| format!("--log {e}"))?;
        let (mut config, origins) = self.config()?;
        let adapters = self.adapters(&origins)?;
        for text in &self.saliency {
            let (name, origin) = named_origin(text)?;
            config
                .saliency
                .push((name, fetch(origin, Purpose::Part).await?));
        }
        for ((name, origin), projectors) in origins.into_iter().zip(self.projectors()) {
            let placed = self
                .place
                .iter()
                .filter_map(|p| p.split_once('='))
                .find(|(of, _)| *of == name);
            let device = placed.map_or_else(String::new, |(_, device)| device.to_owned());
            let adapter = adapters
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, adapter)| adapter.clone());
            let image_processor = self.hardware.image_processor(&name)?;
            let chat_template = self.chat_template(&name)?;
            let options = LoadOptions {
                device,
                dtype: None,
                image_processor,
                chat_template,
            };
            config.models.push(ModelSpec {
                name,
                source: fetch_with(origin, adapter).await?,
                projectors,
                options,
            });
        }
        let encrypted = config.tls.is_some();
        let server = tokio::task::spawn_blocking(move || Server::load(&config)).await??;
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
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(server.run(listener, shutdown).await?)
    }

    /// The adapter of each model that has one.
    fn adapters(&self, origins: &[(String, Origin)]) -> Result<Vec<(String, Origin)>, Failure> {
        let mut adapters: Vec<(String, Origin)> = Vec::new();
        for text in &self.adapter {
            let first = origins.first().map_or("", |(name, _)| name);
            let (name, place) = text.split_once('=').unwrap_or((first, text));
            if !origins.iter().any(|(own, _)| own == name) {
                return Err(format!(
                    "--adapter {text}: [NAME=]PLACE is needed, NAME that of a model"
                )
                .into());
            }
            if adapters.iter().any(|(own, _)| own == name) {
                return Err(format!(
                    "--adapter {text}: model {name} has one already; one is merged"
                )
                .into());
            }
            adapters.push((
                name.to_owned(),
                place
                    .parse()
                    .map_err(|e| format!("--adapter {text}: {e}"))?,
            ));
        }
        Ok(adapters)
    }

    /// The chat template that is chosen for a model.
    fn chat_template(&self, name: &str) -> Result<Option<ChatTemplate>, String> {
        let of_all = self.model.len() + self.random_weights.len() == 1;
        let own = |text: &&String| match text.split_once('=') {
            Some((of, _)) => of == name,
            None => of_all,
        };
        let chosen = self.chat_template.iter().find(own);
        chosen
            .map(|text| {
                text.split_once('=')
                    .map_or(text.as_str(), |(_, template)| template)
                    .parse()
            })
            .transpose()
    }

    /// The projectors of each model: all are the first one's.
    fn projectors(&self) -> impl Iterator<Item = Vec<(String, PathBuf)>> {
        let named = self
            .projector
            .iter()
            .filter_map(|text| text.split_once('='));
        let first = named
            .map(|(name, file)| (name.to_owned(), PathBuf::from(file)))
            .collect();
        std::iter::once(first).chain(std::iter::repeat(Vec::new()))
    }

    /// What is served, but for the models, and where these are. All mistakes are reported together.
    fn config(&self) -> Result<(Config, Vec<(String, Origin)>), Failure> {
        let mut mistakes = Vec::new();
        let mut config = Config {
            models: Vec::new(),
            ..Config::shapes()
        };
        let mut origins = Vec::new();
        let random = self
            .random_weights
            .iter()
            .map(|text| ("--random-weights", text, format!("{}{text}", model::RANDOM)));
        for (flag, text, place) in self
            .model
            .iter()
            .map(|text| ("--model", text, text.clone()))
            .chain(random)
        {
            match named_origin(&place) {
                Ok(origin) => origins.push(origin),
                Err(e) => mistakes.push(format!("{flag} {text}: {e}")),
            }
        }
        for text in &self.projector {
            match text.split_once('=') {
                Some((_, file)) if Path::new(file).is_file() => {}
                Some((_, file)) => mistakes.push(format!("--projector {text}: no file {file}")),
                None => mistakes.push(format!("--projector {text}: NAME=FILE is needed")),
            }
        }
        mistakes.extend(self.hardware.apply(&mut config).err());
        mistakes.extend(
            self.hardware
                .wrong_processors(origins.iter().map(|(name, _)| name.as_str())),
        );
        mistakes.extend(self.judge.apply(&mut config).err());
        mistakes.extend(self.access.apply(&mut config).err().unwrap_or_default());
        for text in &self.place {
            let known = text
                .split_once('=')
                .is_some_and(|(name, _)| origins.iter().any(|(own, _)| own == name));
            if !known {
                mistakes.push(format!(
                    "--place {text}: NAME=DEVICE is needed, NAME that of a model"
                ));
            }
        }
        for text in &self.chat_template {
            let (of, template) = text
                .split_once('=')
                .map_or((None, text.as_str()), |(of, t)| (Some(of), t));
            let known = match of {
                Some(of) => origins.iter().any(|(own, _)| own == of),
                None => origins.len() == 1 && self.chat_template.len() == 1,
            };
            if !known {
                mistakes.push(format!(
                    "--chat-template {text}: MODEL=TEMPLATE is needed, MODEL the name of a model"
                ));
            }
            mistakes.extend(
                template
                    .parse::<ChatTemplate>()
                    .err()
                    .map(|e| format!("--chat-template {text}: {e}")),
            );
        }
        config.engine = crate::engine::Limits {
            queue: self.queue as usize,
            running: self.max_running as usize,
            step_rows: self.max_step_rows as usize,
            queue_rows: self.max_queue_rows,
            kv_bytes: (self.kv_cache_mib as usize) << 20,
            picture_bytes: u64::from(self.image_cache_mib) << 20,
            checkpoint_bytes: u64::from(self.checkpoint_mib) << 20,
        };
        config.limits = crate::pipeline::Limits {
            images: self.max_images as usize,
            image_pixels: self.max_image_pixels,
            message_bytes: (self.max_message_mib as usize) << 20,
            capture_bytes: u64::from(self.max_capture_mib) << 20,
            kept_bytes: u64::from(self.keep_mib) << 20,
            upload_bytes: u64::from(self.upload_mib) << 20,
        };
        config.memory_budget = self
            .memory_budget
            .map_or(u64::MAX, |gib| u64::from(gib) << 30);
        config.allow_load = self.allow_load;
        config.drain_timeout = Duration::from_secs(self.drain_timeout);
        config.keepalive = Duration::from_secs(self.keepalive);
        if mistakes.is_empty() {
            Ok((config, origins))
        } else {
            Err(mistakes.join("\nerror: ").into())
        }
    }
}

/// `--adapter` of the commands that run one model in this process.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Adapter {
    /// A LoRA adapter that is merged into the model's weights at load: a folder or a hub id, as
    /// PEFT or the original LLaVA writes it
    #[arg(long, value_name = "PLACE")]
    adapter: Option<String>,
}

impl Adapter {
    /// The files of a model with the adapter that the flag names.
    pub(super) async fn fetch(&self, origin: Origin) -> Result<Source, Failure> {
        let parse = |text: &String| text.parse().map_err(|e| format!("--adapter {text}: {e}"));
        fetch_with(origin, self.adapter.as_ref().map(parse).transpose()?).await
    }
}

/// The files of a model, fetched with a progress bar where they are on the hub.
pub(super) async fn fetch_with(origin: Origin, adapter: Option<Origin>) -> Result<Source, Failure> {
    with_bar(move |tell| origin.fetch_with(adapter, tell)).await
}

/// The files of what is not a model, fetched so.
pub(super) async fn fetch(origin: Origin, purpose: Purpose) -> Result<Source, Failure> {
    with_bar(move |tell| origin.fetch(purpose, tell)).await
}

type Fetch<'a> = &'a mut dyn FnMut(&str, u64, u64);

async fn with_bar(
    run: impl FnOnce(Fetch<'_>) -> Result<Source, model::Error> + Send + 'static,
) -> Result<Source, Failure> {
    let bar = ProgressBar::no_length();
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes}, {eta} left")
    {
        bar.set_style(style);
    }
    let fetch = move || {
        let source = run(&mut |file, done, total| {
            bar.set_message(file.to_owned());
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        source
    };
    Ok(tokio::task::spawn_blocking(fetch).await??)
}

/// `PLACE` or `NAME=PLACE`.
pub(super) fn named_origin(text: &str) -> Result<(String, Origin), String> {
    let (name, place) = match text.split_once('=') {
        Some((name, place)) => (name.to_owned(), place),
        None => (Origin::default_name(text), text),
    };
    Ok((name, place.parse()?))
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
                    &["--keepalive", "7"],
                    &["--drain-timeout", "7"],
                    &["--api-keys", "missing"],
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
        let others = ["listen", "saliency", "log", "log-format", "judge-key"];
        walked.extend(others.map(String::from));
        let command = Serve::augment_args(clap::Command::new("serve"));
        let there: BTreeSet<String> = command
            .get_arguments()
            .filter_map(|a| Some(a.get_long()?.to_owned()))
            .collect();
        assert_eq!(walked, there, "say here what a new flag changes");
    }
}
