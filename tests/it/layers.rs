//! Checks what the server's layers give every service: an id in its errors, a deadline that is
//! kept, a status that is counted when the stream ends.

use crate::common::{Running, eventually, long, scrape};
use scotoma::server::ServerConfig;
use scotoma_client::v1::benchmark_service_client::BenchmarkServiceClient;
use scotoma_client::v1::inference_service_client::InferenceServiceClient;
use scotoma_client::v1::model_service_client::ModelServiceClient;
use scotoma_client::v1::{self, evaluate_header::Rules};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

fn header(model: &str) -> v1::EvaluateRequest {
    let header = v1::EvaluateHeader {
        model: model.into(),
        rules: Some(Rules::Rule("shapes".into())),
        ..Default::default()
    };
    let event = Some(v1::evaluate_request::Event::Header(header));
    v1::EvaluateRequest { event }
}

/// Sets a deadline that the client does not know of, so that the word is the server's.
fn within<T>(timeout: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = tonic::metadata::MetadataValue::from_static(timeout);
    request.metadata_mut().insert("grpc-timeout", value);
    request
}

/// Returns the status that a stream ends with.
async fn end<T>(response: Result<tonic::Response<Streaming<T>>, Status>) -> Status {
    let mut stream = match response {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Status::ok(""),
            Err(status) => return status,
        }
    }
}

fn request_id(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap();
    info.metadata["request_id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_every_service_name_the_request() {
    let server = Running::start(ServerConfig::shapes()).await;
    let address = server.address.clone();
    let mut models = ModelServiceClient::connect(address.clone()).await.unwrap();
    let mut inference = InferenceServiceClient::connect(address.clone())
        .await
        .unwrap();
    let mut benchmarks = BenchmarkServiceClient::connect(address).await.unwrap();
    let model = String::from("nobody");
    let get = v1::GetModelRequest {
        model: model.clone(),
    };
    let generate = v1::GenerateRequest {
        model: model.clone(),
        ..Default::default()
    };
    let unload = v1::UnloadModelRequest {
        model: model.clone(),
    };
    let evaluate = tokio_stream::once(header(&model));
    let mut ids = Vec::new();
    for (status, code) in [
        (models.get_model(get).await.unwrap_err(), Code::NotFound),
        (
            models.unload_model(unload).await.unwrap_err(),
            Code::PermissionDenied,
        ),
        (
            inference.generate(generate).await.unwrap_err(),
            Code::NotFound,
        ),
        (
            benchmarks.evaluate(evaluate).await.unwrap_err(),
            Code::NotFound,
        ),
    ] {
        assert_eq!(status.code(), code, "{status}");
        assert_eq!(request_id(&status).len(), 16, "{status}");
        ids.push(request_id(&status));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each has an id of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_keeps_the_deadline_and_counts_what_it_cut() {
    let server = Running::start(ServerConfig::shapes()).await;
    let address = server.address.clone();
    let mut models = ModelServiceClient::connect(address.clone()).await.unwrap();
    let mut benchmarks = BenchmarkServiceClient::connect(address).await.unwrap();
    let check = v1::CheckParityRequest::default();
    let parity = end(models.check_parity(within("50m", check)).await).await;
    // A client that goes silent after its header.
    let silence = tokio_stream::StreamExt::chain(
        tokio_stream::once(header("shapes")),
        tokio_stream::pending(),
    );
    let evaluate = end(benchmarks.evaluate(within("100m", silence)).await).await;
    for status in [parity, evaluate] {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert_eq!(request_id(&status).len(), 16);
        let reason = status.get_details_error_info().unwrap().reason;
        assert_eq!(reason, "DEADLINE");
    }
    for method in ["CheckParity", "Evaluate"] {
        let line = format!(r#"method="{method}",model="shapes",code="DeadlineExceeded""#);
        eventually("a counted request", async || {
            scrape(&server.address).await.contains(&line)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_in_the_metrics_is_that_of_the_engines_too() {
    let mut config = ServerConfig::shapes();
    config.engine.running = 1;
    let server = Running::start(config).await;
    let mut client = server.client().await;
    let runs = client.generate(long()).await.unwrap();
    // Admitted: it has left the queue before the engine, and waits in that of the engine.
    let waits = client.generate(long()).await.unwrap();
    let line = r#"scotoma_budget_used{budget="queue"} 1"#;
    eventually("a request that waits", async || {
        let page = scrape(&server.address).await;
        page.lines().any(|found| found == line)
    })
    .await;
    drop((runs, waits));
    server.end().await;
}
