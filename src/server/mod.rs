//! Assembles the server: services behind their layers, health, reflection, gRPC-Web and `/metrics`
//! on one port; and takes it down.

mod api_keys;
mod config;
mod connections;
mod error;
mod keys_file;
mod layers;
mod live;
mod metrics_page;
mod page;
mod reload;
mod tls;
mod transport;
mod unknown_path;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use metrics::gauge;
use tokio::net::TcpListener;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Layer as _;
use tower::util::MapRequestLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

pub use api_keys::ApiKeys;
pub use config::{ModelSpec, ServerConfig};
pub use error::Error;
pub use live::Live;
pub use reload::Reload;
pub use tls::{Tls, TlsError};

use crate::api::benchmark_service::Benchmarks;
use crate::api::inference::Inference;
use crate::api::model_service::Models;
use crate::api::v1::benchmark_service_server::BenchmarkServiceServer;
use crate::api::v1::inference_service_server::InferenceServiceServer;
use crate::api::v1::model_service_server::ModelServiceServer;
use crate::api::{self, CommandLineModel, State, v1};
use crate::engine::{DeviceState, Engine};
use crate::evaluate::Judge;
use crate::nn::DeviceGroup;
use crate::openai::{self, OpenAiConfig};
use crate::pipeline::{
    self, InFlight, ModelRegistry, Phase, Placement, Runtime, StateFolder, StateLimits,
};
use crate::telemetry::names;
use connections::Connections;
use layers::{ByKey, Replays, Workers, note_arrival};
use metrics_page::MetricsPage;
use transport::Transports;
use unknown_path::Served;

/// Names what the health service knows beside the models.
const SERVICES: [&str; 4] = [
    "",
    "scotoma.v1.BenchmarkService",
    "scotoma.v1.InferenceService",
    "scotoma.v1.ModelService",
];

/// Bytes of a message to a service that needs no key.
const SMALL_MESSAGE: usize = 64 << 10;

/// Serves models that are loaded.
#[derive(Debug)]
pub struct Server {
    state: Arc<State>,
    in_flight: InFlight,
    /// Runs the handlers, so that nothing that they do keeps connections waiting.
    workers: Workers,
    /// Counts connections.
    connections: Connections,
    metrics: MetricsPage,
    transports: Transports,
    keepalive: Duration,
    reload: Reload,
    openai: OpenAiConfig,
    replays: Replays,
    cors_origins: Vec<HeaderValue>,
    by_key: ByKey,
    page: bool,
}

impl Server {
    /// Loads the models and starts an engine for each device.
    pub fn load(config: &ServerConfig) -> Result<Self, Error> {
        // Before the models: loading is recorded.
        let metrics = MetricsPage::install()?;
        // Before the models as well: another server may have the folder, and what clients have
        // unloaded is not loaded.
        let folder = config
            .state
            .as_deref()
            .map(|place| open_state(config, place));
        let folder = folder.transpose()?;
        let command_line = command_line(config);
        let unloaded = match &folder {
            Some(folder) if config.allow_load => api::unloaded(folder, &command_line),
            _ => Vec::new(),
        };
        let models = load_models(config, &unloaded, start_engines(config)?)?;
        let runtime = start_runtime(config, models, folder)?;
        // Behind the models, which its bytes must leave room for.
        let judge = config.judge.as_ref().map(|judge| {
            let loaded = Judge::load(judge, &runtime);
            loaded.map_err(|source| Error::Judge(Box::new(source)))
        });
        let judge = judge.transpose()?;
        let in_flight = InFlight::default();
        let mut state = State::new(
            runtime,
            HealthReporter::new(),
            config.read_timeout,
            in_flight.clone(),
        );
        if let Some(judge) = judge {
            state.set_judge(judge);
        }
        state.set_command_line(command_line, unloaded);
        // Behind the models of the command line: their names and their memory come first, and what
        // a client has loaded is left out where it does not fit beside them.
        state.restore();
        let state = Arc::new(state);
        let reload = Reload::new(config, state.runtime.clone());
        Ok(Self {
            state,
            in_flight,
            workers: Workers::start()?,
            connections: Connections::new(config.connections, config.proxies.clone()),
            metrics,
            transports: Transports::default(),
            keepalive: config.keepalive,
            reload,
            openai: config.openai.clone(),
            replays: Replays::new(
                config.replay_bytes,
                config.limits.message_bytes,
                config.keys.clone(),
            ),
            cors_origins: config.cors_origins.clone(),
            by_key: ByKey::new(config.metrics_by_key),
            page: config.page,
        })
    }

    /// Returns a handle by which keys, certificates and the drain timeout are replaced while the
    /// server runs.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Serves on `listener` until `shutdown` resolves and what runs then has finished, or the drain
    /// timeout has passed.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        // tonic-health knows nothing but the empty name by itself, and answers NOT_FOUND for
        // all others.
        self.set_health(ServingStatus::Serving).await;
        let router = self.router()?;
        // `go_down` sends it once requests have ended; tonic then closes connections in
        // order (GOAWAY).
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let tls = self.reload.tls.clone();
        let settings = connections::Settings {
            connections: self.connections.clone(),
            keepalive: self.keepalive,
            encrypted: tls.is_some(),
        };
        let incoming = connections::accept(listener, settings);
        let incoming = self.transports.take(incoming, tls);
        let serving = tonic::transport::Server::builder()
            // gRPC-Web comes over HTTP/1 as well, and so does Prometheus.
            .accept_http1(true)
            // Drops connections whose peer is gone, so that their requests release what they hold.
            .http2_keepalive_interval(Some(self.keepalive))
            .http2_keepalive_timeout(Some(self.keepalive))
            // Clients cancel by leaving: many that leave at once are no attack.
            // h2 takes 20 and 1,024 of them by itself, and then ends the connection
            // with ENHANCE_YOUR_CALM.
            .http2_max_pending_accept_reset_streams(Some(1 << 10))
            .http2_max_local_error_reset_streams(Some(1 << 16))
            // First: tonic starts a timer for the request next.
            .layer(MapRequestLayer::new(note_arrival))
            .layer(browser_access(&self.cors_origins))
            .add_routes(Routes::from(router))
            .serve_with_incoming_shutdown(incoming, async {
                // A dropped sender means the same as a message.
                let _ = stopped.await;
            });
        let cut_off = AtomicUsize::new(0);
        let going_down = async {
            shutdown.await;
            self.go_down(stop, &cut_off).await;
        };
        let engines = self.state.engines.iter();
        let tending = engines.map(|(device, engine)| self.tend(device, engine));
        let tending = futures::future::join_all(tending);
        // Whichever ends first drops the others: with `serving` all connections go.
        let served = tokio::select! {
            result = serving => result,
            // What has not ended by now is dropped with its connection.
            () = going_down => Ok(()),
            // These two never end: they run for as long as the server.
            () = self.metrics.upkeep() => Ok(()),
            _ = tending => Ok(()),
        };
        // Behind the last request: what it has kept is written before the process ends.
        if let Some(folder) = self.state.state_folder() {
            folder.close().await;
        }
        served?;
        match cut_off.into_inner() {
            0 => Ok(()),
            requests => Err(Error::CutOff { requests }),
        }
    }

    /// Says of all services whether they serve.
    async fn set_health(&self, status: ServingStatus) {
        for name in self.health_names() {
            let health = &self.state.health;
            health.set_service_status(name, status).await;
        }
    }

    /// Returns all that is served on one port.
    fn router(&self) -> Result<Router, Error> {
        // Beside the layers: probes have no key, and are answered while the server goes down, too.
        let open = open_services(&self.state)?.into_axum_router();
        let grpc = layers::end_with_server(open, self.in_flight.clone()).merge(self.services());
        // gRPC-Web turns away what is not gRPC, so `/metrics` stands beside it.
        let grpc = tonic_web::GrpcWebLayer::new().layer(Routes::from(grpc).prepare());
        let served = Served {
            page: self.page,
            services: &SERVICES,
        };
        // Before gRPC-Web, which answers an empty 400.
        let grpc = from_fn_with_state(served, unknown_path::explain).layer(grpc);
        let (runtime, replays) = (self.state.runtime.clone(), self.replays.clone());
        let (reload, in_flight) = (self.reload.clone(), self.in_flight.clone());
        let metrics = self.metrics.router(move || {
            runtime.report_budgets();
            replays.report();
            reload.report();
            gauge!(names::DRAINING).set(in_flight.draining_for());
        });
        let mut router = metrics.merge(self.openai());
        if self.page {
            router = router.merge(page::router());
        }
        let router = router.fallback_service(grpc);
        // Outermost: a connection that asks for the page or for metrics alone is in use as well.
        Ok(router.layer(from_fn(layers::count_requests)))
    }

    /// Loads the models of a device again whenever it was restarted, and says meanwhile that they
    /// do not serve.
    async fn tend(&self, device: &DeviceGroup, engine: &Engine) {
        let mut states = engine.states();
        // A closed channel is the end of the engine, which this handle keeps.
        while states
            .wait_for(|state| *state != DeviceState::Serving)
            .await
            .is_ok()
        {
            self.announce(device, ServingStatus::NotServing).await;
            let opened = states.wait_for(|state| *state == DeviceState::Restarted);
            if opened.await.is_err() {
                break;
            }
            let state = self.state.clone();
            let lost = device.clone();
            let reload = tokio::task::spawn_blocking(move || state.reload(&lost));
            if let Err(error) = reload.await {
                tracing::error!(%error, "models were not all loaded again");
            }
            engine.resume();
            // It may have been lost again during the reload, and a server that goes down serves
            // no more.
            if *states.borrow() == DeviceState::Serving && self.in_flight.phase() == Phase::Serving
            {
                self.announce(device, ServingStatus::Serving).await;
            }
        }
        // Never ends: the server would, once this had ended for all devices.
        std::future::pending::<()>().await;
    }

    /// Sets the health of the models of a device and, where it is the only one, of all services.
    async fn announce(&self, device: &DeviceGroup, status: ServingStatus) {
        let models = self.state.models.all();
        let mut names: Vec<String> = models
            .iter()
            .filter(|model| model.device == *device)
            .map(|model| format!("model/{}", model.name))
            .collect();
        if self.state.engines.len() == 1 {
            names.extend(SERVICES.map(String::from));
        }
        for name in names {
            self.state.health.set_service_status(name, status).await;
        }
    }

    /// Returns the services of the contract behind their layers.
    fn services(&self) -> Router {
        let state = || self.state.clone();
        let limit = self.state.limits.message_bytes;
        // tonic takes messages of 4 MiB by itself, fewer bytes than one photograph may have.
        let inference =
            InferenceServiceServer::new(Inference(state())).max_decoding_message_size(limit);
        let benchmarks =
            BenchmarkServiceServer::new(Benchmarks(state())).max_decoding_message_size(limit);
        let models = ModelServiceServer::new(Models(state())).max_decoding_message_size(limit);
        let services = Router::new()
            .route_service(&path_of(&inference), inference)
            .route_service(&path_of(&benchmarks), benchmarks)
            .route_service(&path_of(&models), models);
        self.behind_layers(services)
    }

    /// Returns OpenAI's API behind the same layers.
    fn openai(&self) -> Router {
        let router = openai::router(self.state.clone(), self.openai.clone());
        self.behind_layers(router)
            // Outside of the layers: what they refuse is a gRPC status in the head as well.
            .route_layer(map_response(openai::in_openai_form))
    }

    fn behind_layers(&self, routes: Router) -> Router {
        let shared = layers::Shared {
            in_flight: self.in_flight.clone(),
            keys: self.reload.keys.clone(),
            by_key: self.by_key.clone(),
            // As connections: nobody is silent for longer in the middle of a message.
            intake: layers::Intake::new(self.state.clone(), 2 * self.keepalive),
            replays: self.replays.clone(),
            workers: self.workers.handle(),
        };
        layers::stack(routes, shared)
    }

    fn health_names(&self) -> Vec<String> {
        let models = self.state.models.all();
        let models = models.iter().map(|m| format!("model/{}", m.name));
        SERVICES
            .into_iter()
            .map(String::from)
            .chain(models)
            .collect()
    }

    /// Refuses new requests and waits for those that run, then closes the connections: `stop` lets
    /// them end in order. Takes hardly longer than the drain timeout, whatever clients do; counts
    /// in `cut_off` what had not ended by then.
    async fn go_down(&self, stop: tokio::sync::oneshot::Sender<()>, cut_off: &AtomicUsize) {
        tracing::info!("draining");
        let deadline = tokio::time::Instant::now() + *self.reload.drain_timeout.get();
        self.in_flight.enter(Phase::Draining);
        self.set_health(ServingStatus::NotServing).await;
        // Past the timeout, what is left is told so.
        tokio::select! {
            () = self.in_flight.idle() => {}
            () = tokio::time::sleep_until(deadline) => {
                cut_off.store(self.in_flight.count(), Ordering::Relaxed);
            }
            () = self.say_what_is_waited_for(deadline) => {}
        }
        let methods = self.in_flight.methods_in_words();
        tracing::info!(requests_left = self.in_flight.count(), methods, "drained");
        // Ends Health.Watch and reflection, which nobody waits for, and whatever is past
        // the timeout.
        self.in_flight.enter(Phase::Ending);
        let _ = stop.send(());
        self.transports.close(deadline).await;
    }

    /// Logs from time to time what the server waits for; does not end.
    async fn say_what_is_waited_for(&self, deadline: tokio::time::Instant) {
        loop {
            tokio::time::sleep(SAY_AGAIN).await;
            let methods = self.in_flight.methods_in_words();
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            tracing::info!(
                methods,
                seconds_left = left.as_secs(),
                "waiting for requests to end"
            );
        }
    }
}

/// Says so often what a server that goes down waits for.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Makes what runs requests, with the saliency models and what is kept of an earlier run.
fn start_runtime(
    config: &ServerConfig,
    models: ModelRegistry,
    folder: Option<StateFolder>,
) -> Result<Runtime, Error> {
    let mut runtime = Runtime::new(models, config.limits);
    for (name, source) in &config.saliency {
        let loaded = runtime.load_saliency(name, source);
        loaded.map_err(|source| Error::Model {
            name: name.clone(),
            source: Box::new(source),
        })?;
    }
    // Quotas that leave nothing for the other keys keep the server from starting.
    let (uploads, kept) = config.keys.shares(&config.limits).map_err(Error::Setup)?;
    runtime.set_shares(uploads, kept);
    // After the shares, which what is kept has to fit.
    if let Some(folder) = folder {
        runtime.keep_in(folder);
    }
    Ok(runtime)
}

fn open_state(config: &ServerConfig, place: &Path) -> Result<StateFolder, Error> {
    let limits = StateLimits {
        uploads: config.limits.upload_bytes,
        activations: config.limits.kept_bytes,
    };
    let folder = StateFolder::open(place, limits);
    folder.map_err(|e| Error::Setup(format!("--state {e}")))
}

fn command_line(config: &ServerConfig) -> Vec<CommandLineModel> {
    let models = config.models.iter();
    models
        .map(|spec| CommandLineModel {
            name: spec.name.clone(),
            place: spec.source.place(),
        })
        .collect()
}

fn load_models(
    config: &ServerConfig,
    unloaded: &[CommandLineModel],
    engines: Vec<(DeviceGroup, Engine)>,
) -> Result<ModelRegistry, Error> {
    let models = ModelRegistry::new(Placement {
        engines,
        dtype: config.dtype,
        budget: config.memory_budget,
        open: config.allow_load,
        places: config.places.clone(),
    });
    let is_unloaded = |spec: &ModelSpec| unloaded.iter().any(|model| model.name == spec.name);
    for spec in config.models.iter().filter(|spec| !is_unloaded(spec)) {
        load_model(&models, spec).map_err(|source| Error::Model {
            name: spec.name.clone(),
            source: Box::new(source),
        })?;
    }
    Ok(models)
}

fn load_model(models: &ModelRegistry, spec: &ModelSpec) -> Result<(), pipeline::Error> {
    let model = models.load(&spec.name, &spec.source, &spec.options, &|_, _| {})?;
    for (name, path) in &spec.projectors {
        models.add_projector(&model, name, path)?;
    }
    for (name, place) in &spec.saes {
        models.add_sae(&model, name, place)?;
    }
    for (name, folder) in &spec.lenses {
        models.add_lens(&model, name, folder)?;
    }
    Ok(())
}

fn start_engines(config: &ServerConfig) -> Result<Vec<(DeviceGroup, Engine)>, Error> {
    let mut engines: Vec<(DeviceGroup, Engine)> = Vec::new();
    for device in &config.devices {
        // A device that is named twice has one engine.
        if !engines.iter().any(|(known, _)| known == device) {
            let check = config.step_check.clone();
            let engine = Engine::with_check(device.clone(), config.engine, check)?;
            engines.push((device.clone(), engine));
        }
    }
    Ok(engines)
}

/// Returns health and reflection, which need no key.
fn open_services(state: &State) -> Result<Routes, Error> {
    let health = HealthService::from_health_reporter(state.health.clone());
    let setup = |e: tonic_reflection::server::Error| Error::Setup(e.to_string());
    let mut routes = Routes::builder();
    routes
        .add_service(HealthServer::new(health).max_decoding_message_size(SMALL_MESSAGE))
        .add_service(reflection().build_v1().map_err(setup)?)
        // Older clients know v1alpha alone.
        .add_service(reflection().build_v1alpha().map_err(setup)?);
    Ok(routes.routes())
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Returns the path under which all rpcs of a service are.
fn path_of<S: NamedService>(_: &S) -> String {
    format!("/{}/{{*rpc}}", S::NAME)
}

/// Lets pages of `origins` call the server; without any, browsers keep those of other servers away.
fn browser_access(origins: &[HeaderValue]) -> CorsLayer {
    // Pages read none of these unless they are named; an error without a stream has its status in
    // the head.
    let headers = [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "x-request-id",
    ];
    // `AllowOrigin::list` panics at a star.
    let is_open = origins.iter().any(|origin| origin == "*");
    let origins = if is_open {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    CorsLayer::new()
        .allow_origin(origins)
        // A star does not stand for `authorization` (the Fetch standard, 4.9), which carries the
        // key.
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods(Any)
        .expose_headers(headers.map(axum::http::HeaderName::from_static))
}
