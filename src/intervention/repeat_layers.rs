//! Repeat layers: a run of layers runs again on its own output (layer re-entry, as in SOLAR, Kim et
//! al. 2023, and TroL, Lee et al. 2024).
//!
//! Law: repeating no times changes nothing.

use super::plan::{Resolution, Resolved};
use super::{Compiler, Error, Place};
use crate::nn::Stack;

/// Layers `first` to `last` run `times` times more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatLayers {
    /// The tower or the language model.
    pub stack: Stack,
    /// From 0.
    pub first: u32,
    /// At least `first`.
    pub last: u32,
    /// Passes more.
    pub times: u32,
}

const MOST_TIMES: u32 = 16;

impl RepeatLayers {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        place.needs_layers(self.stack, compiler.context)?;
        if self.last < self.first {
            return Err(place.invalid(
                "last",
                format!("{} is below first, {}", self.last, self.first),
            ));
        }
        if self.times > MOST_TIMES {
            return Err(place.invalid("times", format!("{} is more than {MOST_TIMES}", self.times)));
        }
        compiler.check_runs(place, "first", self.stack, self.first as usize)?;
        compiler.check_runs(place, "last", self.stack, self.last as usize)?;
        let path = compiler.path(self.stack);
        let at = |layer: u32| path.iter().position(|&l| l == layer as usize);
        let end = path.iter().rposition(|&l| l == self.last as usize);
        let (Some(start), Some(end)) = (at(self.first), end) else {
            return Err(place.never_fired("its layers do not run"));
        };
        let run = &path[start..=end];
        let most = compiler.most_layers(self.stack);
        if path.len() + run.len() * self.times as usize > most {
            let message = format!(
                "{} layers would run in all; at most {most} may",
                path.len() + run.len() * self.times as usize
            );
            return Err(place.invalid("times", message));
        }
        let mut longer = path[..=end].to_vec();
        (0..self.times).for_each(|_| longer.extend(run));
        longer.extend(&path[end + 1..]);
        let fired = (longer.len() - path.len()) as u64;
        let indices = longer.iter().map(|&l| l as u32).collect();
        compiler.set_path(place, self.stack, longer);
        Ok(Resolved {
            changed_nothing: fired == 0,
            fired: Some(fired),
            resolutions: vec![Resolution::of(0, indices)],
        })
    }
}
