//! Requests as they come over the wire, to a server in this process: no answer is INTERNAL or
//! UNKNOWN, and every refusal says why, shortly.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use scotoma::server::ServerConfig;
use scotoma_client::v1;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::common::{Running, ask, http};
use crate::harness::fuzz;

/// Bytes of an error's text at most, percent-encoded as it comes: clients bound the metadata that
/// they read.
const MAX_TEXT: usize = 4000;
/// The longest time of one request; an answer that takes longer has to say DEADLINE_EXCEEDED.
const TIMEOUT: &str = "grpc-timeout: 2S\r\n";
/// Codes that a client's own mistake, or its deadline, may end with: OK, INVALID_ARGUMENT,
/// DEADLINE_EXCEEDED, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION,
/// OUT_OF_RANGE, UNIMPLEMENTED.
const CODES: [u32; 9] = [0, 3, 4, 5, 7, 8, 9, 11, 12];

/// A server with caches so small that they are full soon, and what asks it.
struct Asked {
    runtime: Runtime,
    server: Running,
}

impl Asked {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut config = ServerConfig::shapes();
        config.engine.kv_bytes = 32 << 20;
        config.engine.picture_bytes = 8 << 20;
        config.engine.checkpoint_bytes = 8 << 20;
        config.limits.kept_bytes = 4 << 20;
        config.limits.upload_bytes = 4 << 20;
        config.limits.capture_bytes = 32 << 20;
        config.limits.image_pixels = 1 << 20;
        let server = runtime.block_on(Running::start(config));
        Self { runtime, server }
    }

    /// Sends a body and returns head and body of the response.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> Result<String, String> {
        let line = format!("POST {path}");
        let answer = http(&self.server.address, &line, headers, body);
        // Of the clock, so for a machine that does much else as well.
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(120), answer).await });
        answer.map_err(|_| "no answer".into())
    }

    /// Calls a method with `body`, frames of gRPC-Web.
    fn call(&self, method: &str, body: &[u8]) -> Result<(), String> {
        let path = format!("/scotoma.v1.{method}");
        let headers =
            format!("Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\n{TIMEOUT}");
        let answer = self.post(&path, &headers, body)?;
        let field = |name: &str| {
            let (_, after) = answer.rsplit_once(name)?;
            after.split("\r\n").next().map(str::trim)
        };
        let code = field("grpc-status:").and_then(|code| code.parse().ok());
        let Some(code) = code else {
            return Err(format!("{method}: no status: {answer:.200}"));
        };
        let text = field("grpc-message:").unwrap_or_default();
        if !CODES.contains(&code) || (code > 0 && text.is_empty()) || text.len() > MAX_TEXT {
            return Err(format!(
                "{method}: code {code}, {} bytes: {text:.300}",
                text.len()
            ));
        }
        Ok(())
    }
}

/// A small picture: most changes are to fall beside it.
const PICTURE: &str = "tests/tables/scene0.png";

/// Reads a file of the repository.
fn read(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns a message behind its head.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length[..], message].concat()
}

/// Returns a message of canonical JSON as a frame; `None` where it is none.
fn framed<M: Message + DeserializeOwned>(json: &Value) -> Option<Vec<u8>> {
    let message: M = serde_json::from_value(json.clone()).ok()?;
    Some(frame(&message.encode_to_vec()))
}

/// Returns method and body of a call as tests/conformance writes them; `None` where it is none.
fn call_of(input: &Value) -> Option<(&'static str, Vec<u8>)> {
    let request = &input["request"];
    let (method, body) = match input["call"].as_str()? {
        "generate" => ("Generate", framed::<v1::GenerateRequest>(request)),
        "score" => ("Score", framed::<v1::ScoreRequest>(request)),
        "sweep" => ("Sweep", framed::<v1::SweepRequest>(request)),
        "capture" => ("Capture", framed::<v1::CaptureRequest>(request)),
        "trace" => ("Trace", framed::<v1::TraceRequest>(request)),
        "attribute" => ("Attribute", framed::<v1::AttributeRequest>(request)),
        "preview" => ("Preview", framed::<v1::PreviewRequest>(request)),
        "verify" => ("Verify", framed::<v1::VerifyRequest>(request)),
        "evaluate" => {
            let messages = request
                .as_array()?
                .iter()
                .map(framed::<v1::EvaluateRequest>);
            let body = messages.collect::<Option<Vec<_>>>()?.concat();
            return Some(("BenchmarkService/Evaluate", body));
        }
        _ => return None,
    };
    let path = METHODS.into_iter().find(|path| path.ends_with(method))?;
    Some((path, body?))
}

/// The methods of one message.
const METHODS: [&str; 8] = [
    "InferenceService/Generate",
    "InferenceService/Score",
    "InferenceService/Sweep",
    "InferenceService/Capture",
    "InferenceService/Trace",
    "InferenceService/Attribute",
    "InferenceService/Preview",
    "InferenceService/Verify",
];

/// Returns calls of every method: those of tests/conformance, each kind of intervention, a benchmark
/// and a record.
fn calls(asked: &Asked) -> Vec<Value> {
    let cases = read("tests/conformance/cases.json");
    let square = STANDARD.encode(read(PICTURE));
    let text = String::from_utf8(cases).unwrap();
    let text = ["@square", "@tall", "@wide"]
        .iter()
        .fold(text, |text, name| text.replace(name, &square));
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let one_message = |case: &&Value| call_of(case).is_some();
    let mut calls: Vec<Value> = cases.iter().filter(one_message).cloned().collect();
    let prompt = json!({ "text": "Is there a red circle?", "images": [{ "data": square }] });
    let kinds = cases.iter().find(|case| case["do"] == "helpers").unwrap();
    for kind in kinds["expect"].as_object().unwrap().values() {
        let request = json!({ "prompt": prompt, "maxTokens": 2, "interventions": [kind] });
        calls.push(json!({ "call": "generate", "request": request }));
    }
    let sample = json!({ "id": "1", "prompt": prompt, "answer": "no", "category": "existence" });
    let header = json!({ "rule": "shapes", "variants": [{ "name": "a" }, { "name": "b",
        "interventions": [{ "dropLayers": { "layers": [3] } }] }] });
    calls.push(
        json!({ "call": "evaluate", "request": [{ "header": header }, { "sample": sample }] }),
    );
    let record = asked.runtime.block_on(async {
        let mut client = asked.server.client().await;
        let answer = client.generate(ask(vec![])).await.unwrap();
        answer.finish().await.unwrap().provenance
    });
    let images = [json!({ "data": square })];
    let request = json!({ "provenance": record.unwrap(), "images": images });
    calls.push(json!({ "call": "verify", "request": request }));
    calls
}

#[test]
fn messages() {
    let asked = Asked::start();
    let calls = calls(&asked);
    for method in METHODS {
        let is_of = |call: &Value| call_of(call).is_some_and(|(path, _)| path == method);
        assert!(calls.iter().any(is_of), "no call of {method}");
    }
    let seeds: Vec<Vec<u8>> = calls
        .iter()
        .map(|call| call.to_string().into_bytes())
        .collect();
    fuzz("messages", &seeds, |input| {
        let json = serde_json::from_slice(input).unwrap_or_default();
        call_of(&json).map_or(Ok(()), |(method, body)| asked.call(method, &body))
    });
    // The same as bytes: the method's number, and the frames with their heads.
    let numbered = calls.iter().filter_map(|call| {
        let (method, body) = call_of(call)?;
        let number = METHODS.iter().position(|path| *path == method);
        let number = number.unwrap_or(METHODS.len()) as u8;
        Some([&[number][..], &body[..]].concat())
    });
    let seeds: Vec<Vec<u8>> = numbered.collect();
    fuzz("frames", &seeds, |input| {
        let Some((number, body)) = input.split_first() else {
            return Ok(());
        };
        let method = METHODS.get(usize::from(*number));
        asked.call(method.unwrap_or(&"BenchmarkService/Evaluate"), body)
    });
}

/// OpenAI's API: what is wrong is said in its form, and is no fault of the server's.
#[test]
fn openai() {
    let asked = Asked::start();
    let square = STANDARD.encode(read(PICTURE));
    let url = format!("data:image/png;base64,{square}");
    let content = json!([{ "type": "image_url", "image_url": { "url": url, "detail": "auto" } },
        { "type": "text", "text": "Is there a red circle?" }]);
    let changes = json!([{ "permuteTokens": { "seed": "7" } }]);
    let seeds = [
        json!({ "model": "shapes", "max_tokens": 4, "messages": [
            { "role": "system", "content": "Answer." }, { "role": "user", "content": content }],
            "temperature": 0.5, "top_p": 0.9, "seed": 7, "logprobs": true, "top_logprobs": 2,
            "stop": ["x"], "scotoma": { "interventions": changes } }),
        json!({ "model": "shapes", "max_completion_tokens": 4, "stream": true,
            "stream_options": { "include_usage": true }, "n": 1, "frequency_penalty": 0,
            "messages": [{ "role": "user", "content": content }] }),
        json!({ "model": "shapes", "prompt": "2 + 3?", "max_tokens": 2, "echo": true, "logprobs": 1 }),
    ];
    let seeds: Vec<Vec<u8>> = seeds
        .iter()
        .map(|seed| seed.to_string().into_bytes())
        .collect();
    fuzz("openai", &seeds, |input| {
        let has_messages = input.windows(10).any(|part| part == b"\"messages\"");
        let path = if has_messages {
            "/v1/chat/completions"
        } else {
            "/v1/completions"
        };
        let answer = asked.post(path, "Content-Type: application/json\r\n", input)?;
        let status: u32 = answer.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
        match status {
            200 => Ok(()),
            400..=499 if answer.contains("\"error\"") && answer.len() < 2 * MAX_TEXT => Ok(()),
            _ => Err(format!("{answer:.600}")),
        }
    });
}
