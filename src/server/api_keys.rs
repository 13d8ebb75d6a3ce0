//! Holds the keys that clients may come with, of which the server knows nothing but hashes.

use std::sync::{Arc, PoisonError, RwLock};

use super::keys_file::{self, ApiKey};
use crate::pipeline::{Account, Grant, RequestLimits, Runtime, Shares};

/// Characters of a key; those that `scotoma key` draws have 64. Guessing a shorter one would be too
/// easy for a plain hash.
const MIN_LENGTH: usize = 32;

/// Lists the keys of a server by name. Without any, everybody may ask. Clones share the list, which
/// can be replaced while the server runs.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Arc<RwLock<Arc<[ApiKey]>>>);

impl ApiKeys {
    /// Parses a file of keys, one a line: a name, the BLAKE3 hash (hex) of the key, and what its
    /// holder may do; docs/operations.md lists the words. `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(keys_file::parse(text)?))
    }

    fn new(keys: Vec<ApiKey>) -> Self {
        Self(Arc::new(RwLock::new(keys.into())))
    }

    /// Returns the line of a key in such a file, for a holder who may do all but administer; `None`
    /// where the key is too short or the name is not one word.
    pub fn line(name: &str, key: &str) -> Option<String> {
        let fits = key.len() >= MIN_LENGTH && keys_file::is_name(name);
        fits.then(|| format!("{name} {}", blake3::hash(key.as_bytes())))
    }

    /// Takes the keys of `new` in place of these, at once and for all connections, and parts what
    /// `runtime` keeps between them. Quotas of a minute that are used up stay so for keys of the
    /// same name. Changes nothing where `new` does not fit the server's limits.
    pub fn replace(&self, new: &Self, runtime: &Runtime) -> Result<(), String> {
        let (uploads, kept) = new.shares(&runtime.limits)?;
        let mut keys: Vec<ApiKey> = new.all().to_vec();
        for key in &mut keys {
            if let Some(earlier) = self
                .all()
                .iter()
                .find(|k| k.account.name == key.account.name)
            // Under one name it is one caller, and what it has used still counts.
            {
                let mut account = Account::clone(&key.account);
                account.continue_from(&earlier.account);
                key.account = Arc::new(account);
            }
        }
        // Behind all that can fail.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
        runtime.set_shares(uploads, kept);
        Ok(())
    }

    /// Returns how the keys share uploads and kept activations. Fails where the quotas of some leave
    /// nothing for the others.
    pub fn shares(&self, limits: &RequestLimits) -> Result<(Shares, Shares), String> {
        Ok((
            self.share("upload", limits.upload_bytes, |grant| grant.upload_bytes)?,
            self.share("keep", limits.kept_bytes, |grant| grant.kept_bytes)?,
        ))
    }

    /// Parts `whole` bytes: each key has what its `quota` says, and those without one have equal
    /// parts of the rest.
    fn share(
        &self,
        word: &str,
        whole: u64,
        quota: fn(&Grant) -> Option<u64>,
    ) -> Result<Shares, String> {
        let all = self.all();
        if all.is_empty() {
            return Ok(Shares::Common);
        }
        let said = || all.iter().filter_map(|key| quota(&key.account.grant));
        let sum = said().fold(0, u64::saturating_add);
        let others = (all.len() - said().count()) as u64;
        // A share that holds nothing would turn every upload away.
        if sum > whole || (others > 0 && whole - sum < others << 10) {
            return Err(format!(
                "{word}= of all keys comes to {sum} bytes, for {others} keys without it nothing is \
                 left; --{word}-mib allows {whole} bytes for all together"
            ));
        }
        // `others` may be 0: every key has a quota, and the rest is nobody's.
        let equal = (whole - sum).checked_div(others).unwrap_or(0);
        let shares = all.iter().map(|key| {
            let share = quota(&key.account.grant).unwrap_or(equal);
            (key.account.name.clone(), share)
        });
        Ok(Shares::Each(shares.collect()))
    }

    /// Counts the keys.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Returns whether everybody may ask.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Returns the account of `key`. All are compared, each in constant time.
    pub(super) fn account_of(&self, key: &str) -> Option<Arc<Account>> {
        let hash = blake3::hash(key.as_bytes());
        let mut found = None;
        // Not `find`, which would take longer the further down a key stands.
        for own in self.all().iter() {
            if own.hash == hash {
                found = Some(own.account.clone());
            }
        }
        found
    }

    fn all(&self) -> Arc<[ApiKey]> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(lines: &[&str]) -> ApiKeys {
        let line = |(i, words): (usize, &&str)| {
            let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
            let line = ApiKeys::line(name, &i.to_string().repeat(32)).unwrap();
            format!("{line} {rest}\n")
        };
        let text: String = lines.iter().enumerate().map(line).collect();
        ApiKeys::parse(&text).unwrap()
    }

    #[test]
    fn a_key_is_known_by_its_hash() {
        let key = "0123456789abcdef0123456789abcdef";
        let line = ApiKeys::line("lab", key).unwrap();
        let keys = ApiKeys::parse(&format!("# keys\n\n{line}  # of the lab\n")).unwrap();
        assert_eq!(&*keys.account_of(key).unwrap().name, "lab");
        assert!(keys.account_of("another").is_none());
        assert_eq!(
            (ApiKeys::line("a b", key), ApiKeys::line("a", "short")),
            (None, None)
        );
    }

    #[test]
    fn what_quotas_leave_is_shared_equally() {
        let parts = |lines: &[&str]| keys(lines).share("upload", 10 << 20, |g| g.upload_bytes);
        let Shares::Each(parts_of_three) = parts(&["a upload=4MiB", "b", "c"]).unwrap() else {
            panic!("keys have parts of their own")
        };
        let mib = |name: &str| parts_of_three[name] >> 20;
        assert_eq!((mib("a"), mib("b"), mib("c")), (4, 3, 3));
        let Shares::Each(alone) = parts(&["a"]).unwrap() else {
            panic!("keys have parts of their own")
        };
        assert_eq!(alone["a"], 10 << 20, "the whole where it is alone");
        assert_eq!(
            ApiKeys::default().share("upload", 1, |g| g.upload_bytes),
            Ok(Shares::Common)
        );
        for lines in [&["a upload=11MiB"][..], &["a upload=10MiB", "b"]] {
            let error = parts(lines).unwrap_err();
            assert!(error.contains("upload= of all keys"), "{error}");
        }
    }
}
