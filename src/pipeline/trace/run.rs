//! Runs a trace: the runs without patches, then window after window of cells.

use std::sync::PoisonError;

use metrics::counter;
use tokio::sync::mpsc;

use super::cells::{Kept, Write};
use super::output::{TraceCell, TraceEvent, TraceFinished};
use super::path::Path;
use super::plan::{PATH_WINDOW, Trace, WINDOW, holding, like};
use super::request::Direction;
use crate::engine::{
    self, Cost, Distributions, Event, Events, Measure, Measured, Prefilled, Variant,
};
use crate::intervention::{Captured, Plan};
use crate::model;
use crate::nn::HostTensor;
use crate::pipeline::error::Error;
use crate::pipeline::provenance::RecordedRequest;
use crate::pipeline::runtime::Runtime;
use crate::pipeline::submit::Charge;
use crate::telemetry::names;

impl Trace {
    /// Runs all of it and sends what comes. Ends early where nobody receives.
    pub async fn run(
        &self,
        runtime: &Runtime,
        events: mpsc::Sender<TraceEvent>,
    ) -> Result<TraceFinished, Error> {
        let run = TraceRun {
            trace: self,
            runtime,
            events,
            cost: Cost::default(),
            baseline: None,
            clean: None,
            base: Told::default(),
            source: Told::default(),
            values: vec![None; self.axes.cells()],
            failed: 0,
            has_begun: false,
        };
        Box::pin(run.run()).await
    }

    /// Runs to the end and keeps the record alone.
    pub async fn finish(&self, runtime: &Runtime) -> Result<TraceFinished, Error> {
        let (sender, mut receiver) = mpsc::channel(16);
        let drain = async { while receiver.recv().await.is_some() {} };
        let (finished, ()) = tokio::join!(self.run(runtime, sender), drain);
        finished
    }
}

/// Holds what an unpatched run has told.
#[derive(Debug, Default)]
struct Told {
    prefilled: Prefilled,
    measured: Measured,
    captured: Vec<Captured>,
}

/// A trace that runs.
struct TraceRun<'a> {
    trace: &'a Trace,
    runtime: &'a Runtime,
    events: mpsc::Sender<TraceEvent>,
    cost: Cost,
    /// The metric of the clean and the corrupted run, once both are known.
    baseline: Option<(f64, f64)>,
    /// The distributions of the clean run, where the metric compares with them.
    clean: Option<Distributions>,
    base: Told,
    source: Told,
    values: Vec<Option<f64>>,
    failed: u32,
    /// A request of it has been admitted.
    has_begun: bool,
}

impl TraceRun<'_> {
    async fn run(mut self) -> Result<TraceFinished, Error> {
        let trace = self.trace;
        trace.base.count();
        trace.source.count();
        let is_denoised = trace.direction == Direction::Denoise;
        if trace.metric.compares() && !is_denoised {
            // The clean run first: all others are measured against its distributions.
            let told = self
                .alone(trace.cells.unpatched(self.measure(true)))
                .await?;
            self.clean.clone_from(&told.measured.distributions);
        }
        let mut run = like(
            &trace.source_run,
            trace.source_run.plan.clone(),
            self.measure(true),
        );
        run.observed = self.take_observed(1);
        self.source = self.alone(run).await?;
        let name = if is_denoised { "clean" } else { "corrupted" };
        // Before any cell: an intervention that never acts makes the whole trace meaningless.
        let fired = trace.source.check_fired(&self.source.measured.effects);
        fired.map_err(|e| e.within(name))?;
        if is_denoised && trace.metric.compares() {
            self.clean.clone_from(&self.source.measured.distributions);
        }
        let kept = kept(
            &trace.source_run.plan,
            std::mem::take(&mut self.source.captured),
        )?;
        let held = match &trace.path {
            None => Kept::new(),
            Some(path) => {
                // Of the run that is patched: a path holds its own activations, not the source's.
                let plan = holding(&trace.cells, path);
                let run = trace.cells.variant(&[], plan.clone(), Measure::default());
                let told = self.alone(run).await?;
                self::kept(&plan, told.captured)?
            }
        };
        let window = if trace.path.is_some() {
            PATH_WINDOW
        } else {
            WINDOW
        };
        let live = &trace.live;
        // One window even without a live cell, for the unpatched run.
        for first in (0..live.len().max(1)).step_by(window) {
            let of_window = &live[first.min(live.len())..(first + window).min(live.len())];
            self.window(of_window, &kept, &held, first == 0).await?;
            if first == 0 {
                // Behind the first window, whose unpatched run tells their value.
                self.send_unchanged().await?;
            }
        }
        self.finished()
    }

    fn measure(&self, keeps: bool) -> Measure {
        let trace = self.trace;
        trace
            .metric
            .measure(&trace.answers, self.clean.clone(), keeps)
    }

    /// Returns the effects of compiling an input, the first time.
    fn take_observed(&self, which: usize) -> crate::intervention::EffectLog {
        let mut observed = self
            .trace
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        observed[which].take().unwrap_or_default()
    }

    /// Runs one variant to its end.
    async fn alone(&mut self, run: Variant) -> Result<Told, Error> {
        let (mut events, mut charge) = self.submit(vec![run]).await?;
        let mut told = Told::default();
        loop {
            let event = events.recv().await.ok_or(Error::EngineStopped)?;
            charge.observe(event.variant, &event.event);
            match event.event? {
                Event::Captured(captured) => told.captured.push(captured),
                Event::Prefilled(prefilled) => told.prefilled = prefilled,
                Event::Measured(measured) => {
                    self.cost += measured.timing.cost;
                    told.measured = measured;
                    return Ok(told);
                }
                Event::Token(_) | Event::Scored { .. } => return Err(Error::UnexpectedEvent),
            }
        }
    }

    /// Hands runs to the engine. The first ones are refused where the queue is full, as any request
    /// is; those that follow wait.
    async fn submit(&mut self, variants: Vec<Variant>) -> Result<(Events, Charge), Error> {
        let (context, model) = (&self.trace.context, &self.trace.model);
        if std::mem::replace(&mut self.has_begun, true) {
            let submitting = self.runtime.submit_patiently(context, model, variants);
            return submitting.await;
        }
        self.runtime.submit_all(context, model, variants)
    }

    /// Runs a window of cells behind the unpatched run.
    async fn window(
        &mut self,
        window: &[usize],
        kept: &Kept,
        held: &Kept,
        is_first: bool,
    ) -> Result<(), Error> {
        let trace = self.trace;
        // Anew in each window, since requests share rows only among their own variants; the prefix
        // cache has its prompt.
        let mut base = trace.cells.unpatched(self.measure(is_first));
        if is_first {
            base.observed = self.take_observed(0);
        }
        let (mut running, mut variants) = (vec![None], vec![base]);
        for (i, run) in self.patched(window, kept, held).await? {
            running.push(Some(i));
            variants.push(run);
        }
        let (mut left, cells) = (variants.len(), variants.len() as u64 - 1);
        let (mut events, mut charge) = self.submit(variants).await?;
        // Behind admission: what is refused was not applied.
        counter!(names::INTERVENTIONS_APPLIED, "kind" => "patch").increment(cells);
        while left > 0 {
            let event = events.recv().await.ok_or(Error::EngineStopped)?;
            charge.observe(event.variant, &event.event);
            let cell = running.get(event.variant).copied().flatten();
            match event.event {
                Ok(Event::Prefilled(prefilled)) if cell.is_none() => {
                    self.base.prefilled = prefilled;
                }
                Ok(Event::Prefilled(_) | Event::Captured(_)) => {}
                Ok(Event::Measured(measured)) => {
                    left -= 1;
                    self.cost += measured.timing.cost;
                    match cell {
                        Some(i) => {
                            let value = trace.metric.value(&measured);
                            self.send(i, Ok(value), measured.timing.cost.rows).await?;
                        }
                        None if is_first => self.compare(measured).await?,
                        None => {}
                    }
                }
                Ok(Event::Token(_) | Event::Scored { .. }) => return Err(Error::UnexpectedEvent),
                // What ends one cell so would end all that follow.
                Err(error @ engine::Error::Deadline { .. }) => return Err(error.into()),
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(error) => {
                    left -= 1;
                    let Some(i) = cell else {
                        return Err(error.into());
                    };
                    self.send(i, Err(error.into()), 0).await?;
                }
            }
        }
        Ok(())
    }

    /// Returns the runs of a window's cells. Along a path the senders run first, for what comes to
    /// the receiver.
    async fn patched(
        &mut self,
        window: &[usize],
        kept: &Kept,
        held: &Kept,
    ) -> Result<Vec<(usize, Variant)>, Error> {
        let trace = self.trace;
        let (cells, axes) = (&trace.cells, &trace.axes);
        let Some(path) = &trace.path else {
            let runs = window.iter().map(|&i| {
                let write = cells.write(axes, i);
                (i, cells.patched(&[write], &[kept], self.measure(false)))
            });
            return Ok(runs.collect());
        };
        let received = self.senders(path, window, kept, held).await?;
        let mut runs = Vec::with_capacity(window.len());
        for (i, received) in received {
            match received {
                Ok(received) => {
                    let sender = cells.write(axes, i);
                    let writes = path.writes(cells, axes, i, &sender);
                    let run = cells.patched(&writes, &[&received], self.measure(false));
                    runs.push((i, run));
                }
                Err(error) => self.send(i, Err(error), 0).await?,
            }
        }
        Ok(runs)
    }

    /// Runs senders with everything else held, and returns what has come to the receiver of each.
    async fn senders(
        &mut self,
        path: &Path,
        window: &[usize],
        kept: &Kept,
        held: &Kept,
    ) -> Result<Vec<(usize, Result<Kept, Error>)>, Error> {
        if window.is_empty() {
            return Ok(Vec::new());
        }
        let trace = self.trace;
        let (cells, axes) = (&trace.cells, &trace.axes);
        let (mut variants, mut plans) = (Vec::new(), Vec::new());
        for &i in window {
            let mut writes: Vec<Write> = vec![cells.write(axes, i)];
            writes.extend(path.holds(cells, axes, i));
            // The sender's own rows first: a point may be held, too, at other heads or tokens.
            let mut run = cells.patched(&writes[..1], &[kept], Measure::default());
            let holds = cells.patched(&writes[1..], &[held], Measure::default());
            let mut plan = Plan::clone(&run.plan);
            for (point, edits) in &holds.plan.edits {
                // Both plans begin with the edits of the unpatched run, which count once.
                let of_base = cells.plan().edits.get(point).map_or(0, Vec::len);
                let own = plan.edits.entry(*point).or_default();
                own.extend(edits[of_base..].iter().cloned());
            }
            for (point, capture) in path.captures(axes, i) {
                plan.captures.entry(point).or_default().push(capture);
            }
            let plan = std::sync::Arc::new(plan);
            run.plan = plan.clone();
            run.edit_keys = cells.planned(&writes, Measure::default()).edit_keys;
            variants.push(run);
            plans.push(plan);
        }
        let (mut events, mut charge) = self.submit(variants).await?;
        let mut captured: Vec<Vec<Captured>> = window.iter().map(|_| Vec::new()).collect();
        let mut done: Vec<Option<Result<Kept, Error>>> = window.iter().map(|_| None).collect();
        while done.iter().any(Option::is_none) {
            let event = events.recv().await.ok_or(Error::EngineStopped)?;
            charge.observe(event.variant, &event.event);
            let at = event.variant;
            match event.event {
                Ok(Event::Captured(rows)) => captured[at].push(rows),
                Ok(Event::Measured(measured)) => {
                    self.cost += measured.timing.cost;
                    done[at] = Some(self::kept(&plans[at], std::mem::take(&mut captured[at])));
                }
                Ok(_) => {}
                Err(error @ engine::Error::Deadline { .. }) => return Err(error.into()),
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(error) => done[at] = Some(Err(error.into())),
            }
        }
        Ok(window
            .iter()
            .copied()
            .zip(done.into_iter().flatten())
            .collect())
    }

    /// Takes the unpatched run, with which both are known.
    async fn compare(&mut self, measured: Measured) -> Result<(), Error> {
        let trace = self.trace;
        let (name, base) = match trace.direction {
            Direction::Denoise => ("corrupted", trace.metric.value(&measured)),
            Direction::Noise => ("clean", trace.metric.value(&measured)),
        };
        let fired = trace.base.check_fired(&measured.effects);
        fired.map_err(|e| e.within(name))?;
        let source = trace.metric.value(&self.source.measured);
        let baseline = match trace.direction {
            Direction::Denoise => (source, base),
            Direction::Noise => (base, source),
        };
        self.base.measured = measured;
        self.baseline = Some(baseline);
        let sent = self
            .events
            .send(TraceEvent::Baseline(baseline.0, baseline.1));
        sent.await.map_err(|_| Error::ClientLeft)
    }

    /// Sends the cells that are as the unpatched run.
    async fn send_unchanged(&mut self) -> Result<(), Error> {
        let trace = self.trace;
        let value = trace.metric.value(&self.base.measured);
        // Both ascend, so that one walk tells them apart.
        let mut live = trace.live.iter().peekable();
        for i in 0..self.values.len() {
            if live.next_if(|next| **next == i).is_none() {
                self.send(i, Ok(value), 0).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, i: usize, value: Result<f64, Error>, rows: u64) -> Result<(), Error> {
        self.values[i] = value.as_ref().ok().copied();
        self.failed += u32::from(value.is_err());
        let effect = self.values[i]
            .zip(self.baseline)
            .and_then(|(value, (clean, corrupted))| {
                // Inputs that answer alike leave nothing to restore, and 0 / 0 is no effect.
                let effect = (value - corrupted) / (clean - corrupted);
                effect.is_finite().then_some(effect)
            });
        let cell = TraceCell {
            places: self.trace.axes.places(i),
            value,
            effect,
            rows,
        };
        let sent = self.events.send(TraceEvent::Cell(cell)).await;
        sent.map_err(|_| Error::ClientLeft)
    }

    fn finished(self) -> Result<TraceFinished, Error> {
        let trace = self.trace;
        let mut output = blake3::Hasher::new();
        let (clean, corrupted) = self.baseline.ok_or(Error::UnexpectedEvent)?;
        let all = [Some(clean), Some(corrupted)];
        for value in all.iter().chain(&self.values) {
            // One that failed is told from any number.
            output.update(&[u8::from(value.is_some())]);
            output.update(&value.unwrap_or(0.0).to_le_bytes());
        }
        let recorded = RecordedRequest {
            canonical: trace.recorded.clone(),
            sample_key: trace.sample_key.clone(),
            sampling: None,
        };
        let reused = trace.started().rows_naive.saturating_sub(self.cost.rows);
        trace.context.metrics.count_rows(self.cost.rows, reused);
        Ok(TraceFinished {
            cells: self.values.len() as u32,
            failed: self.failed,
            rows_computed: self.cost.rows,
            rows_reused: reused,
            flops: self.cost.flops,
            provenance: recorded.close_with_source(
                (&trace.base, &self.base.prefilled),
                &self.base.measured.effects,
                output.finalize(),
                (&trace.source, &self.source.prefilled),
            ),
        })
    }
}

/// Returns what a run has kept by point, views end to end in their order.
fn kept(plan: &Plan, mut captured: Vec<Captured>) -> Result<Kept, Error> {
    // Views in order, as ranks of rows count them.
    captured.sort_by_key(|rows| (rows.point, rows.view));
    // Passes of other answers keep the same rows again.
    captured.dedup_by_key(|rows| (rows.point, rows.view));
    let mut kept = Kept::new();
    for same in captured.chunk_by(|a, b| a.point == b.point) {
        let parts: Vec<&HostTensor> = same.iter().map(|rows| &rows.value).collect();
        let values = HostTensor::cat(&parts).map_err(model::Error::from)?;
        kept.insert(same[0].point, values);
    }
    match plan.captures.keys().find(|point| !kept.contains_key(point)) {
        Some(point) => Err(Error::Fault(format!("no rows came of {point}"))),
        None => Ok(kept),
    }
}
