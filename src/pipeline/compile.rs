//! A request on its prepared input: interventions compiled, pictures altered.

use std::sync::Arc;

use metrics::counter;

use super::error::Error;
use super::input::PreparedInput;
use super::interventions::Interventions;
use super::measure::Measurements;
use super::output::{Started, Usage};
use super::runtime::Runtime;
use super::turns::Price;
use crate::engine::{Cost, Task, Timing, Variant};
use crate::intervention::{
    self, CaptureTarget, Context, EditKeys, Effect, EffectLog, Plan, Volume, picture_work,
};
use crate::model::{self, ImageTokens, Model, Pixels, Prompt};
use crate::telemetry::names;
use crate::vision::Picture;

/// Bounds the interventions of one request.
pub const MAX_INTERVENTIONS: usize = 64;

/// A request that is checked and compiled.
#[derive(Debug)]
pub struct CompiledRequest {
    /// The input that it was compiled against.
    pub(super) input: Arc<PreparedInput>,
    /// The interventions as asked, every seed filled in.
    pub(super) interventions: Interventions,
    /// The plan that they compile to.
    pub(super) plan: Arc<Plan>,
    /// The pictures as the image interventions leave them.
    pub(super) pictures: Vec<Picture>,
    /// The effects of the image interventions; the engine takes them over.
    pub(super) observed: EffectLog,
    /// The views of the pictures; the engine takes them over.
    pixels: Vec<Pixels>,
    /// BLAKE3 of these.
    pub(super) pixels_digests: Vec<blake3::Hash>,
    /// The keys that the engine compares plans by; it takes them over.
    edit_keys: EditKeys,
    /// The prompt as the language model reads it; empty in a preview.
    pub(super) prompt: Prompt,
    /// Positions that the context has left for an answer; 0 in a preview.
    pub(super) room: usize,
    /// The count of numbers that each capture comes to.
    pub(super) volumes: Vec<Volume>,
    /// Lengths of the continuations; an answer is one of 0.
    continuations: Vec<usize>,
}

impl Runtime {
    /// Compiles interventions and alters pictures.
    pub(super) async fn compile(
        &self,
        input: &Arc<PreparedInput>,
        interventions: Interventions,
        captures: Vec<CaptureTarget>,
        sample_key: &str,
    ) -> Result<CompiledRequest, Error> {
        let _stage = input.context.metrics.stage("compile");
        let count = interventions.list().len();
        // Messages were checked; but a sweep adds those of a variant to those of its input.
        if count > MAX_INTERVENTIONS {
            let message = format!("{count} interventions; at most {MAX_INTERVENTIONS} are taken");
            return Err(Error::invalid("interventions", message));
        }
        // Compiling blocks a thread and must not wait for the engine, which measuring does.
        let needs = intervention::needs(interventions.list(), &captures);
        let measured = if needs.is_empty() {
            Measurements::default()
        } else {
            self.measure(input, &needs).await?
        };
        let pixels = input.pictures.iter().map(Picture::pixels);
        let price = Price::of_operations(picture_work(interventions.list(), pixels));
        // Owned, since the work goes on where the caller has left.
        let (own, sample_key) = (input.clone(), sample_key.to_owned());
        let work = move || compile(own, interventions, &captures, &measured, &sample_key);
        let client = &input.context.client;
        self.turns.run(client, price, work).await
    }
}

/// Compiles interventions to a plan, and alters the pictures as it says.
fn compile(
    input: Arc<PreparedInput>,
    interventions: Interventions,
    captures: &[CaptureTarget],
    measured: &Measurements,
    sample_key: &str,
) -> Result<CompiledRequest, Error> {
    let (model, words) = (&input.model, input.words.as_ref());
    let context = Context {
        model,
        images: &input.images,
        prompt: words.map(|(_, words)| words.as_slice()),
        sample_key,
        saliency: &measured.saliency,
        rows: &measured.rows,
        saliency_digests: &measured.saliency_digests,
        donors: &measured.donors,
        activations: &measured.activations,
    };
    let (plan, volumes) = intervention::compile_with(interventions.list(), captures, &context)?;
    // A copy: other variants share the input, each with edits of its own.
    let mut pictures = input.pictures.clone();
    let observed = plan.edit_images(&mut pictures, &model.processor);
    // Hashed here, on the pool: operations may hold tensors.
    let edit_keys = plan.edit_keys().map_err(model::Error::from)?;
    // Most plans leave the pictures alone, and a tensor is shared, not copied.
    let pixels = if plan.image_edits.is_empty() {
        input.pixels.clone()
    } else {
        pixels(model, &pictures)?
    };
    let ids = words.map(|(ids, _)| ids.as_slice()).unwrap_or_default();
    let prompt = model.expand(ids, &plan.images);
    let room = match words {
        Some(_) => room(model, &prompt)?,
        None => 0,
    };
    Ok(CompiledRequest {
        pixels_digests: pixels.iter().map(|p| p.digest).collect(),
        edit_keys,
        prompt,
        room,
        plan: Arc::new(plan),
        interventions,
        pictures,
        observed,
        pixels,
        volumes,
        continuations: Vec::new(),
        input,
    })
}

/// Returns the views of edited pictures as the tower takes them.
fn pixels(model: &Model, pictures: &[Picture]) -> Result<Vec<Pixels>, model::Error> {
    let views = |picture| Ok(Pixels::new(model.pixels(picture)?)?);
    pictures.iter().map(views).collect()
}

/// Returns the positions that the context has left for an answer; fails where there is none.
fn room(model: &Model, prompt: &Prompt) -> Result<usize, Error> {
    let context = model.decoder.config().max_position_embeddings;
    // Not the number of tokens: those that were removed may leave their positions behind.
    let positions = prompt.next as usize;
    if prompt.ids.is_empty() {
        return Err(Error::invalid(
            "prompt",
            "no token is left of it; at least one is needed",
        ));
    }
    if positions >= context {
        let message = format!(
            "{positions} positions; the context holds {context}, and the answer needs at least \
             one of them"
        );
        return Err(Error::invalid("prompt", message));
    }
    Ok(context - positions)
}

impl CompiledRequest {
    /// Splits off the part that the engine runs, which is to do `task`.
    pub(super) fn schedule(mut self, task: Task) -> (Self, Variant) {
        // Lengths alone: the price of a request asks for no more of them.
        self.continuations = match &task {
            Task::Generate { .. } => vec![0],
            Task::Score(continuations) => continuations.iter().map(Vec::len).collect(),
            Task::Measure(measure) if measure.answers.is_empty() => vec![0],
            Task::Measure(measure) => measure.answers.iter().map(Vec::len).collect(),
        };
        let variant = Variant {
            plan: self.plan.clone(),
            // Taken, and not cloned: the rest of the request has no use for them.
            edit_keys: std::mem::take(&mut self.edit_keys),
            observed: std::mem::take(&mut self.observed),
            pixels: std::mem::take(&mut self.pixels),
            images: self.input.images.clone(),
            prompt: self.prompt.clone(),
            task,
        };
        (self, variant)
    }

    /// Returns the views of the pictures, until the engine takes them over.
    pub(super) fn pixels(&self) -> &[Pixels] {
        &self.pixels
    }

    /// Returns what its prompt and continuations take.
    fn cost(&self) -> Cost {
        self.cost_of(&self.plan, self.prompt.ids.len())
    }

    /// Returns what a prompt of `prompt` tokens and the continuations take under `plan`.
    fn cost_of(&self, plan: &Plan, prompt: usize) -> Cost {
        let (model, images) = (&self.input.model, &self.input.images);
        Cost::of_prompt(model, plan, images, prompt, &self.continuations)
    }

    /// Returns how many visual tokens the language model reads.
    fn image_tokens(&self) -> usize {
        self.plan.images.iter().map(ImageTokens::len).sum()
    }

    /// Counts the interventions of a request that runs.
    pub(super) fn count(&self) {
        for intervention in self.interventions.list() {
            counter!(names::INTERVENTIONS_APPLIED, "kind" => intervention.name()).increment(1);
        }
        counter!(names::PROMPT_TOKENS).increment(self.prompt.ids.len() as u64);
        counter!(names::IMAGE_TOKENS).increment(self.image_tokens() as u64);
    }

    /// Returns the first thing that is said of an admitted request.
    pub(super) fn started(&self) -> Started {
        Started {
            prompt_tokens: self.prompt.ids.len(),
            image_tokens: self.image_tokens(),
            // By itself: what is shared is known only once it runs.
            cost: self.cost().rows,
        }
    }

    /// Prices running it by itself, and writing `generated` tokens.
    pub(super) fn standalone_cost(&self, generated: usize) -> Cost {
        let mut cost = self.cost();
        add_steps(
            &mut cost,
            &self.input.model,
            &self.plan,
            self.prompt.ids.len(),
            generated,
        );
        cost
    }

    /// Returns what the request took, beside what it would take unchanged.
    pub(super) fn usage(&self, generated: usize, timing: Timing, first_token: f64) -> Usage {
        // The same answer without interventions, whose visual tokens are all there.
        let untouched = Plan::default();
        let all = self.input.images.iter().map(ImageTokens::len);
        // Selections leave tokens out and add none.
        let removed = all.sum::<usize>() - self.image_tokens();
        let prompt = self.prompt.ids.len() + removed;
        let mut baseline = self.cost_of(&untouched, prompt);
        add_steps(
            &mut baseline,
            &self.input.model,
            &untouched,
            prompt,
            generated,
        );
        let standalone = self.standalone_cost(generated);
        let usage = Usage {
            prompt_tokens: self.prompt.ids.len(),
            image_tokens: self.image_tokens(),
            generation_tokens: generated,
            queue_seconds: timing.queued.as_secs_f64(),
            time_to_first_token_seconds: first_token,
            total_seconds: timing.elapsed.as_secs_f64(),
            rows_computed: timing.cost.rows,
            rows_reused: standalone.rows.saturating_sub(timing.cost.rows),
            flops: timing.cost.flops,
            baseline_flops: baseline.flops,
            standalone_flops: standalone.flops,
        };
        let metrics = &self.input.context.metrics;
        metrics.count_rows(usage.rows_computed, usage.rows_reused);
        usage
    }

    /// Fails where an intervention never acted.
    pub(super) fn check_fired(&self, effects: &[Effect]) -> Result<(), Error> {
        let mut resolved = self.plan.resolved.iter().zip(effects);
        // What has acted before the engine ran (on pictures, on the projector) says so itself.
        let Some(i) = resolved.position(|(r, e)| r.fired.is_none() && e.fired == 0) else {
            return Ok(());
        };
        let name = self.interventions.list().get(i).map_or("", |m| m.name());
        // Rows of the prompt always come, unless they have left.
        let has_pruned_rows = !self.plan.prunes.is_empty() && self.acts_on_prompt(i);
        let message = if has_pruned_rows {
            "all tokens that it acts on are pruned before its layer"
        } else {
            "the answer ended before any step that it acts on"
        };
        Err(Error::Intervention(intervention::Error::NeverFired {
            field: format!("interventions[{i}].{name}").into(),
            message: message.into(),
        }))
    }

    /// Reports whether intervention `i` edits rows of the prompt or of a picture.
    fn acts_on_prompt(&self, i: usize) -> bool {
        let mut edits = self.plan.edits.values().flatten();
        edits.any(|edit| edit.owner == i && edit.rows.count() > 0)
    }
}

/// Adds the cost of the steps after the first token, of `generated` tokens in all.
fn add_steps(cost: &mut Cost, model: &Model, plan: &Plan, prompt: usize, generated: usize) {
    for step in 1..generated {
        *cost += Cost::of_step(model, plan, prompt, step);
    }
}
