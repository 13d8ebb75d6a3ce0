//! Configures a server.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{ApiKeys, Tls};
use crate::model::{self, SaePlace, Source};
use crate::nn::{DeviceGroup, DeviceId};
use crate::pipeline::Share;
use crate::weights::WeightFormat;
use crate::{engine, evaluate, openai, pipeline, vision};

/// Describes a model to load.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Names it in requests.
    pub name: String,
    /// Says where its files are.
    pub source: Source,
    /// Adds projectors: name and safetensors file of each.
    pub projectors: Vec<(String, PathBuf)>,
    /// Adds sparse autoencoders: name and place of each.
    pub saes: Vec<(String, SaePlace)>,
    /// Adds tuned lenses: name and folder of each.
    pub lenses: Vec<(String, PathBuf)>,
    /// Says how it is loaded.
    pub options: pipeline::LoadOptions,
}

impl ModelSpec {
    /// Returns a model with its own projector alone, on whichever device is free.
    pub fn new(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            projectors: Vec::new(),
            saes: Vec::new(),
            lenses: Vec::new(),
            options: pipeline::LoadOptions::default(),
        }
    }
}

/// Configures a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Lists models in the order of loading; at least one.
    pub models: Vec<ModelSpec>,
    /// Lists where models can be, each a device or several that hold models together; at least one.
    /// Each has an engine of its own.
    pub devices: Vec<DeviceGroup>,
    /// Sets the format of the weights; `None`: f32 on a CPU and bf16 elsewhere.
    pub dtype: Option<WeightFormat>,
    /// Lists the ViT models that say where to look: name and place of each.
    pub saliency: Vec<(String, Source)>,
    /// Bounds what the engine takes on.
    pub engine: engine::Limits,
    /// Bounds what a request may hold.
    pub limits: pipeline::RequestLimits,
    /// Bounds the bytes that all models may hold together.
    pub memory_budget: u64,
    /// Names the folder of what outlives the process; `None`: nothing does.
    pub state: Option<PathBuf>,
    /// Lets clients load and unload models.
    pub allow_load: bool,
    /// Says from where clients may load models.
    pub places: pipeline::Places,
    /// Names the judge of answers that no rule can mark.
    pub judge: Option<evaluate::JudgeConfig>,
    /// Bounds how long what runs may take to finish when the server goes down.
    pub drain_timeout: Duration,
    /// Pings a connection that has been silent this long, and gives it up after as long again.
    pub keepalive: Duration,
    /// Ends a stream whose client has read nothing of what is ready for this long.
    pub read_timeout: Duration,
    /// Bounds the connections that are open at once, in all and from one address.
    pub connections: Share,
    /// Lists networks whose connections count in all only: those of proxies, and of this machine.
    pub proxies: Vec<IpNet>,
    /// Encrypts, and says who may connect; `None`: plain text.
    pub tls: Option<Tls>,
    /// Bounds the bytes of answers that are kept for calls that are tried again; 0: none is.
    pub replay_bytes: u64,
    /// Lists the origins whose pages may call the server; `*` is all.
    pub cors_origins: Vec<HeaderValue>,
    /// Counts requests by the names of keys, too.
    pub metrics_by_key: bool,
    /// Says who may ask.
    pub keys: ApiKeys,
    /// Shows a page at `/`.
    pub page: bool,
    /// Says what OpenAI's API offers beside the models.
    pub openai: openai::OpenAiConfig,
    /// Fails steps as a device would, for tests; no flag sets it.
    pub step_check: engine::StepCheck,
}

impl ServerConfig {
    /// Returns the embedded model on the CPU, with the defaults of the command line.
    pub fn shapes() -> Self {
        Self {
            models: vec![ModelSpec::new(model::SHAPES, model::shapes())],
            devices: vec![DeviceId::Cpu.into()],
            dtype: None,
            saliency: Vec::new(),
            engine: engine::Limits::default(),
            limits: request_limits(),
            memory_budget: u64::MAX,
            state: None,
            allow_load: false,
            places: pipeline::Places::default(),
            replay_bytes: 64 << 20,
            cors_origins: Vec::new(),
            metrics_by_key: false,
            judge: None,
            drain_timeout: Duration::from_secs(60),
            keepalive: Duration::from_secs(30),
            read_timeout: Duration::from_secs(300),
            connections: Share {
                all: 1024,
                one: 512,
            },
            // All that comes through a proxy on this machine has one of these addresses.
            proxies: vec![
                Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
                Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
            tls: None,
            keys: ApiKeys::default(),
            page: true,
            openai: openai::OpenAiConfig::default(),
            step_check: engine::StepCheck::default(),
        }
    }
}

fn request_limits() -> pipeline::RequestLimits {
    pipeline::RequestLimits {
        images: 16,
        image_pixels: vision::MAX_PIXELS,
        message_bytes: 64 << 20,
        capture_bytes: 1 << 30,
        kept_bytes: 256 << 20,
        upload_bytes: 256 << 20,
        pending_bytes: Share {
            all: 512 << 20,
            one: 256 << 20,
        },
        decoding_pixels: Share {
            all: 96 << 20,
            one: 64 << 20,
        },
        unread_bytes: Share {
            all: 512 << 20,
            one: 256 << 20,
        },
        streams: Share {
            all: 4096,
            one: 1024,
        },
        evaluation_bytes: Share {
            all: 1024 << 20,
            one: 512 << 20,
        },
    }
}
