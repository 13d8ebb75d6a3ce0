//! Telemetry: the table of metrics, logs, build information.

mod logs;
mod memory;
mod metrics;

pub use logs::{LogFormat, check_log_filter, init_logs, set_log_filter};
pub use memory::{memory_free, memory_used};
pub use metrics::{METRICS, MetricFamily, MetricKind, describe, names};

/// Version of the server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
