//! The seam between LLaVA and its vision towers: what a tower says of itself, and what it does.
//!
//! A tower is a file with an implementation of [`VisionTower`] (the arithmetic) and of
//! [`TowerConfig`] (its `vision_config`); everything that is the same for all towers is written
//! once, on `dyn VisionTower`. Views may have grids of different sizes, so the sizes of a view are
//! asked for one view at a time ([`ViewInfo`]); what all views share is [`TowerInfo`]. Both are
//! numbers that any thread may read; the tower itself is used by the thread of its device alone.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{IndexOp, Result as TensorResult, Tensor};
use serde::Deserialize;

use super::error::Error;
use crate::nn::{
    Hooks, Layout, MemoryTracker, Point, Rope, SequenceCache, Site, Span, Stack, Transformer,
};
use crate::vision::Size;
use crate::weights::Tensors;

/// `vision_feature_select_strategy` of config.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelectStrategy {
    /// The CLS token is dropped.
    Default,
    /// The CLS token is kept.
    Full,
}

impl SelectStrategy {
    /// Returns Hugging Face's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Full => "full",
        }
    }
}

/// Sizes that all views of a tower share.
#[derive(Debug, Clone)]
pub struct TowerInfo {
    /// Side of the square view, in pixels; the longest side where views have any size.
    pub image_size: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Width within the MLP.
    pub inner: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers in the checkpoint.
    pub layers: usize,
    /// Tells whether a class token stands before the patches.
    pub has_class: bool,
    /// Rows between the class token and the patches that stand for no place (Darcet et al. 2024).
    pub registers: usize,
    /// Tells whether queries and keys are rotated (`attn.hook_rot_q`, `attn.hook_rot_k`).
    pub has_rotary: bool,
    /// Tells whether the MLP has a gate (`mlp.hook_pre_linear`).
    pub has_gate: bool,
    /// Entries of `hidden_states` that the projector reads side by side; the embeddings are entry
    /// 0, and entry i needs i layers.
    pub features: Vec<usize>,
    /// Says what becomes of the class token.
    pub strategy: SelectStrategy,
    /// Width of one row that the projector reads.
    pub feature_width: usize,
    /// Numbers that a row is multiplied with in one layer, biases aside.
    pub layer_weights: usize,
    /// Numbers that a patch is multiplied with when it is embedded.
    pub patch_weights: usize,
    /// Patches along each side of the square that the projector reads as one row; `None` where it
    /// reads the rows as they are.
    pub merge: Option<usize>,
}

impl TowerInfo {
    /// Returns the sizes of a view of `(height, width)` pixels.
    pub fn view(&self, size: Size) -> ViewInfo {
        let grid = grid_of(size, self.patch_size);
        let rows = grid.0 * grid.1 + self.before_patches();
        let tokens = match self.merge {
            Some(side) => (grid.0 / side) * (grid.1 / side),
            // The first row, class token or not, as Hugging Face drops it.
            None => rows - usize::from(self.strategy == SelectStrategy::Default).min(rows),
        };
        ViewInfo {
            grid,
            rows,
            tokens,
            merge: self.merge.unwrap_or(1),
        }
    }

    /// Returns the rotary positions of the rows of a view with this grid: their places in it, where
    /// queries and keys are rotated.
    pub fn positions(&self, (rows, columns): Size) -> Arc<[u32]> {
        if self.has_rotary {
            // Both places in one number, which the axial form of `Rope` takes apart.
            let row = |row| (0..columns).map(move |column| Rope::place(row, column));
            return (0..rows).flat_map(row).collect();
        }
        // Nothing turns by these: learned positions were added to the patches.
        let count = rows * columns + self.before_patches();
        (0..count as u32).collect()
    }

    /// Returns the number of rows that stand before the patches.
    pub fn before_patches(&self) -> usize {
        usize::from(self.has_class) + self.registers
    }

    /// Returns how many layers run: up to the highest one whose output is read.
    pub fn layers_run(&self) -> usize {
        self.features.iter().copied().max().unwrap_or_default()
    }

    /// Returns the width of a head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Tells whether "default" drops a patch, for want of a class token.
    pub fn drops_a_patch(&self) -> bool {
        self.strategy == SelectStrategy::Default && !self.has_class
    }

    /// Tells whether the tower has a hook point of this kind.
    pub fn has_site(&self, site: Site) -> bool {
        match site {
            Site::RotQ | Site::RotK => self.has_rotary,
            Site::MlpPreLinear => self.has_gate,
            _ => true,
        }
    }

    /// Tells whether the class token reaches the projector.
    pub fn keeps_class(&self) -> bool {
        self.strategy == SelectStrategy::Full && self.has_class
    }

    /// Returns after how many layers of `path` each feature is read: entry i holds what the last
    /// pass through any layer below i has left.
    pub fn reads(&self, path: &[usize]) -> Vec<usize> {
        let reads = self.features.iter().map(|&entry| {
            // Under DropLayers or RepeatLayers "entry i of hidden_states" is no longer "after i
            // layers": the entry is what layer i-1 left last, or what stood below where it was
            // dropped.
            let last = path.iter().rposition(|&layer| layer < entry);
            last.map_or(0, |last| last + 1)
        });
        reads.collect()
    }
}

/// Sizes of one view of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewInfo {
    /// Rows and columns of patches.
    pub grid: Size,
    /// Rows in the tower: patches, and the class token where there is one.
    pub rows: usize,
    /// Rows that reach the projector.
    pub tokens: usize,
    /// Patches along each side of the square that the projector reads as one row.
    pub merge: usize,
}

impl ViewInfo {
    /// Returns the rows and columns of what the projector makes of the patches.
    pub fn token_grid(&self) -> Size {
        (self.grid.0 / self.merge, self.grid.1 / self.merge)
    }

    /// Returns the number of patches.
    pub fn patches(&self) -> usize {
        self.grid.0 * self.grid.1
    }
}

/// Views that go up a tower together, packed end to end.
#[derive(Debug, Clone, Default)]
pub struct ViewBatch {
    /// Their rows in the tower, a span for each view.
    pub layout: Layout,
    /// The sizes of each view.
    pub views: Vec<ViewInfo>,
}

impl ViewBatch {
    /// Appends view `view` of picture `image` of `sequence`, whose rows have passed `depth` layers.
    pub fn push(
        &mut self,
        tower: &TowerInfo,
        (sequence, image, view): (usize, usize, usize),
        info: ViewInfo,
        depth: usize,
    ) {
        self.layout.push(Span {
            sequence,
            image,
            view,
            tokens: (0..info.rows as u32).collect(),
            positions: tower.positions(info.grid),
            layers_done: depth,
            ..Span::default()
        });
        self.views.push(info);
    }

    /// Appends all `count` views of picture `image` of `sequence`.
    pub fn push_picture(
        &mut self,
        tower: &TowerInfo,
        (sequence, image): (usize, usize),
        count: usize,
        info: ViewInfo,
    ) {
        for view in 0..count {
            self.push(tower, (sequence, image, view), info, 0);
        }
    }

    /// Appends the views of another batch.
    pub fn append(&mut self, other: Self) {
        for span in other.layout.spans {
            self.layout.push(span);
        }
        self.views.extend(other.views);
    }

    /// Returns the layout of the rows that reach the projector.
    pub fn tokens(&self) -> Layout {
        let mut layout = Layout::default();
        for (span, info) in self.layout.spans.iter().zip(&self.views) {
            // Numbered anew: rows that `select` leaves are counted from 0 in each view.
            layout.push_sequence(span.sequence, (span.image, span.view), info.tokens);
        }
        layout
    }
}

/// `vision_config` of config.json, checked, before any weight is read.
pub trait TowerConfig: Debug + Send + Sync {
    /// Returns the side of the square that the tower sees, in pixels; the longest side where it
    /// sees pictures of any size.
    fn image_size(&self) -> usize;

    /// Returns the side of a patch, in pixels.
    fn patch_size(&self) -> usize;

    /// Returns the number of layers.
    fn layers(&self) -> usize;

    /// Returns about how many numbers the tower has, for plans before it is read.
    fn parameters(&self) -> u64;

    /// Reads the tower from `vision_tower.*`. `features` are entries of `hidden_states`, see
    /// [`TowerInfo::features`].
    fn load(
        &self,
        features: Vec<usize>,
        strategy: SelectStrategy,
        weights: &Tensors<'_>,
    ) -> Result<Arc<dyn VisionTower>, Error>;
}

/// Returns the numbers of the matrices of a tower; a gated MLP has `mlp` 3, a plain one 2.
pub(super) fn matrices_of(config: &dyn TowerConfig, width: usize, inner: usize, mlp: usize) -> u64 {
    let (width, patch) = (width as u64, config.patch_size() as u64);
    // Queries, keys, values and the way back, then the MLP; norms and biases are too few to matter.
    let layer = 4 * width * width + mlp as u64 * width * inner as u64;
    config.layers() as u64 * layer + 3 * patch * patch * width
}

/// Resolves layer numbers by Hugging Face's rule: `hidden_states` counts the embeddings as entry 0,
/// and negative numbers count from the end.
///
/// # Errors
///
/// Names a number that is not one of the `layers + 1` entries.
pub(super) fn feature_entries(numbers: &[i64], layers: usize) -> Result<Vec<usize>, Error> {
    // The embeddings are an entry, too.
    let entries = layers as i64 + 1;
    let all = numbers.iter();
    all.map(|&number| feature_entry(number, entries)).collect()
}

fn feature_entry(number: i64, entries: i64) -> Result<usize, Error> {
    let entry = if number < 0 { number + entries } else { number };
    if (0..entries).contains(&entry) {
        return Ok(entry as usize);
    }
    Err(Error::Config(format!(
        "vision_feature_layer {number} is not in {}..{}",
        -entries,
        entries - 1
    )))
}

/// Returns the rows and columns of whole patches in `size` pixels.
pub(super) fn grid_of(size: Size, patch: usize) -> Size {
    (size.0 / patch, size.1 / patch)
}

/// A vision transformer, from pixels to the rows that a projector reads.
pub trait VisionTower: Debug + Send + Sync {
    /// Describes the tower.
    fn info(&self) -> &TowerInfo;

    /// Returns its blocks.
    fn blocks(&self) -> &Transformer;

    /// Embeds views of one size: `pixels (V, 3, H, W)` -> the input of the first layer, `(V R, D)`,
    /// before any hook.
    fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor, Error>;

    /// Chooses the rows that the projector reads: `x (V R, n D)` -> `(V N, n D)`. By default the
    /// first row of each view is dropped where the strategy says so, as Hugging Face does whether
    /// or not it is a class token.
    fn select(&self, x: Tensor, views: &[ViewInfo]) -> Result<Tensor, Error> {
        if self.info().strategy == SelectStrategy::Full {
            return Ok(x);
        }
        // Views of one size, which is every tower but Pixtral's, need no copy for each.
        let rows = views.first().map_or(0, |view| view.rows);
        if views.iter().all(|view| view.rows == rows) {
            let x = x.reshape((views.len(), rows, ()))?; // (V, R, n D)
            return Ok(x.i((.., 1..))?.flatten_to(1)?); // (V N, n D)
        }
        let mut parts = Vec::with_capacity(views.len());
        let mut first = 0;
        for view in views {
            // (R, n D) -> (R - 1, n D).
            parts.push(x.narrow(0, first + 1, view.rows - 1)?);
            first += view.rows;
        }
        Ok(Tensor::cat(&parts, 0)?) // (V N, n D)
    }
}

/// Rows that a view has brought with it, see [`VisionTower::forward`](#method.forward).
pub(super) type Earlier<'a> = &'a dyn Fn(usize, usize) -> Option<Tensor>;

impl dyn VisionTower {
    /// Embeds views of one size: `pixels (V, 3, H, W)` -> `(V R, D)`, after the hooks.
    pub fn embed(
        &self,
        pixels: &Tensor,
        batch: &ViewBatch,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        // (V, 3, H, W) -> (V R, D).
        let x = self.embed_patches(pixels)?;
        Ok(hooks.on(
            Point::of(Stack::VisionTower, Site::Embed),
            &batch.layout.spans,
            x,
        )?)
    }

    /// Runs whole views, embedded `x (R, D)`, up to the features that the projector reads:
    /// `(N, n D)` with their layout.
    pub fn forward(
        &self,
        x: Tensor,
        batch: &ViewBatch,
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        // Whole views keep nothing; what they hold meanwhile is nobody's memory to count.
        let meter = MemoryTracker::default();
        let cache = |_: &ViewInfo| SequenceCache::new(0, 0, &meter, &meter);
        let mut caches: Vec<SequenceCache> = batch.views.iter().map(cache).collect();
        self.forward_from(x, batch, &mut caches, &|_, _| None, hooks)
    }

    /// Runs rows `x (R, D)` of whole views, which may have passed some layers (their span's
    /// `layers_done`). `caches[i]` belongs to view i; `earlier(i, slot)` gives the rows of that
    /// view after `slot` layers, fewer than it begins with, where a feature is read there.
    pub fn forward_from(
        &self,
        x: Tensor,
        batch: &ViewBatch,
        caches: &mut [SequenceCache],
        earlier: Earlier<'_>,
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let (info, layout) = (self.info(), &batch.layout);
        let all: Vec<usize> = (0..info.layers_run()).collect();
        // For each view, since sequences of one batch may drop or repeat different layers.
        let reads = layout.spans.iter().map(|span| {
            let path = hooks.path(Stack::VisionTower, span.sequence);
            info.reads(path.unwrap_or(&all))
        });
        let reads: Vec<Vec<usize>> = reads.collect();
        // One feature is the output of the last layer that runs: nothing has to be kept for it.
        let several = info.features.len() > 1;
        if several {
            for (cache, (span, reads)) in caches.iter_mut().zip(layout.spans.iter().zip(&reads)) {
                // Depths below are passed already: the view brings their rows with it, by
                // `earlier`.
                for &slot in reads.iter().filter(|&&slot| slot >= span.layers_done) {
                    // Of all its rows, from the first position on.
                    cache.request_checkpoint(slot, 0);
                }
            }
        }
        let mut own: Vec<Option<&mut SequenceCache>> = caches.iter_mut().map(Some).collect();
        let (mut x, _) = self
            .blocks()
            .forward(x, info.layers_run(), layout, &mut own, hooks)?; // (R, D)
        if several {
            x = side_by_side(&layout.spans, &reads, caches, earlier)?; // (R, n D)
        }
        let x = self.select(x, &batch.views)?; // (N, n D)
        let layout = batch.tokens();
        let x = hooks.on(
            Point::of(Stack::Projector, Site::In),
            &layout.spans,
            x.contiguous()?,
        )?;
        Ok((x, layout))
    }

    /// Returns the share of attention that the CLS token of the last block pays to each patch
    /// (registers are left out; without a CLS token the mean over all patches that look), of one head or the mean over
    /// heads: `(V, N)`, row by row of the grid. All layers run.
    pub fn attention(&self, pixels: &Tensor, head: Option<usize>) -> Result<Tensor, Error> {
        let (count, _, height, width) = pixels.dims4()?;
        let info = self.info();
        let view = info.view((height, width));
        let mut batch = ViewBatch::default();
        for i in 0..count {
            batch.push(info, (i, 0, 0), view, 0);
        }
        // The last block of all, also where LLaVA reads an earlier one: what DINO's papers show.
        let mut recorder = AttentionRecorder {
            layer: info.layers - 1,
            before: info.before_patches(),
            head,
            found: Vec::new(),
        };
        let x = self.embed(pixels, &batch, &mut recorder)?;
        self.blocks()
            // Without caches: only the pattern of the last block is of use.
            .forward(x, info.layers, &batch.layout, &mut [], &mut recorder)?;
        // (N) for each view -> (V, N).
        Ok(Tensor::stack(&recorder.found, 0)?)
    }
}

/// Joins the features of each view: `(R, D)` each -> `(R, n D)`.
fn side_by_side(
    spans: &[Span],
    reads: &[Vec<usize>],
    caches: &[SequenceCache],
    earlier: Earlier<'_>,
) -> Result<Tensor, Error> {
    let mut views = Vec::with_capacity(spans.len());
    for (i, (span, reads)) in spans.iter().zip(reads).enumerate() {
        let mut parts = Vec::with_capacity(reads.len());
        for &slot in reads {
            // A whole view goes up in one pass, and leaves one checkpoint at each depth.
            let kept = caches.get(i).and_then(|t| t.checkpoints(slot).first());
            let rows = if slot < span.layers_done {
                earlier(i, slot)
            } else {
                kept.map(|checkpoint| checkpoint.rows.clone())
            };
            let missing = || Error::Config(format!("the tower has no rows after {slot} layers"));
            parts.push(rows.ok_or_else(missing)?);
        }
        views.push(Tensor::cat(&parts, 1)?); // (R of the view, n D)
    }
    Ok(Tensor::cat(&views, 0)?)
}

/// Keeps what one layer's attention pays to the patches.
struct AttentionRecorder {
    layer: usize,
    /// Rows before the patches; the first of them is the class token.
    before: usize,
    head: Option<usize>,
    found: Vec<Tensor>,
}

impl Hooks for AttentionRecorder {
    fn on(&mut self, point: Point, _: &[Span], value: Tensor) -> TensorResult<Tensor> {
        if point == Point::at(Stack::VisionTower, self.layer, Site::Pattern) {
            // (H, R, R): the class token's query over the patches, or the mean over all queries.
            let paid = if self.before > 0 {
                value.i((.., 0, self.before..))?
            } else {
                value.mean(1)?
            }; // (H, N)
            self.found.push(match self.head {
                Some(head) => paid.i(head)?,
                None => paid.mean(0)?,
            }); // (N)
        }
        Ok(value)
    }

    fn wants(&self, point: Point, _: usize) -> bool {
        // Of this layer alone, so that all others keep no pattern.
        point == Point::at(Stack::VisionTower, self.layer, Site::Pattern)
    }
}
