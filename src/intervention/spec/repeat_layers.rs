//! Repeat layers: a run of layers runs again on its own output (layer re-entry, as in SOLAR, Kim et
//! al. 2023, and TroL, Lee et al. 2024).
//!
//! Law: repeating no times changes nothing.

use crate::intervention::compile::{Compiler, Entry, Spec};
use crate::intervention::error::Error;
use crate::intervention::plan::{Resolution, Resolved};
use crate::nn::Stack;

/// Runs layers `first` to `last` again, `times` times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatLayers {
    /// The tower or the language model.
    pub stack: Stack,
    /// Number of the first layer, from 0.
    pub first: u32,
    /// Number of the last layer, at least `first`.
    pub last: u32,
    /// Further passes, at most 16.
    pub times: u32,
}

/// Most further passes.
const MAX_TIMES: u32 = 16;

impl Spec for RepeatLayers {
    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        entry.needs_layers(self.stack, compiler.context)?;
        if self.last < self.first {
            return Err(entry.invalid(
                "last",
                format!("{} is below first, {}", self.last, self.first),
            ));
        }
        if self.times > MAX_TIMES {
            return Err(entry.invalid("times", format!("{} is more than {MAX_TIMES}", self.times)));
        }
        compiler.check_runs(entry, "first", self.stack, self.first as usize)?;
        compiler.check_runs(entry, "last", self.stack, self.last as usize)?;
        let path = compiler.path(self.stack);
        // From the first pass of `first` to the last one of `last`: repetitions nest.
        let at = |layer: u32| path.iter().position(|&l| l == layer as usize);
        let end = path.iter().rposition(|&l| l == self.last as usize);
        let (Some(start), Some(end)) = (at(self.first), end) else {
            return Err(entry.never_fired("its layers do not run"));
        };
        // Not empty: no layer first runs before a lower one, so that `start` is at most `end`.
        let run = &path[start..=end];
        let most = compiler.max_layers(self.stack);
        // Before the list is written out.
        if path.len() + run.len() * self.times as usize > most {
            let message = format!(
                "{} layers would run in all; at most {most} may",
                path.len() + run.len() * self.times as usize
            );
            return Err(entry.invalid("times", message));
        }
        let mut longer = path[..=end].to_vec();
        (0..self.times).for_each(|_| longer.extend(run));
        longer.extend(&path[end + 1..]);
        let fired = (longer.len() - path.len()) as u64;
        let indices = longer.iter().map(|&l| l as u32).collect();
        compiler.set_path(entry, self.stack, longer);
        Ok(Resolved {
            changed_nothing: fired == 0,
            fired: Some(fired),
            resolutions: vec![Resolution::of(0, indices)],
        })
    }
}
