//! Parity with Hugging Face transformers: every hook point of every golden, and the same greedy tokens.
//!
//! tests/goldens/capture.py is the only writer of the goldens.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use common::{Case, Prepared, goldens, model};
use scotoma::engine::{Engine, Event, Limits, Sampling, Work};
use scotoma::intervention::Applied;
use scotoma::model::{DEFAULT_PROJECTOR, Model};
use scotoma::nn::{Hooks, Layout, Point, Site, Span};

const TOLERANCE: f64 = 1e-5;
const SETS: [&str; 6] =
    ["tiny-gqa-tied", "tiny-full-old-names", "tiny-next-llama", "tiny-next-mistral", "tiny-onevision", "shapes"];

/// Applies the plan and writes down what every point then holds.
struct Recorder<'a> {
    applied: Applied<'a>,
    values: BTreeMap<String, Vec<f32>>,
}

impl Hooks for Recorder<'_> {
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> scotoma::nn::Result<Tensor> {
        let value = self.applied.on(point, spans, value)?;
        let flat = value.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        self.values.entry(point.to_string()).or_default().extend(flat);
        Ok(value)
    }

    fn runs(&self, stack: scotoma::nn::Stack, layer: usize, sequence: usize) -> bool {
        self.applied.runs(stack, layer, sequence)
    }
}

/// One whole forward pass, logits at all positions.
fn forward(model: &Model, case: &Prepared) -> BTreeMap<String, Vec<f32>> {
    let Prepared { plan, pixels, images, ids } = case;
    let plans = [plan];
    let mut recorder = Recorder { applied: Applied::new(&plans), values: BTreeMap::new() };
    let mut x = model.decoder.embed(ids).unwrap();
    if !pixels.is_empty() {
        let owners: Vec<_> = images.iter().enumerate().flat_map(|(i, t)| vec![(0, i); t.views]).collect();
        let batch = Tensor::cat(pixels, 0).unwrap();
        let (features, layout) = model.tower.forward(&batch, &owners, &mut recorder).unwrap();
        let projector = plan.projector.as_ref().unwrap_or(&model.projectors[DEFAULT_PROJECTOR]);
        let projected = projector.forward(&features, &layout, &mut recorder).unwrap();
        let visual = model.pack(&projected, images.iter().map(|i| (0, i)), &mut recorder).unwrap();
        let mut next = 0;
        let rows: Vec<Tensor> = (0..ids.len())
            .map(|row| {
                if ids[row] == model.image_token {
                    next += 1;
                    visual.narrow(0, next - 1, 1).unwrap()
                } else {
                    x.narrow(0, row, 1).unwrap()
                }
            })
            .collect();
        x = Tensor::cat(&rows, 0).unwrap();
    }
    let mut layout = Layout::default();
    layout.prefill(0, 0, ids.len(), 0);
    let hidden = model.decoder.forward(x, &layout, &mut [], &mut recorder).unwrap();
    model.decoder.logits(&hidden, &layout, &mut recorder).unwrap();
    recorder.values
}

fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "sizes differ");
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / square(&mut expected.iter().map(|b| f64::from(*b))).max(f64::MIN_POSITIVE)
}

fn greedy(engine: &Engine, model: &Arc<Model>, case: &Prepared) -> Vec<u32> {
    let work = Work::Generate { sampling: Sampling::greedy(), max_tokens: 8, top_logprobs: 0 };
    let mut events = engine.submit(case.job(model, case.plan.clone(), work)).unwrap();
    let mut answer = Vec::new();
    loop {
        match events.blocking_recv().unwrap().unwrap() {
            Event::Token(token) => {
                answer.push(token.id);
                if token.finish.is_some() {
                    return answer;
                }
            }
            Event::Scored(..) => panic!("scores"),
        }
    }
}

/// The layer number taken out, so that the table has one line a kind of point.
fn kind(point: &str) -> String {
    point.split('.').map(|part| if part.parse::<usize>().is_ok() { "{l}" } else { part }).collect::<Vec<_>>().join(".")
}

#[test]
fn every_hook_point_agrees_with_hugging_face() {
    let engine = Engine::start(Limits::default()).unwrap();
    let mut table = Table::new();
    let mut failures = Vec::new();
    for set in SETS {
        let model = Arc::new(model(set));
        let cases = goldens(set);
        assert_eq!(model.text.chat("Is there a red circle?", 1).unwrap(), cases.chat, "{set}: chat template");
        for case in &cases.cases {
            check(&engine, set, &model, case, &mut table, &mut failures);
        }
    }
    println!("{:<50} {:>10} {:>7}  worst in", "hook point", "error", "values");
    for (point, (error, count, place)) in &table {
        println!("{point:<50} {error:>10.2e} {count:>7}  {place}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let worst = table.values().map(|v| v.0).fold(0.0, f64::max);
    assert!(worst <= TOLERANCE, "worst relative error {worst:.2e}");
    assert_eq!(
        table.len(),
        scotoma::nn::HOOK_TABLE.len() + 1,
        "a row of the hook table (or the pixels) was not compared"
    );
}

/// By kind of point: the worst error, how many values were compared, where the worst was.
type Table = BTreeMap<String, (f64, usize, String)>;

fn check(engine: &Engine, set: &str, model: &Arc<Model>, case: &Case, table: &mut Table, failures: &mut Vec<String>) {
    let at = format!("{set}/{}", case.name);
    let case_name = &case.name;
    let case = case.prepare(model);
    let file = Path::new(common::FOLDER).join(set).join(format!("{case_name}.safetensors"));
    let golden = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let integers = |name: &str| -> Vec<u32> { golden[name].to_dtype(DType::U32).unwrap().to_vec1().unwrap() };
    assert_eq!(case.ids, integers("input_ids"), "{at}: token ids");
    let mut values = forward(model, &case);
    values.insert(
        "pixel_values".into(),
        case.pixels.iter().flat_map(|p| p.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect(),
    );
    for (name, expected) in golden.iter().filter(|(n, _)| !["input_ids", "greedy"].contains(&n.as_str())) {
        let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = values.get(name).unwrap_or_else(|| panic!("{at}: {name} never fired"));
        let error = relative_error(found, &expected);
        let entry = table.entry(kind(name)).or_insert((0.0, 0, String::new()));
        entry.1 += expected.len();
        if error >= entry.0 {
            (entry.0, entry.2) = (error, at.clone());
        }
    }
    let answer = greedy(engine, model, &case);
    let expected = integers("greedy");
    if answer != expected {
        failures.push(format!("{at}: greedy tokens {answer:?}, expected {expected:?}"));
    }
}

#[test]
fn every_row_of_the_hook_table_fires() {
    let model = model("tiny-gqa-tied");
    let cases = goldens("tiny-gqa-tied");
    let values = forward(&model, &cases.cases[0].prepare(&model));
    let (tower, decoder) = (model.tower.feature_layers(), model.decoder.config().num_hidden_layers);
    let mut expected = 0;
    for row in scotoma::nn::HOOK_TABLE {
        let layers = if row.stack == scotoma::nn::Stack::VisionTower { tower } else { decoder };
        for layer in if row.per_layer() { 0..layers } else { 0..1 } {
            let point =
                if row.per_layer() { Point::at(row.stack, layer, row.site) } else { Point::of(row.stack, row.site) };
            assert!(values.contains_key(&point.to_string()), "{point} did not fire");
            expected += 1;
        }
    }
    assert_eq!(values.len(), expected, "points fired that the table does not have");
    assert_eq!(Point::of(scotoma::nn::Stack::Projector, Site::Out).to_string(), "projector.hook_out");
}
