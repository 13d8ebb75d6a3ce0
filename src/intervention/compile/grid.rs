//! Grids of patches: hook points, layers, positions and heads whose activations are written over
//! others one after the other, resolved against one input.
//!
//! Knows rows and what they show; whose activations are written is told elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiler::Compiler;
use super::context::Context;
use super::entry::Entry;
use super::saliency::Salient;
use super::selector::{Steps, TokenSelector};
use super::shape::{Shape, shape_of};
use super::target::Target;
use super::token_map::{TokenInfo, TokenMap};
use super::{Needs, compiled, needs};
use crate::field_path::{InvalidField, shown};
use crate::intervention::error::Error;
use crate::intervention::plan::Rows;
use crate::intervention::spec::Intervention;
use crate::model::Place;
use crate::nn::{HOOK_TABLE, Point, Site, Stack};
use crate::vision;

/// Most points of a grid.
const MAX_POINTS: usize = 16;
/// Most entries that a grid's positions are listed in.
const MAX_ENTRIES: usize = 1024;
/// Most cells of a grid, and so most of each of its axes.
const MAX_CELLS: usize = 1 << 16;
/// The points of a grid that names none.
const DEFAULT_POINT: &str = "language_model.blocks.{l}.hook_resid_pre";

/// A grid as asked.
#[derive(Debug, Clone, Default)]
pub struct GridSpec {
    /// Names of hook points, `{l}` for their layers.
    pub points: Vec<String>,
    /// Layers; all that run where it is empty.
    pub layers: Vec<u32>,
    /// Positions; each token where it is empty.
    pub positions: Vec<Positions>,
    /// Heads; all where it is empty.
    pub heads: Vec<u32>,
    /// Makes each head a cell of its own.
    pub each_head: bool,
    /// The end of a path: what receives the effect.
    pub receiver: Option<Target>,
}

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

/// A grid resolved against a model and one input.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The points, all of one stack.
    pub points: Vec<GridPoint>,
    /// The layers; empty where points have none.
    pub layers: Vec<usize>,
    /// The positions.
    pub positions: Vec<GridPosition>,
    /// Heads that are cells of their own; empty where they are none.
    pub heads: Vec<u32>,
    /// Heads that are patched together; `None` for all.
    pub together: Option<Arc<[u32]>>,
    /// The number of rows of each picture and view.
    pub lengths: BTreeMap<(usize, usize), usize>,
    /// The points and rows of the receiver.
    pub receiver: Option<Receiver>,
}

/// The points, rows and heads (`None` for all) of a receiver.
pub type Receiver = (Vec<Point>, Arc<Rows>, Option<Arc<[u32]>>);

/// A point of a grid.
#[derive(Debug, Clone)]
pub struct GridPoint {
    /// The name in the hook table.
    pub name: String,
    /// The place; without a layer.
    pub point: Point,
    /// The sizes of a row there.
    pub shape: Shape,
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

impl Grid {
    /// Returns how many cells it has.
    pub fn cells(&self) -> usize {
        let heads = self.heads.len().max(1);
        self.points.len() * self.layers.len().max(1) * self.positions.len() * heads
    }

    /// Returns some tokens as a set of rows.
    pub fn rows(&self, tokens: &[GridToken]) -> Rows {
        let empty = |(&view, &count): (&(usize, usize), &usize)| (view, vec![false; count]);
        let mut rows = Rows {
            views: self.lengths.iter().map(empty).collect(),
            generated: None,
        };
        for token in tokens {
            if let Some(row) = rows
                .views
                .get_mut(&token.view)
                .and_then(|rows| rows.get_mut(token.token as usize))
            {
                *row = true;
            }
        }
        rows
    }

    /// Fails where it has more cells than a grid may.
    pub fn check_size(&self) -> Result<(), Error> {
        let cells = self.cells();
        if cells > MAX_CELLS {
            let message = format!(
                "{cells} cells, {} points x {} layers x {} positions x {} heads; at most {MAX_CELLS} \
                 are taken",
                self.points.len(),
                self.layers.len().max(1),
                self.positions.len(),
                self.heads.len().max(1)
            );
            return Err(invalid("grid", message));
        }
        Ok(())
    }
}

/// Returns what compiling `list` and resolving `spec` need.
pub fn grid_needs<'a>(list: &'a [Intervention], spec: &'a GridSpec) -> Needs<'a> {
    let mut all = needs(list, &[]);
    let receiver = spec.receiver.iter().map(|target| &target.tokens);
    for selector in spec
        .positions
        .iter()
        .filter_map(Positions::selector)
        .chain(receiver)
    {
        all.saliency
            .extend(selector.salient().filter_map(Salient::query));
    }
    all
}

/// Compiles `list`, and resolves `spec` against what it leaves.
pub fn compile_grid(
    list: &[Intervention],
    spec: &GridSpec,
    context: &Context<'_>,
) -> Result<Grid, Error> {
    let (compiler, _) = compiled(list, context)?;
    let points = points(spec, &compiler)?;
    let layers = layers(spec, &points, &compiler)?;
    let (heads, together) = heads(spec, &points)?;
    let site = points[0].point;
    let maps = compiler.maps(site.stack, site.site);
    if site.stack != Stack::LanguageModel {
        grid_entry(0).needs_image(context)?;
    }
    Ok(Grid {
        positions: positions(spec, site, &maps, &compiler)?,
        receiver: receiver(spec, &compiler)?,
        lengths: maps
            .iter()
            .map(|(view, map)| (*view, map.tokens.len()))
            .collect(),
        points,
        layers,
        heads,
        together,
    })
}

fn invalid(field: impl Into<crate::field_path::FieldPath>, message: impl Into<String>) -> Error {
    InvalidField::new(field, message).into()
}

fn grid_entry(index: usize) -> Entry {
    Entry {
        list: "grid.positions",
        index,
        name: "",
    }
}

fn points(spec: &GridSpec, compiler: &Compiler<'_>) -> Result<Vec<GridPoint>, Error> {
    let default = [DEFAULT_POINT.to_owned()];
    let names = if spec.points.is_empty() {
        &default[..]
    } else {
        &spec.points[..]
    };
    if names.len() > MAX_POINTS {
        let message = format!("{} points; at most {MAX_POINTS} are taken", names.len());
        return Err(invalid("grid.points", message));
    }
    let mut points: Vec<GridPoint> = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let found = point(i, name, compiler)?;
        let first = points.first().map(|first| &first.point);
        let is_alike = first.is_none_or(|first| {
            first.stack == found.point.stack
                && (first.site == Site::Tokens) == (found.point.site == Site::Tokens)
                && per_layer(first) == per_layer(&found.point)
        });
        if !is_alike {
            let message = format!(
                "{name} counts its rows or layers otherwise than {}; trace each in a request of its \
                 own",
                points[0].name
            );
            return Err(invalid(format!("grid.points[{i}]"), message));
        }
        points.push(found);
    }
    Ok(points)
}

fn per_layer(point: &Point) -> bool {
    let row = HOOK_TABLE
        .iter()
        .find(|row| (row.stack, row.site) == (point.stack, point.site));
    row.is_some_and(crate::nn::HookRow::per_layer)
}

/// Returns the point of a name that stands for all layers.
fn point(i: usize, name: &str, compiler: &Compiler<'_>) -> Result<GridPoint, Error> {
    let field = format!("grid.points[{i}]");
    let row = HOOK_TABLE.iter().find(|row| row.name == name);
    let Some(row) = row else {
        let message = match name.parse::<Point>() {
            Ok(_) => {
                format!("{name} names its layer; write {{l}} there, and the layer in grid.layers")
            }
            Err(()) => format!(
                "no hook point {}; did you mean {:?}?",
                shown(name),
                Target::at(name).nearest_name()
            ),
        };
        return Err(invalid(field, message));
    };
    let model = compiler.context.model;
    if !model.has_point(row.stack, row.site) {
        let message = format!("{} has no hook point {name}", model.family.name());
        return Err(invalid(field, message));
    }
    if matches!(
        row.site,
        Site::Scores | Site::Pattern | Site::Logits | Site::LnFinalNormalized
    ) {
        let message = format!("{name} has no row for each token; choose another point");
        return Err(invalid(field, message));
    }
    let point = Point::of(row.stack, row.site);
    Ok(GridPoint {
        name: name.to_owned(),
        point,
        shape: shape_of(model, point, compiler.rows_in(row.stack)),
    })
}

fn layers(
    spec: &GridSpec,
    points: &[GridPoint],
    compiler: &Compiler<'_>,
) -> Result<Vec<usize>, Error> {
    let stack = points[0].point.stack;
    if !per_layer(&points[0].point) {
        if spec.layers.is_empty() {
            return Ok(Vec::new());
        }
        let message = format!("{} has no layers; leave it empty", points[0].name);
        return Err(invalid("grid.layers", message));
    }
    if spec.layers.is_empty() {
        let mut path = compiler.path(stack);
        path.sort_unstable();
        path.dedup();
        return Ok(path);
    }
    if spec.layers.len() > MAX_CELLS {
        let message = format!(
            "{} layers; at most {MAX_CELLS} are taken",
            spec.layers.len()
        );
        return Err(invalid("grid.layers", message));
    }
    let entry = Entry {
        list: "grid.layers",
        index: 0,
        name: "",
    };
    let mut layers = Vec::with_capacity(spec.layers.len());
    for (index, &layer) in spec.layers.iter().enumerate() {
        let entry = Entry { index, ..entry };
        compiler.check_runs(entry, "", stack, layer as usize)?;
        layers.push(layer as usize);
    }
    Ok(layers)
}

/// Heads that are cells of their own, and those that are patched together.
type Heads = (Vec<u32>, Option<Arc<[u32]>>);

fn heads(spec: &GridSpec, points: &[GridPoint]) -> Result<Heads, Error> {
    if !spec.each_head && spec.heads.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mut fewest = usize::MAX;
    for (i, point) in points.iter().enumerate() {
        let Some(heads) = point.shape.heads else {
            let message = format!("{} has no heads; leave heads and each_head out", point.name);
            return Err(invalid(format!("grid.points[{i}]"), message));
        };
        fewest = fewest.min(heads);
    }
    if let Some(i) = spec.heads.iter().position(|&head| head as usize >= fewest) {
        let message = format!("{} is not below {fewest}, the heads there", spec.heads[i]);
        return Err(invalid(format!("grid.heads[{i}]"), message));
    }
    if spec.heads.len() > MAX_CELLS {
        let message = format!("{} heads; at most {MAX_CELLS} are taken", spec.heads.len());
        return Err(invalid("grid.heads", message));
    }
    Ok(match (spec.each_head, spec.heads.is_empty()) {
        (true, true) => ((0..fewest as u32).collect(), None),
        (true, false) => (spec.heads.clone(), None),
        (false, _) => (Vec::new(), Some(spec.heads.as_slice().into())),
    })
}

type Maps = [((usize, usize), TokenMap)];

fn positions(
    spec: &GridSpec,
    site: Point,
    maps: &Maps,
    compiler: &Compiler<'_>,
) -> Result<Vec<GridPosition>, Error> {
    let default = [Positions::Each(TokenSelector::default())];
    let entries = if spec.positions.is_empty() {
        &default[..]
    } else {
        &spec.positions[..]
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
    let mut all = Vec::new();
    for (entry, positions) in entries.iter().enumerate() {
        let found = positions.resolve(entry, &at)?;
        if found.is_empty() {
            let field = format!("grid.positions[{entry}]");
            return Err(invalid(field, "no token is chosen; choose some"));
        }
        all.extend(found);
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
    fn selector(&self) -> Option<&TokenSelector> {
        match self {
            Self::Each(tokens) | Self::Words(tokens) | Self::Group { tokens, .. } => Some(tokens),
            Self::Patches(_) => None,
        }
    }

    fn resolve(&self, entry: usize, at: &Rowed<'_>) -> Result<Vec<GridPosition>, Error> {
        let one = |tokens: Vec<GridToken>| GridPosition {
            entry,
            label: String::new(),
            tokens,
            in_word: false,
        };
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
fn place(info: &TokenInfo) -> Option<PatchPlace> {
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
        let mut groups: BTreeMap<(usize, bool, usize), Vec<GridToken>> = BTreeMap::new();
        for (view, map) in maps {
            for (token, info) in (0..).zip(&map.tokens) {
                let Some(patch) = place(info) else { continue };
                let key = match self {
                    // A block of the base view and that of the canvas show the same.
                    Self::Blocks(grid) => {
                        let cells = vision::Grid::square(grid as usize);
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

fn receiver(spec: &GridSpec, compiler: &Compiler<'_>) -> Result<Option<Receiver>, Error> {
    let Some(target) = &spec.receiver else {
        return Ok(None);
    };
    let entry = Entry {
        list: "path",
        index: 0,
        name: "",
    };
    let found = target.resolve(entry, "receiver", compiler);
    let found = found.map_err(|mut error| {
        // The path of one message, not of an element of a list.
        if let Some(field) = error.field_mut() {
            field.rebase(&entry.field(""), &"path".into());
        }
        error
    })?;
    let is_taken = |point: &Point| {
        point.stack == Stack::LanguageModel
            && !matches!(
                point.site,
                Site::Scores | Site::Pattern | Site::Logits | Site::LnFinalNormalized
            )
    };
    if !found.points.iter().all(is_taken) {
        let message = format!(
            "{} cannot receive; a point of the language model with a row for each token can",
            target.point
        );
        return Err(invalid("path.receiver.point", message));
    }
    if !target.dimensions.is_empty() {
        return Err(invalid(
            "path.receiver.dimensions",
            "whole rows are received; leave it empty",
        ));
    }
    let rows = Arc::new(found.rows.of_prompt());
    if rows.is_empty() {
        return Err(invalid(
            "path.receiver.tokens",
            "no token of the prompt is chosen",
        ));
    }
    let heads = (!target.heads.is_empty()).then(|| target.heads.as_slice().into());
    Ok(Some((found.points, rows, heads)))
}
