//! The interface of a kind of intervention.

use super::compiler::Compiler;
use super::context::SaliencyQuery;
use super::entry::Entry;
use super::selector::TokenSelector;
use super::target::Target;
use crate::intervention::error::Error;
use crate::intervention::plan::Resolved;
use crate::model::RowsQuery;

/// Operations of a pixel that is written over, normalised and hashed anew, about.
const PER_PIXEL: u64 = 30;
/// Operations of a cell that is drawn or sorted among others, about.
const PER_CELL: u64 = 100;

/// Returns about how many operations writing over cells of a `grid` x `grid` partition takes, of a
/// picture of so many pixels.
pub(crate) fn grid_work(grid: usize, pixels: u64) -> u64 {
    // A grid of more cells than pixels is refused, and costs nothing.
    let cells = (grid as u64).saturating_pow(2).min(pixels);
    pixels * PER_PIXEL + cells * PER_CELL
}

/// A kind of intervention: the inputs that compiling it needs, and how it is compiled.
///
/// The defaults fit a kind that acts on a [`Target`], or one that needs nothing.
pub(crate) trait Spec {
    /// Returns the hook point and the tokens that it acts on, where the request chooses them.
    fn target(&self) -> Option<&Target> {
        None
    }

    /// Returns its token selectors.
    fn selectors(&self) -> Vec<&TokenSelector> {
        self.target()
            .map(|target| &target.tokens)
            .into_iter()
            .collect()
    }

    /// Returns whether it acts before the language model reads its input, or decides which layers
    /// run. Such kinds are compiled first: targets of the others are checked against the tokens and
    /// layers that they leave.
    fn is_early(&self) -> bool {
        self.target().is_none_or(Target::is_early)
    }

    /// Returns the attention maps that it needs beside those of its selectors.
    fn saliency_queries(&self) -> Vec<SaliencyQuery> {
        Vec::new()
    }

    /// Returns the rows that it measures beside those of its selectors.
    fn rows_query(&self) -> Option<RowsQuery> {
        None
    }

    /// Returns the handle of the kept activations that it writes.
    fn activation_handle(&self) -> Option<&str> {
        None
    }

    /// Returns the file of the donor picture whose tokens it writes.
    fn donor(&self) -> Option<&[u8]> {
        None
    }

    /// Returns about how many operations of a processor its change of a picture of `pixels` takes.
    fn picture_work(&self, _pixels: u64) -> u64 {
        0
    }

    /// Checks it against the model and the input, makes its random choices and adds its operations
    /// to the plan.
    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error>;
}
