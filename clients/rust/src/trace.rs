//! The caller's span, from OpenTelemetry's API (feature `opentelemetry`).

use opentelemetry::propagation::Injector;
use opentelemetry::{Context, global};
use tonic::metadata::MetadataMap;

use crate::call::set;

struct Into<'a>(&'a mut MetadataMap);

impl Injector for Into<'_> {
    fn set(&mut self, key: &str, value: String) {
        // Nothing else that a propagator may add, such as baggage.
        if key == "traceparent" || key == "tracestate" {
            set(self.0, key, &value);
        }
    }
}

/// Adds what the global propagator says of the current span.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&Context::current(), &mut Into(metadata));
    });
}
