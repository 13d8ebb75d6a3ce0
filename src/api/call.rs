//! A call on its way: who it is, how long it may take, and how it is handed to the engine.

use std::sync::Arc;

use super::prepare::{self, Asked, Ground, Scene};
use super::{Error, State, convert, prompt, v1};
use crate::engine::{self, Cost, Event, Events, Prefilled, Task, Timing, Variant};
use crate::intervention::{self, Effect, Plan};
use crate::model::{ImageTokens, Model};
use crate::pipeline::RequestContext;

/// A request that the engine has admitted.
pub(super) struct Admitted {
    pub(super) ready: Ready,
    events: Events,
}

impl Admitted {
    /// Waits for what happens next.
    pub(super) async fn next(&mut self) -> Result<Event, Error> {
        let told = self.events.recv().await.ok_or(Error::EngineStopped)?;
        Ok(told.event?)
    }
}

/// A request that is checked, priced and compiled.
pub(super) struct Ready {
    pub(super) scene: Scene,
    /// What the prompt takes.
    pub(super) cost: Cost,
    /// Lengths of the continuations; a plain prompt has one of 0.
    continuations: Vec<usize>,
    /// BLAKE3 (hex) of what the tower sees.
    pixels: String,
}

impl Ready {
    /// Under `work`, with what the engine is to do.
    pub(super) fn new(mut scene: Scene, work: Task) -> (Self, Variant) {
        let continuations = match &work {
            Task::Generate { .. } => vec![0],
            Task::Score(continuations) => continuations.iter().map(Vec::len).collect(),
        };
        let prompt = scene.prompt.ids.len();
        let cost = Cost::of_prompt(
            &scene.model,
            &scene.plan,
            scene.views(),
            prompt,
            &continuations,
        );
        let digests = scene.pixels.iter().map(|p| p.digest.to_hex().to_string());
        let pixels = engine::digest_of_digests(digests);
        let variant = Variant {
            plan: scene.plan.clone(),
            observed: std::mem::take(&mut scene.observed),
            pixels: std::mem::take(&mut scene.pixels),
            images: scene.images.clone(),
            prompt: scene.prompt.clone(),
            task: work,
        };
        (
            Self {
                scene,
                cost,
                continuations,
                pixels,
            },
            variant,
        )
    }

    /// (row, layer) pairs that it would take to run it by itself, and to write `generated` tokens.
    pub(super) fn naive_rows(&self, generated: usize) -> u64 {
        let scene = &self.scene;
        let mut cost = self.cost;
        let step = |step| Cost::of_step(&scene.model, &scene.plan, scene.prompt.ids.len(), step);
        (1..generated).for_each(|i| cost += step(i));
        cost.rows
    }

    pub(super) fn started(&self, call: &RequestContext) -> v1::Started {
        v1::Started {
            request_id: call.id.clone(),
            prompt_tokens: self.scene.prompt.ids.len() as u32,
            image_tokens: self.scene.image_tokens() as u32,
            cost: self.cost.rows,
        }
    }

    pub(super) fn usage(&self, generated: usize, timing: Timing, first_token: f64) -> v1::Usage {
        let model = &self.scene.model;
        let untouched = Plan::default();
        let removed: usize = self
            .scene
            .images
            .iter()
            .map(ImageTokens::len)
            .sum::<usize>()
            - self.scene.image_tokens();
        let prompt = self.scene.prompt.ids.len() + removed;
        let mut baseline = Cost::of_prompt(
            model,
            &untouched,
            self.scene.views(),
            prompt,
            &self.continuations,
        );
        (1..generated).for_each(|step| baseline += Cost::of_step(model, &untouched, prompt, step));
        v1::Usage {
            prompt_tokens: self.scene.prompt.ids.len() as u32,
            image_tokens: self.scene.image_tokens() as u32,
            generation_tokens: generated as u32,
            queue_seconds: timing.queued.as_secs_f64(),
            time_to_first_token_seconds: first_token,
            total_seconds: timing.elapsed.as_secs_f64(),
            rows_computed: timing.cost.rows,
            rows_reused: self.naive_rows(generated).saturating_sub(timing.cost.rows),
            flops: timing.cost.flops,
            baseline_flops: baseline.flops,
        }
    }

    /// Fails where an intervention never acted.
    pub(super) fn check_fired(&self, effects: &[Effect]) -> Result<(), Error> {
        let resolved = self.scene.plan.resolved.iter();
        match resolved
            .zip(effects)
            .position(|(r, e)| r.fired.is_none() && e.fired == 0)
        {
            None => Ok(()),
            Some(i) => {
                let name = self
                    .scene
                    .interventions
                    .get(i)
                    .map_or("", |m| prepare::name(m));
                let field = format!("interventions[{i}].{name}");
                let message = "the answer ended before any step that it acts on".into();
                Err(Error::Intervention(intervention::Error::NeverFired {
                    field,
                    message,
                }))
            }
        }
    }

    /// The stages of a record, all but the output.
    pub(super) fn stages(&self, prefilled: &Prefilled) -> Vec<v1::Stage> {
        let ids: Vec<u8> = self
            .scene
            .prompt
            .ids
            .iter()
            .flat_map(|id| id.to_le_bytes())
            .collect();
        let prompt = blake3::hash(&ids).to_hex().to_string();
        let all = [
            ("pixels", self.pixels.clone()),
            ("prompt", prompt),
            ("visual_tokens", prefilled.visual_tokens.clone()),
            ("logits", prefilled.logits.clone()),
        ];
        all.into_iter()
            .map(|(name, digest)| v1::Stage {
                name: name.into(),
                digest,
            })
            .collect()
    }
}

impl State {
    /// The ground of a request.
    pub(super) async fn ground_of(
        self: &Arc<Self>,
        call: &RequestContext,
        model: &str,
        prompt: Option<v1::Prompt>,
    ) -> Result<Arc<Ground>, Error> {
        let model = self.models.get(model)?;
        call.metrics.set_model(&model.name);
        let mut prompt = prompt.ok_or_else(|| Error::invalid("prompt", "unset"))?;
        prompt::check(&prompt)?;
        let images = prompt::take_images(&mut prompt);
        let multi_image = prompt.multi_image;
        let time = call.time;
        // On the pool: a template may take its time.
        let counted = images.len();
        let render = move |model: &Model| prompt::render(model, &prompt, counted, time);
        let text = self.blocking(&model, render).await?;
        let tenant = &call.client.tenant;
        self.ground(&model, (tenant, images), multi_image, Some(text))
            .await
    }

    /// A request on its ground; `work` says what to do with the prompt.
    pub(super) async fn ready(
        self: &Arc<Self>,
        ground: &Arc<Ground>,
        asked: Asked<'_>,
        work: impl FnOnce(&Model, &Scene) -> Result<Task, Error>,
    ) -> Result<(Ready, Variant), Error> {
        let scene = self.scene(ground, asked).await?;
        scene.check_context()?;
        let work = work(&ground.model, &scene)?;
        Ok(Ready::new(scene, work))
    }

    /// Hands a request to the engine.
    pub(super) fn submit(
        &self,
        call: &RequestContext,
        (ready, variant): (Ready, Variant),
    ) -> Result<Admitted, Error> {
        let (model, client, deadline) = (
            ready.scene.model.clone(),
            call.client.clone(),
            call.deadline,
        );
        let events = self.engine(&model).submit(engine::Request {
            model,
            client,
            variants: vec![variant],
            deadline,
        })?;
        ready.scene.count();
        Ok(Admitted { ready, events })
    }
}

/// Draws the seeds that a request left open, and names its model.
pub(super) fn settle(
    state: &State,
    model: &mut String,
    interventions: &mut [v1::Intervention],
    targets: &mut [v1::CaptureTarget],
) -> Result<(), Error> {
    model.clone_from(&state.models.get(model)?.name);
    let targets = targets.iter_mut().filter_map(|t| t.target.as_mut());
    convert::draw_open_seeds(interventions, targets, intervention::fresh_seed);
    Ok(())
}
