//! No tensor of a device is dropped away from the thread that owns the device, and days that
//! repeat leave nothing in memory.
//!
//! Here the device is a CPU, and an allocator stands in for its driver: it notes which thread made
//! each piece of memory that may be a tensor's, and counts those that a thread which owns a device
//! has made and another one frees. It counts the bytes that are live, too. The requests are those
//! of a day on a server.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_ptr_alignment,
    unsafe_code,
    reason = "a test; an allocator is unsafe by nature, and its notes stand at multiples of 8"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use common::{FOLDER, Running, ask, eventually, long, picture};
use prost::Message as _;
use scotoma::api::v1 as server;
use scotoma::model::Source;
use scotoma::nn::Home;
use scotoma::server::{ModelSpec, ServerConfig};
use scotoma_client::v1::benchmark_service_client::BenchmarkServiceClient;
use scotoma_client::v1::{self, load_model_response};
use scotoma_client::{Client, Intervention, prompt};
use serde_json::{Value, json};

/// Notes the maker of memory behind it.
struct Watch;

#[global_allocator]
static WATCH: Watch = Watch;

const NEXT: &str = "tiny-next-llama/model";

/// Tests take turns: they read the same counts.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
static MADE: AtomicUsize = AtomicUsize::new(0);
static STRAYS: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the last stray.
static LAST: AtomicUsize = AtomicUsize::new(0);
static THREADS: AtomicUsize = AtomicUsize::new(1);
/// Bytes that are asked for and not given back.
static LIVE: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(0) };
}

fn thread() -> usize {
    THREAD
        .try_with(|number| {
            if number.get() == 0 {
                number.set(THREADS.fetch_add(1, Ordering::Relaxed));
            }
            number.get()
        })
        .unwrap_or(0)
}

/// Returns the layout with room for a note, and the place of the note; `None` for what can be no
/// tensor: candle keeps numbers of two or four bytes in a vector of them, and anything small may
/// as well be a list of tokens.
fn noted(layout: Layout) -> Option<(Layout, usize)> {
    if layout.size() < 1 << 10 || !matches!(layout.align(), 2 | 4) {
        return None;
    }
    let place = layout.size().next_multiple_of(8);
    let whole = Layout::from_size_align(place + 8, 8).ok()?;
    Some((whole, place))
}

// Safety: all memory is the system allocator's, of the layout asked for or a larger one, and given
// back with the layout that it was taken with.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        let Some((whole, place)) = noted(layout) else {
            return unsafe { System.alloc(layout) };
        };
        let memory = unsafe { System.alloc(whole) };
        if !memory.is_null() {
            let owner = if scotoma::nn::is_home() {
                MADE.fetch_add(1, Ordering::Relaxed);
                thread()
            } else {
                0
            };
            unsafe { memory.add(place).cast::<usize>().write(owner) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        let Some((whole, place)) = noted(layout) else {
            return unsafe { System.dealloc(memory, layout) };
        };
        let owner = unsafe { memory.add(place).cast::<usize>().read() };
        if owner != 0 && owner != thread() {
            STRAYS.fetch_add(1, Ordering::Relaxed);
            LAST.store(layout.size(), Ordering::Relaxed);
        }
        unsafe { System.dealloc(memory, whole) };
    }
}

fn strays() -> usize {
    STRAYS.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_stray_is_found() {
    let _turn = TURN.lock().await;
    let before = strays();
    let make = || {
        let home = Home::here();
        let raw = Tensor::ones((64, 64), DType::F32, &Device::Cpu).unwrap();
        let kept = Tensor::ones((64, 64), DType::F32, &Device::Cpu).unwrap();
        (raw, home.keep(kept).unwrap())
    };
    let (raw, kept) = std::thread::spawn(make).join().unwrap();
    drop(kept);
    assert_eq!(strays(), before, "a kept tensor is no stray");
    drop(raw);
    assert_eq!(strays(), before + 1, "a tensor dropped elsewhere is one");
    STRAYS.store(before, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_requests_leave_no_strays() {
    let _turn = TURN.lock().await;
    let before = strays();
    let server = Running::start(a_days_server()).await;
    let mut client = server.client().await;
    a_day(&server, &mut client, |what| {
        let (found, last) = (strays() - before, LAST.load(Ordering::SeqCst));
        assert_eq!(found, 0, "after {what}: the last of {last} bytes");
    })
    .await;
    drop(client);
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
    // The engine's thread ends after the last handle to it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let last = LAST.load(Ordering::SeqCst);
    assert_eq!(strays() - before, 0, "at the end: the last of {last} bytes");
    assert_eq!(scotoma::nn::strays(), 0, "values asked for elsewhere");
    let made = MADE.load(Ordering::SeqCst);
    assert!(made > 1000, "the allocator saw {made} tensors");
}

fn a_days_server() -> ServerConfig {
    let mut config = ServerConfig::shapes();
    config.models = vec![
        ModelSpec::new("shapes", scotoma::model::shapes()),
        ModelSpec::new("next", Source::Folder(folder(NEXT))),
    ];
    config.saliency = vec![("dino".into(), Source::Folder(folder("tiny-dino")))];
    config.allow_load = true;
    config
}

/// Makes a day's requests, which unload the model `next`; `check` looks at what each left behind.
async fn a_day(server: &Running, client: &mut Client, check: impl Fn(&str)) {
    answers(client).await;
    check("answers");
    sweep(client).await;
    check("a sweep");
    captures(client).await;
    check("captures");
    parity(client).await;
    check("parity");
    evaluate(server).await;
    check("an evaluation");
    leave(server, client).await;
    check("leavers");
    load_and_unload(client).await;
    check("loading");
}

/// Days until what is kept on purpose is full.
const WARM: usize = 4;
/// Bytes that may come and go between two looks, some 2 KiB a request: lists that grow, threads that
/// begin, connections that are not gone yet on a busy machine.
const WAVERS: isize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn days_that_repeat_leave_nothing_in_memory() {
    let _turn = TURN.lock().await;
    let mut config = a_days_server();
    // Full after a few days, so that what grows afterwards is none of it; and names of calls are
    // remembered for ten minutes.
    (config.replay_bytes, config.limits.kept_bytes) = (0, 128 << 10);
    let server = Running::start(config).await;
    let (mut days, mut after) = (Vec::new(), Vec::new());
    for _ in 0..2 * WARM {
        let mut client = server.client().await;
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |what: &str| {
            let bytes = LIVE.load(Ordering::SeqCst);
            told.borrow_mut().push(format!("{what} {bytes}"));
        };
        a_day(&server, &mut client, tell).await;
        // Unloaded by the day before.
        load(&mut client, "next", &folder(NEXT), None).await;
        drop(client);
        days.push(live().await);
        after.push(told.into_inner().join(", "));
    }
    let grown = days[2 * WARM - 1] - days[WARM - 1];
    let after = after.join("\n");
    assert!(
        grown < WAVERS,
        "{grown} bytes in {WARM} days: {days:?}\n{after}"
    );
    server.end().await;
}

/// Returns the least that is live within a second: connections and runs that have ended take a
/// while to go.
async fn live() -> isize {
    let mut least = isize::MAX;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        least = least.min(LIVE.load(Ordering::SeqCst));
    }
    least
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(FOLDER).join(name)
}

/// The client's interventions from canonical JSON, read by the server's own messages.
fn list(json: &Value) -> Vec<Intervention> {
    let list: Vec<server::Intervention> = serde_json::from_value(json.clone()).unwrap();
    list.iter()
        .map(|i| Intervention::decode(i.encode_to_vec().as_slice()).unwrap())
        .collect()
}

/// Answers under interventions that bring tensors of their own, or measure before.
async fn answers(client: &mut Client) {
    let donor = base64(&picture());
    let all = json!({"anyOf": [{"named": "NAMED_VISUAL"}]});
    for (model, config) in [
        ("shapes", Path::new("models/shapes/config.json").to_owned()),
        ("next", folder("tiny-next-llama/model/config.json")),
    ] {
        let config: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
        let width = config["text_config"]["hidden_size"].as_u64().unwrap() as usize;
        let stream = json!({"point": "language_model.blocks.1.hook_resid_pre"});
        for interventions in [
            json!([]),
            json!([{"permuteTokens": {"seed": "1"}}]),
            json!([{"swapProjector": {"randomSeed": "3"}}]),
            json!([{"steer": {"target": stream, "vector": vec![0.5; width], "scale": 1.0}}]),
            json!([{"replaceTokens": {"donor": {"data": donor}}}]),
            json!([{"occludePatches": {"salient": {"share": 0.5, "model": "dino", "head": 1}}}]),
            json!([{"occludePatches": {"salient": {"share": 0.5}}}]),
            json!([{"pruneTokens": {"layer": 1, "keepShare": 0.5}}]),
            json!([{"knockOutAttention": {"layers": [1], "to": all}}]),
            json!([{"dropLayers": {"layers": [9999]}}]),
        ] {
            let wrong = interventions.to_string().contains("9999");
            let mut request = ask(list(&interventions));
            request.model = model.into();
            let answered = match client.generate(request).await {
                Ok(stream) => stream.finish().await.map(drop),
                Err(error) => Err(error),
            };
            let at = format!("{model} under {interventions:.80}: {answered:?}");
            assert_eq!(answered.is_ok(), !wrong, "{at}");
        }
    }
    let request = v1::ScoreRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        continuations: vec![" yes".into(), " no".into()],
        ..Default::default()
    };
    client.score(request).await.unwrap();
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn sweep(client: &mut Client) {
    let variants = (0..4).map(|layer| v1::SweepVariant {
        interventions: list(&json!([{"dropLayers": {"layers": [layer]}}])),
    });
    let request = v1::SweepRequest {
        input: Some(v1::sweep_request::Input::Generate(ask(vec![]))),
        variants: variants.collect(),
        ..Default::default()
    };
    let mut stream = client.sweep(request).await.unwrap();
    while stream.message().await.unwrap().is_some() {}
}

/// Captures rows, keeps them, and patches them in; and shows tokens by the logit lens.
async fn captures(client: &mut Client) {
    let target = |point: &str| {
        Some(v1::Target {
            point: point.into(),
            ..Default::default()
        })
    };
    let point = "language_model.blocks.3.hook_resid_pre";
    let mut targets = vec![v1::CaptureTarget {
        target: target(point),
        keep: true,
        ..Default::default()
    }];
    for point in [
        "vision_tower.blocks.1.hook_resid_post",
        "projector.hook_out",
    ] {
        targets.push(v1::CaptureTarget {
            target: target(point),
            ..Default::default()
        });
    }
    targets[0].target.as_mut().unwrap().steps = Some(v1::Steps {
        first: 0,
        last: Some(0),
    });
    targets.push(v1::CaptureTarget {
        target: target(point),
        reduction: v1::Reduction::TopTokens.into(),
        top: 3,
        ..Default::default()
    });
    let request = v1::CaptureRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        targets,
        ..Default::default()
    };
    let mut stream = client.capture(request).await.unwrap();
    while stream.next().await.unwrap().is_some() {}
    let kept = stream.finish().await.unwrap().kept[0].handle.clone();
    let patch =
        json!([{"patch": {"target": {"point": point, "steps": {"last": 0}}, "handle": kept}}]);
    let patched = client.generate(ask(list(&patch))).await.unwrap();
    patched.finish().await.unwrap();
}

async fn parity(client: &mut Client) {
    let mut check = client.check_parity("shapes").await.unwrap();
    while check.message().await.unwrap().is_some() {}
}

async fn evaluate(server: &Running) {
    let variants = [
        ("as it is", json!([])),
        ("dropped", json!([{"dropLayers": {"layers": [1]}}])),
    ];
    let variants = variants.map(|(name, interventions)| v1::EvaluateVariant {
        name: name.into(),
        interventions: list(&interventions),
        ..Default::default()
    });
    let header = v1::EvaluateHeader {
        rules: Some(v1::evaluate_header::Rules::Rule("shapes".into())),
        variants: variants.into(),
        ..Default::default()
    };
    let items = scotoma::benchmark::shapes().unwrap().into_iter().take(24);
    let samples = items.map(|item| v1::Sample {
        id: item.id,
        question: item.question,
        images: item.images.into_iter().map(scotoma_client::image).collect(),
        options: item.options,
        answer: item.answer,
        ..Default::default()
    });
    let mut asked = vec![v1::evaluate_request::Event::Header(header)];
    asked.extend(samples.map(v1::evaluate_request::Event::Sample));
    let asked = asked
        .into_iter()
        .map(|event| v1::EvaluateRequest { event: Some(event) });
    let mut service = BenchmarkServiceClient::connect(server.address.clone())
        .await
        .unwrap();
    let stream = service
        .evaluate(tokio_stream::iter(asked.collect::<Vec<_>>()))
        .await;
    let mut stream = stream.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
}

/// Leaves in the middle of answers, and lets deadlines pass.
async fn leave(server: &Running, client: &mut Client) {
    for _ in 0..4 {
        let mut stream = client.generate(long()).await.unwrap();
        stream.next().await.unwrap();
        drop(stream);
        let late = client
            .within(Duration::from_millis(5))
            .generate(long())
            .await;
        drop(late);
    }
    eventually("an idle engine", async || {
        let page = common::scrape(&server.address).await;
        common::metric(&page, "scotoma_requests_running ") == 0.0
    })
    .await;
}

/// Loads a model with an adapter, asks it, and unloads models while answers run.
async fn load_and_unload(client: &mut Client) {
    let folder = tempfile::tempdir().unwrap();
    write_adapter(folder.path());
    let next = self::folder(NEXT);
    load(client, "adapted", &next, Some(folder.path())).await;
    let projector = self::folder("tiny-next-llama/mm_projector.bin");
    let projector = projector.display().to_string();
    client
        .load_projector("adapted", "second", &projector)
        .await
        .unwrap();
    let swap = list(&json!([{"swapProjector": {"name": "second"}}]));
    for name in ["adapted", "next"] {
        let interventions = if name == "adapted" {
            swap.clone()
        } else {
            vec![]
        };
        let mut running = ask(interventions);
        (running.model, running.max_tokens) = (name.into(), 40);
        let mut stream = client.generate(running).await.unwrap();
        stream.next().await.unwrap();
        let mut other = client.clone();
        let unload = tokio::spawn(async move { other.unload_model(name).await });
        stream.finish().await.unwrap();
        unload.await.unwrap().unwrap();
    }
}

async fn load(client: &mut Client, name: &str, place: &Path, adapter: Option<&Path>) {
    let request = v1::LoadModelRequest {
        name: name.into(),
        place: place.display().to_string(),
        adapter: adapter.map_or_else(String::new, |folder| folder.display().to_string()),
        ..Default::default()
    };
    let mut stream = client.load_model(request).await.unwrap();
    let mut loaded = false;
    while let Some(response) = stream.message().await.unwrap() {
        loaded |= matches!(response.event, Some(load_model_response::Event::Model(_)));
    }
    assert!(loaded);
}

/// An adapter of one product of the language model.
fn write_adapter(folder: &Path) {
    let config: Value = serde_json::from_slice(
        &std::fs::read(self::folder("tiny-next-llama/model/config.json")).unwrap(),
    )
    .unwrap();
    let text = &config["text_config"];
    let number = |field: &str| text[field].as_u64().unwrap() as usize;
    let (width, out) = (
        number("hidden_size"),
        number("num_attention_heads") * number("head_dim"),
    );
    let adapter =
        json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]});
    std::fs::write(folder.join("adapter_config.json"), adapter.to_string()).unwrap();
    let at = "base_model.model.language_model.model.layers.0.self_attn.q_proj";
    let ones = |shape: (usize, usize)| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let tensors = HashMap::from([
        (format!("{at}.lora_A.weight"), ones((2, width))),
        (format!("{at}.lora_B.weight"), ones((out, 2))),
    ]);
    candle_core::safetensors::save(&tensors, folder.join("adapter_model.safetensors")).unwrap();
}
