//! Descriptions of the rows of a tensor: which token each row belongs to, and what that token is.

use std::ops::Range;

use crate::model::{self, IMAGE_MARKER, ImageTokens, Model, Place, Rendered, Role};
use crate::vision::Size;

/// The part of a prompt that a token of text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSegment {
    /// Before the first picture and the user's first word, or of a system message.
    System,
    /// The user's last words.
    Question,
    /// The user's words before the last message.
    User,
    /// The assistant's words.
    Assistant,
    /// Text of the chat template.
    Template,
}

/// A token of the prompt, pictures not yet expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptToken {
    /// Text, and the message whose words it is.
    Text(TextSegment, Option<u32>),
    /// A picture, and its message.
    Image(u32),
}

/// Returns the token ids of a prompt, pictures not yet expanded, and what each token is.
pub fn prompt_tokens(
    model: &Model,
    prompt: &Rendered,
) -> Result<(Vec<u32>, Vec<PromptToken>), model::Error> {
    let segments = Segments::of(prompt);
    let mut images = prompt.images.iter();
    let (mut ids, mut tokens) = (Vec::new(), Vec::new());
    for (id, place) in model.text.encode_with_places(&prompt.text, !prompt.begun)? {
        ids.push(id);
        tokens.push(if id == model.image_token {
            PromptToken::Image(images.next().map_or(0, |message| *message as u32))
        } else {
            segments.token(&place)
        });
    }
    Ok((ids, tokens))
}

/// The messages behind the bytes of a prompt.
struct Segments<'a> {
    prompt: &'a Rendered,
    /// The user's last message.
    last: Option<usize>,
    /// The byte at which the user's words or the first picture begin.
    begins: usize,
}

impl<'a> Segments<'a> {
    fn of(prompt: &'a Rendered) -> Self {
        let mut segments = Self {
            prompt,
            last: prompt.roles.iter().rposition(|role| *role == Role::User),
            begins: 0,
        };
        let users_words = prompt
            .words
            .iter()
            .filter(|(message, _)| segments.role(*message) == Role::User)
            .map(|(_, bytes)| bytes.start);
        segments.begins = users_words
            .chain(prompt.text.find(IMAGE_MARKER))
            .min()
            .unwrap_or(prompt.text.len());
        segments
    }

    fn role(&self, message: usize) -> Role {
        // Raw prompts have no roles: all of their words are the user's.
        let role = self.prompt.roles.get(message);
        role.copied().unwrap_or(Role::User)
    }

    /// Returns what the token of text at the bytes `place` is.
    fn token(&self, place: &Range<usize>) -> PromptToken {
        let own = self
            .prompt
            .words
            .iter()
            // A token that reaches over two messages belongs to the first.
            .find(|(_, bytes)| place.start < bytes.end && bytes.start < place.end);
        let segment = match own.map(|(message, _)| (self.role(*message), *message)) {
            Some((Role::User, message)) if Some(message) == self.last => TextSegment::Question,
            Some((Role::User, _)) => TextSegment::User,
            Some((Role::Assistant, _)) => TextSegment::Assistant,
            Some((Role::System, _)) => TextSegment::System,
            None if place.end <= self.begins => TextSegment::System,
            None => TextSegment::Template,
        };
        PromptToken::Text(segment, own.map(|(message, _)| *message as u32))
    }
}

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
        });
        Self {
            tokens: visual.collect(),
            goes_on: false,
        }
    }

    /// Describes the language model's input.
    pub(crate) fn of_prompt(prompt: &[PromptToken], images: &[ImageTokens]) -> Self {
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
        });
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
            }
        });
        Self {
            tokens: squares.collect(),
            goes_on: false,
        }
    }
}
