//! Steps that fail, and devices that are lost: whose requests end, and what goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prost::Message as _;
use scotoma::api::interventions_from_json;
use scotoma::engine::parity::Resident;
use scotoma::engine::{
    ClientId, Deadline, DeviceState, Engine, Error, Event, Events, Limits, Request, Sampling,
    StepCheck, Task,
};
use scotoma::intervention::Effect;
use scotoma::model::{Model, Source};
use scotoma::nn::DeviceId;
use scotoma::server::{ModelSpec, ServerConfig};
use scotoma_client::{GenerateRequest, permute_tokens};
use serde_json::{Value, json};
use tonic::Code;

use crate::common::{
    Running, ask, copy_model, eventually, goldens, job, long, metric, model, scrape, serving,
    variant,
};

const SET: &str = "tiny-next-llama";
const NO_MEMORY: &str = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
const LOST: &str = "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")";

/// The tokens with their log-probabilities, the last effects, and how often rows were captured.
type Told = (Vec<(u32, f64)>, Vec<Effect>, usize);

fn engine(check: StepCheck) -> Engine {
    Engine::with_check(DeviceId::Cpu, Limits::default(), check).unwrap()
}

fn request(model: &Arc<Model>, case: usize, list: &Value, tokens: usize) -> Request {
    let goldens = goldens(SET);
    let list = interventions_from_json(list).unwrap();
    let case = goldens.prepare_under(model, &goldens.cases[case], &list, &Resident::default());
    let task = Task::Generate {
        sampling: Sampling::greedy(),
        max_tokens: tokens,
        top_logprobs: 0,
    };
    job(case.unwrap(), model, task)
}

fn told(mut events: Events) -> Result<Told, Error> {
    let mut told: Told = Default::default();
    while let Some(event) = events.blocking_recv() {
        match event.event? {
            Event::Token(token) => {
                told.0.push((token.id, token.logprob));
                told.1 = token.effects;
            }
            Event::Captured(_) => told.2 += 1,
            Event::Prefilled(_) | Event::Scored { .. } | Event::Measured(_) => {}
        }
    }
    Ok(told)
}

/// Plans whose rows, effects and keys a step that fails must leave as they were.
fn plans() -> [Value; 4] {
    let out = "language_model.blocks.1.hook_mlp_out";
    [
        json!([]),
        json!([{"scale": {"target": {"point": out}, "factor": 0.5}}]),
        json!([{"permuteTokens": {"seed": "3"}}, {"dropLayers": {"layers": [1]}}]),
        json!([{"pruneTokens": {"layer": 0, "keepCount": 2, "receivedFrom": {"anyOf": [{"named": "NAMED_LAST"}]}}}]),
    ]
}

/// A model that does not end its answers.
fn endless() -> Arc<Model> {
    let mut model = model(SET);
    model.eos.clear();
    Arc::new(model)
}

#[test]
fn a_step_that_failed_once_leaves_no_trace() {
    let model = endless();
    let calls = AtomicUsize::new(0);
    // Every step fails, and succeeds when it is run again.
    let check = StepCheck::new(move |_| {
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            Err(NO_MEMORY.into())
        } else {
            Ok(())
        }
    });
    let (whole, shaky) = (engine(StepCheck::default()), engine(check));
    for plan in plans() {
        let ask = |engine: &Engine| told(engine.submit(request(&model, 0, &plan, 6)).unwrap());
        let (expected, found) = (ask(&whole).unwrap(), ask(&shaky).unwrap());
        assert_eq!(found, expected, "{plan}");
        assert_eq!(found.0.len(), 6);
    }
}

#[test]
fn a_bad_sequence_fails_alone() {
    let model = endless();
    let bad = request(&model, 1, &json!([]), 4);
    let ids = bad.variants[0].prompt.ids.clone();
    let seen = Arc::new(AtomicUsize::new(0));
    let packed = seen.clone();
    let check = StepCheck::new(move |sequences| {
        packed.fetch_max(sequences.len(), Ordering::Relaxed);
        if sequences.iter().any(|other| **other == *ids) {
            return Err("shapes do not fit".into());
        }
        Ok(())
    });
    let (whole, shaky) = (engine(StepCheck::default()), engine(check));
    let others: Vec<Value> = plans().into();
    let expected: Vec<Told> = others
        .iter()
        .map(|plan| told(whole.submit(request(&model, 0, plan, 8)).unwrap()).unwrap())
        .collect();
    let submitted: Vec<Events> = others
        .iter()
        .map(|plan| shaky.submit(request(&model, 0, plan, 8)).unwrap())
        .collect();
    let failed = told(shaky.submit(bad).unwrap()).unwrap_err();
    assert!(
        matches!(&failed, Error::Fault(reason) if reason.contains("do not fit")),
        "{failed}"
    );
    for (plan, (events, expected)) in others.iter().zip(submitted.into_iter().zip(expected)) {
        assert_eq!(told(events).unwrap(), expected, "{plan}");
    }
    assert!(seen.load(Ordering::Relaxed) > 1, "no step had company");
}

#[test]
fn variants_of_a_sweep_survive_steps_that_fail() {
    let model = endless();
    // Packed steps fail, so that every row of every variant is computed by itself.
    let check = StepCheck::new(|sequences| match sequences.len() {
        1 => Ok(()),
        _ => Err(NO_MEMORY.into()),
    });
    let goldens = goldens(SET);
    let sweep = || {
        let variants = (0..3).map(|layer| {
            let list = json!([{"dropLayers": {"layers": [layer]}}]);
            let list = interventions_from_json(&list).unwrap();
            let case = &goldens.cases[0];
            let case = goldens.prepare_under(&model, case, &list, &Resident::default());
            let task = Task::Generate {
                sampling: Sampling::greedy(),
                max_tokens: 4,
                top_logprobs: 0,
            };
            variant(case.unwrap(), task)
        });
        Request {
            model: model.clone(),
            client: ClientId::default(),
            variants: variants.collect(),
            deadline: Deadline::default(),
        }
    };
    let tokens = |engine: &Engine| {
        let mut events = engine.submit(sweep()).unwrap();
        let mut tokens = vec![Vec::new(); 3];
        while let Some(event) = events.blocking_recv() {
            if let Event::Token(token) = event.event.unwrap() {
                tokens[event.variant].push((token.id, token.logprob));
            }
        }
        tokens
    };
    assert_eq!(
        tokens(&engine(check)),
        tokens(&engine(StepCheck::default()))
    );
}

#[test]
fn a_lost_device_ends_what_runs_and_comes_back() {
    let model = endless();
    let lose = Arc::new(AtomicBool::new(true));
    let losing = lose.clone();
    let engine = engine(StepCheck::new(move |_| {
        if losing.swap(false, Ordering::SeqCst) {
            Err(LOST.into())
        } else {
            Ok(())
        }
    }));
    let mut states = engine.states();
    let ended = told(engine.submit(request(&model, 0, &json!([]), 4)).unwrap());
    assert!(matches!(ended, Err(Error::Restarting)), "{ended:?}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(states.wait_for(|state| *state == DeviceState::Restarted))
        .unwrap();
    let refused = engine.submit(request(&model, 0, &json!([]), 4));
    assert!(matches!(refused, Err(Error::Restarting)), "{refused:?}");
    engine.resume();
    // A model in the memory of the process was not lost.
    let answer = told(engine.submit(request(&model, 0, &json!([]), 4)).unwrap());
    assert_eq!(answer.unwrap().0.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_loads_its_models_again_when_the_device_was_lost() {
    let lose = Arc::new(AtomicBool::new(false));
    let losing = lose.clone();
    let mut config = ServerConfig::shapes();
    let folder = Path::new(crate::common::FOLDER);
    let mut next = ModelSpec::new("next", Source::Folder(folder.join(SET).join("model")));
    let projector = folder.join(SET).join("mm_projector.bin");
    next.projectors = vec![("second".into(), projector)];
    config.models.push(next);
    config.saliency = vec![("dino".into(), Source::Folder(folder.join("tiny-dino")))];
    config.step_check = StepCheck::new(move |_| {
        if losing.swap(false, Ordering::SeqCst) {
            Err(LOST.into())
        } else {
            Ok(())
        }
    });
    let server = Running::start(config).await;
    let mut client = server.client().await;
    let salient = json!([{"occludePatches": {"salient": {"share": 0.5, "model": "dino"}}}]);
    let salient: Vec<scotoma::api::v1::Intervention> = serde_json::from_value(salient).unwrap();
    let salient = scotoma_client::Intervention::decode(salient[0].encode_to_vec().as_slice());
    let questions = [
        ask(vec![permute_tokens(1)]),
        ask(vec![salient.unwrap()]),
        GenerateRequest {
            model: "next".into(),
            ..ask(vec![scotoma_client::swap_projector_by_name("second")])
        },
    ];
    let mut before = Vec::new();
    for question in &questions {
        let answer = client.generate(question.clone()).await.unwrap();
        before.push(answer.finish().await.unwrap().provenance);
    }
    let mut running = client.generate(long()).await.unwrap();
    running.next().await.unwrap();
    lose.store(true, Ordering::SeqCst);
    let error = loop {
        match running.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the answer ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some(Code::Unavailable), "{error}");
    assert!(error.to_string().contains("restarted"), "{error}");
    assert!(error.retry_after().is_some(), "no delay: {error:?}");
    eventually("the models are back", async || {
        serving(&server, "model/next").await == 1 && serving(&server, "").await == 1
    })
    .await;
    for (question, before) in questions.into_iter().zip(before) {
        let mut found = None;
        eventually("an answer", async || {
            let Ok(answer) = client.generate(question.clone()).await else {
                return false;
            };
            found = answer.finish().await.ok();
            found.is_some()
        })
        .await;
        assert_eq!(found.unwrap().provenance, before, "the same record");
    }
    let page = scrape(&server.address).await;
    // Of the whole process; other tests may have lost a device, too.
    assert!(metric(&page, "scotoma_device_restarts_total") >= 1.0);
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_load_again_holds_no_bytes() {
    let mut config = ServerConfig::shapes();
    let folder = copy_model(SET);
    let source = Source::Folder(folder.path().to_owned());
    config.models.push(ModelSpec::new("vanished", source));
    let first = AtomicBool::new(true);
    config.step_check = StepCheck::new(move |_| {
        if first.swap(false, Ordering::SeqCst) {
            Err(LOST.into())
        } else {
            Ok(())
        }
    });
    let server = Running::start(config).await;
    let held = r#"scotoma_model_resident_bytes{model="vanished"} "#;
    assert!(metric(&scrape(&server.address).await, held) > 0.0);
    folder.close().unwrap();
    let mut client = server.client().await;
    // The device is lost at its first step.
    if let Ok(answer) = client.generate(ask(vec![])).await {
        answer.finish().await.unwrap_err();
    }
    eventually("a gauge of a model that is gone", async || {
        metric(&scrape(&server.address).await, held) == 0.0
    })
    .await;
    server.end().await;
}
