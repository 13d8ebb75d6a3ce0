//! Interventions over the wire: captures, records that replay, random lists; and what they share
//! with other languages.

use std::path::Path;

use crate::common::{Running, picture};
use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use prost::Message;
use scotoma::api::v1 as server;
use scotoma::intervention::Draws;
use scotoma::model::{SaliencyModel, Source};
use scotoma::server::{ModelSpec, ServerConfig};
use scotoma::vision;
use scotoma_client::v1::{self, DataType, Reduction, tokens::Named};
use scotoma_client::{
    CaptureRequest, CaptureTarget, Client, Error, GenerateRequest, Intervention, ScoreRequest,
    VerifyRequest, prompt, target,
};
use serde_json::{Value, json};
use tonic::Code;

/// The client's interventions from canonical JSON, read by the server's own messages.
fn list(json: &Value) -> Vec<Intervention> {
    let list: Vec<server::Intervention> = serde_json::from_value(json.clone()).unwrap();
    list.iter()
        .map(|i| Intervention::decode(i.encode_to_vec().as_slice()).unwrap())
        .collect()
}

pub(crate) fn ask(interventions: &Value) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        interventions: list(interventions),
        max_tokens: 6,
        ..Default::default()
    }
}

pub(crate) fn image() -> v1::Image {
    v1::Image {
        source: Some(v1::image::Source::Data(picture())),
    }
}

pub(crate) fn capture(targets: Vec<CaptureTarget>) -> CaptureRequest {
    let prompt = Some(prompt("Is there a red circle?", [picture()]));
    CaptureRequest {
        prompt,
        targets,
        ..Default::default()
    }
}

pub(crate) fn of(point: &str, tokens: Named, reduction: Reduction) -> CaptureTarget {
    let target = v1::Target {
        tokens: Some([tokens].into()),
        ..target(point)
    };
    CaptureTarget {
        target: Some(target),
        reduction: reduction.into(),
        ..Default::default()
    }
}

pub(crate) async fn captured(
    client: &mut Client,
    request: CaptureRequest,
) -> (Vec<v1::Activation>, v1::CaptureFinished) {
    let mut stream = client.capture(request).await.unwrap();
    let mut found = Vec::new();
    while let Some(activation) = stream.next().await.unwrap() {
        found.push(activation);
    }
    (found, stream.finish().await.unwrap())
}

pub(crate) fn numbers(activation: &v1::Activation) -> Vec<f32> {
    activation
        .data
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

pub(crate) fn code(error: &Error) -> Code {
    error.code().unwrap_or(Code::Unknown)
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_are_what_the_model_computes() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let resid = "language_model.blocks.{l}.hook_resid_post";
    let mut lens = of(resid, Named::Last, Reduction::TopTokens);
    lens.top = 3;
    let targets = vec![
        of(resid, Named::Visual, Reduction::None),
        of(resid, Named::Visual, Reduction::Mean),
        of(resid, Named::Visual, Reduction::Norm),
        of(resid, Named::All, Reduction::Last),
        lens,
        of(
            "language_model.blocks.2.attn.hook_pattern",
            Named::Last,
            Reduction::Received,
        ),
        of(
            "vision_tower.blocks.0.hook_resid_post",
            Named::Class,
            Reduction::None,
        ),
        of("projector.hook_out", Named::Visual, Reduction::Mean),
    ];
    let (found, finished) = captured(&mut client, capture(targets.clone())).await;
    let layers = client
        .get_model("")
        .await
        .unwrap()
        .language_model
        .unwrap()
        .layers as usize;
    assert_eq!(found.len(), 5 * layers + 3);
    let by = |target: u32| found.iter().filter(move |a| a.target == target);
    for (((rows, mean), norm), last) in by(0).zip(by(1)).zip(by(2)).zip(by(3)) {
        let (count, width) = (rows.shape[0] as usize, rows.shape[1] as usize);
        let values = numbers(rows);
        assert_eq!((count, rows.tokens.len(), last.tokens.len()), (36, 36, 1));
        for (d, m) in numbers(mean).into_iter().enumerate() {
            let expected = (0..count).map(|r| values[r * width + d]).sum::<f32>() / count as f32;
            assert!((m - expected).abs() < 1e-4);
        }
        for (r, n) in numbers(norm).into_iter().enumerate() {
            let expected = values[r * width..(r + 1) * width]
                .iter()
                .map(|v| v * v)
                .sum::<f32>()
                .sqrt();
            assert!((n - expected).abs() < 1e-3);
        }
    }
    // The lens on the last layer is the model itself.
    let greedy = client
        .generate(ask(&json!([])))
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    let top = &by(4).next_back().unwrap().top[0].tokens;
    assert_eq!((top.len(), top[0].id), (3, greedy.id));
    assert!((top[0].logprob - greedy.logprob).abs() < 1e-5);
    assert_eq!(by(5).next().unwrap().shape, [36]);
    assert_eq!(by(6).next().unwrap().tokens, [0]);
    assert!(!finished.provenance.unwrap().digest.is_empty());

    // Steps beyond the prompt, and a dtype half as wide.
    let mut request = capture(vec![of(resid, Named::Last, Reduction::None)]);
    (request.max_tokens, request.dtype) = (3, DataType::Bf16.into());
    let (found, finished) = captured(&mut client, request).await;
    let steps: std::collections::BTreeSet<u32> = found.iter().map(|a| a.step).collect();
    assert!(steps.len() > 1 && !finished.text.is_empty(), "{steps:?}");
    assert!(
        found
            .iter()
            .all(|a| a.data.len() as u32 == 2 * a.shape.iter().product::<u32>())
    );

    // Budgets and mistakes are said before anything runs.
    let mut small = capture(targets);
    small.max_bytes = 1000;
    assert_eq!(
        code(&client.capture(small).await.unwrap_err()),
        Code::ResourceExhausted
    );
    let wrong = capture(vec![of(
        "language_model.blocks.1.hook_resid_pst",
        Named::All,
        Reduction::None,
    )]);
    let error = client.capture(wrong).await.unwrap_err();
    assert_eq!(code(&error), Code::InvalidArgument);
    assert!(
        error.to_string().contains("hook_resid_post"),
        "names the nearest: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_activations_can_be_patched_in() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let point = "language_model.blocks.3.hook_resid_pre";
    let mut kept = of(point, Named::All, Reduction::None);
    kept.keep = true;
    kept.target.as_mut().unwrap().steps = Some(v1::Steps {
        first: 0,
        last: Some(0),
    });
    let (_, finished) = captured(&mut client, capture(vec![kept])).await;
    let handle = &finished.kept[0].handle;
    let patch = |handle: &str| json!([{"dropLayers": {"layers": [0]}}, {"patch": {"target": {"point": point, "steps": {"last": 0}}, "handle": handle}}]);
    let score = async |client: &mut Client, interventions: Value| {
        let prompt = Some(prompt("Is there a red circle?", [picture()]));
        let request = ScoreRequest {
            prompt,
            continuations: vec![" yes".into()],
            interventions: list(&interventions),
            ..Default::default()
        };
        client.score(request).await.map(|r| r.scores[0].logprob)
    };
    // The clean residual stream over the damaged one: as if nothing had been dropped.
    let clean = score(&mut client, json!([])).await.unwrap();
    let mended = score(&mut client, patch(handle)).await.unwrap();
    let damaged = score(&mut client, json!([{"dropLayers": {"layers": [0]}}]))
        .await
        .unwrap();
    assert!(
        (mended - clean).abs() < 1e-5 && (damaged - clean).abs() > 1e-3,
        "{clean} {mended} {damaged}"
    );
    assert_eq!(
        code(&score(&mut client, patch("none")).await.unwrap_err()),
        Code::NotFound
    );
}

pub(crate) fn recorded() -> Vec<Value> {
    let resid = "language_model.blocks.{l}.hook_resid_pre";
    let visual = json!({"anyOf": [{"named": "NAMED_VISUAL"}]});
    vec![
        json!([]),
        json!([{"permuteTokens": {}}]),
        json!([{"occludePatches": {"random": {"ratio": 0.5}, "fill": "FILL_NOISE"}}]),
        json!([{"addNoise": {"target": {"point": resid, "tokens": visual}, "scale": 0.2}}]),
        json!([{"selectTokens": {"tokens": {"anyOf": [{"random": {"ratio": 0.5}}]}}}, {"dropLayers": {"layers": [2]}}]),
        json!([{"pruneTokens": {"layer": 1, "keepShare": 0.5}}]),
        json!([{"knockOutAttention": {"layers": [4], "to": visual}}, {"shufflePatches": {"grid": 3}}]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_records_replay_in_another_server() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let mut records = Vec::new();
    for (i, interventions) in recorded().iter().cycle().take(50).enumerate() {
        let mut request = ask(interventions);
        request.sample_key = format!("item {i}");
        request.sampling = Some(v1::Sampling {
            temperature: f64::from(i as u32 % 2),
            ..Default::default()
        });
        records.push(
            client
                .generate(request)
                .await
                .unwrap()
                .finish()
                .await
                .unwrap()
                .provenance
                .unwrap(),
        );
    }
    drop(client);
    drop(server);
    let second = Running::start(ServerConfig::shapes()).await;
    let mut client = second.client().await;
    for record in &records {
        let request = VerifyRequest {
            provenance: Some(record.clone()),
            images: vec![image()],
        };
        let response = client.verify(request).await.unwrap();
        assert!(response.agrees, "{:?}", response.differences);
        assert_eq!(response.provenance.as_ref(), Some(record));
    }
    // What differs is said, first things first.
    let differs = async |client: &mut Client, change: &dyn Fn(&mut v1::Provenance)| {
        let mut record = records[3].clone();
        change(&mut record);
        let request = VerifyRequest {
            provenance: Some(record),
            images: vec![image()],
        };
        let response = client.verify(request).await.unwrap();
        assert!(!response.agrees);
        response
            .differences
            .into_iter()
            .map(|d| d.stage)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        differs(&mut client, &|r| r.stages[3].digest = "0".into()).await,
        ["record", "logits"]
    );
    assert_eq!(
        differs(&mut client, &|r| r.model_digest = "0".into()).await,
        ["record", "model_digest"]
    );
    assert_eq!(
        differs(&mut client, &|r| r.output_digest = "0".into()).await,
        ["record", "output"]
    );
    let without = VerifyRequest {
        provenance: Some(records[0].clone()),
        images: Vec::new(),
    };
    assert_eq!(
        code(&client.verify(without).await.unwrap_err()),
        Code::NotFound
    );
}

/// Fields that an earlier server recorded and did not read are refused in requests; its records are
/// the same runs still.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_field_that_nobody_read_agrees() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let list = json!([
        {"occludePatches": {"salient": {"share": 0.5, "weights": {"weights": [1.0, 2.0, 3.0, 4.0]}}}},
        {"permuteTokens": {"seed": "1"}},
        {"scale": {"target": {
            "point": "language_model.blocks.1.hook_resid_pre",
            "tokens": {"anyOf": [{"named": "NAMED_VISUAL"}]},
        }, "factor": 0.5}},
    ]);
    let finished = client.generate(ask(&list)).await.unwrap();
    let record = finished.finish().await.unwrap().provenance.unwrap();
    let mut old = serde_json::to_value(&record).unwrap();
    let mut request: Value = serde_json::from_str(old["request"].as_str().unwrap()).unwrap();
    for (at, kind, field, value) in [
        (0, "occludePatches", "blurSigma", json!(2.0)),
        (0, "occludePatches", "fillSeed", json!("7")),
        (0, "salient", "head", json!(1)),
        (1, "permuteTokens", "blocks", json!(3)),
    ] {
        let lists = [
            &mut old["plan"][at]["intervention"],
            &mut request["Generate"]["interventions"][at],
        ];
        for own in lists {
            let own = match kind {
                "salient" => &mut own["occludePatches"]["salient"],
                kind => &mut own[kind],
            };
            own[field] = value.clone();
        }
    }
    old["request"] = request.to_string().into();
    old.as_object_mut().unwrap().remove("digest");
    old["digest"] = blake3::hash(old.to_string().as_bytes())
        .to_hex()
        .as_str()
        .into();
    let old: v1::Provenance = serde_json::from_value(old).unwrap();
    let asked = VerifyRequest {
        provenance: Some(old),
        images: vec![image()],
    };
    let verified = client.verify(asked).await.unwrap();
    assert!(verified.agrees, "{:?}", verified.differences);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_fires_or_cannot_be_is_refused() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let resid = "language_model.blocks.{l}.hook_resid_pre";
    let tokens = |set: Value| {
        let target = json!({"point": resid, "tokens": {"anyOf": [set]}});
        json!([{"scale": {"target": target}}])
    };
    let cases = [
        (
            json!([{"scale": {"target": {"point": resid, "steps": {"first": 5}}}}]),
            Code::FailedPrecondition,
            "interventions[0].scale",
        ),
        (
            json!([{"scale": {"target": {"point": resid, "tokens": {"anyOf": [{"named": "NAMED_NEWLINE"}]}}}}]),
            Code::FailedPrecondition,
            "interventions[0].scale",
        ),
        (
            json!([{"dropLayers": {"layers": [1]}}, {"scale": {"target": {"point": resid, "layers": [1]}}}]),
            Code::InvalidArgument,
            "interventions[1].scale.target.layers",
        ),
        (
            json!([{"scale": {"target": {"point": "language_model.blocks.99.hook_resid_pre"}}}]),
            Code::InvalidArgument,
            "interventions[0].scale.target.point",
        ),
        (
            json!([{"steer": {"target": {"point": resid}, "vector": [1.0], "scale": 1.0}}]),
            Code::InvalidArgument,
            "interventions[0].steer.vector",
        ),
        (
            json!([{"swapProjector": {"randomSeed": "1"}}, {"swapProjector": {"randomSeed": "2"}}]),
            Code::InvalidArgument,
            "interventions[1].swap_projector",
        ),
        (
            json!([{"occludePatches": {"salient": {"share": 0.5, "model": "dino"}}}]),
            Code::NotFound,
            "interventions",
        ),
        (
            json!([{"repeatLayers": {"first": 3, "last": 1}}]),
            Code::InvalidArgument,
            "interventions[0].repeat_layers.last",
        ),
        (
            json!([{"pruneTokens": {"layer": 0, "keepCount": 37}}]),
            Code::InvalidArgument,
            "interventions[0].prune_tokens.keep_count",
        ),
        (
            json!([
                {"pruneTokens": {"layer": 0, "keepShare": 0.0}},
                {"pruneTokens": {"layer": 2, "keepShare": 0.5}},
            ]),
            Code::FailedPrecondition,
            "interventions[1].prune_tokens: never fired: no visual token is left after the one that \
             prunes at layer 0",
        ),
        (
            json!([
                {"pruneTokens": {"layer": 0, "keepShare": 0.0}},
                {"scale": {"target": {"point": resid, "layers": [3], "tokens": {"anyOf": [{"named": "NAMED_VISUAL"}]}}}},
            ]),
            Code::FailedPrecondition,
            "interventions[1].scale: never fired: all tokens that it acts on are pruned before its layer",
        ),
        (
            json!([{"selectTokens": {
                "tokens": {"anyOf": [{"named": "NAMED_NEWLINE"}]},
                "mode": "MODE_MERGE",
                "merge": {"share": 0.001},
            }}]),
            Code::FailedPrecondition,
            "interventions[0].select_tokens: never fired: no token is chosen, and `merge.share` 0.001 \
             of 36 tokens is none",
        ),
        (
            tokens(json!({"blocks": {"grid": 2, "indices": [0, 1, 2, 3, 0]}})),
            Code::InvalidArgument,
            "interventions[0].scale.target.tokens.any_of[0].blocks.indices: 5 given; at most 4, \
             the blocks of the grid, are taken",
        ),
        (
            json!([{"occludePatches": {"indices": {"indices": [0, 1, 2, 3, 3]}, "grid": 2}}]),
            Code::InvalidArgument,
            "interventions[0].occlude_patches.indices.indices: 5 given; at most 4, the cells of \
             the grid, are taken",
        ),
        (
            json!([{"scale": {"target": {"point": resid, "layers": vec![1; 65]}}}]),
            Code::InvalidArgument,
            "interventions[0].scale.target.layers: 65 given; at most 64 are taken",
        ),
        (
            json!([{"dropLayers": {"layers": vec![1; 65]}}]),
            Code::InvalidArgument,
            "interventions[0].drop_layers.layers: 65 given; at most 64 are taken",
        ),
        (
            json!([{"scale": {"target": {"point": resid, "dimensions": vec![1; 129]}}}]),
            Code::InvalidArgument,
            "interventions[0].scale.target.dimensions: 129 given; at most 128, the dimensions of \
             language_model.blocks.{l}.hook_resid_pre, are taken",
        ),
        (
            json!([{"scale": {"target": {
                "point": resid, "tokens": {"anyOf": vec![json!({"named": "NAMED_TEXT"}); 4097]},
            }}}]),
            Code::InvalidArgument,
            "interventions[0].scale.target.tokens.any_of: 4097 sets; at most 4096 are taken",
        ),
        (
            tokens(json!({"tile": 0})),
            Code::InvalidArgument,
            "interventions[0].scale.target.tokens.any_of[0].tile: 0, but no picture of the request \
             is cut into tiles",
        ),
        (
            json!([{"patch": {"target": {"point": resid}, "values": {"shape": [2, 3], "data": "AAAA"}}}]),
            Code::InvalidArgument,
            "interventions[0].patch.values.data",
        ),
    ];
    for (interventions, expected, field) in cases {
        let mut request = ask(&interventions);
        request.max_tokens = 2;
        let result = async { client.generate(request).await?.finish().await };
        let error = result.await.map(|f| f.text).unwrap_err();
        assert_eq!(code(&error), expected, "{interventions}: {error}");
        assert!(
            error.to_string().contains(field),
            "{interventions}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_selectors_measure_are_bounded_as_captures_are() {
    let mut config = ServerConfig::shapes();
    // Enough for the rows of one point, 128 numbers for each of some 50 tokens.
    config.limits.capture_bytes = 40_000;
    let server = Running::start(config).await;
    let mut client = server.client().await;
    let scale = |layer: u32| {
        let point = format!("language_model.blocks.{layer}.hook_resid_pre");
        let tokens = json!({"anyOf": [{"measured": {"point": point, "share": 0.5}}]});
        json!({"scale": {"target": {"point": "language_model.hook_embed", "tokens": tokens}}})
    };
    let mut asked = ask(&json!([scale(1), scale(2)]));
    asked.max_tokens = 2;
    let answered = async { client.generate(asked.clone()).await?.finish().await };
    let error = answered.await.map(drop).unwrap_err();
    assert_eq!(code(&error), Code::ResourceExhausted, "{error}");
    let said = "bytes would be captured; at most 40000 may be";
    assert!(error.to_string().contains(said), "{error}");
    // One after the other, on one input.
    asked.interventions = Vec::new();
    let variants = [1, 2, 1].map(|layer| v1::SweepVariant {
        interventions: serde_json::from_value(json!([scale(layer)])).unwrap(),
    });
    let mut results = client
        .sweep(v1::SweepRequest {
            input: Some(v1::sweep_request::Input::Generate(asked)),
            variants: variants.into(),
            ..Default::default()
        })
        .await
        .unwrap();
    let mut answered = 0;
    while let Some(response) = results.message().await.unwrap() {
        if let Some(v1::sweep_response::Event::Result(result)) = response.event {
            let outcome = result.outcome.unwrap();
            let is_answer = matches!(outcome, v1::sweep_result::Outcome::Generated(_));
            assert!(is_answer, "{outcome:?}");
            answered += 1;
        }
    }
    assert_eq!(answered, 3);
    server.end().await;
}

fn clamp(point: &str, max_norm: f64) -> Value {
    json!({"clampNorm": {"target": {"point": point}, "maxNorm": max_norm}})
}

#[tokio::test(flavor = "multi_thread")]
async fn clamped_rows_are_as_long_as_the_limit_at_most() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let point = "language_model.blocks.1.hook_resid_pre";
    let mut rows_under = async |interventions: Value| {
        let mut request = capture(vec![
            of(point, Named::All, Reduction::None),
            of(point, Named::All, Reduction::Norm),
            of("language_model.hook_logits", Named::All, Reduction::None),
        ]);
        request.interventions = list(&interventions);
        let (found, _) = captured(&mut client, request).await;
        let of_target = |target| found.iter().find(|a| a.target == target).map(numbers);
        [0, 1, 2].map(|target| of_target(target).unwrap())
    };
    let [rows, norms, logits] = rows_under(json!([])).await;
    let mut sorted = norms.clone();
    sorted.sort_by(f32::total_cmp);
    let limit = sorted[sorted.len() / 2];
    let clamped = clamp(point, limit.into());
    let [new, new_norms, _] = rows_under(json!([clamped])).await;
    let width = rows.len() / norms.len();
    let mut above = 0;
    for (i, norm) in norms.iter().enumerate() {
        let (old, new) = (&rows[i * width..][..width], &new[i * width..][..width]);
        if *norm > limit * 1.0001 {
            above += 1;
            assert!(
                (new_norms[i] / limit - 1.0).abs() < 1e-5,
                "{}",
                new_norms[i]
            );
            let factor = new[0] / old[0];
            assert!(
                old.iter()
                    .zip(new)
                    .all(|(o, n)| (o * factor - n).abs() < 1e-4)
            );
        } else if *norm < limit * 0.9999 {
            assert_eq!(old, new, "a row within the limit keeps its bits");
        }
    }
    assert!(above > 3 && above < norms.len(), "{above}");

    // A limit that no row exceeds changes no bit; clamping twice is clamping once, to rounding.
    for max_norm in [1e6, 1e30] {
        let [same, _, same_logits] = rows_under(json!([clamp(point, max_norm)])).await;
        assert!(same == rows && same_logits == logits, "{max_norm}");
    }
    let [twice, ..] = rows_under(json!([clamped, clamped])).await;
    let apart = new.iter().zip(&twice).map(|(a, b)| (a - b).abs() / limit);
    assert!(apart.fold(0.0, f32::max) < 1e-6);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_norm_are_swept() {
    let server = Running::start(ServerConfig::shapes()).await;
    let point = "language_model.blocks.1.hook_resid_pre";
    let clamped = clamp(point, 5.0);
    // A sweep over the limit: each variant is a request of its own.
    let limits = v1::SweepRange {
        first: 1.0,
        last: 9.0,
        step: 4.0,
    };
    let mut base = ask(&json!([]));
    base.max_tokens = 2;
    let request = scotoma_client::SweepRequest {
        input: Some(v1::sweep_request::Input::Generate(base.clone())),
        grid: Some(v1::SweepGrid {
            interventions: list(&json!([clamped])),
            axes: vec![v1::SweepAxis {
                field: "interventions[0].clamp_norm.max_norm".into(),
                values: Some(v1::sweep_axis::Values::Range(limits)),
            }],
        }),
        ..Default::default()
    };
    let mut client = server.client().await;
    let mut stream = client.sweep(request).await.unwrap();
    let mut variants = 0;
    while let Some(message) = stream.message().await.unwrap() {
        if let Some(v1::sweep_response::Event::Result(result)) = message.event {
            let Some(v1::sweep_result::Outcome::Generated(swept)) = result.outcome else {
                panic!("no answer: {result:?}");
            };
            let max_norm = 1.0 + 4.0 * f64::from(result.variant);
            base.interventions = list(&json!([clamp(point, max_norm)]));
            let alone = client.generate(base.clone()).await.unwrap();
            let alone = alone.finish().await.unwrap();
            assert_eq!(swept.provenance, alone.provenance, "{max_norm}");
            variants += 1;
        }
    }
    assert_eq!(variants, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn clamps_that_cannot_be_are_refused() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let point = "language_model.blocks.1.hook_resid_pre";
    // Rows of newlines, of which this model has none; no limit; rows that are no vectors.
    let newline = json!({"point": point, "tokens": {"anyOf": [{"named": "NAMED_NEWLINE"}]}});
    let pattern = "language_model.blocks.1.attn.hook_pattern";
    for (wrong, expected, field) in [
        (
            json!({"target": newline, "maxNorm": 1.0}),
            Code::FailedPrecondition,
            "interventions[0].clamp_norm: never fired",
        ),
        (
            json!({"target": {"point": point}}),
            Code::InvalidArgument,
            "clamp_norm.max_norm: 0 is not above 0 and finite",
        ),
        (
            json!({"target": {"point": point}, "maxNorm": "NaN"}),
            Code::InvalidArgument,
            "clamp_norm.max_norm",
        ),
        (
            json!({"target": {"point": point}, "maxNorm": "Infinity"}),
            Code::InvalidArgument,
            "clamp_norm.max_norm",
        ),
        (
            json!({"target": {"point": pattern}, "maxNorm": 1.0}),
            Code::InvalidArgument,
            "clamp_norm.target.point",
        ),
        (
            json!({"target": {"point": point, "dimensions": [0]}, "maxNorm": 1.0}),
            Code::InvalidArgument,
            "clamp_norm.target.dimensions",
        ),
    ] {
        let request = ask(&json!([{"clampNorm": wrong}]));
        let result = async { client.generate(request).await?.finish().await };
        let error = result.await.map(|f| f.text).unwrap_err();
        assert_eq!(code(&error), expected, "{error}");
        assert!(error.to_string().contains(field), "{error}");
    }
}

/// One field of one intervention, valid or not.
fn any_intervention() -> impl Strategy<Value = Value> {
    let number = prop_oneof![Just(0u32), 1..9u32, Just(1000), Just(u32::MAX)];
    let real = prop_oneof![Just(0.0), Just(1.0), 0.0..2.0, Just(-1.0), Just(1e300)];
    let point = prop_oneof![
        Just("language_model.blocks.{l}.hook_resid_pre"),
        Just("language_model.blocks.2.attn.hook_pattern"),
        Just("language_model.blocks.{l}.attn.hook_attn_scores"),
        Just("vision_tower.blocks.{l}.attn.hook_z"),
        Just("projector.hook_tokens"),
        Just("language_model.hook_logits"),
        Just("language_model.ln_final.hook_normalized"),
        Just("nowhere"),
    ];
    let set = prop_oneof![
        Just(json!({"named": "NAMED_VISUAL"})),
        Just(json!({"named": "NAMED_LAST"})),
        Just(json!({"named": "NAMED_QUESTION"})),
        Just(json!({"named": "NAMED_CLASS"})),
        number
            .clone()
            .prop_map(|n| json!({"indices": {"indices": [n, 1]}})),
        number
            .clone()
            .prop_map(|n| json!({"blocks": {"grid": n, "indices": [0, n]}})),
        real.clone().prop_map(|r| json!({"random": {"ratio": r}})),
        real.clone().prop_map(|r| json!({"salient": {"mass": r}})),
        (real.clone(), point.clone()).prop_map(|(r, point)| {
            json!({"measured": {"point": point.replace("{l}", "1"), "share": r}})
        }),
    ];
    let tokens = (prop::collection::vec(set, 0..3), any::<bool>())
        .prop_map(|(s, c)| json!({"anyOf": s, "complement": c}));
    let kind = any::<prop::sample::Index>();
    (kind, number.clone(), number, real, point, tokens).prop_map(|(kind, a, b, r, point, tokens)| {
        let target = json!({"point": point, "tokens": tokens});
        // One of these is drawn, however many there are.
        let kinds = [
            json!({"permuteTokens": {"seed": a.to_string(), "scope": "SCOPE_WITHIN_BLOCKS", "blocks": b}}),
            json!({"occludePatches": {"random": {"ratio": r}, "grid": a, "fill": "FILL_BLUR", "blurSigma": r}}),
            json!({"dropLayers": {"layers": [a, b]}}),
            json!({"swapProjector": {"randomSeed": a.to_string()}}),
            json!({"blankImage": {"rgb": {"red": a}}}),
            json!({"shufflePatches": {"grid": a}}),
            json!({"selectTokens": {"tokens": tokens, "mode": "MODE_POOL"}}),
            json!({"selectTokens": {"tokens": tokens, "positions": "POSITIONS_COMPACT"}}),
            json!({"selectTokens": {"tokens": tokens, "mode": "MODE_MERGE", "merge": {"count": a}}}),
            json!({"replaceTokens": {"tokens": tokens, "noise": {}}}),
            json!({"repeatLayers": {"first": a, "last": b, "times": a}}),
            json!({"exitEarly": {"layer": a}}),
            json!({"addNoise": {"target": target, "scale": r, "geometry": "GEOMETRY_KESKAR"}}),
            json!({"steer": {"target": target, "vector": vec![0.5; 128], "scale": r}}),
            json!({"projectOut": {"target": target, "directions": [{"values": vec![r; 128]}]}}),
            json!({"scale": {"target": target, "factor": r}}),
            json!({"ablate": {"target": target, "value": "CONSTANT_MEAN"}}),
            json!({"knockOutAttention": {"from": tokens, "layers": [a]}}),
            json!({"clampNorm": {"target": target, "maxNorm": r}}),
            json!({"setFeature": {"target": target, "features": [a, b], "clamp": r}}),
            json!({"pruneTokens": {"layer": a, "keepShare": r, "receivedFrom": tokens}}),
        ];
        kind.get(&kinds).clone()
    })
}

#[test]
fn random_lists_are_answered_or_refused_by_field() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, client) = runtime.block_on(async {
        let server = Running::start(ServerConfig::shapes()).await;
        let client = server.client().await;
        (server, client)
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 400,
        ..ProptestConfig::default()
    });
    let result = runner.run(
        &prop::collection::vec(any_intervention(), 1..5),
        |interventions| {
            let mut client = client.clone();
            let mut request = ask(&json!(interventions));
            request.max_tokens = 2;
            let outcome =
                runtime.block_on(async { client.generate(request).await?.finish().await });
            if let Err(error) = outcome {
                let expected = [Code::InvalidArgument, Code::FailedPrecondition];
                prop_assert!(
                    expected.contains(&code(&error)),
                    "{interventions:?}: {error}"
                );
                let text = error.to_string();
                prop_assert!(
                    text.contains("interventions[") || text.contains("prompt"),
                    "{interventions:?}: {error}"
                );
            }
            Ok(())
        },
    );
    result.unwrap();
    // And it still answers.
    let healthy = runtime.block_on(async {
        client
            .clone()
            .generate(ask(&json!([])))
            .await?
            .finish()
            .await
    });
    assert!(!healthy.unwrap().text.is_empty());
    drop(server);
}

#[test]
fn random_choices_are_those_of_the_vectors() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/random.json");
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let number = |name: &str| row[name].as_u64().unwrap() as usize;
        let (seed, key) = (
            row["seed"].as_str().unwrap().parse().unwrap(),
            row["sample_key"].as_str().unwrap(),
        );
        let draws = || {
            Draws::at_point(
                seed,
                key,
                number("index"),
                number("image"),
                row["point"].as_str().unwrap(),
            )
        };
        assert_eq!(json!(draws().permutation(12)), row["permutation_of_12"]);
        assert_eq!(json!(draws().permutation(36)), row["permutation_of_36"]);
        assert_eq!(json!(draws().subset(30, 4)), row["subset_4_of_30"]);
        assert_eq!(json!(draws().below(1000)), row["below_1000"]);
        assert!((draws().unit() - row["unit"].as_f64().unwrap()).abs() < 1e-15);
        let close = |found: Vec<f64>, name: &str| {
            let expected = row[name].as_array().unwrap();
            assert_eq!(found.len(), expected.len());
            // Logarithms and cosines differ in their last bit between libraries.
            found.iter().zip(expected).for_each(|(a, b)| {
                assert!((a - b.as_f64().unwrap()).abs() < 1e-6, "{name}: {a} {b}");
            });
        };
        let mut normal = draws();
        close((0..3).map(|_| normal.gaussian()).collect(), "gaussians");
        let floats = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        close(
            floats(draws().noise(2, 5, false)),
            "uniform_noise_row_2_of_5",
        );
        close(
            floats(draws().noise(3, 4, true)),
            "gaussian_noise_row_3_of_4",
        );
    }
}

#[test]
fn a_saliency_model_looks_where_its_reference_looks() {
    let folder = Path::new(crate::common::FOLDER).join("tiny-dino");
    let model = SaliencyModel::load("dino", &Source::Folder(folder.clone())).unwrap();
    let golden =
        candle_core::safetensors::load(folder.join("golden/attention.safetensors"), &Device::Cpu)
            .unwrap();
    let expected: Vec<Vec<f32>> = golden["attention"]
        .to_dtype(DType::F32)
        .unwrap()
        .to_vec2()
        .unwrap();
    let bytes =
        std::fs::read(Path::new(crate::common::FOLDER).join("pictures/square.png")).unwrap();
    let view = vision::decode(&bytes, 1 << 20).unwrap();
    let view = model.pixels(&view).unwrap();
    for (head, expected) in expected.iter().enumerate() {
        let found = model.attention(&view, Some(head)).unwrap();
        let error = found
            .iter()
            .zip(expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(found.len() == 16 && error < 1e-5, "head {head}: {error}");
    }
    let mean = Tensor::new(expected, &Device::Cpu)
        .unwrap()
        .mean(0)
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    let found = model.attention(&view, None).unwrap();
    assert!(found.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_dino_says_what_is_hidden() {
    let folder = Path::new(crate::common::FOLDER).join("tiny-dino");
    let spec = ModelSpec::new("shapes", scotoma::model::shapes());
    let saliency = vec![("dino".to_owned(), Source::Folder(folder))];
    let server = Running::start(ServerConfig {
        models: vec![spec],
        saliency,
        ..ServerConfig::shapes()
    })
    .await;
    let mut client = server.client().await;
    assert_eq!(
        client.get_model("").await.unwrap().saliency_models,
        ["dino"]
    );
    let cells = async |client: &mut Client, arm: &str, head: u32| {
        let interventions =
            json!([{"occludePatches": {arm: {"share": 0.5, "model": "dino", "head": head}}}]);
        let finished = client
            .generate(ask(&interventions))
            .await
            .unwrap()
            .finish()
            .await
            .unwrap();
        finished.provenance.unwrap().plan[0].resolutions[0].clone()
    };
    let (salient, rest) = (
        cells(&mut client, "salient", 1).await,
        cells(&mut client, "nonSalient", 1).await,
    );
    let mut both = [salient.indices.clone(), rest.indices].concat();
    both.sort_unstable();
    assert_eq!(
        (both, salient.digest.len()),
        ((0..36).collect::<Vec<u32>>(), 64)
    );
    assert_ne!(
        salient.indices,
        cells(&mut client, "salient", 2).await.indices,
        "heads look elsewhere"
    );
}
