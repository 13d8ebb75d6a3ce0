//! Sweep: one input under many variants, prepared and run window by window, so that a sweep of any
//! length holds little.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::{self, Writer};
use super::call::Ready;
use super::prepare::Ground;
use super::rpc::ResponseSender;
use super::score::{self, Scorer};
use super::v1::{self, sweep_request::Input, sweep_response, sweep_result::Outcome};
use super::{Error, State, convert};
use crate::engine::{self, Event, Events, Variant};
use crate::intervention;
use crate::pipeline::RequestContext;

/// Variants that are planned together.
const WINDOW: usize = 64;
const MAX_VARIANTS: usize = 1_000_000;
const MAX_AXES: usize = 8;
/// How long a full queue is left alone.
const PATIENCE: Duration = Duration::from_millis(50);

/// A sweep that has been checked.
pub(super) struct Sweep {
    ground: Arc<Ground>,
    input: Input,
    variants: Variants,
    begun: Instant,
    /// It waits where the queue is full, instead of failing.
    patient: bool,
}

/// What varies.
enum Variants {
    Listed(Vec<v1::SweepVariant>),
    Grid {
        /// The interventions in canonical JSON.
        template: Value,
        axes: Vec<(Vec<Step>, Vec<f64>)>,
    },
}

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// One variant, prepared.
struct Prepared {
    ready: Ready,
    output: Output,
}

enum Output {
    Answer(Writer),
    Scores(Scorer),
}

/// What a sweep came to.
#[derive(Default)]
struct Totals {
    variants: u32,
    failed: u32,
    computed: u64,
    naive: u64,
}

/// Checks a sweep and prepares its input.
pub(super) async fn begin(
    state: &Arc<State>,
    call: &RequestContext,
    request: v1::SweepRequest,
) -> Result<Sweep, Error> {
    let within = |field: &'static str| move |error: Error| error.within(field);
    let (mut input, begun) = (request.input, Instant::now());
    let (prompt, model) = match &mut input {
        Some(Input::Generate(request)) => (
            answer::check(state, request).map_err(within("generate"))?,
            request.model.clone(),
        ),
        Some(Input::Score(request)) => (
            score::check(state, request).map_err(within("score"))?,
            request.model.clone(),
        ),
        None => {
            return Err(Error::invalid(
                "input",
                "unset; generate or score is needed",
            ));
        }
    };
    let Some(input) = input else {
        return Err(Error::invalid(
            "input",
            "unset; generate or score is needed",
        ));
    };
    let variants = match (request.variants.is_empty(), request.grid) {
        (false, None) => Variants::Listed(request.variants),
        (true, Some(grid)) => grid_of(grid)?,
        _ => {
            return Err(Error::invalid(
                "variants",
                "either variants or a grid is needed",
            ));
        }
    };
    let sweep = Sweep {
        ground: state.ground_of(call, &model, prompt).await?,
        input,
        variants,
        begun,
        patient: false,
    };
    if !(1..=MAX_VARIANTS).contains(&sweep.variants.len()) {
        let message = format!(
            "{} variants; 1 to {MAX_VARIANTS} are taken",
            sweep.variants.len()
        );
        return Err(Error::invalid("variants", message));
    }
    // A grid whose fields are not there is known by its first variant.
    sweep.variants.get(0)?;
    Ok(sweep)
}

/// Takes the results of a sweep as they come.
enum Results {
    /// Sends them to the client.
    Client(ResponseSender<v1::SweepResponse>),
    /// Hands them to the request that the sweep is a part of.
    Caller(mpsc::Sender<v1::SweepResult>),
}

impl Results {
    async fn send(&self, result: v1::SweepResult) -> Result<(), Error> {
        match self {
            Self::Client(sender) => {
                let event = Some(sweep_response::Event::Result(result));
                sender.send(v1::SweepResponse { event }).await
            }
            Self::Caller(sender) => sender.send(result).await.map_err(|_| Error::ClientLeft),
        }
    }
}

/// Sends results until the last one.
pub(super) async fn stream(
    state: Arc<State>,
    call: RequestContext,
    sweep: Sweep,
    sender: ResponseSender<v1::SweepResponse>,
) -> Result<(), Error> {
    let message = |event| v1::SweepResponse { event: Some(event) };
    let started = v1::SweepStarted {
        request_id: call.id.clone(),
        variants: sweep.variants.len() as u32,
    };
    let started = sweep_response::Event::Started(started);
    sender.send(message(started)).await?;
    let (mut totals, results) = (Totals::default(), Results::Client(sender.clone()));
    Box::pin(sweep.run(&state, &call, &results, &mut totals)).await?;
    let finished = sweep_response::Event::Finished(v1::SweepFinished {
        variants: totals.variants,
        failed: totals.failed,
        rows_computed: totals.computed,
        rows_naive: totals.naive,
        total_seconds: sweep.begun.elapsed().as_secs_f64(),
    });
    sender.send(message(finished)).await
}

/// Returns all results of a sweep that is a part of another request, variant by variant.
pub(super) async fn whole(
    state: &Arc<State>,
    call: &RequestContext,
    request: v1::SweepRequest,
) -> Result<Vec<v1::SweepResult>, Error> {
    let mut sweep = begin(state, call, request).await?;
    sweep.patient = true;
    let (sender, mut results) = mpsc::channel(16);
    let (mut totals, sender) = (Totals::default(), Results::Caller(sender));
    let run = async {
        let done = Box::pin(sweep.run(state, call, &sender, &mut totals)).await;
        drop(sender);
        done
    };
    let collect = async {
        let mut all = Vec::new();
        while let Some(result) = results.recv().await {
            all.push(result);
        }
        all.sort_by_key(|r: &v1::SweepResult| r.variant);
        all
    };
    let (done, all) = tokio::join!(run, collect);
    done.map(|()| all)
}

impl Sweep {
    /// Window after window; the next one is prepared while one runs.
    async fn run(
        &self,
        state: &Arc<State>,
        call: &RequestContext,
        sender: &Results,
        totals: &mut Totals,
    ) -> Result<(), Error> {
        let count = self.variants.len();
        let window = |first: usize| first..count.min(first + WINDOW);
        let mut next = self.prepare(state, window(0)).await;
        for first in (0..count).step_by(WINDOW) {
            let prepared = std::mem::take(&mut next);
            let running = Box::pin(self.window(state, call, sender, totals, first, prepared));
            let preparing = Box::pin(self.prepare(state, window(first + WINDOW)));
            let (done, following) = tokio::join!(running, preparing);
            done?;
            next = following;
        }
        Ok(())
    }

    /// Compiles some variants, as many at once as there are cores.
    async fn prepare(
        &self,
        state: &Arc<State>,
        window: Range<usize>,
    ) -> Vec<Result<(Prepared, Variant), Error>> {
        stream::iter(window.map(|i| self.one(state, i)))
            .buffered(state.cores)
            .collect()
            .await
    }

    async fn one(&self, state: &Arc<State>, i: usize) -> Result<(Prepared, Variant), Error> {
        let mut own = self.variants.get(i)?;
        convert::draw_open_seeds(&mut own, std::iter::empty(), intervention::fresh_seed);
        match &self.input {
            Input::Generate(input) => {
                let mut request = input.clone();
                request.interventions.append(&mut own);
                let (ready, variant, writer) =
                    answer::prepare(state, &self.ground, request).await?;
                Ok((
                    Prepared {
                        ready,
                        output: Output::Answer(writer),
                    },
                    variant,
                ))
            }
            Input::Score(input) => {
                let mut request = input.clone();
                request.interventions.append(&mut own);
                let (ready, variant, scorer) = score::prepare(state, &self.ground, request).await?;
                Ok((
                    Prepared {
                        ready,
                        output: Output::Scores(scorer),
                    },
                    variant,
                ))
            }
        }
    }

    /// Runs a window and sends its results.
    async fn window(
        &self,
        state: &Arc<State>,
        call: &RequestContext,
        sender: &Results,
        totals: &mut Totals,
        first: usize,
        prepared: Vec<Result<(Prepared, Variant), Error>>,
    ) -> Result<(), Error> {
        let (mut running, mut variants) = (Vec::new(), Vec::new());
        for (i, prepared) in prepared.into_iter().enumerate() {
            match prepared {
                Ok((prepared, variant)) => {
                    prepared.ready.scene.count();
                    running.push((first + i, Some(prepared)));
                    variants.push(variant);
                }
                Err(error @ Error::Engine(engine::Error::Draining)) => return Err(error),
                Err(error) => {
                    self.tell(state, call, sender, totals, first + i, Err(error))
                        .await?
                }
            }
        }
        let mut left = variants.len();
        if left == 0 {
            return Ok(());
        }
        let mut events = self.submit(state, call, variants, first > 0).await?;
        while left > 0 {
            let Some(told) = events.recv().await else {
                return Err(Error::EngineStopped);
            };
            let Some((number, slot)) = running.get_mut(told.variant) else {
                continue;
            };
            let Some(prepared) = slot else { continue };
            // What ends one variant so would end all that follow.
            if let Err(error @ (engine::Error::Deadline { .. } | engine::Error::Draining)) =
                told.event
            {
                return Err(error.into());
            }
            let outcome = match told.event {
                Ok(event) => prepared.event(event, totals).transpose(),
                Err(error) => Some(Err(error.into())),
            };
            if let Some(outcome) = outcome {
                *slot = None;
                left -= 1;
                self.tell(state, call, sender, totals, *number, outcome)
                    .await?;
            }
        }
        Ok(())
    }

    /// Hands a window to the engine; one that has begun waits where the queue is full.
    async fn submit(
        &self,
        state: &State,
        call: &RequestContext,
        variants: Vec<Variant>,
        begun: bool,
    ) -> Result<Events, Error> {
        let engine = state.engine(&self.ground.model);
        while (begun || self.patient) && !engine.has_room() {
            tokio::time::sleep(PATIENCE).await;
        }
        let (model, client, deadline) = (
            self.ground.model.clone(),
            call.client.clone(),
            call.deadline,
        );
        Ok(engine.submit(engine::Request {
            model,
            client,
            variants,
            deadline,
        })?)
    }

    async fn tell(
        &self,
        state: &State,
        call: &RequestContext,
        sender: &Results,
        totals: &mut Totals,
        variant: usize,
        outcome: Result<Outcome, Error>,
    ) -> Result<(), Error> {
        let outcome = outcome.unwrap_or_else(|error| {
            totals.failed += 1;
            Outcome::Error(error.in_sweep(&call.id, state.retry_after()))
        });
        totals.variants += 1;
        let places = self.variants.places(variant);
        let result = v1::SweepResult {
            variant: variant as u32,
            places,
            outcome: Some(outcome),
        };
        sender.send(result).await
    }
}

impl Prepared {
    /// The outcome, once the event has come that makes it.
    fn event(&mut self, event: Event, totals: &mut Totals) -> Result<Option<Outcome>, Error> {
        let outcome = match &mut self.output {
            Output::Answer(writer) => {
                let finished = writer
                    .event(&self.ready, event)?
                    .into_iter()
                    .find_map(|event| match event {
                        v1::generate_response::Event::Finished(finished) => Some(finished),
                        _ => None,
                    });
                finished.map(|f| (f.usage, Outcome::Generated(f)))
            }
            Output::Scores(scorer) => scorer
                .event(&self.ready, event)?
                .map(|response| (response.usage, Outcome::Scored(response))),
        };
        Ok(outcome.map(|(usage, outcome)| {
            let usage = usage.unwrap_or_default();
            totals.computed += usage.rows_computed;
            totals.naive += self.ready.naive_rows(usage.generation_tokens as usize);
            outcome
        }))
    }
}

impl Variants {
    fn len(&self) -> usize {
        match self {
            Self::Listed(listed) => listed.len(),
            Self::Grid { axes, .. } => axes
                .iter()
                .fold(1, |n, (_, values)| n.saturating_mul(values.len())),
        }
    }

    /// The number of the value of variant `i` along each axis.
    fn places(&self, mut i: usize) -> Vec<u32> {
        let Self::Grid { axes, .. } = self else {
            return Vec::new();
        };
        let mut places = vec![0; axes.len()];
        for (place, (_, values)) in places.iter_mut().zip(axes).rev() {
            *place = (i % values.len()) as u32;
            i /= values.len();
        }
        places
    }

    /// The interventions of variant `i`.
    fn get(&self, i: usize) -> Result<Vec<v1::Intervention>, Error> {
        match self {
            Self::Listed(listed) => Ok(listed
                .get(i)
                .map(|v| v.interventions.clone())
                .unwrap_or_default()),
            Self::Grid { template, axes } => {
                let mut json = template.clone();
                for (number, ((path, values), place)) in axes.iter().zip(self.places(i)).enumerate()
                {
                    let field = format!("grid.axes[{number}].field");
                    let value = values[place as usize];
                    let node = walk(&mut json, path).ok_or_else(|| {
                        Error::invalid(
                            &field,
                            "no such field in the grid's interventions, or an index too far",
                        )
                    })?;
                    *node = if value.fract() == 0.0 {
                        Value::from(value as i64)
                    } else {
                        Value::from(value)
                    };
                }
                serde_json::from_value(json["interventions"].take()).map_err(|e| {
                    Error::invalid("grid.axes", format!("{e}, with the values of variant {i}"))
                })
            }
        }
    }
}

/// The place that `path` names; lists grow by one where it says so, and messages by any field.
fn walk<'a>(json: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    let mut node = json;
    for step in path {
        node = match step {
            Step::Key(key) => {
                if node.is_null() {
                    *node = Value::Object(serde_json::Map::new());
                }
                node.as_object_mut()?
                    .entry(key.clone())
                    .or_insert(Value::Null)
            }
            Step::Index(index) => {
                if node.is_null() {
                    *node = Value::Array(Vec::new());
                }
                let list = node.as_array_mut()?;
                if *index == list.len() {
                    list.push(Value::Null);
                }
                list.get_mut(*index)?
            }
        };
    }
    Some(node)
}

fn grid_of(grid: v1::SweepGrid) -> Result<Variants, Error> {
    if !(1..=MAX_AXES).contains(&grid.axes.len()) {
        let message = format!("{} axes; 1 to {MAX_AXES} are taken", grid.axes.len());
        return Err(Error::invalid("grid.axes", message));
    }
    let mut axes = Vec::with_capacity(grid.axes.len());
    for (i, axis) in grid.axes.iter().enumerate() {
        let field = |name: &str| format!("grid.axes[{i}].{name}");
        let path = steps(&axis.field)
            .filter(|path| {
                path.first() == Some(&Step::Key("interventions".into())) && path.len() > 2
            })
            .ok_or_else(|| {
                let message = format!(
                    "{:?}; a path such as interventions[0].drop_layers.layers[0] is needed",
                    axis.field
                );
                Error::invalid(field("field"), message)
            })?;
        let values = match &axis.values {
            Some(v1::sweep_axis::Values::Range(range)) => spread(range, &field("range"))?,
            Some(v1::sweep_axis::Values::Numbers(numbers)) => numbers.values.clone(),
            None => Vec::new(),
        };
        if values.is_empty() || values.len() > MAX_VARIANTS || values.iter().any(|v| !v.is_finite())
        {
            let message = format!(
                "{} values; 1 to {MAX_VARIANTS}, all finite, are needed",
                values.len()
            );
            return Err(Error::invalid(field("values"), message));
        }
        axes.push((path, values));
    }
    let interventions =
        serde_json::to_value(&grid.interventions).map_err(|e| Error::Fault(e.to_string()))?;
    Ok(Variants::Grid {
        template: serde_json::json!({ "interventions": interventions }),
        axes,
    })
}

/// The numbers of a range; its ends are met however its step is rounded.
fn spread(range: &v1::SweepRange, field: &str) -> Result<Vec<f64>, Error> {
    let step = if range.step == 0.0 { 1.0 } else { range.step };
    let count = ((range.last - range.first) / step + 1e-9).floor();
    if !(step > 0.0 && (0.0..MAX_VARIANTS as f64).contains(&count)) {
        let message = format!(
            "{} to {} by {step}; first <= last and a step above 0 are needed",
            range.first, range.last
        );
        return Err(Error::invalid(field, message));
    }
    // 0.1 + 2 * 0.1 is to be 0.3.
    let rounded = |v: f64| (v * 1e12).round() / 1e12;
    Ok((0..=count as usize)
        .map(|i| rounded(range.first + i as f64 * step))
        .collect())
}

/// `interventions[0].drop_layers.layers[0]`, step by step, as canonical JSON spells its fields.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        let name = pieces.next().filter(|name| !name.is_empty())?;
        steps.push(Step::Key(camel(name)));
        for index in pieces {
            steps.push(Step::Index(index.strip_suffix(']')?.parse().ok()?));
        }
    }
    Some(steps)
}

/// `drop_layers` as `dropLayers`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let mut letters = word.chars();
        let capital = letters.next().map(|c| c.to_ascii_uppercase());
        all + &capital.into_iter().chain(letters).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_walked_and_ranges_meet_their_ends() {
        let path = steps("interventions[0].drop_layers.layers[0]").unwrap();
        let mut json = serde_json::json!({"interventions": [{}]});
        *walk(&mut json, &path).unwrap() = Value::from(3);
        assert_eq!(
            json,
            serde_json::json!({"interventions": [{"dropLayers": {"layers": [3]}}]})
        );
        assert!(walk(&mut json, &steps("interventions[2].scale.factor").unwrap()).is_none());
        assert!(steps("interventions[x]").is_none() && steps("..").is_none());
        let range = v1::SweepRange {
            first: 0.1,
            last: 0.9,
            step: 0.1,
        };
        assert_eq!(
            spread(&range, "").unwrap(),
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        );
        assert!(
            spread(
                &v1::SweepRange {
                    first: 1.0,
                    last: 0.0,
                    step: 1.0
                },
                ""
            )
            .is_err()
        );
        assert!(
            spread(
                &v1::SweepRange {
                    first: 0.0,
                    last: 1.0,
                    step: 1e-12
                },
                ""
            )
            .is_err()
        );
    }
}
