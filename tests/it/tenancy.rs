//! Keys: what their holders may do, what belongs to them, and how much of it.

use crate::common::{FOLDER, Running, ask, http, long, picture};
use scotoma::server::{ApiKeys, ServerConfig};
use scotoma_client::v1::{
    self, generate_response, inference_service_client::InferenceServiceClient, intervention::Kind,
    load_model_response::Event, patch::Source,
};
use scotoma_client::{
    CaptureRequest, Client, Connect, Error, GenerateRequest, Intervention, prompt, target,
};
use std::time::Duration;
use tonic::Code;

/// Returns a file of keys; the key of line `i` is that digit 40 times.
fn keys(lines: &[&str]) -> ApiKeys {
    let line = |(i, words): (usize, &&str)| {
        let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
        let line = ApiKeys::line(name, &i.to_string().repeat(40)).unwrap();
        format!("{line} {rest}\n")
    };
    let text: String = lines.iter().enumerate().map(line).collect();
    ApiKeys::parse(&text).unwrap()
}

async fn start(lines: &[&str]) -> Running {
    start_with(lines, |_| {}).await
}

async fn start_with(lines: &[&str], change: impl FnOnce(&mut ServerConfig)) -> Running {
    let mut config = ServerConfig {
        keys: keys(lines),
        ..ServerConfig::shapes()
    };
    change(&mut config);
    Running::start(config).await
}

/// Connects with the key of line `i`; what is refused is not tried again.
async fn with(server: &Running, i: usize) -> Client {
    let connect = Connect::to(&server.address).api_key(i.to_string().repeat(40));
    connect
        .patience(std::time::Duration::ZERO)
        .connect()
        .await
        .unwrap()
}

async fn generate(client: &mut Client, request: GenerateRequest) -> Result<v1::Finished, Error> {
    client.generate(request).await?.finish().await
}

fn refused(error: &Error, code: Code, reason: &str, says: &str) {
    assert_eq!(error.code(), Some(code), "{error}");
    let Error::Server { reason: own, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(own.as_deref(), Some(reason), "{error}");
    assert!(error.to_string().contains(says), "{error}: not {says}");
}

async fn load(client: &mut Client, name: &str, place: &str) -> Result<v1::ModelInfo, Error> {
    let request = v1::LoadModelRequest {
        name: name.into(),
        place: place.into(),
        ..v1::LoadModelRequest::default()
    };
    let mut stream = client.load_model(request).await?;
    while let Some(response) = stream.message().await? {
        if let Some(Event::Model(info)) = response.event {
            return Ok(info);
        }
    }
    panic!("no model")
}

/// A picture whose bytes are its own, and which reads as one.
fn numbered(i: u32) -> Vec<u8> {
    let mut bytes = picture();
    // What follows the end of a PNG is not read.
    bytes.extend(i.to_le_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_on_its_day() {
    let server = start(&["old expires=2020-03-01", "new expires=2999-03-01"]).await;
    let error = with(&server, 0).await.list_models().await.unwrap_err();
    refused(
        &error,
        Code::Unauthenticated,
        "KEY_EXPIRED",
        "expired on 2020-03-01",
    );
    with(&server, 1).await.list_models().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_has_a_quota_of_requests_and_of_rows() {
    let server = start(&[
        "few requests-per-minute=2",
        "small rows-per-minute=3000",
        "free",
    ])
    .await;
    let mut few = with(&server, 0).await;
    few.list_models().await.unwrap();
    few.list_models().await.unwrap();
    let error = few.list_models().await.unwrap_err();
    refused(
        &error,
        Code::ResourceExhausted,
        "KEY_QUOTA",
        "2 requests a minute",
    );
    let wait = error.retry_after().unwrap();
    assert!(
        wait > Duration::from_secs(20) && wait <= Duration::from_secs(30),
        "{wait:?}"
    );

    let mut small = with(&server, 1).await;
    let mut answered = 0;
    let error = loop {
        let mut request = ask(vec![]);
        request.prompt = Some(prompt(
            &format!("{answered} circles?"),
            [numbered(answered)],
        ));
        match generate(&mut small, request).await {
            Ok(_) => answered += 1,
            Err(error) => break error,
        }
        assert!(answered < 100, "no end of it");
    };
    assert!(answered > 0, "{error}");
    refused(
        &error,
        Code::ResourceExhausted,
        "KEY_QUOTA",
        "3000 rows a minute",
    );
    assert!(error.retry_after().unwrap() > Duration::ZERO);
    // Another key has its own.
    generate(&mut with(&server, 2).await, ask(vec![]))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_runs_no_longer_than_its_key_allows() {
    let server = start(&["short max-run=50ms"]).await;
    let begun = std::time::Instant::now();
    let request = GenerateRequest {
        max_tokens: 1900,
        ..crate::common::long()
    };
    let error = generate(&mut with(&server, 0).await, request)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(Code::DeadlineExceeded), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_be_for_some_models_alone() {
    let server = start_with(&["some models=t*", "all", "none models=x"], |config| {
        let mut other = config.models[0].clone();
        other.name = "two".into();
        config.models.push(other);
    })
    .await;
    let names = async |i: usize| {
        let models = with(&server, i).await.list_models().await.unwrap();
        models.into_iter().map(|m| m.name).collect::<Vec<_>>()
    };
    assert_eq!(names(0).await, ["two"]);
    assert_eq!(names(1).await, ["shapes", "two"]);
    let on = |model: &str| GenerateRequest {
        model: model.into(),
        ..ask(vec![])
    };
    let mut some = with(&server, 0).await;
    generate(&mut some, on("two")).await.unwrap();
    generate(&mut some, on("")).await.unwrap();
    // One that is there and one that is not look alike.
    for name in ["shapes", "gone"] {
        let error = generate(&mut some, on(name)).await.unwrap_err();
        refused(
            &error,
            Code::PermissionDenied,
            "MODEL_NOT_ALLOWED",
            "it is for t*",
        );
    }
    let error = generate(&mut with(&server, 2).await, on(""))
        .await
        .unwrap_err();
    refused(&error, Code::NotFound, "UNKNOWN_MODEL", "no model");
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_and_parity_are_for_admins() {
    let lines = ["root admin", "user", "part admin load=mine-*"];
    let server = start_with(&lines, |config| config.allow_load = true).await;
    let (mut root, mut user) = (with(&server, 0).await, with(&server, 1).await);
    let mut part = with(&server, 2).await;
    let denied = |error: Error| {
        refused(&error, Code::PermissionDenied, "NOT_ADMIN", "no leave to");
    };
    load(&mut root, "two", "shapes").await.unwrap();
    // Before anything is looked for on the server's disks.
    denied(load(&mut user, "x", "/no/such/folder").await.unwrap_err());
    denied(user.unload_model("two").await.unwrap_err());
    denied(user.unload_model("gone").await.unwrap_err());
    denied(
        user.load_projector("two", "p", "/etc/passwd")
            .await
            .unwrap_err(),
    );
    denied(part.unload_model("two").await.unwrap_err());
    denied(load(&mut part, "yours", "shapes").await.unwrap_err());
    load(&mut part, "mine-1", "shapes").await.unwrap();
    part.unload_model("mine-1").await.unwrap();
    let parity = async |client: &mut Client| {
        let mut stream = client.check_parity("two").await?;
        while stream.message().await?.is_some() {}
        Ok::<_, Error>(())
    };
    denied(parity(&mut user).await.unwrap_err());
    parity(&mut root).await.unwrap();
    root.unload_model("two").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_activations_are_their_owners_alone() {
    let server = start(&["one", "other"]).await;
    let (mut one, mut other) = (with(&server, 0).await, with(&server, 1).await);
    let prompt_alone = v1::Target {
        steps: Some(v1::Steps {
            first: 0,
            last: Some(0),
        }),
        ..target("language_model.blocks.3.hook_resid_pre")
    };
    let request = CaptureRequest {
        prompt: ask(vec![]).prompt,
        targets: vec![v1::CaptureTarget {
            target: Some(prompt_alone.clone()),
            keep: true,
            ..Default::default()
        }],
        ..Default::default()
    };
    let finished = one.capture(request).await.unwrap().finish().await.unwrap();
    let patched = |handle: &str| {
        let patch = v1::Patch {
            target: Some(prompt_alone.clone()),
            source: Some(Source::Handle(handle.into())),
        };
        ask(vec![Intervention {
            kind: Some(Kind::Patch(patch)),
        }])
    };
    let handle = &finished.kept[0].handle;
    generate(&mut one, patched(handle)).await.unwrap();
    // Word for word what is said of a handle that never was.
    let unknown = "0".repeat(64);
    let hidden = generate(&mut other, patched(handle)).await.unwrap_err();
    let missing = generate(&mut other, patched(&unknown)).await.unwrap_err();
    assert_eq!(hidden.code(), Some(Code::NotFound));
    assert_eq!(
        hidden.to_string().replace(handle.as_str(), &unknown),
        missing.to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_key_make_no_room_for_anothers() {
    let size = numbered(0).len() as u64 + 256;
    let server = start_with(&["one", "other", "tiny upload=100B"], |config| {
        // 21 pictures for each of two.
        config.limits.upload_bytes = 42 * size + 100;
    })
    .await;
    let (mut one, mut other) = (with(&server, 0).await, with(&server, 1).await);
    let mut kept = Vec::new();
    for i in 0..21 {
        kept.push(other.upload_image(numbered(i)).await.unwrap());
    }
    for i in 0..40 {
        one.upload_image(numbered(100 + i)).await.unwrap();
    }
    let with_image = |image: &v1::Image| {
        let mut request = ask(vec![]);
        request.max_tokens = 1;
        request.prompt.as_mut().unwrap().images = vec![image.clone()];
        request
    };
    // 40 uploads of one key evicted 19 of another's 21 before; now none.
    for image in &kept {
        generate(&mut other, with_image(image)).await.unwrap();
    }
    // The same bytes of another key are owned by both.
    let error = generate(&mut one, with_image(&kept[0])).await.unwrap_err();
    refused(&error, Code::NotFound, "UNKNOWN_IMAGE", "no picture");
    let same = one.upload_image(numbered(0)).await.unwrap();
    assert_eq!(same, kept[0]);
    generate(&mut one, with_image(&same)).await.unwrap();
    let error = with(&server, 2)
        .await
        .upload_image(picture())
        .await
        .unwrap_err();
    refused(
        &error,
        Code::ResourceExhausted,
        "KEY_QUOTA",
        "would be kept; 100 are",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn models_come_from_the_roots_alone() {
    let root = std::path::Path::new(FOLDER).join("tiny-next-llama");
    let server = start_with(&["root admin"], |config| {
        config.allow_load = true;
        let hub = Some("llava-hf/*".parse().unwrap());
        config.places = scotoma::pipeline::Places::new(std::slice::from_ref(&root), hub).unwrap();
    })
    .await;
    let mut admin = with(&server, 0).await;
    let inside = root.join("model").display().to_string();
    load(&mut admin, "inside", &inside).await.unwrap();
    // What is there and what is not read alike.
    let outside = format!("{FOLDER}/tiny-llava/model");
    let (there, gone) = (outside.as_str(), "/no/such/folder");
    let mut said = Vec::new();
    for place in [there, gone, "../tests", "other/model"] {
        let error = load(&mut admin, "outside", place).await.unwrap_err();
        refused(
            &error,
            Code::PermissionDenied,
            "PLACE_NOT_ALLOWED",
            "not there, or not among",
        );
        said.push(error.to_string());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    let error = admin
        .load_projector("inside", "p", "/etc/passwd")
        .await
        .unwrap_err();
    refused(
        &error,
        Code::PermissionDenied,
        "PLACE_NOT_ALLOWED",
        "file: not there",
    );
    // No name forges a line of a log.
    let error = load(&mut admin, "a\nb", &inside).await.unwrap_err();
    refused(
        &error,
        Code::InvalidArgument,
        "INVALID_FIELD",
        "none of them a line break",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_the_client_comes_back() {
    let server = start(&["one"]).await;
    let ask = async |id: &str| {
        let headers = format!("Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\n{id}");
        let line = "POST /scotoma.v1.ModelService/ListModels";
        // Without a key: what is refused has an id, too.
        http(&server.address, line, &headers, &[0; 5]).await
    };
    let response = ask("X-Request-Id: run-7/3\r\n").await;
    assert!(response.contains("x-request-id: run-7/3"), "{response}");
    let response = ask("X-Request-Id: a b\r\n").await;
    assert!(
        response.contains("x-request-id: ") && !response.contains("a b"),
        "{response}"
    );
}

/// Asks once, with a key of its own for the call, and returns the response's messages.
async fn call(
    server: &Running,
    key: usize,
    call: &str,
    request: GenerateRequest,
) -> Result<tonic::Streaming<v1::GenerateResponse>, tonic::Status> {
    call_within(None, server, key, call, request).await
}

/// The same with a deadline.
async fn call_within(
    timeout: Option<Duration>,
    server: &Running,
    key: usize,
    call: &str,
    request: GenerateRequest,
) -> Result<tonic::Streaming<v1::GenerateResponse>, tonic::Status> {
    let endpoint = tonic::transport::Endpoint::from_shared(server.address.clone()).unwrap();
    let mut service = InferenceServiceClient::new(endpoint.connect().await.unwrap());
    let mut request = tonic::Request::new(request);
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let metadata = request.metadata_mut();
    let bearer = format!("Bearer {}", key.to_string().repeat(40));
    metadata.insert("authorization", bearer.parse().unwrap());
    metadata.insert("idempotency-key", call.parse().unwrap());
    Ok(service.generate(request).await?.into_inner())
}

/// Reads an answer to its end: the id of the run, and the text.
async fn read(
    mut stream: tonic::Streaming<v1::GenerateResponse>,
) -> Result<(String, String), tonic::Status> {
    let (mut id, mut text) = (String::new(), String::new());
    while let Some(message) = stream.message().await? {
        match message.event.unwrap() {
            generate_response::Event::Started(started) => id = started.request_id,
            generate_response::Event::Token(token) => text.push_str(&token.text),
            generate_response::Event::Finished(finished) => assert_eq!(text, finished.text),
        }
    }
    Ok((id, text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_the_last_of_its_calls() {
    let server = start(&["one"]).await;
    let timeout = Some(Duration::from_millis(400));
    let mut first = call_within(timeout, &server, 0, "a", long()).await.unwrap();
    first.message().await.unwrap().unwrap();
    let patient = call(&server, 0, "a", long()).await.unwrap();
    let (first, patient) = tokio::join!(read(first), read(patient));
    // A machine may write it all in that time.
    if let Err(error) = first {
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    }
    assert!(patient.unwrap().1.len() > 1000, "the whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_tried_again_is_one_run() {
    let server = start(&["one", "other"]).await;
    let first = read(call(&server, 0, "a", ask(vec![])).await.unwrap())
        .await
        .unwrap();
    let again = read(call(&server, 0, "a", ask(vec![])).await.unwrap())
        .await
        .unwrap();
    assert_eq!(first, again, "the same run, from its beginning");
    let another = read(call(&server, 0, "b", ask(vec![])).await.unwrap())
        .await
        .unwrap();
    let others = read(call(&server, 1, "a", ask(vec![])).await.unwrap())
        .await
        .unwrap();
    assert!(first.0 != another.0 && first.0 != others.0 && first.1 == another.1);

    let error = call(&server, 0, "a", long()).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(
        error.message().contains("came with another request"),
        "{error}"
    );
    let error = call(&server, 0, &"a".repeat(129), long())
        .await
        .unwrap_err();
    assert!(error.message().contains("visible ASCII"), "{error}");

    // Two at once, and one that has left in the middle: each reads the whole.
    let mut left = call(&server, 0, "c", long()).await.unwrap();
    for _ in 0..3 {
        left.message().await.unwrap().unwrap();
    }
    drop(left);
    let one = call(&server, 0, "c", long()).await.unwrap();
    let two = call(&server, 0, "c", long()).await.unwrap();
    let (one, two) = tokio::join!(read(one), read(two));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one == two && one.1.len() > 1000, "{}", one.1.len());

    // What has failed is tried anew.
    let mut bad = ask(vec![]);
    bad.max_tokens = 1;
    bad.model = "none".into();
    for _ in 0..2 {
        let error = call(&server, 0, "d", bad.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
    read(call(&server, 0, "d", ask(vec![])).await.unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_be_replayed_says_so() {
    let server = start_with(&["one"], |config| config.replay_bytes = 10_000).await;
    let (_, text) = read(call(&server, 0, "large", long()).await.unwrap())
        .await
        .unwrap();
    assert!(text.len() > 1000);
    let error = call(&server, 0, "large", long()).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("too large to be kept"), "{error}");
    // Small answers make room for each other.
    for i in 0..20 {
        let key = i.to_string();
        read(call(&server, 0, &key, ask(vec![])).await.unwrap())
            .await
            .unwrap();
    }
    let error = call(&server, 0, "0", ask(vec![])).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    read(call(&server, 0, "19", ask(vec![])).await.unwrap())
        .await
        .unwrap();
}
