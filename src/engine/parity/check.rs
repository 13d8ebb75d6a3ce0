//! Compares one case of a golden set with the reference, pass by pass.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;

use candle_core::DType;

use super::golden_set::{Case, Error, GoldenSet, Prepared};
use crate::model::Model;
use crate::nn::HostTensor;

/// Tensors of a case's file that are no hook points.
const NO_POINTS: [&str; 2] = ["input_ids", "greedy"];

/// The result of comparing one case.
#[derive(Debug, Clone)]
pub struct CaseComparison {
    /// Relative error and number of values, by hook point.
    pub points: BTreeMap<String, (f64, usize)>,
    /// The greedy answer of the model.
    pub answer: Vec<u32>,
    /// The greedy answer of the reference.
    pub expected: Vec<u32>,
}

impl CaseComparison {
    /// Returns the largest relative error and its hook point.
    pub fn worst(&self) -> (f64, &str) {
        let mut worst = (0.0, "");
        for (name, &(error, _)) in &self.points {
            // Not `>`: where all errors are 0 some point is named, too.
            if error >= worst.0 {
                worst = (error, name);
            }
        }
        worst
    }
}

impl GoldenSet {
    /// Runs a case and compares it with the reference.
    pub fn compare(&self, model: &Model, case: &Case) -> Result<CaseComparison, Error> {
        let mut check = ParityCheck::of(self, case.clone())?;
        loop {
            if let Some(found) = check.step(model)? {
                return Ok(found);
            }
        }
    }
}

/// A comparison on its way: one whole pass a step.
pub(in crate::engine) struct ParityCheck<G> {
    goldens: G,
    case: Case,
    /// The values of the reference, by name.
    reference: HashMap<String, HostTensor>,
    ids: Vec<u32>,
    expected: Vec<u32>,
    stage: Stage,
}

enum Stage {
    /// Nothing has run.
    Start,
    /// The case is compiled.
    Prepared(Box<Prepared>),
    /// The hook points are compared; the answer is read token by token.
    Answer {
        prepared: Box<Prepared>,
        points: BTreeMap<String, (f64, usize)>,
        /// The prompt and the answer so far.
        ids: Vec<u32>,
    },
}

impl<G: Deref<Target = GoldenSet>> ParityCheck<G> {
    /// Reads the reference's values of case `case`.
    pub(in crate::engine) fn new(goldens: G, case: usize) -> Result<Self, Error> {
        let Some(case) = goldens.cases.get(case).cloned() else {
            return Err(Error::Set(format!("there is no case {case}")));
        };
        Self::of(goldens, case)
    }

    fn of(goldens: G, case: Case) -> Result<Self, Error> {
        let reference = goldens.values(&case)?;
        let ids = integers(&reference, &case, "input_ids")?;
        let expected = integers(&reference, &case, "greedy")?;
        Ok(Self {
            goldens,
            case,
            reference,
            ids,
            expected,
            stage: Stage::Start,
        })
    }

    /// Returns the (row, layer) pairs of all steps, pictures counted as one view each.
    pub(in crate::engine) fn price(&self, model: &Model) -> u64 {
        let passes = 1 + self.expected.len() as u64;
        self.tower_cells(model) + passes * self.pass_cells(model)
    }

    /// Returns the (row, layer) pairs of the next step.
    pub(in crate::engine) fn next_cells(&self, model: &Model) -> u64 {
        match self.stage {
            Stage::Start => self.tower_cells(model),
            Stage::Prepared(_) | Stage::Answer { .. } => self.pass_cells(model),
        }
    }

    fn tower_cells(&self, model: &Model) -> u64 {
        let info = model.tower.info();
        let view = info.view((info.image_size, info.image_size));
        (self.case.images.len() * view.rows * info.layers_run()) as u64
    }

    /// Returns the (row, layer) pairs of a pass, each of which goes through the tower and the whole
    /// prompt: nothing cached is trusted.
    fn pass_cells(&self, model: &Model) -> u64 {
        let layers = model.decoder.config().num_hidden_layers;
        self.tower_cells(model) + (self.ids.len() * layers) as u64
    }

    /// Does the next step, and returns the comparison after the last one.
    pub(in crate::engine) fn step(
        &mut self,
        model: &Model,
    ) -> Result<Option<CaseComparison>, Error> {
        // Taken out, so that its parts move on to the next stage; after an error the check begins
        // anew.
        match std::mem::replace(&mut self.stage, Stage::Start) {
            Stage::Start => {
                self.stage = Stage::Prepared(Box::new(self.prepare(model)?));
            }
            Stage::Prepared(prepared) => {
                self.stage = Stage::Answer {
                    points: self.points(model, &prepared)?,
                    ids: prepared.prompt.ids.clone(),
                    prepared,
                };
            }
            Stage::Answer {
                prepared,
                points,
                mut ids,
            } => {
                let prompt = prepared.prompt.ids.len();
                let is_short = ids.len() - prompt < self.expected.len();
                let next = if is_short {
                    prepared.next_token(model, &ids)?
                } else {
                    None
                };
                ids.extend(next);
                if next.is_none() || ids.len() - prompt == self.expected.len() {
                    return Ok(Some(CaseComparison {
                        points,
                        answer: ids.split_off(prompt),
                        expected: std::mem::take(&mut self.expected),
                    }));
                }
                self.stage = Stage::Answer {
                    prepared,
                    points,
                    ids,
                };
            }
        }
        Ok(None)
    }

    fn prepare(&self, model: &Model) -> Result<Prepared, Error> {
        let prepared = self.goldens.prepare(model, &self.case)?;
        // Other ids would make every hook point differ, and hide the reason.
        if prepared.prompt.ids != self.ids {
            return Err(self.error(&format!(
                "{} token ids, the reference has {}, or others",
                prepared.prompt.ids.len(),
                self.ids.len()
            )));
        }
        Ok(prepared)
    }

    /// Compares all hook points of one whole pass.
    fn points(
        &self,
        model: &Model,
        prepared: &Prepared,
    ) -> Result<BTreeMap<String, (f64, usize)>, Error> {
        let values = prepared.values(model)?;
        let mut points = BTreeMap::new();
        // The points of the reference: a set need not have all of them.
        for (name, expected) in &self.reference {
            if NO_POINTS.contains(&name.as_str()) {
                continue;
            }
            let expected = expected.flatten_all()?.to_vec1::<f32>()?;
            let found = values
                .get(name)
                .ok_or_else(|| self.error(&format!("{name} never fired")))?;
            if found.len() != expected.len() {
                return Err(self.error(&format!(
                    "{name}: {} values, the reference has {}",
                    found.len(),
                    expected.len()
                )));
            }
            let error = relative_error(found, &expected);
            points.insert(name.clone(), (error, expected.len()));
        }
        Ok(points)
    }

    fn error(&self, message: &str) -> Error {
        Error::Set(format!("{}: {message}", self.case.name))
    }
}

fn integers(
    reference: &HashMap<String, HostTensor>,
    case: &Case,
    name: &str,
) -> Result<Vec<u32>, Error> {
    let tensor = reference
        .get(name)
        .ok_or_else(|| Error::Set(format!("{}: {name} is missing", case.name)))?;
    Ok(tensor.to_dtype(DType::U32)?.to_vec1()?)
}

/// Computes `|found - expected| / |expected|` in the Euclidean norm; NaN counts as infinite.
pub(super) fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let difference = found
        .iter()
        .zip(expected)
        .map(|(a, b)| f64::from(*a) - f64::from(*b));
    let size = norm(expected.iter().map(|b| f64::from(*b)));
    // Where the reference is 0 any difference is infinite, and none is 0.
    let error = norm(difference) / size.max(f64::MIN_POSITIVE);
    if error.is_nan() { f64::INFINITY } else { error }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
