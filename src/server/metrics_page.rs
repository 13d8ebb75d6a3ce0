//! Serves `/metrics`.

use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::Error;
use crate::telemetry::{self, ProcessMetrics, names};

/// Upper ends of the buckets of durations, in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Upper ends of the buckets of rows in a step.
const ROWS: [f64; 13] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
];
/// Lets the recorder drop what nobody has read this often.
const UPKEEP: Duration = Duration::from_secs(5);

/// Renders what the process has recorded.
#[derive(Debug, Clone)]
pub(super) struct MetricsPage(PrometheusHandle);

impl MetricsPage {
    /// Installs the recorder. A process has one, which all its servers share.
    pub(super) fn install() -> Result<Self, Error> {
        // A process has one recorder, which all servers in it share.
        static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
        HANDLE
            // Kept as text, since the error cannot be cloned: every later server fails in the
            // same words.
            .get_or_init(|| install_recorder().map_err(|e| e.to_string()))
            .clone()
            .map(Self)
            .map_err(Error::Setup)
    }

    /// Returns a router that answers `/metrics`, once `collect` has set what is read at that time.
    pub(super) fn router(&self, collect: impl Fn() + Clone + Send + Sync + 'static) -> Router {
        let (page, process) = (self.0.clone(), ProcessMetrics::default());
        Router::new().route(
            "/metrics",
            get(move || async move {
                process.collect();
                collect();
                page.render()
            }),
        )
    }

    /// Keeps the recorder small, for as long as it is polled.
    pub(super) async fn upkeep(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            // Without a reader of the page histograms would keep every value.
            self.0.run_upkeep();
        }
    }
}

fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full(names::BATCH_ROWS.into()), &ROWS)?
        .install_recorder()?;
    telemetry::describe();
    let features = if cfg!(feature = "cuda") {
        "cuda"
    } else {
        "cpu"
    };
    gauge!(names::BUILD_INFO, "version" => telemetry::VERSION, "features" => features).set(1.0);
    Ok(handle)
}
