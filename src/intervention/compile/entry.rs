//! One entry of a request's list: its checks, its errors and its random draws.

use std::sync::Arc;

use super::context::Context;
use crate::field_path::{FieldPath, InvalidField, shown};
use crate::intervention::error::Error;
use crate::intervention::random::Draws;
use crate::nn::{Stack, nearest_hook};
use crate::vision::CellGrid;

/// Largest factor and scale that interventions take.
pub(crate) const MAX_FACTOR: f64 = 1e6;

/// An intervention or a capture by its number in the request's list, which keys its random draws,
/// and by its name, which errors spell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) list: &'static str,
    pub(crate) index: usize,
    /// Empty for captures, which have no kinds.
    pub(crate) name: &'static str,
}

impl Entry {
    /// Returns the path of its field `path`, or its own where `path` is empty.
    pub(crate) fn field(self, path: &str) -> FieldPath {
        let own = FieldPath::from(self.list).index(self.index).join(self.name);
        // A target at the entry itself has an empty path, before which fields put a dot.
        own.join(path.trim_start_matches('.'))
    }

    /// Returns an error about its field `path`.
    pub(crate) fn invalid(self, path: &str, message: impl Into<String>) -> Error {
        InvalidField::new(self.field(path), message).into()
    }

    /// Returns the error of an intervention that has nothing to act on.
    pub(crate) fn never_fired(self, message: impl Into<String>) -> Error {
        Error::NeverFired {
            field: self.field(""),
            message: message.into(),
        }
    }

    /// Returns its stream of random draws for one picture.
    pub(crate) fn draws(self, seed: u64, context: &Context<'_>, image: usize) -> Draws {
        Draws::new(seed, context.sample_key, self.index, image)
    }

    /// Returns a stream of noise for each picture; the first one is the sequence's as well.
    pub(crate) fn streams(self, seed: u64, context: &Context<'_>, point: &str) -> Arc<[Draws]> {
        // By the name of the point: the same seed draws other numbers at each layer.
        let stream = |image| Draws::at_point(seed, context.sample_key, self.index, image, point);
        // A prompt without pictures draws from stream 0, too.
        (0..context.images.len().max(1)).map(stream).collect()
    }

    /// Fails where there is no picture to act on.
    pub(crate) fn needs_image(self, context: &Context<'_>) -> Result<(), Error> {
        if context.images.is_empty() {
            Err(self.never_fired("the request has no picture"))
        } else {
            Ok(())
        }
    }

    /// Fails for a stack without layers, or a tower that does not run.
    pub(crate) fn needs_layers(self, stack: Stack, context: &Context<'_>) -> Result<(), Error> {
        match stack {
            Stack::Projector => Err(self.invalid("stack", "the projector has no layers")),
            Stack::VisionTower => self.needs_image(context),
            Stack::LanguageModel => Ok(()),
        }
    }

    /// Fails unless `value` is between `lowest` (0 or `-MAX_FACTOR`) and [`MAX_FACTOR`].
    pub(crate) fn check_factor(self, field: &str, value: f64, lowest: f64) -> Result<(), Error> {
        // NaN is in no range, and is refused as well.
        if (lowest..=MAX_FACTOR).contains(&value) {
            return Ok(());
        }
        Err(self.invalid(field, format!("{value} is not in {lowest} to {MAX_FACTOR}")))
    }

    /// Fails unless `value` is in 0 to 1.
    pub(crate) fn check_share(self, field: &str, value: f64) -> Result<(), Error> {
        if (0.0..=1.0).contains(&value) {
            Ok(())
        } else {
            Err(self.invalid(field, format!("{value} is not in 0 to 1")))
        }
    }

    /// Fails unless all of `numbers` are below `count`, and there are at most as many of them; `of`
    /// says what is counted.
    pub(crate) fn check_numbers(
        self,
        field: &str,
        numbers: &[u32],
        count: usize,
        of: &str,
    ) -> Result<(), Error> {
        // Before the look at each: a list may be as long as a message, and is read for every
        // picture.
        if numbers.len() > count {
            let message = format!("{} given; at most {count}, {of}, are taken", numbers.len());
            return Err(self.invalid(field, message));
        }
        if let Some(number) = numbers.iter().find(|n| **n as usize >= count) {
            let message = format!("{number} is not below {count}, {of}");
            return Err(self.invalid(field, message));
        }
        Ok(())
    }

    /// Returns a grid of `side` x `side` cells over the picture; a cell holds at least one pixel.
    pub(crate) fn grid(self, context: &Context<'_>, side: usize) -> Result<CellGrid, Error> {
        // Smaller cells than pixels would be empty.
        let limit = context.model.processor.side;
        if side > limit {
            return Err(self.invalid(
                "grid",
                format!("{side} is more than the {limit} pixels of a side"),
            ));
        }
        Ok(CellGrid::square(side))
    }
}

/// Says that no hook point has this name, and which one has a name like it.
pub(super) fn no_hook_point(name: &str) -> String {
    match nearest_hook(name) {
        Some(nearest) => format!("no hook point {}; did you mean {nearest:?}?", shown(name)),
        None => format!("no hook point {}; `scotoma hooks` lists them", shown(name)),
    }
}
