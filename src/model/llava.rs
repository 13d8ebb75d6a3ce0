//! LLaVA (Liu et al. 2023) from pictures and token ids to logits, for every family: vision tower ->
//! projector -> pack -> splice -> decoder.
//!
//! [`Model::encode_images`], [`Model::embed`] and [`Model::forward`] are the whole model; the
//! engine takes the same steps with its caches in between. What they read is made in
//! [`input.rs`](Model::read).
//!
//! | step | in | tensors, by the names that weights/names.rs gives them |
//! |---|---|---|
//! | pixels to features | vision_tower.rs and the towers: vit.rs, families/ | `vision_tower.*` |
//! | to the language model's width | projector.rs | `multi_modal_projector.*` |
//! | packed as visual tokens | image_tokens.rs | `image_newline` |
//! | words, layers, logits | decoder.rs | `language_model.*`, `lm_head.*` |
//!
//! Shapes, with the numbers of LLaVA-1.5-7B:
//!
//! | letter | counts | in LLaVA-1.5-7B |
//! |---|---|---|
//! | V | views of a picture | 1 |
//! | R | rows of a view in the tower | 577: 24 x 24 patches of 14 pixels, and a class token |
//! | N | visual tokens | 576: the class token is left out |
//! | T | tokens of a prompt, visual ones among them | 576 and the words |
//! | D | the width of a row | 1024 in the tower, 4096 from the projector on |

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::by_name::ByName;
use super::error::Error;
use super::families::Family;
use super::generation::GenerationConfig;
use super::image_tokens::ImageTokens;
use super::lifetime::Lifetime;
use super::load::config::Merge;
use super::load::source::Source;
use super::resident::{DEFAULT_PROJECTOR, ResidentDecoder, ResidentProjector, ResidentTower};
use super::sae::SparseAutoencoder;
use super::text::chat::Chat;
use super::text::tokenizer::Text;
use super::tuned_lens::TunedLens;
use super::vision_tower::ViewBatch;
use crate::nn::{
    DeviceGroup, HOOK_TABLE, Held, HookRow, Hooks, HostTensor, Layout, NoHooks, OnDevice, Point,
    Site, Stack,
};
use crate::vision::Processor;
use crate::weights::{Checkpoint, Matrices, WeightFormat};

/// A resident model. Every thread may hold it, read what describes it and drop it; it computes on
/// the thread of its device alone.
#[derive(Debug)]
pub struct Model {
    /// Name in requests.
    pub name: String,
    /// Place of its files.
    pub source: Source,
    /// Adds to the parts below.
    pub family: &'static dyn Family,
    /// Words to token ids and back.
    pub text: Text,
    /// Conversations to prompts; `None` where there is no chat template.
    pub chat: Option<Chat>,
    /// Pictures to pixels.
    pub processor: Processor,
    /// Pixels to features.
    pub tower: ResidentTower,
    /// Features to the language model's width, as the checkpoint has it.
    pub(super) own_projector: Arc<ResidentProjector>,
    /// The same one as [`DEFAULT_PROJECTOR`], and others by their names.
    pub(super) projectors: ByName<ResidentProjector>,
    /// Sparse autoencoders of its activations.
    pub(super) saes: ByName<SparseAutoencoder>,
    /// Tuned lenses of its language model.
    pub(super) lenses: ByName<TunedLens>,
    /// Projected views to visual tokens.
    pub(super) packing: Packing,
    /// Input embeddings to logits.
    pub decoder: ResidentDecoder,
    /// Digests of the parts that models may share.
    pub(super) parts: PartDigests,
    /// The id that stands for a visual token.
    pub image_token: u32,
    /// Ids that end an answer.
    pub eos: Vec<u32>,
    /// Says how it answers where a request does not say.
    pub generation: GenerationConfig,
    /// BLAKE3 (hex) of weights and configuration.
    pub digest: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of its tensors on its devices that it shares with no model loaded before it.
    pub resident_bytes: u64,
    /// Type of the tensors.
    pub dtype: DType,
    /// Says how matrices are kept.
    pub matrices: Matrices,
    /// Name of the device of the tensors, or of several over which the decoder's layers are spread.
    pub device: DeviceGroup,
    /// The device itself: of pictures, tower, projectors and embeddings, where there are several.
    pub(super) opened: OnDevice<Device>,
    /// Ends with the last holder of the model; the last field, so that the tensors go first.
    pub lifetime: Lifetime,
}

/// Says how projected views become visual tokens.
#[derive(Debug)]
pub(super) struct Packing {
    /// End the rows of a canvas, or of a picture without one, `(k, D)`.
    pub(super) row_ends: Option<HostTensor>,
    /// The limit in `vision_aspect_ratio`.
    pub(super) most_tiles: Option<usize>,
    /// Says how the views of a tiled picture are put together.
    pub(super) merge: Merge,
}

/// BLAKE3 of the tensors and the configuration of each part that models may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartDigests {
    pub(super) tower: blake3::Hash,
    pub(super) decoder: blake3::Hash,
}

/// One picture on its way to the language model.
#[derive(Debug, Clone, Copy)]
pub struct ImageInput<'a> {
    /// Sequence that the picture belongs to, for the hooks.
    pub sequence: usize,
    /// Number of the picture in the sequence.
    pub image: usize,
    /// `(V, 3, H, W)`, see [`Model::pixels`].
    pub pixels: &'a Tensor,
    /// See [`Model::tokens`].
    pub tokens: &'a ImageTokens,
}

/// A prompt as the language model reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// One image token for each visual token.
    pub ids: Vec<u32>,
    /// The rotary position of each.
    pub positions: Vec<u32>,
    /// The rotary position of what comes next.
    pub next: u32,
}

impl Model {
    /// Encodes pictures with `projector`: the visual tokens of all of them, end to end, `(N, D)`.
    pub fn encode_images(
        &self,
        images: &[ImageInput<'_>],
        projector: &ResidentProjector,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let (mut batch, mut rows) = (ViewBatch::default(), Vec::with_capacity(images.len()));
        // Pictures may differ in size: each is cut and embedded by itself, and all go up the tower
        // packed.
        for image in images {
            let own = self.views_of(image);
            rows.push(self.tower.embed(image.pixels, &own, hooks)?); // (V R, D_vision)
            batch.append(own);
        }
        let x = Tensor::cat(&rows, 0)?; // (sum of V R, D_vision)
        let (features, layout) = self.tower.forward(x, &batch, hooks)?; // (sum of V N, n D_vision)
        let projected = projector.forward(&features, &layout, hooks)?; // (sum of V N, D)
        let tokens = images.iter().map(|i| (i.sequence, i.image, i.tokens));
        self.pack(&projected, tokens, hooks) // (N, D)
    }

    /// Returns the bytes that it holds: of its tensors, the projectors that were added, its sparse
    /// autoencoders and its tuned lenses.
    pub fn held_bytes(&self) -> u64 {
        let (projectors, saes) = (self.projectors.all(), self.saes.all());
        let lenses = self.lenses.all();
        // The model's own is among its tensors.
        let own = |projector: &&Arc<ResidentProjector>| Arc::ptr_eq(projector, &self.own_projector);
        let projectors = projectors.iter().map(|(_, projector)| projector);
        let projectors = projectors.filter(|projector| !own(projector));
        let projectors = projectors.map(|projector| projector.host().bytes());
        let saes = saes.iter().map(|(_, sae)| sae.bytes());
        let lenses = lenses.iter().map(|(_, lens)| lens.bytes());
        self.resident_bytes + projectors.chain(saes).chain(lenses).sum::<u64>()
    }

    /// Encodes a picture by itself, as the model is: its visual tokens, `(N, D)`.
    pub fn encode_image(&self, pixels: &HostTensor, tokens: &ImageTokens) -> Result<Tensor, Error> {
        let image = ImageInput {
            sequence: 0,
            image: 0,
            pixels: &pixels.upload(&*self.on_device()?)?,
            tokens,
        };
        self.encode_images(&[image], self.own_projector(), &mut NoHooks)
    }

    /// Lays out the views of a picture for the tower.
    fn views_of(&self, image: &ImageInput<'_>) -> ViewBatch {
        let (tower, tokens) = (&self.tower, image.tokens);
        let mut batch = ViewBatch::default();
        batch.push_picture(
            tower.info(),
            (image.sequence, image.image),
            tokens.views,
            tokens.view,
        );
        batch
    }

    /// Packs the projector's output for all views of `images` (with the sequence that each belongs
    /// to, and its place there), `(sum of V N, D)`, as visual tokens end to end, `(N, D)`.
    pub fn pack<'a>(
        &self,
        projected: &Tensor,
        images: impl Iterator<Item = (usize, usize, &'a ImageTokens)>,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let (mut layout, mut parts) = (Layout::default(), Vec::new());
        let ends = self.packing.row_ends.as_ref();
        // Every picture of every request reads the same rows: one copy on the device.
        let ends = ends.map(|ends| ends.upload_once(projected.device()));
        let ends = ends
            .transpose()?
            // f32 where gradients flow, whatever the dtype of the model.
            .map(|ends| ends.to_dtype(projected.dtype()));
        let ends = ends.transpose()?; // (k, D)
        let mut first = 0;
        for (sequence, image, tokens) in images {
            // Of whole views, whatever a selection leaves of the picture's tokens.
            let rows = tokens.views * tokens.view.tokens;
            let own = projected.narrow(0, first, rows)?; // (V N, D)
            let packed = tokens.pack(&own, ends.as_ref())?;
            // Views end here: a picture's tokens are one span.
            layout.push_sequence(sequence, (image, 0), packed.dim(0)?);
            parts.push(packed);
            first += rows;
        }
        Ok(hooks.on(
            Point::of(Stack::Projector, Site::Tokens),
            &layout.spans,
            Tensor::cat(&parts, 0)?, // (N, D)
        )?)
    }

    /// Embeds tokens `range` of `ids` and puts visual tokens where image tokens stand: `(T, D)`.
    /// `visual` are those of each picture, `(N, D)`, in order; an image token beyond them, which
    /// the model wrote itself, is embedded as a word.
    pub fn embed(
        &self,
        ids: &[u32],
        range: Range<usize>,
        visual: &[&Tensor],
    ) -> Result<Tensor, Error> {
        // Rows for image tokens, too, which the gather below passes over.
        let mut words = self.decoder.embed(&ids[range.clone()])?; // (T, D)
        if let Some(tokens) = visual.first() {
            // Those that gradients flow through are f32 whatever the dtype of the model.
            words = words.to_dtype(tokens.dtype())?;
        }
        let is_image = |id: &u32| *id == self.image_token;
        // One gather over words and visual tokens joined: no branch for each token, no write into a
        // tensor.
        let (mut total, mut all) = (0, vec![words.clone()]);
        for tokens in visual {
            let count = tokens.dim(0)?;
            total += count;
            // An empty tensor cannot be joined to others.
            if count > 0 {
                all.push((*tokens).clone());
            }
        }
        // Every step of decoding, and prompts without pictures: nothing to join.
        if total == 0 || !ids[range.clone()].iter().any(is_image) {
            return Ok(words);
        }
        // A chunk may begin amid a picture: visual tokens before it are counted, not kept track of.
        let mut next = ids[..range.start].iter().filter(|id| is_image(id)).count();
        let mut index: Vec<u32> = Vec::with_capacity(range.len());
        for (i, id) in ids[range.clone()].iter().enumerate() {
            // `next < total` fails where the model wrote an image token itself: it has no picture.
            if is_image(id) && next < total {
                // Behind the words of this range in the joined table.
                index.push((range.len() + next) as u32);
                next += 1;
            } else {
                index.push(i as u32);
            }
        }
        let index = Tensor::from_vec(index, range.len(), words.device())?;
        Ok(Tensor::cat(&all, 0)?.index_select(&index, 0)?) // (T, D)
    }

    /// Runs one whole sequence: normed rows of the last layer for all of `ids`, `(T, D)`, with
    /// their layout, see [`Decoder::logits`](super::Decoder::logits). `ids` are the prompt's and those that the model wrote
    /// after it; `images` are its pictures, encoded with `projector`.
    pub fn forward(
        &self,
        prompt: &Prompt,
        ids: &[u32],
        images: &[ImageInput<'_>],
        projector: &ResidentProjector,
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let x = if images.is_empty() {
            self.embed(ids, 0..ids.len(), &[])? // (T, D)
        } else {
            let visual = self.encode_images(images, projector, hooks)?; // (N, D)
            self.embed(ids, 0..ids.len(), &[&visual])? // (T, D)
        };
        let mut layout = Layout::default();
        // Numbers of tokens count rows without gaps; rotary positions may have some, where a
        // selection left them.
        let tokens = (0..ids.len() as u32).collect();
        layout.push_rows(0, 0, tokens, self.positions(prompt, ids.len()));
        // No cache: a whole sequence attends to its own rows alone.
        self.decoder.forward(x, &layout, &mut [], hooks) // (T, D)
    }

    /// Returns what [`Layout`] takes for the rotary positions of a prompt that is read in one pass,
    /// and of tokens written after it one by one, `count` in all.
    pub(super) fn positions(&self, prompt: &Prompt, count: usize) -> Arc<[u32]> {
        // LongRoPE takes its long factors by the end of a pass (see `Rope::row`): a prompt is one
        // pass, then every written token is one of its own.
        let end = prompt.positions.iter().max().map_or(0, |last| last + 1);
        let read = prompt.positions.iter().map(|&p| (p, end));
        let written = prompt.next..prompt.next + (count - prompt.ids.len()) as u32;
        read.chain(written.map(|p| (p, p + 1)))
            .map(|(position, end)| self.decoder.rotary(position, end))
            .collect()
    }
}

/// The device.
impl Model {
    /// Returns the device, on the thread that owns it.
    pub fn on_device(&self) -> Result<Held<Device>, Error> {
        Ok(self.opened.get()?)
    }

    /// Returns the format of its weights. What stays in the blocks of its file has the bits of f32.
    pub fn weight_format(&self) -> WeightFormat {
        match self.matrices {
            Matrices::Quantized(blocks) => WeightFormat::Blocks(blocks),
            Matrices::Numbers | Matrices::Blocks => WeightFormat::Dtype(self.dtype),
        }
    }

    /// Returns whether the device still has the model: not once it was restarted.
    pub fn is_live(&self) -> bool {
        self.opened.is_live() && self.tower.is_live() && self.decoder.is_live()
    }
}

/// Hook points.
impl Model {
    /// Lists the hook points of the model.
    pub fn hook_points(&self) -> impl Iterator<Item = &'static HookRow> {
        HOOK_TABLE
            .iter()
            .filter(|row| self.has_point(row.stack, row.site))
    }

    /// Tells whether the model has a hook point.
    pub fn has_point(&self, stack: Stack, site: Site) -> bool {
        match stack {
            Stack::VisionTower => self.tower.info().has_site(site),
            // Named ones have the shapes of the model's own.
            Stack::Projector => self.own_projector.host().has_site(site),
            // All decoders that are supported have rotations and a gated MLP.
            Stack::LanguageModel => true,
        }
    }

    /// Says that it has no hook point of `stack` called `name`.
    pub fn no_point(&self, stack: Stack, name: impl Display) -> String {
        // One model of a family may have what another has not.
        let whose = if stack == Stack::Projector {
            ", whose projector has no activation,"
        } else {
            ""
        };
        format!("{}{whose} has no hook point {name}", self.family.name())
    }
}

/// The projectors.
impl Model {
    /// Makes the projector in a file (safetensors, or PyTorch's) resident under `name`; it must
    /// have the shapes of the model's own, and fit in `budget` bytes. One of that name is replaced.
    pub fn add_projector(&self, name: &str, path: &Path, budget: u64) -> Result<(), Error> {
        let checkpoint = Checkpoint::open(&[path.to_owned()])?;
        // As many as the model's own, whose shapes it has.
        let needed = self.own_projector().host().bytes();
        if needed > budget {
            let left = budget;
            return Err(Error::Budget { needed, left });
        }
        // On the CPU although the model may be on a card: any thread may add a projector, and its
        // owner copies it when it first runs.
        let weights = checkpoint.tensors(self.dtype, &Device::Cpu, &|_, _| {});
        // Its shapes are known before the file is read: one of another model fails by the name of a
        // tensor.
        let projector = self.own_projector().host().reload(&weights)?;
        weights.finish()?;
        let projector = ResidentProjector::new(projector);
        self.projectors.insert(name, Arc::new(projector));
        Ok(())
    }

    /// Takes over the named projectors of an earlier load of the same model.
    pub fn adopt_projectors(&self, earlier: &Self) {
        self.projectors.adopt(&earlier.projectors);
        // What this load brought wins: it may have files that have changed, or another device.
        self.projectors
            .insert(DEFAULT_PROJECTOR, self.own_projector.clone());
    }

    /// Returns the projector that the checkpoint brings.
    pub fn own_projector(&self) -> &Arc<ResidentProjector> {
        &self.own_projector
    }

    /// Returns a resident projector.
    pub fn projector(&self, name: &str) -> Option<Arc<ResidentProjector>> {
        self.projectors.get(name)
    }

    /// Returns the names of the resident projectors.
    pub fn projector_names(&self) -> Vec<String> {
        self.projectors.names()
    }
}
