//! Counts what fails, and opens a lost device anew.

use std::time::Duration;

use metrics::counter;

use super::Worker;
use crate::engine::error::Error;
use crate::engine::fault::{DeviceState, FaultKind};
use crate::engine::scheduler::Scheduler;
use crate::telemetry::names;

impl Worker {
    /// Begins the counts of failures at 0: a rate needs a number to grow from.
    pub(super) fn count_nothing_yet(&self) {
        let device = self.owned.id().to_string();
        for kind in [FaultKind::Work, FaultKind::Device, FaultKind::Lost] {
            counter!(names::STEPS_FAILED, "kind" => kind.name()).increment(0);
        }
        counter!(names::STEPS_RETRIED).increment(0);
        counter!(names::DEVICE_RESTARTS, "device" => device.clone()).increment(0);
        counter!(names::DEVICE_STALE_ERRORS, "device" => device).increment(0);
    }

    /// Counts a step that failed, and remembers the error where the device was lost by it.
    pub(super) fn count_failure(&mut self, error: &Error) {
        let kind = FaultKind::of(error);
        counter!(names::STEPS_FAILED, "kind" => kind.name()).increment(1);
        self.note_loss(error);
    }

    /// Remembers an error where the device was lost by it.
    pub(super) fn note_loss(&mut self, error: &Error) {
        if FaultKind::of(error) == FaultKind::Lost {
            self.lost.get_or_insert_with(|| error.to_string());
        }
    }

    /// Takes an error that an earlier call has left, so that no step is blamed for it.
    pub(super) fn drop_stale_error(&mut self) {
        let Some(error) = self.owned.take_stale_error() else {
            return;
        };
        let device = self.owned.id().to_string();
        tracing::error!(device, error, "an earlier call has left an error");
        counter!(names::DEVICE_STALE_ERRORS, "device" => device).increment(1);
        self.note_loss(&Error::Fault(error));
    }

    /// Opens the device anew. What runs ends, and what was on the device is gone.
    pub(super) fn restart(&mut self, reason: &str) {
        let device = self.owned.id().to_string();
        tracing::error!(device, reason, "the device is lost");
        counter!(names::DEVICE_RESTARTS, "device" => device.clone()).increment(1);
        // First: from here on requests are refused before they are planned.
        self.device.send_replace(DeviceState::Restarting);
        // Before the device is closed: requests and caches hold tensors of it.
        self.abandon();
        self.owned.close();
        let mut wait = Duration::from_millis(100);
        while let Err(error) = self.owned.reopen() {
            tracing::error!(device, %error, "the device does not open");
            std::thread::sleep(wait);
            // A driver that resets is back in seconds; one that is gone waits for somebody, who
            // must not find a log full of this.
            wait = (2 * wait).min(Duration::from_secs(30));
            self.take_commands();
            self.abandon();
            // Nobody is left who could ask: without this the thread would try for ever.
            if self.inbox.is_closed() {
                return;
            }
        }
        tracing::warn!(device, "the device is open again");
        self.device.send_replace(DeviceState::Restarted);
    }

    /// Ends all requests, and drops all that is kept for them.
    fn abandon(&mut self) {
        for mut request in self.requests.drain(..) {
            request.output.fail(|| Error::Restarting);
            self.admission
                .leave(&request.client, request.price, request.started);
        }
        for mut request in self.auxiliary.drain(..) {
            request.task.fail(Error::Restarting);
            self.admission
                .leave(&request.client, request.price, request.started);
        }
        self.scheduler = Scheduler::default();
        self.slots.clear();
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::engine::admission::Admission;
    use crate::engine::fault::StepCheck;
    use crate::engine::limits::Limits;
    use crate::engine::load::Load;
    use crate::engine::owned::Owned;
    use crate::engine::worker::Command;
    use crate::model;
    use crate::nn::{DeviceId, Home};

    /// Returns whether a load that fails with `error` loses the device, and the metrics behind it.
    fn load(error: model::Error) -> (bool, String) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let is_lost = metrics::with_local_recorder(&recorder, || {
            let owned = Owned::open(&DeviceId::Cpu.into(), Home::host()).unwrap();
            let (commands, inbox) = mpsc::unbounded_channel();
            let state = Arc::new(watch::Sender::new(DeviceState::Serving));
            let admission = Arc::new(Admission::default());
            let (limits, check) = (Limits::default(), StepCheck::default());
            let mut worker = Worker::new(inbox, admission, limits, (owned, state), check);
            worker.count_nothing_yet();
            let (reports, _kept) = std::sync::mpsc::channel();
            let load = Load::new(move |_| Err::<(), _>(error), reports);
            assert!(commands.send(Command::Load(load)).is_ok());
            worker.take_commands();
            worker.load_next();
            worker.lost.is_some()
        });
        (is_lost, metrics.render())
    }

    #[test]
    fn a_load_that_fails_is_no_step() {
        let refused = model::Error::Budget { needed: 2, left: 1 };
        let lost = candle_core::Error::Msg("CUDA_ERROR_ILLEGAL_ADDRESS".into());
        for (error, loses) in [(refused, false), (lost.into(), true)] {
            let (is_lost, metrics) = load(error);
            assert_eq!(is_lost, loses);
            let failed = metrics
                .lines()
                .filter(|l| l.starts_with("scotoma_steps_failed"));
            let failed: Vec<&str> = failed.collect();
            assert_eq!(failed.len(), 3);
            assert!(failed.iter().all(|line| line.ends_with(" 0")), "{failed:?}");
        }
    }
}
