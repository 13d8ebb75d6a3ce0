//! Select tokens: the language model reads some of the visual tokens only. Keeping one block of a
//! grid is the single-group input of Lee et al. 2024 (section 3.1, patch information loss), with or
//! without pooling.
//!
//! MERGE keeps the chosen tokens and merges the others into a few, as VisionZip (Yang et al. 2024)
//! does with those that the tower's class token attends to least.
//!
//! Laws: keeping all changes nothing; what KEEP leaves of a selector and what REMOVE leaves of it
//! partition the picture; merging into as many tokens as are left changes nothing.

use std::collections::BTreeMap;

use crate::intervention::compile::{
    Compiler, Entry, Spec, TokenInfo, TokenMap, TokenSelector, cosine, rounded,
};
use crate::intervention::error::Error;
use crate::intervention::plan::{Operation, PoolValue, Resolution, Resolved};
use crate::model::{RowsQuery, TowerInfo};
use crate::nn::{Point, Site, Stack};

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// They stay.
    Keep,
    /// They go.
    Remove,
    /// One mean for each set of the selector.
    Pool,
    /// They stay, the others are merged.
    Merge(Merge),
}

/// A way of merging tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merge {
    /// The number of merged tokens.
    pub amount: MergeAmount,
    /// The rows that tokens are compared by.
    pub similarity: MergeSimilarity,
    /// The value of a merged token.
    pub value: PoolValue,
}

/// The number of merged tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MergeAmount {
    /// `floor(share * tokens + 0.5)`, of all tokens of the picture.
    Share(f64),
    /// So many, or all.
    Count(u32),
}

/// Rows that tokens are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeSimilarity {
    /// Keys of the last layer of the tower that runs, mean over heads.
    Keys,
    /// The visual tokens.
    Tokens,
}

impl Spec for SelectTokens {
    fn selectors(&self) -> Vec<&TokenSelector> {
        vec![&self.tokens]
    }

    fn rows_query(&self) -> Option<RowsQuery> {
        match self.mode {
            Mode::Merge(merge) => Some(merge.similarity.query()),
            Mode::Keep | Mode::Remove | Mode::Pool => None,
        }
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
            let pools = self.mode == Mode::Pool;
            let pooled: Vec<bool> = groups.iter().map(|g| pools || g.len() > 1).collect();
            // Kept tokens ascend, so that as many as there were are the same ones.
            let same = !pools && kept.len() == map.tokens.len();
            // Keeping all but closing ranks can move tokens behind a picture with gaps.
            resolved.changed_nothing &= same && !self.compact;
            if !same {
                let value = match self.mode {
                    Mode::Merge(merge) => merge.value,
                    Mode::Keep | Mode::Remove | Mode::Pool => PoolValue::Mean,
                };
                let operation = match self.mode {
                    Mode::Keep | Mode::Remove => Operation::Gather(kept.clone().into()),
                    Mode::Pool | Mode::Merge(_) => {
                        let groups = groups.into();
                        Operation::Pool { groups, value }
                    }
                };
                compiler.edit_tokens(entry, image, operation);
            }
            resolved.fired = resolved.fired.map(|f| f + 1);
            // What follows in the list sees the tokens that are left.
            compiler.images[image].keep(&kept, &pooled, self.compact);
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
        if let Mode::Merge(merge) = self.mode {
            let chosen = self.tokens.pick(entry, "tokens", map, context)?.rows;
            return merge.groups(entry, map, &chosen, compiler);
        }
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
        // A set may be empty in one of several pictures, and a mean of nothing is no token.
        groups.retain(|g| !g.is_empty());
        if groups.is_empty() {
            return Err(entry.never_fired("no token is chosen"));
        }
        // The order of the tokens is that of the picture, not that of the request's sets.
        groups.sort();
        Ok(groups)
    }
}

impl MergeSimilarity {
    fn query(self) -> RowsQuery {
        match self {
            Self::Keys => RowsQuery::TowerKeys,
            Self::Tokens => RowsQuery::At {
                point: Point::of(Stack::Projector, Site::Tokens),
                head: None,
            },
        }
    }
}

impl Merge {
    /// Returns the chosen tokens one by one, and the others in groups, each with its seed first.
    fn groups(
        &self,
        entry: Entry,
        map: &TokenMap,
        chosen: &[bool],
        compiler: &Compiler<'_>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let rows = self.rows(entry, map, compiler)?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut others = Vec::new();
        for (i, row) in (0..).zip(rows) {
            match row {
                // Chosen ones need no row to be compared by.
                _ if chosen[i as usize] => groups.push(vec![i]),
                Some(row) => others.push((i, row)),
                None => {}
            }
        }
        let wanted = match self.amount {
            MergeAmount::Share(share) => {
                entry.check_share("merge.share", share)?;
                rounded(share, map.tokens.len())
            }
            MergeAmount::Count(count) => count as usize,
        };
        let count = wanted.min(others.len());
        if count > 0 {
            groups.extend(merged(&others, count));
        }
        if groups.is_empty() {
            return Err(entry.never_fired(match self.amount {
                MergeAmount::Share(share) if !others.is_empty() => {
                    let all = map.tokens.len();
                    format!("no token is chosen, and `merge.share` {share} of {all} tokens is none")
                }
                MergeAmount::Count(0) => "no token is chosen, and `merge.count` is 0".into(),
                _ => "no token is chosen, and there is none to merge".into(),
            }));
        }
        // Each stands where its first token stood.
        groups.sort();
        Ok(groups)
    }

    /// Returns the row that each token of `map` is compared by; `None` where it has none.
    fn rows(
        &self,
        entry: Entry,
        map: &TokenMap,
        compiler: &Compiler<'_>,
    ) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let measured = compiler.context.rows.get(&self.similarity.query());
        let measured = measured.ok_or_else(|| entry.invalid("merge", "no rows were measured"))?;
        let tower = compiler.context.model.tower.info();
        let mut views = BTreeMap::new();
        for (view, rows) in measured {
            let rows: Vec<Vec<f32>> = rows.to_vec2().map_err(crate::model::Error::from)?;
            views.insert(*view, rows);
        }
        let tokens = map.tokens.iter();
        let rows = tokens.map(|token| self.row_of(token, &views, tower));
        Ok(rows.collect())
    }

    /// Returns the row of one token: its own, or the mean over heads of its patches' keys.
    fn row_of(
        &self,
        token: &TokenInfo,
        views: &BTreeMap<(usize, usize), Vec<Vec<f32>>>,
        tower: &TowerInfo,
    ) -> Option<Vec<f32>> {
        let TokenInfo::Visual {
            image,
            patches,
            origin,
            ..
        } = token
        else {
            return None;
        };
        if self.similarity == MergeSimilarity::Tokens {
            return views.get(&(*image, 0))?.get((*origin)? as usize).cloned();
        }
        let mut sum = vec![0.0; tower.head_width()];
        for &(view, patch, weight) in patches {
            let row = views.get(&(*image, view))?;
            // Keys of all heads end to end, `(H Dh)`.
            let row = row.get(usize::from(tower.has_class) + patch)?;
            for head in row.chunks(sum.len()) {
                let sums = sum.iter_mut().zip(head);
                sums.for_each(|(sum, key)| *sum += weight * key / tower.heads as f32);
            }
        }
        (!patches.is_empty()).then_some(sum)
    }
}

/// Returns `others` in `count` groups: each of the seeds, spread evenly, with those most similar to it.
fn merged(others: &[(u32, Vec<f32>)], count: usize) -> Vec<Vec<u32>> {
    // At least 1, as `count` is at most the number of tokens.
    let step = others.len() / count;
    let seeds: Vec<usize> = (0..count).map(|i| i * step).collect();
    let mut groups: Vec<Vec<u32>> = seeds.iter().map(|&i| vec![others[i].0]).collect();
    for (i, (token, row)) in others.iter().enumerate() {
        if seeds.binary_search(&i).is_ok() {
            continue;
        }
        let (mut best, mut most) = (0, f64::NEG_INFINITY);
        for (group, &seed) in seeds.iter().enumerate() {
            let similarity = cosine(row, &others[seed].1);
            // Of equals the first.
            if similarity > most {
                (best, most) = (group, similarity);
            }
        }
        groups[best].push(*token);
    }
    groups
}
