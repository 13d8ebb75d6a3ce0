//! Over the wire: a real server, the real client, and what happens to bad input, leavers and
//! deadlines.

use crate::common::{Running, ask, eventually, http, long, picture, scrape, serving};
use scotoma::server::ServerConfig;
use scotoma_client::v1;
use scotoma_client::{
    Client, Connect, Error, GenerateRequest, Intervention, ScoreRequest, drop_layers,
    drop_tower_layers, occlude_at_random, occlude_salient, permute_tokens, prompt, scale,
    swap_projector_at_random, swap_projector_by_identity, swap_projector_by_name, target,
};
use tokio::net::TcpListener;
use tonic::Code;

async fn generate(client: &mut Client, request: GenerateRequest) -> Result<v1::Finished, Error> {
    client.generate(request).await?.finish().await
}

/// A smaller context and a smaller queue than the default, to run into.
fn config() -> ServerConfig {
    let mut config = ServerConfig::shapes();
    config.limits.images = 3;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_carries_what_replays_it() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let list = || {
        vec![
            occlude_at_random(0.5, 7),
            swap_projector_at_random(7),
            permute_tokens(7),
            drop_layers([2, 3]),
        ]
    };
    let first = generate(&mut client, ask(list())).await.unwrap();
    let second = generate(&mut client, ask(list())).await.unwrap();
    let record = first.provenance.clone().unwrap();
    assert_eq!(
        Some(record.clone()),
        second.provenance,
        "the same request, the same record"
    );
    assert_eq!(first.text, second.text);
    assert_eq!(record.plan.len(), 4);
    assert_eq!(record.plan[0].resolutions[0].indices.len(), 18);
    let mut order = record.plan[2].resolutions[0].indices.clone();
    assert!(!order.is_sorted());
    order.sort_unstable();
    assert_eq!(order, (0..36).collect::<Vec<u32>>());
    assert_eq!(record.plan[3].resolutions[0].indices, [2, 3]);
    assert_eq!(
        [
            record.digest.len(),
            record.model_digest.len(),
            record.output_digest.len()
        ],
        [64; 3]
    );
    assert!(record.prompt_text.contains("<image>"));
    let visual: Vec<_> = record
        .layout
        .iter()
        .filter(|s| s.kind() == v1::SpanKind::BaseView)
        .collect();
    assert_eq!(
        (
            visual.len(),
            visual[0].end - visual[0].start,
            visual[0].grid_rows
        ),
        (1, 36, 6)
    );
    assert_eq!(
        record.layout.last().unwrap().end,
        first.usage.unwrap().prompt_tokens
    );

    // An open seed is drawn and returned; given back, it makes the same choice.
    let open = v1::PermuteTokens::default();
    let open = Intervention {
        kind: Some(v1::intervention::Kind::PermuteTokens(open)),
    };
    let drawn = generate(&mut client, ask(vec![open]))
        .await
        .unwrap()
        .provenance
        .unwrap();
    let given = drawn.plan[0].intervention.clone().unwrap();
    let again = generate(&mut client, ask(vec![given]))
        .await
        .unwrap()
        .provenance
        .unwrap();
    assert_eq!(drawn.plan, again.plan);
    assert_eq!(drawn.output_digest, again.output_digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_add_up_to_the_text() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let mut request = ask(vec![]);
    request.top_logprobs = 5;
    let mut answer = client.generate(request.clone()).await.unwrap();
    let mut text = String::new();
    let mut tokens = 0;
    while let Some(token) = answer.next().await.unwrap() {
        text.push_str(&token.text);
        tokens += 1;
        assert_eq!(token.top.len(), 5);
        assert_eq!(
            (token.top[0].id, token.top[0].logprob.to_bits()),
            (token.id, token.logprob.to_bits()),
            "greedy"
        );
        assert!(token.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
    }
    let finished = answer.finish().await.unwrap();
    assert_eq!(finished.text, text);
    assert_eq!(finished.usage.unwrap().generation_tokens, tokens);

    // A stop string ends the answer before itself.
    let stop = text.trim().chars().next().unwrap().to_string();
    request.stop = vec![stop.clone()];
    let stopped = generate(&mut client, request).await.unwrap();
    assert_eq!(stopped.reason(), v1::FinishReason::Stop);
    assert!(!stopped.text.contains(&stop));
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_the_likelihoods_of_the_generated_tokens() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let generated = client
        .generate(ask(vec![permute_tokens(1)]))
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    let request = ScoreRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        continuations: vec![" 7 left".into(), generated.text.clone(), " blue".into()],
        interventions: vec![permute_tokens(1)],
        ..Default::default()
    };
    let response = client.score(request.clone()).await.unwrap();
    assert_eq!(response.scores.len(), 3);
    assert_eq!(response.scores[1].tokens[0].id, generated.id);
    assert!((response.scores[1].logprob - generated.logprob).abs() < 1e-5);
    assert_eq!(response.best, 1, "the greedy token is the likeliest");
    for score in &response.scores {
        let sum: f64 = score.tokens.iter().map(|t| t.logprob).sum();
        assert!((score.logprob - sum).abs() < 1e-12 && sum < 0.0);
        assert!((score.mean_logprob - sum / score.tokens.len() as f64).abs() < 1e-12);
    }
    // A continuation's score does not depend on what else is scored.
    let alone = client
        .score(ScoreRequest {
            continuations: vec![" 7 left".into()],
            ..request
        })
        .await
        .unwrap();
    assert_eq!(alone.scores[0], response.scores[0]);
    let record = response.provenance.unwrap();
    assert_eq!((record.sampling, record.digest.len()), (None, 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_is_hidden() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let image = v1::Image {
        source: Some(v1::image::Source::Data(picture())),
    };
    let preview = async |client: &mut Client, interventions| {
        let request = v1::PreviewRequest {
            image: Some(image.clone()),
            interventions,
            ..Default::default()
        };
        let response = client.preview(request).await.unwrap();
        (
            scotoma::vision::decode(&response.png, 1 << 20).unwrap(),
            response,
        )
    };
    let (clean, _) = preview(&mut client, vec![]).await;
    let (hidden, response) = preview(&mut client, vec![occlude_salient(0.3)]).await;
    assert_eq!((clean.width, clean.height, response.grid_rows), (84, 84, 6));
    let cells = &response.plan[0].resolutions[0].indices;
    assert!(!cells.is_empty() && cells.len() < 36);
    for (i, (before, after)) in clean.data.chunks(3).zip(hidden.data.chunks(3)).enumerate() {
        let cell = (i / 84 / 14 * 6 + i % 84 / 14) as u32;
        if cells.contains(&cell) {
            assert_eq!(after, [0; 3]);
        } else {
            assert_eq!(after, before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_and_their_hook_points_are_listed() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let models = client.list_models().await.unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0], client.get_model("shapes").await.unwrap());
    assert_eq!(
        (models[0].vision_feature_layer, models[0].patch_grid),
        (-2, 6)
    );
    let points = client.list_hook_points("").await.unwrap();
    assert_eq!(
        points.len(),
        scotoma::nn::HOOK_TABLE.len() - 3,
        "all but those of Pixtral's tower"
    );
    assert_eq!(
        points
            .iter()
            .find(|p| p.name == "language_model.blocks.{l}.hook_resid_pre")
            .unwrap()
            .layers,
        8
    );
    assert_eq!(
        client.get_model("nobody").await.unwrap_err().code(),
        Some(Code::NotFound)
    );
}

/// A bad request and the expected error: its code, its field, and a word of what would be valid.
struct Bad {
    name: &'static str,
    request: GenerateRequest,
    code: Code,
    field: &'static str,
    says: &'static str,
}

fn bad(
    name: &'static str,
    code: Code,
    field: &'static str,
    says: &'static str,
    request: GenerateRequest,
) -> Bad {
    Bad {
        name,
        request,
        code,
        field,
        says,
    }
}

fn with(interventions: Vec<Intervention>) -> GenerateRequest {
    ask(interventions)
}

fn with_image(data: Vec<u8>) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(prompt("Is there a red circle?", [data])),
        ..Default::default()
    }
}

fn with_text(text: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(prompt(text, [picture()])),
        ..Default::default()
    }
}

/// The header of a PNG that claims `side` x `side` pixels.
fn huge_png(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(side.to_be_bytes());
    chunk.extend(side.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = chunk.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            if c & 1 == 1 {
                0xEDB8_8320 ^ (c >> 1)
            } else {
                c >> 1
            }
        })
    });
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(chunk);
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png
}

fn intervention(kind: v1::intervention::Kind) -> Vec<Intervention> {
    vec![Intervention { kind: Some(kind) }]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_requests() -> Vec<Bad> {
    use Code::{FailedPrecondition, InvalidArgument, NotFound};
    use v1::intervention::Kind;
    let order = |indices: Vec<u32>| {
        let source = Some(v1::permute_tokens::Source::Order(v1::TokenOrder {
            indices,
        }));
        with(intervention(Kind::PermuteTokens(v1::PermuteTokens {
            source,
            ..Default::default()
        })))
    };
    let mut truncated = picture();
    truncated.truncate(truncated.len() / 2);
    let scope = v1::PermuteTokens {
        scope: 77,
        ..Default::default()
    };
    let blocks = v1::PermuteTokens {
        scope: 4,
        blocks: 9,
        ..Default::default()
    };
    let grid = v1::OccludePatches {
        choice: Some(v1::occlude_patches::Choice::Indices(
            v1::PatchIndices::default(),
        )),
        grid: 85,
        ..Default::default()
    };
    let nan = v1::Sampling {
        temperature: f64::NAN,
        ..Default::default()
    };
    let top_p = v1::Sampling {
        top_p: Some(1.5),
        ..Default::default()
    };
    let no_image = GenerateRequest {
        prompt: Some(prompt("Is there a red circle?", [])),
        interventions: vec![permute_tokens(1)],
        ..Default::default()
    };
    let handle = v1::Image {
        source: Some(v1::image::Source::Handle("00".into())),
    };
    let handle = v1::Prompt {
        text: "What?".into(),
        images: vec![handle],
        ..Default::default()
    };
    let swaps = vec![swap_projector_at_random(1), swap_projector_at_random(2)];
    vec![
        bad(
            "truncated PNG",
            InvalidArgument,
            "prompt.images[0].data",
            "decoded",
            with_image(truncated),
        ),
        bad(
            "huge PNG",
            InvalidArgument,
            "prompt.images[0].data",
            "50000 x 50000",
            with_image(huge_png(50_000)),
        ),
        bad(
            "text as image",
            InvalidArgument,
            "prompt.images[0].data",
            "JPEG, PNG, WebP",
            with_image(b"hello".to_vec()),
        ),
        bad(
            "empty image",
            InvalidArgument,
            "prompt.images[0].data",
            "JPEG, PNG, WebP",
            with_image(vec![]),
        ),
        bad(
            "too many images",
            InvalidArgument,
            "prompt.images",
            "at most 3",
            GenerateRequest {
                prompt: Some(prompt("What?", vec![picture(); 4])),
                ..Default::default()
            },
        ),
        bad(
            "handle",
            NotFound,
            "prompt.images[0].handle",
            "send its bytes",
            GenerateRequest {
                prompt: Some(handle),
                ..Default::default()
            },
        ),
        bad(
            "layer 99",
            InvalidArgument,
            "interventions[0].drop_layers.layers[1]",
            "0 to 7",
            with(vec![drop_layers([1, 99])]),
        ),
        bad(
            "tower layer",
            InvalidArgument,
            "interventions[0].drop_layers.layers[0]",
            "0 to 2",
            with(vec![drop_tower_layers([3])]),
        ),
        bad(
            "ratio 1.5",
            InvalidArgument,
            "interventions[1].occlude_patches.random.ratio",
            "0 to 1",
            with(vec![permute_tokens(1), occlude_at_random(1.5, 1)]),
        ),
        bad(
            "ratio NaN",
            InvalidArgument,
            "interventions[0].occlude_patches.random.ratio",
            "0 to 1",
            with(vec![occlude_at_random(f64::NAN, 1)]),
        ),
        bad(
            "mass NaN",
            InvalidArgument,
            "interventions[0].occlude_patches.salient.mass",
            "0 to 1",
            with(vec![occlude_salient(f64::NAN)]),
        ),
        bad(
            "grid",
            InvalidArgument,
            "interventions[0].occlude_patches.grid",
            "84 pixels",
            with(intervention(Kind::OccludePatches(grid))),
        ),
        bad(
            "short order",
            InvalidArgument,
            "interventions[0].permute_tokens.order.indices",
            "36 visual tokens",
            order(vec![0, 1]),
        ),
        bad(
            "order with twins",
            InvalidArgument,
            "interventions[0].permute_tokens.order.indices",
            "twice",
            order(vec![0; 36]),
        ),
        bad(
            "order too high",
            InvalidArgument,
            "interventions[0].permute_tokens.order.indices",
            "below 36",
            order((1..37).collect()),
        ),
        bad(
            "scope number",
            InvalidArgument,
            "interventions[0].permute_tokens.scope",
            "SCOPE_WITHIN_TILES",
            with(intervention(Kind::PermuteTokens(scope))),
        ),
        bad(
            "blocks",
            InvalidArgument,
            "interventions[0].permute_tokens.blocks",
            "1 to 6",
            with(intervention(Kind::PermuteTokens(blocks))),
        ),
        bad(
            "no kind",
            InvalidArgument,
            "interventions[0].kind",
            "drop_layers",
            with(vec![Intervention { kind: None }]),
        ),
        bad(
            "many",
            InvalidArgument,
            "interventions",
            "at most 64",
            with(vec![permute_tokens(1); 65]),
        ),
        bad(
            "projector",
            NotFound,
            "interventions[0].swap_projector.name",
            "resident: default",
            with(vec![swap_projector_by_name("nobody")]),
        ),
        bad(
            "two swaps",
            InvalidArgument,
            "interventions[1].swap_projector",
            "once",
            with(swaps),
        ),
        bad(
            "never fires",
            FailedPrecondition,
            "interventions[0].permute_tokens",
            "no picture",
            no_image,
        ),
        bad(
            "temperature",
            InvalidArgument,
            "sampling.temperature",
            "0 to 100",
            GenerateRequest {
                sampling: Some(nan),
                ..ask(vec![])
            },
        ),
        bad(
            "top_p",
            InvalidArgument,
            "sampling.top_p",
            "at most 1",
            GenerateRequest {
                sampling: Some(top_p),
                ..ask(vec![])
            },
        ),
        bad(
            "top_logprobs",
            InvalidArgument,
            "top_logprobs",
            "20",
            GenerateRequest {
                top_logprobs: 21,
                ..ask(vec![])
            },
        ),
        bad(
            "stop",
            InvalidArgument,
            "stop[1]",
            "at least one",
            GenerateRequest {
                stop: vec!["a".into(), String::new()],
                ..ask(vec![])
            },
        ),
        bad(
            "no prompt",
            InvalidArgument,
            "prompt",
            "unset",
            GenerateRequest::default(),
        ),
        bad(
            "empty prompt",
            InvalidArgument,
            "prompt.text",
            "needed",
            with_text("  "),
        ),
        bad(
            "past the context",
            InvalidArgument,
            "prompt",
            "2048",
            with_text(&"red circle ".repeat(2000)),
        ),
        bad(
            "markers",
            InvalidArgument,
            "prompt.text",
            "2 markers",
            with_text("<image> and <image>"),
        ),
        bad(
            "model",
            NotFound,
            "model",
            "resident: shapes",
            GenerateRequest {
                model: "nobody".into(),
                ..ask(vec![])
            },
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_the_next_request_works() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let good = generate(&mut client, ask(vec![])).await.unwrap().provenance;
    for case in bad_requests() {
        let error = generate(&mut client, case.request)
            .await
            .expect_err(case.name);
        let Error::Server {
            code,
            message,
            reason,
            fields,
            ..
        } = error
        else {
            panic!("{}: {error}", case.name)
        };
        assert_eq!(code, case.code, "{}: {message}", case.name);
        let field = fields
            .first()
            .unwrap_or_else(|| panic!("{}: no field in {message}", case.name));
        assert_eq!(field.field, case.field, "{}: {message}", case.name);
        assert!(
            field.description.contains(case.says),
            "{}: {:?} does not say {:?}",
            case.name,
            field.description,
            case.says
        );
        assert!(
            message.contains(case.says) && reason.is_some(),
            "{}: {message}",
            case.name
        );
        assert_eq!(
            generate(&mut client, ask(vec![])).await.unwrap().provenance,
            good,
            "after {}",
            case.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_mb_message_is_refused() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let error = generate(&mut client, with_image(vec![0; 200_000_000]))
        .await
        .unwrap_err();
    // Refused by its length before it is read; the transport's own code for it.
    assert_eq!(error.code(), Some(Code::OutOfRange), "{error}");
    assert!(error.to_string().contains("67108864"), "{error}");
    generate(&mut client, ask(vec![])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_needs_equal_widths() {
    // Both stacks of `shapes` are equally wide, so the identity is a projector for it.
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let record = generate(&mut client, ask(vec![swap_projector_by_identity()]))
        .await
        .unwrap()
        .provenance
        .unwrap();
    assert_eq!(record.plan[0].resolutions[0].digest, "identity");
    // What it does not compute can be neither read nor changed.
    let edit = scale(target("projector.hook_pre"), 0.5);
    let error = generate(&mut client, ask(vec![swap_projector_by_identity(), edit])).await;
    let says = "swapped in has no hook point";
    refused(&error.unwrap_err(), Code::InvalidArgument, says);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_reaches_the_server_by_grpc_web() {
    let mut config = config();
    config.cors_origins = vec!["http://a.example".parse().unwrap()];
    let server = Running::start(config).await;
    let headers =
        "Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\nOrigin: http://a.example\r\n";
    // An empty message: no compression, length 0.
    let response = http(
        &server.address,
        "POST /scotoma.v1.ModelService/ListModels",
        headers,
        &[0; 5],
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(
        response.contains("shapes") && response.contains("grpc-status:0"),
        "{response}"
    );
    assert!(
        response.contains("access-control-allow-origin: http://a.example"),
        "{response}"
    );
    // Pages of other origins hear nothing that would let them read the answer.
    let response = http(
        &server.address,
        "POST /scotoma.v1.ModelService/ListModels",
        &headers.replace("a.example", "b.example"),
        &[0; 5],
    )
    .await;
    assert!(
        !response.contains("access-control-allow-origin"),
        "{response}"
    );
    // Before it sends a key, a browser asks whether it may.
    let asks = "Origin: http://a.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let response = http(
        &server.address,
        "OPTIONS /scotoma.v1.ModelService/ListModels",
        asks,
        b"",
    )
    .await;
    assert!(
        response.contains("access-control-allow-headers: authorization"),
        "{response}"
    );
}

/// What does not decode is the client's mistake, whatever tonic calls it: INTERNAL wakes somebody up.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_a_mistake_of_the_client() {
    let server = Running::start(config()).await;
    let headers = "Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\n";
    for (method, body, says) in [
        // A prompt whose text is no UTF-8.
        (
            "InferenceService/Generate",
            &b"\0\0\0\0\x05\x12\x03\x0a\x01\xff"[..],
            "Prompt.text",
        ),
        (
            "InferenceService/UploadImage",
            b"\0\0\0\0\x02\x0a\x09",
            "buffer%20underflow",
        ),
        // A flag that gRPC does not have.
        ("InferenceService/Score", b"\x07\0\0\0\0", "flag"),
        ("InferenceService/Sweep", b"", "message"),
        (
            "BenchmarkService/Evaluate",
            b"\0\0\0\0\x02\x0f\x0f",
            "wire%20type",
        ),
        (
            "ModelService/GetModel",
            b"\0\0\0\0\x02\x0a\x09",
            "buffer%20underflow",
        ),
    ] {
        let line = format!("POST /scotoma.v1.{method}");
        let response = http(&server.address, &line, headers, body).await;
        let response = response.replace("grpc-status: ", "grpc-status:");
        assert!(
            response.contains("grpc-status:3\r\n"),
            "{method}: {response}"
        );
        assert!(response.contains(says), "{method}: {response}");
    }
    let page = scrape(&server.address).await;
    assert!(!page.contains(r#"code="Internal""#), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_what_caused_it() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Connect::to(&nobody.to_string())
        .patience(std::time::Duration::ZERO)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable));
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_down_finishes_what_runs() {
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    let request = GenerateRequest {
        max_tokens: 300,
        ..long()
    };
    let whole = generate(&mut client, request.clone()).await.unwrap();
    let mut answer = client.generate(request).await.unwrap();
    let mut text = answer.next().await.unwrap().unwrap().text;
    server.stop.send(()).unwrap();
    let mut other = client.clone();
    eventually("draining", async || {
        let refused = generate(&mut other, ask(vec![])).await.err();
        refused.is_some_and(|e| {
            e.code() == Some(Code::Unavailable) || matches!(e, Error::Transport(_))
        })
    })
    .await;
    while let Some(token) = answer.next().await.unwrap() {
        text.push_str(&token.text);
    }
    let finished = answer.finish().await.unwrap();
    assert_eq!(
        (text, &finished.provenance),
        (whole.text, &whole.provenance),
        "no token is lost"
    );
    drop((client, other));
    server.task.await.unwrap().unwrap();
}

/// A server whose clients may load, with room for `budget` bytes.
async fn open(budget: u64) -> (Running, Client) {
    let mut config = config();
    (config.allow_load, config.memory_budget) = (true, budget);
    let server = Running::start(config).await;
    let client = server.client().await;
    (server, client)
}

fn tiny(set: &str) -> String {
    format!("{}/{set}/model", crate::common::FOLDER)
}

async fn load(client: &mut Client, name: &str, place: &str) -> Result<v1::ModelInfo, Error> {
    use v1::load_model_response::Event;
    let request = v1::LoadModelRequest {
        name: name.into(),
        place: place.into(),
        ..v1::LoadModelRequest::default()
    };
    let mut stream = client.load_model(request).await?;
    let (mut done, mut model) = (0, None);
    while let Some(response) = stream.message().await? {
        match response.event.unwrap() {
            Event::Progress(progress) => {
                assert!(
                    progress.done >= done && progress.done <= progress.total,
                    "{progress:?}"
                );
                done = progress.done;
            }
            Event::Model(info) => model = Some(info),
        }
    }
    assert!(done > 0, "no progress");
    Ok(model.unwrap())
}

fn refused(error: &Error, code: Code, says: &str) {
    assert_eq!(error.code(), Some(code), "{error}");
    assert!(
        error.to_string().contains(says),
        "{error} does not say {says}"
    );
}

fn on(model: &str, interventions: Vec<Intervention>) -> GenerateRequest {
    GenerateRequest {
        model: model.into(),
        ..ask(interventions)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_come_and_go() {
    let (server, mut client) = open(u64::MAX).await;
    let shapes = generate(&mut client, ask(vec![])).await.unwrap().provenance;
    let first = load(&mut client, "next", &tiny("tiny-next-llama"))
        .await
        .unwrap();
    assert_eq!(
        (first.name.as_str(), first.family.as_str()),
        ("next", "llava_next")
    );
    assert_eq!(serving(&server, "model/next").await, 1);
    let alone = generate(&mut client, on("next", vec![permute_tokens(1)]))
        .await
        .unwrap();
    assert!(alone.usage.unwrap().image_tokens > 16, "tiles");
    let alone = alone.provenance.unwrap().output_digest;

    // The same files again share tower and decoder.
    let again = load(&mut client, "again", &tiny("tiny-next-llama"))
        .await
        .unwrap();
    assert_eq!(
        (&again.digest, again.parameters),
        (&first.digest, first.parameters)
    );
    assert!(
        again.resident_bytes * 4 < first.resident_bytes,
        "{} of {}",
        again.resident_bytes,
        first.resident_bytes
    );
    let shared = generate(&mut client, on("again", vec![permute_tokens(1)]))
        .await
        .unwrap();
    assert_eq!(shared.provenance.unwrap().output_digest, alone);

    refused(
        &load(&mut client, "next", "shapes").await.unwrap_err(),
        Code::AlreadyExists,
        "unload it",
    );
    refused(
        &load(&mut client, "x", "/no/such/folder").await.unwrap_err(),
        Code::InvalidArgument,
        "ORGANISATION/NAME",
    );
    refused(
        &load(&mut client, "x", crate::common::FOLDER)
            .await
            .unwrap_err(),
        Code::InvalidArgument,
        "config.json",
    );

    let projector = format!("{}/tiny-next-llama/mm_projector.bin", crate::common::FOLDER);
    let info = client
        .load_projector("next", "second", &projector)
        .await
        .unwrap();
    assert_eq!(info.projectors, ["default", "second"]);
    let swapped = generate(
        &mut client,
        on(
            "next",
            vec![permute_tokens(1), swap_projector_by_name("second")],
        ),
    )
    .await;
    assert_ne!(swapped.unwrap().provenance.unwrap().output_digest, alone);
    let misshapen = client
        .load_projector("shapes", "second", &projector)
        .await
        .unwrap_err();
    refused(&misshapen, Code::InvalidArgument, "has shape");

    // An unload waits for what runs.
    let sampling = v1::Sampling {
        temperature: 100.0,
        seed: Some(1),
        ..Default::default()
    };
    let request = GenerateRequest {
        max_tokens: 150,
        sampling: Some(sampling),
        ..on("next", vec![])
    };
    let mut running = client.generate(request).await.unwrap();
    running.next().await.unwrap().unwrap();
    let mut other = client.clone();
    let unload = tokio::spawn(async move { other.unload_model("next").await });
    eventually("not found", async || {
        let error = generate(&mut client.clone(), on("next", vec![]))
            .await
            .err();
        error.is_some_and(|e| e.code() == Some(Code::NotFound))
    })
    .await;
    running.finish().await.unwrap();
    let freed = unload.await.unwrap().unwrap();
    assert!(
        freed > first.resident_bytes,
        "{freed}: with the projector that was added"
    );
    assert_eq!(serving(&server, "model/next").await, 2);
    assert_eq!(client.list_models().await.unwrap().len(), 2);
    assert_eq!(
        generate(&mut client, ask(vec![])).await.unwrap().provenance,
        shapes,
        "the others never noticed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn projectors_of_clients_count_in_the_budget() {
    let (server, mut client) = open(u64::MAX).await;
    load(&mut client, "next", &tiny("tiny-next-llama"))
        .await
        .unwrap();
    // With what is beside a model.
    let page = scrape(&server.address).await;
    let held = ["shapes", "next"].map(|model| {
        let name = format!("scotoma_model_resident_bytes{{model=\"{model}\"}}");
        crate::common::metric(&page, &name) as u64
    });
    drop(client);
    server.end().await;
    // Room for both models, and for no more than a few numbers beside them.
    let (_server, mut client) = open(held[0] + held[1] + 100).await;
    load(&mut client, "next", &tiny("tiny-next-llama"))
        .await
        .unwrap();
    let file = format!("{}/tiny-next-llama/mm_projector.bin", crate::common::FOLDER);
    let error = client.load_projector("next", "second", &file).await;
    let says = "100 are left of the memory budget";
    refused(&error.unwrap_err(), Code::ResourceExhausted, says);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_may_be_drawn_and_devices_named() {
    let (server, mut client) = open(u64::MAX).await;
    let place = format!("random:{}", tiny("tiny-next-llama"));
    let drawn = load(&mut client, "drawn", &place).await.unwrap();
    let real = load(&mut client, "real", &tiny("tiny-next-llama"))
        .await
        .unwrap();
    // A file has some that no model reads.
    assert!(
        drawn.parameters <= real.parameters && 1000 * drawn.parameters > 999 * real.parameters,
        "{drawn:?}"
    );
    assert_ne!(drawn.digest, real.digest);
    let again = load(&mut client, "again", &place).await.unwrap();
    assert_eq!(again.digest, drawn.digest, "the same numbers every time");
    let mut said = Vec::new();
    for name in ["drawn", "again", "real"] {
        said.push(
            client
                .generate(on(name, Vec::new()))
                .await
                .unwrap()
                .finish()
                .await
                .unwrap()
                .text,
        );
    }
    assert_eq!(said[0], said[1]);
    assert_ne!(said[0], said[2]);
    refused(
        &load(&mut client, "x", "random:llava-9b").await.unwrap_err(),
        Code::InvalidArgument,
        "llava-1.5-7b",
    );
    let on_card = v1::LoadModelRequest {
        place: "shapes".into(),
        device: "cuda:7".into(),
        name: "x".into(),
        ..Default::default()
    };
    let mut stream = client.load_model(on_card).await.unwrap();
    refused(
        &stream.message().await.unwrap_err().into(),
        Code::InvalidArgument,
        "the server has cpu",
    );
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_not_broken_and_strangers_do_not_load() {
    let (_server, mut client) = open(7_000_000).await;
    let error = load(&mut client, "two", &tiny("tiny-next-llama"))
        .await
        .unwrap_err();
    refused(
        &error,
        Code::ResourceExhausted,
        "are left of the memory budget",
    );
    generate(&mut client, ask(vec![])).await.unwrap();
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    refused(
        &load(&mut client, "x", "shapes").await.unwrap_err(),
        Code::PermissionDenied,
        "--allow-load",
    );
    refused(
        &client.unload_model("shapes").await.unwrap_err(),
        Code::PermissionDenied,
        "--allow-load",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_says_who_asks() {
    use scotoma::server::ApiKeys;
    use scotoma_client::Connect;
    let (one, other) = ("1".repeat(40), "2".repeat(40));
    let file = format!(
        "{}\n{}\n",
        ApiKeys::line("one", &one).unwrap(),
        ApiKeys::line("laboratory", &other).unwrap()
    );
    let server = Running::start(ServerConfig {
        keys: ApiKeys::parse(&file).unwrap(),
        ..config()
    })
    .await;
    let with = async |key: &str| {
        Connect::to(&server.address)
            .api_key(key)
            .connect()
            .await
            .unwrap()
    };
    let refused = [
        server.client().await.list_models().await,
        with(&"3".repeat(40)).await.list_models().await,
    ];
    for (error, says) in refused
        .into_iter()
        .map(Result::unwrap_err)
        .zip(["a key is needed", "unknown API key"])
    {
        assert_eq!(error.code(), Some(Code::Unauthenticated));
        assert!(error.to_string().contains(says), "{error}");
        assert!(
            matches!(&error, Error::Server { reason: Some(r), .. } if r == "UNAUTHENTICATED"),
            "{error:?}"
        );
    }
    // What a key has sent is there for all its connections, and for no other key.
    let handle = with(&one).await.upload_image(picture()).await.unwrap();
    let mut request = ask(vec![]);
    request.prompt.as_mut().unwrap().images = vec![handle];
    assert!(
        generate(&mut with(&one).await, request.clone())
            .await
            .is_ok()
    );
    assert_eq!(
        generate(&mut with(&other).await, request)
            .await
            .unwrap_err()
            .code(),
        Some(Code::NotFound)
    );
    // Health and metrics need none, and names are nowhere in them.
    let text = scrape(&server.address).await;
    assert!(
        text.contains(r#"reason="unauthenticated""#) && !text.contains("laboratory"),
        "{text}"
    );
}
