//! The Rust client while servers change: calls that wait, and benchmarks that go on.

use std::path::Path;
use std::time::{Duration, Instant};

use scotoma::benchmark::shapes;
use scotoma::server::ServerConfig;
use scotoma_client::v1::benchmark_service_server::{BenchmarkService, BenchmarkServiceServer};
use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::tokens::Named;
use scotoma_client::v1::{
    DescribeRequest, DescribeResponse, EvaluateHeader, EvaluateRequest, EvaluateResponse,
    EvaluateStarted, EvaluateVariant, Image, Reduction, Sample, SampleResult, Steps,
    evaluate_response,
};
use scotoma_client::{
    Client, Connect, Error, Evaluation, GenerateRequest, Intervention, permute_tokens, prompt,
};
use serde_json::json;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::common::{Running, picture};
use crate::interventions::{capture, captured, of};

const QUESTION: &str = "Is there a red circle?";

fn samples(count: usize) -> Vec<Result<Sample, Error>> {
    let items = shapes().unwrap().into_iter().take(count);
    let samples = items.map(|item| Sample {
        id: item.id.clone(),
        images: item.images.into_iter().map(scotoma_client::image).collect(),
        question: item.question,
        options: item.options,
        answer: item.answer,
        category: item.category,
        ..Sample::default()
    });
    samples.map(Ok).collect()
}

fn variant(name: &str, interventions: Vec<Intervention>) -> EvaluateVariant {
    EvaluateVariant {
        name: name.into(),
        interventions,
        ..EvaluateVariant::default()
    }
}

fn header() -> EvaluateHeader {
    EvaluateHeader {
        rules: Some(Rules::Rule("shapes".into())),
        variants: vec![
            variant("original", Vec::new()),
            variant("permuted", vec![permute_tokens(7)]),
        ],
        ..EvaluateHeader::default()
    }
}

async fn evaluate(client: &mut Client, count: usize, results: Option<&Path>) -> Evaluation {
    let samples = tokio_stream::iter(samples(count));
    client.evaluate(header(), samples, results).await.unwrap()
}

/// Reads to the end; returns the names and digests of all results.
async fn read(run: &mut Evaluation, found: &mut Vec<(String, String, String)>) {
    let name = |r: SampleResult| (r.id, r.variant, r.output_digest);
    while let Some(result) = run.next().await.unwrap() {
        found.push(name(result));
    }
    found.sort();
}

async fn connect(servers: &[&Running], patience: Duration) -> Client {
    let addresses = servers.iter().map(|server| server.address.as_str());
    let connect = Connect::to_all(addresses).patience(patience).connect();
    connect.await.unwrap()
}

fn ask(images: Vec<Image>) -> GenerateRequest {
    let mut prompt = prompt(QUESTION, []);
    prompt.images = images;
    GenerateRequest {
        prompt: Some(prompt),
        max_tokens: 2,
        ..GenerateRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_goes_on_when_its_server_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.jsonl");
    let server = Running::start(ServerConfig::shapes()).await;
    let bare = server.address.trim_start_matches("http://").to_owned();
    let mut client = connect(&[&server], Duration::from_secs(60)).await;
    let mut run = evaluate(&mut client, 200, Some(&out)).await;
    run.next().await.unwrap().unwrap();
    server.end().await;
    let server = Running::start_at(&bare, ServerConfig::shapes()).await;
    while run.next().await.unwrap().is_some() {}
    drop(run);
    let text = std::fs::read_to_string(&out).unwrap();
    assert_eq!(text.lines().count(), 400, "nothing twice");
    let mut alone = Vec::new();
    read(&mut evaluate(&mut client, 200, None).await, &mut alone).await;
    let there = scotoma_client::read_results(&out).unwrap().into_iter();
    let mut there: Vec<_> = there.map(|r| (r.id, r.variant, r.output_digest)).collect();
    there.sort();
    assert_eq!(there, alone);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_over_two_servers_is_that_of_one() {
    let one = Running::start(ServerConfig::shapes()).await;
    let two = Running::start(ServerConfig::shapes()).await;
    let (mut alone, mut both, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    let mut client = connect(&[&two], Duration::ZERO).await;
    let mut run = evaluate(&mut client, 200, None).await;
    read(&mut run, &mut alone).await;
    let metrics = run.metrics().to_vec();
    let mut client = connect(&[&one, &two], Duration::from_secs(60)).await;
    let mut run = evaluate(&mut client, 200, None).await;
    read(&mut run, &mut both).await;
    assert_eq!((&both, run.metrics()), (&alone, &metrics[..]));
    assert_eq!(run.finish().await.unwrap().results, 400);
    let mut run = evaluate(&mut client, 200, None).await;
    let first = run.next().await.unwrap().unwrap();
    moved.push((first.id, first.variant, first.output_digest));
    one.end().await;
    read(&mut run, &mut moved).await;
    assert_eq!((&moved, run.metrics()), (&alone, &metrics[..]));
    two.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_when_the_patience_is_over() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = connect(&[&server], Duration::from_millis(300)).await;
    let mut run = evaluate(&mut client, 200, None).await;
    run.next().await.unwrap().unwrap();
    server.end().await;
    let error = loop {
        match run.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some(Code::Unavailable));
    let said = error.to_string();
    assert!(said.contains("answers came, up to"), "{said}");
    let begun = Instant::now();
    let gone = client.generate(ask(Vec::new())).await.unwrap_err();
    assert_eq!(gone.code(), Some(Code::Unavailable));
    assert!(gone.request_id().is_some(), "{gone:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_where_they_are_needed() {
    let mut servers = vec![
        Running::start(ServerConfig::shapes()).await,
        Running::start(ServerConfig::shapes()).await,
    ];
    let mut client = connect(&[&servers[0], &servers[1]], Duration::ZERO).await;
    let handle = client.upload_image(picture()).await.unwrap();
    assert!(matches!(handle.source, Some(Source::Handle(_))));
    // Whichever has it: when both have been asked, either may go.
    for _ in 0..2 {
        let answer = client.generate(ask(vec![handle.clone()])).await.unwrap();
        answer.finish().await.unwrap();
        let first = servers.remove(0);
        let bare = first.address.trim_start_matches("http://").to_owned();
        first.end().await;
        let answer = client.generate(ask(vec![handle.clone()])).await.unwrap();
        answer.finish().await.unwrap();
        servers.push(Running::start_at(&bare, ServerConfig::shapes()).await);
        // A server that does not serve is looked at again after two seconds.
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    let unknown = Image {
        source: Some(Source::Handle("00".into())),
    };
    let error = client.generate(ask(vec![unknown])).await.unwrap_err();
    assert!(error.to_string().contains("upload it again"), "{error}");
    for server in servers {
        server.end().await;
    }
}

/// The other server has not what was kept, and would refuse the variant.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_capture_has_kept_is_patched_where_it_is() {
    let one = Running::start(ServerConfig::shapes()).await;
    let two = Running::start(ServerConfig::shapes()).await;
    let mut client = connect(&[&one, &two], Duration::ZERO).await;
    let point = "language_model.blocks.3.hook_resid_pre";
    let mut kept = of(point, Named::Last, Reduction::None);
    kept.keep = true;
    kept.target.as_mut().unwrap().steps = Some(Steps {
        first: 0,
        last: Some(0),
    });
    let (_, finished) = captured(&mut client, capture(vec![kept])).await;
    let last = json!({"anyOf": [{"named": "NAMED_LAST"}]});
    let patch = json!([{"patch": {
        "target": {"point": point, "tokens": last, "steps": {"last": 0}},
        "handle": finished.kept[0].handle,
    }}]);
    let patch = serde_json::from_value(patch).unwrap();
    let header = EvaluateHeader {
        variants: vec![variant("original", Vec::new()), variant("patched", patch)],
        ..header()
    };
    let samples = tokio_stream::iter(samples(20));
    let mut run = client.evaluate(header, samples, None).await.unwrap();
    let mut count = 0;
    while let Some(result) = run.next().await.unwrap() {
        assert_eq!(result.error, None);
        count += 1;
    }
    assert_eq!(count, 40);
    one.end().await;
    two.end().await;
}

/// A server, or a proxy before one, that ends every stream of a benchmark as if it were whole.
struct Ending;

#[tonic::async_trait]
impl BenchmarkService for Ending {
    type EvaluateStream = tokio_stream::Iter<std::vec::IntoIter<Result<EvaluateResponse, Status>>>;

    async fn evaluate(
        &self,
        _: Request<Streaming<EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let started = evaluate_response::Event::Started(EvaluateStarted::default());
        let event = Some(started);
        let events = vec![Ok(EvaluateResponse { event })];
        Ok(Response::new(tokio_stream::iter(events)))
    }

    async fn describe(
        &self,
        _: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        Err(Status::unimplemented("describe"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_end_early_are_not_begun_for_ever() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tonic::transport::Server::builder()
        .add_service(BenchmarkServiceServer::new(Ending))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let serving = tokio::spawn(serving);
    let connect = Connect::to(&address).patience(Duration::from_millis(500));
    let mut client = connect.connect().await.unwrap();
    let mut run = evaluate(&mut client, 1, None).await;
    let next = tokio::time::timeout(Duration::from_secs(20), run.next());
    let error = next.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("the stream ended early"), "{error}");
    serving.abort();
}
