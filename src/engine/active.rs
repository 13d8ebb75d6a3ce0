//! A request on its way: its sequences, and what has been reported of its variants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use tokio::sync::mpsc::UnboundedSender;

use super::cost::Cost;
use super::deadline::Deadline;
use super::error::Error;
use super::event::{Event, Finish, Prefilled, Timing, Token, VariantEvent};
use super::measure::Gathered;
use super::processors::Sofar;
use super::request::{ClientId, Request, Task, Variant};
use super::sampler::{Reading, likeliest, log_softmax};
use super::sequence::{Goal, Sequence, State};
use crate::intervention::Effect;
use crate::model::Model;
use crate::nn::digest;
use crate::telemetry::names;

/// A request that is admitted.
pub(super) struct ActiveRequest {
    pub(super) model: Arc<Model>,
    pub(super) client: ClientId,
    pub(super) sequences: Vec<Sequence>,
    pub(super) output: Output,
    pub(super) deadline: Deadline,
    /// (row, layer) pairs of all sequences, as planned.
    pub(super) price: u64,
    pub(super) started: bool,
}

/// The result of a step for its sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// Rows of its input are left to read.
    Reading,
    /// The sequence goes on with this token.
    Token(u32),
    /// The sequence has ended, with so many tokens more.
    Ended(usize),
}

impl ActiveRequest {
    pub(super) fn new(
        request: Request,
        sequences: Vec<Sequence>,
        price: u64,
        events: UnboundedSender<VariantEvent>,
    ) -> Self {
        Self {
            output: Output {
                variants: request.variants.iter().map(Progress::new).collect(),
                admitted: Instant::now(),
                events,
            },
            model: request.model,
            client: request.client,
            sequences,
            deadline: request.deadline,
            price,
            started: false,
        }
    }

    /// Returns the first sequence that may take part in a step: one that has begun, since what it
    /// holds is then freed sooner, else one that may start, if there is room.
    pub(super) fn ready(
        &self,
        has_room: bool,
        is_scheduled: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let begun = self
            .sequences
            .iter()
            .enumerate()
            .position(|(i, s)| matches!(s.state, State::Prefill(_)) && !is_scheduled(i));
        begun.or_else(|| {
            self.sequences
                .iter()
                .position(|s| self.may_start(s))
                .filter(|_| has_room)
        })
    }

    /// Returns how many of its sequences run.
    pub(super) fn running(&self) -> usize {
        self.sequences.iter().filter(|s| s.is_running()).count()
    }

    fn may_start(&self, sequence: &Sequence) -> bool {
        let is_read = |parent: usize| self.sequences[parent].is_prefilled();
        sequence.is_waiting() && sequence.parent.is_none_or(is_read)
    }

    /// Returns whether nothing is left to do, or the receiver has gone.
    pub(super) fn is_over(&self) -> bool {
        self.output.is_over()
    }
}

/// The variants of a request, and the channel that reports on them.
pub(super) struct Output {
    variants: Vec<Progress>,
    pub(super) admitted: Instant,
    events: UnboundedSender<VariantEvent>,
}

/// The progress of a variant.
struct Progress {
    interventions: usize,
    /// Effects of compiling its plan.
    base: Vec<Effect>,
    continuations: BTreeMap<usize, Scored>,
    measured: Gathered,
    /// Number of continuations, or of passes that measure.
    expected: usize,
    cost: Cost,
    queued: Duration,
    encoding: Duration,
    done: bool,
}

impl Progress {
    fn new(variant: &Variant) -> Self {
        let interventions = variant.plan.resolved.len();
        Self {
            interventions,
            base: variant.observed.effects(interventions),
            continuations: BTreeMap::new(),
            measured: Gathered::default(),
            // As many as `goals` makes sequences; equal ones report to each of their places.
            expected: match &variant.task {
                Task::Score(all) => all.len(),
                Task::Measure(measure) => measure.passes().len(),
                Task::Generate { .. } => 1,
            },
            cost: Cost::default(),
            queued: Duration::ZERO,
            encoding: Duration::ZERO,
            done: false,
        }
    }
}

/// The results of one continuation.
struct Scored {
    scores: Vec<f64>,
    effects: Vec<Effect>,
    prefilled: Prefilled,
}

impl Output {
    fn is_over(&self) -> bool {
        // A client cancels by dropping its stream: nothing else tells of it.
        self.variants.iter().all(|v| v.done) || self.events.is_closed()
    }

    /// Returns whether a variant still waits for what `sequence` will generate.
    fn is_wanted(&self, sequence: &Sequence) -> bool {
        sequence
            .variants
            .iter()
            .any(|(v, _)| !self.variants[*v].done)
    }

    /// Ends all variants that have not ended, each with an error.
    pub(super) fn fail(&mut self, error: impl Fn() -> Error) {
        for variant in 0..self.variants.len() {
            self.send(variant, Err(error()));
        }
    }

    /// Ends the variants of a sequence with an error.
    fn fail_sequence(&mut self, sequence: &Sequence, error: impl Fn() -> Error) -> Outcome {
        for &(variant, _) in &sequence.variants {
            self.send(variant, Err(error()));
        }
        Outcome::Ended(0)
    }

    fn send(&mut self, variant: usize, event: Result<Event, Error>) {
        let progress = &mut self.variants[variant];
        // Other sequences of a variant that has failed may still run.
        if progress.done {
            return;
        }
        progress.done = match &event {
            Ok(Event::Token(token)) => token.finish.is_some(),
            Ok(Event::Captured(_) | Event::Prefilled(_)) => false,
            Ok(Event::Scored { .. } | Event::Measured(_)) | Err(_) => true,
        };
        // A receiver that has gone is found before the next step.
        let _ = self.events.send(VariantEvent { variant, event });
    }

    fn timing(&self, variant: usize) -> Timing {
        let Progress {
            cost,
            queued,
            encoding,
            ..
        } = self.variants[variant];
        Timing {
            queued,
            encoding,
            elapsed: self.admitted.elapsed(),
            cost,
        }
    }

    /// Adds the effects of a sequence to those of compiling a variant's plan.
    fn effects(&self, variant: usize, of_sequence: &[Effect]) -> Vec<Effect> {
        let mut effects = self.variants[variant].base.clone();
        add(&mut effects, of_sequence);
        effects
    }

    /// Takes the results of a sequence's step, and reports what they mean.
    pub(super) fn advance(
        &mut self,
        model: &Model,
        sequence: &mut Sequence,
        readings: Vec<Reading>,
    ) -> Outcome {
        self.account(sequence);
        self.send_captured(sequence);
        let readings = match &mut sequence.state {
            State::Prefill(prefill) => {
                // A continuation may be read in several chunks, each with rows whose logits are
                // wanted.
                prefill.readings.extend(readings);
                if prefill.done < prefill.rows.len() {
                    return Outcome::Reading;
                }
                std::mem::take(&mut prefill.readings)
            }
            _ => readings,
        };
        // The token was chosen on the device: its logits never came.
        if let [Reading::Likeliest(id, logprob)] = readings[..] {
            if !logprob.is_finite() {
                return self.fail_sequence(sequence, || Error::NotFinite);
            }
            return self.generate(model, sequence, (id, f64::from(logprob)), &[], None);
        }
        let logits: Vec<Vec<f32>> = readings
            .into_iter()
            .filter_map(Reading::into_logits)
            .collect();
        let logprobs: Option<Vec<Vec<f64>>> = logits.iter().map(|l| log_softmax(l)).collect();
        // One bad row fails the sequence: a sum or a rank over it would look like a result.
        let Some(logprobs) = logprobs else {
            return self.fail_sequence(sequence, || Error::NotFinite);
        };
        let (Some(first), Some(first_logprobs)) = (logits.first(), logprobs.first()) else {
            let nothing = || Error::Fault("no row is left to predict from".into());
            return self.fail_sequence(sequence, nothing);
        };
        match &sequence.goal {
            Goal::Score(_) => self.score(sequence, &logits, &logprobs),
            Goal::Measure(_) => self.measure(sequence, &logits, logprobs),
            Goal::Generate { .. } => self.sample(model, sequence, first, first_logprobs),
        }
    }

    /// Charges the sequence's work to the first of its variants: the sum over variants is the work
    /// that was done.
    fn account(&mut self, sequence: &mut Sequence) {
        // Taken, or the next step would count it once more.
        let cost = std::mem::take(&mut sequence.cost);
        if let Some(&(first, _)) = sequence.variants.first() {
            self.variants[first].cost += cost;
        }
        for &(variant, _) in &sequence.variants {
            self.variants[variant].queued = sequence.queued.unwrap_or_default();
            self.variants[variant].encoding = sequence.encoding;
        }
    }

    fn send_captured(&mut self, sequence: &mut Sequence) {
        let mut captured = std::mem::take(&mut sequence.captured);
        captured.append(&mut sequence.observed.captured);
        // Sequences that capture are never shared, so that they have one variant.
        if let Some(&(variant, _)) = sequence.variants.first() {
            for captured in captured {
                self.send(variant, Ok(Event::Captured(captured)));
            }
        }
    }

    /// Reports the likelihoods of a continuation.
    fn score(
        &mut self,
        sequence: &Sequence,
        logits: &[Vec<f32>],
        logprobs: &[Vec<f64>],
    ) -> Outcome {
        let Goal::Score(ids) = &sequence.goal else {
            return Outcome::Ended(0);
        };
        let scores: Vec<f64> = ids
            .iter()
            // Row i predicts token i: the rows are the last one of the prompt and those of the
            // continuation without its last.
            .zip(logprobs)
            .map(|(&id, row)| row[id as usize])
            .collect();
        let prefilled = prefilled(sequence, logits);
        for &(variant, continuation) in &sequence.variants {
            let count = self.variants[variant].interventions;
            // Effects on the prompt are reported by the first continuation alone.
            let effects = if continuation == 0 {
                sequence.observed.effects(count)
            } else {
                sequence.observed.generated_effects(count)
            };
            let scored = Scored {
                scores: scores.clone(),
                effects,
                prefilled: prefilled.clone(),
            };
            self.variants[variant]
                .continuations
                .insert(continuation, scored);
            self.finish_scores(variant);
        }
        Outcome::Ended(0)
    }

    /// Reports what a pass has measured, with the last one of its variant.
    fn measure(
        &mut self,
        sequence: &Sequence,
        logits: &[Vec<f32>],
        logprobs: Vec<Vec<f64>>,
    ) -> Outcome {
        let Goal::Measure(pass) = &sequence.goal else {
            return Outcome::Ended(0);
        };
        let prefilled = pass.keeps.then(|| prefilled(sequence, logits));
        let read = pass.read(logprobs);
        for &(variant, part) in &sequence.variants {
            let progress = &mut self.variants[variant];
            let count = progress.interventions;
            // Effects on the prompt are reported by the first pass alone.
            let mut effects = sequence.observed.generated_effects(count);
            if part == 0 {
                effects.clone_from(&progress.base);
                add(&mut effects, &sequence.observed.effects(count));
            }
            progress.measured.add(read.clone(), &effects);
            let is_done = progress.measured.passes() == progress.expected;
            if let Some(prefilled) = &prefilled {
                self.send(variant, Ok(Event::Prefilled(prefilled.clone())));
            }
            if is_done {
                let timing = self.timing(variant);
                let measured = self.variants[variant].measured.finish(timing);
                self.send(variant, Ok(Event::Measured(measured)));
            }
        }
        Outcome::Ended(0)
    }

    /// Chooses the next token from its logits.
    fn sample(
        &mut self,
        model: &Model,
        sequence: &mut Sequence,
        logits: &[f32],
        logprobs: &[f64],
    ) -> Outcome {
        let is_first = !sequence.is_decoding();
        // By field: `answer()` would borrow the whole sequence, whose goal is borrowed to draw.
        let answer = match &sequence.state {
            State::Decode(decode) => decode.answer.as_slice(),
            _ => &[],
        };
        let Goal::Generate {
            sampling,
            top_logprobs,
            max_tokens,
        } = &mut sequence.goal
        else {
            return Outcome::Ended(0);
        };
        let sofar = Sofar {
            prompt: &sequence.ids[..sequence.prompt],
            answer,
            eos: &model.eos,
            room: *max_tokens,
        };
        let Some(id) = sampling.next(logits, logprobs, sofar) else {
            return self.fail_sequence(sequence, || Error::NothingLeft);
        };
        let top = likeliest(logprobs, *top_logprobs);
        let prefilled = is_first.then(|| prefilled(sequence, &[logits]));
        // By the model's own distribution: temperature and processors decide what is chosen, not
        // what is reported.
        let token = (id, logprobs[id as usize]);
        self.generate(model, sequence, token, &top, prefilled)
    }

    /// Reports a token of a sequence.
    fn generate(
        &mut self,
        model: &Model,
        sequence: &Sequence,
        (id, logprob): (u32, f64),
        top: &[(u32, f64)],
        prefilled: Option<Prefilled>,
    ) -> Outcome {
        let Goal::Generate { max_tokens, .. } = &sequence.goal else {
            return Outcome::Ended(0);
        };
        // An end token at the limit counts as the end.
        let finish = if model.eos.contains(&id) {
            Some(Finish::Eos)
        } else if sequence.answer().len() + 1 == *max_tokens {
            Some(Finish::Length)
        } else {
            None
        };
        // Duplicates are computed once, and reported to each.
        for &(variant, _) in &sequence.variants {
            counter!(names::GENERATION_TOKENS).increment(1);
            if let Some(prefilled) = &prefilled {
                self.send(variant, Ok(Event::Prefilled(prefilled.clone())));
            }
            let count = self.variants[variant].interventions;
            let token = Token {
                id,
                logprob,
                top: top.to_vec(),
                finish,
                timing: self.timing(variant),
                effects: self.effects(variant, &sequence.observed.effects(count)),
            };
            self.send(variant, Ok(Event::Token(token)));
        }
        // A variant may have failed by another of its sequences.
        if finish.is_some() || !self.is_wanted(sequence) {
            Outcome::Ended(1)
        } else {
            Outcome::Token(id)
        }
    }

    /// Reports the scores of a variant once all continuations have theirs.
    fn finish_scores(&mut self, variant: usize) {
        let progress = &self.variants[variant];
        let continuations = &progress.continuations;
        if continuations.len() < progress.expected {
            return;
        }
        let mut effects = progress.base.clone();
        for scored in continuations.values() {
            add(&mut effects, &scored.effects);
        }
        let logits = continuations.values().map(|s| s.prefilled.logits.clone());
        let first = continuations.values().next().map(|s| s.prefilled.clone());
        let prefilled = Prefilled {
            logits: digest_of_digests(logits),
            // Pictures and pruned tokens depend on the prompt alone: those of the first
            // continuation are those of all.
            ..first.unwrap_or_default()
        };
        // In the order of the continuations, whichever ended first.
        let scores = continuations.values().map(|s| s.scores.clone()).collect();
        self.send(variant, Ok(Event::Prefilled(prefilled)));
        let scored = Event::Scored {
            scores,
            timing: self.timing(variant),
            effects,
        };
        self.send(variant, Ok(scored));
    }
}

fn add(effects: &mut [Effect], more: &[Effect]) {
    for (all, one) in effects.iter_mut().zip(more) {
        all.add(one);
    }
}

fn prefilled(sequence: &Sequence, logits: &[impl AsRef<[f32]>]) -> Prefilled {
    let values = logits.iter().flat_map(|row| row.as_ref().iter().copied());
    Prefilled {
        visual_tokens: digest_of_digests(sequence.encoded.iter().map(|v| v.digest.get().into())),
        logits: digest::of_values(values).to_hex().to_string(),
        pruned: sequence.observed.pruned(),
    }
}

/// Joins digests: several into the digest of their text, one into itself.
pub fn digest_of_digests(digests: impl Iterator<Item = String>) -> String {
    // A picture that a plan leaves no token of has no digest.
    let mut digests: Vec<String> = digests.filter(|d| !d.is_empty()).collect();
    match digests.len() {
        0 => String::new(),
        1 => digests.swap_remove(0),
        _ => blake3::hash(digests.concat().as_bytes())
            .to_hex()
            .to_string(),
    }
}
