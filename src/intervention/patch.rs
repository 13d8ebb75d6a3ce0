//! Patch: activations of another run are written (activation patching, Meng et al. 2022; Zhang and
//! Nanda 2024).
//!
//! Law: a run's own activations change nothing.

use candle_core::Tensor;

use super::plan::{Operation, Resolved};
use super::{Compiler, Error, Place, Target};

/// Writes given rows.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Where.
    pub target: Target,
    /// The rows.
    pub source: Source,
}

/// Where the rows come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// They came with the request.
    Inline(Tensor),
    /// They are kept under this name.
    Handle(String),
}

impl PartialEq for Patch {
    /// Inline rows are the same where they are the same tensor.
    fn eq(&self, other: &Self) -> bool {
        let source = match (&self.source, &other.source) {
            (Source::Inline(a), Source::Inline(b)) => a.id() == b.id(),
            (Source::Handle(a), Source::Handle(b)) => a == b,
            _ => false,
        };
        source && self.target == other.target
    }
}

impl Patch {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let (values, field) = match &self.source {
            Source::Inline(values) => (values.clone(), "values"),
            Source::Handle(handle) => match compiler.context.activations.get(handle) {
                Some(values) => (values.clone(), "handle"),
                None => {
                    return Err(Error::UnknownActivation {
                        field: place.field("handle"),
                        handle: handle.clone(),
                    });
                }
            },
        };
        let mut aim = self.target.aim(place, "target", compiler)?;
        let fault = crate::model::Error::from;
        let rows = values.dims().first().copied().unwrap_or(0);
        let wanted = aim.shape.of_rows(rows);
        let flat = [rows, aim.shape.numbers()];
        if values.dims() != wanted && values.dims() != flat {
            let message = format!(
                "its shape is {:?}; {:?} is that of {}",
                values.dims(),
                wanted,
                self.target.point
            );
            return Err(place.invalid(field, message));
        }
        let values = values.reshape(wanted).map_err(fault)?;
        if rows != 1 || aim.is_attention() {
            aim = aim.of_prompt(
                place,
                "and the rows given are for tokens of the prompt",
                compiler,
            )?;
        }
        let chosen = aim.rows.count();
        if rows != 1 && rows != chosen && !compiler.is_preview() {
            let message = format!(
                "it has {rows} rows; {chosen} tokens are chosen, so {chosen} rows, or 1, are needed"
            );
            return Err(place.invalid(field, message));
        }
        let values = values
            .to_device(&compiler.context.model.device)
            .map_err(fault)?;
        Ok(aim.edit(place, compiler, |_| Operation::Write(values.clone())))
    }
}
