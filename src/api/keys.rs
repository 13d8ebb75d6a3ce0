//! Who may ask: keys that clients say, of which the server knows the hashes alone.

use std::sync::Arc;

use metrics::counter;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::Error;
use crate::telemetry::names;

/// Characters of a key; those that `scotoma key` draws have 64. Guessing a shorter one would be too
/// easy for a plain hash.
const SHORTEST: usize = 32;

/// The keys of a server; none: everybody may ask.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<[(Arc<str>, blake3::Hash)]>);

/// The name of the key that a request came with.
#[derive(Debug, Clone)]
pub(super) struct KeyName(pub(super) Arc<str>);

impl Keys {
    /// One key a line: its name, white space, and the BLAKE3 hash (hex) of the key; `#` begins a
    /// comment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all: Vec<(Arc<str>, blake3::Hash)> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let wrong = |message: &str| format!("line {}: {message}", i + 1);
            let words: Vec<&str> = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            let (name, hash) = match words[..] {
                [] => continue,
                [name, hash] => (name, hash),
                _ => {
                    return Err(wrong(
                        "a name and a hash are needed, as `scotoma key NAME` prints them",
                    ));
                }
            };
            let hash = blake3::Hash::from_hex(hash)
                .map_err(|_| wrong("the hash has to be 64 hexadecimal digits"))?;
            if all
                .iter()
                .any(|(known, own)| **known == *name || *own == hash)
            {
                return Err(wrong("this name or this key stands there twice"));
            }
            all.push((name.into(), hash));
        }
        if all.is_empty() {
            Err("no key".into())
        } else {
            Ok(Self(all.into()))
        }
    }

    /// The line of a key in such a file; `None` where the key is too short or the name is not one
    /// word.
    pub fn line(name: &str, key: &str) -> Option<String> {
        let fits = key.len() >= SHORTEST
            && !name.is_empty()
            && !name.contains(|c: char| c.is_whitespace() || c == '#');
        fits.then(|| format!("{name} {}", blake3::hash(key.as_bytes())))
    }

    /// Whose key it is. All are compared, each in constant time.
    fn name_of(&self, key: &str) -> Option<Arc<str>> {
        let hash = blake3::hash(key.as_bytes());
        let mut found = None;
        for (name, own) in self.0.iter() {
            if *own == hash {
                found = Some(name.clone());
            }
        }
        found
    }
}

impl Interceptor for Keys {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if self.0.is_empty() {
            return Ok(request);
        }
        let said = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let key = said.and_then(|said| {
            said.strip_prefix("Bearer ")
                .or_else(|| said.strip_prefix("bearer "))
        });
        let Some(name) = key.and_then(|key| self.name_of(key)) else {
            counter!(names::REQUESTS_REJECTED, "reason" => "unauthenticated").increment(1);
            let error = Error::Unauthenticated {
                said: key.is_some(),
            };
            return Err(error.status("", std::time::Duration::ZERO));
        };
        request.extensions_mut().insert(KeyName(name));
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_or_refused_by_line() {
        let key = "0123456789abcdef0123456789abcdef";
        let line = Keys::line("lab", key).unwrap();
        let keys = Keys::parse(&format!("# keys\n\n{line}  # of the lab\n")).unwrap();
        assert_eq!(keys.name_of(key).as_deref(), Some("lab"));
        assert_eq!(keys.name_of("another"), None);
        assert_eq!(
            (Keys::line("a b", key), Keys::line("a", "short")),
            (None, None)
        );
        for (text, says) in [
            ("", "no key"),
            ("lab", "line 1: a name and a hash"),
            ("lab 12", "line 1: the hash"),
            (&format!("{line}\n{line}"), "line 2: this name"),
        ] {
            assert!(Keys::parse(text).unwrap_err().contains(says), "{text}");
        }
    }
}
