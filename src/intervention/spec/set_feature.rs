//! Set feature: features of a sparse autoencoder are clamped, scaled, added to or removed, and what
//! it does not explain of a row stays (Templeton et al. 2024; Marks et al. 2025).
//!
//! `x + sum of (new - old) d`, d the features' rows of the decoder. Laws: a feature that is set to
//! the value that it has changes no bit; adding 0 and scaling by 1 change nothing.

use crate::intervention::compile::{Compiler, Entry, MAX_FACTOR, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{FeatureChange, FeatureEdit, Operation, Resolved};
use crate::model;

/// Most features of one intervention.
const MAX_FEATURES: usize = 1024;

/// Gives features other values.
#[derive(Debug, Clone, PartialEq)]
pub struct SetFeature {
    /// The rows that it acts on.
    pub target: Target,
    /// The name of the autoencoder; the only one where it is empty.
    pub sae: String,
    /// The features.
    pub features: Vec<u32>,
    /// Says what each becomes.
    pub change: FeatureChange,
}

impl Spec for SetFeature {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        match self.change {
            FeatureChange::Clamp(value) => entry.check_factor("clamp", value, -MAX_FACTOR)?,
            FeatureChange::Scale(value) => entry.check_factor("scale", value, -MAX_FACTOR)?,
            FeatureChange::Add(value) => entry.check_factor("add", value, -MAX_FACTOR)?,
            FeatureChange::Ablate => {}
        }
        let sae = entry.sae("sae", &self.sae, compiler.context.model)?;
        self.check_features(entry, sae.features())?;
        let target = self.target.resolve(entry, "target", compiler)?;
        entry.check_width("target.point", &target, &sae)?;
        for (name, chosen) in [
            ("heads", &self.target.heads),
            ("dimensions", &self.target.dimensions),
        ] {
            if !chosen.is_empty() {
                let message = "a feature is of a whole row; leave it empty";
                return Err(entry.invalid(&format!("target.{name}"), message));
            }
        }
        let Some(directions) = sae.directions(&self.features) else {
            let message = format!(
                "a transcoder writes elsewhere than it reads ({}): its features can be captured, \
                 not set",
                sae.point()
            );
            return Err(entry.invalid("sae", message));
        };
        // Once for all points: they share the directions, and their copy on the device.
        let edit = FeatureEdit {
            directions: directions.map_err(model::Error::from)?,
            features: self.features.clone().into(),
            change: self.change,
            sae,
        };
        let digest = edit.sae.digest().to_owned();
        let mut resolved = target.edit(entry, compiler, |_| Operation::SetFeature(edit.clone()));
        for resolution in &mut resolved.resolutions {
            resolution.digest.clone_from(&digest);
        }
        Ok(resolved)
    }
}

impl SetFeature {
    fn check_features(&self, entry: Entry, count: usize) -> Result<(), Error> {
        let given = self.features.len();
        if !(1..=MAX_FEATURES).contains(&given) {
            let message = format!("{given} given; 1 to {MAX_FEATURES} are taken");
            return Err(entry.invalid("features", message));
        }
        let mut sorted = self.features.clone();
        sorted.sort_unstable();
        if let Some(wrong) = sorted.iter().find(|feature| **feature as usize >= count) {
            let message = format!("{wrong} is not below {count}, the features of the autoencoder");
            return Err(entry.invalid("features", message));
        }
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(entry.invalid("features", format!("{} is given twice", pair[0]))),
            None => Ok(()),
        }
    }
}
