//! Telemetry: the table of metrics, logs, build information.

mod logs;
mod memory;
mod metrics;
mod model_label;
mod process;
mod traces;

pub use logs::{AUDIT, LogFormat, check_log_filter, init_logs, open_audit, set_log_filter};
pub use memory::{memory_free, memory_used};
pub use metrics::{METRICS, MetricFamily, MetricKind, describe, names};
pub use model_label::model_label;
pub use process::ProcessMetrics;
pub use traces::{
    RequestSpan, StageSpan, check_endpoint, end_traces, export_request, export_traces,
    traces_are_exported,
};

/// Version of the server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
