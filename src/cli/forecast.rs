//! Forecasts of a run's cost, from its first answers.

use std::fmt;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use scotoma_client::v1::SampleResult;

/// The cost of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forecast {
    /// Answers that are still to come.
    pub(super) answers: usize,
    /// Floating-point operations.
    pub(super) flops: f64,
    /// Time.
    pub(super) seconds: f64,
}

impl AddAssign for Forecast {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.flops += other.flops;
        self.seconds += other.seconds;
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = indicatif::HumanDuration(Duration::from_secs_f64(self.seconds));
        write!(
            f,
            "{} answers, about {:.2e} floating-point operations and {time}",
            self.answers, self.flops
        )
    }
}

/// Adds up the first answers of a run until its cost can be told.
pub(super) struct Forecaster {
    /// Answers after which the cost is told.
    first: usize,
    /// Answers of the whole run, where their number is known.
    all: Option<usize>,
    /// Answers that have come.
    pub(super) seen: usize,
    flops: u64,
    start: Instant,
    /// The forecast, once it was made.
    pub(super) forecast: Option<Forecast>,
}

impl Forecaster {
    /// Starts the clock of a run of `all` answers whose cost is told after the first `first`.
    pub(super) fn new(first: usize, all: Option<usize>) -> Self {
        Self {
            first,
            all,
            seen: 0,
            flops: 0,
            start: Instant::now(),
            forecast: None,
        }
    }

    /// Counts `result`. Returns the forecast when enough results have come.
    pub(super) fn add(&mut self, result: &SampleResult) -> Option<Forecast> {
        self.seen += 1;
        self.flops += result.usage.as_ref().map_or(0, |u| u.flops);
        // Once: later answers come from full batches and warm caches, and the line would jump.
        if self.seen == self.first {
            self.make()
        } else {
            None
        }
    }

    /// Returns the forecast at the end of a run that was too short to tell it before.
    pub(super) fn end(&mut self) -> Option<Forecast> {
        if self.forecast.is_none() && self.seen > 0 {
            self.make()
        } else {
            None
        }
    }

    fn make(&mut self) -> Option<Forecast> {
        let answers = self.all?;
        // What has come is taken as a fair sample of the whole.
        let scale = answers as f64 / self.seen as f64;
        self.forecast = Some(Forecast {
            answers,
            flops: self.flops as f64 * scale,
            seconds: self.start.elapsed().as_secs_f64() * scale,
        });
        self.forecast
    }
}
