//! Runs a golden set against a resident model, case by case.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use metrics::gauge;

use super::error::Error;
use super::request_context::RequestContext;
use super::runtime::Runtime;
use crate::engine::parity::{CaseComparison, GoldenSet, HALF_TOLERANCE, Reader, TOLERANCE, kind};
use crate::model::Model;
use crate::telemetry::{model_label, names};
use crate::weights::WeightFormat;

/// Compares a model with its golden set.
#[derive(Debug)]
pub struct ParityCheck {
    /// The caller, to whom it is charged, and its deadline.
    context: RequestContext,
    model: Arc<Model>,
    goldens: Arc<GoldenSet>,
    /// Holds the points of all cases so far, by kind.
    points: BTreeMap<String, PointParity>,
    /// Names the cases that answered in other tokens than the reference.
    other_tokens: Vec<String>,
    next: usize,
}

/// Says how far hook points of one kind are from the reference.
#[derive(Debug, Clone, Default)]
pub struct PointParity {
    /// Names the kind.
    pub name: String,
    /// Counts the values compared.
    pub values: u64,
    /// Measures the largest relative error.
    pub max_relative_error: f64,
    /// Names the case that has it.
    pub worst_case: String,
}

/// Reports one case.
#[derive(Debug)]
pub struct ParityCase {
    /// Names it.
    pub name: String,
    /// Counts the cases done, this one included.
    pub done: usize,
    /// Counts all cases.
    pub total: usize,
    /// Measures the largest relative error.
    pub max_relative_error: f64,
    /// Names the hook point that has it.
    pub worst_hook_point: String,
    /// Reports whether the answer has the tokens of the reference.
    pub same_tokens: bool,
}

/// Sums up a check.
#[derive(Debug)]
pub struct ParityReport {
    /// Names what the golden set was made by.
    pub reference: String,
    /// Bounds the relative error.
    pub tolerance: f64,
    /// Measures the largest relative error.
    pub max_relative_error: f64,
    /// Reports whether it is within bounds, and in full precision all tokens are the same.
    pub passed: bool,
    /// Lists the kinds of hook points.
    pub points: Vec<PointParity>,
    /// Names the cases that answered in other tokens.
    pub other_tokens: Vec<String>,
}

impl ParityCheck {
    /// Opens the golden set beside the files of `model`, whose interventions `read` converts.
    pub fn open(context: RequestContext, model: Arc<Model>, read: Reader) -> Result<Self, Error> {
        let goldens = GoldenSet::of(&model, read).map_err(|e| unusable(&model, e.to_string()))?;
        let goldens = goldens.ok_or_else(|| {
            let reason = "there is no folder goldens beside its files; \
                          tests/goldens/capture.py --model makes one";
            unusable(&model, reason.into())
        })?;
        Ok(Self {
            context,
            model,
            goldens: Arc::new(goldens),
            points: BTreeMap::new(),
            other_tokens: Vec::new(),
            next: 0,
        })
    }

    /// Compares the next case; `None` after the last.
    pub async fn next(&mut self, runtime: &Runtime) -> Result<Option<ParityCase>, Error> {
        let Some(case) = self.goldens.cases.get(self.next) else {
            return Ok(None);
        };
        let (name, context) = (case.name.clone(), &self.context);
        let engine = runtime.engine(&self.model);
        let mut engine = engine.on_behalf_of(&context.client, &context.deadline);
        // The first case is refused where the queue is full, as any request is; those that follow
        // wait, or what was compared would be lost.
        if self.next > 0 {
            engine = engine.patiently();
        }
        // From here on the engine counts it.
        context.leave_queue();
        let compared = engine.parity(self.model.clone(), self.goldens.clone(), self.next);
        let comparison = compared.await?;
        let comparison = comparison.map_err(|e| unusable(&self.model, e.to_string()))?;
        self.next += 1;
        Ok(Some(self.add(name, &comparison)))
    }

    fn add(&mut self, case: String, comparison: &CaseComparison) -> ParityCase {
        for (point, &(error, values)) in &comparison.points {
            let kind = kind(point);
            let entry = self.points.entry(kind.clone()).or_default();
            entry.name = kind;
            entry.values += values as u64;
            // Not `>`: a point without any error should name a case, too.
            if error >= entry.max_relative_error {
                (entry.max_relative_error, entry.worst_case) = (error, case.clone());
            }
        }
        let (error, point) = comparison.worst();
        let same_tokens = comparison.answer == comparison.expected;
        if !same_tokens {
            self.other_tokens.push(case.clone());
        }
        ParityCase {
            name: case,
            done: self.next,
            total: self.goldens.cases.len(),
            max_relative_error: error,
            worst_hook_point: point.to_owned(),
            same_tokens,
        }
    }

    /// Sums up the cases so far.
    pub fn finish(self) -> ParityReport {
        let is_full_precision = self.model.weight_format() == WeightFormat::Dtype(DType::F32);
        let tolerance = if is_full_precision {
            TOLERANCE
        } else {
            HALF_TOLERANCE
        };
        let points: Vec<PointParity> = self.points.into_values().collect();
        let errors = points.iter().map(|p| p.max_relative_error);
        let max_relative_error = errors.fold(0.0, f64::max);
        gauge!(names::PARITY_MAX_RELATIVE_ERROR, "model" => model_label(&self.model.name))
            .set(max_relative_error);
        // In half precision a tie of two tokens can fall either way.
        let tokens_agree = !is_full_precision || self.other_tokens.is_empty();
        ParityReport {
            reference: self.goldens.reference().unwrap_or_default(),
            tolerance,
            max_relative_error,
            passed: max_relative_error <= tolerance && tokens_agree,
            points,
            other_tokens: self.other_tokens,
        }
    }
}

fn unusable(model: &Model, reason: String) -> Error {
    Error::Goldens {
        model: model.name.clone(),
        reason,
    }
}
