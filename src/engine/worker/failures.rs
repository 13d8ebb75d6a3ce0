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

    /// Counts a failure, and remembers it where the device was lost by it.
    pub(super) fn count_failure(&mut self, error: &Error) {
        let kind = FaultKind::of(error);
        counter!(names::STEPS_FAILED, "kind" => kind.name()).increment(1);
        if kind == FaultKind::Lost {
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
        let error = Error::Fault(error);
        if FaultKind::of(&error) == FaultKind::Lost {
            self.lost.get_or_insert_with(|| error.to_string());
        }
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
