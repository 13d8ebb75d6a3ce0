//! A model whose layers are spread over several devices, over the wire: it is said where it is, and
//! what comes out has the bits of one device.

use std::collections::BTreeSet;

use crate::common::{Running, picture};
use crate::interventions::{ask, capture, captured, image, of, recorded};
use crate::sweeps::{grid, sweep};
use scotoma::nn::{DeviceGroup, DeviceId};
use scotoma::server::{Server, ServerConfig};
use scotoma_client::v1::{self, Reduction, tokens::Named};
use scotoma_client::{
    CaptureRequest, Client, ScoreRequest, SweepRequest, VerifyRequest, prompt, v1::sweep_request,
};
use serde_json::{Value, json};
use tonic::Code;

fn on(devices: usize) -> ServerConfig {
    ServerConfig {
        devices: vec![DeviceGroup::new(
            DeviceId::Cpu,
            vec![DeviceId::Cpu; devices - 1],
        )],
        ..ServerConfig::shapes()
    }
}

/// A record without what names the devices.
fn bits(record: Option<v1::Provenance>) -> v1::Provenance {
    v1::Provenance {
        device: String::new(),
        digest: String::new(),
        ..record.unwrap()
    }
}

/// Gives every random choice of interventions a seed.
fn seeded(list: &mut Value) {
    match list {
        Value::Array(all) => all.iter_mut().for_each(seeded),
        Value::Object(fields) => {
            let draws = ["permuteTokens", "addNoise", "shufflePatches", "random"];
            for (name, value) in fields.iter_mut() {
                if draws.contains(&name.as_str()) {
                    value["seed"] = json!("7");
                }
                // Other fills draw nothing, and refuse a seed.
                if name == "occludePatches" && value["fill"] == "FILL_NOISE" {
                    value["fillSeed"] = json!("7");
                }
                seeded(value);
            }
        }
        _ => {}
    }
}

/// Answers under many interventions, all asked at once.
async fn answers(client: &Client) -> Vec<v1::Provenance> {
    let mut lists = recorded();
    // Paths that go back to an earlier device, and leave out those in between.
    lists.extend([
        json!([{"repeatLayers": {"first": 2, "last": 5, "times": 2}}]),
        json!([{"dropLayers": {"layers": [3, 4, 5, 6, 7]}}]),
        json!([{"steer": {"target": {"point": "language_model.blocks.6.hook_resid_post"}, "vector": vec![0.5; 128], "scale": 2.0}}]),
        json!([{"scale": {"target": {"point": "language_model.hook_logits"}, "factor": 1.5}}]),
        json!([{"pruneTokens": {"layer": 5, "keepCount": 3, "receivedFrom": {"anyOf": [{"named": "NAMED_LAST"}]}}}]),
    ]);
    // Both servers must draw the same.
    lists.iter_mut().for_each(seeded);
    let asked = lists.iter().enumerate().map(|(i, list)| {
        let mut client = client.clone();
        let mut request = ask(list);
        request.sample_key = format!("item {i}");
        request.top_logprobs = 5;
        async move {
            let stream = client.generate(request).await.unwrap();
            bits(stream.finish().await.unwrap().provenance)
        }
    });
    futures::future::join_all(asked).await
}

async fn activations(client: &mut Client) -> Vec<v1::Activation> {
    let mut targets = vec![
        of("language_model.hook_embed", Named::Visual, Reduction::Mean),
        of("projector.hook_tokens", Named::Visual, Reduction::Norm),
        of(
            "language_model.ln_final.hook_normalized",
            Named::Last,
            Reduction::None,
        ),
        of("language_model.hook_logits", Named::Last, Reduction::None),
    ];
    for layer in 0..8 {
        let point = |site: &str| format!("language_model.blocks.{layer}.{site}");
        targets.push(of(
            &point("hook_resid_post"),
            Named::Visual,
            Reduction::None,
        ));
        targets.push(of(
            &point("attn.hook_pattern"),
            Named::Last,
            Reduction::None,
        ));
        targets.push(of(&point("attn.hook_rot_k"), Named::Last, Reduction::None));
    }
    let request = CaptureRequest {
        max_tokens: 3,
        ..capture(targets)
    };
    captured(client, request).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_have_the_bits_of_one() {
    let (one, two) = (Running::start(on(1)).await, Running::start(on(2)).await);
    let (mut one, mut two) = (one.client().await, two.client().await);
    let models = two.list_models().await.unwrap();
    assert_eq!(models[0].device, "cpu+cpu");
    assert_eq!(models[0].digest, one.list_models().await.unwrap()[0].digest);

    assert_eq!(answers(&two).await, answers(&one).await);
    assert_eq!(activations(&mut two).await, activations(&mut one).await);

    let score = ScoreRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        continuations: vec!["yes".into(), "no".into(), "a red circle".into()],
        ..Default::default()
    };
    let (found, expected) = (
        two.score(score.clone()).await.unwrap(),
        one.score(score).await.unwrap(),
    );
    assert_eq!(found.scores, expected.scores);
    assert_eq!(bits(found.provenance), bits(expected.provenance));

    let request = || SweepRequest {
        input: Some(sweep_request::Input::Generate(ask(&json!([])))),
        grid: Some(grid(8, 3)),
        ..Default::default()
    };
    let (found, done) = sweep(&mut two, request()).await.unwrap();
    let (expected, same) = sweep(&mut one, request()).await.unwrap();
    assert_eq!((found.len(), done.failed), (24, 0));
    assert_eq!(done.rows_computed, same.rows_computed);
    let records = |results: Vec<v1::SweepResult>| -> BTreeSet<String> {
        let record = |result: v1::SweepResult| match result.outcome {
            Some(v1::sweep_result::Outcome::Generated(g)) => format!("{:?}", bits(g.provenance)),
            other => panic!("{other:?}"),
        };
        results.into_iter().map(record).collect()
    };
    assert_eq!(records(found), records(expected));
}

async fn recorded_by(client: &mut Client) -> v1::Provenance {
    let stream = client.generate(ask(&json!([]))).await.unwrap();
    stream.finish().await.unwrap().provenance.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_its_devices() {
    let (one, two) = (Running::start(on(1)).await, Running::start(on(3)).await);
    let (mut one, mut two) = (one.client().await, two.client().await);
    let made = recorded_by(&mut one).await;
    let verify = |record| VerifyRequest {
        provenance: Some(record),
        images: vec![image()],
    };
    let found = two.verify(verify(made)).await.unwrap();
    let stages: Vec<&str> = found.differences.iter().map(|d| d.stage.as_str()).collect();
    assert_eq!(stages, ["device"], "and nothing that speaks of bits");
    let own = recorded_by(&mut two).await;
    assert_eq!(own.device, "cpu+cpu+cpu");
    assert!(two.verify(verify(own)).await.unwrap().agrees);
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_cannot_be_are_refused() {
    let load = |config| tokio::task::spawn_blocking(move || Server::load(&config).map(drop));
    let error = load(on(9)).await.unwrap().unwrap_err();
    let text = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
    assert!(text.contains("9 devices for 8 layers"), "{error}: {text}");

    let server = Running::start(ServerConfig {
        devices: vec![
            DeviceId::Cpu.into(),
            DeviceGroup::new(DeviceId::Cpu, vec![DeviceId::Cpu; 8]),
            DeviceGroup::new(DeviceId::Cpu, [DeviceId::Cpu]),
        ],
        allow_load: true,
        ..ServerConfig::shapes()
    })
    .await;
    let mut client = server.client().await;
    let request = |name: &str, device: &str| v1::LoadModelRequest {
        name: name.into(),
        place: "shapes".into(),
        device: device.into(),
        ..Default::default()
    };
    let nine = ["cpu"; 9].join("+");
    for (device, says) in [
        (nine.as_str(), "device: 9 devices for 8 layers"),
        ("cpu+cuda:0", "the server has cpu, cpu+cpu+"),
    ] {
        let mut stream = client.load_model(request("x", device)).await.unwrap();
        let error = stream.message().await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        assert!(error.message().contains(says), "{error:?}");
    }
    // Beside the same model on one device, of which it shares nothing.
    let mut stream = client.load_model(request("two", "cpu+cpu")).await.unwrap();
    while stream.message().await.unwrap().is_some() {}
    let models = client.list_models().await.unwrap();
    assert_eq!(
        (models[0].device.as_str(), models[1].device.as_str()),
        ("cpu", "cpu+cpu")
    );
    assert_eq!(models[0].resident_bytes, models[1].resident_bytes);
}
