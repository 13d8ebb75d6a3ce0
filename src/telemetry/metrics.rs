//! The table of metrics. Every name is written here and nowhere else; labels come from closed sets.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Counts of values in buckets.
    Histogram,
}

/// A line of the table.
#[derive(Debug)]
pub struct MetricFamily {
    /// The name in Prometheus.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// A sentence on what it measures.
    pub help: &'static str,
}

macro_rules! table {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Names of the metrics.
        pub mod names {
            $(#[doc = $help] pub const $id: &str = $name;)*
        }
        /// Every metric of the server.
        pub const METRICS: &[MetricFamily] = &[$(MetricFamily {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

table! {
    REQUESTS: Counter "scotoma_requests_total" ["method", "model", "code"]
        "Requests, counted when their stream ends.";
    REQUEST_DURATION: Histogram "scotoma_request_duration_seconds" ["method"]
        "From arrival to the end of the stream.";
    TIME_TO_FIRST_TOKEN: Histogram "scotoma_time_to_first_token_seconds" []
        "From admission to the first token.";
    INTER_TOKEN_LATENCY: Histogram "scotoma_inter_token_latency_seconds" []
        "Between two tokens of an answer.";
    QUEUE_DURATION: Histogram "scotoma_queue_duration_seconds" []
        "From admission to the first step.";
    REQUESTS_RUNNING: Gauge "scotoma_requests_running" []
        "Requests that hold rows of the batch.";
    REQUESTS_WAITING: Gauge "scotoma_requests_waiting" []
        "Requests admitted and not yet begun.";
    REQUESTS_OPEN: Gauge "scotoma_requests_open" ["method"]
        "Requests whose stream has not ended: what a server that goes down waits for.";
    DRAINING: Gauge "scotoma_draining_seconds" []
        "Time since the server began to go down; 0 while it serves.";
    DRAIN_TIMEOUT: Gauge "scotoma_drain_timeout_seconds" []
        "How long going down may take; what runs then is cut off.";
    CERTIFICATE_END: Gauge "scotoma_certificate_end_timestamp_seconds" []
        "When the certificate that is served ends, in seconds since 1970; absent without TLS.";
    REQUESTS_REJECTED: Counter "scotoma_requests_rejected_total" ["reason"]
        "Requests refused before they ran.";
    BUDGET_USED: Gauge "scotoma_budget_used" ["budget"]
        "What is held of a budget: message_bytes (messages that are read or decoded), \
         picture_pixels (pictures that are decoded), unread_bytes (activations that no client has \
         read), connections (open ones), streams (open requests), watchers (open streams of health \
         and reflection), evaluations (bytes that benchmarks keep), queue (requests that wait); \
         uploads, kept_activations, replays (answers that are kept for calls tried again) and \
         models (with a judge inside the server), in bytes.";
    BUDGET_LIMIT: Gauge "scotoma_budget_limit" ["budget"]
        "What may be held of a budget by all clients together.";
    STAGE_DURATION: Histogram "scotoma_stage_duration_seconds" ["stage"]
        "Time of one stage: decode_image, preprocess, vision_tower, projector, prefill, \
         decode_step.";
    BATCH_ROWS: Histogram "scotoma_batch_rows" []
        "Rows of one packed step.";
    PROMPT_TOKENS: Counter "scotoma_prompt_tokens_total" []
        "Prompt tokens, visual ones included.";
    IMAGE_TOKENS: Counter "scotoma_image_tokens_total" []
        "Visual tokens.";
    GENERATION_TOKENS: Counter "scotoma_generation_tokens_total" []
        "Generated tokens.";
    STEPS_FAILED: Counter "scotoma_steps_failed_total" ["kind"]
        "Steps that failed, by what did: work (the step itself), device (it may succeed again), \
         device_lost (the device is restarted).";
    STEPS_RETRIED: Counter "scotoma_steps_retried_total" []
        "Steps of one sequence that were run again after a failure, and succeeded.";
    DEVICE_RESTARTS: Counter "scotoma_device_restarts_total" ["device"]
        "Times that a device was lost and opened anew.";
    DEVICE_STALE_ERRORS: Counter "scotoma_device_stale_errors_total" ["device"]
        "Errors that a driver's library had recorded of an earlier call, found before a step.";
    ROWS_COMPUTED: Counter "scotoma_rows_computed_total" []
        "(row, layer) pairs computed in both transformers.";
    ROWS_REUSED: Counter "scotoma_rows_reused_total" []
        "(row, layer) pairs of the language model taken from another sequence instead of computed.";
    IMAGE_CACHE_HITS: Counter "scotoma_image_cache_hits_total" []
        "Pictures whose features were at hand.";
    IMAGE_CACHE_MISSES: Counter "scotoma_image_cache_misses_total" []
        "Pictures that went up the vision tower.";
    IMAGE_CACHE_BYTES: Gauge "scotoma_image_cache_bytes" []
        "Bytes of encoded pictures that are kept.";
    PREFIX_CACHE_HITS: Counter "scotoma_prefix_cache_hits_total" []
        "Prompts that began like one read before.";
    PREFIX_CACHE_MISSES: Counter "scotoma_prefix_cache_misses_total" []
        "Prompts that were read from their first token.";
    CHECKPOINT_BYTES: Gauge "scotoma_checkpoint_bytes" []
        "Bytes of the residual stream kept for variants to start from.";
    INTERVENTIONS_APPLIED: Counter "scotoma_interventions_applied_total" ["kind"]
        "Interventions of requests that ran.";
    JUDGE_REQUESTS: Counter "scotoma_judge_requests_total" ["outcome"]
        "Questions to the judge, each try counted.";
    KV_CACHE_BYTES: Gauge "scotoma_kv_cache_bytes" []
        "Bytes of keys and values, of running requests and of prompts that are remembered.";
    MODEL_RESIDENT_BYTES: Gauge "scotoma_model_resident_bytes" ["model"]
        "Bytes of a model's tensors.";
    MODEL_LOAD_DURATION: Gauge "scotoma_model_load_duration_seconds" ["model"]
        "Time that loading took.";
    PARITY_MAX_RELATIVE_ERROR: Gauge "scotoma_parity_max_relative_error" ["model"]
        "Largest relative error of the last parity check.";
    KEY_REQUESTS: Counter "scotoma_key_requests_total" ["key", "code"]
        "Requests by the name of their key, with --metrics-by-key; the names of more than 64 keys \
         are other.";
    KEY_ROWS: Counter "scotoma_key_rows_total" ["key", "kind"]
        "(row, layer) pairs by the name of the key, computed and reused, with --metrics-by-key.";
    DEVICE_MEMORY_USED: Gauge "scotoma_device_memory_used_bytes" ["device"]
        "Bytes of a GPU that are in use, by all processes, as NVML says.";
    DEVICE_MEMORY: Gauge "scotoma_device_memory_bytes" ["device"]
        "Bytes of a GPU.";
    DEVICE_UTILIZATION: Gauge "scotoma_device_utilization_ratio" ["device"]
        "Share of the last moments in which a kernel ran on a GPU, as NVML says.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Processor time of the process.";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" []
        "Bytes of the process that are in memory.";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Bytes of the process's address space.";
    PROCESS_VIRTUAL_MAX: Gauge "process_virtual_memory_max_bytes" []
        "Most bytes of the address space, where they are bounded.";
    PROCESS_DESCRIPTORS: Gauge "process_open_fds" []
        "Files and sockets that are open.";
    PROCESS_DESCRIPTORS_MAX: Gauge "process_max_fds" []
        "Most files and sockets that may be open.";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "When the process began, in seconds since 1970.";
    PROCESS_THREADS: Gauge "process_threads" []
        "Threads of the process.";
    BUILD_INFO: Gauge "scotoma_build_info" ["version", "features"]
        "1, labelled with what was built.";
}

/// Registers help and type of every metric with the recorder in place.
pub fn describe() {
    for metric in METRICS {
        // Prometheus has the unit in the name; written twice the two could differ.
        let unit = if metric.name.ends_with("_seconds") {
            Unit::Seconds
        } else if metric.name.ends_with("_bytes") {
            Unit::Bytes
        } else {
            Unit::Count
        };
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, unit, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}
