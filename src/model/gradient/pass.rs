//! The way forward, and the way back part by part.

use std::sync::Arc;

use candle_core::{D, DType, Device, Result as TensorResult, Tensor, Var};

use super::input::{GradientInput, GradientReduction, Gradients, Objective, TapGradient};
use super::taps::Taps;
use crate::model::error::Error;
use crate::model::llava::Model;
use crate::model::vision_tower::ViewBatch;
use crate::nn::{Hooks, HostTensor, Layout, Point, Site, Stack};

/// Tells where a pass stands on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Forward,
    Head,
    Decoder(usize),
    /// Leads from the features of the tower to the input of the language model.
    Splice,
    Tower(usize),
    Pixels,
}

/// A pass on its way.
#[derive(Debug)]
pub struct GradientPass {
    model: Arc<Model>,
    input: GradientInput,
    stage: Stage,
    /// The stream before each layer that runs, and behind the last one.
    tower_states: Vec<HostTensor>,
    decoder_states: Vec<HostTensor>,
    /// The gradient of the output of the next part.
    gradient: Option<HostTensor>,
    /// Holds the gradient of the features, `(R, n D)`.
    features: Option<HostTensor>,
    found: Gradients,
}

impl GradientPass {
    /// Begins a pass.
    pub fn new(model: Arc<Model>, input: GradientInput) -> Self {
        Self {
            model,
            input,
            stage: Stage::Forward,
            tower_states: Vec::new(),
            decoder_states: Vec::new(),
            gradient: None,
            features: None,
            found: Gradients::default(),
        }
    }

    /// Returns the model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Returns the (row, layer) pairs of the next step; one on the way back is worth three of a
    /// plain pass.
    pub fn next_cells(&self) -> u64 {
        let (tower, decoder) = (self.batch().layout.rows() as u64, self.rows() as u64);
        match self.stage {
            Stage::Forward => self.forward_cells(),
            Stage::Decoder(_) => 3 * decoder,
            Stage::Tower(_) => 3 * tower,
            // About one layer each: all rows go through a few products.
            Stage::Head | Stage::Splice | Stage::Pixels => tower.max(decoder),
        }
    }

    /// Returns the (row, layer) pairs of all steps, were they to go down to the pixels.
    pub fn price(&self) -> u64 {
        // Once forward, and three times as much for the way back.
        4 * self.forward_cells()
    }

    fn forward_cells(&self) -> u64 {
        let tower = self.batch().layout.rows() * self.tower_layers();
        (tower + self.rows() * self.decoder_layers()) as u64
    }

    fn tower_layers(&self) -> usize {
        self.input.tower_path.len()
    }

    fn decoder_layers(&self) -> usize {
        self.input.decoder_path.len()
    }

    /// Returns after how many layers of its path each state that the projector reads stands.
    fn reads(&self) -> Vec<usize> {
        self.model.tower.info().reads(&self.input.tower_path)
    }

    /// Returns the rows of the language model: the last token of the answer is never read.
    fn rows(&self) -> usize {
        self.input.prompt.ids.len() + self.input.answer.len().saturating_sub(1)
    }

    /// Does the next step, and returns the gradients after the last one. A step that fails has done
    /// nothing, and may be done again.
    pub fn step(&mut self) -> Result<Option<Gradients>, Error> {
        // The stage moves on only below, so that a step that failed is done again.
        let next = match self.stage {
            Stage::Forward => self.run_forward()?,
            Stage::Head => self.back_through_head()?,
            Stage::Decoder(layer) => self.back_through_decoder(layer)?,
            Stage::Splice => self.back_through_splice()?,
            Stage::Tower(layer) => self.back_through_tower(layer)?,
            Stage::Pixels => self.back_through_patches()?,
        };
        match next.filter(|&stage| self.is_wanted_below(stage)) {
            Some(stage) => {
                self.stage = stage;
                Ok(None)
            }
            None => Ok(Some(std::mem::take(&mut self.found))),
        }
    }

    /// Returns whether anything is kept at `stage` or below it.
    fn is_wanted_below(&self, stage: Stage) -> bool {
        let has = |test: &dyn Fn(&Point) -> bool| self.input.taps.iter().any(|t| test(&t.point));
        let in_tower = |point: &Point| point.stack == Stack::VisionTower;
        let is_of = |point: &Point, path: &[usize]| point.layer.is_some_and(|l| path.contains(&l));
        self.input.pixels_wanted
            || match stage {
                Stage::Forward | Stage::Head => true,
                Stage::Decoder(place) => {
                    // The layers that are still to come on the way down, this one among them.
                    let path = &self.input.decoder_path[..=place];
                    has(&|point| in_tower(point) || is_in_splice(point) || is_of(point, path))
                }
                Stage::Splice => has(&|point| in_tower(point) || is_in_splice(point)),
                Stage::Tower(place) => {
                    let path = &self.input.tower_path[..=place];
                    // Without a layer: the embedding of the patches, which is lowest of all.
                    has(&|point| in_tower(point) && (point.layer.is_none() || is_of(point, path)))
                }
                Stage::Pixels => has(&|point| in_tower(point) && point.layer.is_none()),
            }
    }
}

/// The parts, each as it runs forward, and tracked on the way back.
impl GradientPass {
    /// Lays out all views for the tower.
    fn batch(&self) -> ViewBatch {
        let mut batch = ViewBatch::default();
        for (image, tokens) in self.input.images.iter().enumerate() {
            let info = self.model.tower.info();
            batch.push_picture(info, (0, image), tokens.views, tokens.view);
        }
        batch
    }

    /// Lays out the prompt and the answer for the language model.
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let (prompt, count) = (&self.input.prompt, self.rows());
        let tokens = (0..count as u32).collect();
        layout.push_rows(0, 0, tokens, self.model.positions(prompt, count));
        layout
    }

    /// Returns the ids of the rows.
    fn ids(&self) -> Vec<u32> {
        let answer = &self.input.answer;
        let read = &answer[..answer.len().saturating_sub(1)];
        [&self.input.prompt.ids, read].concat()
    }

    /// Embeds the pictures' patches: `(sum of V R, D_vision)`.
    fn embed_patches(&self, pixels: &[Tensor], hooks: &mut dyn Hooks) -> Result<Tensor, Error> {
        let tower = self.model.tower.on_device()?;
        let mut rows = Vec::with_capacity(pixels.len());
        for views in pixels {
            rows.push(tower.embed_patches(views)?);
        }
        // All pictures in one call: what is kept at a point is one tensor.
        Ok(hooks.on(
            Point::of(Stack::VisionTower, Site::Embed),
            &self.batch().layout.spans,
            Tensor::cat(&rows, 0)?,
        )?)
    }

    /// Maps the states that the projector reads, side by side, to the language model's input:
    /// `(sum of V R, n D_vision) -> (T, D)`.
    fn splice(&self, features: Option<&Tensor>, hooks: &mut dyn Hooks) -> Result<Tensor, Error> {
        let (model, input, ids) = (&self.model, &self.input, self.ids());
        let embedded = match features {
            None => model.embed(&ids, 0..ids.len(), &[])?,
            Some(features) => {
                let batch = self.batch();
                // (sum of V R, n D_vision) -> (sum of V N, n D_vision).
                let x = model
                    .tower
                    .on_device()?
                    .select(features.clone(), &batch.views)?;
                let layout = batch.tokens();
                let at = Point::of(Stack::Projector, Site::In);
                let x = hooks.on(at, &layout.spans, x.contiguous()?)?; // (sum of V N, n D_vision)
                // (sum of V N, n D_vision) -> (sum of V N, D).
                let projected = input.projector.forward(&x, &layout, hooks)?;
                let tokens = input.images.iter().enumerate();
                let tokens = tokens.map(|(image, tokens)| (0, image, tokens));
                let visual = model.pack(&projected, tokens, hooks)?; // (N, D)
                // (T, D), visual tokens where image tokens stand.
                model.embed(&ids, 0..ids.len(), &[&visual])?
            }
        };
        let at = Point::of(Stack::LanguageModel, Site::Embed);
        Ok(hooks.on(at, &self.layout().spans, embedded)?)
    }

    /// Maps the output of the last layer to the log-probabilities of the answer, `(A)`, and the number
    /// whose gradient is taken.
    fn head(&self, x: &Tensor, hooks: &mut dyn Hooks) -> Result<(Tensor, Tensor), Error> {
        let decoder = self.model.decoder.on_device()?;
        let normed = decoder.finish(x, &self.layout(), hooks)?;
        let answer = &self.input.answer;
        // A row's logits are of the token behind it: those of the answer begin at the last row of
        // the prompt, which is never empty.
        let first = self.input.prompt.ids.len() - 1;
        let rows: Vec<u32> = (first..first + answer.len())
            .map(|row| row as u32)
            .collect();
        let mut layout = Layout::default();
        // For the hook at the logits alone, which is told whose rows these are.
        layout.push_rows(0, 0, rows.clone().into(), rows.clone().into());
        let rows = Tensor::from_vec(rows, answer.len(), normed.device())?;
        let logits = decoder.logits(&normed.index_select(&rows, 0)?, &layout, hooks)?; // (A, V)
        // (A, V), in f32: in half precision close probabilities would come out equal.
        let logprobs = candle_nn::ops::log_softmax(&logits.to_dtype(DType::F32)?, D::Minus1)?;
        let ids = Tensor::from_slice(answer, (answer.len(), 1), logprobs.device())?;
        let chosen = logprobs.contiguous()?.gather(&ids, D::Minus1)?.squeeze(1)?; // (A)
        let number = match self.input.objective {
            Objective::LogProb => chosen.sum_all()?,
            Objective::Probability => chosen.sum_all()?.exp()?,
            // All tokens before the last one are those of both answers.
            Objective::Contrast(other) => {
                let last = answer.len() - 1;
                (chosen.get(last)? - logprobs.get(last)?.get(other as usize)?)?
            }
        };
        Ok((chosen, number))
    }
}

/// The way forward and the way back.
impl GradientPass {
    fn run_forward(&mut self) -> Result<Option<Stage>, Error> {
        let device = self.model.on_device()?;
        // Untracked: moves what is to be moved, and keeps nothing unless values alone are asked
        // for.
        let mut taps = Taps::new(&self.input, false);
        let batch = self.batch();
        let mut tower_states = Vec::new();
        let mut features = None;
        if !self.input.pixels.is_empty() {
            let tower = self.model.tower.on_device()?;
            let pixels = self.input.pixels.iter();
            let pixels: Vec<Tensor> = pixels
                .map(|p| p.upload(&device))
                .collect::<Result<_, _>>()?;
            // `states[i]` enters the i-th layer of the path; the last one has left it.
            let mut states = vec![self.embed_patches(&pixels, &mut taps)?];
            for (place, &layer) in self.input.tower_path.iter().enumerate() {
                let x = &states[place];
                let x = tower
                    .blocks()
                    .forward_layer(layer, x, &batch.layout, &mut taps)?;
                states.push(x);
            }
            features = Some(self.side_by_side(&states)?);
            // To the host: between two steps other requests have the device's memory.
            tower_states = download(&states)?;
        }
        let decoder = self.model.decoder.on_device()?;
        let layout = self.layout();
        let mut states = vec![self.splice(features.as_ref(), &mut taps)?];
        for (place, &layer) in self.input.decoder_path.iter().enumerate() {
            let x = &states[place];
            let x = decoder
                .blocks()
                .forward_layer(layer, x, &layout, &mut taps)?;
            states.push(x);
        }
        if self.input.reduction == GradientReduction::Values {
            // The final norm may be among the points.
            decoder.finish(&states[states.len() - 1], &layout, &mut taps)?;
            self.found.taps = taps.close(None)?;
            return Ok(None);
        }
        (self.tower_states, self.decoder_states) = (tower_states, download(&states)?);
        Ok(Some(Stage::Head))
    }

    /// Joins the states that the projector reads: `(R, n D)`.
    fn side_by_side(&self, states: &[Tensor]) -> TensorResult<Tensor> {
        let read: Vec<&Tensor> = self.reads().into_iter().map(|at| &states[at]).collect();
        Tensor::cat(&read, 1)
    }

    fn back_through_head(&mut self) -> Result<Option<Stage>, Error> {
        let layers = self.decoder_layers();
        let mut logprobs = Vec::new();
        let x = self.state(&self.decoder_states, layers)?;
        let back = self.pull_back(&x, None, |x, taps| {
            let (found, number) = self.head(x, taps)?;
            // The numbers alone, without the graph that they came from.
            logprobs = found.detach().to_device(&Device::Cpu)?.to_vec1::<f32>()?;
            Ok(number)
        })?;
        self.found.value = back.value;
        self.found.logprobs = logprobs.into_iter().map(f64::from).collect();
        self.keep(back)?;
        Ok(Some(
            // Straight to the splice where all layers are dropped.
            layers.checked_sub(1).map_or(Stage::Splice, Stage::Decoder),
        ))
    }

    fn back_through_decoder(&mut self, place: usize) -> Result<Option<Stage>, Error> {
        let layer = self.input.decoder_path[place];
        let x = self.state(&self.decoder_states, place)?;
        let back = self.pull_back(&x, self.gradient.as_ref(), |x, taps| {
            let decoder = self.model.decoder.on_device()?;
            Ok(decoder
                .blocks()
                .forward_layer(layer, x, &self.layout(), taps)?)
        })?;
        self.keep(back)?;
        Ok(Some(
            place.checked_sub(1).map_or(Stage::Splice, Stage::Decoder),
        ))
    }

    fn back_through_splice(&mut self) -> Result<Option<Stage>, Error> {
        if self.tower_states.is_empty() {
            // Words alone: there is nothing below but what is kept of their embeddings.
            let device = self.model.on_device()?;
            let nothing = Tensor::zeros(1, DType::F32, &device)?;
            let back = self.pull_back(&nothing, self.gradient.as_ref(), |_, taps| {
                self.splice(None, taps)
            })?;
            self.keep(back)?;
            return Ok(None);
        }
        let device = self.model.on_device()?;
        let states = self.tower_states.iter();
        let states: Vec<Tensor> = states
            .map(|s| s.upload(&device))
            .collect::<Result<_, _>>()?;
        let features = self.side_by_side(&states)?;
        let back = self.pull_back(&features, self.gradient.as_ref(), |features, taps| {
            self.splice(Some(features), taps)
        })?;
        // Of all features side by side; each state takes its own columns when its turn comes.
        self.features = Some(HostTensor::download(&back.gradient)?);
        self.keep(back)?;
        let layers = self.tower_layers();
        // In place of what `keep` has left there, which is of the features: this is of the last
        // layer's output.
        self.gradient = self.of_feature(layers)?;
        Ok(Some(
            layers.checked_sub(1).map_or(Stage::Pixels, Stage::Tower),
        ))
    }

    fn back_through_tower(&mut self, place: usize) -> Result<Option<Stage>, Error> {
        let layer = self.input.tower_path[place];
        let x = self.state(&self.tower_states, place)?;
        let back = self.pull_back(&x, self.gradient.as_ref(), |x, taps| {
            let (tower, batch) = (self.model.tower.on_device()?, self.batch());
            Ok(tower
                .blocks()
                .forward_layer(layer, x, &batch.layout, taps)?)
        })?;
        self.keep(back)?;
        // A state that the projector reads has a gradient from there, too.
        if let (Some(own), Some(read)) = (&self.gradient, self.of_feature(place)?) {
            self.gradient = Some(HostTensor::download(&(&**own + &*read)?)?);
        }
        Ok(Some(
            place.checked_sub(1).map_or(Stage::Pixels, Stage::Tower),
        ))
    }

    fn back_through_patches(&mut self) -> Result<Option<Stage>, Error> {
        let device = self.model.on_device()?;
        let mut flat = Vec::with_capacity(self.input.pixels.len());
        for views in &self.input.pixels {
            flat.push(views.upload(&device)?.flatten_all()?);
        }
        // One variable for all pictures, whose sizes may differ.
        let flat = Tensor::cat(&flat, 0)?;
        let back = self.pull_back(&flat, self.gradient.as_ref(), |flat, taps| {
            let (mut pixels, mut first) = (Vec::new(), 0);
            for views in &self.input.pixels {
                let own = flat.narrow(0, first, views.elem_count())?;
                pixels.push(own.reshape(views.dims())?);
                first += views.elem_count();
            }
            self.embed_patches(&pixels, taps)
        })?;
        let (mut first, mut pixels) = (0, Vec::new());
        for views in &self.input.pixels {
            let own = back.gradient.narrow(0, first, views.elem_count())?;
            pixels.push(HostTensor::download(&own.reshape(views.dims())?)?);
            first += views.elem_count();
        }
        self.keep(back)?;
        self.found.pixels = pixels;
        Ok(None)
    }

    /// Returns the gradient that the projector's reading of state `entry` brings, `(R, D)`; `None`
    /// where it is not read there.
    fn of_feature(&self, entry: usize) -> Result<Option<HostTensor>, Error> {
        let Some(features) = &self.features else {
            return Ok(None);
        };
        let (info, mut sum) = (self.model.tower.info(), None::<Tensor>);
        for (place, read) in self.reads().into_iter().enumerate() {
            // Twice for one state, where a layer between two features is dropped: both readings
            // count.
            if read == entry {
                let own = features.narrow(1, place * info.width, info.width)?;
                sum = Some(match sum {
                    Some(sum) => (sum + own)?,
                    None => own,
                });
            }
        }
        Ok(sum.map(|sum| HostTensor::download(&sum)).transpose()?)
    }

    /// Returns one of `states`, on the device.
    fn state(&self, states: &[HostTensor], number: usize) -> Result<Tensor, Error> {
        let missing = || Error::Config(format!("no state before layer {number}"));
        let state = states.get(number).ok_or_else(missing)?;
        Ok(state.upload(&*self.model.on_device()?)?)
    }

    /// Runs a part tracked from `x`, and goes back from `gradient`, that of its output; without one
    /// the output is the number itself.
    fn pull_back(
        &self,
        x: &Tensor,
        gradient: Option<&HostTensor>,
        run: impl FnOnce(&Tensor, &mut Taps<'_>) -> Result<Tensor, Error>,
    ) -> Result<PulledBack, Error> {
        // The leaf of this part's graph, in f32 whatever the dtype of the model.
        let x = Var::from_tensor(&x.to_dtype(DType::F32)?.contiguous()?)?;
        let mut taps = Taps::new(&self.input, true);
        let output = run(x.as_tensor(), &mut taps)?.to_dtype(DType::F32)?;
        let number = match gradient {
            // The gradient of this sum is the product of `gradient` with the part's Jacobian, so
            // that no graph has to reach over two parts.
            Some(gradient) => (&output * gradient.upload(output.device())?)?.sum_all()?,
            None => output,
        };
        let gradients = number.backward()?;
        let own = match gradients.get(x.as_tensor()) {
            Some(own) => own.clone(),
            // Nothing of the output depends on it.
            None => x.as_tensor().zeros_like()?,
        };
        Ok(PulledBack {
            value: f64::from(number.to_device(&Device::Cpu)?.to_scalar::<f32>()?),
            gradient: own,
            taps: taps.close(Some(&gradients))?,
        })
    }

    /// Keeps what a part has given.
    fn keep(&mut self, back: PulledBack) -> Result<(), Error> {
        self.gradient = Some(HostTensor::download(&back.gradient)?);
        self.found.taps.extend(back.taps);
        Ok(())
    }
}

fn download(states: &[Tensor]) -> TensorResult<Vec<HostTensor>> {
    states.iter().map(HostTensor::download).collect()
}

/// Holds what the way back through one part gives.
struct PulledBack {
    value: f64,
    /// Holds the gradient of the input of the part.
    gradient: Tensor,
    taps: Vec<TapGradient>,
}

/// Tells whether `point` is between the tower and the first layer of the language model.
fn is_in_splice(point: &Point) -> bool {
    point.stack == Stack::Projector
        || (point.stack == Stack::LanguageModel && point.site == Site::Embed)
}
