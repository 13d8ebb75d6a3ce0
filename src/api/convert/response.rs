//! Results of the pipeline to messages.

use super::trace::patch;
use crate::api::{Error, v1};
use crate::pipeline::{
    CaptureFinished, CapturedActivation, ContinuationScore, FinishReason, Finished, GeneratedToken,
    Provenance, ResolvedChoice, ResolvedIntervention, SamplingParams, Scored, SpanKind, Started,
    TokenLogprob, TokenSpan, Usage, Verified,
};

/// Converts what is known once a request is admitted.
pub(in crate::api) fn started(request_id: String, started: Started) -> v1::Started {
    v1::Started {
        request_id,
        prompt_tokens: started.prompt_tokens as u32,
        image_tokens: started.image_tokens as u32,
        cost: started.cost,
    }
}

/// Converts a token of an answer.
pub(in crate::api) fn token(token: GeneratedToken) -> v1::Token {
    v1::Token {
        id: token.id,
        text: token.text,
        logprob: token.logprob,
        top: token_logprobs(token.top),
    }
}

fn token_logprobs(tokens: Vec<TokenLogprob>) -> Vec<v1::TokenLogprob> {
    tokens.into_iter().map(token_logprob).collect()
}

/// Converts a token with its log-probability.
pub(super) fn token_logprob(token: TokenLogprob) -> v1::TokenLogprob {
    v1::TokenLogprob {
        id: token.id,
        text: token.text,
        logprob: token.logprob,
    }
}

/// Converts what an answer took.
pub(in crate::api) fn usage(usage: Usage) -> v1::Usage {
    v1::Usage {
        prompt_tokens: usage.prompt_tokens as u32,
        image_tokens: usage.image_tokens as u32,
        generation_tokens: usage.generation_tokens as u32,
        queue_seconds: usage.queue_seconds,
        time_to_first_token_seconds: usage.time_to_first_token_seconds,
        total_seconds: usage.total_seconds,
        rows_computed: usage.rows_computed,
        rows_reused: usage.rows_reused,
        flops: usage.flops,
        baseline_flops: usage.baseline_flops,
        standalone_flops: usage.standalone_flops,
    }
}

/// Converts the end of an answer. Fails where a record is not the contract's, a fault.
pub(in crate::api) fn finished(finished: Finished) -> Result<v1::Finished, Error> {
    let reason = match finished.reason {
        FinishReason::Eos => v1::FinishReason::Eos,
        FinishReason::Length => v1::FinishReason::Length,
        FinishReason::Stop => v1::FinishReason::Stop,
    };
    Ok(v1::Finished {
        reason: reason.into(),
        text: finished.text,
        usage: Some(usage(finished.usage)),
        provenance: Some(provenance(finished.provenance)?),
    })
}

/// Converts the likelihoods of continuations.
pub(in crate::api) fn scored(scored: Scored) -> Result<v1::ScoreResponse, Error> {
    Ok(v1::ScoreResponse {
        scores: scored.scores.into_iter().map(score).collect(),
        best: scored.best as u32,
        usage: Some(usage(scored.usage)),
        provenance: Some(provenance(scored.provenance)?),
    })
}

fn score(score: ContinuationScore) -> v1::ContinuationScore {
    v1::ContinuationScore {
        tokens: token_logprobs(score.tokens),
        logprob: score.logprob,
        mean_logprob: score.mean_logprob,
        logprob_per_byte: score.logprob_per_byte,
    }
}

/// Converts an activation whole, as one part.
pub(in crate::api) fn activation(activation: CapturedActivation) -> v1::Activation {
    let top = activation.top.into_iter().map(|tokens| v1::TopTokens {
        tokens: token_logprobs(tokens),
    });
    let features = activation.features.into_iter().map(|row| {
        // (feature, value) pairs of a row to a list of each.
        let (features, values) = row.into_iter().unzip();
        v1::TopFeatures { features, values }
    });
    let positions = activation.positions.into_iter().map(|(label, row)| {
        let (tokens, patches) = (vec![row.token], patch(&row).into_iter().collect());
        v1::TracePosition {
            label,
            tokens,
            patches,
            ..v1::TracePosition::default()
        }
    });
    v1::Activation {
        features: features.collect(),
        positions: positions.collect(),
        target: activation.target as u32,
        point: activation.point,
        step: activation.step,
        image: activation.image as u32,
        view: activation.view as u32,
        tokens: activation.tokens,
        shape: activation.shape,
        // Counted before the next line moves the data.
        size: activation.data.len() as u64,
        data: activation.data,
        top: top.collect(),
        ..v1::Activation::default()
    }
}

/// Converts the end of a capture, with the handles of what is kept.
pub(in crate::api) fn capture_finished(
    finished: CaptureFinished,
) -> Result<v1::CaptureFinished, Error> {
    let kept = finished.kept.into_iter().map(|kept| v1::KeptActivation {
        target: kept.target as u32,
        point: kept.point,
        handle: kept.handle,
        shape: kept.shape,
    });
    Ok(v1::CaptureFinished {
        kept: kept.collect(),
        text: finished.text,
        usage: Some(usage(finished.usage)),
        provenance: Some(provenance(finished.provenance)?),
    })
}

/// Converts what a record that ran again has come to.
pub(in crate::api) fn verified(verified: Verified) -> Result<v1::VerifyResponse, Error> {
    // Before `differences` is taken apart, which it is counted by.
    let agrees = verified.agrees();
    let differences = verified.differences.into_iter().map(|d| v1::Difference {
        stage: d.stage,
        recorded: d.recorded,
        found: d.found,
    });
    Ok(v1::VerifyResponse {
        agrees,
        differences: differences.collect(),
        provenance: verified.provenance.map(provenance).transpose()?,
    })
}

/// Converts a record. Its digest is taken already: no value may change here.
pub(in crate::api) fn provenance(record: Provenance) -> Result<v1::Provenance, Error> {
    let stages = record.stages.into_iter().map(|stage| v1::Stage {
        name: stage.name,
        digest: stage.digest,
    });
    Ok(v1::Provenance {
        server_version: record.server_version,
        model: record.model,
        model_digest: record.model_digest,
        dtype: record.dtype,
        device: record.device,
        image_digests: record.image_digests,
        preprocessing: record.preprocessing,
        prompt_text: record.prompt_text,
        template_time: record.template_time,
        layout: record.layout.into_iter().map(span).collect(),
        plan: plan(record.plan)?,
        sampling: record.sampling.map(sampling),
        sample_key: record.sample_key,
        request: record.request,
        stages: stages.collect(),
        output_digest: record.output_digest,
        digest: record.digest,
    })
}

/// Converts resolved interventions, whose canonical JSON came from messages.
pub(in crate::api) fn plan(
    list: Vec<ResolvedIntervention>,
) -> Result<Vec<v1::ResolvedIntervention>, Error> {
    list.into_iter().map(resolved).collect()
}

fn resolved(resolved: ResolvedIntervention) -> Result<v1::ResolvedIntervention, Error> {
    // It was written from a message by `request_interventions`, so that it reads as one.
    let intervention = serde_json::from_value(resolved.intervention);
    let resolutions = resolved.resolutions.into_iter().map(resolution);
    Ok(v1::ResolvedIntervention {
        intervention: Some(intervention.map_err(Error::fault)?),
        resolutions: resolutions.collect(),
        changed_nothing: resolved.changed_nothing,
        fired: resolved.fired,
        relative_change: resolved.relative_change,
    })
}

fn resolution(choice: ResolvedChoice) -> v1::Resolution {
    v1::Resolution {
        image: choice.image,
        indices: choice.indices,
        digest: choice.digest,
        points: choice.points,
        view: choice.view,
    }
}

fn span(span: TokenSpan) -> v1::Span {
    let kind = match span.kind {
        SpanKind::Text => v1::SpanKind::Text,
        SpanKind::BaseView => v1::SpanKind::BaseView,
        SpanKind::Tile => v1::SpanKind::Tile,
        SpanKind::Newline => v1::SpanKind::Newline,
        SpanKind::Pooled => v1::SpanKind::Pooled,
    };
    v1::Span {
        kind: kind.into(),
        start: span.start,
        end: span.end,
        image: span.image,
        grid_rows: span.grid_rows,
        grid_columns: span.grid_columns,
        tile: span.tile,
        row: span.row,
        column: span.column,
    }
}

fn sampling(params: SamplingParams) -> v1::Sampling {
    v1::Sampling {
        temperature: params.temperature,
        top_k: params.top_k,
        top_p: params.top_p,
        seed: params.seed,
        do_sample: params.do_sample,
        min_p: params.min_p,
        typical_p: params.typical_p,
        epsilon_cutoff: params.epsilon_cutoff,
        eta_cutoff: params.eta_cutoff,
        top_h: params.top_h,
        repetition_penalty: params.repetition_penalty,
        no_repeat_ngram_size: params.no_repeat_ngram_size,
        min_tokens: params.min_tokens,
        suppress_tokens: params.suppress_tokens,
        logit_bias: params.logit_bias.into_iter().collect(),
        ignore_generation_config: params.ignore_generation_config,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::Stage;

    #[test]
    fn records_are_the_same_documents_on_both_sides() {
        let resolved = ResolvedIntervention {
            intervention: json!({"permuteTokens": {"seed": "3"}}),
            resolutions: vec![ResolvedChoice {
                image: 1,
                indices: vec![0, 2],
                digest: "d".into(),
                points: vec!["p".into()],
                view: 2,
            }],
            changed_nothing: true,
            fired: u64::MAX,
            relative_change: Some(0.1),
        };
        let record = Provenance {
            server_version: "v".into(),
            model: "m".into(),
            model_digest: "d".into(),
            dtype: "f32".into(),
            device: "cpu".into(),
            image_digests: vec!["i".into()],
            preprocessing: "{}".into(),
            prompt_text: "x".into(),
            template_time: "2026-11-27T09:30:00".into(),
            layout: vec![
                TokenSpan {
                    kind: SpanKind::Tile,
                    start: 1,
                    end: 2,
                    image: 3,
                    grid_rows: 4,
                    grid_columns: 5,
                    tile: 6,
                    row: 7,
                    column: 8,
                },
                TokenSpan::default(),
            ],
            plan: vec![
                resolved,
                ResolvedIntervention {
                    intervention: json!({"blankImage": {}}),
                    ..ResolvedIntervention::default()
                },
            ],
            sampling: Some(SamplingParams {
                seed: Some(7),
                top_p: Some(1.0),
                ..SamplingParams::default()
            }),
            sample_key: "k".into(),
            request: "{}".into(),
            stages: vec![Stage::default()],
            output_digest: "o".into(),
            digest: "g".into(),
        };
        let own = json!(record);
        assert_eq!(json!(provenance(record).unwrap()), own);
        let empty = json!(provenance(Provenance::default()).unwrap());
        assert_eq!(empty, json!(Provenance::default()));
    }
}
