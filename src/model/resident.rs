//! The parts of a resident model that are on its device, as every thread may hold them.
//!
//! What describes a part can be read anywhere; what computes with it works on the thread of the
//! device alone, and is an error elsewhere.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::{Device, Tensor};

use super::decoder::{Decoder, DecoderConfig};
use super::error::Error;
use super::projector::Projector;
use super::tuned_lens::Translator;
use super::vision_tower::{Earlier, TowerInfo, ViewBatch, ViewInfo, VisionTower};
use crate::nn::{Held, Home, Hooks, Layout, OnDevice, RopeRows, SequenceCache};
use crate::vision::Size;

/// Name of the projector that a checkpoint brings.
pub const DEFAULT_PROJECTOR: &str = "default";

/// The decoder of a model.
#[derive(Debug, Clone)]
pub struct ResidentDecoder {
    config: DecoderConfig,
    layer_weights: usize,
    rope_rows: RopeRows,
    decoder: OnDevice<Decoder>,
}

impl ResidentDecoder {
    /// Keeps a decoder at `home`.
    pub(super) fn new(decoder: Decoder, home: &Home) -> Result<Self, Error> {
        Ok(Self {
            config: decoder.config().clone(),
            // Copied out of the decoder: prices are made on request threads, which may not touch
            // it.
            layer_weights: decoder.layer_weights(),
            rope_rows: decoder.rope_rows(),
            decoder: home.keep(decoder)?,
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Returns how many numbers a row is multiplied with in one layer, biases aside.
    pub fn layer_weights(&self) -> usize {
        self.layer_weights
    }

    /// Returns what [`Layout`] takes for the rotary position `position` of a row, read in a pass
    /// over positions before `end`; see [`Rope::row`](crate::nn::Rope::row).
    pub fn rotary(&self, position: u32, end: u32) -> u32 {
        self.rope_rows.row(position, end)
    }

    /// Returns whether its device still has it.
    pub(super) fn is_live(&self) -> bool {
        self.decoder.is_live()
    }

    /// Returns the decoder, on the thread that owns its device.
    pub(super) fn on_device(&self) -> Result<Held<Decoder>, Error> {
        Ok(self.decoder.get()?)
    }

    /// See [`Decoder::embed`].
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor, Error> {
        self.decoder.get()?.embed(ids)
    }

    /// See [`Decoder::forward`].
    pub fn forward(
        &self,
        x: Tensor,
        layout: &Layout,
        tracks: &mut [Option<&mut SequenceCache>],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        self.decoder.get()?.forward(x, layout, tracks, hooks)
    }

    /// See [`Decoder::lens`].
    pub fn lens(&self, x: &Tensor, translator: Option<&Translator>) -> Result<Tensor, Error> {
        self.decoder.get()?.lens(x, translator)
    }

    /// See [`Decoder::logits`].
    pub fn logits(
        &self,
        x: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        self.decoder.get()?.logits(x, layout, hooks)
    }
}

/// The vision tower of a model.
#[derive(Debug, Clone)]
pub struct ResidentTower {
    info: TowerInfo,
    tower: OnDevice<Arc<dyn VisionTower>>,
}

impl ResidentTower {
    /// Keeps a tower at `home`.
    pub(super) fn new(tower: Arc<dyn VisionTower>, home: &Home) -> Result<Self, Error> {
        Ok(Self {
            // Copied out, as above: plans and prices are made on threads that may not touch the
            // tower.
            info: tower.info().clone(),
            tower: home.keep(tower)?,
        })
    }

    /// Describes the tower.
    pub fn info(&self) -> &TowerInfo {
        &self.info
    }

    /// Returns the sizes of a view of `(height, width)` pixels.
    pub fn view(&self, size: Size) -> ViewInfo {
        self.info.view(size)
    }

    /// Returns whether its device still has it.
    pub(super) fn is_live(&self) -> bool {
        self.tower.is_live()
    }

    /// Returns the tower, on the thread that owns its device.
    pub(super) fn on_device(&self) -> Result<Held<Arc<dyn VisionTower>>, Error> {
        Ok(self.tower.get()?)
    }

    /// Embeds views of one size: `pixels (V, 3, H, W)` -> `(V R, D)`, after the hooks.
    pub fn embed(
        &self,
        pixels: &Tensor,
        batch: &ViewBatch,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        self.tower.get()?.embed(pixels, batch, hooks)
    }

    /// Runs whole views, embedded `x (R, D)`, up to the features that the projector reads:
    /// `(N, n D)` with their layout.
    pub fn forward(
        &self,
        x: Tensor,
        batch: &ViewBatch,
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        self.tower.get()?.forward(x, batch, hooks)
    }

    /// Runs rows `x (R, D)` of whole views, which may have passed some layers. `caches[i]` belongs
    /// to view i; `earlier(i, slot)` gives the rows of that view after `slot` layers, fewer than it
    /// begins with, where a feature is read there.
    pub fn forward_from(
        &self,
        x: Tensor,
        batch: &ViewBatch,
        caches: &mut [SequenceCache],
        earlier: Earlier<'_>,
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let tower = self.tower.get()?;
        tower.forward_from(x, batch, caches, earlier, hooks)
    }

    /// Returns the share of attention that the CLS token of the last block pays to each patch: `(V,
    /// N)`, of one head or the mean over heads.
    pub fn attention(&self, pixels: &Tensor, head: Option<usize>) -> Result<Tensor, Error> {
        self.tower.get()?.attention(pixels, head)
    }
}

/// A projector: its weights in the memory of the process, where they are read and drawn, and a copy
/// on the device, made when it first runs there.
#[derive(Debug)]
pub struct ResidentProjector {
    host: Projector,
    digest: OnceLock<String>,
    uploaded: Mutex<Option<OnDevice<Projector>>>,
}

impl ResidentProjector {
    /// Takes a projector whose weights are on the CPU.
    pub fn new(host: Projector) -> Self {
        Self {
            host,
            digest: OnceLock::new(),
            uploaded: Mutex::default(),
        }
    }

    /// Returns the projector on the CPU.
    pub fn host(&self) -> &Projector {
        &self.host
    }

    /// Returns how many numbers a row of input is multiplied with, biases aside.
    pub fn weights(&self) -> usize {
        self.host.weights()
    }

    /// See [`Projector::digest`].
    pub fn digest(&self) -> Result<String, Error> {
        if let Some(known) = self.digest.get() {
            return Ok(known.clone());
        }
        let digest = self.host.digest()?;
        // `get_or_try_init` is not stable; two threads that race here compute the same digest.
        Ok(self.digest.get_or_init(|| digest).clone())
    }

    /// Runs it on the device of `x`; see [`Projector::forward`].
    pub fn forward(
        &self,
        x: &Tensor,
        layout: &Layout,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        // On a CPU the host's weights are the resident ones; a second copy would double their
        // memory.
        if x.device().is_cpu() {
            return self.host.forward(x, layout, hooks);
        }
        let uploaded = self.uploaded_to(x.device())?;
        uploaded.get()?.forward(x, layout, hooks)
    }

    fn uploaded_to(&self, device: &Device) -> Result<OnDevice<Projector>, Error> {
        // Held over the copy. Nobody waits for it: only the device's thread comes here.
        let mut known = self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Not one that was there before the device was restarted.
        if let Some(uploaded) = known.as_ref().filter(|uploaded| uploaded.is_live()) {
            return Ok(uploaded.clone());
        }
        let uploaded = Home::here().keep(self.host.to_device(device)?)?;
        *known = Some(uploaded.clone());
        Ok(uploaded)
    }
}
