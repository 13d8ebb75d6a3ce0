//! Sparse autoencoders and tuned lenses that a request names.

use std::sync::Arc;

use super::entry::Entry;
use super::target::ResolvedTarget;
use crate::intervention::error::Error;
use crate::model::{Model, SparseAutoencoder, TunedLens};

impl Entry {
    /// Returns the resident autoencoder called `name`, or the only one where it is empty.
    pub(crate) fn sae(
        self,
        field: &str,
        name: &str,
        model: &Model,
    ) -> Result<Arc<SparseAutoencoder>, Error> {
        let all = model.sparse_autoencoders();
        // Without a name it is the only one.
        if let ("", [(_, sae)]) = (name, all.as_slice()) {
            return Ok(sae.clone());
        }
        model.sae(name).ok_or_else(|| Error::UnknownSae {
            field: self.field(field),
            name: name.to_owned(),
            resident: all.into_iter().map(|(name, _)| name).collect(),
        })
    }

    /// Returns the resident tuned lens called `name`.
    pub(crate) fn lens(self, name: &str, model: &Model) -> Result<Arc<TunedLens>, Error> {
        let all = model.tuned_lenses().into_iter();
        model.lens(name).ok_or_else(|| Error::UnknownLens {
            field: self.field("lens"),
            name: name.to_owned(),
            resident: all.map(|(name, _)| name).collect(),
        })
    }

    /// Fails unless the rows of `target` are as wide as those that `sae` reads.
    pub(crate) fn check_width(
        self,
        field: &str,
        target: &ResolvedTarget,
        sae: &SparseAutoencoder,
    ) -> Result<(), Error> {
        if target.is_attention() {
            let message = "attention has no rows that an autoencoder could read";
            return Err(self.invalid(field, message));
        }
        // All heads end to end, as an autoencoder of hook_z reads them.
        let (found, needed) = (target.shape.numbers(), sae.width());
        if found == needed {
            return Ok(());
        }
        let message = format!(
            "rows of {found} numbers; the autoencoder reads {needed}, those of {}",
            sae.point()
        );
        Err(self.invalid(field, message))
    }
}
