//! Going down: what runs finishes, and nobody on the other side keeps the server.

use std::time::{Duration, Instant};

use scotoma::server::{self, ServerConfig};
use scotoma_client::v1::benchmark_service_client::BenchmarkServiceClient;
use scotoma_client::v1::sweep_request::Input;
use scotoma_client::v1::{ListModelsRequest, SweepVariant, model_service_client};
use scotoma_client::{Error, SweepRequest, permute_tokens};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;

use crate::common::{Running, ask, long};

fn config(drain_timeout: u64) -> ServerConfig {
    ServerConfig {
        drain_timeout: Duration::from_secs(drain_timeout),
        ..ServerConfig::shapes()
    }
}

/// Takes the server down; returns how long that took, and how many requests were cut off.
async fn go_down(server: Running) -> (Duration, usize) {
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), server.task)
        .await
        .expect("it has to end")
        .unwrap();
    let cut_off = match ended {
        Ok(()) => 0,
        Err(server::Error::CutOff { requests }) => requests,
        Err(error) => panic!("{error}"),
    };
    (begun.elapsed(), cut_off)
}

async fn raw(server: &Running, bytes: &[u8]) -> TcpStream {
    let address = server.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    // The server has to have seen it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream
}

/// Streams without an end, and connections that say nothing or half a word, are not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_nothing_keeps_no_server() {
    let server = Running::start(config(60)).await;
    let channel = tonic::transport::Endpoint::from_shared(server.address.clone())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let request = tonic_health::pb::HealthCheckRequest {
        service: String::new(),
    };
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    let client = server.client().await;
    let silent = raw(&server, b"").await;
    let half_head = raw(&server, b"GET /metrics HTTP/1.1\r\nHost: a").await;
    let half_preface = raw(&server, b"PRI * HTTP/2.0\r\n").await;
    let (took, cut_off) = go_down(server).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(cut_off, 0, "streams without an end are nobody's work");
    // The watcher is told why.
    let status = loop {
        match watch.message().await {
            Ok(Some(response)) => assert_eq!(response.status, 2, "NOT_SERVING"),
            Ok(None) => panic!("it ended well"),
            Err(status) => break Error::from(status),
        }
    };
    assert_eq!(status.code(), Some(Code::Unavailable), "{status}");
    drop((client, silent, half_head, half_preface));
}

/// A client that does not read its answer is cut off at the end of the drain timeout; an Evaluate
/// without a header is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_drain_timeout_bounds_the_end() {
    let server = Running::start(config(1)).await;
    let mut client = server.client().await;
    let variants = (0..2000)
        .map(|seed| SweepVariant {
            interventions: vec![permute_tokens(seed)],
        })
        .collect();
    let request = SweepRequest {
        input: Some(Input::Generate(ask(vec![]))),
        variants,
        grid: None,
    };
    // Nobody reads it: the windows of HTTP/2 fill up.
    let unread = client.sweep(request).await.unwrap();
    let mut benchmarks = BenchmarkServiceClient::connect(server.address.clone())
        .await
        .unwrap();
    let headless = tokio::spawn(async move {
        benchmarks
            .evaluate(tokio_stream::pending())
            .await
            .unwrap_err()
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (took, cut_off) = go_down(server).await;
    assert_eq!(cut_off, 1);
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
    let headless = Error::from(headless.await.unwrap());
    assert_eq!(headless.code(), Some(Code::Unavailable), "{headless}");
    assert!(headless.retry_after().is_some(), "{headless}");
    drop(unread);
}

/// What is cut off is told so.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_ends_with_unavailable() {
    let server = Running::start(config(0)).await;
    let mut client = server.client().await;
    let mut answer = client.generate(long()).await.unwrap();
    answer.next().await.unwrap();
    let (took, cut_off) = go_down(server).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(cut_off, 1, "whoever started the server hears of it");
    let cut = loop {
        match answer.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!(cut.code(), Some(Code::Unavailable), "{cut}");
    assert!(cut.retry_after().is_some(), "{cut}");
}

/// Calls that need no engine are refused as well: the next server knows what is true of it.
#[tokio::test(flavor = "multi_thread")]
async fn new_calls_are_refused_while_others_finish() {
    let server = Running::start(config(60)).await;
    let mut client = server.client().await;
    let mut answer = client.generate(long()).await.unwrap();
    answer.next().await.unwrap();
    let mut models = model_service_client::ModelServiceClient::connect(server.address.clone())
        .await
        .unwrap();
    let down = tokio::spawn(go_down(server));
    let refused = loop {
        match models.list_models(ListModelsRequest {}).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(status) => break Error::from(status),
        }
    };
    let Error::Server { code, reason, .. } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(
        (*code, reason.as_deref()),
        (Code::Unavailable, Some("DRAINING"))
    );
    assert!(refused.retry_after().is_some());
    answer.finish().await.unwrap();
    down.await.unwrap();
}
