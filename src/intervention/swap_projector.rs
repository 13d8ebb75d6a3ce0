//! Swap the projector: another resident one, a random one, or none.

use std::sync::Arc;

use super::plan::{Resolution, Resolved};
use super::{Compiler, Draws, Error, Place};
use crate::model::{DEFAULT_PROJECTOR, Projector};

/// The projector that runs instead of the model's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapProjector {
    /// A resident one.
    Named(String),
    /// The same shapes, every value uniform in +-1/sqrt(fan_in), from this seed.
    Random(u64),
    /// None: the tower's output itself.
    Identity,
}

impl SwapProjector {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        let model = context.model;
        let resident = |name: &str, path: &str| {
            model
                .projector(name)
                .ok_or_else(|| Error::UnknownProjector {
                    field: place.field(path),
                    name: name.to_owned(),
                    resident: model.projector_names(),
                })
        };
        let projector = match self {
            Self::Named(name) => resident(name, "name")?,
            Self::Random(seed) => Arc::new(random(
                &*resident(DEFAULT_PROJECTOR, "random_seed")?,
                *seed,
            )?),
            Self::Identity => {
                let (from, to) = (
                    model.tower.info().feature_width,
                    model.decoder.config().hidden_size,
                );
                if from != to {
                    let message = format!(
                        "the tower's output is {from} wide and the language model {to}; they must be equal"
                    );
                    return Err(place.invalid("identity", message));
                }
                Arc::new(Projector::Identity)
            }
        };
        place.needs_image(context)?;
        if compiler.plan.projector.is_some() {
            return Err(place.invalid("", "the projector is swapped twice; once is valid"));
        }
        let digest = projector.digest()?;
        let changed_nothing = matches!(self, Self::Named(name) if name == DEFAULT_PROJECTOR);
        compiler.plan.projector = Some(projector);
        Ok(Resolved {
            changed_nothing,
            fired: Some(context.images.len() as u64),
            resolutions: vec![Resolution {
                digest,
                ..Resolution::default()
            }],
        })
    }
}

/// One stream for the whole projector, whatever the sample and the place in the list: the same seed
/// names the same weights.
fn random(like: &Projector, seed: u64) -> Result<Projector, Error> {
    let mut draws = Draws::new(seed, "projector", 0, 0);
    let drawn = like.like(|count, fan_in| {
        let bound = (fan_in as f64).sqrt().recip();
        (0..count)
            .map(|_| ((2.0 * draws.unit() - 1.0) * bound) as f32)
            .collect()
    })?;
    Ok(drawn)
}
