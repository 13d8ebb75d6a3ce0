//! Pictures of bodies: data URLs, and remote ones from hosts that the server was told to trust.

use std::fmt::Display;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_url::DataUrl;
use serde::Deserialize;
use tokio::sync::Semaphore;
use ureq::Agent;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::body::invalid;
use crate::api::Error;
use crate::field_path::{FieldPath, shown};
use crate::pipeline::{self, Image, RequestContext, Reservation, Runtime};

/// Bounds the fetches of a request, from the first name's resolution to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a picture that are fetched at once.
const PIECE: usize = 1 << 20;

/// The `image_url` of a content part: an object, or the address alone, as some tools send it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ImageUrl {
    Object(UrlObject),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlObject {
    url: String,
    /// Chooses how a hosted model tiles pictures; here the model's processor says.
    #[serde(default, rename = "detail")]
    _detail: Option<String>,
}

/// Lists the hosts that pictures are fetched from.
#[derive(Debug, Clone, Default)]
pub struct ImageHosts(Arc<[String]>);

impl ImageHosts {
    /// Takes names of hosts; `.example.org` stands for all below example.org.
    pub fn new(names: &[String]) -> Result<Self, String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let mut hosts = Vec::with_capacity(names.len());
        for name in names {
            if name.trim_matches('.').is_empty() || !name.chars().all(is_part) {
                return Err(format!(
                    "{name:?} is no name of a host, such as example.org"
                ));
            }
            hosts.push(name.to_ascii_lowercase());
        }
        Ok(Self(hosts.into()))
    }

    fn contains(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.0
            .iter()
            .any(|own| host == *own || (own.starts_with('.') && host.ends_with(own)))
    }
}

/// A picture of a body.
#[derive(Debug)]
pub(super) enum Picture {
    Sent(Image),
    /// Is still to be fetched.
    Remote {
        field: FieldPath,
        uri: Uri,
    },
}

impl ImageUrl {
    /// Returns the picture, with `field` as its path; one that is elsewhere has to be on `hosts`.
    pub(super) fn read(self, field: FieldPath, hosts: &ImageHosts) -> Result<Picture, Error> {
        let url = match self {
            Self::Object(object) => object.url,
            Self::Text(url) => url,
        };
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if scheme.eq_ignore_ascii_case("data") {
            let bytes = data(&field, &url)?;
            return Ok(Picture::Sent(Image::sent(field, bytes.into())));
        }
        let uri = remote(&field, &url, hosts)?;
        Ok(Picture::Remote { field, uri })
    }
}

fn data(field: &FieldPath, url: &str) -> Result<Vec<u8>, Error> {
    let wrong = |message: String| invalid(field.clone(), message);
    let parsed = DataUrl::process(url).map_err(|e| wrong(format!("no data URL: {e:?}")))?;
    let (bytes, _) = parsed
        .decode_to_vec()
        .map_err(|_| wrong("the data URL is not base64".into()))?;
    Ok(bytes)
}

/// Returns an address of one of the hosts.
fn remote(field: &FieldPath, url: &str, hosts: &ImageHosts) -> Result<Uri, Error> {
    let wrong = |message: String| invalid(field.clone(), message);
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["https", "http"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        let message = "not a data: URL; http and https are known beside it";
        return Err(wrong(message.into()));
    }
    let uri: Uri = url.parse().map_err(|e| wrong(format!("no address: {e}")))?;
    let host = uri.host().unwrap_or_default();
    if !hosts.contains(host) {
        let message = format!(
            "pictures of {} are not fetched (--fetch-images names the hosts); send a data: URL",
            shown(host)
        );
        return Err(wrong(message));
    }
    Ok(uri)
}

/// Fetches what is still elsewhere, one after the other, and returns all pictures with the room
/// that the fetched ones take in the budget of messages. Together they may have as many bytes as a
/// message and take [`FETCH_TIMEOUT`]; `fetches` bounds those of all requests.
pub(super) async fn collect(
    runtime: &Runtime,
    fetches: &Arc<Semaphore>,
    context: &RequestContext,
    pictures: Vec<Picture>,
) -> Result<(Vec<Image>, Reservation), Error> {
    let held = runtime.messages.reserve(&context.client, 0);
    let held = held.map_err(pipeline::Error::from)?;
    let is_remote = |picture: &&Picture| matches!(picture, Picture::Remote { .. });
    let remote = pictures.iter().filter(is_remote).count();
    if remote > runtime.limits.images {
        let (limit, field) = (runtime.limits.images, "messages");
        let message = format!("{remote} pictures to fetch; at most {limit} are taken");
        return Err(invalid(field, message));
    }
    let fetching = Fetching {
        held,
        left: runtime.limits.message_bytes,
        agent: agent(PublicHosts, FETCH_TIMEOUT),
        until: Instant::now() + FETCH_TIMEOUT,
    };
    // Nothing to wait for, so no thread is taken.
    if remote == 0 {
        return fetching.all(pictures);
    }
    let permit = fetches.clone().acquire_owned().await;
    let permit = permit.map_err(Error::fault)?;
    // No turn is taken: it waits for others, and would keep those that compute waiting.
    let fetched = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        fetching.all(pictures)
    });
    fetched.await.map_err(Error::fault)?
}

/// Returns a client that asks the addresses that `resolver` gives, and no other.
fn agent(resolver: impl Resolver, timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        // Another host is another question to the list.
        .max_redirects(0)
        // A proxy would resolve names by itself.
        .proxy(None)
        .build();
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// Fetches the pictures of one request.
struct Fetching {
    held: Reservation,
    /// Bytes that may still come.
    left: usize,
    agent: Agent,
    until: Instant,
}

impl Fetching {
    /// Returns all pictures, with the memory that is held for them.
    fn all(mut self, pictures: Vec<Picture>) -> Result<(Vec<Image>, Reservation), Error> {
        let all: Result<Vec<_>, _> = pictures.into_iter().map(|p| self.image(p)).collect();
        Ok((all?, self.held))
    }

    fn image(&mut self, picture: Picture) -> Result<Image, Error> {
        match picture {
            Picture::Sent(image) => Ok(image),
            Picture::Remote { field, uri } => {
                let bytes = self.fetch(&field, uri)?;
                Ok(Image::sent(field, bytes.into()))
            }
        }
    }

    fn fetch(&mut self, field: &FieldPath, uri: Uri) -> Result<Vec<u8>, Error> {
        let failed = |why: &dyn Display| invalid(field.clone(), format!("not fetched: {why}"));
        let rest = self.until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(failed(&"the pictures before it took all the time"));
        }
        // Its share of the time that all pictures of the request have together.
        let asked = self.agent.get(uri).config().timeout_global(Some(rest));
        let mut response = asked.build().call().map_err(|e| failed(&e))?;
        if !response.status().is_success() {
            return Err(failed(&format!("HTTP {}", response.status())));
        }
        let mut body = response.body_mut().as_reader();
        let mut bytes = Vec::new();
        loop {
            // Room is made before the bytes come.
            // One byte more than may come tells too large from just large enough.
            let piece = PIECE.min(self.left + 1);
            let room = self.held.grow(piece as u64);
            room.map_err(pipeline::Error::from)?;
            let read = body.by_ref().take(piece as u64).read_to_end(&mut bytes);
            let read = read.map_err(|e| failed(&e))?;
            if read > self.left {
                let limit = "the pictures are larger together than --max-message-mib allows";
                return Err(failed(&limit));
            }
            self.left -= read;
            // A short read is the end: `read_to_end` goes on until its limit.
            if read < piece {
                return Ok(bytes);
            }
        }
    }
}

/// Resolves names to public addresses alone: a trusted name may be made to lead anywhere.
#[derive(Debug, Default)]
struct PublicHosts;

impl Resolver for PublicHosts {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // These are the addresses that are connected to: nothing resolves the name a second time.
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut public = self.empty();
        for address in found.iter().filter(|a: &&SocketAddr| is_public(a.ip())) {
            public.push(*address);
        }
        if public.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(public)
    }
}

/// Reports whether an address is one of the internet at large.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                // Shared by carriers (RFC 6598), benchmarks (RFC 2544), protocol assignments.
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a == 192 && b == 0))
        }
        IpAddr::V6(v6) => {
            // ::ffff:a.b.c.d leads to an IPv4 address, and is judged as that.
            let embedded = v6.to_ipv4_mapped().map(IpAddr::V4);
            let [a, b, ..] = v6.segments();
            // Global unicast is 2000::/3; NAT64, 6to4 and Teredo (2001::/32) lead to IPv4 addresses
            // of any kind, and 2001:db8::/32 is for documents.
            let is_global = (0x2000..0x4000).contains(&a)
                && a != 0x2002
                && !(a == 0x2001 && matches!(b, 0 | 0xdb8));
            embedded.map_or(is_global, is_public)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;
    use crate::engine::ClientId;
    use crate::pipeline::{Budget, Flags, Share};

    #[test]
    fn data_urls_are_decoded_or_refused() {
        let field = FieldPath::from("image_url");
        assert_eq!(data(&field, "data:image/png;base64,aGk=").unwrap(), b"hi");
        assert!(data(&field, "data:image/png;base64,????").is_err());
        assert!(data(&field, "data:nothing").is_err());
    }

    #[test]
    fn only_listed_hosts_are_fetched() {
        let hosts = ImageHosts::new(&["Example.org".into(), ".pictures.example".into()]).unwrap();
        for (host, listed) in [
            ("example.org", true),
            ("EXAMPLE.org", true),
            ("sub.example.org", false),
            ("a.pictures.example", true),
            ("pictures.example", false),
            ("localhost", false),
        ] {
            assert_eq!(hosts.contains(host), listed, "{host}");
        }
        let field = FieldPath::from("image_url");
        for (url, says) in [
            ("https://elsewhere.org/a.png", "--fetch-images"),
            ("https://example.org@elsewhere.org/a.png", "elsewhere.org"),
            ("file:///etc/hostname", "http and https"),
            ("picture.png", "http and https"),
            ("https://", "no address"),
        ] {
            let error = remote(&field, url, &hosts).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(ImageHosts::new(&["https://example.org".into()]).is_err());
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for (address, public) in [
            ("93.184.215.14", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("fd00::1", false),
            ("2002:7f00:1::", false),
            ("2001::7f00:1", false),
            ("2001:db8::1", false),
            ("2001:4860:4860::8888", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    /// Leads every name to one address.
    #[derive(Debug)]
    struct Leading(SocketAddr);

    impl Resolver for Leading {
        fn resolve(
            &self,
            _: &Uri,
            _: &ureq::config::Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut found = self.empty();
            found.push(self.0);
            Ok(found)
        }
    }

    /// Fetches from a server that answers once, with `answer`, and then says nothing more.
    fn fetched(answer: &'static str, limit: usize) -> Result<Vec<u8>, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(answer.as_bytes());
            // Until the other side has enough of it.
            let _ = client.read(&mut [0; 1]);
        });
        let share = Share {
            all: 1 << 30,
            one: 1 << 30,
        };
        let flags = Flags {
            all: "--test",
            one: "--test-per-key",
        };
        let budget = Budget::new("test_bytes", flags, share);
        let client = ClientId::of_connection(1);
        let timeout = Duration::from_millis(500);
        let mut fetching = Fetching {
            held: budget.reserve(&client, 0).unwrap(),
            left: limit,
            agent: agent(Leading(address), timeout),
            until: Instant::now() + timeout,
        };
        let uri = Uri::from_static("http://example.org/a.png");
        let bytes = fetching.fetch(&"image_url".into(), uri);
        drop(fetching);
        server.join().unwrap();
        assert_eq!(budget.held(), 0);
        bytes.map_err(|error| error.to_string())
    }

    #[test]
    fn fetches_are_bounded() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes";
        assert_eq!(fetched(whole, 5).unwrap(), b"bytes");
        for (answer, limit, says) in [
            (whole, 4, "--max-message-mib"),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
                9,
                "HTTP 302",
            ),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                9,
                "404",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow",
                9,
                "timeout",
            ),
        ] {
            let error = fetched(answer, limit).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let agent = agent(PublicHosts, Duration::from_secs(1));
        let error = agent.get("http://127.0.0.1:9/").call().unwrap_err();
        assert!(matches!(error, ureq::Error::HostNotFound), "{error}");
    }
}
