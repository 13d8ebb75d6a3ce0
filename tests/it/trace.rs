//! Trace: each cell has the bits of the request with the same patch, the rows are those of the
//! planner's arithmetic, and the values are those of PyTorch hooks.

use std::path::Path;

use crate::common::{FOLDER, Running, picture};
use scotoma::model::Source;
use scotoma::server::{ModelSpec, ServerConfig};
use scotoma_client::v1::{self, trace_response::Event};
use scotoma_client::{
    CaptureRequest, CaptureTarget, Client, Error, Intervention, ScoreRequest, VerifyRequest,
};
use serde_json::{Value, json};
use tonic::Code;

const RESID_PRE: &str = "language_model.blocks.{l}.hook_resid_pre";
const QUESTION: &str = "Is there a red circle?";
const ANSWERS: [&str; 2] = [" yes", " no"];

/// Everything that a trace has said.
struct Traced {
    started: v1::TraceStarted,
    baseline: v1::TraceBaseline,
    cells: Vec<v1::TraceCell>,
    finished: v1::TraceFinished,
}

impl Traced {
    /// Returns a cell by its places along points, layers, positions and heads.
    fn cell(&self, places: [usize; 4]) -> &v1::TraceCell {
        let at = |c: &v1::TraceCell| [c.point, c.layer, c.position, c.head].map(|n| n as usize);
        self.cells.iter().find(|cell| at(cell) == places).unwrap()
    }
}

async fn trace(client: &mut Client, request: v1::TraceRequest) -> Result<Traced, Error> {
    let mut stream = client.trace(request).await?;
    let (mut started, mut baseline, mut finished, mut cells) = (None, None, None, Vec::new());
    while let Some(response) = stream.message().await? {
        match response.event.unwrap() {
            Event::Started(event) => started = Some(event),
            Event::Baseline(event) => {
                assert!(started.is_some() && cells.is_empty());
                baseline = Some(event);
            }
            Event::Cell(cell) => {
                assert!(baseline.is_some() && finished.is_none());
                cells.push(cell);
            }
            Event::Finished(event) => finished = Some(event),
        }
    }
    let (started, finished) = (started.unwrap(), finished.unwrap());
    assert_eq!(
        (started.cells, finished.cells),
        (cells.len() as u32, cells.len() as u32)
    );
    Ok(Traced {
        started,
        baseline: baseline.unwrap(),
        cells,
        finished,
    })
}

/// Returns another picture of the benchmark.
fn other_picture() -> Vec<u8> {
    let items = scotoma::benchmark::shapes().unwrap();
    let first = picture();
    let pictures = items
        .into_iter()
        .flat_map(|mut item| item.images.drain(..).collect::<Vec<_>>());
    pictures.into_iter().find(|other| *other != first).unwrap()
}

fn input(image: Vec<u8>, text: &str, interventions: Value) -> v1::TraceInput {
    v1::TraceInput {
        prompt: Some(scotoma_client::prompt(text, [image])),
        interventions: serde_json::from_value(interventions).unwrap(),
    }
}

/// Returns a request over two pictures.
fn request(grid: Value) -> v1::TraceRequest {
    v1::TraceRequest {
        clean: Some(input(picture(), QUESTION, json!([]))),
        corrupted: Some(input(other_picture(), QUESTION, json!([]))),
        metric: Some(difference()),
        grid: Some(serde_json::from_value(grid).unwrap()),
        ..Default::default()
    }
}

fn difference() -> v1::Metric {
    let [answer, other] = ANSWERS.map(str::to_owned);
    v1::Metric {
        kind: Some(v1::metric::Kind::LogprobDifference(v1::Contrast {
            answer,
            other,
        })),
    }
}

/// Keeps the rows of some tokens at one hook point, and returns their handle.
async fn keep(client: &mut Client, from: &v1::TraceInput, target: Value) -> String {
    let mut target: v1::Target = serde_json::from_value(target).unwrap();
    target.steps = Some(v1::Steps {
        first: 0,
        last: Some(0),
    });
    let request = CaptureRequest {
        prompt: from.prompt.clone(),
        interventions: from.interventions.clone(),
        targets: vec![CaptureTarget {
            target: Some(target),
            keep: true,
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut stream = client.capture(request).await.unwrap();
    while stream.next().await.unwrap().is_some() {}
    stream.finish().await.unwrap().kept[0].handle.clone()
}

/// Returns the metric of a request by itself.
async fn alone(client: &mut Client, input: &v1::TraceInput, patches: &[Value]) -> f64 {
    let mut interventions = input.interventions.clone();
    let patches = patches.iter().map(|patch| json!({ "patch": patch }));
    let patches: Vec<Intervention> = serde_json::from_value(patches.collect()).unwrap();
    interventions.extend(patches);
    let request = ScoreRequest {
        prompt: input.prompt.clone(),
        interventions,
        continuations: ANSWERS.map(str::to_owned).into(),
        ..Default::default()
    };
    let scored = client.score(request).await.unwrap();
    scored.scores[0].logprob - scored.scores[1].logprob
}

fn selector(tokens: &[u32]) -> Value {
    json!({"anyOf": [{"indices": {"indices": tokens}}]})
}

/// The law of all cells: the bits of the Score request with the same Patch.
#[tokio::test(flavor = "multi_thread")]
async fn each_cell_is_the_score_with_its_patch() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let blur =
        json!([{"occludePatches": {"indices": {"indices": [7, 8, 9]}, "fill": "FILL_MEAN"}}]);
    let block = |site: &str| format!("language_model.blocks.{{l}}.{site}");
    let grids = [
        json!({"points": [RESID_PRE, block("hook_resid_post"), block("hook_attn_out"), block("mlp.hook_post")],
               "layers": [0, 5, 7], "positions": [{"each": selector(&[0, 20, 45])}, {"patches": {"by": "BY_ROW"}}]}),
        json!({"points": [block("attn.hook_z")], "layers": [1, 6], "eachHead": true,
               "positions": [{"group": {"tokens": {"anyOf": [{"named": "NAMED_VISUAL"}]}}}, {"each": {"anyOf": [{"named": "NAMED_LAST"}]}}]}),
        json!({"points": [block("attn.hook_k")], "layers": [2], "heads": [1],
               "positions": [{"patches": {"grid": 2}}]}),
        json!({"points": ["vision_tower.blocks.{l}.hook_resid_pre"], "layers": [0, 2],
               "positions": [{"each": selector(&[0, 9])}, {"patches": {"grid": 3}}]}),
        json!({"points": ["projector.hook_tokens"], "positions": [{"patches": {"by": "BY_COLUMN"}}]}),
    ];
    for (n, grid) in grids.iter().enumerate() {
        for direction in [v1::TraceDirection::Denoise, v1::TraceDirection::Noise] {
            let mut request = request(grid.clone());
            request.direction = direction.into();
            // An input that is corrupted by an intervention, and has one of its own on the way.
            if n == 0 {
                request.corrupted = Some(v1::TraceInput {
                    prompt: None,
                    interventions: serde_json::from_value(blur.clone()).unwrap(),
                });
            }
            let clean = request.clean.clone().unwrap();
            let mut corrupted = request.corrupted.clone().unwrap();
            corrupted.prompt = corrupted.prompt.or(clean.prompt.clone());
            let traced = trace(&mut client, request).await.unwrap();
            let (base, source) = match direction {
                v1::TraceDirection::Noise => (&clean, &corrupted),
                _ => (&corrupted, &clean),
            };
            let values = [
                alone(&mut client, &clean, &[]).await,
                alone(&mut client, &corrupted, &[]).await,
            ];
            assert_eq!([traced.baseline.clean, traced.baseline.corrupted], values);
            for (i, cell) in traced.cells.iter().enumerate() {
                // Each whole run costs a while.
                if i % 3 != n % 3 && traced.cells.len() > 30 {
                    continue;
                }
                let started = &traced.started;
                let position = &started.positions[cell.position as usize];
                let mut target = json!({
                    "point": started.points[cell.point as usize],
                    "tokens": selector(&position.tokens),
                });
                if let Some(&layer) = started.layers.get(cell.layer as usize) {
                    target["layers"] = json!([layer]);
                }
                let mut from = target.clone();
                from["tokens"] = selector(&position.source_tokens);
                let handle = keep(&mut client, source, from).await;
                match started.heads.get(cell.head as usize) {
                    Some(&head) => target["heads"] = json!([head]),
                    None => target["heads"] = grid["heads"].as_array().cloned().into(),
                }
                if target["heads"].is_null() {
                    target.as_object_mut().unwrap().remove("heads");
                }
                target["steps"] = json!({"last": 0});
                let expected = alone(
                    &mut client,
                    base,
                    &[json!({"target": target, "handle": handle})],
                )
                .await;
                let at = format!("{target} {} {direction:?}", position.label);
                assert_eq!(
                    cell.value.to_bits(),
                    expected.to_bits(),
                    "{at}: {} {expected}",
                    cell.value
                );
                let [clean, corrupted] = values;
                let effect = (cell.value - corrupted) / (clean - corrupted);
                assert_eq!(cell.effect, Some(effect), "{at}");
            }
        }
    }
    server.end().await;
}

/// Layers of the language model of `shapes`.
const LAYERS: u64 = 8;

/// Rows are counted before anything runs, exactly: the source and the patched run whole, and of each
/// cell the layers from its own on by the tokens from its own on.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_those_of_the_arithmetic() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let request = request(json!({"points": [RESID_PRE]}));
    let traced = trace(&mut client, request.clone()).await.unwrap();
    let prompt = traced.started.positions.len() as u64;
    let first_visual = traced
        .started
        .positions
        .iter()
        .position(|p| !p.patches.is_empty());
    let first_visual = first_visual.unwrap() as u64;
    // Tokens before the picture are the same in both runs.
    assert_eq!(
        u64::from(traced.started.cells_unchanged),
        first_visual * LAYERS
    );
    let triangle = |n: u64| n * (n + 1) / 2;
    let cells = triangle(LAYERS) * triangle(prompt - first_visual);
    let other = Running::start(ServerConfig::shapes()).await;
    let score = ScoreRequest {
        prompt: request.clean.unwrap().prompt,
        continuations: vec![ANSWERS[0].into()],
        ..Default::default()
    };
    let one = other
        .client()
        .await
        .score(score)
        .await
        .unwrap()
        .usage
        .unwrap();
    // A score reads the answer's token, too.
    let whole = one.rows_computed - LAYERS;
    // The unpatched run once for 256 cells; after the first time without the tower. Too few tokens
    // stand before the first patched one to be remembered.
    let live = traced.started.cells - traced.started.cells_unchanged;
    let again = u64::from(live.div_ceil(256)) - 1;
    assert_eq!(
        traced.started.rows,
        2 * whole + again * prompt * LAYERS + cells
    );
    assert_eq!(traced.finished.rows_computed, traced.started.rows);
    // Said as if each run were read in one piece; a step that is full cuts some.
    let (said, done) = (traced.started.flops, traced.finished.flops);
    assert!(done <= said && done > said / 10 * 9, "{done} of {said}");
    assert_eq!(
        traced.finished.rows_reused + traced.finished.rows_computed,
        traced.started.rows_naive
    );
    for cell in &traced.cells {
        let (layer, token) = (u64::from(cell.layer), u64::from(cell.position));
        let expected = if token < first_visual {
            0
        } else {
            (LAYERS - layer) * (prompt - token)
        };
        assert_eq!(cell.rows_computed, expected, "{layer} {token}");
        if token < first_visual {
            assert_eq!(cell.effect, Some(0.0));
        }
    }
    // What leaves a layer enters the next one: the same cells, computed once.
    let both = json!({"points": [RESID_PRE, "language_model.blocks.{l}.hook_resid_post"], "layers": [2, 3],
        "positions": [{"each": {"anyOf": [{"named": "NAMED_LAST"}]}}]});
    let traced = trace(&mut client, self::request(both)).await.unwrap();
    let rows = |point, layer| traced.cell([point, layer, 0, 0]).rows_computed;
    assert_eq!(
        [rows(0, 0), rows(0, 1), rows(1, 0), rows(1, 1)],
        [6, 5, 0, 4]
    );
    let value = |point, layer| traced.cell([point, layer, 0, 0]).value;
    assert_eq!(value(0, 1), value(1, 0));
    server.end().await;
    other.end().await;
}

/// All of the clean run restores the clean value, of any metric.
#[tokio::test(flavor = "multi_thread")]
async fn all_tokens_before_the_first_layer_are_the_other_run() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let metrics = [
        json!({"logprob": " yes"}),
        json!({"probability": " yes"}),
        json!({"logprobDifference": {"answer": " yes", "other": " a red circle"}}),
        json!({"divergence": {}}),
        json!({"divergence": {"answer": " a red circle"}}),
    ];
    for metric in metrics {
        for (direction, effect) in [(1, 1.0), (2, 0.0)] {
            let mut request = request(
                json!({"layers": [0, 3], "positions": [{"group": {}}, {"group": {
                "tokens": {"anyOf": [{"named": "NAMED_TEXT"}]}, "label": "words"}}]}),
            );
            request.metric = Some(serde_json::from_value(metric.clone()).unwrap());
            request.direction = direction;
            let traced = trace(&mut client, request).await.unwrap();
            let cell = traced.cell([0, 0, 0, 0]);
            assert!(
                (cell.effect.unwrap() - effect).abs() < 1e-9,
                "{metric} {direction} {cell:?}"
            );
            let words = traced.cell([0, 0, 1, 0]);
            assert!(
                (words.effect.unwrap() - (1.0 - effect)).abs() < 1e-9,
                "words are the same"
            );
            assert_eq!(traced.started.positions[1].label, "words");
            if metric.get("divergence").is_some() {
                assert_eq!(traced.baseline.clean, 0.0);
                assert!(traced.baseline.corrupted > 0.0);
            }
        }
    }
    server.end().await;
}

/// What is said of a trace can be run again elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_replays() {
    let server = Running::start(ServerConfig::shapes()).await;
    let other = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let grid = json!({"layers": [1, 4], "positions": [{"words": {}}, {"patches": {"grid": 3}}, {"each": {"anyOf": [{"random": {"ratio": 0.1}}]}}]});
    let mut request = request(grid);
    let noise = json!([{"addNoise": {"target": {"point": "projector.hook_out"}, "scale": 3.0}}]);
    request.corrupted.as_mut().unwrap().interventions = serde_json::from_value(noise).unwrap();
    request.sample_key = "a".into();
    let images = [&request.clean, &request.corrupted]
        .map(|side| side.clone().unwrap().prompt.unwrap().images);
    let traced = trace(&mut client, request).await.unwrap();
    let labels: Vec<&str> = traced
        .started
        .positions
        .iter()
        .map(|p| p.label.trim())
        .collect();
    assert!(
        labels.contains(&"red") && labels.contains(&"block (1, 2)"),
        "{labels:?}"
    );
    let record = traced.finished.provenance.unwrap();
    assert_eq!(record.image_digests.len(), 2);
    let verify = VerifyRequest {
        provenance: Some(record.clone()),
        images: images.concat(),
    };
    let verified = other.client().await.verify(verify.clone()).await.unwrap();
    assert!(verified.agrees, "{:?}", verified.differences);
    assert_eq!(verified.provenance, Some(record));
    let mut forged = verify;
    forged.provenance.as_mut().unwrap().output_digest = "0".repeat(64);
    let found = client.verify(forged).await.unwrap();
    assert!(found.differences.iter().any(|d| d.stage == "output"));
    server.end().await;
    other.end().await;
}

/// A path by hand: the sender's run with everything else held, then what came to the receiver.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_two_runs_by_hand() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    for (via, held) in [
        (1, ["hook_attn_out", "hook_mlp_out"].as_slice()),
        (2, &["hook_attn_out"]),
    ] {
        let mut request = request(
            json!({"points": ["language_model.blocks.{l}.hook_attn_out"], "layers": [2, 5],
            "positions": [{"group": {"tokens": {"anyOf": [{"named": "NAMED_VISUAL"}]}}}]}),
        );
        let receiver = json!({"point": "language_model.blocks.5.hook_resid_pre"});
        request.path = Some(v1::TracePath {
            receiver: serde_json::from_value(receiver.clone()).unwrap(),
            via,
        });
        let (clean, corrupted) = (
            request.clean.clone().unwrap(),
            request.corrupted.clone().unwrap(),
        );
        let traced = trace(&mut client, request).await.unwrap();
        // Behind the receiver nothing is sent.
        assert_eq!(traced.cell([0, 1, 0, 0]).value, traced.baseline.corrupted);
        // The second time the server remembers the picture.
        let (said, done) = (traced.started.rows, traced.finished.rows_computed);
        assert!(
            done == said || (via == 2 && done < said),
            "{done} of {said}"
        );
        let tokens = &traced.started.positions[0].tokens;
        let from = tokens[0];
        let after: Vec<u32> = (from..count(&mut client, QUESTION).await).collect();
        let mut patches = Vec::new();
        let sender =
            json!({"point": "language_model.blocks.2.hook_attn_out", "tokens": selector(tokens)});
        let handle = keep(&mut client, &clean, sender.clone()).await;
        patches.push(patch(sender, &handle));
        for layer in 2..5 {
            for site in held {
                // The sender's own layer adds its attention.
                if layer == 2 && *site == "hook_attn_out" {
                    continue;
                }
                let point = format!("language_model.blocks.{layer}.{site}");
                let target = json!({"point": point, "tokens": selector(&after)});
                let handle = keep(&mut client, &corrupted, target.clone()).await;
                patches.push(patch(target, &handle));
            }
        }
        let mut sending = corrupted.clone();
        let list = patches.iter().map(|patch| json!({ "patch": patch }));
        sending.interventions = serde_json::from_value(list.collect()).unwrap();
        let mut receiver = receiver;
        receiver["tokens"] = selector(&after);
        let handle = keep(&mut client, &sending, receiver.clone()).await;
        let expected = alone(&mut client, &corrupted, &[patch(receiver, &handle)]).await;
        let value = traced.cell([0, 0, 0, 0]).value;
        assert_eq!(
            value.to_bits(),
            expected.to_bits(),
            "{value} {expected} via {via}"
        );
        assert_ne!(value, traced.baseline.corrupted);
    }
    server.end().await;
}

fn patch(mut target: Value, handle: &str) -> Value {
    target["steps"] = json!({"last": 0});
    json!({"target": target, "handle": handle})
}

/// Returns how many tokens the prompt has.
async fn count(client: &mut Client, text: &str) -> u32 {
    let request = ScoreRequest {
        prompt: Some(scotoma_client::prompt(text, [picture()])),
        continuations: vec![" yes".into()],
        ..Default::default()
    };
    client
        .score(request)
        .await
        .unwrap()
        .usage
        .unwrap()
        .prompt_tokens
}

/// Bad grids are refused before anything runs, each with the field to blame.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_trace_names_its_field() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let with = |change: &dyn Fn(&mut v1::TraceRequest)| {
        let mut request = request(json!({"layers": [0]}));
        change(&mut request);
        request
    };
    let of_grid = |grid: Value| request(grid);
    let everything: Vec<Value> = (0..1024).map(|_| json!({"each": {}})).collect();
    let groups: Vec<Value> = (0..1024).map(|_| json!({"group": {}})).collect();
    let cases = [
        (with(&|r| r.metric = None), "metric.kind"),
        (
            with(&|r| {
                r.metric = Some(v1::Metric {
                    kind: Some(v1::metric::Kind::Logprob(String::new())),
                });
            }),
            "metric.logprob",
        ),
        (with(&|r| r.clean = None), "clean.prompt"),
        (with(&|r| r.corrupted = None), "corrupted"),
        (with(&|r| r.direction = 9), "direction"),
        (
            with(&|r| {
                r.corrupted = Some(input(
                    picture(),
                    "Is there a red circle here or not?",
                    json!([]),
                ));
            }),
            "grid.positions[0]",
        ),
        (
            with(&|r| {
                r.corrupted = Some(input(
                    picture(),
                    QUESTION,
                    json!([{"dropLayers": {"layers": [99]}}]),
                ));
            }),
            "corrupted.interventions[0].drop_layers.layers",
        ),
        (
            of_grid(json!({"points": ["language_model.blocks.{l}.hook_resid_pr"]})),
            "grid.points[0]",
        ),
        (
            of_grid(json!({"points": ["language_model.blocks.3.hook_resid_pre"]})),
            "grid.points[0]",
        ),
        (
            of_grid(json!({"points": ["language_model.blocks.{l}.attn.hook_pattern"]})),
            "grid.points[0]",
        ),
        (
            of_grid(json!({"points": [RESID_PRE, "vision_tower.blocks.{l}.hook_resid_pre"]})),
            "grid.points[1]",
        ),
        (of_grid(json!({"layers": [0, 8]})), "grid.layers[1]"),
        (of_grid(json!({"eachHead": true})), "grid.points[0]"),
        (
            of_grid(json!({"points": ["language_model.blocks.{l}.attn.hook_z"], "heads": [0, 4]})),
            "grid.heads[1]",
        ),
        (of_grid(json!({"positions": [{}]})), "grid.positions[0].set"),
        (
            of_grid(json!({"positions": [{"patches": {"grid": 7}}]})),
            "grid.positions[0].patches.grid",
        ),
        (
            of_grid(json!({"positions": [{"each": selector(&[9999])}]})),
            "grid.positions[0].each.any_of[0].indices.indices",
        ),
        (of_grid(json!({"positions": everything})), "grid"),
        (
            // A thousand positions, and a million tokens.
            with(&|r| {
                let long = || Some(input(picture(), &"red ".repeat(1100), json!([])));
                (r.clean, r.corrupted) = (long(), long());
                let groups = json!({"positions": groups});
                r.grid = Some(serde_json::from_value(groups).unwrap());
            }),
            "grid.positions",
        ),
        (
            with(&|r| r.path = Some(v1::TracePath::default())),
            "path.receiver",
        ),
        (
            with(&|r| {
                r.path = Some(v1::TracePath {
                    receiver: serde_json::from_value(json!({"point": "projector.hook_out"}))
                        .unwrap(),
                    via: 0,
                });
            }),
            "path.receiver.point",
        ),
    ];
    for (request, field) in cases {
        let error = match trace(&mut client, request).await {
            Err(error) => error,
            Ok(traced) => panic!("{field}: {:?}", traced.started),
        };
        let Error::Server { fields, .. } = &error else {
            panic!("{field}: {error}")
        };
        assert_eq!(
            error.code(),
            Some(Code::InvalidArgument),
            "{field}: {error}"
        );
        assert!(
            fields.iter().any(|v| v.field.starts_with(field)),
            "{field}: {error:?}"
        );
    }
    // More activations than a server keeps for one request.
    let mut small = ServerConfig::shapes();
    small.limits.capture_bytes = 1000;
    let small = Running::start(small).await;
    let error = trace(&mut small.client().await, request(json!({})))
        .await
        .err()
        .unwrap();
    assert_eq!(error.code(), Some(Code::ResourceExhausted), "{error}");
    server.end().await;
    small.end().await;
}

/// PyTorch's forward hooks over transformers, on every family.
#[tokio::test(flavor = "multi_thread")]
async fn grids_agree_with_hooks_of_transformers() {
    let golden = std::fs::read_to_string(Path::new(FOLDER).join("traces.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let golden = golden.as_object().unwrap();
    assert!(golden.len() >= 12, "every tiny family");
    let spec = |name: &String| {
        ModelSpec::new(
            name,
            Source::Folder(Path::new(FOLDER).join(name).join("model")),
        )
    };
    let mut config = ServerConfig::shapes();
    config.models = golden.keys().map(spec).collect();
    let server = Running::start(config).await;
    let mut client = server.client().await;
    let mut worst: f64 = 0.0;
    for (name, golden) in golden {
        for (direction, of) in [(1, "denoise"), (2, "noise")] {
            for site in [
                "resid_pre",
                "attn_out",
                "mlp_out",
                "z",
                "divergence",
                "path.residual",
                "path.mlps",
            ] {
                worst = worst.max(compare(&mut client, name, golden, (direction, of), site).await);
            }
        }
    }
    println!("worst difference {worst:.2e}");
    assert!(worst <= 1e-5, "{worst:.2e}");
    server.end().await;
}

/// Returns the largest difference of a grid from the golden one.
async fn compare(
    client: &mut Client,
    name: &str,
    golden: &Value,
    (direction, of): (i32, &str),
    site: &str,
) -> f64 {
    let file = |name: &str| std::fs::read(Path::new(FOLDER).join("pictures").join(name)).unwrap();
    let input = |question: &str, picture: &str| {
        let mut prompt = scotoma_client::prompt(
            &format!("USER: <image>\nIs there a red {question}? ASSISTANT:"),
            [file(picture)],
        );
        prompt.raw = true;
        Some(v1::TraceInput {
            prompt: Some(prompt),
            interventions: Vec::new(),
        })
    };
    let count = golden["tokens"].as_u64().unwrap() as u32;
    let last: Vec<u32> = (count - 6..count).collect();
    let point = |site: &str| json!([format!("language_model.blocks.{{l}}.{site}")]);
    let each = json!([{"each": selector(&last)}]);
    let grid = match site {
        "resid_pre" => json!({"points": point("hook_resid_pre")}),
        "divergence" => json!({"points": point("hook_resid_pre"), "positions": each}),
        "attn_out" => json!({"points": point("hook_attn_out"), "positions": each}),
        "mlp_out" => json!({"points": point("hook_mlp_out"), "positions": each}),
        "z" => {
            json!({"points": point("attn.hook_z"), "eachHead": true, "positions": [{"group": {"tokens": selector(&last)}}]})
        }
        _ => json!({"points": point("hook_attn_out"), "layers": [0], "positions": [{"group": {}}]}),
    };
    let mut request = v1::TraceRequest {
        model: name.into(),
        clean: input("circle", "wide.png"),
        corrupted: input("square", "wide-turned.png"),
        metric: Some(difference()),
        grid: Some(serde_json::from_value(grid).unwrap()),
        direction,
        ..Default::default()
    };
    if site == "divergence" {
        request.metric = Some(serde_json::from_value(json!({"divergence": {}})).unwrap());
    }
    if let Some(via) = site.strip_prefix("path.") {
        request.path = Some(v1::TracePath {
            receiver: serde_json::from_value(
                json!({"point": "language_model.blocks.2.hook_resid_pre"}),
            )
            .unwrap(),
            via: if via == "residual" { 1 } else { 2 },
        });
    }
    let traced = trace(client, request)
        .await
        .unwrap_or_else(|e| panic!("{name} {of} {site}: {e}"));
    let key = if site == "divergence" {
        "resid_pre.divergence"
    } else {
        site
    };
    let expected = &golden[format!("{of}.{key}")];
    let mut worst: f64 = 0.0;
    // In f32 the last digit of a difference is that of what it is a difference of.
    let size = |of: &str| golden[of].as_f64().unwrap().abs();
    let size = 1.0 + size("clean") + size("corrupted");
    let mut see = |found: f64, expected: &Value, at: &str| {
        let apart = (found - expected.as_f64().unwrap()).abs() / size;
        assert!(apart <= 1e-5, "{name} {of} {site} {at}: {found} {expected}");
        worst = worst.max(apart);
    };
    if site == "divergence" {
        see(
            traced.baseline.corrupted,
            &golden["divergence"],
            "corrupted",
        );
    } else {
        see(traced.baseline.clean, &golden["clean"], "clean");
        see(traced.baseline.corrupted, &golden["corrupted"], "corrupted");
    }
    for cell in &traced.cells {
        let expected = match site {
            "z" => &expected[cell.layer as usize][cell.head as usize],
            _ if site.starts_with("path.") => expected,
            _ => &expected[cell.layer as usize][cell.position as usize],
        };
        see(cell.value, expected, &format!("{cell:?}"));
    }
    worst
}

/// The commands of the page run as they stand there.
#[test]
fn the_commands_of_the_page_run() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = std::fs::read_to_string(docs.join("tracing.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("docs/pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    for name in ["red.png", "blue.png"] {
        std::fs::copy(docs.join("pictures").join(name), pictures.join(name)).unwrap();
    }
    let commands = page
        .lines()
        .filter_map(|line| line.strip_prefix("    scotoma "));
    let mut said = Vec::new();
    for command in commands {
        // Words in quotes are every second part.
        let parts = command.split('"').enumerate();
        let words = parts.flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_scotoma"))
            .args(words.collect::<Vec<_>>())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{command}: {errors}");
        said.push(String::from_utf8_lossy(&run.stdout).into_owned());
    }
    assert_eq!(said.len(), 4, "{page}");
    println!("{}", said.join("\n"));
    for (name, holds) in [
        ("trace.html", "data:image/png"),
        ("trace.csv", "patch (1, 4)"),
        ("heads.png", ""),
    ] {
        let file = std::fs::read(folder.path().join(name)).unwrap();
        assert!(String::from_utf8_lossy(&file).contains(holds), "{name}");
    }
    // The colour is where the circle is, and then at the end of the question.
    let csv = std::fs::read_to_string(folder.path().join("trace.csv")).unwrap();
    let effect = |layer: usize, patch: &str| -> f64 {
        let row = csv.lines().find(|line| {
            let begins = format!("\"{RESID_PRE}\",{layer},");
            line.starts_with(&begins) && line.contains(patch)
        });
        row.unwrap().rsplit(',').nth(1).unwrap().parse().unwrap()
    };
    let own = effect(0, "patch (1, 4)");
    assert!(own > 0.9, "{own}");
    assert!(effect(0, "patch (5, 0)").abs() < 0.1 && effect(7, "patch (1, 4)").abs() < 0.5);
    assert!(said[2].contains("total effect"), "{}", said[2]);
}
