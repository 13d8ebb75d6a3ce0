//! Measures the engine as it serves: sweeps beside their variants one by one, and memory over many
//! requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::Measured;
use super::report::{BenchReport, memory_of};
use crate::api::interventions_from_json;
use crate::cli::error::Failure;
use crate::cli::progress::Progress;
use crate::engine::{ClientId, Deadline, Event, Events, Request, Sampling, Task, Variant};
use crate::intervention::{Context, compile};
use crate::model::{IMAGE_MARKER, Pixels, Rendered};

impl Measured {
    /// Makes a request for `max_tokens` tokens about a picture, under interventions in canonical
    /// JSON.
    fn variant(
        &self,
        seed: usize,
        list: &serde_json::Value,
        max_tokens: usize,
    ) -> Result<Variant, Failure> {
        let model = &self.model;
        let picture = self.picture(seed)?;
        let images = [model.tokens(&picture)];
        let text = format!("{IMAGE_MARKER} Is there a red circle?");
        let (ids, words) = model.tokenize(&Rendered::raw(&text))?;
        let context = Context {
            model,
            images: &images,
            prompt: Some(&words),
            sample_key: "",
            // No intervention here needs anything measured first.
            saliency: &BTreeMap::new(),
            rows: &BTreeMap::new(),
            saliency_digests: &BTreeMap::new(),
            donors: &BTreeMap::new(),
            activations: &BTreeMap::new(),
        };
        let plan = Arc::new(compile(&interventions_from_json(list)?, &context)?);
        let mut pictures = vec![picture];
        let observed = plan.edit_images(&mut pictures, &model.processor);
        let pixels = pictures
            .iter()
            .map(|p| Ok(Pixels::new(model.pixels(p)?)?))
            .collect::<Result<_, Failure>>()?;
        let prompt = model.expand(&ids, &plan.images);
        let work = Task::Generate {
            sampling: Sampling::greedy(),
            max_tokens,
            top_logprobs: 0,
        };
        Ok(Variant {
            edit_keys: plan.edit_keys()?,
            plan,
            observed,
            pixels,
            images: images.to_vec(),
            prompt,
            task: work,
        })
    }

    fn submit(&self, variants: Vec<Variant>) -> Result<Events, Failure> {
        let job = Request {
            model: self.model.clone(),
            client: ClientId::default(),
            variants,
            deadline: Deadline::default(),
        };
        Ok(self.engine.submit(job)?)
    }

    /// Compares sweeps with their variants one by one, each alone and without what is remembered of others.
    pub(super) fn sweeps(&self, report: &mut BenchReport) -> Result<(), Failure> {
        let layers = self.model.decoder.config().num_hidden_layers;
        let drop_one = (0..layers)
            .map(|l| json!([{"dropLayers": {"layers": [l]}}]))
            .collect();
        let permute = (0..16)
            // The contract's JSON has 64-bit numbers as texts.
            .map(|seed| json!([{"permuteTokens": {"seed": seed.to_string()}}]))
            .collect();
        let all: [(&str, Vec<serde_json::Value>); 2] = [
            ("drop one layer", drop_one),
            ("permute visual tokens", permute),
        ];
        for (name, lists) in all {
            let variants = lists.iter().map(|l| self.variant(0, l, 1));
            let variants = || variants.clone().collect::<Result<Vec<_>, _>>();
            self.engine.forget();
            // Another picture first: kernels are warm then, and nothing of the sweep's own is in a
            // cache.
            finish(self.submit(vec![self.variant(1, &json!([]), 1)?])?)?;
            let start = Instant::now();
            let flops = finish(self.submit(variants()?)?)?;
            let together = start.elapsed();
            let start = Instant::now();
            for variant in variants()? {
                // Else each would start from what the one before has computed.
                self.engine.forget();
                finish(self.submit(vec![variant])?)?;
            }
            let ratio = start.elapsed().as_secs_f64() / together.as_secs_f64();
            report.push(
                &format!("sweep: {name}, {} variants", lists.len()),
                together,
                |row| {
                    row.flops = Some(flops as f64);
                    row.note = format!("{ratio:.1} times as fast as one by one");
                },
            );
        }
        Ok(())
    }

    /// Serves `count` requests of many kinds, 16 at once. Returns by how many bytes memory grew
    /// after the first tenth.
    pub(super) fn soak(&self, report: &mut BenchReport, count: usize) -> Result<u64, Failure> {
        let kinds = [
            json!([]),
            json!([{"permuteTokens": {"seed": "1"}}]),
            json!([{"dropLayers": {"layers": [1]}}]),
            json!([{"occludePatches": {"random": {"ratio": 0.5, "seed": "1"}}}]),
            json!([{"pruneTokens": {"layer": 1, "keepShare": 0.5}}]),
        ];
        self.engine.forget();
        let progress = Progress::new(Some(count), "requests");
        let start = Instant::now();
        let mut running: VecDeque<Events> = VecDeque::new();
        let mut settled = 0;
        for i in 0..count {
            // Five kinds and nine lengths have no common factor: all their combinations come.
            let (kind, tokens) = (&kinds[i % kinds.len()], 1 + i % 9);
            running.push_back(self.submit(vec![self.variant(i % 40, kind, tokens)?])?);
            if running.len() >= 16 || i + 1 == count {
                // Behind the last request all are waited for.
                while running.len() > if i + 1 == count { 0 } else { 15 } {
                    if let Some(events) = running.pop_front() {
                        finish(events)?;
                        progress.advance();
                    }
                }
            }
            // From here on caches are full, and what still grows leaks.
            if i == count / 10 {
                settled = memory_of(&self.engine)?.unwrap_or(0);
                report
                    .memory
                    .push(("after a tenth of the requests".into(), settled));
            }
        }
        progress.finish();
        let time = start.elapsed();
        report.push(&format!("{count} requests, 16 at once"), time, |row| {
            row.rate = Some(count as f64 / time.as_secs_f64());
        });
        report.remember("after all requests", &self.engine)?;
        Ok(memory_of(&self.engine)?
            .unwrap_or(0)
            .saturating_sub(settled))
    }
}

/// Waits for the end of a job. Returns the operations that it took, shared ones once.
fn finish(mut events: Events) -> Result<u64, Failure> {
    let mut flops = 0;
    while let Some(told) = events.blocking_recv() {
        if let Event::Token(token) = told.event?
            && token.finish.is_some()
        {
            flops += token.timing.cost.flops;
        }
    }
    Ok(flops)
}
