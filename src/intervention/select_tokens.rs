//! Select tokens: the language model reads some of the visual tokens only. Keeping one block of a
//! grid is the single-group input of Lee et al. 2024 (section 3.1, patch information loss), with or
//! without pooling.
//!
//! Laws: keeping all changes nothing; what KEEP leaves of a selector and what REMOVE leaves of it
//! partition the picture.

use super::plan::{Operation, Resolution, Resolved};
use super::selector::Universe;
use super::{Compiler, Error, Place, TokenSelector};

/// Keeps, removes or pools visual tokens of every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectTokens {
    /// Which tokens of each picture.
    pub tokens: TokenSelector,
    /// What becomes of them.
    pub mode: Mode,
    /// Whether what is left closes ranks, or keeps its rotary positions.
    pub compact: bool,
}

/// What becomes of the chosen tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They stay.
    Keep,
    /// They go.
    Remove,
    /// One mean for each set of the selector.
    Pool,
}

impl SelectTokens {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        place.needs_image(context)?;
        let mut resolved = Resolved {
            fired: Some(0),
            changed_nothing: true,
            ..Resolved::default()
        };
        for image in 0..compiler.images.len() {
            let universe = Universe::of_tokens(image, &compiler.images[image]);
            let groups = self.groups(place, &universe, compiler)?;
            let kept: Vec<u32> = groups.iter().map(|g| g[0]).collect();
            let same = self.mode != Mode::Pool && kept.len() == universe.items.len();
            resolved.changed_nothing &= same && !self.compact;
            if !same {
                let operation = match self.mode {
                    Mode::Pool => Operation::Pool(groups.into()),
                    Mode::Keep | Mode::Remove => Operation::Gather(kept.clone().into()),
                };
                compiler.edit_tokens(place, image, operation);
            }
            resolved.fired = resolved.fired.map(|f| f + 1);
            compiler.images[image].keep(&kept, self.mode == Mode::Pool, self.compact);
            resolved.resolutions.push(Resolution::of(image, kept));
        }
        Ok(resolved)
    }

    /// The tokens behind each of those that stay, in order; none of the groups is empty.
    fn groups(
        &self,
        place: Place,
        universe: &Universe,
        compiler: &Compiler<'_>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let context = compiler.context;
        if self.mode != Mode::Pool {
            let picked = self.tokens.pick(place, "tokens", universe, context)?;
            let stay = |chosen: bool| chosen == (self.mode == Mode::Keep);
            let numbers = picked
                .rows
                .iter()
                .enumerate()
                .filter(|(_, chosen)| stay(**chosen));
            return Ok(numbers.map(|(i, _)| vec![i as u32]).collect());
        }
        if self.tokens.complement {
            return Err(place.invalid(
                "tokens.complement",
                "pooling takes the sets of `any_of` one by one; leave it unset",
            ));
        }
        let mut groups = if self.tokens.any_of.is_empty() {
            vec![(0..universe.items.len() as u32).collect()]
        } else {
            Vec::new()
        };
        for (i, tokens) in self.tokens.any_of.iter().enumerate() {
            groups.push(
                tokens
                    .pick(place, &format!("tokens.any_of[{i}]"), universe, context)?
                    .indices(),
            );
        }
        groups.retain(|g| !g.is_empty());
        if groups.is_empty() {
            return Err(place.never_fired("no token is chosen"));
        }
        groups.sort();
        Ok(groups)
    }
}
