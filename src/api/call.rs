//! A call on its way: who it is, how long it may take, and how it is handed to the engine.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use jiff::civil::DateTime;
use metrics::counter;
use tonic::{Request, Status};

use super::keys::KeyName;
use super::observe::Observation;
use super::prepare::{self, Asked, Ground, Scene};
use super::{Error, State, convert, deadline, prompt, v1};
use crate::engine::{self, Client, Cost, Event, Events, Job, Prefilled, Timing, Variant, Work};
use crate::intervention::{self, Effect, Plan};
use crate::model::{ImageTokens, Model};
use crate::telemetry::names;

/// Who a request is and what is recorded of it.
pub(super) struct Call {
    pub(super) id: String,
    pub(super) client: Client,
    pub(super) observation: Observation,
    pub(super) deadline: Option<Instant>,
    /// What chat templates that name the time are told; unset: now.
    pub(super) time: Option<DateTime>,
}

impl Call {
    pub(super) fn begin<T>(method: &'static str, request: &Request<T>) -> Self {
        Self {
            id: format!("{:016x}", intervention::fresh_seed()),
            client: client(request),
            observation: Observation::begin(method),
            deadline: deadline::of(request.metadata()),
            time: None,
        }
    }

    /// A part of it, which is counted with it.
    pub(super) fn part(&self) -> Self {
        let (id, client, deadline) = (self.id.clone(), self.client.clone(), self.deadline);
        Self {
            id,
            client,
            observation: Observation::of_part(),
            deadline,
            time: self.time,
        }
    }

    pub(super) fn fail(&mut self, state: &State, error: &Error) -> Status {
        let status = error.status(&self.id, state.retry_after());
        self.observation.end(status.code());
        match error {
            Error::Engine(engine::Error::QueueFull { .. }) => {
                counter!(names::REQUESTS_REJECTED, "reason" => "queue_full").increment(1);
            }
            Error::Engine(engine::Error::Backlog { .. } | engine::Error::KvBudget { .. }) => {
                counter!(names::REQUESTS_REJECTED, "reason" => "budget").increment(1);
            }
            Error::Engine(engine::Error::Draining) => {
                counter!(names::REQUESTS_REJECTED, "reason" => "draining").increment(1);
            }
            _ => {}
        }
        if status.code() == tonic::Code::Internal {
            tracing::error!(request_id = %self.id, %error, "request failed");
        }
        status
    }
}

/// Names the tenant of a request, if its metadata does.
const TENANT: &str = "scotoma-tenant";
const MAX_TENANT_BYTES: usize = 128;

/// Who asks. With a key, whose it is: all its connections share, and nobody else sees its pictures.
/// Else the tenant that the metadata names, and the connection.
fn client<T>(request: &Request<T>) -> Client {
    if let Some(KeyName(name)) = request.extensions().get() {
        let mut hasher = std::hash::DefaultHasher::new();
        name.hash(&mut hasher);
        return Client {
            tenant: name.clone(),
            connection: hasher.finish(),
        };
    }
    let tenant = request
        .metadata()
        .get(TENANT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let tenant: String = tenant.chars().take(MAX_TENANT_BYTES).collect();
    let mut hasher = std::hash::DefaultHasher::new();
    request.remote_addr().hash(&mut hasher);
    Client {
        tenant: tenant.into(),
        connection: hasher.finish(),
    }
}

/// Waits for `work` until `deadline`.
pub(super) async fn before<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    match deadline {
        None => Ok(work.await),
        Some(at) => tokio::time::timeout_at(at.into(), work)
            .await
            .map_err(|_| Error::Engine(engine::Error::Deadline { tokens: 0 })),
    }
}

/// A request that the engine has admitted.
pub(super) struct Admitted {
    pub(super) ready: Ready,
    events: Events,
}

impl Admitted {
    /// What happens next.
    pub(super) async fn next(&mut self) -> Option<Result<Event, engine::Error>> {
        self.events.recv().await.map(|told| told.event)
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
    pub(super) fn new(mut scene: Scene, work: Work) -> (Self, Variant) {
        let continuations = match &work {
            Work::Generate { .. } => vec![0],
            Work::Score(continuations) => continuations.iter().map(Vec::len).collect(),
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
            work,
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

    pub(super) fn started(&self, call: &Call) -> v1::Started {
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
        call: &mut Call,
        model: &str,
        prompt: Option<v1::Prompt>,
    ) -> Result<Arc<Ground>, Error> {
        let model = self.models.get(model)?;
        call.observation.model(&model.name);
        let mut prompt = prompt.ok_or_else(|| Error::invalid("prompt", "unset"))?;
        prompt::check(&prompt)?;
        let images = prompt::take_images(&mut prompt);
        let multi_image = prompt.multi_image;
        let (deadline, time) = (call.deadline, call.time);
        // On the pool: a template may take its time.
        let counted = images.len();
        let render = move |model: &Model| prompt::render(model, &prompt, counted, time);
        let text = before(deadline, self.blocking(&model, render)).await??;
        before(
            deadline,
            self.ground(
                &model,
                (&call.client.tenant, images),
                multi_image,
                Some(text),
            ),
        )
        .await?
    }

    /// A request on its ground; `work` says what to do with the prompt.
    pub(super) async fn ready(
        self: &Arc<Self>,
        ground: &Arc<Ground>,
        asked: Asked<'_>,
        work: impl FnOnce(&Model, &Scene) -> Result<Work, Error>,
    ) -> Result<(Ready, Variant), Error> {
        let scene = self.scene(ground, asked).await?;
        scene.check_context()?;
        let work = work(&ground.model, &scene)?;
        Ok(Ready::new(scene, work))
    }

    /// Hands a request to the engine.
    pub(super) fn submit(
        &self,
        call: &Call,
        (ready, variant): (Ready, Variant),
    ) -> Result<Admitted, Error> {
        let (model, client, deadline) = (
            ready.scene.model.clone(),
            call.client.clone(),
            call.deadline,
        );
        let events = self.engine(&model).submit(Job {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_client_however_it_connects() {
        let asked = |port: u16, key: Option<&str>| {
            let mut request = Request::new(());
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            let connected = tonic::transport::server::TcpConnectInfo {
                local_addr: None,
                remote_addr: Some(address),
            };
            request.extensions_mut().insert(connected);
            key.into_iter()
                .for_each(|key| drop(request.extensions_mut().insert(KeyName(key.into()))));
            // With a key the metadata has no say.
            request
                .metadata_mut()
                .insert(TENANT, "another".parse().unwrap());
            client(&request)
        };
        assert_eq!(asked(1, Some("lab")), asked(2, Some("lab")));
        assert_ne!(asked(1, Some("lab")), asked(1, Some("office")));
        assert_ne!(
            asked(1, None),
            asked(2, None),
            "without keys each connection has its share"
        );
        assert_eq!(
            (&*asked(1, Some("lab")).tenant, &*asked(1, None).tenant),
            ("lab", "another")
        );
    }
}
