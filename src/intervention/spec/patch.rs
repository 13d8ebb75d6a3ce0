//! Patch: activations of another run are written (activation patching, Meng et al. 2022; Zhang and
//! Nanda 2024).
//!
//! Law: a run's own activations change nothing.

use crate::intervention::compile::{Compiler, Entry, Spec, Target};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolved};
use crate::nn::HostTensor;

/// Writes given rows.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The values that it acts on.
    pub target: Target,
    /// The rows.
    pub source: PatchSource,
}

/// A source of rows.
#[derive(Debug, Clone)]
pub enum PatchSource {
    /// Rows of the request.
    Inline(HostTensor),
    /// Rows that are kept under this name.
    Handle(String),
}

impl PartialEq for Patch {
    /// Compares inline rows by the tensor that holds them, not by its numbers.
    fn eq(&self, other: &Self) -> bool {
        let source = match (&self.source, &other.source) {
            (PatchSource::Inline(a), PatchSource::Inline(b)) => a.id() == b.id(),
            (PatchSource::Handle(a), PatchSource::Handle(b)) => a == b,
            _ => false,
        };
        source && self.target == other.target
    }
}

impl Spec for Patch {
    fn target(&self) -> Option<&Target> {
        Some(&self.target)
    }

    fn activation_handle(&self) -> Option<&str> {
        match &self.source {
            PatchSource::Handle(handle) => Some(handle),
            PatchSource::Inline(_) => None,
        }
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let (values, field) = match &self.source {
            PatchSource::Inline(values) => (values.clone(), "values"),
            PatchSource::Handle(handle) => match compiler.context.activations.get(handle) {
                Some(values) => (values.clone(), "handle"),
                None => {
                    return Err(Error::UnknownActivation {
                        field: entry.field("handle"),
                        handle: handle.clone(),
                    });
                }
            },
        };
        let mut target = self.target.resolve(entry, "target", compiler)?;
        let fault = crate::model::Error::from;
        let rows = values.dims().first().copied().unwrap_or(0);
        let wanted = target.shape.of_rows(rows);
        // Captures of points with heads are accepted with their heads end to end, too.
        let flat = [rows, target.shape.numbers()];
        if values.dims() != wanted && values.dims() != flat {
            let message = format!(
                "its shape is {:?}; {:?} is that of {}",
                values.dims(),
                wanted,
                self.target.point
            );
            return Err(entry.invalid(field, message));
        }
        let values = values.reshape(wanted).map_err(fault)?;
        // One row can be written to every token to come; several rows are those of known tokens.
        if rows != 1 || target.is_attention() {
            let why = "and the rows given are for tokens of the prompt";
            target = target.of_prompt(entry, why, compiler)?;
        }
        let chosen = target.rows.count();
        // In a preview nothing of the language model is chosen, whatever the list says.
        if rows != 1 && rows != chosen && !compiler.is_preview() {
            let message = format!(
                "it has {rows} rows; {chosen} tokens are chosen, so {chosen} rows, or 1, are needed"
            );
            return Err(entry.invalid(field, message));
        }
        Ok(target.edit(entry, compiler, |_| Operation::Write(values.clone())))
    }
}
