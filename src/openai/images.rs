//! Pictures of bodies: data URLs, and remote ones from hosts that the server was told to trust.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use data_url::DataUrl;
use serde::Deserialize;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::body::invalid;
use crate::api::Error;
use crate::field_path::FieldPath;
use crate::pipeline::Image;

/// Bounds a fetch, from the name's resolution to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

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
        let covers = |own: &String| match own.strip_prefix('.') {
            Some(_) => host.ends_with(own),
            None => host == *own,
        };
        self.0.iter().any(covers)
    }
}

impl ImageUrl {
    /// Returns the picture, with `field` as its path. Blocks while a remote one is fetched, of at
    /// most `limit` bytes.
    pub(super) fn read(
        self,
        field: FieldPath,
        hosts: &ImageHosts,
        limit: usize,
    ) -> Result<Image, Error> {
        let url = match self {
            Self::Object(object) => object.url,
            Self::Text(url) => url,
        };
        let bytes = if url
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            data(&field, &url)?
        } else {
            fetch(&field, &url, hosts, limit)?
        };
        Ok(Image::sent(field, bytes.into()))
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

fn fetch(field: &FieldPath, url: &str, hosts: &ImageHosts, limit: usize) -> Result<Vec<u8>, Error> {
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
            "pictures of {host:?} are not fetched (--fetch-images names the hosts); send a data: URL"
        );
        return Err(wrong(message));
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(FETCH_TIMEOUT))
        // Another host is another question to the list.
        .max_redirects(0)
        .build();
    let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), PublicHosts);
    let failed = |e: ureq::Error| wrong(format!("not fetched: {e}"));
    let mut response = agent.get(uri).call().map_err(failed)?;
    if !response.status().is_success() {
        return Err(wrong(format!("not fetched: HTTP {}", response.status())));
    }
    let body = response.body_mut().with_config().limit(limit as u64);
    body.read_to_vec().map_err(failed)
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
            let embedded = v6.to_ipv4_mapped().map(IpAddr::V4);
            // Global unicast is 2000::/3; NAT64 and 6to4 lead to IPv4 addresses of any kind.
            embedded.map_or(
                (0x2000..0x4000).contains(&v6.segments()[0]) && v6.segments()[0] != 0x2002,
                is_public,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("file:///etc/hostname", "http and https"),
            ("picture.png", "http and https"),
            ("https://", "no address"),
        ] {
            let error = fetch(&field, url, &hosts, 10).unwrap_err().to_string();
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
            ("2001:4860:4860::8888", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
