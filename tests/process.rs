//! Tests of what belongs to the whole process: metrics, memory, the panic hook. They share no
//! process with other tests, and run one after the other.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Running, ask, eventually, long, metric, scrape};
use scotoma::server::{ApiKeys, ServerConfig};
use scotoma_client::v1::{
    self, benchmark_service_client::BenchmarkServiceClient, evaluate_header::Rules,
    generate_response::Event, inference_service_client::InferenceServiceClient,
    sweep_request::Input,
};
use scotoma_client::{
    Client, Connect, Error, GenerateRequest, Parquet, SweepRequest, drop_layers, permute_tokens,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A smaller context and a smaller queue than the default, to run into.
fn config() -> ServerConfig {
    let mut config = ServerConfig::shapes();
    config.limits.images = 3;
    config
}

async fn generate(client: &mut Client, request: GenerateRequest) -> Result<v1::Finished, Error> {
    client.generate(request).await?.finish().await
}

async fn running_requests(address: &str) -> f64 {
    metric(&scrape(address).await, "scotoma_requests_running")
}

#[tokio::test(flavor = "multi_thread")]
async fn leavers_deadlines_and_full_queues() {
    let _alone = ALONE.lock().await;
    let mut config = config();
    config.engine.queue = 1;
    config.engine.running = 1;
    let server = Running::start(config).await;
    let mut client = server.client().await;

    let mut answer = client.generate(long()).await.unwrap();
    answer.next().await.unwrap();
    eventually("a running request", async || {
        running_requests(&server.address).await >= 1.0
    })
    .await;
    // One runs, one may wait, the third is refused and told when to come back.
    let waiting = client.generate(ask(vec![])).await.unwrap();
    let error = generate(&mut client, ask(vec![])).await.unwrap_err();
    let Error::Server {
        code,
        reason,
        retry_after,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (code, reason.as_deref()),
        (Code::ResourceExhausted, Some("QUEUE_FULL"))
    );
    assert!(retry_after.is_some_and(|d| d > Duration::ZERO));
    // Who leaves makes room.
    drop(answer);
    waiting.finish().await.unwrap();
    eventually("an empty batch", async || {
        running_requests(&server.address).await < 1.0
    })
    .await;

    let mut request = tonic::Request::new(long());
    request.set_timeout(Duration::from_millis(150));
    let error = match client.generate(request).await {
        Ok(answer) => answer.finish().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(
        matches!(error.code(), Some(Code::DeadlineExceeded | Code::Cancelled)),
        "{error}"
    );
    eventually("an empty batch", async || {
        running_requests(&server.address).await < 1.0
    })
    .await;

    // The server's own word in the trailers, seen by a client that keeps no clock.
    let mut raw = InferenceServiceClient::connect(server.address.clone())
        .await
        .unwrap();
    let mut request = tonic::Request::new(long());
    request
        .metadata_mut()
        .insert("grpc-timeout", "150m".parse().unwrap());
    let status = match raw.generate(request).await {
        // On a busy machine it may pass before the stream begins.
        Err(status) => status,
        Ok(stream) => {
            let mut stream = stream.into_inner();
            loop {
                match stream.message().await {
                    Ok(Some(message)) => {
                        assert!(!matches!(message.event, Some(Event::Finished(_))));
                    }
                    Ok(None) => panic!("ended well"),
                    Err(status) => break status,
                }
            }
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

/// A way to a server that can lose everything on it without a word, as networks do: its address,
/// and what makes it do so.
async fn relay(to: &str) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, to) = (
        format!("http://{}", listener.local_addr().unwrap()),
        to.trim_start_matches("http://").to_owned(),
    );
    let (lose, lost) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = TcpStream::connect(&to).await.unwrap().into_split();
            tokio::spawn(carry(from_client, to_server, lost.clone()));
            tokio::spawn(carry(from_server, to_client, lost.clone()));
        }
    });
    (address, lose)
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut lost: watch::Receiver<bool>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !*lost.borrow() && to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // Not even an end is told.
    if *lost.borrow() {
        let _ = lost.wait_for(|lost| !lost).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_silent_is_given_up() {
    let _alone = ALONE.lock().await;
    let server = Running::start(ServerConfig {
        keepalive: Duration::from_secs(1),
        ..config()
    })
    .await;
    let (address, lose) = relay(&server.address).await;
    let mut service = BenchmarkServiceClient::connect(address).await.unwrap();
    let (questions, asked) = mpsc::channel(1);
    let header = v1::EvaluateHeader {
        rules: Some(Rules::Rule("shapes".into())),
        ..Default::default()
    };
    let event = Some(v1::evaluate_request::Event::Header(header));
    questions.send(v1::EvaluateRequest { event }).await.unwrap();
    let mut stream = service
        .evaluate(ReceiverStream::new(asked))
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let cancelled = async || {
        let of_evaluate = |line: &str| {
            line.contains("method=\"Evaluate\"") && line.contains("code=\"Cancelled\"")
        };
        scrape(&server.address).await.lines().any(of_evaluate)
    };
    // A connection that answers lives on, however long nothing is asked.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!cancelled().await);
    lose.send(true).unwrap();
    eventually("the server lets go", cancelled).await;
    drop((questions, stream, lose));
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrape_agrees_with_the_table() {
    use scotoma::telemetry::{METRICS, MetricKind};
    let _alone = ALONE.lock().await;
    let server = Running::start(config()).await;
    let mut client = server.client().await;
    generate(&mut client, ask(vec![permute_tokens(1)]))
        .await
        .unwrap();
    let mut check = client.check_parity("").await.unwrap();
    let mut report = None;
    while let Some(response) = check.message().await.unwrap() {
        report = response.event;
    }
    let Some(v1::check_parity_response::Event::Report(report)) = report else {
        panic!("no report")
    };
    assert!(
        report.passed && report.max_relative_error > 0.0,
        "{report:?}"
    );
    eventually("a counted request", async || {
        scrape(&server.address).await.contains(r#"code="Ok""#)
    })
    .await;
    let text = scrape(&server.address).await;
    let types: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE "))
        .filter_map(|l| l.split_once(' '))
        .collect();
    for (name, kind) in &types {
        let row = METRICS
            .iter()
            .find(|m| m.name == *name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        let expected = match row.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        assert_eq!(*kind, expected, "{name}");
    }
    // Rejections happen in another test, judges in none of this process.
    let elsewhere = [
        "scotoma_requests_rejected_total",
        "scotoma_judge_requests_total",
        // With --metrics-by-key, on a GPU, and where the address space is bounded.
        "scotoma_key_requests_total",
        "scotoma_key_rows_total",
        "scotoma_device_memory_used_bytes",
        "scotoma_device_memory_bytes",
        "scotoma_device_utilization_ratio",
        "process_virtual_memory_max_bytes",
        // Behind TLS.
        "scotoma_certificate_end_timestamp_seconds",
    ];
    for row in METRICS.iter().filter(|m| !elsewhere.contains(&m.name)) {
        assert!(
            types.iter().any(|t| t.0 == row.name),
            "{} was not scraped",
            row.name
        );
        let sample = if row.kind == MetricKind::Histogram {
            format!("{}_count{{", row.name)
        } else {
            format!("{}{{", row.name)
        };
        let line = text.lines().find(|l| l.starts_with(&sample));
        for label in row.labels {
            assert!(
                line.is_some_and(|l| l.contains(&format!("{label}=\""))),
                "{} lacks label {label}",
                row.name
            );
        }
    }
    assert!(
        text.contains(r#"method="Generate",model="shapes",code="Ok""#),
        "the status at the end of the stream"
    );
}

/// Layers by seeds.
fn grid(layers: u32, seeds: u32) -> v1::SweepGrid {
    v1::SweepGrid {
        interventions: vec![drop_layers([0]), permute_tokens(0)],
        axes: vec![
            axis(
                "interventions[0].drop_layers.layers[0]",
                0.0,
                f64::from(layers - 1),
            ),
            axis(
                "interventions[1].permute_tokens.seed",
                0.0,
                f64::from(seeds - 1),
            ),
        ],
    }
}

fn axis(field: &str, first: f64, last: f64) -> v1::SweepAxis {
    let range = v1::SweepRange {
        first,
        last,
        step: 0.0,
    };
    v1::SweepAxis {
        field: field.into(),
        values: Some(v1::sweep_axis::Values::Range(range)),
    }
}

/// What a quota refuses has not been applied.
#[tokio::test(flavor = "multi_thread")]
async fn interventions_are_counted_once_they_are_admitted() {
    let _alone = ALONE.lock().await;
    let key = "7".repeat(40);
    let line = ApiKeys::line("small", &key).unwrap();
    let server = Running::start(ServerConfig {
        keys: ApiKeys::parse(&format!("{line} rows-per-minute=100")).unwrap(),
        ..config()
    })
    .await;
    let connect = Connect::to(&server.address).api_key(key);
    let mut client = connect.patience(Duration::ZERO).connect().await.unwrap();
    let applied = async || {
        let page = scrape(&server.address).await;
        let of_kind = page.lines().filter(|l| {
            l.starts_with("scotoma_interventions_applied_total{kind=\"permute_tokens\"")
        });
        of_kind.map(|l| metric(l, "scotoma_")).sum::<f64>()
    };
    let before = applied().await;
    let request = SweepRequest {
        input: Some(Input::Generate(ask(vec![]))),
        grid: Some(grid(1, 4)),
        ..Default::default()
    };
    // The first is more than a minute's quota, which it may exceed alone; the second has to wait.
    let mut ended = Vec::new();
    for _ in 0..2 {
        let mut stream = client.sweep(request.clone()).await;
        if let Ok(stream) = &mut stream {
            while let Ok(Some(_)) = stream.message().await {}
        }
        ended.push(applied().await - before);
    }
    assert_eq!(
        ended,
        [4.0, 4.0],
        "the second was refused, and applied none"
    );
}

/// Whoever leaves in the middle of sweeps frees what they held, and the metrics say what was
/// shared.
#[tokio::test(flavor = "multi_thread")]
async fn leavers_free_their_memory() {
    let _alone = ALONE.lock().await;
    let server = Running::start(ServerConfig::shapes()).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut client = server.client().await;
        let request = SweepRequest {
            input: Some(Input::Generate(ask(vec![]))),
            grid: Some(grid(8, 50)),
            ..Default::default()
        };
        let mut stream = client.sweep(request).await.unwrap();
        stream.message().await.unwrap();
        streams.push(stream);
    }
    drop(streams);
    let mut client = server.client().await;
    client
        .generate(ask(vec![]))
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    for _ in 0..200 {
        let text = scrape(&server.address).await;
        if metric(&text, "scotoma_requests_running") == 0.0
            && metric(&text, "scotoma_checkpoint_bytes") == 0.0
        {
            assert!(metric(&text, "scotoma_rows_reused_total") > 0.0);
            assert!(metric(&text, "scotoma_kv_cache_bytes") < 64e6);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!(
        "something is still held:\n{}",
        scrape(&server.address).await
    );
}

/// Reads a damaged file to its end; the text of what happened.
fn read(bytes: &[u8], folder: &Path) -> String {
    let path = folder.join("damaged.parquet");
    std::fs::write(&path, bytes).unwrap();
    match Parquet::open(&path) {
        Err(error) => error.to_string(),
        Ok(file) => match file.take(2000).find_map(Result::err) {
            Some(error) => error.to_string(),
            None => "read".into(),
        },
    }
}

/// The most memory that this process has held, in bytes.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? << 10)
}

#[test]
fn damaged_parquet_files_are_errors_and_cost_little() {
    let _alone = ALONE.blocking_lock();
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables");
    let folder = tempfile::tempdir().unwrap();
    // The library's panics are caught; their words would fill the output.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut random = 7u64;
    let mut draw = move |below: usize| {
        // SplitMix64.
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    };
    let (mut files, mut refused) = (0, 0);
    for name in [
        "mmvp",
        "mathvista",
        "mmstar",
        "mmvet",
        "llavaw",
        "sqa",
        "encodings",
    ] {
        let whole = std::fs::read(tables.join(format!("{name}.parquet"))).unwrap();
        assert_eq!(read(&whole, folder.path()), "read", "{name}");
        let footer = whole.len()
            - 8
            - u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap())
                as usize;
        for i in 0..300 {
            let mut bytes = whole.clone();
            match i % 4 {
                0 => bytes.truncate(draw(whole.len())),
                1 => (0..=draw(4)).for_each(|_| bytes[draw(whole.len())] = draw(256) as u8),
                // The metadata, where every byte says something of sizes.
                2 => (0..=draw(3)).for_each(|_| {
                    bytes[footer + draw(whole.len() - 8 - footer)] = [0xff, 0x7f, 0, 0x80][draw(4)];
                }),
                _ => {
                    let (from, to, length) = (draw(whole.len()), draw(whole.len()), draw(64));
                    let part: Vec<u8> = whole.iter().skip(from).take(length).copied().collect();
                    bytes.splice(to.min(bytes.len())..(to + length).min(bytes.len()), part);
                }
            }
            let said = read(&bytes, folder.path());
            files += 1;
            refused += usize::from(said != "read");
            assert!(said == "read" || said.contains("damaged.parquet"), "{said}");
        }
    }
    std::panic::set_hook(hook);
    println!(
        "{files} damaged files, {refused} refused, at most {:?} MiB",
        peak().map(|p| p >> 20)
    );
    assert!(refused > files / 3);
    assert!(peak().is_none_or(|peak| peak < 256 << 20), "{:?}", peak());
}
