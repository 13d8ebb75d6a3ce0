//! ModelService.CheckParity: a golden set run against a resident model, case by case.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use metrics::gauge;

use super::rpc::ResponseSender;
use super::v1::{
    CheckParityResponse, ParityCase, ParityReport, PointParity, check_parity_response::Event,
};
use super::{Error, State};
use crate::engine::parity::{Comparison, GoldenSet, HALF_TOLERANCE, TOLERANCE, kind};
use crate::model::{Model, device_name};
use crate::pipeline;
use crate::telemetry::names;

type Sender = ResponseSender<CheckParityResponse>;

/// Opens the golden set of a model.
pub(super) fn goldens(model: &Model) -> Result<Arc<GoldenSet>, Error> {
    let set = GoldenSet::of(model, super::interventions_from_json);
    let missing =
        "there is no folder goldens beside its files; tests/goldens/capture.py --model makes one";
    match set {
        Ok(Some(set)) => Ok(Arc::new(set)),
        Ok(None) => Err(no_parity(model, missing)),
        Err(error) => Err(no_parity(model, error)),
    }
}

fn no_parity(model: &Model, reason: impl ToString) -> Error {
    Error::Pipeline(pipeline::Error::Goldens {
        model: model.name.clone(),
        reason: reason.to_string(),
    })
}

/// Compares every case and sends what was found.
pub(super) async fn check(
    state: Arc<State>,
    model: Arc<Model>,
    set: Arc<GoldenSet>,
    sender: Sender,
) -> Result<(), Error> {
    let mut report = Report::new(&model);
    for (i, case) in set.cases.iter().enumerate() {
        let compared = state.engine(&model).parity(model.clone(), set.clone(), i);
        let comparison = compared.await?.map_err(|e| no_parity(&model, e))?;
        let mut found = report.add(&case.name, &comparison);
        (found.done, found.total) = (i as u32 + 1, set.cases.len() as u32);
        let event = Some(Event::Case(found));
        sender.send(CheckParityResponse { event }).await?;
    }
    let report = report.finish(set.reference().unwrap_or_default());
    gauge!(names::PARITY_MAX_RELATIVE_ERROR, "model" => model.name.clone())
        .set(report.max_relative_error);
    let event = Some(Event::Report(report));
    sender.send(CheckParityResponse { event }).await
}

struct Report {
    report: ParityReport,
    points: BTreeMap<String, PointParity>,
}

impl Report {
    fn new(model: &Model) -> Self {
        let report = ParityReport {
            model: model.name.clone(),
            model_digest: model.digest.clone(),
            dtype: model.dtype.as_str().into(),
            device: device_name(&model.device),
            tolerance: if model.dtype == DType::F32 {
                TOLERANCE
            } else {
                HALF_TOLERANCE
            },
            ..Default::default()
        };
        Self {
            report,
            points: BTreeMap::new(),
        }
    }

    fn add(&mut self, case: &str, comparison: &Comparison) -> ParityCase {
        for (point, &(error, values)) in &comparison.points {
            let kind = kind(point);
            let entry = self.points.entry(kind.clone()).or_insert(PointParity {
                name: kind,
                ..Default::default()
            });
            entry.values += values as u64;
            if error >= entry.max_relative_error {
                (entry.max_relative_error, entry.worst_case) = (error, case.to_owned());
            }
        }
        let (error, point) = comparison.worst();
        let same_tokens = comparison.answer == comparison.expected;
        if !same_tokens {
            self.report.other_tokens.push(case.to_owned());
        }
        ParityCase {
            name: case.to_owned(),
            max_relative_error: error,
            worst_hook_point: point.to_owned(),
            same_tokens,
            ..Default::default()
        }
    }

    fn finish(self, reference: String) -> ParityReport {
        let mut report = self.report;
        report.points = self.points.into_values().collect();
        report.max_relative_error = report
            .points
            .iter()
            .map(|p| p.max_relative_error)
            .fold(0.0, f64::max);
        report.passed = report.max_relative_error <= report.tolerance
            && (report.dtype != DType::F32.as_str() || report.other_tokens.is_empty());
        report.reference = reference;
        report
    }
}
