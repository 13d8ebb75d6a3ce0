//! The account of one request: how often each intervention acted, how much it changed, what was captured, who left.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::Plan;
use crate::nn::{Point, Result};

/// What happened so far.
#[derive(Debug, Default)]
pub struct Observed {
    /// One for each intervention.
    pub effects: Vec<Effect>,
    /// What was captured and not yet fetched.
    pub captured: Vec<Captured>,
    /// The visual tokens that left, by intervention; ascending.
    pub pruned: BTreeMap<usize, Vec<u32>>,
    /// The attention that each key received, for a prune of the layer at work.
    pub(super) received: Option<Vec<f32>>,
    /// Sums of squares, still on the device: of what changed and of what was there.
    pending: Vec<(usize, Tensor, Tensor)>,
}

/// What one intervention did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Effect {
    /// How often it acted.
    pub fired: u64,
    /// Sums of squares of what changed and of what was there, where that is known.
    pub sums: Option<(f64, f64)>,
}

impl Effect {
    /// `|after - before| / |before|`; of what was zero before, 0 or infinity.
    pub fn relative_change(self) -> Option<f64> {
        self.sums.map(|(changed, was)| if changed == 0.0 { 0.0 } else { (changed / was).sqrt() })
    }
}

/// Tokens with their log-probabilities, likeliest first.
pub type Likeliest = Vec<(u32, f64)>;

/// Rows taken at a hook point.
#[derive(Debug)]
pub struct Captured {
    /// Position in the request.
    pub target: usize,
    /// Where.
    pub point: Point,
    /// Step of the answer.
    pub step: u32,
    /// Which picture and view.
    pub view: (usize, usize),
    /// Tokens behind the rows.
    pub tokens: Vec<u32>,
    /// The rows, on the CPU once the step is over.
    pub value: Tensor,
    /// For the logit lens: how many tokens; and, once the step is over, the likeliest of each row with their log-probabilities.
    pub lens: Option<(usize, Vec<Likeliest>)>,
}

impl Observed {
    /// Nothing has happened yet but for what compiling did.
    pub(super) fn of(plan: &Plan) -> Self {
        let effect = |r: &super::Resolved| Effect { fired: r.fired.unwrap_or(0), sums: None };
        Self { effects: plan.resolved.iter().map(effect).collect(), ..Self::default() }
    }

    /// Intervention `owner` acted, and changed so much.
    pub(super) fn measured(&mut self, owner: usize, (changed, was): (f64, f64)) {
        if let Some(effect) = self.effects.get_mut(owner) {
            effect.fired += 1;
            let sums = effect.sums.get_or_insert((0.0, 0.0));
            *sums = (sums.0 + changed, sums.1 + was);
        }
    }

    /// Intervention `owner` acted, and nobody knows how much it changed.
    pub(super) fn fired(&mut self, owner: usize) {
        if let Some(effect) = self.effects.get_mut(owner) {
            effect.fired += 1;
        }
    }

    /// Intervention `owner` turned `old` into `new`; the sums stay on the device until [`Self::settle`].
    pub(super) fn changed(&mut self, owner: usize, old: &Tensor, new: &Tensor) -> Result<()> {
        let (old, new) = (old.to_dtype(DType::F64)?, new.to_dtype(DType::F64)?);
        let changed = (new - &old)?.sqr()?.sum_all()?;
        self.pending.push((owner, changed, old.sqr()?.sum_all()?));
        Ok(())
    }

    /// Fetches the sums and the captured rows from the device; once a step.
    pub fn settle(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            let sums = self.pending.iter().flat_map(|(_, a, b)| [a, b]);
            let sums: Vec<f64> = Tensor::stack(&sums.collect::<Vec<_>>(), 0)?.to_vec1()?;
            let owners: Vec<usize> = self.pending.drain(..).map(|(owner, ..)| owner).collect();
            for (owner, sums) in owners.into_iter().zip(sums.chunks_exact(2)) {
                self.measured(owner, (sums[0], sums[1]));
            }
        }
        for captured in &mut self.captured {
            captured.value = captured.value.to_device(&Device::Cpu)?;
        }
        Ok(())
    }
}
