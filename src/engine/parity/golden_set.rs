//! A golden set, as tests/goldens/capture.py writes it.
//!
//! It is cases.json, the pictures it names, and for each case a safetensors file with the values
//! that the reference found at hook points, the token ids of its input and its greedy answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::engine::measure_rows::MeasureRows;
use crate::engine::sampler::likeliest;
use crate::intervention::{
    self, Context, EffectLog, Error as InterventionError, Intervention, Plan, PlanHooks,
    SaliencyMaps, compile,
};
use crate::model::{
    Error as ModelError, ImageInput, ImageTokens, MeasuredRows, Model, Prompt, Rendered, RowsQuery,
    Source,
};
use crate::nn::{Hooks, HostTensor, Layout, Point, Result as TensorResult, Site, Span, Stack};
use crate::vision::{self, Picture};

/// The largest relative error `|a - b| / |b|` at a hook point that passes in f32.
pub const TOLERANCE: f64 = 1e-5;
/// The same in bf16 and f16, whose numbers have 8 and 11 bits.
pub const HALF_TOLERANCE: f64 = 5e-2;

/// Why a golden set cannot be read or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The set does not fit the model, or is damaged.
    #[error("goldens: {0}")]
    Set(String),
    /// A file, or the forward pass.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An intervention of a case.
    #[error(transparent)]
    Intervention(#[from] InterventionError),
    /// A picture of a case.
    #[error("goldens: {0}")]
    Picture(#[from] vision::Error),
    /// A tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A golden set, read case by case.
#[derive(Debug)]
pub struct GoldenSet {
    reader: Reader,
    source: Source,
    pictures: Source,
    /// A question put through the reference's chat template with one picture.
    pub chat: String,
    /// The inputs to compare.
    pub cases: Vec<Case>,
}

/// One input with its interventions.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// The name of the case and of its file.
    pub name: String,
    /// The prompt, pictures as `<image>`.
    pub text: String,
    /// Names of the pictures.
    pub images: Vec<String>,
    /// The interventions in canonical JSON, a list.
    #[serde(default)]
    pub interventions: serde_json::Value,
    /// The part of the text that the user wrote.
    #[serde(default)]
    pub question: String,
}

/// Reads the interventions of a case from their canonical JSON, which this folder does not know.
pub type Reader = fn(&serde_json::Value) -> Result<Vec<Intervention>, String>;

#[derive(Deserialize)]
struct Listed {
    chat: String,
    cases: Vec<Case>,
}

/// Inputs of interventions that a server has beside the model.
#[derive(Debug, Default, Clone)]
pub struct Resident {
    /// Attention of saliency models.
    pub looks: SaliencyMaps,
    /// Their digests.
    pub digests: BTreeMap<String, String>,
    /// Kept activations.
    pub activations: BTreeMap<String, HostTensor>,
}

/// A case compiled against a model.
#[derive(Debug)]
pub struct Prepared {
    /// The compiled interventions.
    pub plan: Arc<Plan>,
    /// Their effects so far.
    pub observed: EffectLog,
    /// The views of each picture, image interventions applied, `(V, 3, S, S)`.
    pub pixels: Vec<HostTensor>,
    /// The visual tokens of each picture before any selection.
    pub images: Vec<ImageTokens>,
    /// The input of the language model.
    pub prompt: Prompt,
}

impl GoldenSet {
    /// Opens the set in `source`; `pictures` holds its pictures as `NAME.png`.
    pub fn open(source: Source, pictures: Source, reader: Reader) -> Result<Self, Error> {
        let listed: Listed = source
            .json("cases.json")?
            .ok_or_else(|| source.missing("cases.json"))?;
        Ok(Self {
            reader,
            source,
            pictures,
            chat: listed.chat,
            cases: listed.cases,
        })
    }

    /// Opens the set in the folder `goldens` beside a model's files; `None` where there is none.
    pub fn of(model: &Model, reader: Reader) -> Result<Option<Self>, Error> {
        let source = model.source.within("goldens");
        if source.read("cases.json")?.is_none() {
            return Ok(None);
        }
        let pictures = source.within("pictures");
        Self::open(source, pictures, reader).map(Some)
    }

    /// Returns the versions that made the set, as its provenance.json has them; empty without one.
    pub fn reference(&self) -> Result<String, Error> {
        let provenance: Option<serde_json::Value> = self.source.json("provenance.json")?;
        Ok(provenance
            .map(|p| p["versions"].to_string())
            .unwrap_or_default())
    }

    /// Prepares the pictures of a case as the model sees them.
    pub fn pictures(&self, model: &Model, case: &Case) -> Result<Vec<Picture>, Error> {
        let mut pictures = Vec::with_capacity(case.images.len());
        for name in &case.images {
            let bytes = self.pictures.require(&format!("{name}.png"))?;
            let decoded = vision::decode(&bytes, vision::MAX_PIXELS)?;
            let processor = &model.processor;
            pictures.push(processor.picture(&decoded, case.images.len(), vision::MAX_PIXELS)?);
        }
        Ok(pictures)
    }

    /// Reads the interventions of a case.
    pub fn interventions(&self, case: &Case) -> Result<Vec<Intervention>, Error> {
        if case.interventions.is_null() {
            return Ok(Vec::new());
        }
        (self.reader)(&case.interventions).map_err(|e| Error::Set(format!("{}: {e}", case.name)))
    }

    /// Compiles a case against a model, under its own interventions.
    pub fn prepare(&self, model: &Model, case: &Case) -> Result<Prepared, Error> {
        self.prepare_under(
            model,
            case,
            &self.interventions(case)?,
            &Resident::default(),
        )
    }

    /// Compiles it under other interventions, with the inputs that a server would have for them.
    pub fn prepare_under(
        &self,
        model: &Model,
        case: &Case,
        list: &[Intervention],
        resident: &Resident,
    ) -> Result<Prepared, Error> {
        let mut pictures = self.pictures(model, case)?;
        let images: Vec<ImageTokens> = pictures.iter().map(|p| model.tokens(p)).collect();
        let mut looks = resident.looks.clone();
        let needs = intervention::needs(list, &[]);
        for look in needs.saliency {
            // Those of a saliency model come with `resident`: no such model is beside a golden set.
            if look.model.is_none() {
                let head = look.head.map(|h| h as usize);
                let maps = pictures.iter().map(|p| tower_attention(model, p, head));
                looks.insert(look, maps.collect::<Result<_, _>>()?);
            }
        }
        let donors = needs.donors.into_iter();
        let donors = donors.map(|(place, bytes)| Ok((place, encode_donor(model, case, bytes)?)));
        let donors = donors.collect::<Result<BTreeMap<_, _>, Error>>()?;
        let (ids, words) = model.tokenize(&Rendered::asking(&case.text, &case.question))?;
        let rows = measure_rows(model, (&pictures, &images), &ids, needs.rows)?;
        let context = Context {
            model,
            images: &images,
            prompt: Some(&words),
            sample_key: "",
            saliency: &looks,
            rows: &rows,
            saliency_digests: &resident.digests,
            donors: &donors,
            activations: &resident.activations,
        };
        let plan = compile(list, &context)?;
        let observed = plan.edit_images(&mut pictures, &model.processor);
        let pixels = pictures
            .iter()
            .map(|p| model.pixels(p))
            .collect::<Result<_, _>>()?;
        let prompt = model.expand(&ids, &plan.images);
        Ok(Prepared {
            plan: Arc::new(plan),
            observed,
            pixels,
            images,
            prompt,
        })
    }

    /// Reads the values of the reference, by name.
    pub(super) fn values(&self, case: &Case) -> Result<HashMap<String, HostTensor>, Error> {
        let bytes = self.source.require(&format!("{}.safetensors", case.name))?;
        let values = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
        let values = values.into_iter();
        Ok(values
            .map(|(name, value)| Ok((name, HostTensor::download(&value)?)))
            .collect::<TensorResult<_>>()?)
    }
}

/// Returns the visual tokens of a donor picture, by the unchanged model.
fn encode_donor(model: &Model, case: &Case, bytes: &[u8]) -> Result<HostTensor, Error> {
    let read = model.read_image(bytes, case.images.len(), vision::MAX_PIXELS)?;
    let tokens = model.encode_image(&read.pixels.views, &read.tokens)?;
    Ok(HostTensor::download(&tokens)?)
}

/// Measures rows of the unchanged model.
fn measure_rows(
    model: &Model,
    (pictures, images): (&[Picture], &[ImageTokens]),
    ids: &[u32],
    queries: BTreeSet<RowsQuery>,
) -> Result<MeasuredRows, Error> {
    // On any thread where nothing is measured: then the model is not run.
    if queries.is_empty() {
        return Ok(MeasuredRows::new());
    }
    let pixels = pictures.iter().map(|p| model.pixels(p));
    let measure = MeasureRows {
        model,
        pixels: pixels.collect::<Result<_, _>>()?,
        images: images.to_vec(),
        prompt: Some(model.expand(ids, images)),
        queries,
    };
    Ok(measure.run()?)
}

/// Returns where the tower looks in each view of a picture.
fn tower_attention(
    model: &Model,
    picture: &Picture,
    head: Option<usize>,
) -> Result<Vec<Vec<f32>>, Error> {
    let pixels = model.pixels(picture)?.upload(&*model.on_device()?)?;
    let mass = model.tower.attention(&pixels, head)?;
    Ok(mass.to_dtype(DType::F32)?.to_vec2()?)
}

impl Prepared {
    /// Returns the values of every hook point in one whole forward pass, with logits at all
    /// positions, and the pixel values.
    pub fn values(&self, model: &Model) -> Result<BTreeMap<String, Vec<f32>>, Error> {
        self.values_with(model, &mut PlanHooks::one(&self.plan))
    }

    /// Returns the same, for a caller that keeps the account of effects.
    pub fn values_with(
        &self,
        model: &Model,
        applied: &mut PlanHooks,
    ) -> Result<BTreeMap<String, Vec<f32>>, Error> {
        let mut recorder = Recorder {
            applied,
            values: BTreeMap::new(),
        };
        let (hidden, layout) = self.forward(model, &self.prompt.ids, &mut recorder)?;
        model.decoder.logits(&hidden, &layout, &mut recorder)?;
        let mut values = recorder.values;
        for views in &self.pixels {
            let flat = views
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            values
                .entry("pixel_values".into())
                .or_default()
                .extend(flat);
        }
        Ok(values)
    }

    /// Returns the likeliest `count` tokens, each by a whole forward pass: nothing of the cache and
    /// the batch is trusted here.
    pub fn greedy(&self, model: &Model, count: usize) -> Result<Vec<u32>, Error> {
        let mut ids = self.prompt.ids.clone();
        for _ in 0..count {
            ids.extend(self.next_token(model, &ids)?);
        }
        Ok(ids.split_off(self.prompt.ids.len()))
    }

    /// Returns the likeliest token after `ids`, by a whole forward pass.
    pub(super) fn next_token(&self, model: &Model, ids: &[u32]) -> Result<Option<u32>, Error> {
        let mut applied = PlanHooks::one(&self.plan);
        let (hidden, layout) = self.forward(model, ids, &mut applied)?;
        let mut last = Layout::default();
        // The position is not read: there is no rotary embedding in the head.
        last.push_rows(0, 0, [ids.len() as u32 - 1].into(), [0].into());
        let logits = model.decoder.logits(
            &hidden.narrow(0, layout.rows() - 1, 1)?,
            &last,
            &mut applied,
        )?;
        let logits: Vec<f32> = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
        Ok(likeliest(&logits, 1).first().map(|best| best.0))
    }

    /// Returns normed rows of the last layer for all of `ids`, with their layout.
    fn forward(
        &self,
        model: &Model,
        ids: &[u32],
        hooks: &mut dyn Hooks,
    ) -> Result<(Tensor, Layout), Error> {
        let device = model.on_device()?;
        let pixels = self.pixels.iter().map(|pixels| pixels.upload(&device));
        let pixels = pixels.collect::<TensorResult<Vec<Tensor>>>()?;
        let images = pixels.iter().zip(&self.images).enumerate();
        let images = images.map(|(image, (pixels, tokens))| ImageInput {
            sequence: 0,
            image,
            pixels,
            tokens,
        });
        let images: Vec<ImageInput<'_>> = images.collect();
        let own = model.own_projector();
        let projector = self.plan.projector.as_ref().unwrap_or(own);
        Ok(model.forward(&self.prompt, ids, &images, projector, hooks)?)
    }
}

/// Applies a plan and records the values of every hook point after it; masked attention scores as 0.
struct Recorder<'a> {
    applied: &'a mut PlanHooks,
    values: BTreeMap<String, Vec<f32>>,
}

impl Hooks for Recorder<'_> {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> TensorResult<Tensor> {
        let value = self.applied.on(point, spans, value)?;
        let mut flat = value
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        // One infinity would make the norm of all scores infinite, and hide every other difference.
        if point.site == Site::Scores {
            flat.iter_mut()
                .filter(|v| **v == f32::NEG_INFINITY)
                .for_each(|v| *v = 0.0);
        }
        // Where a layer runs again, the last pass counts.
        let name = point.to_string();
        if point.layer.is_some() && point.stack == Stack::LanguageModel {
            self.values.insert(name, flat);
        } else {
            self.values.entry(name).or_default().extend(flat);
        }
        Ok(value)
    }

    fn path(&self, stack: Stack, sequence: usize) -> Option<&[usize]> {
        self.applied.path(stack, sequence)
    }

    fn survivors(
        &mut self,
        stack: Stack,
        layer: usize,
        span: &Span,
    ) -> TensorResult<Option<Vec<u32>>> {
        self.applied.survivors(stack, layer, span)
    }
}

/// Returns a hook point with `{l}` for its layer.
pub fn kind(point: &str) -> String {
    point
        .split('.')
        .map(|part| {
            if part.parse::<usize>().is_ok() {
                "{l}"
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join(".")
}
