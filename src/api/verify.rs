//! Verify: a record is run again, and compared stage by stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Error, State, answer, capture, prompt, provenance, score, v1};
use crate::pipeline::RequestContext;

/// A recorded request, its pictures put back.
#[expect(clippy::large_enum_variant, reason = "one at a time, never kept")]
enum Recorded {
    Generate(v1::GenerateRequest),
    Score(v1::ScoreRequest),
    Capture(v1::CaptureRequest),
}

pub(super) async fn verify(
    state: &Arc<State>,
    mut call: RequestContext,
    request: v1::VerifyRequest,
) -> Result<v1::VerifyResponse, Error> {
    let record = request
        .provenance
        .ok_or_else(|| Error::invalid("provenance", "unset; a record is needed"))?;
    let model = state.models.get(&record.model)?;
    call.metrics.set_model(&model.name);
    let mut response = v1::VerifyResponse::default();
    let mut compare = |stage: &str, recorded: &str, found: &str| {
        if recorded != found {
            let (stage, recorded, found) = (stage.into(), recorded.into(), found.into());
            response.differences.push(v1::Difference {
                stage,
                recorded,
                found,
            });
        }
    };
    compare("record", &record.digest, &provenance::digest(&record));
    compare(
        "server_version",
        &record.server_version,
        crate::telemetry::VERSION,
    );
    compare("model_digest", &record.model_digest, &model.digest);
    compare("dtype", &record.dtype, model.dtype.as_str());
    compare(
        "device",
        &record.device,
        &crate::model::device_name(&model.device),
    );
    if !record.template_time.is_empty() {
        let wrong = |e: jiff::Error| Error::Record(format!("template_time: {e}"));
        call.time = Some(record.template_time.parse().map_err(wrong)?);
    }
    let same = record.model_digest == model.digest && record.dtype == model.dtype.as_str();
    if same {
        let found = match recorded(&record, request.images)? {
            Recorded::Generate(request) => answer::whole(state, &call, request).await?.provenance,
            Recorded::Score(request) => score::whole(state, &call, request).await?.provenance,
            Recorded::Capture(request) => capture::whole(state, &call, request).await?.provenance,
        };
        let found = found.unwrap_or_default();
        compare("preprocessing", &record.preprocessing, &found.preprocessing);
        compare(
            "plan",
            &provenance::canonical(&record.plan),
            &provenance::canonical(&found.plan),
        );
        let stages: BTreeMap<&str, &str> = found
            .stages
            .iter()
            .map(|s| (s.name.as_str(), s.digest.as_str()))
            .collect();
        for stage in &record.stages {
            compare(
                &stage.name,
                &stage.digest,
                stages
                    .get(stage.name.as_str())
                    .copied()
                    .unwrap_or("missing"),
            );
        }
        compare("output", &record.output_digest, &found.output_digest);
        // The request itself, where only that differs.
        compare("request", &record.request, &found.request);
        response.provenance = Some(found);
    }
    response.differences.dedup_by(|a, b| a.stage == b.stage);
    response.agrees = response.differences.is_empty();
    Ok(response)
}

fn recorded(record: &v1::Provenance, images: Vec<v1::Image>) -> Result<Recorded, Error> {
    let bad = |e: serde_json::Error| Error::Record(format!("request: {e}"));
    let json: Value = serde_json::from_str(&record.request).map_err(bad)?;
    let (method, request) = match json
        .as_object()
        .map(|o| o.iter().collect::<Vec<_>>())
        .as_deref()
    {
        Some([(method, request)]) => ((*method).clone(), (*request).clone()),
        _ => {
            return Err(Error::Record(
                "request: one method with its request is needed, as a record has it".into(),
            ));
        }
    };
    let mut recorded = match method.as_str() {
        "Generate" => Recorded::Generate(serde_json::from_value(request).map_err(bad)?),
        "Score" => Recorded::Score(serde_json::from_value(request).map_err(bad)?),
        "Capture" => Recorded::Capture(serde_json::from_value(request).map_err(bad)?),
        other => {
            return Err(Error::Record(format!(
                "request: method {other:?}; Generate, Score or Capture is needed"
            )));
        }
    };
    let mut by_digest: BTreeMap<String, v1::Image> = BTreeMap::new();
    for image in images {
        if let Some(v1::image::Source::Data(data)) = &image.source {
            by_digest.insert(blake3::hash(data).to_hex().to_string(), image);
        }
    }
    let prompt = match &mut recorded {
        Recorded::Generate(request) => request.prompt.as_mut(),
        Recorded::Score(request) => request.prompt.as_mut(),
        Recorded::Capture(request) => request.prompt.as_mut(),
    };
    for image in prompt.into_iter().flat_map(prompt::images_mut) {
        let Some(v1::image::Source::Handle(handle)) = &image.source else {
            continue;
        };
        if let Some(sent) = by_digest.get(handle) {
            *image = sent.clone();
        }
    }
    Ok(recorded)
}
