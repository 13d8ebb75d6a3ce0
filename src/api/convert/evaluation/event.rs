//! Results of a run to messages, and known results back.

use crate::api::v1::evaluate_response::Event;
use crate::api::{convert, v1};
use crate::benchmark::{ItemLabel, Verdict};
use crate::evaluate::{
    Answer, EvaluationEvent, EvaluationFinished, EvaluationSpec, ItemResult, KnownResult,
    OptionScore, VariantComparison, VariantMetric,
};
use crate::pipeline::{self, Usage};

/// Converts what a run reports; `error` makes the message of an item that failed.
pub(in crate::api) fn event(
    spec: &EvaluationSpec,
    event: EvaluationEvent,
    error: impl FnOnce(&pipeline::Error) -> v1::SweepError,
) -> Event {
    match event {
        EvaluationEvent::Result(result) => Event::Result(result_of(spec, result, error)),
        EvaluationEvent::Settled(questions) => Event::Settled(v1::EvaluateSettled { questions }),
        EvaluationEvent::Progress { results, metrics } => Event::Progress(v1::EvaluateProgress {
            results,
            metrics: metrics.into_iter().map(|m| metric(spec, m)).collect(),
        }),
        EvaluationEvent::Finished(done) => Event::Finished(finished(spec, done)),
    }
}

fn result_of(
    spec: &EvaluationSpec,
    result: ItemResult,
    error: impl FnOnce(&pipeline::Error) -> v1::SweepError,
) -> v1::SampleResult {
    // The label is shared by all variants of an item.
    let ItemLabel {
        id,
        category,
        group,
    } = (*result.label).clone();
    let variant = result.variant.map(|v| spec.variants[v].name.clone());
    let mut message = v1::SampleResult {
        id,
        variant: variant.unwrap_or_default(),
        category,
        group,
        ..v1::SampleResult::default()
    };
    match result.outcome {
        Ok(answer) => set_answer(&mut message, answer),
        Err(cause) => message.error = Some(error(&cause)),
    }
    message
}

fn set_answer(message: &mut v1::SampleResult, answer: Answer) {
    set_verdict(message, answer.verdict);
    message.text = answer.text;
    message.answer = answer.answer;
    message.logprob = answer.logprob;
    message.review = answer.review;
    message.record_digest = answer.record_digest;
    message.output_digest = answer.output_digest;
    message.usage = answer.usage.map(convert::usage);
    let options = answer.options.into_iter().map(|option| v1::OptionScore {
        option: option.option,
        logprob: option.logprob,
        mean_logprob: option.mean_logprob,
    });
    message.options = options.collect();
}

fn set_verdict(message: &mut v1::SampleResult, verdict: Verdict) {
    let code = match verdict {
        Verdict::Correct => v1::Verdict::Right,
        Verdict::Wrong => v1::Verdict::Wrong,
        Verdict::Unparsed => v1::Verdict::Unparsed,
        Verdict::Unjudged => v1::Verdict::Unjudged,
        Verdict::Graded { grade, of } => {
            (message.grade, message.grade_of) = (grade, of);
            v1::Verdict::Graded
        }
    };
    message.verdict = code.into();
}

/// Converts a result of an earlier run.
pub(in crate::api) fn known(message: v1::SampleResult) -> KnownResult {
    let verdict = verdict_of(&message);
    let v1::SampleResult {
        id,
        variant,
        category,
        group,
        text,
        answer,
        options,
        record_digest,
        output_digest,
        usage,
        review,
        logprob,
        ..
    } = message;
    let options = options.into_iter().map(|option| OptionScore {
        option: option.option,
        logprob: option.logprob,
        mean_logprob: option.mean_logprob,
    });
    KnownResult {
        variant,
        label: ItemLabel {
            id,
            category,
            group,
        },
        // Without a verdict it was an error, and is asked again.
        answer: verdict.map(|verdict| Answer {
            text,
            answer,
            verdict,
            logprob,
            options: options.collect(),
            review,
            record_digest,
            output_digest,
            usage: usage.map(usage_of),
        }),
    }
}

/// Returns the verdict of a result, unless it is an error.
pub fn verdict_of(message: &v1::SampleResult) -> Option<Verdict> {
    match v1::Verdict::try_from(message.verdict) {
        Ok(v1::Verdict::Right) => Some(Verdict::Correct),
        Ok(v1::Verdict::Wrong) => Some(Verdict::Wrong),
        Ok(v1::Verdict::Unparsed) => Some(Verdict::Unparsed),
        Ok(v1::Verdict::Unjudged) => Some(Verdict::Unjudged),
        Ok(v1::Verdict::Graded) => {
            // A file can be edited: grades stay within those that a judge can give, and what is no
            // number, which JSON may say as "NaN", is none of them.
            if !message.grade.is_finite() {
                return None;
            }
            // A grade is divided by it.
            let of = if message.grade_of > 0.0 {
                message.grade_of.min(10.0)
            } else {
                1.0
            };
            let grade = message.grade.clamp(0.0, 10.0);
            Some(Verdict::Graded { grade, of })
        }
        Ok(v1::Verdict::Unspecified) | Err(_) => None,
    }
}

fn finished(spec: &EvaluationSpec, done: EvaluationFinished) -> v1::EvaluateFinished {
    let (metrics, comparisons) = (done.metrics.into_iter(), done.comparisons.into_iter());
    v1::EvaluateFinished {
        results: done.results,
        failed: done.failed,
        metrics: metrics.map(|m| metric(spec, m)).collect(),
        comparisons: comparisons.map(|c| comparison(spec, &c)).collect(),
        rows_computed: done.rows_computed,
        total_seconds: done.total_seconds,
    }
}

fn metric(spec: &EvaluationSpec, found: VariantMetric) -> v1::BenchmarkMetric {
    let VariantMetric { variant, metric } = found;
    v1::BenchmarkMetric {
        variant: spec.variants[variant].name.clone(),
        name: metric.name,
        value: metric.value,
        low: metric.interval.0,
        high: metric.interval.1,
        most: metric.most,
        n: metric.n as u64,
        unparsed: metric.unparsed as u64,
    }
}

fn comparison(spec: &EvaluationSpec, found: &VariantComparison) -> v1::Comparison {
    let own = &found.comparison;
    v1::Comparison {
        variant: spec.variants[found.variant].name.clone(),
        n: own.n as u64,
        better: own.better as u64,
        worse: own.worse as u64,
        difference: own.difference,
        low: own.interval.0,
        high: own.interval.1,
        p: own.p,
    }
}

fn usage_of(message: v1::Usage) -> Usage {
    Usage {
        prompt_tokens: message.prompt_tokens as usize,
        image_tokens: message.image_tokens as usize,
        generation_tokens: message.generation_tokens as usize,
        queue_seconds: message.queue_seconds,
        time_to_first_token_seconds: message.time_to_first_token_seconds,
        total_seconds: message.total_seconds,
        rows_computed: message.rows_computed,
        rows_reused: message.rows_reused,
        flops: message.flops,
        baseline_flops: message.baseline_flops,
        standalone_flops: message.standalone_flops,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grade_is_a_number_that_a_judge_can_give() {
        for (grade, grade_of, expected) in [
            ("7", "8", Some((7.0, 8.0))),
            ("70", "NaN", Some((10.0, 1.0))),
            ("NaN", "8", None),
            ("-Infinity", "8", None),
        ] {
            let json = serde_json::json!({
                "verdict": "VERDICT_GRADED", "grade": grade, "gradeOf": grade_of,
            });
            let message: v1::SampleResult = serde_json::from_value(json).unwrap();
            let expected = expected.map(|(grade, of)| Verdict::Graded { grade, of });
            assert_eq!(verdict_of(&message), expected, "{grade}");
        }
    }
}
