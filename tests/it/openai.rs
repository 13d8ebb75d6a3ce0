//! OpenAI's API: the same answers as over gRPC, in the form that its clients read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma::openai::{OpenAiConfig, Presets};
use scotoma::pipeline::Share;
use scotoma::server::{ApiKeys, ServerConfig};
use scotoma_client::v1::{self, ChatMessage, ChatPart, Role, chat_part::Part, image::Source};
use scotoma_client::{GenerateRequest, ScoreRequest, permute_tokens};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::common::{Running, http, picture, scrape};

const QUESTION: &str = "Is there a red circle?";
/// As the Rust client's `permute_tokens(7)` spells it.
const PERMUTED: &str = r#"[{"permuteTokens":{"scope":"SCOPE_ALL","seed":"7"}}]"#;

/// Starts a server with one preset.
async fn start() -> Running {
    let mut presets = Presets::default();
    presets.add(&format!("permuted={PERMUTED}")).unwrap();
    Running::start(ServerConfig {
        openai: OpenAiConfig {
            presets,
            ..OpenAiConfig::default()
        },
        ..ServerConfig::shapes()
    })
    .await
}

/// Asks the question about a picture, with `more` in the body.
fn body(more: &Value) -> Value {
    let url = format!("data:image/png;base64,{}", STANDARD.encode(picture()));
    let mut body = json!({
        "model": "shapes",
        "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
            {"type": "text", "text": QUESTION},
        ]}],
        "max_tokens": 8,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Sends a body; returns the HTTP status, the head and what follows it.
async fn post(server: &Running, path: &str, body: &Value) -> (u16, String, String) {
    let sent = body.to_string();
    let headers = "Content-Type: application/json\r\n";
    let response = http(
        &server.address,
        &format!("POST {path}"),
        headers,
        sent.as_bytes(),
    )
    .await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (
        head[9..12].parse().unwrap(),
        head.to_lowercase(),
        body.to_owned(),
    )
}

async fn chat(server: &Running, more: &Value) -> Value {
    let (status, head, answer) = post(server, "/v1/chat/completions", &body(more)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(!head.contains("\ngrpc-status"), "{head}");
    serde_json::from_str(&answer).unwrap()
}

async fn get(server: &Running, path: &str) -> (u16, Value) {
    let response = http(&server.address, &format!("GET {path}"), "", b"").await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (
        head[9..12].parse().unwrap(),
        serde_json::from_str(body).unwrap(),
    )
}

/// Asks the same over gRPC and returns the end of the answer.
async fn over_grpc(server: &Running, permuted: bool) -> v1::Finished {
    let part = |part| ChatPart { part: Some(part) };
    let image = v1::Image {
        source: Some(Source::Data(picture())),
    };
    let prompt = v1::Prompt {
        messages: vec![ChatMessage {
            role: Role::User.into(),
            parts: vec![
                part(Part::Image(image)),
                part(Part::Text(QUESTION.to_owned())),
            ],
        }],
        ..v1::Prompt::default()
    };
    let request = GenerateRequest {
        model: "shapes".into(),
        prompt: Some(prompt),
        max_tokens: 8,
        sampling: Some(v1::Sampling::default()),
        interventions: if permuted {
            vec![permute_tokens(7)]
        } else {
            Vec::new()
        },
        ..GenerateRequest::default()
    };
    let mut client = server.client().await;
    client
        .generate(request)
        .await
        .unwrap()
        .finish()
        .await
        .unwrap()
}

#[tokio::test]
async fn an_answer_has_the_same_record_through_either_door() {
    let server = start().await;
    for (more, permuted) in [
        (json!({}), false),
        (
            json!({"interventions": serde_json::from_str::<Value>(PERMUTED).unwrap()}),
            true,
        ),
        (json!({"model": "shapes:permuted"}), true),
    ] {
        let answer = chat(&server, &more).await;
        let finished = over_grpc(&server, permuted).await;
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], finished.text);
        assert_eq!(choice["finish_reason"], "stop");
        let usage = finished.usage.unwrap();
        assert_eq!(answer["usage"]["prompt_tokens"], usage.prompt_tokens);
        let record = finished.provenance.unwrap();
        assert_eq!(answer["scotoma"]["record"], record.digest, "{more}");
        // The record itself can be fetched, and Verify takes it.
        let (status, kept) = get(&server, &format!("/v1/records/{}", record.digest)).await;
        assert_eq!(
            (status, kept),
            (200, serde_json::to_value(&record).unwrap())
        );
    }
    let (status, error) = get(&server, "/v1/records/none").await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (404, &json!("unknown_record"))
    );
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let server = start().await;
    let asked = json!({"logprobs": true, "top_logprobs": 2, "temperature": 0.9, "seed": 3});
    let whole = chat(&server, &asked).await;
    let mut streamed = body(&asked);
    streamed["stream"] = true.into();
    streamed["stream_options"] = json!({"include_usage": true});
    let (status, head, events) = post(&server, "/v1/chat/completions", &streamed).await;
    assert_eq!(status, 200);
    assert!(head.contains("text/event-stream"), "{head}");
    let data: Vec<&str> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let (done, chunks) = data.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let chunks: Vec<Value> = chunks
        .iter()
        .map(|chunk| serde_json::from_str(chunk).unwrap())
        .collect();
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(usage["usage"], whole["usage"]);
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]);
    let text: String = deltas
        .clone()
        .filter_map(|choice| choice["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, whole["choices"][0]["message"]["content"]);
    let logprobs: Vec<&Value> = deltas
        .filter_map(|choice| choice["logprobs"]["content"].get(0))
        .collect();
    let all = whole["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(logprobs, all.iter().collect::<Vec<_>>());
    assert!(
        all.iter()
            .all(|token| token["top_logprobs"].as_array().unwrap().len() == 2)
    );
    let last = chunks.last().unwrap();
    assert_eq!(
        last["choices"][0]["finish_reason"],
        whole["choices"][0]["finish_reason"]
    );
    assert_eq!(last["scotoma"]["record"], whole["scotoma"]["record"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_openais_form() {
    let server = start().await;
    let long = "x".repeat(2 << 20);
    for (more, status, param, says) in [
        (json!({"tools": [{}]}), 400, "tools", "not supported"),
        (json!({"beams": 2}), 400, "beams", "not supported"),
        (json!({"n": 2}), 400, "n", "send 1"),
        (json!({"temperature": "hot"}), 400, "temperature", "f64"),
        (json!({"top_p": 7.0}), 400, "top_p", "at most 1"),
        (json!({"max_tokens": 0}), 400, "max_tokens", "at least one"),
        (json!({"model": "other"}), 404, "model", "shapes"),
        (json!({"model": "shapes:other"}), 400, "model", "permuted"),
        (
            json!({"interventions": [{"permuteToken": {}}]}),
            400,
            "interventions[0]",
            "permuteToken",
        ),
        (json!({"messages": []}), 400, "messages", "at least one"),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            400,
            "messages[0].role",
            "user",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}),
            400,
            "messages[0].content[0].type",
            "image_url",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]}),
            400,
            "messages[0].content[0].image_url",
            "--fetch-images",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]}),
            400,
            "messages[0].content[0].image_url.data",
            "picture",
        ),
        (
            json!({"messages": [{"role": "user", "content": "an <image> in words"}]}),
            400,
            "messages[0].content[0].text",
            "<image>",
        ),
        (
            json!({"messages": [{"role": "user", "content": long}]}),
            400,
            "messages",
            "at most",
        ),
    ] {
        let (code, _, answer) = post(&server, "/v1/chat/completions", &body(&more)).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let error = &answer["error"];
        assert_eq!(
            (code, error["param"].as_str()),
            (status, Some(param)),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
        assert!(error["type"].is_string() && error["code"].is_string());
    }
    // Any page could send this without asking; no page can send JSON so.
    let plain = http(&server.address, "POST /v1/chat/completions", "", b"{}").await;
    assert!(
        plain.contains("400 Bad Request") && plain.contains("application/json"),
        "{plain}"
    );
    let metrics = scrape(&server.address).await;
    assert!(
        metrics.contains(r#"method="chat.completions""#),
        "requests are counted"
    );
}

/// A body that there is no room for is refused as a message over gRPC is: by the budget, with a
/// delay after which another try helps.
#[tokio::test]
async fn a_body_without_room_says_when_to_come_back() {
    let mut config = ServerConfig::shapes();
    // Room for one body at a time: what exceeds a budget is let in where nothing else is held.
    config.limits.pending_bytes = Share { all: 1, one: 1 };
    let server = Running::start(config).await;
    let address = server.address.trim_start_matches("http://");
    let mut held = tokio::net::TcpStream::connect(address).await.unwrap();
    let begun = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{\"prompt\""
    );
    held.write_all(begun.as_bytes()).await.unwrap();
    // The server has to have seen it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (status, head, answer) = post(&server, "/v1/completions", &json!({"prompt": "x"})).await;
    assert_eq!(status, 429, "{answer}");
    assert!(head.contains("\nretry-after: "), "{head}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["error"]["code"], "budget", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("--pending-mib"), "{message}");
}

#[tokio::test]
async fn keys_are_asked_for() {
    let key = "0123456789abcdef0123456789abcdef";
    let line = ApiKeys::line("lab", key).unwrap();
    let server = Running::start(ServerConfig {
        keys: ApiKeys::parse(&line).unwrap(),
        ..ServerConfig::shapes()
    })
    .await;
    let (status, error) = get(&server, "/v1/models").await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    let header = format!("Authorization: Bearer {key}\r\n");
    let listed = http(&server.address, "GET /v1/models", &header, b"").await;
    assert!(
        listed.contains("200 OK") && listed.contains(r#""id":"shapes""#),
        "{listed}"
    );
}

#[tokio::test]
async fn models_are_listed_with_their_presets() {
    let server = start().await;
    let (_, list) = get(&server, "/v1/models").await;
    let ids: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["id"])
        .collect();
    assert_eq!(ids, ["shapes", "shapes:permuted"]);
    let (_, one) = get(&server, "/v1/models/shapes:permuted").await;
    assert_eq!(one["parent"], "shapes");
    assert_eq!(get(&server, "/v1/models/other").await.0, 404);
    for (path, param) in [("models", "model"), ("records", "digest")] {
        let (status, error) = get(&server, &format!("/v1/{path}/%FF")).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (400, &json!(param)),
            "{error}"
        );
    }
}

/// What likelihood tools sum is what Score gives, and the likeliest token after the prompt is the
/// one that is written.
#[tokio::test]
async fn an_echo_has_the_likelihood_of_the_prompt() {
    let server = start().await;
    let (context, continuation) = ("the answer is", " yes or no");
    let prompt = format!("{context}{continuation}");
    let asked = json!({"model": "shapes", "prompt": [prompt, context], "echo": true,
        "logprobs": 1, "max_tokens": 1});
    let (status, _, answer) = post(&server, "/v1/completions", &asked).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let choice = &answer["choices"][0];
    assert!(choice["text"].as_str().unwrap().starts_with(&prompt));
    let scored = server
        .client()
        .await
        .score(ScoreRequest {
            prompt: Some(v1::Prompt {
                text: context.into(),
                raw: true,
                ..v1::Prompt::default()
            }),
            continuations: vec![continuation.into()],
            ..ScoreRequest::default()
        })
        .await
        .unwrap();
    let score = &scored.scores[0];
    let logprobs = &choice["logprobs"];
    let tokens = logprobs["tokens"].as_array().unwrap();
    let of = |name: &str| logprobs[name].as_array().unwrap().clone();
    assert_eq!(of("text_offset").len(), tokens.len());
    // The last one is the token that was written.
    let end = tokens.len() - 1;
    let begin = end - score.tokens.len();
    for (own, scored) in of("token_logprobs")[begin..end].iter().zip(&score.tokens) {
        assert!(
            (own.as_f64().unwrap() - scored.logprob).abs() < 1e-5,
            "{own} {}",
            scored.logprob
        );
    }
    // At every place that has one, the likeliest is at least as likely as the token itself.
    for (own, top) in of("token_logprobs").iter().zip(&of("top_logprobs")) {
        if let (Some(own), Some(top)) = (own.as_f64(), top.as_object()) {
            assert!(
                top.values()
                    .all(|best| best.as_f64().unwrap() >= own - 1e-5)
            );
        }
    }
    let last = &of("top_logprobs")[end];
    assert!(last.get(tokens[end].as_str().unwrap()).is_some(), "{last}");
    // A shorter prompt of the same request is read on its own.
    assert_eq!(answer["choices"][1]["index"], 1);
    // Its tokens are counted whatever is asked beside it, and where nothing runs.
    let counted = async |more: Value| {
        let mut asked = json!({"prompt": prompt, "echo": true, "max_tokens": 0});
        asked
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (_, _, answer) = post(&server, "/v1/completions", &asked).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let tokens = counted(json!({})).await;
    assert_eq!(tokens, counted(json!({"logprobs": 0})).await);
    assert_eq!(tokens, counted(json!({"max_tokens": 1})).await);
    for (wrong, param) in [
        (json!({"prompt": [1, 2, 3]}), "prompt"),
        (json!({"prompt": "x", "max_tokens": 0}), "max_tokens"),
        (json!({"prompt": "x", "logprobs": 21}), "logprobs"),
        (
            json!({"prompt": "x", "echo": true, "logprobs": 21}),
            "logprobs",
        ),
        (
            json!({"prompt": "x", "echo": true, "stream": true}),
            "stream",
        ),
        (json!({}), "prompt"),
    ] {
        let (status, _, answer) = post(&server, "/v1/completions", &wrong).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (status, answer["error"]["param"].as_str()),
            (400, Some(param)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn more_tokens_than_the_context_holds_are_cut_and_said() {
    let server = start().await;
    let answer = chat(&server, &json!({"max_tokens": 32_768})).await;
    let said = answer["scotoma"]["max_tokens"].as_u64().unwrap();
    let read = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    let (_, model) = get(&server, "/v1/models/shapes").await;
    assert_eq!(said + read, model["max_model_len"].as_u64().unwrap());
}
