//! Parity with Hugging Face transformers: every hook point of every golden, and the same greedy
//! tokens.
//!
//! tests/goldens/capture.py is the only writer of the goldens.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::{copy_model, goldens, job, load_folder, model};
use scotoma::engine::parity::{GoldenSet, Prepared, TOLERANCE, kind};
use scotoma::engine::{Engine, Event, Limits, Sampling, Task};
use scotoma::model::{IMAGE_MARKER, Message, MessagePart, Model, Role};
use scotoma::nn::{HOOK_TABLE, Point, Site, Stack};

pub(crate) const SETS: [&str; 15] = [
    "tiny-gqa-tied",
    "tiny-full-old-names",
    "tiny-next-llama",
    "tiny-next-mistral",
    "tiny-onevision",
    "tiny-phi3",
    "tiny-gemma",
    "tiny-gemma2",
    "tiny-qwen3",
    "tiny-vipllava",
    "tiny-pixtral",
    "tiny-internvl",
    "tiny-gguf",
    "tiny-gguf-next",
    "shapes",
];

/// Maps a kind of point to its worst error, the number of values compared, and where the worst
/// was.
type Table = BTreeMap<String, (f64, usize, String)>;

fn greedy(engine: &Engine, model: &Arc<Model>, case: Prepared, max_tokens: usize) -> Vec<u32> {
    let work = Task::Generate {
        sampling: Sampling::greedy(),
        max_tokens,
        top_logprobs: 0,
    };
    let mut events = engine.submit(job(case, model, work)).unwrap();
    let mut answer = Vec::new();
    loop {
        match events.blocking_recv().unwrap().event.unwrap() {
            Event::Token(token) => {
                answer.push(token.id);
                if token.finish.is_some() {
                    return answer;
                }
            }
            Event::Prefilled(_) => {}
            Event::Captured(_) | Event::Scored { .. } | Event::Measured(_) => {
                panic!("not asked for")
            }
        }
    }
}

#[test]
fn every_hook_point_agrees_with_hugging_face() {
    let engine = Engine::start(Limits::default()).unwrap();
    let mut table = Table::new();
    let mut failures = Vec::new();
    for set in SETS {
        let model = Arc::new(model(set));
        let goldens = goldens(set);
        let words = MessagePart::Text("Is there a red circle?".into());
        let asks = Message {
            role: Role::User,
            parts: vec![MessagePart::Image, words],
        };
        // Prompts have one marker here, whichever token a model has for it.
        let chat = goldens.chat.replace("[IMG]", IMAGE_MARKER);
        let chat = chat.replace("<IMG_CONTEXT>", IMAGE_MARKER);
        let rendered = model.render(&[asks], None).unwrap().text;
        assert_eq!(rendered, chat, "{set}: chat template");
        check(&engine, set, &model, &goldens, &mut table, &mut failures);
    }
    println!(
        "{:<50} {:>10} {:>7}  worst in",
        "hook point", "error", "values"
    );
    for (point, (error, count, place)) in &table {
        println!("{point:<50} {error:>10.2e} {count:>7}  {place}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let worst = table.values().map(|v| v.0).fold(0.0, f64::max);
    assert!(worst <= TOLERANCE, "worst relative error {worst:.2e}");
    assert_eq!(
        table.len(),
        HOOK_TABLE.len() + 1,
        "every hook point, and the pixel values, is compared"
    );
}

fn check(
    engine: &Engine,
    set: &str,
    model: &Arc<Model>,
    goldens: &GoldenSet,
    table: &mut Table,
    failures: &mut Vec<String>,
) {
    for case in &goldens.cases {
        let at = format!("{set}/{}", case.name);
        let comparison = goldens
            .compare(model, case)
            .unwrap_or_else(|e| panic!("{at}: {e}"));
        for (name, (error, count)) in &comparison.points {
            let entry = table.entry(kind(name)).or_insert((0.0, 0, String::new()));
            entry.1 += count;
            if *error >= entry.0 {
                (entry.0, entry.2) = (*error, at.clone());
            }
        }
        // By whole forward passes, and by the engine with its cache.
        let served = greedy(
            engine,
            model,
            goldens.prepare(model, case).unwrap(),
            comparison.expected.len(),
        );
        for answer in [&comparison.answer, &served] {
            if *answer != comparison.expected {
                failures.push(format!(
                    "{at}: greedy tokens {answer:?}, expected {:?}",
                    comparison.expected
                ));
            }
        }
    }
}

#[test]
fn every_row_of_the_hook_table_fires() {
    let model = model("tiny-gqa-tied");
    let goldens = goldens("tiny-gqa-tied");
    let mut values = goldens
        .prepare(&model, &goldens.cases[0])
        .unwrap()
        .values(&model)
        .unwrap();
    values.remove("pixel_values");
    let (tower, decoder) = (
        model.tower.info().layers_run(),
        model.decoder.config().num_hidden_layers,
    );
    let mut expected = 0;
    for row in model.hook_points() {
        let layers = if row.stack == Stack::VisionTower {
            tower
        } else {
            decoder
        };
        for layer in if row.per_layer() { 0..layers } else { 0..1 } {
            let point = if row.per_layer() {
                Point::at(row.stack, layer, row.site)
            } else {
                Point::of(row.stack, row.site)
            };
            assert!(
                values.contains_key(&point.to_string()),
                "{point} did not fire"
            );
            expected += 1;
        }
    }
    assert_eq!(
        values.len(),
        expected,
        "points fired that the table does not have"
    );
    assert_eq!(
        Point::of(Stack::Projector, Site::Out).to_string(),
        "projector.hook_out"
    );
}

/// A check that cannot fail would certify nothing.
#[test]
fn one_changed_weight_is_found() {
    let folder = copy_model("tiny-onevision");
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let index: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let tensor = index
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.ends_with("layers.1.mlp.down_proj.weight"));
    let at = 8 + header + tensor.unwrap().1["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 2].copy_from_slice(&0x3fc0_u16.to_le_bytes()); // 1.5 in bf16
    std::fs::write(&path, bytes).unwrap();
    let model = load_folder(folder.path()).unwrap();
    let set = goldens("tiny-onevision");
    let (error, point) = set
        .compare(&model, &set.cases[0])
        .map(|c| (c.worst().0, c.worst().1.to_owned()))
        .unwrap();
    assert!(error > 100.0 * TOLERANCE, "{error:.1e} at {point}");
}
