//! Sweep: one input under many variants, prepared and run window by window, so that a sweep of any
//! length holds little.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::compile::CompiledRequest;
use super::error::Error;
use super::generate::OutputProcessor;
use super::grid::check_count;
use super::input::PreparedInput;
use super::interventions::Interventions;
use super::output::{GenerateEvent, SweepResult, SweepTotals, VariantOutcome};
use super::request::{SweepInput, SweepRequest, Variants};
use super::runtime::Runtime;
use super::score::Scorer;
use super::submit::Charge;
use crate::engine::{self, Event, Events, Variant};
use crate::field_path::FieldPath;

/// Variants that are planned together: the planner shares rows among those of one window, and its
/// memory grows with them.
const WINDOW: usize = 64;

/// A sweep whose input is prepared.
#[derive(Debug)]
pub struct Sweep {
    input: Arc<PreparedInput>,
    request: SweepRequest,
    begun: Instant,
}

/// One variant, compiled.
struct CompiledVariant {
    compiled: CompiledRequest,
    output: Output,
}

enum Output {
    Generate(OutputProcessor),
    Score(Scorer),
}

type Prepared = Result<(CompiledVariant, Variant), Error>;

impl Runtime {
    /// Checks a sweep and prepares its input.
    pub async fn sweep(&self, request: SweepRequest) -> Result<Sweep, Error> {
        let field = request.input.field().into();
        self.begin_sweep(request, &field).await
    }

    /// Checks a sweep; `field` is the path of its input, which errors put in front.
    async fn begin_sweep(
        &self,
        mut request: SweepRequest,
        field: &FieldPath,
    ) -> Result<Sweep, Error> {
        let begun = Instant::now();
        check_count(request.variants.len())?;
        // Once for all variants; it draws the sampler's seed, which they share.
        request.input.check().map_err(|e| e.within(field))?;
        // A grid whose fields are not there is known by its first variant.
        if let Variants::Grid(grid) = &request.variants {
            grid.check()?;
        }
        let (context, prompt) = (request.input.context(), request.input.prompt());
        let input = self.prepare(context, request.input.model(), prompt).await;
        let input = input.map_err(|e| e.within(field))?;
        if request.patient {
            input.wait_for_room();
        }
        Ok(Sweep {
            input,
            request,
            begun,
        })
    }
}

impl Sweep {
    /// Returns how many variants there are.
    pub fn variants(&self) -> usize {
        self.request.variants.len()
    }

    /// Returns how long ago the sweep began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Runs all variants and sends their results, as they come. Ends early where nobody receives.
    pub async fn run(
        &self,
        runtime: &Runtime,
        results: mpsc::Sender<SweepResult>,
    ) -> Result<SweepTotals, Error> {
        let mut run = SweepRun {
            sweep: self,
            runtime,
            results,
            totals: SweepTotals::default(),
        };
        // Boxed: it holds the futures of two windows.
        Box::pin(run.run()).await?;
        Ok(run.totals)
    }

    /// Compiles some variants, as many at once as there are cores.
    async fn prepare(&self, runtime: &Runtime, window: Range<usize>) -> Vec<Prepared> {
        stream::iter(window.map(|i| self.variant(runtime, i)))
            // In order, which numbers the variants of a window.
            .buffered(runtime.cores)
            .collect()
            .await
    }

    /// Compiles variant `i`: the interventions of the input, then its own.
    async fn variant(&self, runtime: &Runtime, i: usize) -> Prepared {
        let mut interventions = self.request.input.interventions().clone();
        let before = interventions.list().len();
        // Converted here, in its window: a million variants are never all there.
        let own = self.request.variants.get(i);
        // Moved, so that they count as errors of compiling do: behind those of the input.
        interventions.append(own.map_err(|error| error.shifted("interventions", before))?);
        match &self.request.input {
            SweepInput::Generate(request) => {
                let compile = runtime.compile_generate(&self.input, request, interventions);
                let (compiled, variant, output) = compile.await?;
                let output = Output::Generate(output);
                Ok((CompiledVariant { compiled, output }, variant))
            }
            SweepInput::Score(request) => {
                let compile = runtime.compile_score(&self.input, request, interventions);
                let (compiled, variant, scorer) = compile.await?;
                let output = Output::Score(scorer);
                Ok((CompiledVariant { compiled, output }, variant))
            }
        }
    }
}

/// Runs a sweep that is a part of another request, and returns the outcomes of its variants in
/// order.
pub async fn sweep_all(
    runtime: &Runtime,
    request: SweepRequest,
) -> Result<Vec<Result<VariantOutcome, Error>>, Error> {
    // The caller made the input of a request of its own, whose fields it knows.
    let sweep = runtime.begin_sweep(request, &FieldPath::default()).await?;
    let (sender, mut receiver) = mpsc::channel(16);
    let gather = async {
        let mut all = Vec::new();
        while let Some(result) = receiver.recv().await {
            all.push(result);
        }
        all
    };
    let (done, mut all) = tokio::join!(sweep.run(runtime, sender), gather);
    done?;
    // Results come as variants end.
    all.sort_by_key(|result: &SweepResult| result.variant);
    Ok(all.into_iter().map(|result| result.outcome).collect())
}

/// A sweep that runs.
struct SweepRun<'a> {
    sweep: &'a Sweep,
    runtime: &'a Runtime,
    results: mpsc::Sender<SweepResult>,
    totals: SweepTotals,
}

impl SweepRun<'_> {
    /// Runs window after window; the next one is prepared while one runs.
    async fn run(&mut self) -> Result<(), Error> {
        let (sweep, runtime) = (self.sweep, self.runtime);
        let count = sweep.variants();
        let window = |first: usize| first..count.min(first + WINDOW);
        // Compiling is the processors' work and running the device's: neither waits for the other.
        let mut next = sweep.prepare(runtime, window(0)).await;
        // What the windows behind the first measure waits, as they do.
        sweep.input.wait_for_room();
        for first in (0..count).step_by(WINDOW) {
            let prepared = std::mem::take(&mut next);
            let running = Box::pin(self.window(first, prepared));
            // Behind the last window the range is empty.
            let preparing = Box::pin(sweep.prepare(runtime, window(first + WINDOW)));
            let both = async { tokio::join!(running, preparing) };
            let (done, following) = both.await;
            done?;
            next = following;
        }
        Ok(())
    }

    /// Runs a window and sends its results.
    async fn window(&mut self, first: usize, prepared: Vec<Prepared>) -> Result<(), Error> {
        let (mut running, mut variants) = (Vec::new(), Vec::new());
        for (i, prepared) in prepared.into_iter().enumerate() {
            match prepared {
                Ok((own, variant)) => {
                    running.push((first + i, Some(own)));
                    variants.push(variant);
                }
                // A server that goes down fails all variants alike: that is no result.
                Err(error) if error.is_unavailable() => return Err(error),
                // A variant that cannot be compiled is a result among others.
                Err(error) => self.send(first + i, Err(error)).await?,
            }
        }
        let mut left = variants.len();
        if left == 0 {
            return Ok(());
        }
        let (mut events, mut charge) = self.submit(variants, first > 0).await?;
        // Behind admission: what is refused was not applied.
        let admitted = running.iter().filter_map(|(_, own)| own.as_ref());
        admitted.for_each(|own| own.compiled.count());
        while left > 0 {
            let Some(told) = events.recv().await else {
                return Err(Error::EngineStopped);
            };
            // Also of a variant that has ended for the client: its rows are still computed.
            charge.observe(told.variant, &told.event);
            let Some((number, slot)) = running.get_mut(told.variant) else {
                continue;
            };
            // It has ended, by a stop string perhaps, of which the engine does not know.
            let Some(own) = slot else { continue };
            let outcome = match told.event {
                Ok(event) => own.event(event, &mut self.totals).transpose(),
                // What ends one variant so would end all that follow.
                Err(error @ engine::Error::Deadline { .. }) => return Err(error.into()),
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(error) => Some(Err(error.into())),
            };
            if let Some(outcome) = outcome {
                *slot = None;
                left -= 1;
                self.send(*number, outcome).await?;
            }
        }
        Ok(())
    }

    /// Hands a window to the engine; one that has begun waits where the queue is full, or the
    /// minute of its caller's key is used up.
    async fn submit(&self, variants: Vec<Variant>, begun: bool) -> Result<(Events, Charge), Error> {
        let (request, model) = (&self.sweep.request, &self.sweep.input.model);
        let context = request.input.context();
        // The first window is refused where the queue is full, as any request is.
        if begun || request.patient {
            let submitting = self.runtime.submit_patiently(context, model, variants);
            return submitting.await;
        }
        self.runtime.submit_all(context, model, variants)
    }

    async fn send(
        &mut self,
        variant: usize,
        outcome: Result<VariantOutcome, Error>,
    ) -> Result<(), Error> {
        self.totals.variants += 1;
        self.totals.failed += u32::from(outcome.is_err());
        let result = SweepResult {
            variant,
            places: self.sweep.request.variants.places(variant),
            outcome,
        };
        let sent = self.results.send(result).await;
        sent.map_err(|_| Error::ClientLeft)
    }
}

impl CompiledVariant {
    /// Returns the outcome, once the event has come that makes it.
    fn event(
        &mut self,
        event: Event,
        totals: &mut SweepTotals,
    ) -> Result<Option<VariantOutcome>, Error> {
        let (usage, outcome) = match &mut self.output {
            Output::Generate(output) => {
                let mut events = output.event(&self.compiled, event)?.into_iter();
                let finished = events.find_map(|event| match event {
                    GenerateEvent::Finished(finished) => Some(finished),
                    GenerateEvent::Token(_) => None,
                });
                let Some(finished) = finished else {
                    return Ok(None);
                };
                (finished.usage, VariantOutcome::Generated(finished))
            }
            Output::Score(scorer) => {
                let Some(scored) = scorer.event(&self.compiled, event)? else {
                    return Ok(None);
                };
                (scored.usage, VariantOutcome::Scored(scored))
            }
        };
        totals.computed += usage.rows_computed;
        totals.naive += self.compiled.standalone_cost(usage.generation_tokens).rows;
        Ok(Some(outcome))
    }
}

impl SweepInput {
    fn check(&mut self) -> Result<(), Error> {
        match self {
            Self::Generate(request) => request.check(),
            Self::Score(request) => request.check(),
        }
    }

    fn interventions(&self) -> &Interventions {
        match self {
            Self::Generate(request) => &request.interventions,
            Self::Score(request) => &request.interventions,
        }
    }
}

impl Variants {
    fn len(&self) -> usize {
        match self {
            Self::Listed { count, .. } => *count,
            Self::Grid(grid) => grid.len(),
        }
    }

    /// Returns the number of the value of variant `i` along each axis.
    fn places(&self, i: usize) -> Vec<u32> {
        match self {
            Self::Listed { .. } => Vec::new(),
            Self::Grid(grid) => grid.places(i),
        }
    }

    fn get(&self, i: usize) -> Result<Interventions, Error> {
        match self {
            Self::Listed { source, .. } => source(i),
            Self::Grid(grid) => grid.get(i),
        }
    }
}
