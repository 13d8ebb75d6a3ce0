//! Results of compiling, as records and responses show them.

/// The result of compiling one intervention.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The choices made.
    pub resolutions: Vec<Resolution>,
    /// The number of times that it has acted already: layers left out, projectors swapped. `None`
    /// where that shows when the model runs.
    pub fired: Option<u64>,
    /// Set where it is known to change nothing.
    pub changed_nothing: bool,
}

/// A concrete choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The picture.
    pub image: usize,
    /// The view of the picture.
    pub view: usize,
    /// The order, the cells, the layers, the tokens.
    pub indices: Vec<u32>,
    /// Digest of what ran instead.
    pub digest: String,
    /// Hook points.
    pub points: Vec<String>,
}

impl Resolution {
    /// Returns a choice for one picture.
    pub(crate) fn of(image: usize, indices: Vec<u32>) -> Self {
        Self {
            image,
            indices,
            ..Self::default()
        }
    }
}
