//! The hub, played by a server in this process that speaks its HTTP protocol: fresh, cached, broken
//! off and resumed, wrong digest, offline, gated.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::stream::{self, StreamExt as _};
use scotoma::model::{Hub, HubId, Purpose};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::load_folder;

const COMMIT: &str = "0123456789012345678901234567890123456789";
const NEXT_COMMIT: &str = "9876543210987654321098765432109876543210";

#[derive(Default)]
struct Played {
    folder: PathBuf,
    /// The branch has moved on to the next commit.
    moved: AtomicBool,
    /// Requests for content, not for metadata.
    downloads: AtomicUsize,
    /// Breaks off the next download of weights in the middle.
    breaks: AtomicBool,
    /// Names a SHA-256 that no file has.
    lies: AtomicBool,
    /// First bytes of the ranges that were asked for.
    starts: Mutex<Vec<u64>>,
}

impl Played {
    fn commit(&self) -> &'static str {
        if self.moved.load(Ordering::SeqCst) {
            NEXT_COMMIT
        } else {
            COMMIT
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

fn permitted(headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|v| v == "Bearer secret")
}

async fn info(
    State(played): State<Arc<Played>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    if !permitted(&headers) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let files = std::fs::read_dir(&played.folder)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap());
    let siblings: Vec<Value> = files.map(|f| json!({ "rfilename": f })).collect();
    Ok(Json(
        json!({ "sha": played.commit(), "siblings": siblings }),
    ))
}

async fn file(
    State(played): State<Arc<Played>>,
    UrlPath((_, name)): UrlPath<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Ok(bytes) = std::fs::read(played.folder.join(&name)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let weights = name.ends_with(".safetensors");
    let lie = weights && played.lies.load(Ordering::SeqCst);
    let etag = if lie {
        "0".repeat(64)
    } else {
        hex(&Sha256::digest(&bytes))
    };
    let range = headers
        .get(header::RANGE)
        .unwrap()
        .to_str()
        .unwrap()
        .strip_prefix("bytes=")
        .unwrap()
        .to_owned();
    let (start, end) = range.split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(bytes.len(), |e: usize| e + 1);
    let content_range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    let part = Bytes::from(bytes[start..end].to_vec());
    let mut body = Body::from(part.clone());
    if end == bytes.len() {
        played.downloads.fetch_add(1, Ordering::SeqCst);
        if weights {
            played.starts.lock().unwrap().push(start as u64);
            if played.breaks.swap(false, Ordering::SeqCst) {
                let half = part.slice(..part.len() / 2);
                // The first half has to be on its way before the connection goes.
                let broken = async {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    Err(std::io::Error::other("broken off"))
                };
                body =
                    Body::from_stream(stream::once(async { Ok(half) }).chain(stream::once(broken)));
            }
        }
    }
    let headers = [
        (header::ETAG.as_str(), format!("\"{etag}\"")),
        ("x-repo-commit", played.commit().to_owned()),
        (header::CONTENT_RANGE.as_str(), content_range),
    ];
    (StatusCode::PARTIAL_CONTENT, headers, body).into_response()
}

struct Setting {
    played: Arc<Played>,
    hub: Hub,
    _cache: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        Self::of(Path::new(crate::common::FOLDER).join("tiny-gqa-tied/model")).await
    }

    /// The hub with one repository, whose files are those of `folder`.
    async fn of(folder: PathBuf) -> Self {
        let played = Arc::new(Played {
            folder,
            ..Played::default()
        });
        let router = Router::new()
            .route("/api/models/tiny/llava/revision/{revision}", get(info))
            .route("/tiny/llava/resolve/{revision}/{file}", get(file))
            .with_state(played.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let cache = tempfile::tempdir().unwrap();
        let token = Some("secret".to_owned());
        let hub = Hub {
            endpoint,
            cache: cache.path().to_owned(),
            token,
            offline: false,
        };
        Self {
            played,
            hub,
            _cache: cache,
        }
    }

    /// The folder, and the last progress of each file.
    async fn fetch(&self) -> Result<(PathBuf, Vec<(String, u64, u64)>), String> {
        let (hub, id): (Hub, HubId) = (self.hub.clone(), "tiny/llava@v1".parse().unwrap());
        let fetch = move || {
            let mut told: Vec<(String, u64, u64)> = Vec::new();
            let folder = hub.fetch(&id, Purpose::Model, &mut |file, done, total| {
                told.retain(|t| t.0 != file);
                told.push((file.to_owned(), done, total));
            });
            folder.map(|f| (f, told)).map_err(|e| e.to_string())
        };
        tokio::task::spawn_blocking(fetch).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_then_cached_then_unreachable_then_offline() {
    let mut setting = Setting::new().await;
    let (folder, told) = setting.fetch().await.unwrap();
    load_folder(&folder).unwrap();
    assert!(
        told.iter().any(|t| t.0 == "model.safetensors") && told.iter().all(|t| t.1 == t.2),
        "{told:?}"
    );
    let downloads = setting.played.downloads.load(Ordering::SeqCst);
    assert!(downloads >= 5);
    assert_eq!(setting.fetch().await.unwrap().0, folder);
    assert_eq!(
        setting.played.downloads.load(Ordering::SeqCst),
        downloads,
        "cached files are not fetched again"
    );
    setting.hub.endpoint = "http://127.0.0.1:9".into();
    assert_eq!(setting.fetch().await.unwrap().0, folder);
    setting.hub.offline = true;
    assert_eq!(setting.fetch().await.unwrap().0, folder);
    // Of a cache without the model, both are errors.
    let empty = tempfile::tempdir().unwrap();
    setting.hub.cache = empty.path().to_owned();
    let error = setting.fetch().await.unwrap_err();
    assert!(error.contains("(offline)"), "{error}");
    setting.hub.offline = false;
    let error = setting.fetch().await.unwrap_err();
    assert!(error.contains("http://127.0.0.1:9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_gains_a_file_is_one_folder_without_its_weights_again() {
    let folder = crate::common::copy_model("tiny-gqa-tied");
    let mut setting = Setting::of(folder.path().to_owned()).await;
    let (first, _) = setting.fetch().await.unwrap();
    assert!(first.ends_with(COMMIT), "{}", first.display());
    let downloads = || setting.played.downloads.load(Ordering::SeqCst);
    let before = downloads();
    std::fs::write(folder.path().join("added_tokens.json"), "{}").unwrap();
    setting.played.moved.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let (next, told) = setting.fetch().await.unwrap();
        assert!(next.ends_with(NEXT_COMMIT), "{}", next.display());
        assert!(!told.iter().any(|t| t.0 == "model.safetensors"), "{told:?}");
        load_folder(&next).unwrap();
        assert_eq!(downloads(), before + 1, "the file that is new");
    }
    assert!(
        first.join("model.safetensors").exists(),
        "the old one stays"
    );
    // Other tools find the new one by the name of the branch.
    setting.hub.offline = true;
    assert!(setting.fetch().await.unwrap().0.ends_with(NEXT_COMMIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_goes_on_where_it_ended() {
    let setting = Setting::new().await;
    setting.played.breaks.store(true, Ordering::SeqCst);
    let (folder, _) = setting.fetch().await.unwrap();
    load_folder(&folder).unwrap();
    let starts = setting.played.starts.lock().unwrap().clone();
    assert!(
        starts.len() >= 2 && starts[0] == 0 && *starts.last().unwrap() > 0,
        "{starts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_digest_is_refused_and_not_kept() {
    let setting = Setting::new().await;
    setting.played.lies.store(true, Ordering::SeqCst);
    let error = setting.fetch().await.unwrap_err();
    assert!(
        error.contains("model.safetensors") && error.contains("SHA-256"),
        "{error}"
    );
    setting.played.lies.store(false, Ordering::SeqCst);
    load_folder(&setting.fetch().await.unwrap().0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_gated_is_said() {
    let mut setting = Setting::new().await;
    setting.hub.token = None;
    let error = setting.fetch().await.unwrap_err();
    assert!(
        error.contains("tiny/llava@v1") && error.contains("401"),
        "{error}"
    );
    setting.hub.offline = true;
    let error = setting.fetch().await.unwrap_err();
    assert!(error.contains("offline"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_read_is_said_before_its_weights_are_fetched() {
    let files = |config: &str, name: &str, weights: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), config).unwrap();
        std::fs::write(folder.path().join(weights), "gigabytes").unwrap();
        folder
    };
    for (config, name, weights, says) in [
        (
            r#"{"model_type": "llava", "quantization_config": {"quant_method": "awq", "bits": 8}}"#,
            "config.json",
            "model.safetensors",
            "AWQ 8-bit",
        ),
        (
            r#"{"model_type": "pixtral_next"}"#,
            "config.json",
            "model.safetensors",
            "pixtral_next",
        ),
        (
            r#"{"model_type": "mobilevlm", "mm_vision_tower": "a/b"}"#,
            "config.json",
            "pytorch_model.bin",
            "mobilevlm",
        ),
        (
            r#"{"base_model_name_or_path": "a/base"}"#,
            "adapter_config.json",
            "adapter_model.bin",
            "--model a/base --adapter tiny/llava",
        ),
        ("{}", "README.md", "model.gguf", "GGUF"),
    ] {
        let folder = files(config, name, weights);
        let setting = Setting::of(folder.path().to_owned()).await;
        let error = setting.fetch().await.unwrap_err();
        assert!(error.contains(says), "{error}");
        assert!(
            setting.played.downloads.load(Ordering::SeqCst) <= 1,
            "{weights} was fetched"
        );
    }
}
