//! Permute the visual tokens (Lee et al. 2024, section 3.2): row i of the projector's output becomes what row `order[i]` was.
//!
//! Law: permuting by an order and then by its inverse changes nothing; since the projector maps row by row, permuting before
//! it or after it is the same.

use super::plan::{Edit, Operation, Plan, Resolution, Resolved};
use super::{Context, Error, Place};
use crate::model::SelectStrategy;
use crate::nn::{Point, Site, Stack};
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
    /// Uniform, by seed; `None` until the server has drawn it.
    Seed(Option<u64>),
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
    pub(super) fn draw_open_seeds(&mut self, fresh: &mut impl FnMut() -> u64) {
        if let Order::Seed(seed @ None) = &mut self.order {
            *seed = Some(fresh());
        }
    }

    pub(super) fn compile(&self, place: Place, context: &Context<'_>, plan: &mut Plan) -> Result<Resolved, Error> {
        place.needs_image(context)?;
        let mut resolved = Resolved { changed_nothing: true, ..Resolved::default() };
        for image in 0..context.images {
            let order = self.order_of(place, context, image)?;
            resolved.changed_nothing &= order.iter().enumerate().all(|(i, &o)| i == o as usize);
            resolved.resolutions.push(Resolution { image, indices: order.clone(), ..Resolution::default() });
            let point = Point::of(Stack::Projector, Site::Out);
            plan.edits.push(Edit { point, image, operation: Operation::Gather(order) });
        }
        Ok(resolved)
    }

    fn order_of(&self, place: Place, context: &Context<'_>, image: usize) -> Result<Vec<u32>, Error> {
        let tower = &context.model.tower;
        let (side, tokens) = (tower.config().grid(), tower.tokens());
        match &self.order {
            Order::Given(order) => {
                if self.scope != Scope::All {
                    return Err(place.invalid("scope", "a given order needs SCOPE_ALL"));
                }
                check_permutation(place, order, tokens)?;
                Ok(order.clone())
            }
            Order::Seed(seed) => {
                let seed = seed.ok_or_else(|| place.invalid("seed", "not drawn"))?;
                let mut draws = place.draws(seed, context, image);
                let blocks = match self.scope {
                    Scope::All | Scope::WithinTiles | Scope::BaseView => 1,
                    Scope::WithinBlocks(n) if (1..=side).contains(&n) => n,
                    Scope::WithinBlocks(n) => {
                        return Err(
                            place.invalid("blocks", format!("{n} is not in 1 to {side}, the side of the patch grid"))
                        );
                    }
                };
                // CLS, where the model keeps it, stands before the patches and stays.
                let first = match tower.strategy() {
                    SelectStrategy::Default => 0,
                    SelectStrategy::Full => 1,
                };
                let mut order: Vec<u32> = (0..tokens as u32).collect();
                for members in partition(side, blocks) {
                    for (i, &to) in draws.permutation(members.len()).iter().zip(&members) {
                        order[first + to] = (first + members[*i as usize]) as u32;
                    }
                }
                Ok(order)
            }
        }
    }
}

/// The patches of each block of a `blocks` x `blocks` partition of a `side` x `side` grid, row by row.
fn partition(side: usize, blocks: usize) -> Vec<Vec<usize>> {
    let grid = Grid { side: blocks };
    (0..grid.cells())
        .map(|block| {
            let rows = grid.cut(block / blocks, side);
            rows.flat_map(|row| grid.cut(block % blocks, side).map(move |column| row * side + column)).collect()
        })
        .collect()
}

fn check_permutation(place: Place, order: &[u32], tokens: usize) -> Result<(), Error> {
    let invalid = |message| Err(place.invalid("order.indices", message));
    if order.len() != tokens {
        return invalid(format!("{} indices; a picture has {tokens} visual tokens", order.len()));
    }
    let mut seen = vec![false; tokens];
    for &index in order {
        match seen.get_mut(index as usize) {
            None => return invalid(format!("{index} is not below {tokens}")),
            Some(true) => return invalid(format!("{index} occurs twice; each of 0 to {} must occur once", tokens - 1)),
            Some(slot) => *slot = true,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn blocks_cover_the_grid_once() {
        for side in 1..9 {
            for blocks in 1..=side {
                let mut all: Vec<usize> = partition(side, blocks).concat();
                all.sort_unstable();
                assert_eq!(all, (0..side * side).collect::<Vec<_>>());
            }
        }
    }
}
