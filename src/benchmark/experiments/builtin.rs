//! The experiments inside the program: those of Lee et al. 2024, which name its section, and others.

use super::plan::experiment;
use super::spec::Experiment;

const FILES: &[&str] = &[
    include_str!("information-loss.json"),
    include_str!("information-loss-pooled.json"),
    include_str!("permutation.json"),
    include_str!("shuffled-grid.json"),
    include_str!("blind.json"),
    include_str!("occlusion.json"),
    include_str!("layers.json"),
    include_str!("importance-layers.json"),
    include_str!("importance-geometries.json"),
    include_str!("importance-groups.json"),
    include_str!("pruning.json"),
    include_str!("depth.json"),
];

/// Returns the experiments inside the program.
pub fn experiments() -> Result<Vec<Experiment>, String> {
    FILES.iter().map(|text| experiment(text)).collect()
}
