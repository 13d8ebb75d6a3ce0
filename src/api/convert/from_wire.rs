//! The interface of a conversion.

use super::super::Error;

/// Draws the seeds that a request leaves open. They are written into the messages, which become the
/// request's record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds(fn() -> u64);

impl Seeds {
    /// Draws with `draw`.
    pub(crate) fn of(draw: fn() -> u64) -> Self {
        Self(draw)
    }

    /// Returns a new seed.
    pub(super) fn draw(self) -> u64 {
        (self.0)()
    }

    /// Returns the seed of a message, drawn now where the request leaves it open.
    pub(super) fn fill(self, seed: &mut Option<u64>) -> u64 {
        *seed.get_or_insert_with(self.0)
    }
}

/// A type of the server's that is made from message `M`.
pub(super) trait FromWire<M>: Sized {
    /// Converts `message`, the field at `path` of the request, and fills in its open seeds.
    fn from_wire(message: &mut M, path: &str, seeds: Seeds) -> Result<Self, Error>;
}
