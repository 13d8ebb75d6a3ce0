//! The page at `/`, which browsers ask for without a key.

use scotoma::server::{ApiKeys, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::Running;

/// Sends a request over HTTP/1 and returns what comes back.
async fn ask(server: &Running, request: &str) -> String {
    let address = server.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_open_it_and_nobody_must() {
    let keys = "alice d4739b9e6f33f66a307e69cf2e3f0c6b882bc6eebe65edbe2f38000af344130b";
    let server = Running::start(ServerConfig {
        keys: ApiKeys::parse(keys).unwrap(),
        ..ServerConfig::shapes()
    })
    .await;
    let page = ask(&server, "GET /").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for part in [
        "content-security-policy: default-src 'none'",
        "assets/page.js",
    ] {
        assert!(page.contains(part), "{page}");
    }
    let head = ask(&server, "HEAD /assets/page.js").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/javascript"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let post = ask(&server, "POST /").await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    // What it shows needs one.
    let models = ask(&server, "GET /v1/models").await;
    assert!(models.starts_with("HTTP/1.1 401"), "{models}");

    let without = Running::start(ServerConfig {
        page: false,
        ..ServerConfig::shapes()
    })
    .await;
    let none = ask(&without, "GET /").await;
    assert!(none.starts_with("HTTP/1.1 404"), "{none}");
    assert!(none.contains("/v1") && !none.contains("the page"), "{none}");
    // A path that nobody serves is told what is; what belongs to a service is the service's.
    for line in [
        "GET /v2/models",
        "POST /chat/completions",
        "GET /assets/nope.js",
    ] {
        let none = ask(&server, line).await;
        assert!(none.starts_with("HTTP/1.1 404"), "{none}");
        for part in [line, "the page at /", "/v1", "/metrics", "gRPC"] {
            let part = part.replace("T /", "T \"/");
            assert!(none.contains(&part), "{line}: {none}");
        }
    }
    let method = ask(&server, "GET /scotoma.v1.ModelService/ListModels").await;
    assert!(!method.starts_with("HTTP/1.1 404"), "{method}");
}
