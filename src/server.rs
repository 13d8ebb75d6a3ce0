//! The server: services, health, reflection, gRPC-Web and `/metrics` on one port, and how it goes
//! down.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::routing::get;
use candle_core::{DType, Device};
use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::ServerTlsConfig;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Layer as _;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::api::evaluate::Benchmarks;
use crate::api::inference::Inference;
use crate::api::models::Models;
use crate::api::v1::benchmark_service_server::BenchmarkServiceServer;
use crate::api::v1::inference_service_server::InferenceServiceServer;
use crate::api::v1::model_service_server::ModelServiceServer;
use crate::api::{self, Placement, Registry, State, v1};
use crate::engine::{self, Engine};
use crate::model::{self, SaliencyModel, Source};
use crate::telemetry::{self, names};

/// A model to load.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Its name in requests.
    pub name: String,
    /// Where its files are.
    pub source: Source,
    /// More projectors for it: name and safetensors file.
    pub projectors: Vec<(String, PathBuf)>,
    /// How it is loaded.
    pub options: api::LoadOptions,
}

impl ModelSpec {
    /// With its own projector alone, anywhere.
    pub fn new(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            projectors: Vec::new(),
            options: api::LoadOptions::default(),
        }
    }
}

/// What to serve.
#[derive(Debug, Clone)]
pub struct Config {
    /// In the order of loading; at least one.
    pub models: Vec<ModelSpec>,
    /// Where models can be; at least one. Each has an engine of its own.
    pub devices: Vec<Device>,
    /// What the tensors are; unsaid f32 on a CPU and bf16 elsewhere.
    pub dtype: Option<DType>,
    /// Say where to look: name and place of ViT models.
    pub saliency: Vec<(String, Source)>,
    /// How much the engine takes on.
    pub engine: engine::Limits,
    /// What a request may hold.
    pub limits: api::Limits,
    /// Bytes that all models may hold together.
    pub memory_budget: u64,
    /// Whether clients may load and unload models.
    pub allow_load: bool,
    /// Who judges the answers that no rule can.
    pub judge: Option<api::Judging>,
    /// How long running streams may take to finish when the server goes down.
    pub drain_timeout: Duration,
    /// A connection that is silent this long is asked for a sign of life, and given up after as
    /// long again.
    pub keepalive: Duration,
    /// Encryption, and who may connect; none: plain text.
    pub tls: Option<ServerTlsConfig>,
    /// Who may ask.
    pub keys: api::Keys,
}

impl Config {
    /// The embedded model on the CPU.
    pub fn shapes() -> Self {
        Self {
            models: vec![ModelSpec::new(model::SHAPES, model::shapes())],
            devices: vec![Device::Cpu],
            dtype: None,
            saliency: Vec::new(),
            engine: engine::Limits::default(),
            limits: api::Limits {
                images: 16,
                image_pixels: 64 << 20,
                message_bytes: 64 << 20,
                capture_bytes: 1 << 30,
                kept_bytes: 256 << 20,
                upload_bytes: 256 << 20,
            },
            memory_budget: u64::MAX,
            allow_load: false,
            judge: None,
            drain_timeout: Duration::from_secs(60),
            keepalive: Duration::from_secs(30),
            tls: None,
            keys: api::Keys::default(),
        }
    }
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model does not load.
    #[error("model {name}: {source}")]
    Model {
        /// Which model.
        name: String,
        /// Why.
        source: Box<api::Error>,
    },
    /// The address or the engine's thread cannot be had.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The transport.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// Reflection or metrics cannot be set up: a fault of the server.
    #[error("{0}")]
    Setup(String),
}

/// A server whose models are loaded.
#[derive(Debug)]
pub struct Server {
    state: Arc<State>,
    drain_timeout: Duration,
    keepalive: Duration,
    tls: Option<ServerTlsConfig>,
    keys: api::Keys,
}

impl Server {
    /// Loads the models and starts the engine.
    pub fn load(config: &Config) -> Result<Self, Error> {
        metrics_handle()?;
        let placement = Placement {
            devices: config.devices.clone(),
            dtype: config.dtype,
            budget: config.memory_budget,
            open: config.allow_load,
        };
        let models = Registry::new(placement);
        for spec in &config.models {
            let fail = |source| Error::Model {
                name: spec.name.clone(),
                source: Box::new(source),
            };
            let model = models
                .load(&spec.name, &spec.source, &spec.options, &|_, _| {})
                .map_err(fail)?;
            for (name, path) in &spec.projectors {
                model
                    .add_projector(name, path)
                    .map_err(|e| fail(e.into()))?;
            }
        }
        let mut engines: Vec<(Device, Engine)> = Vec::new();
        for device in &config.devices {
            if !engines.iter().any(|(known, _)| known.same_device(device)) {
                engines.push((device.clone(), Engine::start(config.engine)?));
            }
        }
        let mut state = State::new(models, engines, config.limits, HealthReporter::new());
        for (name, source) in &config.saliency {
            let fail = |e| Error::Model {
                name: name.clone(),
                source: Box::new(api::Error::Model(e)),
            };
            state.saliency.push(Arc::new(
                SaliencyModel::load(name, source, &config.devices[0]).map_err(fail)?,
            ));
        }
        config
            .judge
            .clone()
            .into_iter()
            .for_each(|judging| state.judge_by(judging));
        let state = Arc::new(state);
        let Config {
            drain_timeout,
            keepalive,
            ..
        } = *config;
        Ok(Self {
            state,
            drain_timeout,
            keepalive,
            tls: config.tls.clone(),
            keys: config.keys.clone(),
        })
    }

    /// Serves on `listener` until `shutdown` resolves and the running streams have finished.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let health = &self.state.health;
        let health_service = HealthServer::new(HealthService::from_health_reporter(health.clone()));
        for name in self.health_names() {
            health
                .set_service_status(name, tonic_health::ServingStatus::Serving)
                .await;
        }
        let reflection = |e: tonic_reflection::server::Error| Error::Setup(e.to_string());
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(v1::DESCRIPTOR)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let limit = self.state.limits.message_bytes;
        let inference = InferenceServiceServer::new(Inference(self.state.clone()))
            .max_decoding_message_size(limit);
        let benchmarks = BenchmarkServiceServer::new(Benchmarks(self.state.clone()))
            .max_decoding_message_size(limit);
        let models =
            ModelServiceServer::new(Models(self.state.clone())).max_decoding_message_size(limit);
        // Whether a server is there and what it speaks everybody may ask.
        let keys = || self.keys.clone();
        let mut routes = Routes::builder();
        routes
            .add_service(health_service)
            .add_service(descriptors().build_v1().map_err(reflection)?)
            .add_service(descriptors().build_v1alpha().map_err(reflection)?)
            .add_service(InterceptedService::new(inference, keys()))
            .add_service(InterceptedService::new(benchmarks, keys()))
            .add_service(InterceptedService::new(models, keys()));
        let metrics = metrics_handle()?;
        // gRPC-Web turns away what is not gRPC, so that `/metrics` stands beside it.
        let grpc = tonic_web::GrpcWebLayer::new().layer(routes.routes().prepare());
        let router = axum::Router::new()
            .route("/metrics", get(move || async move { metrics.render() }))
            .fallback_service(grpc);

        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let incoming = TcpIncoming::from(listener)
            // Else a small message waits for the acknowledgement of the one before: 40 ms to the
            // first token (measured).
            .with_nodelay(Some(true))
            // As below, for who comes over HTTP/1.
            .with_keepalive(Some(self.keepalive));
        let mut builder = tonic::transport::Server::builder();
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(tls.clone())?;
        }
        let serving = builder
            // gRPC-Web comes over HTTP/1 as well, and so does Prometheus.
            .accept_http1(true)
            // Who vanished without a word must not hold what its requests hold.
            .http2_keepalive_interval(Some(self.keepalive))
            .http2_keepalive_timeout(Some(self.keepalive))
            // Leaving is how requests are cancelled: a crowd that leaves at once is no attack.
            .http2_max_pending_accept_reset_streams(Some(1 << 10))
            .http2_max_local_error_reset_streams(Some(1 << 16))
            .layer(browser_access())
            .add_routes(Routes::from(router))
            .serve_with_incoming_shutdown(incoming, async {
                // A dropped sender means the same as a message.
                let _ = stopped.await;
            });
        let going_down = async {
            shutdown.await;
            self.drain().await;
            let _ = stop.send(());
        };
        let upkeep = async {
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                if let Ok(handle) = metrics_handle() {
                    handle.run_upkeep();
                }
            }
        };
        let served = async { tokio::join!(serving, going_down).0 };
        tokio::select! {
            result = served => Ok(result?),
            () = upkeep => Ok(()),
        }
    }

    fn health_names(&self) -> Vec<String> {
        let services = [
            "",
            "scotoma.v1.BenchmarkService",
            "scotoma.v1.InferenceService",
            "scotoma.v1.ModelService",
        ];
        let models = self.state.models.all();
        let models = models.iter().map(|m| format!("model/{}", m.name));
        services
            .into_iter()
            .map(String::from)
            .chain(models)
            .collect()
    }

    /// Refuses what is new, then waits for what runs.
    async fn drain(&self) {
        tracing::info!("draining");
        self.state.drain();
        for name in self.health_names() {
            self.state
                .health
                .set_service_status(name, tonic_health::ServingStatus::NotServing)
                .await;
        }
        let until = Instant::now() + self.drain_timeout;
        while self.state.streams() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tracing::info!(streams_left = self.state.streams(), "drained");
    }
}

/// Lets pages of any origin call the server; it has no cookies that they could misuse.
fn browser_access() -> CorsLayer {
    let headers = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
    CorsLayer::new()
        .allow_origin(Any)
        // A star does not stand for `authorization` (the Fetch standard, 4.9), which carries the
        // key.
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods(Any)
        .expose_headers(headers.map(axum::http::HeaderName::from_static))
}

/// The process has one recorder, whoever asks first.
fn metrics_handle() -> Result<PrometheusHandle, Error> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let install = || {
        const SECONDS: [f64; 14] = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
        ];
        const ROWS: [f64; 13] = [
            1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
        ];
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .and_then(|b| b.set_buckets_for_metric(Matcher::Full(names::BATCH_ROWS.into()), &ROWS))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|e| e.to_string())?;
        telemetry::describe();
        let features = if cfg!(feature = "cuda") {
            "cuda"
        } else {
            "cpu"
        };
        gauge!(names::BUILD_INFO, "version" => telemetry::VERSION, "features" => features).set(1.0);
        Ok(handle)
    };
    HANDLE.get_or_init(install).clone().map_err(Error::Setup)
}
