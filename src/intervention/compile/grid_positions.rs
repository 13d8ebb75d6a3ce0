//! Positions of a grid: tokens, words, and patches in groups, resolved to rows.

use std::collections::BTreeMap;

use super::compiler::Compiler;
use super::entry::Entry;
use super::selector::{Steps, TokenSelector};
use super::token_map::{TokenInfo, TokenMap};
use crate::field_path::{FieldPath, InvalidField};
use crate::intervention::error::Error;
use crate::model::Place;
use crate::nn::{Point, Stack};
use crate::vision;

/// Most entries that a grid's positions are listed in.
const MAX_ENTRIES: usize = 1024;
/// Most cells of a grid, and so most of each of its axes.
pub const MAX_CELLS: usize = 1 << 16;
/// Most tokens of all positions together: a short list of groups could name a long prompt a
/// thousand times, and each token is held with its place (72 MiB).
const MAX_TOKENS: usize = 1 << 20;

/// Some positions.
#[derive(Debug, Clone)]
pub enum Positions {
    /// Each of these tokens.
    Each(TokenSelector),
    /// Each word among these tokens; returned token by token, which are joined by their texts.
    Words(TokenSelector),
    /// Patches in groups.
    Patches(Patches),
    /// These tokens together.
    Group {
        /// The tokens.
        tokens: TokenSelector,
        /// Names the position; empty: the text of its tokens.
        label: String,
    },
}

/// Groups of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patches {
    /// Blocks of a partition with so many along a side.
    Blocks(u32),
    /// Rows of each grid.
    Rows,
    /// Columns of each grid.
    Columns,
}

/// One position.
#[derive(Debug, Clone)]
pub struct GridPosition {
    /// The entry that it is of; 0 where none were listed.
    pub entry: usize,
    /// The label as asked; empty: the text of its tokens.
    pub label: String,
    /// The tokens, ascending.
    pub tokens: Vec<GridToken>,
    /// Set for a part of a word.
    pub in_word: bool,
}

impl GridPosition {
    /// Creates a position that is called what its tokens say.
    fn unlabelled(entry: usize, tokens: Vec<GridToken>) -> Self {
        Self {
            entry,
            label: String::new(),
            tokens,
            in_word: false,
        }
    }
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridToken {
    /// The picture and the view; (0, 0) in the language model.
    pub view: (usize, usize),
    /// The number of the token.
    pub token: u32,
    /// The patch that it shows.
    pub patch: Option<PatchPlace>,
}

/// The place of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchPlace {
    /// The picture.
    pub image: usize,
    /// Set for a patch of the canvas that tiles make up, not of the base view.
    pub on_canvas: bool,
    /// Rows above it.
    pub row: usize,
    /// Columns before it.
    pub column: usize,
    /// Rows and columns of the grid that it is in.
    pub extent: (usize, usize),
}

pub(super) type Maps = [((usize, usize), TokenMap)];

/// Resolves positions; each token where none are asked for.
pub(super) fn positions(
    asked: &[Positions],
    site: Point,
    maps: &Maps,
    compiler: &Compiler<'_>,
) -> Result<Vec<GridPosition>, Error> {
    let default = [Positions::Each(TokenSelector::default())];
    let entries = if asked.is_empty() {
        &default[..]
    } else {
        asked
    };
    if entries.len() > MAX_ENTRIES {
        let message = format!("{} entries; at most {MAX_ENTRIES} are taken", entries.len());
        return Err(invalid("grid.positions", message));
    }
    let at = Rowed {
        site,
        maps,
        compiler,
    };
    let (mut all, mut tokens) = (Vec::new(), 0);
    for (entry, positions) in entries.iter().enumerate() {
        let found = positions.resolve(entry, &at)?;
        if found.is_empty() {
            let field = format!("grid.positions[{entry}]");
            return Err(invalid(field, "no token is chosen; choose some"));
        }
        tokens += found.iter().map(|p| p.tokens.len()).sum::<usize>();
        all.extend(found);
        if tokens > MAX_TOKENS {
            let message = format!(
                "{tokens} tokens and more, of {} positions together; at most {MAX_TOKENS} are \
                 taken",
                all.len()
            );
            return Err(invalid("grid.positions", message));
        }
        // Before many entries of all tokens have been written out.
        if all.len() > MAX_CELLS {
            let message = format!(
                "{} positions and more; at most {MAX_CELLS} cells are taken",
                all.len()
            );
            return Err(invalid("grid.positions", message));
        }
    }
    Ok(all)
}

impl Positions {
    /// Returns the selector that they name tokens by.
    pub(super) fn selector(&self) -> Option<&TokenSelector> {
        match self {
            Self::Each(tokens) | Self::Words(tokens) | Self::Group { tokens, .. } => Some(tokens),
            Self::Patches(_) => None,
        }
    }

    fn resolve(&self, entry: usize, at: &Rowed<'_>) -> Result<Vec<GridPosition>, Error> {
        let one = |tokens| GridPosition::unlabelled(entry, tokens);
        match self {
            Self::Each(selector) => {
                let tokens = at.pick(entry, "each", selector)?;
                Ok(tokens.into_iter().map(|token| one(vec![token])).collect())
            }
            Self::Words(selector) => {
                if at.site.stack != Stack::LanguageModel {
                    let message = "words are in the language model; choose one of its points";
                    return Err(invalid(format!("grid.positions[{entry}].words"), message));
                }
                let tokens = at.pick(entry, "words", selector)?;
                let parts = tokens
                    .into_iter()
                    // Visual tokens among the chosen ones have no words, and are passed over.
                    .filter(|token| at.is_text(token))
                    .map(|token| GridPosition {
                        in_word: true,
                        ..one(vec![token])
                    });
                Ok(parts.collect())
            }
            Self::Group { tokens, label } => {
                let tokens = at.pick(entry, "group.tokens", tokens)?;
                if tokens.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![GridPosition {
                    label: label.clone(),
                    ..one(tokens)
                }])
            }
            Self::Patches(by) => {
                by.check(entry, at.compiler)?;
                let groups = by.groups(at.maps).into_iter();
                let groups = groups.map(|(label, tokens)| GridPosition {
                    label,
                    ..one(tokens)
                });
                Ok(groups.collect())
            }
        }
    }
}

/// Holds what positions are resolved against: rows at one kind of point.
struct Rowed<'a> {
    site: Point,
    maps: &'a Maps,
    compiler: &'a Compiler<'a>,
}

impl Rowed<'_> {
    /// Returns the tokens that a selector picks; `field` is its path within its entry.
    fn pick(
        &self,
        entry: usize,
        field: &str,
        selector: &TokenSelector,
    ) -> Result<Vec<GridToken>, Error> {
        let (stack, site) = (self.site.stack, self.site.site);
        // The prompt alone: a traced run generates no token.
        let steps = Steps { first: 0, last: 0 };
        let rows = self
            .compiler
            .pick(grid_entry(entry), field, selector, steps, stack, site)?;
        let mut tokens = Vec::with_capacity(rows.count());
        for (view, map) in self.maps {
            let chosen = rows.views.get(view).map_or(&[][..], Vec::as_slice);
            for (token, (info, is_chosen)) in (0..).zip(map.tokens.iter().zip(chosen)) {
                if *is_chosen {
                    tokens.push(GridToken {
                        view: *view,
                        token,
                        patch: place(info),
                    });
                }
            }
        }
        Ok(tokens)
    }

    /// Reports whether a token of the language model is one of text.
    fn is_text(&self, token: &GridToken) -> bool {
        let map = self.maps.first();
        let info = map.and_then(|(_, map)| map.tokens.get(token.token as usize));
        matches!(info, Some(TokenInfo::Text(..)))
    }
}

/// Returns the place of the patch that a token shows.
pub(super) fn place(info: &TokenInfo) -> Option<PatchPlace> {
    let TokenInfo::Visual { image, extent, .. } = info else {
        return None;
    };
    let (on_canvas, row, column) = match info.place()? {
        Place::Base { row, column } => (false, row, column),
        Place::Canvas { row, column, .. } => (true, row, column),
        Place::Class | Place::Newline | Place::Pooled => return None,
    };
    Some(PatchPlace {
        image: *image,
        on_canvas,
        row,
        column,
        extent: *extent,
    })
}

impl Patches {
    fn check(self, entry: usize, compiler: &Compiler<'_>) -> Result<(), Error> {
        let Self::Blocks(grid) = self else {
            return Ok(());
        };
        let side = compiler.context.largest_side() as u32;
        if (1..=side).contains(&grid) {
            return Ok(());
        }
        let message = format!("{grid} is not in 1 to {side}, the side of the patch grid");
        Err(invalid(
            format!("grid.positions[{entry}].patches.grid"),
            message,
        ))
    }

    /// Returns the groups of all patches, with what each is called.
    fn groups(self, maps: &Maps) -> Vec<(String, Vec<GridToken>)> {
        // By picture, base view before canvas, then row by row: the order in which positions come.
        let mut groups: BTreeMap<(usize, bool, usize), Vec<GridToken>> = BTreeMap::new();
        for (view, map) in maps {
            for (token, info) in (0..).zip(&map.tokens) {
                let Some(patch) = place(info) else { continue };
                let key = match self {
                    // A block of the base view and that of the canvas show the same.
                    Self::Blocks(grid) => {
                        let cells = vision::CellGrid::square(grid as usize);
                        (
                            patch.image,
                            false,
                            cells.cell_of((patch.row, patch.column), patch.extent),
                        )
                    }
                    Self::Rows => (patch.image, patch.on_canvas, patch.row),
                    Self::Columns => (patch.image, patch.on_canvas, patch.column),
                };
                groups.entry(key).or_default().push(GridToken {
                    view: *view,
                    token,
                    patch: Some(patch),
                });
            }
        }
        // One picture needs no number.
        let several = groups.keys().any(|key| key.0 > 0);
        let named = |(key, tokens)| (self.label(key, several), tokens);
        groups.into_iter().map(named).collect()
    }

    /// Returns what a group is called; the picture is named where there are several.
    fn label(self, (image, on_canvas, number): (usize, bool, usize), several: bool) -> String {
        let what = match self {
            Self::Blocks(grid) => {
                let (row, column) = (number / grid as usize, number % grid as usize);
                format!("block ({row}, {column})")
            }
            Self::Rows => format!("row {number}"),
            Self::Columns => format!("column {number}"),
        };
        let of = if several {
            format!("picture {image}, ")
        } else {
            String::new()
        };
        let tiles = if on_canvas { "tiles, " } else { "" };
        format!("{of}{tiles}{what}")
    }
}

pub(super) fn invalid(field: impl Into<FieldPath>, message: impl Into<String>) -> Error {
    InvalidField::new(field, message).into()
}

pub(super) fn grid_entry(index: usize) -> Entry {
    Entry {
        list: "grid.positions",
        index,
        name: "",
    }
}
