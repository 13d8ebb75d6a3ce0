//! Serves the page at `/`: what the build of clients/page has made, embedded in the binary. It is
//! static, and everything that it shows it asks of the services as any client does, so it needs no
//! key.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Lets the page load and ask what is of its own server, and nothing else. The client hashes
/// pictures by WebAssembly, and pictures that were dropped in are blobs.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// One file as it is sent.
struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! embedded {
    ($($path:literal is $content_type:literal in $file:literal),* $(,)?) => {
        [$(File {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/clients/page/dist/",
                $file
            )),
        }),*]
    };
}

/// Lists every file of the build.
static FILES: [File; 13] = embedded![
    "/" is "text/html; charset=utf-8" in "index.html",
    "/assets/page.js" is "text/javascript; charset=utf-8" in "assets/page.js",
    "/assets/shared.js" is "text/javascript; charset=utf-8" in "assets/shared.js",
    "/assets/hash.js" is "text/javascript; charset=utf-8" in "assets/hash.js",
    "/assets/card.js" is "text/javascript; charset=utf-8" in "assets/card.js",
    "/assets/controls.js" is "text/javascript; charset=utf-8" in "assets/controls.js",
    "/assets/look.js" is "text/javascript; charset=utf-8" in "assets/look.js",
    "/assets/draw.js" is "text/javascript; charset=utf-8" in "assets/draw.js",
    "/assets/benchmark.js" is "text/javascript; charset=utf-8" in "assets/benchmark.js",
    "/assets/tables.js" is "text/javascript; charset=utf-8" in "assets/tables.js",
    "/assets/server.js" is "text/javascript; charset=utf-8" in "assets/server.js",
    "/assets/style.css" is "text/css; charset=utf-8" in "assets/style.css",
    "/assets/icon.svg" is "image/svg+xml" in "assets/icon.svg",
];

/// Holds what is made of a file once, when the first of them is asked for.
struct Made {
    /// Names the content, by which browsers ask whether theirs is still right.
    etag: HeaderValue,
    gzip: Vec<u8>,
}

static MADE: LazyLock<Vec<Made>> = LazyLock::new(|| FILES.iter().map(make).collect());

fn make(file: &File) -> Made {
    let digest = blake3::hash(file.body).to_hex();
    // Hex within quotes is visible ASCII.
    let etag = HeaderValue::from_str(&format!("\"{}\"", &digest[..32]));
    Made {
        etag: etag.unwrap_or_else(|_| HeaderValue::from_static("\"page\"")),
        // Writing to memory does not fail; what is empty is not sent.
        gzip: gzipped(file.body).unwrap_or_default(),
    }
}

fn gzipped(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Returns a router of the page's files, for GET and HEAD.
pub(super) fn router() -> Router {
    let mut router = Router::new();
    for (at, file) in FILES.iter().enumerate() {
        let answer = move |headers: HeaderMap| async move { answer(at, &headers) };
        router = router.route(file.path, get(answer));
    }
    router
}

fn answer(at: usize, request: &HeaderMap) -> Response {
    let (file, made) = (&FILES[at], &MADE[at]);
    let mut response = if is_known(request, made.etag.to_str().unwrap_or_default()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if listed(request, ACCEPT_ENCODING).any(takes_gzip) && !made.gzip.is_empty() {
        let mut response = made.gzip.as_slice().into_response();
        let encoding = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, encoding);
        response
    } else {
        file.body.into_response()
    };
    let headers = response.headers_mut();
    // Of a 304, too: it repeats the headers of the answer that it stands for (RFC 9110, 15.4.5).
    headers.insert(ETAG, made.etag.clone());
    for (name, value) in [
        (CONTENT_TYPE, file.content_type),
        // Kept, and asked about each time: a new server may have another page.
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-encoding"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // A link to the page holds questions.
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lists the elements of a header that is a list.
fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let all = headers.get_all(name).into_iter();
    let texts = all.filter_map(|list| list.to_str().ok());
    texts.flat_map(|list| list.split(',').map(str::trim))
}

/// Says whether the client has the content of that name.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    // A proxy that compresses makes `W/"..."` of a validator.
    listed(headers, IF_NONE_MATCH).any(|item| item.trim_start_matches("W/") == etag)
}

/// Says whether an element of `accept-encoding` is gzip; with a weight of 0 it says that gzip is not
/// taken (RFC 9110, 12.4.2).
fn takes_gzip(item: &str) -> bool {
    let (coding, weight) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight = weight.trim().trim_start_matches(['q', 'Q', '=']);
    coding.trim_end().eq_ignore_ascii_case("gzip") && weight.parse::<f64>() != Ok(0.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_build_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/page/dist");
        let of = |folder: &Path, prefix: &str| -> BTreeSet<String> {
            let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
            let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
            files
                .map(|entry| format!("{prefix}{}", entry.file_name().to_str().unwrap()))
                .collect()
        };
        let mut built = of(&folder, "/");
        assert!(built.remove("/index.html"));
        built.insert("/".into());
        built.extend(of(&folder.join("assets"), "/assets/"));
        let served = FILES.iter().map(|file| file.path.to_owned());
        assert_eq!(served.collect::<BTreeSet<_>>(), built);
    }

    #[test]
    fn a_file_is_sent_once() {
        let asked = |pairs: &[(HeaderName, &str)]| {
            let pairs = pairs.iter().cloned();
            let headers = pairs.map(|(name, value)| (name, value.parse().unwrap()));
            answer(1, &headers.collect())
        };
        let whole = asked(&[]);
        assert_eq!(whole.status(), 200);
        assert!(!whole.headers().contains_key(CONTENT_ENCODING));
        let etag = whole.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(asked(&[(IF_NONE_MATCH, "\"other\"")]).status(), 200);
        for known in [&etag, &format!("\"other\", W/{etag}")] {
            assert_eq!(asked(&[(IF_NONE_MATCH, known)]).status(), 304);
        }
        let small = asked(&[(ACCEPT_ENCODING, "br, gzip;q=0.8")]);
        assert_eq!(small.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(small.headers()[ETAG], whole.headers()[ETAG]);
        for refused in ["br, gzip;q=0", "gzip; q=0.000, identity"] {
            let whole = asked(&[(ACCEPT_ENCODING, refused)]);
            assert!(!whole.headers().contains_key(CONTENT_ENCODING), "{refused}");
        }
    }
}
