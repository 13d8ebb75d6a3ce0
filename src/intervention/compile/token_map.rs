//! Descriptions of the rows of a tensor: which token each row belongs to, and what that token is.

use crate::model::{ImageTokens, Place, PromptToken, TextSegment};
use crate::vision::Size;

/// A row that a selector may pick.
#[derive(Debug, Clone)]
pub(crate) enum TokenInfo {
    Text(TextSegment, Option<u32>),
    Visual {
        image: usize,
        /// The message that the picture belongs to, where the prompt is known.
        turn: Option<u32>,
        /// `None` for a patch that pads a canvas.
        place: Option<Place>,
        /// Rows and columns of the grid that its place is in.
        extent: Size,
        /// The patches that it is made of: view, number, weight.
        patches: Vec<(usize, usize, f32)>,
        /// The number among the visual tokens of the picture before any selection; `None` in the
        /// tower and the projector.
        origin: Option<u32>,
    },
}

impl TokenInfo {
    /// Returns the picture that it belongs to.
    pub(crate) fn image(&self) -> Option<usize> {
        match self {
            Self::Text(..) => None,
            Self::Visual { image, .. } => Some(*image),
        }
    }

    /// Returns the message that it belongs to.
    pub(crate) fn turn(&self) -> Option<u32> {
        match self {
            Self::Text(_, turn) | Self::Visual { turn, .. } => *turn,
        }
    }

    /// Returns its place in the picture; `None` for text and for padding.
    pub(crate) fn place(&self) -> Option<Place> {
        match self {
            Self::Text(..) => None,
            Self::Visual { place, .. } => *place,
        }
    }

    /// Returns the tile that it shows a patch of.
    pub(crate) fn tile(&self) -> Option<usize> {
        match self.place() {
            Some(Place::Canvas { tile, .. }) => Some(tile),
            _ => None,
        }
    }

    /// Returns whether it is made of one patch, not a class token or a newline.
    pub(crate) fn is_patch(&self) -> bool {
        matches!(
            self,
            Self::Visual {
                place: Some(Place::Base { .. } | Place::Canvas { .. }) | None,
                ..
            }
        )
    }
}

/// The rows of one tensor, as selectors see them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenMap {
    pub(crate) tokens: Vec<TokenInfo>,
    /// Set where tokens are generated after these.
    pub(crate) goes_on: bool,
}

impl TokenMap {
    /// Returns the number of the last token, the one that predicts, which only the prompt has.
    pub(super) fn last(&self) -> Option<usize> {
        self.tokens.len().checked_sub(1).filter(|_| self.goes_on)
    }

    /// Describes the visual tokens of a picture.
    pub(crate) fn of_picture(image: usize, tokens: &ImageTokens) -> Self {
        let visual = tokens.places.iter().enumerate();
        let visual = visual.map(|(i, &place)| TokenInfo::Visual {
            image,
            turn: None,
            place: Some(place),
            // Places of the base view are counted in its grid, others in the canvas's.
            extent: match place {
                Place::Base { .. } => tokens.base,
                _ => tokens.canvas,
            },
            patches: tokens.patches(i),
            origin: Some(tokens.origins[i]),
        });
        Self {
            tokens: visual.collect(),
            goes_on: false,
        }
    }

    /// Describes the language model's input.
    pub(crate) fn of_prompt(prompt: &[PromptToken], images: &[ImageTokens]) -> Self {
        // In the order of the prompt, in which pictures are numbered.
        let mut images = images.iter().enumerate();
        let mut tokens = Vec::new();
        for token in prompt {
            match token {
                PromptToken::Text(segment, turn) => tokens.push(TokenInfo::Text(*segment, *turn)),
                PromptToken::Image(message) => {
                    let own = images.next().into_iter();
                    let own = own.flat_map(|(i, image)| Self::of_picture(i, image).tokens);
                    tokens.extend(own.map(|mut token| {
                        if let TokenInfo::Visual { turn, .. } = &mut token {
                            *turn = Some(*message);
                        }
                        token
                    }));
                }
            }
        }
        Self {
            tokens,
            goes_on: true,
        }
    }

    /// Describes the rows of one view in the tower or the projector: the class token where `class`
    /// is set, then the patches without the first `dropped`.
    pub(crate) fn of_view(
        image: usize,
        tokens: &ImageTokens,
        view: usize,
        class: bool,
        dropped: usize,
    ) -> Self {
        let (rows, columns) = tokens.view.grid;
        let class = class.then(|| TokenInfo::Visual {
            image,
            turn: None,
            place: Some(Place::Class),
            extent: tokens.view.grid,
            patches: Vec::new(),
            origin: None,
        });
        // The base view is a grid of its own; tiles are parts of the canvas.
        let extent = if view == 0 {
            tokens.view.grid
        } else {
            tokens.content()
        };
        let patches = (dropped..rows * columns).map(|i| TokenInfo::Visual {
            image,
            turn: None,
            place: tokens.shows(view, i / columns, i % columns),
            extent,
            patches: vec![(view, i, 1.0)],
            origin: None,
        });
        Self {
            tokens: class.into_iter().chain(patches).collect(),
            goes_on: false,
        }
    }

    /// Describes the rows of one view in a projector that reads squares of patches.
    pub(crate) fn of_merged_view(image: usize, tokens: &ImageTokens, view: usize) -> Self {
        let (info, (rows, columns)) = (tokens.view, tokens.view.token_grid());
        let extent = if view == 0 {
            tokens.base
        } else {
            tokens.canvas
        };
        let squares = (0..rows * columns).map(|i| {
            // A square is known by its first patch.
            let (row, column) = (i / columns, i % columns);
            let place = tokens.shows(view, row * info.merge, column * info.merge);
            TokenInfo::Visual {
                image,
                turn: None,
                place: place.map(|place| place.merged(info.merge)),
                extent,
                patches: tokens.merged(view, i, 1.0).collect(),
                origin: None,
            }
        });
        Self {
            tokens: squares.collect(),
            goes_on: false,
        }
    }
}
