//! Finds out who asks, and turns away whoever has no key where one is needed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use metrics::counter;

use super::arrival;
use crate::api::Error;
use crate::engine::ClientId;
use crate::pipeline::Account;
use crate::server::ApiKeys;
use crate::telemetry::names;

/// Names the tenant of a request that comes without a key.
const TENANT: &str = "scotoma-tenant";
const MAX_TENANT_CHARS: usize = 128;

/// Fills in the client and its account, or refuses the request.
pub(super) async fn authenticate(
    State(keys): State<ApiKeys>,
    mut request: Request,
    next: Next,
) -> Response {
    let account = match account_of(&keys, request.headers()) {
        Ok(account) => account,
        Err(error) => {
            let reason = match error {
                // The one error of the pipeline here is a quota that is used up.
                Error::Pipeline(_) => "quota",
                _ => "unauthenticated",
            };
            counter!(names::REQUESTS_REJECTED, "reason" => reason).increment(1);
            let id = &arrival::context(&mut request).id;
            // A quota says by itself when it is free again; the other errors are not worth
            // another try.
            return error.status(id, Duration::ZERO).into_http();
        }
    };
    let name = account.as_ref().map(|account| account.name.clone());
    let client = client(name, request.headers(), request.extensions());
    let context = arrival::context(&mut request);
    context.metrics.set_caller(client.tenant.clone());
    context.client = client;
    context.account = account;
    next.run(request).await
}

/// Returns the account of the key that the request came with, once the request is counted there;
/// `None` where no key is needed.
fn account_of(keys: &ApiKeys, headers: &HeaderMap) -> Result<Option<Arc<Account>>, Error> {
    if keys.is_empty() {
        return Ok(None);
    }
    let value = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let key = value.and_then(bearer).ok_or(Error::NoKey)?;
    let account = keys.account_of(key).ok_or(Error::UnknownKey)?;
    match account.grant.expires {
        Some(expires) if expires <= Timestamp::now() => Err(Error::KeyExpired {
            on: expires.strftime("%Y-%m-%d").to_string(),
        }),
        _ => {
            // Last: a key that has expired uses up nothing.
            account.count_request()?;
            Ok(Some(account))
        }
    }
}

/// Returns the key of an `authorization`, whose scheme is written in any case (RFC 9110, 11.1) and
/// ends with one space or several.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("Bearer")
        .then(|| key.trim_matches(' '))
}

/// Returns who asks. A key stands for its owner: all its connections share, and nobody else sees
/// its pictures. Without keys it is the tenant that the metadata names, and the connection.
pub(super) fn client(
    key: Option<Arc<str>>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> ClientId {
    // It tells connections apart, so that they share fairly, and guards nothing.
    let mut hasher = DefaultHasher::new();
    if let Some(name) = key {
        name.hash(&mut hasher);
        return ClientId {
            tenant: name,
            connection: hasher.finish(),
        };
    }
    // With the port, so that two connections from one machine are two.
    let address = arrival::peer(extensions).and_then(|peer| peer.address);
    address.hash(&mut hasher);
    let tenant = headers
        .get(TENANT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let tenant: String = tenant.chars().take(MAX_TENANT_CHARS).collect();
    ClientId {
        tenant: tenant.into(),
        connection: hasher.finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connections::Peer;

    #[test]
    fn the_scheme_of_a_key_is_written_in_any_case() {
        for value in ["Bearer k", "bearer k", "BEARER k", "bEaReR  k "] {
            assert_eq!(bearer(value), Some("k"), "{value:?}");
        }
        for value in ["Bearer", "Bearerk", "Basic k", "", "k"] {
            assert_eq!(bearer(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_key_is_one_client_however_it_connects() {
        let asked = |port: u16, key: Option<&str>| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer::at(([127, 0, 0, 1], port).into()));
            // With a key the metadata has no say.
            let headers = HeaderMap::from_iter([(
                TENANT.parse::<axum::http::HeaderName>().unwrap(),
                "another".parse().unwrap(),
            )]);
            client(key.map(Into::into), &headers, &extensions)
        };
        assert_eq!(asked(1, Some("lab")), asked(2, Some("lab")));
        assert_ne!(asked(1, Some("lab")), asked(1, Some("office")));
        assert_ne!(
            asked(1, None),
            asked(2, None),
            "without keys each connection has its share"
        );
        assert_eq!(
            (&*asked(1, Some("lab")).tenant, &*asked(1, None).tenant),
            ("lab", "another")
        );
    }
}
