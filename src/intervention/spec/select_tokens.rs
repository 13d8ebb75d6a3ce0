//! Select tokens: the language model reads some of the visual tokens only. Keeping one block of a
//! grid is the single-group input of Lee et al. 2024 (section 3.1, patch information loss), with or
//! without pooling.
//!
//! Laws: keeping all changes nothing; what KEEP leaves of a selector and what REMOVE leaves of it
//! partition the picture.

use crate::intervention::compile::{Compiler, Entry, Spec, TokenMap, TokenSelector};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, Resolution, Resolved};

/// Keeps, removes or pools visual tokens of every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectTokens {
    /// The chosen tokens of each picture.
    pub tokens: TokenSelector,
    /// The fate of the chosen tokens.
    pub mode: Mode,
    /// Renumbers the rotary positions of the tokens that are left, in place of keeping them.
    pub compact: bool,
}

/// The fate of the chosen tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They stay.
    Keep,
    /// They go.
    Remove,
    /// One mean for each set of the selector.
    Pool,
}

impl Spec for SelectTokens {
    fn selectors(&self) -> Vec<&TokenSelector> {
        vec![&self.tokens]
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let context = compiler.context;
        entry.needs_image(context)?;
        let mut resolved = Resolved {
            // Known here: the edit itself leaves no rows to compare.
            fired: Some(0),
            changed_nothing: true,
            ..Resolved::default()
        };
        for image in 0..compiler.images.len() {
            let map = TokenMap::of_picture(image, &compiler.images[image]);
            let groups = self.groups(entry, &map, compiler)?;
            // A pooled token stands where the first token of its group stood.
            let kept: Vec<u32> = groups.iter().map(|g| g[0]).collect();
            let same = self.mode != Mode::Pool && kept.len() == map.tokens.len();
            // Keeping all but closing ranks can move tokens behind a picture with gaps.
            resolved.changed_nothing &= same && !self.compact;
            if !same {
                let operation = match self.mode {
                    Mode::Pool => Operation::Pool(groups.into()),
                    Mode::Keep | Mode::Remove => Operation::Gather(kept.clone().into()),
                };
                compiler.edit_tokens(entry, image, operation);
            }
            resolved.fired = resolved.fired.map(|f| f + 1);
            compiler.images[image].keep(&kept, self.mode == Mode::Pool, self.compact);
            resolved.resolutions.push(Resolution::of(image, kept));
        }
        Ok(resolved)
    }
}

impl SelectTokens {
    /// Returns the old tokens behind each new one, in order; no group is empty.
    fn groups(
        &self,
        entry: Entry,
        map: &TokenMap,
        compiler: &Compiler<'_>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let context = compiler.context;
        if self.mode != Mode::Pool {
            let picked = self.tokens.pick(entry, "tokens", map, context)?;
            let keep = self.mode == Mode::Keep;
            return Ok((0..)
                .zip(&picked.rows)
                .filter(|(_, chosen)| **chosen == keep)
                .map(|(i, _)| vec![i])
                .collect());
        }
        if self.tokens.complement {
            return Err(entry.invalid(
                "tokens.complement",
                "pooling takes the sets of `any_of` one by one; leave it unset",
            ));
        }
        let mut groups = if self.tokens.any_of.is_empty() {
            vec![(0..map.tokens.len() as u32).collect()]
        } else {
            Vec::new()
        };
        for (i, tokens) in self.tokens.any_of.iter().enumerate() {
            groups.push(
                tokens
                    .pick(entry, &format!("tokens.any_of[{i}]"), map, context)?
                    .indices(),
            );
        }
        groups.retain(|g| !g.is_empty());
        if groups.is_empty() {
            return Err(entry.never_fired("no token is chosen"));
        }
        // The order of the tokens is that of the picture, not that of the request's sets.
        groups.sort();
        Ok(groups)
    }
}
