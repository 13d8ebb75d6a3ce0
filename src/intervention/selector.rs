//! Token selectors: tokens by what they are, resolved against one tensor's rows.

use std::ops::Range;

use super::salient::{Salient, rounded};
use super::{Context, Error, Place as At, check_share};
use crate::model::{self, IMAGE_MARKER, ImageTokens, Model, Place, Rendered, Role};
use crate::vision::{Grid, Size};

/// Tokens that any of some sets holds (all where there are no sets), or all but those.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenSelector {
    /// The union of these.
    pub any_of: Vec<Tokens>,
    /// All tokens but those.
    pub complement: bool,
}

/// A set of tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Tokens {
    /// A set that has a name.
    Named(Named),
    /// By number.
    Indices(Vec<u32>),
    /// All tokens of one picture.
    Image(u32),
    /// Words and pictures of one message.
    Turn(u32),
    /// Patches of one tile.
    Tile(u32),
    /// Patches in blocks of a `grid` x `grid` partition.
    Blocks {
        /// Blocks along each side.
        grid: u32,
        /// Row by row.
        indices: Vec<u32>,
    },
    /// A random share of the patches of each picture.
    Random {
        /// 0 to 1.
        share: f64,
        /// Of the draw.
        seed: u64,
    },
    /// The most attended patches of each picture.
    Salient(Salient),
}

/// Sets that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract defines each")]
pub enum Named {
    All,
    Visual,
    Text,
    System,
    Question,
    Last,
    Generated,
    Newline,
    Class,
    BaseView,
    User,
    Assistant,
}

/// Steps of an answer: 0 is the prompt, k the k-th generated token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// The first one.
    pub first: u32,
    /// The last one.
    pub last: u32,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            first: 0,
            last: u32::MAX,
        }
    }
}

/// What a token of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before the first picture and the user's first word, or of a system message.
    System,
    /// The user's last words.
    Question,
    /// The user's words before the last message.
    User,
    /// The assistant's words.
    Assistant,
    /// Of the chat template.
    Template,
}

/// A token of the prompt, pictures not yet spread out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Text, and the message whose words it is.
    Text(Part, Option<u32>),
    /// A picture, and its message.
    Image(u32),
}

/// The token ids of a prompt, pictures not yet spread out, and what each is.
pub fn words(model: &Model, prompt: &Rendered) -> Result<(Vec<u32>, Vec<Word>), model::Error> {
    let role = |message: usize| prompt.roles.get(message).copied().unwrap_or(Role::User);
    let last = prompt.roles.iter().rposition(|r| *r == Role::User);
    let of_user = prompt
        .words
        .iter()
        .filter(|(message, _)| role(*message) == Role::User)
        .map(|(_, at)| at.start);
    let first_picture = prompt.text.find(IMAGE_MARKER);
    let begins = of_user
        .chain(first_picture)
        .min()
        .unwrap_or(prompt.text.len());
    let mut images = prompt.images.iter();
    let mut word = |id: u32, place: &Range<usize>| {
        if id == model.image_token {
            return Word::Image(images.next().map_or(0, |message| *message as u32));
        }
        let own = prompt
            .words
            .iter()
            .find(|(_, at)| place.start < at.end && at.start < place.end);
        let part = match own.map(|(message, _)| (role(*message), *message)) {
            Some((Role::User, message)) if Some(message) == last => Part::Question,
            Some((Role::User, _)) => Part::User,
            Some((Role::Assistant, _)) => Part::Assistant,
            Some((Role::System, _)) => Part::System,
            None if place.end <= begins => Part::System,
            None => Part::Template,
        };
        Word::Text(part, own.map(|(message, _)| *message as u32))
    };
    let tokens = model.text.encode_with_places(&prompt.text, !prompt.begun)?;
    let words = tokens.iter().map(|(id, place)| word(*id, place)).collect();
    Ok((tokens.into_iter().map(|(id, _)| id).collect(), words))
}

/// A row that a selector may pick.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Text(Part, Option<u32>),
    Visual {
        image: usize,
        /// The message that the picture belongs to, where the prompt is at hand.
        turn: Option<u32>,
        /// `None` for a patch that pads a canvas.
        place: Option<Place>,
        /// Rows and columns that its place counts in.
        extent: Size,
        /// The patches that it is made of: view, number, weight.
        patches: Vec<(usize, usize, f32)>,
    },
}

impl Item {
    fn image(&self) -> Option<usize> {
        match self {
            Self::Text(..) => None,
            Self::Visual { image, .. } => Some(*image),
        }
    }

    fn turn(&self) -> Option<u32> {
        match self {
            Self::Text(_, turn) | Self::Visual { turn, .. } => *turn,
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Text(..) => None,
            Self::Visual { place, .. } => *place,
        }
    }

    fn is_patch(&self) -> bool {
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
pub(super) struct Universe {
    pub(super) items: Vec<Item>,
    /// Whether tokens are generated after these.
    pub(super) goes_on: bool,
}

impl Universe {
    /// The visual tokens of a picture.
    pub(super) fn of_tokens(image: usize, tokens: &ImageTokens) -> Self {
        let item = |(i, &place): (usize, &Place)| {
            let extent = if matches!(place, Place::Base { .. }) {
                tokens.base
            } else {
                tokens.canvas
            };
            Item::Visual {
                image,
                turn: None,
                place: Some(place),
                extent,
                patches: tokens.patches(i),
            }
        };
        Self {
            items: tokens.places.iter().enumerate().map(item).collect(),
            goes_on: false,
        }
    }

    /// The language model's input.
    pub(super) fn of_prompt(words: &[Word], images: &[ImageTokens]) -> Self {
        let mut images = images.iter().enumerate();
        let mut items = Vec::new();
        for word in words {
            match word {
                Word::Text(part, turn) => items.push(Item::Text(*part, *turn)),
                Word::Image(message) => {
                    let first = items.len();
                    items.extend(
                        images
                            .next()
                            .into_iter()
                            .flat_map(|(i, t)| Self::of_tokens(i, t).items),
                    );
                    for item in &mut items[first..] {
                        if let Item::Visual { turn, .. } = item {
                            *turn = Some(*message);
                        }
                    }
                }
            }
        }
        Self {
            items,
            goes_on: true,
        }
    }

    /// The rows of one view, in the tower or (`class` says whether its token is there) in the
    /// projector; without the first `dropped` patches.
    pub(super) fn of_view(
        image: usize,
        tokens: &ImageTokens,
        view: usize,
        class: bool,
        dropped: usize,
    ) -> Self {
        let (rows, columns) = tokens.view.grid;
        let mut items = Vec::new();
        if class {
            let (place, patches) = (Some(Place::Class), Vec::new());
            items.push(Item::Visual {
                image,
                turn: None,
                place,
                extent: tokens.view.grid,
                patches,
            });
        }
        let extent = if view == 0 {
            tokens.view.grid
        } else {
            tokens.content()
        };
        items.extend((dropped..rows * columns).map(|i| {
            let place = tokens.shows(view, i / columns, i % columns);
            Item::Visual {
                image,
                turn: None,
                place,
                extent,
                patches: vec![(view, i, 1.0)],
            }
        }));
        Self {
            items,
            goes_on: false,
        }
    }

    /// The rows of one view in a projector that reads squares of patches.
    pub(super) fn of_merged_view(image: usize, tokens: &ImageTokens, view: usize) -> Self {
        let (info, (rows, columns)) = (tokens.view, tokens.view.token_grid());
        let extent = if view == 0 {
            tokens.base
        } else {
            tokens.canvas
        };
        let item = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            let place = tokens.shows(view, row * info.merge, column * info.merge);
            Item::Visual {
                image,
                turn: None,
                place: place.map(|place| place.merged(info.merge)),
                extent,
                patches: tokens.merged(view, i, 1.0).collect(),
            }
        };
        Self {
            items: (0..rows * columns).map(item).collect(),
            goes_on: false,
        }
    }
}

/// What a selector picks of a tensor's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picked {
    /// Row by row.
    pub(super) rows: Vec<bool>,
    /// Whether those that are generated later belong to it.
    pub(super) generated: bool,
}

impl Picked {
    pub(super) fn indices(&self) -> Vec<u32> {
        self.rows
            .iter()
            .enumerate()
            .filter(|(_, p)| **p)
            .map(|(i, _)| i as u32)
            .collect()
    }
}

impl TokenSelector {
    pub(super) fn salient(&self) -> impl Iterator<Item = &Salient> {
        self.any_of.iter().filter_map(|t| {
            if let Tokens::Salient(s) = t {
                Some(s)
            } else {
                None
            }
        })
    }

    /// The rows of `universe` that it picks. `field` is the selector's path within its
    /// intervention.
    pub(super) fn pick(
        &self,
        at: At,
        field: &str,
        universe: &Universe,
        context: &Context<'_>,
    ) -> Result<Picked, Error> {
        let mut picked = Picked {
            rows: vec![false; universe.items.len()],
            generated: false,
        };
        if self.any_of.is_empty() {
            picked = Picked {
                rows: vec![true; universe.items.len()],
                generated: universe.goes_on,
            };
        }
        for (i, tokens) in self.any_of.iter().enumerate() {
            let one = tokens.pick(at, &format!("{field}.any_of[{i}]"), universe, context)?;
            picked
                .rows
                .iter_mut()
                .zip(one.rows)
                .for_each(|(all, one)| *all |= one);
            picked.generated |= one.generated;
        }
        if self.complement {
            picked.rows.iter_mut().for_each(|p| *p = !*p);
            picked.generated = !picked.generated;
        }
        picked.generated &= universe.goes_on;
        Ok(picked)
    }
}

impl Tokens {
    /// The rows that this set holds.
    pub(super) fn pick(
        &self,
        at: At,
        field: &str,
        universe: &Universe,
        context: &Context<'_>,
    ) -> Result<Picked, Error> {
        let items = &universe.items;
        let by = |holds: &dyn Fn(&Item) -> bool| Picked {
            rows: items.iter().map(holds).collect(),
            generated: false,
        };
        Ok(match self {
            Self::Named(named) => named.pick(universe),
            Self::Indices(indices) => {
                let mut rows = vec![false; items.len()];
                for &index in indices {
                    match rows.get_mut(index as usize) {
                        Some(row) => *row = true,
                        // Of several pictures one may be shorter; a number that none has is a
                        // mistake.
                        None if context.images.len() > 1 && !universe.goes_on => {}
                        None => {
                            let message = format!(
                                "{index} is not below {}, the tokens that there are",
                                items.len()
                            );
                            return Err(at.invalid(&format!("{field}.indices.indices"), message));
                        }
                    }
                }
                Picked {
                    rows,
                    generated: false,
                }
            }
            Self::Image(image) => {
                if *image as usize >= context.images.len() {
                    let message = format!(
                        "{image} is not below {}, the pictures of the request",
                        context.images.len()
                    );
                    return Err(at.invalid(&format!("{field}.image"), message));
                }
                by(&|item| item.image() == Some(*image as usize))
            }
            Self::Turn(turn) => {
                let turns = items
                    .iter()
                    .filter_map(Item::turn)
                    .max()
                    .map_or(0, |last| last + 1);
                if *turn >= turns {
                    let message = match turns {
                        0 => "no tokens of messages are at hand here; name a place in the language model".to_owned(),
                        _ => format!("{turn} is not below {turns}, the messages of the prompt"),
                    };
                    return Err(at.invalid(&format!("{field}.turn"), message));
                }
                by(&|item| item.turn() == Some(*turn))
            }
            Self::Tile(tile) => by(
                &|item| matches!(item.place(), Some(Place::Canvas { tile: t, .. }) if t == *tile as usize),
            ),
            Self::Blocks { grid, indices } => {
                let side = context.largest_side() as u32;
                if !(1..=side).contains(grid) {
                    let message =
                        format!("{grid} is not in 1 to {side}, the side of the patch grid");
                    return Err(at.invalid(&format!("{field}.blocks.grid"), message));
                }
                if let Some(index) = indices.iter().find(|i| **i >= grid * grid) {
                    let message = format!(
                        "{index} is not below {}, the blocks of the grid",
                        grid * grid
                    );
                    return Err(at.invalid(&format!("{field}.blocks.indices"), message));
                }
                by(&|item| {
                    block(item, *grid as usize).is_some_and(|b| indices.contains(&(b as u32)))
                })
            }
            Self::Random { share, seed } => {
                check_share(at, &format!("{field}.random.ratio"), *share)?;
                per_picture(universe, context, |image, patches| {
                    let mut draws = at.draws(*seed, context, image);
                    Ok(draws.subset(patches.len(), rounded(*share, patches.len())))
                })?
            }
            Self::Salient(salient) => {
                let field = format!("{field}.salient");
                salient.check(at, &field)?;
                per_picture(universe, context, |image, patches| {
                    let mass: Vec<f64> = patches
                        .iter()
                        .map(|item| salient.of_item(at, &field, context, image, item))
                        .collect::<Result<_, _>>()?;
                    Ok(salient.amount.top(&mass))
                })?
            }
        })
    }
}

impl Named {
    fn pick(self, universe: &Universe) -> Picked {
        let last = universe
            .items
            .len()
            .checked_sub(1)
            .filter(|_| universe.goes_on);
        let rows = universe
            .items
            .iter()
            .enumerate()
            .map(|(i, item)| match (self, item) {
                (Self::All, _)
                | (Self::Visual, Item::Visual { .. })
                | (Self::Text, Item::Text(..))
                | (Self::System, Item::Text(Part::System, _))
                | (Self::Question | Self::User, Item::Text(Part::Question, _))
                | (Self::User, Item::Text(Part::User, _))
                | (Self::Assistant, Item::Text(Part::Assistant, _)) => true,
                (Self::Last, _) => Some(i) == last,
                (Self::Newline, item) => item.place() == Some(Place::Newline),
                (Self::Class, item) => item.place() == Some(Place::Class),
                (Self::BaseView, item) => matches!(item.place(), Some(Place::Base { .. })),
                _ => false,
            });
        Picked {
            rows: rows.collect(),
            generated: matches!(self, Self::All | Self::Last | Self::Generated),
        }
    }
}

/// The block of a `grid` x `grid` partition that a patch falls in.
fn block(item: &Item, grid: usize) -> Option<usize> {
    let Item::Visual {
        place: Some(Place::Base { row, column } | Place::Canvas { row, column, .. }),
        extent,
        ..
    } = item
    else {
        return None;
    };
    Some(Grid::square(grid).cell_of((*row, *column), *extent))
}

/// Of the patches of each picture those that `choose` names by their number among them.
fn per_picture(
    universe: &Universe,
    context: &Context<'_>,
    mut choose: impl FnMut(usize, &[&Item]) -> Result<Vec<u32>, Error>,
) -> Result<Picked, Error> {
    let mut rows = vec![false; universe.items.len()];
    for image in 0..context.images.len() {
        let own = |item: &Item| item.is_patch() && item.image() == Some(image);
        let numbers: Vec<usize> = (0..rows.len())
            .filter(|&i| own(&universe.items[i]))
            .collect();
        let items: Vec<&Item> = numbers.iter().map(|&i| &universe.items[i]).collect();
        if items.is_empty() {
            continue;
        }
        for chosen in choose(image, &items)? {
            rows[numbers[chosen as usize]] = true;
        }
    }
    Ok(Picked {
        rows,
        generated: false,
    })
}
