//! Permute the visual tokens (Lee et al. 2024, section 3.2): token i of a picture becomes what
//! token `order[i]` was.
//!
//! Law: permuting by an order and then by its inverse changes nothing; since the projector maps row
//! by row, permuting before it or after it is the same. Class tokens and newlines stay where they
//! are, unless a given order moves them.

use std::collections::BTreeMap;

use crate::intervention::compile::{Compiler, Context, Entry, Spec};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolution, Resolved};
use crate::model::{ImageTokens, Place};
use crate::vision::{CellGrid, Size};

/// Permutes the rows of each picture's visual tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct PermuteTokens {
    /// The new order.
    pub order: Order,
    /// The tokens among which rows move.
    pub scope: Scope,
}

/// An order of tokens or cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Uniformly drawn, by seed.
    Seed(u64),
    /// A permutation of all of them.
    Given(Vec<u32>),
}

/// The tokens among which rows move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All patches of a picture together.
    All,
    /// Patches of the same tile; a picture of one view is one tile.
    WithinTiles,
    /// Patches of the base view.
    BaseView,
    /// Patches of the same block of an n x n partition of the patch grid.
    WithinBlocks(usize),
}

impl Spec for PermuteTokens {
    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let context = compiler.context;
        entry.needs_image(context)?;
        let mut resolved = Resolved {
            changed_nothing: true,
            ..Resolved::default()
        };
        for image in 0..compiler.images.len() {
            // Over the tokens that earlier selections have left.
            let order = self.order_of(entry, context, image, &compiler.images[image])?;
            resolved.changed_nothing &= order.iter().enumerate().all(|(i, &o)| i == o as usize);
            resolved
                .resolutions
                .push(Resolution::of(image, order.clone()));
            compiler.edit_tokens(entry, image, Operation::Gather(order.into()));
        }
        Ok(resolved)
    }
}

impl PermuteTokens {
    fn order_of(
        &self,
        entry: Entry,
        context: &Context<'_>,
        image: usize,
        tokens: &ImageTokens,
    ) -> Result<Vec<u32>, Error> {
        match &self.order {
            Order::Given(order) => {
                if self.scope != Scope::All {
                    return Err(entry.invalid("scope", "a given order needs SCOPE_ALL"));
                }
                check_permutation(
                    entry,
                    "order.indices",
                    order,
                    tokens.len(),
                    "visual tokens in a picture",
                )?;
                Ok(order.clone())
            }
            Order::Seed(seed) => {
                let mut draws = entry.draws(*seed, context, image);
                let mut order: Vec<u32> = (0..tokens.len() as u32).collect();
                // One stream for all groups, drawn in their order, which is part of the contract.
                for members in self.groups(entry, tokens)? {
                    // Within the group: `members[i]` names the token whose row comes here.
                    for (i, &to) in draws.permutation(members.len()).iter().zip(&members) {
                        order[to] = members[*i as usize] as u32;
                    }
                }
                Ok(order)
            }
        }
    }

    /// Returns the groups of tokens within which rows move.
    fn groups(&self, entry: Entry, tokens: &ImageTokens) -> Result<Vec<Vec<usize>>, Error> {
        let blocks = match self.scope {
            Scope::WithinBlocks(blocks) => {
                let side = tokens.base.0.min(tokens.base.1);
                if !(1..=side).contains(&blocks) {
                    let message =
                        format!("{blocks} is not in 1 to {side}, the side of the patch grid");
                    return Err(entry.invalid("blocks", message));
                }
                blocks
            }
            Scope::All | Scope::WithinTiles | Scope::BaseView => 1,
        };
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, place) in tokens.places.iter().enumerate() {
            let group = match (place, self.scope) {
                (Place::Class | Place::Newline, _)
                | (Place::Canvas { .. }, Scope::BaseView)
                // Class tokens and newlines stay; pooled tokens are of no tile and no block.
                | (
                    Place::Pooled,
                    Scope::WithinTiles | Scope::BaseView | Scope::WithinBlocks(_),
                ) => continue,
                (_, Scope::All) | (Place::Base { .. }, Scope::WithinTiles | Scope::BaseView) => 0,
                (Place::Canvas { tile, .. }, Scope::WithinTiles) => 1 + tile,
                (Place::Base { row, column }, Scope::WithinBlocks(_)) => {
                    block(blocks, (*row, *column), tokens.base)
                }
                // Blocks of the canvas are numbered after those of the base view.
                (Place::Canvas { row, column, .. }, Scope::WithinBlocks(_)) => {
                    blocks * blocks + block(blocks, (*row, *column), tokens.canvas)
                }
            };
            // A `BTreeMap`: groups are drawn in the order of their numbers.
            groups.entry(group).or_default().push(i);
        }
        Ok(groups.into_values().collect())
    }
}

/// Returns the block of a `blocks` x `blocks` partition that a place falls in.
fn block(blocks: usize, place: (usize, usize), extent: Size) -> usize {
    CellGrid::square(blocks).cell_of(place, extent)
}

/// Fails unless `order` is a permutation of `tokens` numbers, which errors call `of`.
pub(crate) fn check_permutation(
    entry: Entry,
    field: &str,
    order: &[u32],
    tokens: usize,
    of: &str,
) -> Result<(), Error> {
    let invalid = |message| Err(entry.invalid(field, message));
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
