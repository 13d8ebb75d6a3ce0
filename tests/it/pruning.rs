//! Selectors by what is measured, merging, and ways of pruning: laws over the wire. Their values
//! are those of tests/goldens, measured-* and merge-*.

use crate::common::Running;
use crate::interventions::{ask, captured, code, numbers, of};
use scotoma::benchmark::pruning::{Layers, POLICIES, pruning};
use scotoma::server::ServerConfig;
use scotoma_client::tokens::measured_by;
use scotoma_client::v1::measured_tokens::Amount;
use scotoma_client::v1::{CaptureRequest, MeasuredTokens, Reduction, tokens::Named};
use scotoma_client::{Client, Finished, GenerateRequest, at, scale};
use serde_json::{Value, json};
use tonic::Code;

const RESID: &str = "language_model.blocks.1.hook_resid_post";
const PATTERN: &str = "language_model.blocks.1.attn.hook_pattern";

async fn answered(client: &mut Client, interventions: &Value) -> Finished {
    let request = ask(interventions);
    let result = async { client.generate(request).await?.finish().await };
    result
        .await
        .unwrap_or_else(|e| panic!("{interventions}: {e}"))
}

/// Returns the tokens that an intervention chose.
async fn chosen(client: &mut Client, interventions: Value) -> Vec<u32> {
    let finished = answered(client, &interventions).await;
    finished.provenance.unwrap().plan[0].resolutions[0]
        .indices
        .clone()
}

fn scaled(measured: &Value) -> Value {
    let tokens = json!({"anyOf": [{"measured": measured}]});
    json!([{"scale": {"target": {"point": RESID, "tokens": tokens, "steps": {"last": 0}}, "factor": 0.5}}])
}

/// Returns the numbers of the largest `count` values, ascending.
fn largest(values: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_choose_by_what_captures_show() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let request = CaptureRequest {
        prompt: ask(&json!([])).prompt,
        targets: vec![
            of(RESID, Named::All, Reduction::Norm),
            of(RESID, Named::All, Reduction::None),
        ],
        ..Default::default()
    };
    let (found, _) = captured(&mut client, request).await;
    let (norms, rows) = (numbers(&found[0]), numbers(&found[1]));
    let by_norm = json!({"point": RESID, "count": 3});
    assert_eq!(
        chosen(&mut client, scaled(&by_norm)).await,
        largest(&norms, 3)
    );
    // What is most like a row is that row.
    let width = rows.len() / norms.len();
    let own = &rows[20 * width..21 * width];
    let like = json!({"point": RESID, "measure": "MEASURE_SIMILARITY", "vector": own, "count": 1});
    assert_eq!(chosen(&mut client, scaled(&like)).await, [20]);
    let all = json!({"point": RESID, "atLeast": 0.0, "among": "NAMED_VISUAL"});
    assert_eq!(chosen(&mut client, scaled(&all)).await.len(), 36);
    let peaks: Vec<f32> = rows
        .chunks(width)
        .map(|row| row.iter().fold(0.0, |m, v| v.abs().max(m)))
        .collect();
    let massive = json!({"point": RESID, "measure": "MEASURE_LARGEST_VALUE", "count": 2});
    assert_eq!(
        chosen(&mut client, scaled(&massive)).await,
        largest(&peaks, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_counts_tokens_before_any_selection() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let measured = json!({"point": RESID, "count": 5, "among": "NAMED_VISUAL"});
    let alone = chosen(&mut client, scaled(&measured)).await;
    let select = json!({"selectTokens": {"tokens": {"anyOf": [{"measured": measured}]}}});
    let kept = chosen(&mut client, json!([select])).await;
    // Positions of the prompt and numbers of the picture are as far apart as its first token says.
    let first = alone[0] - kept[0];
    assert_eq!(alone, kept.iter().map(|k| k + first).collect::<Vec<_>>());
    let both = json!([select, scaled(&measured)[0]]);
    let finished = answered(&mut client, &both).await;
    let plan = finished.provenance.unwrap().plan;
    assert_eq!(
        plan[1].resolutions[0].indices,
        (first..first + 5).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attention_sinks_are_those_that_receive_most() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let request = CaptureRequest {
        prompt: ask(&json!([])).prompt,
        targets: vec![of(PATTERN, Named::All, Reduction::None)],
        ..Default::default()
    };
    let (found, _) = captured(&mut client, request).await;
    let shape = &found[0].shape;
    let keys = shape[2] as usize;
    let mut received = vec![0.0; keys];
    for row in numbers(&found[0]).chunks(keys) {
        received
            .iter_mut()
            .zip(row)
            .for_each(|(sum, paid)| *sum += paid);
    }
    let sink = json!({"point": PATTERN, "measure": "MEASURE_ATTENTION_RECEIVED", "count": 2});
    let knocked =
        json!([{"knockOutAttention": {"to": {"anyOf": [{"measured": sink}]}, "layers": [2]}}]);
    let finished = answered(&mut client, &knocked).await;
    let plan = finished.provenance.unwrap().plan;
    assert_eq!(plan[0].resolutions[1].indices, largest(&received, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn merging_into_as_many_tokens_as_are_left_changes_nothing() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let few = json!({"anyOf": [{"indices": {"indices": [3, 4]}}]});
    for similarity in ["SIMILARITY_KEYS", "SIMILARITY_TOKENS"] {
        let merge = |count: u32| {
            let merge = json!({"count": count, "similarity": similarity});
            json!([{"selectTokens": {"tokens": few, "mode": "MODE_MERGE", "merge": merge}}])
        };
        let plain = answered(&mut client, &json!([])).await;
        let same = answered(&mut client, &merge(34)).await;
        let stages = |finished: &Finished| finished.provenance.as_ref().unwrap().stages.clone();
        assert_eq!(stages(&same), stages(&plain));
        assert!(same.provenance.unwrap().plan[0].changed_nothing);
        let usage = answered(&mut client, &merge(7)).await.usage.unwrap();
        assert_eq!(usage.image_tokens, 9);
        assert!(usage.standalone_flops < usage.baseline_flops);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_pruning_runs_and_keeping_all_changes_nothing() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let model = client.get_model("").await.unwrap();
    let layers = Layers {
        language_model: model.language_model.unwrap().layers_run as usize,
        vision_tower: model.vision_tower.unwrap().layers_run as usize,
    };
    let plain = answered(&mut client, &json!([])).await;
    for policy in POLICIES {
        let list = json!(pruning(&format!("{}:0.3", policy.name), layers).unwrap());
        let finished = answered(&mut client, &list).await;
        let usage = finished.usage.unwrap();
        assert!(
            usage.standalone_flops < usage.baseline_flops,
            "{}",
            policy.name
        );
        let all = json!(pruning(&format!("{}:1", policy.name), layers).unwrap());
        // A zip of all tokens merges ten of 64.
        if !policy.name.starts_with("visionzip") {
            assert_eq!(
                answered(&mut client, &all).await.text,
                plain.text,
                "{}",
                policy.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_or_merged_is_refused_by_its_field() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let at = "interventions[0].scale.target.tokens.any_of[0].measured";
    let cases = [
        (
            json!({"point": "language_model.blocks.{l}.hook_resid_post", "count": 1}),
            "point",
        ),
        (
            json!({"point": "language_model.blocks.1.hook_resid_past", "count": 1}),
            "point",
        ),
        (
            json!({"point": "language_model.blocks.99.hook_resid_post", "count": 1}),
            "point",
        ),
        (
            json!({"point": "language_model.hook_logits", "count": 1}),
            "point",
        ),
        (json!({"point": "projector.hook_in", "count": 1}), "point"),
        (json!({"point": RESID}), "amount"),
        (json!({"point": RESID, "share": 1.5}), "share"),
        (json!({"point": RESID, "atLeast": "NaN"}), "at_least"),
        (json!({"point": RESID, "timesMedian": -1.0}), "times_median"),
        (json!({"point": RESID, "count": 1, "head": 0}), "head"),
        (json!({"point": PATTERN, "count": 1}), "measure"),
        (
            json!({"point": RESID, "count": 1, "vector": [1.0]}),
            "vector",
        ),
        (
            json!({"point": RESID, "count": 1, "looking": "NAMED_LAST"}),
            "looking",
        ),
        (
            json!({"point": RESID, "count": 1, "measure": "MEASURE_SIMILARITY", "vector": [1.0]}),
            "vector",
        ),
        (
            json!({"point": RESID, "count": 1, "measure": "MEASURE_SIMILARITY", "vector": vec![0.0; 128]}),
            "vector",
        ),
        (
            json!({"point": PATTERN, "count": 1, "measure": "MEASURE_ATTENTION_RECEIVED", "head": 99}),
            "head",
        ),
        (
            json!({"point": PATTERN, "count": 1, "measure": "MEASURE_ATTENTION_RECEIVED", "looking": "NAMED_NEWLINE"}),
            "looking",
        ),
    ];
    for (measured, field) in cases {
        let request = ask(&scaled(&measured));
        let result = async { client.generate(request).await?.finish().await };
        let error = result.await.map(|f| f.text).unwrap_err();
        assert_eq!(code(&error), Code::InvalidArgument, "{measured}: {error}");
        let expected = format!("{at}.{field}");
        assert!(error.to_string().contains(&expected), "{measured}: {error}");
    }
    let tower = json!([{"ablate": {"target": {
        "point": "vision_tower.blocks.0.hook_resid_post", "tokens": {"anyOf": [{"measured": {"point": RESID, "count": 1}}]},
    }}}]);
    let lists = [
        (tower, "any_of[0].measured.point"),
        (
            json!([{"selectTokens": {"mode": "MODE_MERGE"}}]),
            "select_tokens.merge",
        ),
        (
            json!([{"selectTokens": {"mode": "MODE_MERGE", "merge": {}}}]),
            "merge.amount",
        ),
        (
            json!([{"selectTokens": {"merge": {"count": 1}}}]),
            "select_tokens.merge",
        ),
        (
            json!([{"selectTokens": {"mode": "MODE_MERGE", "merge": {"share": 2.0}}}]),
            "merge.share",
        ),
    ];
    for (list, field) in lists {
        let result = async { client.generate(ask(&list)).await?.finish().await };
        let error = result.await.map(|f| f.text).unwrap_err();
        assert_eq!(code(&error), Code::InvalidArgument, "{list}: {error}");
        assert!(error.to_string().contains(field), "{list}: {error}");
    }
}

/// JSON has names alone; a client of the wire may send any number.
#[tokio::test(flavor = "multi_thread")]
async fn a_measure_that_there_is_none_of_is_refused() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let tokens = measured_by(MeasuredTokens {
        point: RESID.into(),
        measure: 9,
        amount: Some(Amount::Count(1)),
        ..Default::default()
    });
    let request = GenerateRequest {
        interventions: vec![scale(at(RESID).tokens(tokens), 0.5)],
        ..ask(&json!([]))
    };
    let result = async { client.generate(request).await?.finish().await };
    let error = result.await.map(|f| f.text).unwrap_err();
    assert_eq!(code(&error), Code::InvalidArgument, "{error}");
    let field = "interventions[0].scale.target.tokens.any_of[0].measured.measure";
    assert!(error.to_string().contains(field), "{error}");
}
