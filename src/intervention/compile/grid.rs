//! Grids of patches: hook points, layers, positions and heads whose activations are written over
//! others one after the other, resolved against one input.
//!
//! Knows rows and what they show; whose activations are written is told elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiler::Compiler;
use super::context::Context;
use super::entry::{Entry, no_hook_point};
use super::grid_positions::{
    GridPosition, GridToken, MAX_CELLS, Positions, grid_entry, invalid, positions,
};
use super::target::Target;
use super::{Needs, compiled, needs};
use crate::intervention::error::Error;
use crate::intervention::plan::Rows;
use crate::intervention::spec::Intervention;
use crate::model::{Shape, shape_of};
use crate::nn::{HOOK_TABLE, Point, Site, Stack};

/// Most points of a grid.
const MAX_POINTS: usize = 16;
/// Most rows of all positions together: each position has a mask over all of them, a byte a row.
const MAX_MASKS: usize = 1 << 28;
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

    /// Fails where it has more cells than a grid may, or more masks of rows.
    pub fn check_size(&self) -> Result<(), Error> {
        let cells = self.cells();
        if cells > MAX_CELLS {
            let message = format!(
                "{cells} cells, {} points x {} layers x {} positions x {} heads; at most \
                 {MAX_CELLS} are taken",
                self.points.len(),
                self.layers.len().max(1),
                self.positions.len(),
                self.heads.len().max(1)
            );
            return Err(invalid("grid", message));
        }
        let rows: usize = self.lengths.values().sum();
        if self.positions.len().saturating_mul(rows) > MAX_MASKS {
            let message = format!(
                "{} positions among {rows} rows; positions x rows are at most {MAX_MASKS}, so \
                 choose fewer positions",
                self.positions.len()
            );
            return Err(invalid("grid.positions", message));
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
        all.look_for(selector);
    }
    all
}

/// Compiles `list`, and resolves `spec` against what it leaves.
pub fn compile_grid(
    list: &[Intervention],
    spec: &GridSpec,
    context: &Context<'_>,
) -> Result<Grid, Error> {
    // The list for what it leaves of layers and tokens; its plan is compiled elsewhere.
    let (compiler, _) = compiled(list, context)?;
    let points = points(spec, &compiler)?;
    let layers = layers(spec, &points, &compiler)?;
    let (heads, together) = heads(spec, &points)?;
    // Of the first one, as `points` has seen that all count their rows alike, and that there is
    // one.
    let site = points[0].point;
    let maps = compiler.maps(site.stack, site.site);
    if site.stack != Stack::LanguageModel {
        grid_entry(0).needs_image(context)?;
    }
    Ok(Grid {
        positions: positions(&spec.positions, site, &maps, &compiler)?,
        receiver: receiver(spec, &compiler)?,
        // Of all views, those without a position too: rows are masks over each of them.
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
                "{name} counts its rows or layers otherwise than {}; trace each in a request of \
                 its own",
                points[0].name
            );
            return Err(invalid(format!("grid.points[{i}]"), message));
        }
        // A cell twice would be computed twice, and its effects shown as two.
        if points.iter().any(|point| point.name == found.name) {
            let message = format!("{name} is named twice; once is enough");
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
            Err(()) => no_hook_point(name),
        };
        return Err(invalid(field, message));
    };
    let model = compiler.context.model;
    if !model.has_point(row.stack, row.site) {
        return Err(invalid(field, model.no_point(row.stack, name)));
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
        // A layer that is repeated is one point all the same.
        let mut path = compiler.path(stack);
        path.sort_unstable();
        path.dedup();
        return Ok(path);
    }
    // Before the loop, which looks for each one among those before it.
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
        if layers.contains(&(layer as usize)) {
            let message = format!("{layer} is named twice; once is enough");
            return Err(invalid(format!("grid.layers[{index}]"), message));
        }
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
    // A head has to be there at every point.
    let mut fewest = usize::MAX;
    for (i, point) in points.iter().enumerate() {
        let Some(heads) = point.shape.heads else {
            let message = format!("{} has no heads; leave heads and each_head out", point.name);
            return Err(invalid(format!("grid.points[{i}]"), message));
        };
        // Under grouped-query attention there are fewer heads of keys than of queries.
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
    if let Some(i) = (1..spec.heads.len()).find(|&i| spec.heads[..i].contains(&spec.heads[i])) {
        let message = format!("{} is named twice; once is enough", spec.heads[i]);
        return Err(invalid(format!("grid.heads[{i}]"), message));
    }
    Ok(match (spec.each_head, spec.heads.is_empty()) {
        (true, true) => ((0..fewest as u32).collect(), None),
        (true, false) => (spec.heads.clone(), None),
        (false, _) => (Vec::new(), Some(spec.heads.as_slice().into())),
    })
}

/// Tells whether a row for each token is at `point`, as what is received needs it.
fn can_receive(point: &Point) -> bool {
    point.stack == Stack::LanguageModel
        && !matches!(
            point.site,
            Site::Scores | Site::Pattern | Site::Logits | Site::LnFinalNormalized
        )
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
    if !found.points.iter().all(can_receive) {
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
    // Patched runs are measured by given answers and generate nothing.
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
