//! Runs an attribution: compiled as any request is, then as many passes as its method takes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Tensor};

use super::cost::{bytes_of, passes, price_of};
use super::flow;
use super::maps;
use super::points::Places;
use super::request::{AttributeRequest, AttributionInput, AttributionMethod};
use crate::engine::Prefilled;
use crate::intervention::Intervention;
use crate::model::{
    self, Blend, GradientInput, GradientPass, GradientReduction, Gradients, Objective, Tap,
    TapGradient,
};
use crate::nn::{HostTensor, Point};
use crate::pipeline::budget::Reservation;
use crate::pipeline::compile::CompiledRequest;
use crate::pipeline::error::Error;
use crate::pipeline::generate::with_text;
use crate::pipeline::metric::AnswerMetric;
use crate::pipeline::output::{CapturedActivation, Started, TokenLogprob};
use crate::pipeline::provenance::RecordedRequest;
use crate::pipeline::record::Provenance;
use crate::pipeline::runtime::Runtime;
use crate::pipeline::turns::Price;

/// An attribution that is checked, compiled and paid for.
#[derive(Debug)]
pub struct Attribution {
    pub(super) request: AttributeRequest,
    pub(super) compiled: CompiledRequest,
    /// Tokens of the answer, and the other answer's last one.
    answer: (Vec<u32>, Option<u32>),
    pub(super) places: Places,
    /// The other input, compiled.
    source: Option<CompiledRequest>,
    started: Started,
    /// Set once a pass was handed to the engine.
    has_begun: AtomicBool,
    /// Counts what nobody has read.
    _unread: Reservation,
    waiting: VecDeque<CapturedActivation>,
    finished: Option<AttributionFinished>,
}

/// The end of an attribution.
#[derive(Debug, Clone)]
pub struct AttributionFinished {
    /// The metric.
    pub value: f64,
    /// The metric at the baseline, where there is one.
    pub baseline: Option<f64>,
    /// The tokens of the answer.
    pub tokens: Vec<TokenLogprob>,
    /// (row, layer) pairs that were computed, as they were priced.
    pub rows: u64,
    /// The record that it can be repeated from.
    pub provenance: Provenance,
}

/// Reports what happens to an attribution.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum AttributionEvent {
    /// Scores of rows, or the gradients themselves.
    Scores(CapturedActivation),
    /// All are told; the last event.
    Finished(AttributionFinished),
}

impl Runtime {
    /// Checks, compiles and prices a request; nothing is computed yet.
    pub async fn attribute(&self, request: AttributeRequest) -> Result<Attribution, Error> {
        request.check()?;
        let context = request.context.clone();
        let input = self
            .prepare(&context, &request.model, &request.prompt)
            .await?;
        let (own, key) = (request.interventions.clone(), &request.sample_key);
        let compiled = self.compile(&input, own, Vec::new(), key).await?;
        check_plan(&compiled, "interventions")?;
        let (compiled, answers) = self.answers(compiled, &request.metric).await?;
        let answer = answer_of(&request.metric, answers)?;
        // Against the layers that run, which the interventions have decided by now.
        let places = request.places((&compiled.tower_path(), &compiled.decoder_path()))?;
        if places.pixels && compiled.pixels().is_empty() {
            let message = "pixels, but the prompt has no picture";
            return Err(Error::invalid("points", message));
        }
        check_flow(&request, &places, compiled.prompt.ids.len())?;
        let source = match &request.source {
            Some(source) => Some(self.compile_source(&request, &compiled, source).await?),
            None => None,
        };
        let needed = bytes_of(&request, &compiled, &places);
        let limit = self.limits.capture_bytes;
        if needed > limit {
            return Err(Error::CaptureBudget {
                field: "points".into(),
                needed,
                limit,
            });
        }
        // Before anything runs, as for captures.
        let unread = self.unread.reserve(&context.client, needed)?;
        let price = passes(&request, &places) * price_of(&compiled, &answer.0);
        // All passes at once, and not corrected: none of them shares a row with anything.
        if let Some(account) = &context.account {
            account.charge_rows(price)?;
        }
        compiled.count();
        // The price of all passes, in place of that of the prompt alone.
        let started = Started {
            cost: price,
            ..compiled.started()
        };
        Ok(Attribution {
            started,
            request,
            compiled,
            answer,
            places,
            source,
            has_begun: AtomicBool::new(false),
            _unread: unread,
            waiting: VecDeque::new(),
            finished: None,
        })
    }

    /// Compiles the other input, which must have as many rows and views of the same sizes.
    async fn compile_source(
        &self,
        request: &AttributeRequest,
        own: &CompiledRequest,
        source: &AttributionInput,
    ) -> Result<CompiledRequest, Error> {
        let prompt = source.prompt.as_ref().unwrap_or(&request.prompt);
        let input = self.prepare(&request.context, &request.model, prompt).await;
        let input = input.map_err(|e| e.within("source"))?;
        // The same key, so that random choices of both inputs agree where their lists do.
        let (changes, key) = (source.interventions.clone(), &request.sample_key);
        let compiled = self.compile(&input, changes, Vec::new(), key).await;
        let compiled = compiled.map_err(|e| e.within("source"))?;
        check_plan(&compiled, "source.interventions")?;
        let rows = |c: &CompiledRequest| c.prompt.ids.len();
        if rows(&compiled) != rows(own) || sizes(&compiled) != sizes(own) {
            let message = format!(
                "{} tokens, views of {:?}; the request has {}, of {:?}: row by row they are \
                 compared",
                rows(&compiled),
                sizes(&compiled),
                rows(own),
                sizes(own)
            );
            return Err(Error::invalid("source", message));
        }
        Ok(compiled)
    }
}

/// Fails where a plan changes what gradients are not taken through.
fn check_plan(compiled: &CompiledRequest, field: &str) -> Result<(), Error> {
    let plan = &compiled.plan;
    if plan.edits.is_empty() && plan.prunes.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = compiled
        .interventions
        .list()
        .iter()
        .map(Intervention::name)
        .collect();
    let message = format!(
        "{} among them; gradients are taken of runs whose pictures (blank_image, shuffle_patches, \
         occlude_patches), projector (swap_projector) or layers (drop_layers, repeat_layers, \
         exit_early) are changed",
        names.join(", ")
    );
    Err(Error::invalid(field, message))
}

/// Fails where a flow would take too long.
fn check_flow(request: &AttributeRequest, places: &Places, tokens: usize) -> Result<(), Error> {
    let layers = places.points.len();
    let ways = flow::ways(tokens, layers);
    if request.method != AttributionMethod::AttentionFlow || ways <= flow::MOST_WAYS {
        return Ok(());
    }
    let mend = if flow::ways(tokens, 1) > flow::MOST_WAYS {
        "the prompt is too long for one layer"
    } else {
        "choose fewer layers"
    };
    let message = format!(
        "flow from {tokens} tokens through {layers} layers has {ways} ways, all tokens together; \
         at most {} are taken: {mend}",
        flow::MOST_WAYS
    );
    Err(Error::invalid("points", message))
}

/// Returns the tokens whose probability counts for, and the last one that counts against.
fn answer_of(
    metric: &AnswerMetric,
    mut answers: Vec<Vec<u32>>,
) -> Result<(Vec<u32>, Option<u32>), Error> {
    let other = match metric {
        // Both are scored in one run, which can stand for two answers where only the last token
        // differs.
        AnswerMetric::LogprobDifference { .. } => answers.pop(),
        _ => None,
    };
    let answer = answers.pop().unwrap_or_default();
    let Some(mut other) = other else {
        return Ok((answer, None));
    };
    let last = other.pop();
    if other.len() + 1 == answer.len() && answer.starts_with(&other) {
        return Ok((answer, last));
    }
    let message = "the answers differ before their last token; gradients are taken in one run, so \
                   all tokens but the last must be the same";
    Err(Error::invalid("metric.logprob_difference.other", message))
}

impl Attribution {
    /// Returns what is known before anything is computed.
    pub fn started(&self) -> Started {
        self.started
    }

    /// Waits for what happens next.
    pub async fn next(&mut self, runtime: &Runtime) -> Result<AttributionEvent, Error> {
        // All passes at the first call: scores are known with the last one.
        if self.finished.is_none() {
            let finished = Box::pin(self.run(runtime)).await?;
            self.finished = Some(finished);
        }
        if let Some(scores) = self.waiting.pop_front() {
            return Ok(AttributionEvent::Scores(scores));
        }
        let finished = self.finished.clone();
        finished
            .map(AttributionEvent::Finished)
            .ok_or(Error::EngineStopped)
    }

    /// Returns the flow through the patterns that were found, which it takes; on the pool, as it may
    /// take seconds.
    async fn flow(
        &self,
        runtime: &Runtime,
        found: &mut Gradients,
    ) -> Result<Vec<CapturedActivation>, Error> {
        let taps = std::mem::take(&mut found.taps);
        let Some(last) = taps.first().cloned() else {
            return Ok(Vec::new());
        };
        // The row that the answer's first token is read from.
        let row = self.compiled.prompt.ids.len() - 1;
        let price = Price::of_flow(flow::ways(row + 1, taps.len()));
        let work = move || Ok(flow::flow(&taps, row).map_err(model::Error::from)?);
        let client = &self.request.context.client;
        let flows = runtime.turns.run(client, price, work).await?;
        Ok(vec![self.activation(&last, &flows, "attention_flow", 0)?])
    }

    /// Runs to the end and keeps the record alone.
    pub async fn finish(mut self, runtime: &Runtime) -> Result<AttributionFinished, Error> {
        loop {
            if let AttributionEvent::Finished(finished) = self.next(runtime).await? {
                return Ok(finished);
            }
        }
    }

    async fn run(&mut self, runtime: &Runtime) -> Result<AttributionFinished, Error> {
        // The other input's values first: what follows multiplies gradients by differences to them.
        let others = self.source_values(runtime).await?;
        let (mut found, baseline) = if self.request.steps() > 1
            || self.request.method == AttributionMethod::IntegratedGradients
        {
            self.walk(runtime, &others).await?
        } else {
            let input = self.input(self.taps(&others), self.reduction());
            (self.pass(runtime, input).await?, None)
        };
        let scores = match self.request.method {
            AttributionMethod::AttentionFlow => self.flow(runtime, &mut found).await?,
            _ => self.scores(&found)?,
        };
        let mut output = blake3::Hasher::new();
        // In the order in which they are sent.
        for one in &scores {
            output.update(&one.data);
        }
        self.waiting.extend(scores);
        let ids = self.answer.0.iter().copied();
        let tokens = ids.zip(found.logprobs.iter().copied()).collect();
        self.request
            .context
            .metrics
            .count_rows(self.started.cost, 0);
        let recorded = RecordedRequest {
            canonical: self.canonical(),
            sample_key: self.request.sample_key.clone(),
            sampling: None,
        };
        // All that is taken has acted before anything ran.
        let count = self.compiled.interventions.list().len();
        let effects = self.compiled.observed.effects(count);
        Ok(AttributionFinished {
            value: found.value,
            baseline,
            tokens: with_text(&self.compiled.input.model.text, tokens)?,
            rows: self.started.cost,
            provenance: recorded.close(
                &self.compiled,
                &Prefilled::default(),
                &effects,
                output.finalize(),
            ),
        })
    }

    fn canonical(&self) -> String {
        let source = self.source.as_ref().map(CompiledRequest::spelling);
        self.request.canonical(self.compiled.spelling(), source)
    }

    /// Returns the values of the other input at the points, by point.
    async fn source_values(&self, runtime: &Runtime) -> Result<BTreeMap<Point, HostTensor>, Error> {
        let Some(source) = self
            .source
            .as_ref()
            .filter(|_| !self.places.points.is_empty())
        else {
            return Ok(BTreeMap::new());
        };
        // Without the other values: it is these that are read.
        let taps = self.taps(&BTreeMap::new());
        let mut input = self.input_of(source, taps, GradientReduction::Values);
        // Its pixels are at hand without a pass.
        input.pixels_wanted = false;
        let found = self.pass(runtime, input).await?;
        let mut all: BTreeMap<Point, Vec<Tensor>> = BTreeMap::new();
        for tap in found.taps {
            all.entry(tap.point)
                .or_default()
                .push((*tap.gradient).clone());
        }
        // The spans of a call stand end to end, as the point has them.
        let joined = all.into_iter().map(|(point, parts)| {
            let whole = Tensor::cat(&parts, 0).and_then(|t| HostTensor::download(&t));
            Ok((point, whole.map_err(model::Error::from)?))
        });
        joined.collect()
    }

    /// Averages gradients over the middles of equal steps from the baseline to the run.
    async fn walk(
        &self,
        runtime: &Runtime,
        others: &BTreeMap<Point, HostTensor>,
    ) -> Result<(Gradients, Option<f64>), Error> {
        let steps = self.request.steps();
        let share = 1.0 / f64::from(steps);
        // At the answer's own values, whose log-probabilities are reported.
        let mut own = self.at_share(runtime, others, 1.0, false).await?;
        let baseline = match self.request.method {
            AttributionMethod::IntegratedGradients => {
                Some(self.at_share(runtime, others, 0.0, false).await?.value)
            }
            _ => None,
        };
        // Patching goes from the run to the other input, against the way that is integrated.
        let sign = if self.request.method == AttributionMethod::Patching {
            -share
        } else {
            share
        };
        let (mut taps, mut pixels): (Vec<TapGradient>, Vec<HostTensor>) = (Vec::new(), Vec::new());
        for step in 0..steps {
            // The midpoint rule, whose error falls with the square of the steps.
            let middle = (f64::from(step) + 0.5) * share;
            let found = self.at_share(runtime, others, middle, true).await?;
            // Sums alone are kept: the memory does not grow with the steps.
            accumulate(&mut taps, found.taps, sign)?;
            for (i, gradient) in found.pixels.into_iter().enumerate() {
                let sum = pixels.get(i).cloned();
                let sum = maps::add(sum, &gradient, sign).map_err(model::Error::from)?;
                if i < pixels.len() {
                    pixels[i] = sum;
                } else {
                    pixels.push(sum);
                }
            }
        }
        // The values of the run itself, with the gradients of the way.
        (own.taps, own.pixels) = (taps, pixels);
        Ok((own, baseline))
    }

    /// Runs with the point, or the pixels, part of the way from the baseline.
    async fn at_share(
        &self,
        runtime: &Runtime,
        others: &BTreeMap<Point, HostTensor>,
        share: f64,
        with_gradients: bool,
    ) -> Result<Gradients, Error> {
        let taps = if with_gradients {
            self.taps(&BTreeMap::new())
        } else {
            Vec::new()
        };
        let mut input = self.input(taps, GradientReduction::Product);
        input.pixels_wanted = self.places.pixels && with_gradients;
        if let Some(&point) = self.places.points.first() {
            input.blend = Some(Blend {
                point,
                // Without a source the way begins at zeros.
                from: others.get(&point).cloned(),
                share,
            });
        } else {
            let ways = self.pixel_ways()?.into_iter().zip(&mut input.pixels);
            for (way, pixels) in ways {
                // x - (1 - share) (x - baseline).
                let moved = (&**pixels - (way * (1.0 - share)).map_err(model::Error::from)?)
                    .and_then(|moved| HostTensor::download(&moved));
                *pixels = moved.map_err(model::Error::from)?;
            }
        }
        self.pass(runtime, input).await
    }

    /// Returns the ways from the baseline's pixels to those of the run; the baseline without a
    /// source is 0, the mean colour of what the tower was trained on.
    pub(super) fn pixel_ways(&self) -> Result<Vec<Tensor>, Error> {
        let own = self.compiled.pixels().iter();
        let ways = own.enumerate().map(|(i, pixels)| {
            let x = pixels.views.to_dtype(DType::F32)?;
            let other = self
                .source
                .as_ref()
                .and_then(|source| source.pixels().get(i));
            match other {
                Some(other) => &*x - &*other.views.to_dtype(DType::F32)?,
                None => Ok((*x).clone()),
            }
        });
        let ways: Result<_, candle_core::Error> = ways.collect();
        Ok(ways.map_err(model::Error::from)?)
    }

    fn taps(&self, others: &BTreeMap<Point, HostTensor>) -> Vec<Tap> {
        let taps = self.places.points.iter().map(|&point| Tap {
            point,
            other: others.get(&point).cloned(),
        });
        taps.collect()
    }

    fn reduction(&self) -> GradientReduction {
        match self.request.method {
            AttributionMethod::Gradient => GradientReduction::Norm,
            AttributionMethod::GradientValues | AttributionMethod::GradCam => {
                GradientReduction::Whole
            }
            AttributionMethod::GradientTimesInput
            | AttributionMethod::IntegratedGradients
            | AttributionMethod::Patching => GradientReduction::Product,
            AttributionMethod::AttentionRelevance => GradientReduction::Relevance,
            AttributionMethod::AttentionRollout | AttributionMethod::AttentionFlow => {
                GradientReduction::MeanPattern
            }
        }
    }

    fn input(&self, taps: Vec<Tap>, reduction: GradientReduction) -> GradientInput {
        self.input_of(&self.compiled, taps, reduction)
    }

    fn input_of(
        &self,
        compiled: &CompiledRequest,
        taps: Vec<Tap>,
        reduction: GradientReduction,
    ) -> GradientInput {
        let (model, plan) = (&compiled.input.model, &compiled.plan);
        let projector = plan.projector.as_ref().unwrap_or(model.own_projector());
        let pixels = compiled.pixels().iter();
        GradientInput {
            prompt: compiled.prompt.clone(),
            pixels: pixels.map(|p| p.views.clone()).collect(),
            images: compiled.images().to_vec(),
            projector: projector.clone(),
            tower_path: compiled.tower_path(),
            decoder_path: compiled.decoder_path(),
            answer: self.answer.0.clone(),
            objective: match (&self.request.metric, self.answer.1) {
                (_, Some(other)) => Objective::Contrast(other),
                (AnswerMetric::Probability(_), None) => Objective::Probability,
                (_, None) => Objective::LogProb,
            },
            taps,
            reduction,
            pixels_wanted: self.places.pixels,
            blend: None,
        }
    }

    async fn pass(&self, runtime: &Runtime, input: GradientInput) -> Result<Gradients, Error> {
        let (context, model) = (&self.request.context, &self.compiled.input.model);
        let engine = runtime.engine(model);
        let mut engine = engine.on_behalf_of(&context.client, &context.deadline);
        // The first pass is refused where the queue is full, as any request is; those that follow
        // wait, or what was done would be lost.
        if self.has_begun.swap(true, Ordering::Relaxed) {
            engine = engine.patiently();
        }
        let pass = GradientPass::new(Arc::clone(model), input);
        // From here on the engine counts it.
        context.leave_queue();
        Ok(engine.gradients(pass).await?)
    }
}

/// Adds `share` times the gradients of one step to those of the steps before it.
fn accumulate(
    sum: &mut Vec<TapGradient>,
    found: Vec<TapGradient>,
    share: f64,
) -> Result<(), Error> {
    for (i, mut tap) in found.into_iter().enumerate() {
        let before = sum.get(i).map(|tap| tap.gradient.clone());
        let total = maps::add(before, &tap.gradient, share);
        tap.gradient = total.map_err(model::Error::from)?;
        if i < sum.len() {
            sum[i] = tap;
        } else {
            sum.push(tap);
        }
    }
    Ok(())
}

/// Returns the shapes of a request's views, picture by picture.
fn sizes(compiled: &CompiledRequest) -> Vec<Vec<usize>> {
    let pixels = compiled.pixels().iter();
    pixels.map(|p| p.views.dims().to_vec()).collect()
}
