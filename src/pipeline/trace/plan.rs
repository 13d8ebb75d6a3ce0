//! Plans a trace: inputs prepared, the grid resolved on both, the work counted before any of it is
//! done.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::axes::{Axes, Labelled};
use super::cells::Cells;
use super::output::TraceStarted;
use super::path::Path;
use super::request::{Direction, TraceRequest};
use crate::engine::{self, Cost, Engine, Measure, Task, Variant};
use crate::intervention::{
    Capture, Context, EffectLog, Grid, GridSpec, MAX_CELLS, Plan, Reduction, Rows, compile_grid,
    fresh_seed, grid_needs,
};
use crate::model::Model;
use crate::nn::{Point, Stack};
use crate::pipeline::budget::Reservation;
use crate::pipeline::compile::CompiledRequest;
use crate::pipeline::error::Error;
use crate::pipeline::input::PreparedInput;
use crate::pipeline::interventions::Interventions;
use crate::pipeline::measure::Measurements;
use crate::pipeline::metric::AnswerMetric;
use crate::pipeline::request_context::RequestContext;
use crate::pipeline::runtime::Runtime;
use crate::pipeline::turns::Price;

/// Cells that are planned together, behind one unpatched run.
pub(super) const WINDOW: usize = 256;
/// The same of a path: what each cell's receiver gets is held until the window is done.
pub(super) const PATH_WINDOW: usize = 32;
/// Bytes of a number that is held.
const HELD_BYTES: usize = size_of::<f32>();

/// A trace that is planned.
#[derive(Debug)]
pub struct Trace {
    pub(super) context: RequestContext,
    pub(super) model: Arc<Model>,
    pub(super) metric: AnswerMetric,
    pub(super) direction: Direction,
    pub(super) base: CompiledRequest,
    pub(super) source: CompiledRequest,
    pub(super) source_run: Variant,
    /// Tokens of the metric's answers.
    pub(super) answers: Vec<Vec<u32>>,
    pub(super) axes: Axes,
    pub(super) cells: Cells,
    pub(super) path: Option<Path>,
    /// Cells that are computed, in order.
    pub(super) live: Vec<usize>,
    /// The effects of compiling, each for the first run of its input.
    pub(super) observed: std::sync::Mutex<[Option<EffectLog>; 2]>,
    started: TraceStarted,
    pub(super) recorded: String,
    pub(super) sample_key: String,
    begun: Instant,
    /// Counts the activations that are held while it runs.
    _held: Reservation,
}

/// One input, compiled.
struct Side {
    name: &'static str,
    compiled: CompiledRequest,
    answers: Vec<Vec<u32>>,
    grid: Grid,
}

impl Side {
    fn labelled(&self) -> Labelled<'_> {
        Labelled {
            name: self.name,
            grid: self.grid.clone(),
            ids: &self.compiled.prompt.ids,
        }
    }
}

/// Holds what planning makes of two sides.
struct Planned {
    base: CompiledRequest,
    source: CompiledRequest,
    source_run: Variant,
    axes: Axes,
    cells: Cells,
    path: Option<Path>,
    live: Vec<usize>,
    observed: [Option<EffectLog>; 2],
    started: TraceStarted,
    /// Bytes of activations that it holds.
    held: u64,
}

impl Runtime {
    /// Checks a trace, prepares its inputs and counts its work.
    pub async fn trace(&self, request: TraceRequest) -> Result<Trace, Error> {
        let begun = Instant::now();
        request.metric.check()?;
        let [clean, corrupted] = self.sides(&request).await?;
        // One set of tokens is measured behind both prompts, or the metric would compare two
        // things.
        if clean.answers != corrupted.answers {
            let message = "its tokens differ behind the two prompts; begin the answer with a \
                           space, or end both prompts alike";
            return Err(Error::invalid("metric", message));
        }
        let recorded = request.canonical(
            &clean.compiled.input.image_digests,
            &corrupted.compiled.input.image_digests,
        );
        let answers = clean.answers.clone();
        let (base, source) = match request.direction {
            Direction::Denoise => (corrupted, clean),
            Direction::Noise => (clean, corrupted),
        };
        let planner = Planner {
            engine: self.engine(&request.model).clone(),
            model: request.model.clone(),
            context: request.context.clone(),
            metric: request.metric.clone(),
            answers: answers.clone(),
            via: request.path,
            base_is_clean: request.direction == Direction::Noise,
            limit: self.limits.capture_bytes,
        };
        let client = &request.context.client;
        // Before words are joined, which are fewer than their tokens; more cells than a grid may
        // have are refused by a count.
        let cells = base.grid.cells().min(MAX_CELLS);
        let price = Price::of_cells(cells, base.compiled.prompt.ids.len());
        let work = move || planner.plan(base, source);
        let planned = self.turns.run(client, price, work).await?;
        // Reserved for the whole run: the rows of the source serve every window.
        let held = self.unread.reserve(client, planned.held)?;
        Ok(Trace {
            base: planned.base,
            source: planned.source,
            source_run: planned.source_run,
            axes: planned.axes,
            cells: planned.cells,
            path: planned.path,
            live: planned.live,
            observed: std::sync::Mutex::new(planned.observed),
            started: planned.started,
            context: request.context,
            model: request.model,
            metric: request.metric,
            direction: request.direction,
            answers,
            recorded,
            sample_key: request.sample_key,
            begun,
            _held: held,
        })
    }

    /// Prepares and compiles the clean and the corrupted input.
    async fn sides(&self, request: &TraceRequest) -> Result<[Side; 2], Error> {
        let Some(prompt) = &request.clean.prompt else {
            return Err(Error::invalid("clean.prompt", "unset"));
        };
        let (clean, corrupted) = (&request.clean, &request.corrupted);
        let is_bare = |list: &Interventions| list.list().is_empty();
        if corrupted.prompt.is_none()
            && is_bare(&corrupted.interventions)
            && is_bare(&clean.interventions)
        {
            let message = "unset, so that both inputs are the same; give it a prompt, or \
                           interventions that corrupt the clean one";
            return Err(Error::invalid("corrupted", message));
        }
        let mut context = request.context.clone();
        let own = self.prepare(&context, &request.model, prompt).await;
        let own = own.map_err(|e| e.within("clean"))?;
        let other = match &corrupted.prompt {
            Some(prompt) => {
                // Both templates are told one time, or a replay would not know which.
                context.time = context.time.or(own.text.time);
                let other = self.prepare(&context, &request.model, prompt).await;
                other.map_err(|e| e.within("corrupted"))?
            }
            // The same prepared input: its pictures are decoded once, and what it has measured is
            // shared.
            None => own.clone(),
        };
        let clean = self.side("clean", &own, &clean.interventions, request);
        // Boxed, or the future of a trace would hold those of both sides.
        let clean = Box::pin(clean).await?;
        let corrupted = self.side("corrupted", &other, &corrupted.interventions, request);
        Ok([clean, Box::pin(corrupted).await?])
    }

    async fn side(
        &self,
        name: &'static str,
        input: &Arc<PreparedInput>,
        interventions: &Interventions,
        request: &TraceRequest,
    ) -> Result<Side, Error> {
        let key = &request.sample_key;
        let compile = self.compile(input, interventions.clone(), Vec::new(), key);
        let compiled = compile.await.map_err(|e| e.within(name))?;
        let (compiled, answers) = self.answers(compiled, &request.metric).await?;
        let grid = self
            .resolve(input, interventions, &request.grid, key)
            .await?;
        Ok(Side {
            name,
            compiled,
            answers,
            grid,
        })
    }

    /// Resolves a grid on an input.
    async fn resolve(
        &self,
        input: &Arc<PreparedInput>,
        interventions: &Interventions,
        spec: &GridSpec,
        sample_key: &str,
    ) -> Result<Grid, Error> {
        let needs = grid_needs(interventions.list(), spec);
        let measured = if needs.is_empty() {
            Measurements::default()
        } else {
            self.measure(input, &needs).await?
        };
        let (own, list, spec) = (input.clone(), interventions.clone(), spec.clone());
        let sample_key = sample_key.to_owned();
        self.turns
            .run(&input.context.client, Price::BASE, move || {
                let context = Context {
                    model: &own.model,
                    images: &own.images,
                    prompt: own.words.as_ref().map(|(_, words)| words.as_slice()),
                    sample_key: &sample_key,
                    saliency: &measured.saliency,
                    rows: &measured.rows,
                    saliency_digests: &measured.saliency_digests,
                    donors: &measured.donors,
                    activations: &measured.activations,
                };
                Ok(compile_grid(list.list(), &spec, &context)?)
            })
            .await
    }
}

/// Counts the work of a trace; blocks.
struct Planner {
    engine: Engine,
    model: Arc<Model>,
    context: RequestContext,
    metric: AnswerMetric,
    answers: Vec<Vec<u32>>,
    via: Option<super::request::TracePath>,
    base_is_clean: bool,
    /// Most bytes of activations.
    limit: u64,
}

impl Planner {
    fn plan(&self, base: Side, source: Side) -> Result<Planned, Error> {
        let layers = self.model.decoder.config().num_hidden_layers;
        check_whole(&base, &source)?;
        // Of the run that is patched, which is the one that receives.
        let receiver = base.grid.receiver.clone();
        let axes = Axes::of(&self.model, base.labelled(), source.labelled())?;
        let measure = || Task::Measure(self.measure(false));
        let (base, mut base_run) = base.compiled.schedule(measure());
        let (source, mut source_run) = source.compiled.schedule(measure());
        // Taken out, since each input has many runs and its effects are told once.
        let observed =
            [&mut base_run, &mut source_run].map(|r| Some(std::mem::take(&mut r.observed)));
        let stack = axes.points[0].point.stack;
        let dirty = self.dirty(&base_run, &source_run)?;
        let path = self.path(receiver, stack, layers)?;
        let layers = if stack == Stack::VisionTower {
            self.model.tower.info().layers_run()
        } else {
            layers
        };
        let cells = Cells::new(
            base_run,
            &source_run.plan,
            stack,
            layers,
            dirty,
            // Tells this trace from all others: its cells share rows with each other alone.
            fresh_seed(),
        );
        if path.is_some() && !cells.is_plain() {
            let message = "path patching needs every layer to run once, in order, with all tokens; \
                           leave out what drops or repeats layers, or prunes";
            return Err(Error::invalid("path", message));
        }
        let held = self.check_volume(&axes, path.as_ref(), base.prompt.ids.len())?;
        // Behind `dirty`: a run that captures shares nothing, and the planner could not compare it.
        source_run.plan = capturing(&cells, &axes, &source_run.plan);
        let live = live(&cells, &axes, path.as_ref());
        let planned = Planned {
            started: TraceStarted::default(),
            base,
            source,
            source_run,
            axes,
            cells,
            path,
            live,
            observed,
            held,
        };
        let started = self.count(&planned)?;
        Ok(Planned { started, ..planned })
    }

    fn measure(&self, keeps: bool) -> Measure {
        self.metric.measure(&self.answers, None, keeps)
    }

    /// Returns the cells of the language model in which two runs may differ.
    fn dirty(
        &self,
        base: &Variant,
        source: &Variant,
    ) -> Result<Option<engine::reuse::Rectangle>, Error> {
        // Nothing is measured: the question is where the inputs differ.
        let bare = |run: &Variant| like(run, run.plan.clone(), Measure::default());
        // As two variants of one request: how they differ is what the planner finds out anyway.
        let request = self.request(vec![bare(base), bare(source)]);
        Ok(self.engine.plan(request)?.dirty(1))
    }

    fn path(
        &self,
        receiver: Option<crate::intervention::Receiver>,
        stack: Stack,
        layers: usize,
    ) -> Result<Option<Path>, Error> {
        let (Some(receiver), Some(path)) = (receiver, self.via) else {
            return Ok(None);
        };
        if stack != Stack::LanguageModel {
            let message = "a path begins in the language model; choose points there";
            return Err(Error::invalid("grid.points", message));
        }
        Ok(Some(Path::new(receiver, path.via, layers)))
    }

    /// Returns the bytes of activations that are held; fails where they are more than may be.
    fn check_volume(&self, axes: &Axes, path: Option<&Path>, prompt: usize) -> Result<u64, Error> {
        let numbers = axes
            .points
            .iter()
            .map(|point| point.shape.numbers())
            .sum::<usize>();
        let layers = axes.layers.len().max(1);
        let mut total = numbers
            .saturating_mul(layers)
            .saturating_mul(axes.source_rows.count());
        if let Some(path) = path {
            let config = self.model.decoder.config();
            let width = config.hidden_size.max(config.intermediate_size);
            // What each cell of a window has received, beside what is held for all of them.
            let received = path.volume().saturating_mul(PATH_WINDOW);
            let held = path.held().len().saturating_mul(prompt);
            total = total.saturating_add(received.saturating_add(held).saturating_mul(width));
        }
        let needed = total.saturating_mul(HELD_BYTES) as u64;
        if needed > self.limit {
            return Err(Error::CaptureBudget {
                field: "grid".into(),
                needed,
                limit: self.limit,
            });
        }
        Ok(needed)
    }

    /// Counts the rows and operations of all that will run.
    fn count(&self, planned: &Planned) -> Result<TraceStarted, Error> {
        let Planned {
            base,
            source_run,
            axes,
            cells,
            path,
            live,
            ..
        } = planned;
        // Pictures that an earlier run of the trace has encoded cost nothing again.
        let mut seen = HashSet::new();
        let mut cost = Cost::default();
        let planned = |variants| self.engine.plan(self.request(variants));
        let mut add = |variants| planned(variants).map(|p| cost += p.cost(&mut seen));
        // In the order of `TraceRun::run`, so that the same run pays for the same pictures.
        if self.metric.compares() && self.base_is_clean {
            add(vec![cells.unpatched(self.measure(true))])?;
        }
        add(vec![like(
            source_run,
            source_run.plan.clone(),
            self.measure(true),
        )])?;
        if let Some(path) = path {
            let plan = holding(cells, path);
            add(vec![cells.variant(&[], plan, Measure::default())])?;
        }
        let window = if path.is_some() { PATH_WINDOW } else { WINDOW };
        // One window at least: its first run is the unpatched one.
        for w in 0..live.len().div_ceil(window).max(1) {
            let of_window = &live[(w * window).min(live.len())..((w + 1) * window).min(live.len())];
            // In front, as the run that all cells of the window start from.
            let mut variants = vec![cells.unpatched(self.measure(w == 0))];
            for &i in of_window {
                let sender = cells.write(axes, i);
                let writes = match path {
                    Some(path) => path.writes(cells, axes, i, &sender),
                    None => vec![sender],
                };
                variants.push(cells.planned(&writes, self.measure(false)));
            }
            add(variants)?;
        }
        if path.is_some() {
            // The sender's run is not shared: its rows are kept on the way. Its pictures are those
            // of the unpatched run.
            let one = Cost::of_prompt(&self.model, cells.plan(), &[], base.prompt.ids.len(), &[0]);
            cost += one.times(live.len() as u64);
        }
        Ok(TraceStarted {
            cells: axes.cells(),
            unchanged: axes.cells() - live.len(),
            rows: cost.rows,
            rows_naive: (base.standalone_cost(0).rows).saturating_mul(axes.cells() as u64),
            flops: cost.flops,
        })
    }

    fn request(&self, variants: Vec<Variant>) -> engine::Request {
        engine::Request {
            model: self.model.clone(),
            client: self.context.client.clone(),
            variants,
            deadline: self.context.deadline.clone(),
        }
    }
}

/// Fails where a run has no rows at some place of the grid, or several values.
fn check_whole(base: &Side, source: &Side) -> Result<(), Error> {
    for side in [base, source] {
        let plan = &side.compiled.plan;
        let is_repeated = plan.paths.values().any(|path| {
            let mut layers = path.to_vec();
            layers.sort_unstable();
            layers.windows(2).any(|pair| pair[0] == pair[1])
        });
        if is_repeated || !plan.prunes.is_empty() {
            let message = "prune_tokens and repeat_layers leave a token without a value in some \
                           layer, or with two; a trace takes neither";
            return Err(Error::invalid(
                format!("{}.interventions", side.name),
                message,
            ));
        }
    }
    if base.grid.layers != source.grid.layers {
        let message = format!(
            "other layers run in the {} input than in the {} one; name some that run in both",
            base.name, source.name
        );
        return Err(Error::invalid("grid.layers", message));
    }
    Ok(())
}

/// Returns the cells that have to be computed.
fn live(cells: &Cells, axes: &Axes, path: Option<&Path>) -> Vec<usize> {
    (0..axes.cells())
        // Along a path only what the receiver comes after can reach it.
        .filter(|&i| {
            path.is_none_or(|path| {
                !path.behind(axes.point(i)).is_empty() && path.received_rows(axes, i).count() > 0
            })
        })
        .filter(|&i| !cells.is_unchanged(axes, i))
        .collect()
}

/// Returns a run with another plan and task, without effects of compiling.
pub(super) fn like(run: &Variant, plan: Arc<Plan>, measure: Measure) -> Variant {
    Variant {
        plan,
        edit_keys: run.edit_keys.clone(),
        observed: EffectLog::default(),
        pixels: run.pixels.clone(),
        images: run.images.clone(),
        prompt: run.prompt.clone(),
        task: Task::Measure(measure),
    }
}

/// Returns the plan of the source with all that cells write kept.
fn capturing(cells: &Cells, axes: &Axes, source: &Plan) -> Arc<Plan> {
    let mut plan = source.clone();
    let per_cell = axes.positions.len() * axes.heads.len().max(1);
    // A point and layer at a time: cells that differ in position or head read the same rows.
    let points = (0..axes.points.len() * axes.layers.len().max(1))
        .map(|i| cells.written_at(axes.point(i * per_cell)));
    keep(&mut plan, points, &axes.source_rows);
    Arc::new(plan)
}

/// Returns the plan of the unpatched run with all that a path holds kept.
pub(super) fn holding(cells: &Cells, path: &Path) -> Arc<Plan> {
    let mut plan = Plan::clone(cells.plan());
    keep(&mut plan, path.held().into_iter(), &path.all_rows());
    Arc::new(plan)
}

fn keep(plan: &mut Plan, points: impl Iterator<Item = Point>, rows: &Arc<Rows>) {
    for (target, point) in points.enumerate() {
        // A point that two names come to is kept once.
        plan.captures.entry(point).or_insert_with(|| {
            vec![Capture {
                target,
                rows: rows.clone(),
                heads: None,
                reduction: Reduction::None,
            }]
        });
    }
}

impl Trace {
    /// Returns its axes.
    pub fn axes(&self) -> &Axes {
        &self.axes
    }

    /// Returns what it will take.
    pub fn started(&self) -> TraceStarted {
        self.started
    }

    /// Returns how long ago it began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}
