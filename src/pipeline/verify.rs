//! Verify: a record is run again, and compared stage by stage.

use std::sync::Arc;

use super::attribute::AttributeRequest;
use super::error::Error;
use super::output::{Difference, Verified};
use super::record::{Provenance, Recorded, canonical};
use super::request::{CaptureRequest, GenerateRequest, ScoreRequest};
use super::runtime::Runtime;
use super::trace::TraceRequest;
use crate::model::Model;
use crate::telemetry;

/// Names the only difference that does not speak of bits.
const SERVER_VERSION: &str = "server_version";

/// A request that a record holds.
#[derive(Debug)]
pub enum Replay {
    /// Repeats an answer.
    Generate(GenerateRequest),
    /// Repeats likelihoods.
    Score(ScoreRequest),
    /// Repeats activations.
    Capture(CaptureRequest),
    /// Repeats a grid of patched runs.
    Trace(Box<TraceRequest>),
    /// Repeats attributions.
    Attribute(Box<AttributeRequest>),
}

/// Asks whether a record can be repeated.
#[derive(Debug)]
pub struct VerifyRequest {
    /// The model that the record names.
    pub model: Arc<Model>,
    /// The record.
    pub record: Recorded,
    /// The request that it holds, its pictures put back; not looked at where the model is another.
    pub replay: Result<Replay, Error>,
}

impl Runtime {
    /// Runs a record again where the model is the same, and returns what differs.
    pub async fn verify(&self, request: VerifyRequest) -> Result<Verified, Error> {
        let VerifyRequest {
            model,
            record,
            replay,
        } = request;
        let mut verified = Verified::default();
        compare_setting(&mut verified, &record, &model);
        // The bits of another model or type say nothing about the record, and cost as much.
        let same =
            record.model_digest == model.digest && record.dtype == model.weight_format().name();
        if same {
            let found = match replay? {
                Replay::Generate(request) => {
                    self.generate(request).await?.finish().await?.provenance
                }
                Replay::Score(request) => self.score(request).await?.provenance,
                Replay::Capture(request) => {
                    let capture = self.capture(request).await?;
                    capture.finish(self).await?.provenance
                }
                Replay::Trace(request) => {
                    let trace = Box::pin(self.trace(*request)).await?;
                    Box::pin(trace.finish(self)).await?.provenance
                }
                Replay::Attribute(request) => {
                    let attribution = self.attribute(*request).await?;
                    attribution.finish(self).await?.provenance
                }
            };
            compare_saes(&mut verified, &record, &found, &model);
            compare_run(&mut verified, &record, &found);
            verified.provenance = Some(found);
        }
        // A record that says a stage twice differs once.
        verified.differences.dedup_by(|a, b| a.stage == b.stage);
        Ok(verified)
    }
}

/// Compares what a record was made on.
fn compare_setting(verified: &mut Verified, record: &Recorded, model: &Model) {
    let device = model.device.to_string();
    for (stage, recorded, found) in [
        // A record that somebody has edited names another digest than it has.
        ("record", &record.digest, &*record.own_digest),
        (SERVER_VERSION, &record.server_version, telemetry::VERSION),
        ("model_digest", &record.model_digest, &model.digest),
        ("dtype", &record.dtype, model.weight_format().name()),
        ("device", &record.device, &device),
    ] {
        verified.compare(stage, recorded, found);
    }
}

/// Compares the autoencoders whose features were set: the plan has their digests alone, from which
/// nobody could tell which one to load.
fn compare_saes(verified: &mut Verified, record: &Recorded, found: &Provenance, model: &Model) {
    // As JSON, as the record's is: that may come from another version.
    let own = serde_json::to_value(&found.plan).unwrap_or_default();
    for (i, entry) in record.plan.iter().enumerate() {
        let set = &entry["intervention"]["setFeature"];
        let [needed, there] = [entry, &own[i]].map(|e| e["resolutions"][0]["digest"].as_str());
        let (Some(needed), Some(there)) = (needed, there) else {
            continue;
        };
        if set.is_null() || needed == there {
            continue;
        }
        let asked = set["sae"].as_str().unwrap_or("the only one of its model");
        let point = &entry["resolutions"][0]["points"][0];
        let elsewhere = name_of_sae(model, needed).map_or(String::new(), |name| {
            format!("; the recorded one is resident as {name}")
        });
        let name = name_of_sae(model, there).unwrap_or_else(|| asked.to_owned());
        let found = format!("{name}, digest {there}{elsewhere}");
        let recorded = format!("{asked}, set at {point}, digest {needed}");
        verified.compare("sae", &recorded, &found);
    }
}

/// Returns the name of the resident autoencoder of that digest.
fn name_of_sae(model: &Model, digest: &str) -> Option<String> {
    let mut all = model.sparse_autoencoders().into_iter();
    let found = all.find(|(_, sae)| sae.digest() == digest);
    found.map(|(name, _)| name)
}

/// Compares what came out, in data-path order.
fn compare_run(verified: &mut Verified, record: &Recorded, found: &Provenance) {
    let (recorded, own) = (&record.preprocessing, &found.preprocessing);
    verified.compare("preprocessing", recorded, own);
    verified.compare("plan", &canonical(&record.plan), &canonical(&found.plan));
    // By the record's stages: one that an older version did not have is not missed in it.
    for stage in &record.stages {
        let mut own = found.stages.iter();
        let own = own.find(|own| own.name == stage.name);
        let own = own.map_or("missing", |own| &own.digest);
        verified.compare(&stage.name, &stage.digest, own);
    }
    verified.compare("output", &record.output_digest, &found.output_digest);
    // The request itself, where only that differs.
    verified.compare("request", &record.request, &found.request);
}

impl Verified {
    /// Reports whether every digest is the same. A record of another version agrees if its bits do;
    /// the version is still among the differences.
    pub fn agrees(&self) -> bool {
        self.differences.iter().all(|d| d.stage == SERVER_VERSION)
    }

    fn compare(&mut self, stage: &str, recorded: &str, found: &str) {
        if recorded != found {
            self.differences.push(Difference {
                stage: stage.into(),
                recorded: recorded.into(),
                found: found.into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SERVER_VERSION, Verified};

    #[test]
    fn another_version_alone_agrees() {
        let mut verified = Verified::default();
        verified.compare(SERVER_VERSION, "0.1.0", "0.2.0");
        assert!(verified.agrees() && verified.differences.len() == 1);
        verified.compare("output", "a", "b");
        assert!(!verified.agrees());
    }
}
