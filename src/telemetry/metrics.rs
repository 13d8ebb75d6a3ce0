//! The table of metrics. Every name is written here and nowhere else; labels come from closed sets.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets.
    Histogram,
}

/// One line of the table.
#[derive(Debug)]
pub struct Metric {
    /// As Prometheus sees it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

macro_rules! table {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        /// Names of the metrics.
        pub mod names {
            $(#[doc = $help] pub const $id: &str = $name;)*
        }
        /// Every metric of the server.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }),*
        ];
    };
}

table! {
    REQUESTS = "scotoma_requests_total", Counter, ["method", "model", "code"], "Requests, counted when their stream ends.";
    REQUEST_DURATION = "scotoma_request_duration_seconds", Histogram, ["method"], "From arrival to the end of the stream.";
    TIME_TO_FIRST_TOKEN = "scotoma_time_to_first_token_seconds", Histogram, [], "From admission to the first token.";
    INTER_TOKEN_LATENCY = "scotoma_inter_token_latency_seconds", Histogram, [], "Between two tokens of an answer.";
    QUEUE_DURATION = "scotoma_queue_duration_seconds", Histogram, [], "From admission to the first step.";
    REQUESTS_RUNNING = "scotoma_requests_running", Gauge, [], "Requests that hold rows of the batch.";
    REQUESTS_WAITING = "scotoma_requests_waiting", Gauge, [], "Requests admitted and not yet begun.";
    REQUESTS_REJECTED = "scotoma_requests_rejected_total", Counter, ["reason"], "Requests refused before they ran.";
    STAGE_DURATION = "scotoma_stage_duration_seconds", Histogram, ["stage"], "Time of one stage: decode_image, preprocess, vision_tower, projector, prefill, decode_step.";
    BATCH_ROWS = "scotoma_batch_rows", Histogram, [], "Rows of one packed step.";
    PROMPT_TOKENS = "scotoma_prompt_tokens_total", Counter, [], "Prompt tokens, visual ones included.";
    IMAGE_TOKENS = "scotoma_image_tokens_total", Counter, [], "Visual tokens.";
    GENERATION_TOKENS = "scotoma_generation_tokens_total", Counter, [], "Generated tokens.";
    ROWS_COMPUTED = "scotoma_rows_computed_total", Counter, [], "(row, layer) pairs computed in both transformers.";
    ROWS_REUSED = "scotoma_rows_reused_total", Counter, [], "(row, layer) pairs of the language model taken from another sequence instead of computed.";
    IMAGE_CACHE_HITS = "scotoma_image_cache_hits_total", Counter, [], "Pictures whose features were at hand.";
    IMAGE_CACHE_MISSES = "scotoma_image_cache_misses_total", Counter, [], "Pictures that went up the vision tower.";
    IMAGE_CACHE_BYTES = "scotoma_image_cache_bytes", Gauge, [], "Bytes of encoded pictures that are kept.";
    PREFIX_CACHE_HITS = "scotoma_prefix_cache_hits_total", Counter, [], "Prompts that began like one read before.";
    PREFIX_CACHE_MISSES = "scotoma_prefix_cache_misses_total", Counter, [], "Prompts that were read from their first token.";
    CHECKPOINT_BYTES = "scotoma_checkpoint_bytes", Gauge, [], "Bytes of the residual stream kept for variants to start from.";
    INTERVENTIONS_APPLIED = "scotoma_interventions_applied_total", Counter, ["kind"], "Interventions of requests that ran.";
    JUDGE_REQUESTS = "scotoma_judge_requests_total", Counter, ["outcome"], "Questions to the judge, each try counted.";
    KV_CACHE_BYTES = "scotoma_kv_cache_bytes", Gauge, [], "Bytes of keys and values, of running requests and of prompts that are remembered.";
    MODEL_RESIDENT_BYTES = "scotoma_model_resident_bytes", Gauge, ["model"], "Bytes of a model's tensors.";
    MODEL_LOAD_DURATION = "scotoma_model_load_duration_seconds", Gauge, ["model"], "Time that loading took.";
    PARITY_MAX_RELATIVE_ERROR = "scotoma_parity_max_relative_error", Gauge, ["model"], "Largest relative error of the last parity check.";
    BUILD_INFO = "scotoma_build_info", Gauge, ["version", "features"], "1, labelled with what was built.";
}

/// Registers help and type of every metric with the recorder in place.
pub fn describe() {
    for metric in METRICS {
        let unit = if metric.name.ends_with("_seconds") {
            Unit::Seconds
        } else if metric.name.ends_with("_bytes") {
            Unit::Bytes
        } else {
            Unit::Count
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}
