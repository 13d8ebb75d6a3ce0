//! The path of a GPU: with candle's kernels on the CPU of any machine, and on a card where there is
//! one (`make gpu-test`).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;

use candle_core::DType;
use common::{goldens, job, model_by, model_on};
use scotoma::api::interventions_from_json;
use scotoma::engine::parity::{HALF_TOLERANCE, Resident, TOLERANCE};
use scotoma::engine::{Engine, Event, Events, Limits, Sampling, Task};
use scotoma::model::LoadTo;
use scotoma::nn::{DeviceGroup, DeviceId};
use serde_json::json;

const SETS: [&str; 12] = [
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
    "tiny-internvl",
    "shapes",
];

/// Bounds the error of a card in f32, whose kernels and GEMM sum in other orders.
const CARD: f64 = 1e-4;
fn candle_on_the_cpu() -> DeviceId {
    scotoma::nn::use_candle();
    DeviceId::Cpu
}

const CARD_0: DeviceId = DeviceId::Cuda(0);

/// A card that has the first layers and a CPU that has the rest, or the other way round: every
/// tensor that is on the wrong one is an error.
fn card_and_cpu(card_is_first: bool) -> DeviceGroup {
    if card_is_first {
        DeviceGroup::new(CARD_0, [DeviceId::Cpu])
    } else {
        DeviceGroup::new(DeviceId::Cpu, [CARD_0])
    }
}

/// All sets, by whole passes: the worst error of each, and what was not the same token.
fn parity(devices: &DeviceGroup, dtype: DType, sets: &[&str]) -> (f64, Vec<String>) {
    let (mut worst, mut others) = (0.0, Vec::new());
    for set in sets {
        let (model, goldens) = (model_on(set, dtype, devices), goldens(set));
        let mut of_set: BTreeMap<String, f64> = BTreeMap::new();
        for case in &goldens.cases {
            // In half precision other tokens may have the largest values, and all after is another run.
            if dtype != DType::F32 && case.name.starts_with("measured") {
                continue;
            }
            let found = goldens.compare(&model, case).unwrap();
            let (error, point) = found.worst();
            of_set.insert(format!("{}: {point}", case.name), error);
            if found.answer != found.expected {
                others.push(format!(
                    "{set}/{}: {:?}, expected {:?}",
                    case.name, found.answer, found.expected
                ));
            }
        }
        let (at, error) = of_set.iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        println!("{set:<20} {dtype:?} {error:.2e} at {at}");
        worst = error.max(worst);
    }
    (worst, others)
}

/// Every case of every set at once, under plans that change what sequences run and see; answers of
/// many lengths, so that sequences join and leave. Tokens that are not those of whole passes, one
/// sequence after the other.
fn company(devices: &DeviceGroup, dtype: DType, sets: &[&str]) -> (usize, Vec<String>) {
    let out = |layer: usize| format!("language_model.blocks.{layer}.hook_mlp_out");
    let plans = [
        json!([]),
        json!([{"dropLayers": {"layers": [0]}}]),
        json!([{"repeatLayers": {"first": 0, "last": 1, "times": 2}}]),
        json!([{"pruneTokens": {"layer": 0, "keepCount": 2, "receivedFrom": {"anyOf": [{"named": "NAMED_LAST"}]}}}]),
        json!([{"scale": {"target": {"point": out(1)}, "factor": 0.5}}]),
        json!([{"permuteTokens": {"seed": "3"}}, {"dropLayers": {"layers": [1]}}]),
        json!([{"knockOutAttention": {"layers": [1], "to": {"anyOf": [{"named": "NAMED_SYSTEM"}]}}}]),
    ];
    let mut ran = vec![0; plans.len()];
    let (mut others, mut count) = (Vec::new(), 0);
    for set in sets {
        let limits = Limits {
            running: 5,
            step_rows: 200,
            ..Limits::default()
        };
        let engine = Engine::on(devices.clone(), limits).unwrap();
        let (model, goldens) = (model_by(&engine, set, dtype, devices), goldens(set));
        let mut waiting: Vec<(String, Vec<u32>, Events)> = Vec::new();
        for (c, case) in goldens.cases.iter().enumerate() {
            for (p, plan) in plans.iter().enumerate() {
                let list = interventions_from_json(plan).unwrap();
                let prepare = || {
                    goldens
                        .prepare_under(&model, case, &list, &Resident::default())
                        .ok()
                };
                // Some need a picture.
                let Some(prepared) = prepare() else { continue };
                ran[p] += 1;
                let max_tokens = 1 + (3 * c + 5 * p) % 10;
                // On the thread that has the model.
                let own = model.clone();
                let whole = move |_: &LoadTo<'_>| {
                    let answer = prepared.greedy(&own, max_tokens);
                    Ok(answer.map_err(|e| e.to_string()))
                };
                let answered = engine.load(whole, &|_, _| {}).unwrap().unwrap();
                let mut expected = answered.unwrap();
                if let Some(end) = expected.iter().position(|id| model.eos.contains(id)) {
                    expected.truncate(end + 1);
                }
                let work = Task::Generate {
                    sampling: Sampling::greedy(),
                    max_tokens,
                    top_logprobs: p % 2,
                };
                let events = engine
                    .submit(job(prepare().unwrap(), &model, work))
                    .unwrap();
                waiting.push((
                    format!("{set}/{} under {plan}", case.name),
                    expected,
                    events,
                ));
            }
        }
        for (at, expected, mut events) in waiting {
            let mut answer = Vec::new();
            while let Some(told) = events.blocking_recv() {
                if let Event::Token(token) = told.event.unwrap() {
                    answer.push(token.id);
                }
            }
            count += 1;
            if answer != expected {
                others.push(format!("{at}: {answer:?}, expected {expected:?}"));
            }
        }
    }
    assert!(ran.iter().all(|&n| n >= 10), "{ran:?}");
    (count, others)
}

#[test]
fn candle_on_the_cpu_agrees_with_hugging_face() {
    let (worst, others) = parity(&candle_on_the_cpu().into(), DType::F32, &SETS);
    assert!(worst <= TOLERANCE, "{worst:.2e}");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn candle_on_the_cpu_serves_many_as_one() {
    let (count, others) = company(
        &candle_on_the_cpu().into(),
        DType::F32,
        &[
            "tiny-gqa-tied",
            "tiny-next-mistral",
            "tiny-gemma2",
            "tiny-phi3",
        ],
    );
    assert!(count >= 100, "{count} requests");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn the_first_pass_runs_for_every_family() {
    for set in SETS.into_iter().chain(["tiny-pixtral"]) {
        for dtype in [DType::F32, DType::BF16] {
            let model = model_on(set, dtype, &candle_on_the_cpu().into());
            model.warm_up().unwrap();
        }
    }
}

/// In half precision the path is that of the kernels, for which loops stand in on a CPU.
#[test]
fn stand_ins_of_the_kernels_agree_with_hugging_face() {
    let sets = ["tiny-gqa-tied", "tiny-gemma2", "tiny-phi3", "tiny-pixtral"];
    let (worst, _) = parity(&candle_on_the_cpu().into(), DType::BF16, &sets);
    assert!(worst <= HALF_TOLERANCE, "{worst:.2e}");
}

#[test]
fn stand_ins_of_the_kernels_serve_many_as_one() {
    let sets = ["tiny-gqa-tied", "tiny-gemma2"];
    let (count, others) = company(&candle_on_the_cpu().into(), DType::BF16, &sets);
    assert!(count >= 100, "{count} requests");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn candle_over_two_devices_serves_many_as_one() {
    let (count, others) = company(
        &DeviceGroup::new(candle_on_the_cpu(), [DeviceId::Cpu]),
        DType::F32,
        &["tiny-gqa-tied", "tiny-gemma2"],
    );
    assert!(count >= 50, "{count} requests");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
#[ignore = "needs a GPU and the feature cuda"]
fn a_card_agrees_with_hugging_face_in_f32() {
    let (worst, others) = parity(&CARD_0.into(), DType::F32, &SETS);
    assert!(worst <= CARD, "{worst:.2e}");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
#[ignore = "needs a GPU and the feature cuda"]
fn a_card_agrees_with_hugging_face_in_bf16() {
    let (worst, others) = parity(&CARD_0.into(), DType::BF16, &["shapes"]);
    assert!(worst <= HALF_TOLERANCE, "{worst:.2e}");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
#[ignore = "needs a GPU and the feature cuda"]
fn a_card_serves_many_as_one() {
    let (count, others) = company(&CARD_0.into(), DType::F32, &SETS);
    assert!(count >= 150, "{count} requests");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
#[ignore = "needs a GPU and the feature cuda"]
fn a_model_over_a_card_and_a_cpu_agrees_with_hugging_face() {
    for card_is_first in [true, false] {
        let devices = card_and_cpu(card_is_first);
        let (worst, others) = parity(&devices, DType::F32, &SETS);
        assert!(worst <= CARD, "{devices}: {worst:.2e}");
        assert!(others.is_empty(), "{}", others.join("\n"));
    }
}

#[test]
#[ignore = "needs a GPU and the feature cuda"]
fn a_card_and_a_cpu_serve_many_as_one() {
    for card_is_first in [true, false] {
        let devices = card_and_cpu(card_is_first);
        let (_, others) = company(&devices, DType::F32, &["tiny-gqa-tied", "tiny-gemma2"]);
        assert!(others.is_empty(), "{}: {}", devices, others.join("\n"));
    }
}
