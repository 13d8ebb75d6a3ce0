//! A job on its way: its runs, and what has been told of its variants.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metrics::counter;
use tokio::sync::mpsc::UnboundedSender;

use super::processors::Sofar;
use super::sampler::{Reading, likeliest, log_softmax};
use super::sequence::{Goal, Run, Stage};
use super::{
    Client, Cost, Error, Event, Finish, Job, Prefilled, Timing, Token, Told, Work,
    digest_of_digests,
};
use crate::intervention::Effect;
use crate::telemetry::names;

/// A job that is admitted.
pub(super) struct Request {
    pub(super) model: std::sync::Arc<crate::model::Model>,
    pub(super) client: Client,
    /// `None` while it is in a step.
    pub(super) runs: Vec<Option<Run>>,
    variants: Vec<Progress>,
    pub(super) deadline: Option<Instant>,
    pub(super) admitted: Instant,
    events: UnboundedSender<Told>,
    /// (row, layer) pairs of all runs, as planned.
    pub(super) price: u64,
    pub(super) started: bool,
}

/// How far a variant has come.
struct Progress {
    interventions: usize,
    /// What compiling its plan did.
    base: Vec<Effect>,
    parts: BTreeMap<usize, Scored>,
    expected: usize,
    cost: Cost,
    queued: Duration,
    done: bool,
}

/// One continuation.
struct Scored {
    scores: Vec<f64>,
    logits: String,
    effects: Vec<Effect>,
    visual_tokens: String,
    pruned: BTreeMap<usize, Vec<u32>>,
}

impl Request {
    pub(super) fn new(job: Job, runs: Vec<Run>, price: u64, events: UnboundedSender<Told>) -> Self {
        let progress = |variant: &super::Variant| Progress {
            interventions: variant.plan.resolved.len(),
            base: variant.observed.effects(variant.plan.resolved.len()),
            parts: BTreeMap::new(),
            expected: if let Work::Score(all) = &variant.work {
                all.len()
            } else {
                1
            },
            cost: Cost::default(),
            queued: Duration::ZERO,
            done: false,
        };
        Self {
            variants: job.variants.iter().map(progress).collect(),
            model: job.model,
            client: job.client,
            runs: runs.into_iter().map(Some).collect(),
            deadline: job.deadline,
            admitted: Instant::now(),
            events,
            price,
            started: false,
        }
    }

    /// Whether nothing is left to do, or nobody listens.
    pub(super) fn is_over(&self) -> bool {
        self.variants.iter().all(|v| v.done) || self.events.is_closed()
    }

    /// Whether anybody waits for what `run` will say.
    pub(super) fn is_wanted(&self, run: &Run) -> bool {
        run.variants.iter().any(|(v, _)| !self.variants[*v].done)
    }

    /// Ends all variants that have not ended, each with an error.
    pub(super) fn fail(&mut self, error: impl Fn() -> Error) {
        for variant in 0..self.variants.len() {
            self.tell(variant, Err(error()));
        }
    }

    fn tell(&mut self, variant: usize, event: Result<Event, Error>) {
        let goes_on = |event: &Event| match event {
            Event::Token(token) => token.finish.is_none(),
            Event::Captured(_) | Event::Prefilled(_) => true,
            Event::Scored { .. } => false,
        };
        let progress = &mut self.variants[variant];
        if progress.done {
            return;
        }
        progress.done = !event.as_ref().is_ok_and(goes_on);
        // A receiver that is gone is found before the next step.
        let _ = self.events.send(Told { variant, event });
    }

    fn timing(&self, variant: usize) -> Timing {
        let Progress { cost, queued, .. } = self.variants[variant];
        Timing {
            queued,
            elapsed: self.admitted.elapsed(),
            cost,
        }
    }

    /// What each intervention of a variant has done, by its own account and that of a run.
    fn effects(&self, variant: usize, of_run: &[Effect]) -> Vec<Effect> {
        let mut effects = self.variants[variant].base.clone();
        effects
            .iter_mut()
            .zip(of_run)
            .for_each(|(all, one)| all.add(one));
        effects
    }

    /// What was read off a run's step means: goes on, or ends.
    pub(super) fn advance(&mut self, run: &mut Run, readings: Vec<Reading>) {
        let variants = run.variants.clone();
        let cost = std::mem::take(&mut run.cost);
        if let Some(&(first, _)) = variants.first() {
            self.variants[first].cost += cost;
        }
        for &(variant, _) in &variants {
            self.variants[variant].queued = run.queued.unwrap_or_default();
        }
        let captured = run
            .captured
            .drain(..)
            .chain(run.observed.captured.drain(..));
        for captured in captured.collect::<Vec<_>>() {
            // Runs that capture are of one variant.
            if let Some(&(variant, _)) = variants.first() {
                self.tell(variant, Ok(Event::Captured(captured)));
            }
        }
        run.readings.extend(readings);
        if !run.is_read() {
            return;
        }
        let readings = std::mem::take(&mut run.readings);
        if let [Reading::Likeliest(id, logprob)] = readings[..] {
            if logprob.is_finite() {
                self.write(run, (id, f64::from(logprob)), &[], None);
            } else {
                variants
                    .iter()
                    .for_each(|&(v, _)| self.tell(v, Err(Error::NotFinite)));
                run.stage = Stage::Done;
            }
            return;
        }
        let whole = |reading: Reading| {
            if let Reading::Logits(logits) = reading {
                Some(logits)
            } else {
                None
            }
        };
        let rows: Vec<Vec<f32>> = readings.into_iter().filter_map(whole).collect();
        let logprobs: Option<Vec<Vec<f64>>> = rows.iter().map(|l| log_softmax(l)).collect();
        let Some(logprobs) = logprobs else {
            variants
                .iter()
                .for_each(|&(v, _)| self.tell(v, Err(Error::NotFinite)));
            run.stage = Stage::Done;
            return;
        };
        if logprobs.is_empty() {
            let nothing = || Error::Fault("no row is left to predict from".into());
            variants
                .iter()
                .for_each(|&(v, _)| self.tell(v, Err(nothing())));
            run.stage = Stage::Done;
            return;
        }
        let fresh = run.stage != Stage::Decode;
        let prefilled = || Prefilled {
            visual_tokens: digest_of_digests(run.visuals.iter().map(|v| v.digest.clone())),
            logits: super::digest(rows.iter().flatten().copied())
                .to_hex()
                .to_string(),
            pruned: run.observed.pruned(),
        };
        match &mut run.goal {
            Goal::Score(ids) => {
                let scores: Vec<f64> = ids
                    .iter()
                    .zip(&logprobs)
                    .map(|(&id, row)| row[id as usize])
                    .collect();
                let found = prefilled();
                for &(variant, part) in &variants {
                    let count = self.variants[variant].interventions;
                    // What happened to the prompt is told by the first continuation.
                    let effects = if part == 0 {
                        run.observed.effects(count)
                    } else {
                        run.observed.generated_effects(count)
                    };
                    let scored = Scored {
                        scores: scores.clone(),
                        logits: found.logits.clone(),
                        effects,
                        visual_tokens: found.visual_tokens.clone(),
                        pruned: found.pruned.clone(),
                    };
                    self.variants[variant].parts.insert(part, scored);
                    self.finish_scores(variant);
                }
                run.stage = Stage::Done;
            }
            Goal::Generate {
                sampling,
                top_logprobs,
                max_tokens,
            } => {
                let (Some(logits), Some(logprobs)) = (rows.first(), logprobs.first()) else {
                    return;
                };
                let prompt = &run.ids[..run.prompt];
                let sofar = Sofar {
                    prompt,
                    answer: &run.answer,
                    eos: &self.model.eos,
                    room: *max_tokens,
                };
                let Some(id) = sampling.next(logits, logprobs, sofar) else {
                    variants
                        .iter()
                        .for_each(|&(v, _)| self.tell(v, Err(Error::NothingLeft)));
                    run.stage = Stage::Done;
                    return;
                };
                let top = likeliest(logprobs, *top_logprobs);
                let found = fresh.then(prefilled);
                self.write(run, (id, logprobs[id as usize]), &top, found);
            }
        }
    }

    /// A run writes `id`.
    fn write(
        &mut self,
        run: &mut Run,
        (id, logprob): (u32, f64),
        top: &[(u32, f64)],
        found: Option<Prefilled>,
    ) {
        let Goal::Generate { max_tokens, .. } = &run.goal else {
            return;
        };
        let length = run.answer.len() + 1 == *max_tokens;
        let finish = match (self.model.eos.contains(&id), length) {
            (true, _) => Some(Finish::Eos),
            (false, true) => Some(Finish::Length),
            (false, false) => None,
        };
        run.answer.push(id);
        run.stage = if finish.is_some() {
            Stage::Done
        } else {
            Stage::Decode
        };
        for (variant, _) in run.variants.clone() {
            counter!(names::GENERATION_TOKENS).increment(1);
            if let Some(found) = &found {
                self.tell(variant, Ok(Event::Prefilled(found.clone())));
            }
            let effects = self.effects(
                variant,
                &run.observed.effects(self.variants[variant].interventions),
            );
            let timing = self.timing(variant);
            let token = Token {
                id,
                logprob,
                top: top.to_vec(),
                finish,
                timing,
                effects,
            };
            self.tell(variant, Ok(Event::Token(token)));
        }
        if !self.is_wanted(run) {
            run.stage = Stage::Done;
        }
    }

    /// Tells the scores of a variant once all continuations have theirs.
    fn finish_scores(&mut self, variant: usize) {
        let progress = &self.variants[variant];
        if progress.parts.len() < progress.expected {
            return;
        }
        let mut effects = progress.base.clone();
        for part in progress.parts.values() {
            effects
                .iter_mut()
                .zip(&part.effects)
                .for_each(|(all, one)| all.add(one));
        }
        let first = progress.parts.values().next();
        let prefilled = Prefilled {
            visual_tokens: first.map(|p| p.visual_tokens.clone()).unwrap_or_default(),
            logits: digest_of_digests(progress.parts.values().map(|p| p.logits.clone())),
            pruned: first.map(|p| p.pruned.clone()).unwrap_or_default(),
        };
        let scores = progress.parts.values().map(|p| p.scores.clone()).collect();
        self.tell(variant, Ok(Event::Prefilled(prefilled)));
        let timing = self.timing(variant);
        self.tell(
            variant,
            Ok(Event::Scored {
                scores,
                timing,
                effects,
            }),
        );
    }
}
