//! Gradients agree with PyTorch's autograd over Hugging Face transformers, at every hook point of
//! every golden set and at the pixels; laws that need no reference.
//!
//! tests/goldens/gradients.py writes what they are compared with.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use scotoma::engine::parity::Prepared;
use scotoma::model::{
    Blend, GradientInput, GradientPass, GradientReduction, Gradients, Model, Objective, Tap,
};
use scotoma::nn::{HostTensor, Point};

use crate::common::{FOLDER, goldens, model};
use crate::goldens::SETS;

/// The largest relative error, in the norm over all rows of a point.
const TOLERANCE: f64 = 1e-4;

/// What a golden set's gradients are of.
struct Case {
    model: Arc<Model>,
    prepared: Prepared,
    answer: Vec<u32>,
    reference: HashMap<String, Tensor>,
}

impl Case {
    fn of(set: &str) -> Self {
        let (model, goldens) = (Arc::new(model(set)), goldens(set));
        let wide = goldens.cases.iter().find(|c| c.name == "wide").unwrap();
        let prepared = goldens.prepare(&model, wide).unwrap();
        let folder = if set == "shapes" {
            Path::new(FOLDER).join("../../models/shapes/goldens")
        } else {
            Path::new(FOLDER).join(set)
        };
        let file = folder.join("gradients.safetensors");
        let reference = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
        let answer: Vec<i64> = reference["answer"].to_vec1().unwrap();
        Self {
            answer: answer.into_iter().map(|id| id as u32).collect(),
            model,
            prepared,
            reference,
        }
    }

    fn input(&self, taps: Vec<Tap>, reduction: GradientReduction) -> GradientInput {
        GradientInput {
            prompt: self.prepared.prompt.clone(),
            pixels: self.prepared.pixels.clone(),
            images: self.prepared.images.clone(),
            projector: self.model.own_projector().clone(),
            tower_path: (0..self.model.tower.info().layers_run()).collect(),
            decoder_path: (0..self.model.decoder.config().num_hidden_layers).collect(),
            answer: self.answer.clone(),
            objective: Objective::LogProb,
            taps,
            reduction,
            pixels_wanted: true,
            blend: None,
        }
    }

    fn run(&self, input: GradientInput) -> Gradients {
        let mut pass = GradientPass::new(self.model.clone(), input);
        loop {
            if let Some(found) = pass.step().unwrap() {
                return found;
            }
        }
    }

    /// Returns the values of the reference whose names begin with `kind`, by point.
    fn points(&self, kind: &str) -> BTreeMap<&str, Vec<f32>> {
        let own = |(name, value): (&'_ String, &Tensor)| {
            let point = self.reference.get_key_value(name).unwrap().0;
            let point = point.strip_prefix(kind)?.strip_prefix(':')?;
            Some((point, value.flatten_all().unwrap().to_vec1().unwrap()))
        };
        self.reference.iter().filter_map(own).collect()
    }
}

fn tap(point: Point) -> Tap {
    Tap { point, other: None }
}

fn values(tensor: &HostTensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// `|found - expected| / size`; the size is `|expected|`, unless something else measures it.
fn error(found: &[f32], expected: &[f32], size: Option<f32>) -> f64 {
    assert_eq!(found.len(), expected.len());
    let (mut off, mut own) = (0.0, 0.0);
    for (&a, &b) in found.iter().zip(expected) {
        off += f64::from(a - b).powi(2);
        own += f64::from(b).powi(2);
    }
    assert!(off.is_finite());
    // Where the reference has no gradient there must be none.
    match size.map_or(own.sqrt(), f64::from) {
        0.0 => off.sqrt(),
        size => off.sqrt() / size,
    }
}

#[test]
fn every_gradient_agrees_with_autograd() {
    let mut worst: BTreeMap<String, (f64, String)> = BTreeMap::new();
    // Those of GGUF are models of a family that is here already.
    for set in SETS.into_iter().filter(|set| !set.contains("gguf")) {
        let case = Case::of(set);
        for (kind, reduction) in [
            ("norm", GradientReduction::Norm),
            ("product", GradientReduction::Product),
            ("relevance", GradientReduction::Relevance),
        ] {
            let expected = case.points(kind);
            let taps = expected.keys().map(|name| tap(name.parse().unwrap()));
            let found = case.run(case.input(taps.collect(), reduction));
            let mut by_point: BTreeMap<String, Vec<f32>> = BTreeMap::new();
            for tap in &found.taps {
                let all = by_point.entry(tap.point.to_string()).or_default();
                all.extend(values(&tap.gradient));
            }
            for (point, expected) in expected {
                let found = &by_point[point];
                // Logits are made at the rows that predict the answer alone, which are the last.
                let expected = &expected[expected.len() - found.len()..];
                // A sum of products may be 0: before a norm, which no scale changes.
                let size = case.reference.get(&format!("size:{point}"));
                let size = size.filter(|_| kind == "product");
                let size = size.map(|size| size.to_vec1::<f32>().unwrap()[0]);
                note(
                    &mut worst,
                    format!("{kind} {}", general(point)),
                    set,
                    error(found, expected, size),
                );
            }
            let pixels: Vec<f32> = found.pixels.iter().flat_map(values).collect();
            let expected: Vec<f32> = case.reference["pixels"]
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            note(
                &mut worst,
                "pixels".into(),
                set,
                error(&pixels, &expected, None),
            );
            let expected: f32 = case.reference["value"].to_vec1().unwrap()[0];
            note(
                &mut worst,
                "value".into(),
                set,
                error(&[found.value as f32], &[expected], None),
            );
        }
    }
    for (point, (error, set)) in &worst {
        println!("{point:<60} {error:>10.2e}  {set}");
    }
    let failed: Vec<_> = worst.iter().filter(|(_, (e, _))| *e > TOLERANCE).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Returns a point's name without its layer.
fn general(point: &str) -> String {
    let parts = point
        .split('.')
        .filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join(".")
}

fn note(worst: &mut BTreeMap<String, (f64, String)>, what: String, set: &str, error: f64) {
    let entry = worst.entry(what).or_insert((0.0, String::new()));
    if error > entry.0 {
        *entry = (error, set.into());
    }
}

#[test]
fn a_gradient_is_the_slope_of_a_blend() {
    let case = Case::of("shapes");
    let point: Point = "language_model.blocks.3.hook_resid_pre".parse().unwrap();
    let at = |share| {
        let mut input = case.input(vec![tap(point)], GradientReduction::Product);
        input.pixels_wanted = false;
        input.blend = Some(Blend {
            point,
            from: None,
            share,
        });
        case.run(input)
    };
    let (below, here, above) = (at(0.999), at(1.0), at(1.001));
    let slope = (above.value - below.value) / 0.002;
    let product: f32 = here.taps.iter().flat_map(|tap| values(&tap.gradient)).sum();
    // d/ds f(s x) at s = 1 is the sum of gradient times value.
    assert!(
        (slope - f64::from(product)).abs() < 1e-2 * slope.abs().max(0.1),
        "{slope} {product}"
    );
}

#[test]
fn a_pass_without_taps_ends_with_the_number_itself() {
    let case = Case::of("tiny-gqa-tied");
    let mut input = case.input(Vec::new(), GradientReduction::Norm);
    input.pixels_wanted = false;
    let found = case.run(input);
    assert!(found.taps.is_empty() && found.pixels.is_empty());
    let sum: f64 = found.logprobs.iter().sum();
    assert!((found.value - sum).abs() < 1e-5);
}
