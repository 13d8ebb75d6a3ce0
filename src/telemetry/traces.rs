//! Traces over OTLP: a span for each request, below the span that its client was in, and one below
//! that for each stage.
//!
//! Spans are made when a request has ended, of times that were noted on the way: what is not
//! exported costs a request nothing but these.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// A process exports to one place.
static TRACES: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();
/// Gives up what is not sent by then when the server ends.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// A stage of a request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct StageSpan {
    /// Names the stage.
    pub name: &'static str,
    /// Says when it began.
    pub start: Instant,
    /// Says when it ended.
    pub end: Instant,
}

/// A request that has ended.
#[derive(Debug)]
pub struct RequestSpan<'a> {
    /// Names its method, such as `Generate`.
    pub method: &'a str,
    /// The client's `traceparent` and `tracestate`.
    pub parent: [Option<&'a str>; 2],
    /// Says when it came.
    pub start: Instant,
    /// Name of its code, such as `Ok`.
    pub code: &'a str,
    /// Names the reason, where it failed.
    pub reason: Option<&'a str>,
    /// Holds what else is known of it.
    pub attributes: Vec<(&'static str, String)>,
    /// Counts of it.
    pub counts: Vec<(&'static str, u64)>,
    /// Lists its stages.
    pub stages: Vec<StageSpan>,
}

/// Fails if `endpoint` is no address of an OTLP receiver. Runs in the async runtime.
pub fn check_endpoint(endpoint: &str) -> Result<(), String> {
    exporter(endpoint).map(drop)
}

fn exporter(endpoint: &str) -> Result<SpanExporter, String> {
    // Without a scheme it would be taken, and no connection ever be made.
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err("http:// or https:// is needed, such as http://localhost:4317".into());
    }
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
    exporter.build().map_err(|e| e.to_string())
}

/// Exports traces from now on to `endpoint`, an OTLP receiver that speaks gRPC, such as
/// `http://localhost:4317`. A second call changes nothing. Runs in the async runtime.
pub fn export_traces(endpoint: &str) -> Result<(), String> {
    let exporter = exporter(endpoint)?;
    let resource = Resource::builder()
        .with_service_name("scotoma")
        .with_attribute(KeyValue::new("service.version", super::VERSION))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("scotoma");
    // Full where a server runs in this process already.
    let _ = TRACES.set((provider, tracer));
    Ok(())
}

/// Reports whether traces are exported.
pub fn traces_are_exported() -> bool {
    TRACES.get().is_some()
}

/// Exports what is left; blocks for some seconds where the receiver does not answer.
pub fn end_traces() {
    if let Some((provider, _)) = TRACES.get()
        && let Err(error) = provider.shutdown_with_timeout(LAST_EXPORT)
    {
        tracing::warn!(%error, "the last traces were not exported");
    }
}

/// Exports a request, if traces are.
pub fn export_request(request: RequestSpan<'_>) {
    let Some((_, tracer)) = TRACES.get() else {
        return;
    };
    // One pair of clocks for all: they may drift apart between two readings.
    let (now, clock) = (Instant::now(), SystemTime::now());
    let at = |instant: Instant| clock - now.saturating_duration_since(instant);
    let parent = TraceContextPropagator::new().extract(&Parent(request.parent));
    let known = request.attributes.into_iter();
    let known = known.map(|(name, value)| KeyValue::new(name, value));
    let counts = request.counts.into_iter();
    // OTLP has no unsigned numbers.
    let counts = counts.map(|(name, count)| KeyValue::new(name, count as i64));
    let builder = tracer
        .span_builder(request.method.to_owned())
        .with_kind(SpanKind::Server)
        .with_start_time(at(request.start))
        .with_attributes(known.chain(counts));
    let mut span = builder.start_with_context(tracer, &parent);
    if request.code != "Ok" {
        let reason = request.reason.unwrap_or(request.code).to_owned();
        span.set_status(Status::error(reason));
    }
    // Its context is enough for stages to stand below it; the span itself is ended last.
    let below = Context::new().with_remote_span_context(span.span_context().clone());
    for stage in request.stages {
        let builder = tracer
            .span_builder(stage.name)
            .with_start_time(at(stage.start));
        let mut span = builder.start_with_context(tracer, &below);
        span.end_with_timestamp(at(stage.end));
    }
    span.end_with_timestamp(clock);
}

/// Reads the span that a client was in.
struct Parent<'a>([Option<&'a str>; 2]);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0[0],
            "tracestate" => self.0[1],
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
