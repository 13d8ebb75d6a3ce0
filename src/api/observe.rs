//! What is recorded of a request, at the end of its stream.

use std::time::Instant;

use metrics::{counter, histogram};
use tonic::{Code, Status};

use crate::telemetry::names;

/// Records a request when it is dropped: with the code it was given, or as cancelled.
#[derive(Debug)]
pub(super) struct Observation {
    method: &'static str,
    model: String,
    code: Code,
    start: Instant,
    /// A part of another request is not counted again.
    part: bool,
}

impl Observation {
    pub(super) fn begin(method: &'static str) -> Self {
        Self {
            method,
            model: "none".into(),
            code: Code::Cancelled,
            start: Instant::now(),
            part: false,
        }
    }

    /// Of a part of another request, which is not counted by itself.
    pub(super) fn of_part() -> Self {
        Self {
            method: "",
            model: String::new(),
            code: Code::Ok,
            start: Instant::now(),
            part: true,
        }
    }

    /// The model is resident, so its name belongs to a closed set.
    pub(super) fn model(&mut self, name: &str) {
        name.clone_into(&mut self.model);
    }

    pub(super) fn end(&mut self, code: Code) {
        self.code = code;
    }

    /// Ends with the code of `result`.
    pub(super) fn result<T>(&mut self, result: &Result<T, Status>) {
        self.end(result.as_ref().map_or_else(Status::code, |_| Code::Ok));
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if self.part {
            return;
        }
        let elapsed = self.start.elapsed();
        let code = format!("{:?}", self.code);
        histogram!(names::REQUEST_DURATION, "method" => self.method).record(elapsed);
        tracing::info!(method = self.method, model = %self.model, %code, seconds = elapsed.as_secs_f64(), "request");
        counter!(names::REQUESTS, "method" => self.method, "model" => self.model.clone(), "code" => code).increment(1);
    }
}
