//! Token selectors: tokens by what they are, resolved against the rows of one tensor.

use super::context::Context;
use super::entry::Entry;
use super::measured::MeasuredTokens;
use super::named::Named;
use super::saliency::{Salient, rounded};
use super::token_map::{TokenInfo, TokenMap};
use crate::intervention::error::Error;
use crate::intervention::plan::indices;
use crate::model::{Place, RowsQuery};
use crate::vision::CellGrid;

/// The union of some sets of tokens (all tokens where there are no sets), or its complement.
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
    /// Tokens by number.
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
        /// Seed of the draw.
        seed: u64,
    },
    /// The most attended patches of each picture.
    Salient(Salient),
    /// Tokens by a number that is measured of each.
    Measured(MeasuredTokens),
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

/// The rows of a tensor that a selector picks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Row by row.
    pub(crate) rows: Vec<bool>,
    /// Set where tokens that are generated later belong to it.
    pub(crate) generated: bool,
}

impl Selection {
    /// Selects these rows of what is there already.
    fn of(rows: impl IntoIterator<Item = bool>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            generated: false,
        }
    }

    /// Selects the rows of a set that has a name.
    fn named(set: Named, map: &TokenMap) -> Self {
        let last = map.last();
        let rows = map.tokens.iter().enumerate();
        Self {
            rows: rows
                .map(|(i, token)| set.holds(token, Some(i) == last))
                .collect(),
            // Every generated token is the last one when it is read.
            generated: matches!(set, Named::All | Named::Last | Named::Generated),
        }
    }

    /// Returns the numbers of its rows.
    pub(crate) fn indices(&self) -> Vec<u32> {
        indices(&self.rows)
    }
}

impl TokenSelector {
    /// Returns its sets that need an attention map.
    pub(crate) fn salient(&self) -> impl Iterator<Item = &Salient> {
        self.any_of.iter().filter_map(|tokens| match tokens {
            Tokens::Salient(salient) => Some(salient),
            _ => None,
        })
    }

    /// Returns the rows that its sets measure.
    pub(crate) fn rows_queries(&self) -> impl Iterator<Item = RowsQuery> {
        self.any_of.iter().filter_map(|tokens| match tokens {
            Tokens::Measured(measured) => measured.query(),
            _ => None,
        })
    }

    /// Returns the rows of `map` that it picks; `field` is its path within its intervention.
    pub(crate) fn pick(
        &self,
        entry: Entry,
        field: &str,
        map: &TokenMap,
        context: &Context<'_>,
    ) -> Result<Selection, Error> {
        // Without sets it is every token, and the complement none.
        let all = self.any_of.is_empty();
        let mut picked = Selection {
            rows: vec![all; map.tokens.len()],
            generated: all,
        };
        for (i, tokens) in self.any_of.iter().enumerate() {
            let one = tokens.pick(entry, &format!("{field}.any_of[{i}]"), map, context)?;
            for (row, chosen) in picked.rows.iter_mut().zip(one.rows) {
                *row |= chosen;
            }
            picked.generated |= one.generated;
        }
        if self.complement {
            picked.rows.iter_mut().for_each(|row| *row = !*row);
            // "All but the last" leaves out what is generated: each such token is the last when it
            // is read.
            picked.generated = !picked.generated;
        }
        // Pictures do not grow: only the prompt is followed by generated tokens.
        picked.generated &= map.goes_on;
        Ok(picked)
    }
}

impl Tokens {
    /// Returns the rows of `map` that this set holds.
    pub(crate) fn pick(
        &self,
        entry: Entry,
        field: &str,
        map: &TokenMap,
        context: &Context<'_>,
    ) -> Result<Selection, Error> {
        Ok(match self {
            Self::Named(named) => Selection::named(*named, map),
            Self::Indices(indices) => pick_indices(indices, entry, field, map, context)?,
            Self::Image(image) => {
                let (image, images) = (*image as usize, context.images.len());
                if image >= images {
                    let message =
                        format!("{image} is not below {images}, the pictures of the request");
                    return Err(entry.invalid(&format!("{field}.image"), message));
                }
                Selection::of(map.tokens.iter().map(|t| t.image() == Some(image)))
            }
            Self::Turn(turn) => {
                check_turn(*turn, entry, field, map)?;
                Selection::of(map.tokens.iter().map(|t| t.turn() == Some(*turn)))
            }
            Self::Tile(wanted) => {
                let wanted = *wanted as usize;
                check_tile(wanted, entry, field, context)?;
                Selection::of(map.tokens.iter().map(|t| t.tile() == Some(wanted)))
            }
            Self::Blocks { grid, indices } => {
                let chosen = chosen_blocks(*grid, indices, entry, field, context)?;
                let chosen = |t| block(t, *grid as usize).is_some_and(|b| chosen[b]);
                Selection::of(map.tokens.iter().map(chosen))
            }
            // Drawn by picture: one more of them changes nothing for the others.
            Self::Random { share, seed } => {
                entry.check_share(&format!("{field}.random.ratio"), *share)?;
                per_picture(map, context, |image, patches| {
                    let mut draws = entry.draws(*seed, context, image);
                    Ok(draws.subset(patches.len(), rounded(*share, patches.len())))
                })?
            }
            Self::Salient(salient) => {
                let field = format!("{field}.salient");
                salient.check(entry, &field)?;
                per_picture(map, context, |image, patches| {
                    let mass: Vec<f64> = patches
                        .iter()
                        .map(|token| salient.of_token(entry, &field, context, image, token))
                        .collect::<Result<_, _>>()?;
                    Ok(salient.amount.top(&mass))
                })?
            }
            Self::Measured(measured) => Selection::of(measured.pick(entry, field, map, context)?),
        })
    }
}

fn pick_indices(
    indices: &[u32],
    entry: Entry,
    field: &str,
    map: &TokenMap,
    context: &Context<'_>,
) -> Result<Selection, Error> {
    let mut rows = vec![false; map.tokens.len()];
    for &index in indices {
        match rows.get_mut(index as usize) {
            Some(row) => *row = true,
            // One of several pictures may have fewer tokens than another; a number that the only
            // picture, or the prompt, does not have is a mistake.
            None if context.images.len() > 1 && !map.goes_on => {}
            None => {
                let message = format!(
                    "{index} is not below {}, the tokens that there are",
                    map.tokens.len()
                );
                return Err(entry.invalid(&format!("{field}.indices.indices"), message));
            }
        }
    }
    Ok(Selection::of(rows))
}

fn check_turn(turn: u32, entry: Entry, field: &str, map: &TokenMap) -> Result<(), Error> {
    let last = map.tokens.iter().filter_map(TokenInfo::turn).max();
    let message = match last {
        Some(last) if turn <= last => return Ok(()),
        Some(last) => format!(
            "{turn} is not below {}, the messages of the prompt",
            last + 1
        ),
        None => "no tokens of messages are at hand here; name a place in the language model".into(),
    };
    Err(entry.invalid(&format!("{field}.turn"), message))
}

fn check_tile(tile: usize, entry: Entry, field: &str, context: &Context<'_>) -> Result<(), Error> {
    // Beside the tiles a picture has its base view. Pictures differ in how many tiles they have,
    // and one that has fewer than another picks nothing there.
    let tiles = context.images.iter().map(|image| image.views - 1).max();
    let message = match tiles.unwrap_or(0) {
        tiles if tile < tiles => return Ok(()),
        0 => format!("{tile}, but no picture of the request is cut into tiles"),
        tiles => format!("{tile} is not below {tiles}, the tiles of the picture that has most"),
    };
    Err(entry.invalid(&format!("{field}.tile"), message))
}

/// Returns which blocks of the partition are chosen.
fn chosen_blocks(
    grid: u32,
    indices: &[u32],
    entry: Entry,
    field: &str,
    context: &Context<'_>,
) -> Result<Vec<bool>, Error> {
    // Grids of pictures may differ; a block that one of them lacks picks nothing there.
    let side = context.largest_side() as u32;
    if !(1..=side).contains(&grid) {
        let message = format!("{grid} is not in 1 to {side}, the side of the patch grid");
        return Err(entry.invalid(&format!("{field}.blocks.grid"), message));
    }
    // No overflow: `grid` is at most a side of patches.
    let blocks = (grid * grid) as usize;
    let field = format!("{field}.blocks.indices");
    entry.check_numbers(&field, indices, blocks, "the blocks of the grid")?;
    let mut chosen = vec![false; blocks];
    for &index in indices {
        chosen[index as usize] = true;
    }
    Ok(chosen)
}

/// Returns the block of a `grid` x `grid` partition that a patch falls in.
fn block(token: &TokenInfo, grid: usize) -> Option<usize> {
    let TokenInfo::Visual {
        place: Some(Place::Base { row, column } | Place::Canvas { row, column, .. }),
        extent,
        ..
    } = token
    else {
        return None;
    };
    Some(CellGrid::square(grid).cell_of((*row, *column), *extent))
}

/// Picks the patches of each picture that `choose` names by their number among them.
fn per_picture(
    map: &TokenMap,
    context: &Context<'_>,
    mut choose: impl FnMut(usize, &[&TokenInfo]) -> Result<Vec<u32>, Error>,
) -> Result<Selection, Error> {
    let mut rows = vec![false; map.tokens.len()];
    for image in 0..context.images.len() {
        let own = |token: &TokenInfo| token.is_patch() && token.image() == Some(image);
        // Numbered among the picture's patches that are left, not among the rows of the tensor.
        let (numbers, patches): (Vec<usize>, Vec<&TokenInfo>) = map
            .tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| own(token))
            .unzip();
        // None is left where all were removed before.
        if patches.is_empty() {
            continue;
        }
        for chosen in choose(image, &patches)? {
            rows[numbers[chosen as usize]] = true;
        }
    }
    Ok(Selection::of(rows))
}
