//! Permute the visual tokens (Lee et al. 2024, section 3.2): token i of a picture becomes what
//! token `order[i]` was.
//!
//! Law: permuting by an order and then by its inverse changes nothing; since the projector maps row
//! by row, permuting before it or after it is the same. Class tokens and newlines stay where they
//! are, unless a given order moves them.

use std::collections::BTreeMap;

use super::plan::{Operation, Resolution, Resolved};
use super::{Compiler, Context, Error, Place as At};
use crate::model::{ImageTokens, Place as Shows};
use crate::vision::Grid;

/// Permutes the rows of each picture's visual tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct PermuteTokens {
    /// How the order is chosen.
    pub order: Order,
    /// Where rows may move.
    pub scope: Scope,
}

/// How the order is chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Uniform, by seed.
    Seed(u64),
    /// As given; a permutation of all visual tokens of a picture.
    Given(Vec<u32>),
}

/// Where rows may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All patches of a picture together.
    All,
    /// Within each tile; a picture of one view is one tile.
    WithinTiles,
    /// The base view alone.
    BaseView,
    /// Within the blocks of an n x n partition of the patch grid.
    WithinBlocks(usize),
}

impl PermuteTokens {
    pub(super) fn compile(
        &self,
        place: At,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        place.needs_image(context)?;
        let mut resolved = Resolved {
            changed_nothing: true,
            ..Resolved::default()
        };
        for image in 0..compiler.images.len() {
            let order = self.order_of(place, context, image, &compiler.images[image])?;
            resolved.changed_nothing &= order.iter().enumerate().all(|(i, &o)| i == o as usize);
            resolved
                .resolutions
                .push(Resolution::of(image, order.clone()));
            compiler.edit_tokens(place, image, Operation::Gather(order.into()));
        }
        Ok(resolved)
    }

    fn order_of(
        &self,
        place: At,
        context: &Context<'_>,
        image: usize,
        tokens: &ImageTokens,
    ) -> Result<Vec<u32>, Error> {
        match &self.order {
            Order::Given(order) => {
                if self.scope != Scope::All {
                    return Err(place.invalid("scope", "a given order needs SCOPE_ALL"));
                }
                check_permutation(
                    place,
                    "order.indices",
                    order,
                    tokens.len(),
                    "visual tokens in a picture",
                )?;
                Ok(order.clone())
            }
            Order::Seed(seed) => {
                let mut draws = place.draws(*seed, context, image);
                let mut order: Vec<u32> = (0..tokens.len() as u32).collect();
                for members in self.groups(place, tokens)? {
                    for (i, &to) in draws.permutation(members.len()).iter().zip(&members) {
                        order[to] = members[*i as usize] as u32;
                    }
                }
                Ok(order)
            }
        }
    }

    /// The tokens that may change places with each other.
    fn groups(&self, place: At, tokens: &ImageTokens) -> Result<Vec<Vec<usize>>, Error> {
        let blocks = match self.scope {
            Scope::WithinBlocks(blocks) => {
                let side = tokens.base.0.min(tokens.base.1);
                if !(1..=side).contains(&blocks) {
                    let message =
                        format!("{blocks} is not in 1 to {side}, the side of the patch grid");
                    return Err(place.invalid("blocks", message));
                }
                blocks
            }
            Scope::All | Scope::WithinTiles | Scope::BaseView => 1,
        };
        let block = |row: usize, column: usize, (rows, columns): (usize, usize)| {
            Grid::square(blocks).cell_of((row, column), (rows, columns))
        };
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, shows) in tokens.places.iter().enumerate() {
            let group = match (shows, self.scope) {
                (Shows::Class | Shows::Newline, _)
                | (Shows::Canvas { .. }, Scope::BaseView)
                | (Shows::Pooled, Scope::WithinTiles | Scope::BaseView | Scope::WithinBlocks(_)) => {
                    continue;
                }
                (_, Scope::All) | (Shows::Base { .. }, Scope::WithinTiles | Scope::BaseView) => 0,
                (Shows::Canvas { tile, .. }, Scope::WithinTiles) => 1 + tile,
                (Shows::Base { row, column }, Scope::WithinBlocks(_)) => {
                    block(*row, *column, tokens.base)
                }
                (Shows::Canvas { row, column, .. }, Scope::WithinBlocks(_)) => {
                    blocks * blocks + block(*row, *column, tokens.canvas)
                }
            };
            groups.entry(group).or_default().push(i);
        }
        Ok(groups.into_values().collect())
    }
}

pub(super) fn check_permutation(
    place: At,
    field: &str,
    order: &[u32],
    tokens: usize,
    of: &str,
) -> Result<(), Error> {
    let invalid = |message| Err(place.invalid(field, message));
    if order.len() != tokens {
        return invalid(format!("{} indices; there are {tokens} {of}", order.len()));
    }
    let mut seen = vec![false; tokens];
    for &index in order {
        match seen.get_mut(index as usize) {
            None => return invalid(format!("{index} is not below {tokens}")),
            Some(true) => {
                return invalid(format!(
                    "{index} occurs twice; each of 0 to {} must occur once",
                    tokens - 1
                ));
            }
            Some(slot) => *slot = true,
        }
    }
    Ok(())
}
