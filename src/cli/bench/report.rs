//! The measurements of a bench, and their table.

use std::time::Duration;

use candle_core::Device;
use serde::Serialize;

use crate::cli::error::Failure;
use crate::engine::{Cost, Engine};
use crate::telemetry::memory_used;

/// One measurement.
#[derive(Debug, Serialize)]
pub(super) struct Measurement {
    pub(super) what: String,
    pub(super) seconds: f64,
    /// Tokens or views a second.
    pub(super) rate: Option<f64>,
    /// Operations that it takes.
    pub(super) flops: Option<f64>,
    /// Bytes that it must read, at least.
    pub(super) bytes: Option<f64>,
    /// The time that the ceilings of the device leave it: for its operations or for its bytes,
    /// whichever is longer. Weights that fit a processor's caches are read faster.
    pub(super) floor_seconds: Option<f64>,
    pub(super) note: String,
}

/// All measurements.
#[derive(Debug, Default, Serialize)]
pub(super) struct BenchReport {
    pub(super) model: String,
    pub(super) device: String,
    pub(super) dtype: String,
    pub(super) parameters: u64,
    /// Floating-point operations a second of the fastest product, and bytes a second of a copy,
    /// read and written; 0 where they were not measured.
    pub(super) matrix_rate: f64,
    pub(super) bandwidth: f64,
    pub(super) rows: Vec<Measurement>,
    /// The most rows that were tried in a product.
    pub(super) most_rows: usize,
    /// The numbers of rows in a call that change the bits of a row, for each product of the model's
    /// layers and for whole steps.
    pub(super) row_variance: Vec<(String, Vec<usize>)>,
    /// Bytes in use before the model is loaded, after it, and at the end.
    pub(super) memory: Vec<(String, u64)>,
}

/// Formats a number with three digits and an SI prefix.
pub(super) fn scaled(value: f64) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P"];
    // At least 1, since 0 has no logarithm; `P` is the largest prefix.
    let power = (value.max(1.0).log10() / 3.0).floor().min(5.0);
    format!(
        "{:.2} {}",
        value / 1e3f64.powf(power),
        prefixes[power as usize]
    )
}

impl BenchReport {
    pub(super) fn remember(&mut self, when: &str, engine: &Engine) -> Result<(), Failure> {
        let bytes = memory_of(engine)?;
        self.memory
            .extend(bytes.map(|bytes| (when.to_owned(), bytes)));
        Ok(())
    }

    pub(super) fn push(&mut self, what: &str, time: Duration, fill: impl FnOnce(&mut Measurement)) {
        let mut row = Measurement {
            what: what.to_owned(),
            seconds: time.as_secs_f64(),
            rate: None,
            flops: None,
            bytes: None,
            floor_seconds: None,
            note: String::new(),
        };
        fill(&mut row);
        self.rows.push(row);
    }

    /// Adds work of many operations over weights that are read once, of `count` tokens or views.
    pub(super) fn product(&mut self, what: String, time: Duration, work: (Cost, f64), count: f64) {
        let (flops, bytes) = (work.0.flops as f64, work.1);
        self.push(&what, time, |row| {
            row.rate = Some(count / row.seconds);
            (row.flops, row.bytes) = (Some(flops), Some(bytes));
            row.note = format!("{}FLOP", scaled(flops));
        });
    }

    /// Computes the floor of every row, once the ceilings are known.
    pub(super) fn set_floors(&mut self) {
        // `--parts rows` measures no ceilings.
        if self.matrix_rate == 0.0 {
            return;
        }
        for row in &mut self.rows {
            let computing = row.flops.map(|flops| flops / self.matrix_rate);
            let reading = row.bytes.map(|bytes| bytes / self.bandwidth);
            let longer = computing.into_iter().chain(reading).reduce(f64::max);
            row.floor_seconds = longer.filter(|&seconds| seconds > 0.0);
        }
    }

    pub(super) fn print(&self) {
        println!(
            "{}: {}parameters, {} on {}",
            self.model,
            scaled(self.parameters as f64),
            self.dtype,
            self.device
        );
        if self.matrix_rate > 0.0 {
            println!(
                "the fastest product {}FLOP/s, a copy {}B/s\n",
                scaled(self.matrix_rate),
                scaled(self.bandwidth)
            );
        }
        println!(
            "{:<44} {:>12} {:>12} {:>12} {:>6}",
            "", "time", "a second", "floor", "share"
        );
        for row in &self.rows {
            println!("{}", row.line());
        }
        if !self.row_variance.is_empty() {
            println!(
                "\nbits of a row in calls of up to {} rows, beside the row alone:",
                self.most_rows
            );
        }
        for (what, counts) in &self.row_variance {
            let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
            let found = if counts.is_empty() {
                "holds".into()
            } else {
                format!("varies at {} rows", counts.join(", "))
            };
            println!("  {what:<42} {found}");
        }
        println!("\nmemory in use:");
        for (when, bytes) in &self.memory {
            println!("  {when:<42} {}B", scaled(*bytes as f64));
        }
    }
}

impl Measurement {
    /// Formats it as a line of the table.
    fn line(&self) -> String {
        let rate = self.rate.map_or(String::new(), scaled);
        let floor = self
            .floor_seconds
            .map_or(String::new(), |floor| format!("{:.2} ms", 1e3 * floor));
        let share = self.floor_seconds.map_or(String::new(), |floor| {
            format!("{:.0} %", 1e2 * floor / self.seconds)
        });
        let (what, time, note) = (&self.what, 1e3 * self.seconds, &self.note);
        let line = format!("{what:<44} {time:>9.2} ms {rate:>12} {floor:>12} {share:>6}  {note}");
        line.trim_end().to_owned()
    }
}

/// Returns the bytes in use on the devices of an engine.
pub(super) fn memory_of(engine: &Engine) -> Result<Option<u64>, Failure> {
    Ok(engine.load(|to| Ok(used_on(to.devices)), &|_, _| {})??)
}

/// Returns the bytes in use on all devices; those of the process once.
fn used_on(devices: &[Device]) -> Option<u64> {
    let (cpus, cards): (Vec<_>, Vec<_>) = devices.iter().partition(|d| d.is_cpu());
    // All CPUs are one memory, that of the process.
    let counted = cards.into_iter().chain(cpus.into_iter().take(1));
    counted.map(memory_used).sum()
}
