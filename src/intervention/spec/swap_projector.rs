//! Swap the projector: another resident one, a random one, or none.

use std::sync::Arc;

use crate::intervention::compile::{Compiler, Entry, Spec};
use crate::intervention::error::Error;
use crate::intervention::plan::{Resolution, Resolved};
use crate::intervention::random::Draws;
use crate::model::{DEFAULT_PROJECTOR, Model, Projector, ResidentProjector};

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

impl Spec for SwapProjector {
    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let context = compiler.context;
        let model = context.model;
        let projector = match self {
            Self::Named(name) => resident(model, name, entry, "name")?,
            Self::Random(seed) => {
                let like = resident(model, DEFAULT_PROJECTOR, entry, "random_seed")?;
                Arc::new(ResidentProjector::new(random(like.host(), *seed)?))
            }
            Self::Identity => {
                let (from, to) = (
                    model.tower.info().feature_width,
                    model.decoder.config().hidden_size,
                );
                if from != to {
                    let message = format!(
                        "the tower's output is {from} wide and the language model {to}; they must \
                         be equal"
                    );
                    return Err(entry.invalid("identity", message));
                }
                Arc::new(ResidentProjector::new(Projector::Identity))
            }
        };
        // After the names, whose errors a prompt without pictures reports, too.
        entry.needs_image(context)?;
        if compiler.plan.projector.is_some() {
            return Err(entry.invalid("", "the projector is swapped twice; once is valid"));
        }
        // The record names what ran by its weights, not by the name that it has here.
        let digest = projector.digest()?;
        let changed_nothing = matches!(self, Self::Named(name) if name == DEFAULT_PROJECTOR);
        compiler.plan.projector = Some(projector);
        Ok(Resolved {
            changed_nothing,
            // Once for each picture: nothing of it shows at a hook point.
            fired: Some(context.images.len() as u64),
            resolutions: vec![Resolution {
                digest,
                ..Resolution::default()
            }],
        })
    }
}

/// Returns the resident projector called `name`; `field` is the one that names it.
fn resident(
    model: &Model,
    name: &str,
    entry: Entry,
    field: &str,
) -> Result<Arc<ResidentProjector>, Error> {
    model
        .projector(name)
        .ok_or_else(|| Error::UnknownProjector {
            field: entry.field(field),
            name: name.to_owned(),
            resident: model.projector_names(),
        })
}

/// Returns a projector of the same shapes as `like` with drawn weights. One stream serves the whole
/// projector, whatever the sample and the place in the list: the same seed means the same weights.
fn random(like: &Projector, seed: u64) -> Result<Projector, Error> {
    let mut draws = Draws::new(seed, "projector", 0, 0);
    let drawn = like.like(|count, fan_in| {
        // As torch.nn.Linear draws its weights and biases: a projector that was never trained.
        let bound = (fan_in as f64).sqrt().recip();
        (0..count)
            .map(|_| ((2.0 * draws.unit() - 1.0) * bound) as f32)
            .collect()
    })?;
    Ok(drawn)
}
