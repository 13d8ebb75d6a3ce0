//! Auxiliary requests: passes of a model that generate no tokens of a sequence, done step by step
//! between the steps of sequences.

use std::sync::Arc;

use candle_core::{DType, Device};
use tokio::sync::oneshot;

use super::cost::tower_cells;
use super::deadline::Deadline;
use super::error::Error;
use super::guard::guarded;
use super::measure_rows::MeasureRows;
use super::parity::{self, CaseComparison, GoldenSet, ParityCheck};
use super::request::ClientId;
use crate::model::{GradientPass, Gradients, ImageTokens, MeasuredRows, Model, SaliencyModel};
use crate::nn::HostTensor;

/// An auxiliary request that is admitted.
pub(super) struct AuxiliaryRequest {
    pub(super) client: ClientId,
    pub(super) deadline: Deadline,
    /// (row, layer) pairs of all its steps, as planned.
    pub(super) price: u64,
    pub(super) started: bool,
    /// Says whether its step has failed once already.
    pub(super) failed: bool,
    pub(super) task: Box<dyn AuxiliaryTask>,
}

/// The work of an auxiliary request, and the caller that waits for it.
pub(super) trait AuxiliaryTask: Send {
    /// Returns the (row, layer) pairs of the next step.
    fn next_cells(&self) -> u64;

    /// Does the next step; replies after the last one. A step that fails may be done again.
    fn step(&mut self) -> Result<(), Error>;

    /// Returns whether the device still has what it runs on.
    fn is_live(&self) -> bool;

    /// Replies with an error.
    fn fail(&mut self, error: Error);

    /// Returns whether the reply was sent, or the caller has gone.
    fn is_over(&self) -> bool;
}

/// Work in steps, each about as long as a step of sequences.
pub(super) trait Steps: Send {
    /// The result of all steps.
    type Output: Send;

    /// Returns the (row, layer) pairs of the next step.
    fn next_cells(&self) -> u64;

    /// Returns whether the device still has what it runs on.
    fn is_live(&self) -> bool;

    /// Does the next step, and returns the result after the last one. A step that fails has done
    /// nothing, and may be done again.
    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error>;
}

/// Steps with the sender of their result.
pub(super) struct Replying<S: Steps> {
    steps: S,
    reply: Option<oneshot::Sender<Result<S::Output, Error>>>,
}

impl<S: Steps> Replying<S> {
    pub(super) fn new(steps: S, reply: oneshot::Sender<Result<S::Output, Error>>) -> Self {
        Self {
            steps,
            reply: Some(reply),
        }
    }

    fn reply(&mut self, result: Result<S::Output, Error>) {
        if let Some(reply) = self.reply.take() {
            // A caller that has gone needs no reply.
            let _ = reply.send(result);
        }
    }
}

impl<S: Steps> AuxiliaryTask for Replying<S> {
    fn next_cells(&self) -> u64 {
        self.steps.next_cells()
    }

    fn is_live(&self) -> bool {
        self.steps.is_live()
    }

    fn step(&mut self) -> Result<(), Error> {
        // A panic counts as a failed step: the request ends, and the thread goes on.
        if let Some(output) = guarded(|| self.steps.step())? {
            self.reply(Ok(output));
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        self.reply(Err(error));
    }

    fn is_over(&self) -> bool {
        // Closed once the caller's future is dropped: nothing else tells of a cancellation.
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// The attention of the tower's CLS token on pictures, a picture a step.
pub(super) struct TowerAttention {
    model: Arc<Model>,
    pixels: Vec<HostTensor>,
    head: Option<usize>,
    found: Vec<Vec<Vec<f32>>>,
}

impl TowerAttention {
    pub(super) fn new(model: Arc<Model>, pixels: Vec<HostTensor>, head: Option<usize>) -> Self {
        Self {
            model,
            found: Vec::with_capacity(pixels.len()),
            pixels,
            head,
        }
    }

    /// Returns the (row, layer) pairs of all steps.
    pub(super) fn price(&self) -> u64 {
        let cells = |pixels| tower_cells(&self.model, pixels);
        self.pixels.iter().map(cells).sum()
    }
}

impl Steps for TowerAttention {
    type Output = Vec<Vec<Vec<f32>>>;

    fn next_cells(&self) -> u64 {
        let next = self.pixels.get(self.found.len());
        next.map_or(0, |pixels| tower_cells(&self.model, pixels))
    }

    fn is_live(&self) -> bool {
        self.model.is_live()
    }

    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error> {
        let model = &self.model;
        // Picture by picture: a step stays as short as one of a prompt.
        if let Some(pixels) = self.pixels.get(self.found.len()) {
            let pixels = pixels.upload(&*model.on_device()?)?;
            let mass = model.tower.attention(&pixels, self.head)?; // (V, N)
            let views = mass
                .to_dtype(DType::F32)?
                .to_device(&Device::Cpu)?
                .to_vec2()?;
            self.found.push(views);
        }
        // No picture at all is done at once.
        let is_done = self.found.len() == self.pixels.len();
        Ok(is_done.then(|| std::mem::take(&mut self.found)))
    }
}

/// The visual tokens of one picture by the unchanged model, in one step as pictures of prompts are.
pub(super) struct EncodeImage {
    model: Arc<Model>,
    pixels: HostTensor,
    tokens: ImageTokens,
}

impl EncodeImage {
    pub(super) fn new(model: Arc<Model>, pixels: HostTensor, tokens: ImageTokens) -> Self {
        Self {
            model,
            pixels,
            tokens,
        }
    }

    /// Returns the (row, layer) pairs of the picture.
    pub(super) fn price(&self) -> u64 {
        tower_cells(&self.model, &self.pixels)
    }
}

impl Steps for EncodeImage {
    /// `(N, D)`.
    type Output = HostTensor;

    fn next_cells(&self) -> u64 {
        self.price()
    }

    fn is_live(&self) -> bool {
        self.model.is_live()
    }

    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error> {
        // Not through the encoder and its cache, whose pictures are encoded under some plan.
        let tokens = self.model.encode_image(&self.pixels, &self.tokens)?;
        Ok(Some(HostTensor::download(&tokens)?))
    }
}

impl Steps for MeasureRows {
    type Output = MeasuredRows;

    fn next_cells(&self) -> u64 {
        self.price()
    }

    fn is_live(&self) -> bool {
        self.model.is_live()
    }

    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error> {
        self.run().map(Some)
    }
}

/// The attention of a saliency model on pictures, a picture a step.
pub(super) struct SaliencyAttention {
    model: Arc<SaliencyModel>,
    pixels: Vec<HostTensor>,
    head: Option<usize>,
    found: Vec<Vec<f32>>,
}

impl SaliencyAttention {
    pub(super) fn new(
        model: Arc<SaliencyModel>,
        pixels: Vec<HostTensor>,
        head: Option<usize>,
    ) -> Self {
        Self {
            found: Vec::with_capacity(pixels.len()),
            model,
            pixels,
            head,
        }
    }

    /// Returns the (row, layer) pairs of all steps.
    pub(super) fn price(&self) -> u64 {
        self.pixels.len() as u64 * self.model.cells()
    }
}

impl Steps for SaliencyAttention {
    type Output = Vec<Vec<f32>>;

    fn next_cells(&self) -> u64 {
        self.model.cells()
    }

    fn is_live(&self) -> bool {
        self.model.is_live()
    }

    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error> {
        if let Some(pixels) = self.pixels.get(self.found.len()) {
            // Pushed last: a step that fails leaves the picture for the next try.
            self.found.push(self.model.attention(pixels, self.head)?);
        }
        let is_done = self.found.len() == self.pixels.len();
        Ok(is_done.then(|| std::mem::take(&mut self.found)))
    }
}

/// One case of a golden set on its way, a whole pass a step.
pub(super) struct Parity {
    model: Arc<Model>,
    check: ParityCheck<Arc<GoldenSet>>,
}

impl Parity {
    pub(super) fn new(model: Arc<Model>, check: ParityCheck<Arc<GoldenSet>>) -> Self {
        Self { model, check }
    }

    /// Returns the (row, layer) pairs of all steps.
    pub(super) fn price(&self) -> u64 {
        self.check.price(&self.model)
    }
}

impl Steps for Parity {
    type Output = Result<CaseComparison, parity::Error>;

    fn next_cells(&self) -> u64 {
        self.check.next_cells(&self.model)
    }

    fn is_live(&self) -> bool {
        self.model.is_live()
    }

    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error> {
        match self.check.step(&self.model) {
            // The device's, not the check's.
            Err(parity::Error::Model(error)) => Err(error),
            Err(parity::Error::Tensor(error)) => Err(error.into()),
            other => Ok(other.transpose()),
        }
    }
}

impl Steps for GradientPass {
    type Output = Gradients;

    fn next_cells(&self) -> u64 {
        self.next_cells()
    }

    fn is_live(&self) -> bool {
        self.model().is_live()
    }

    fn step(&mut self) -> Result<Option<Self::Output>, crate::model::Error> {
        self.step()
    }
}
