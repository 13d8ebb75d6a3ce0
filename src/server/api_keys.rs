//! Holds the keys that clients may come with, of which the server knows nothing but hashes.

use std::sync::Arc;

/// Characters of a key; those that `scotoma key` draws have 64. Guessing a shorter one would be too
/// easy for a plain hash.
const MIN_LENGTH: usize = 32;

/// Lists the keys of a server by name. Without any, everybody may ask.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Arc<[(Arc<str>, blake3::Hash)]>);

impl ApiKeys {
    /// Parses one key a line: its name, white space, and the BLAKE3 hash (hex) of the key; `#`
    /// begins a comment.
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
                return Err(wrong("this name or this key is listed twice"));
            }
            all.push((name.into(), hash));
        }
        if all.is_empty() {
            Err("no key".into())
        } else {
            Ok(Self(all.into()))
        }
    }

    /// Returns the line of a key in such a file; `None` where the key is too short or the name is
    /// not one word.
    pub fn line(name: &str, key: &str) -> Option<String> {
        let fits = key.len() >= MIN_LENGTH
            && !name.is_empty()
            && !name.contains(|c: char| c.is_whitespace() || c == '#');
        fits.then(|| format!("{name} {}", blake3::hash(key.as_bytes())))
    }

    /// Returns whether everybody may ask.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name of `key`. All are compared, each in constant time.
    pub(super) fn name_of(&self, key: &str) -> Option<Arc<str>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_or_refused_by_line() {
        let key = "0123456789abcdef0123456789abcdef";
        let line = ApiKeys::line("lab", key).unwrap();
        let keys = ApiKeys::parse(&format!("# keys\n\n{line}  # of the lab\n")).unwrap();
        assert_eq!(keys.name_of(key).as_deref(), Some("lab"));
        assert_eq!(keys.name_of("another"), None);
        assert_eq!(
            (ApiKeys::line("a b", key), ApiKeys::line("a", "short")),
            (None, None)
        );
        for (text, says) in [
            ("", "no key"),
            ("lab", "line 1: a name and a hash"),
            ("lab 12", "line 1: the hash"),
            (&format!("{line}\n{line}"), "line 2: this name"),
        ] {
            assert!(ApiKeys::parse(text).unwrap_err().contains(says), "{text}");
        }
    }
}
