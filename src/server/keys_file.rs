//! Reads the file of API keys: one key a line, and after its name and hash what its holder may do.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::pipeline::{Account, Grant};

/// Characters of a name at most: it is a label of logs and metrics.
const MAX_NAME: usize = 128;
/// Words after name and hash, as errors list them.
const WORDS: &str = "admin, expires=DATE, keep=SIZE, upload=SIZE, requests-per-minute=N, \
                     rows-per-minute=N, max-run=DURATION, models=NAME,..., load=NAME,...";

/// Holds a key's hash, and what its holder may do.
#[derive(Debug, Clone)]
pub(super) struct ApiKey {
    pub(super) hash: blake3::Hash,
    pub(super) account: Arc<Account>,
}

/// Parses all keys. Errors begin with the line.
pub(super) fn parse(text: &str) -> Result<Vec<ApiKey>, String> {
    let mut all: Vec<ApiKey> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let parsed = parse_line(line).and_then(|key| match key {
            Some(key) if all.iter().any(|known| same(known, &key)) => {
                Err("this name or this key is listed twice".into())
            }
            key => Ok(key),
        });
        all.extend(parsed.map_err(|e| format!("line {}: {e}", i + 1))?);
    }
    if all.is_empty() {
        return Err("no key".into());
    }
    Ok(all)
}

fn same(one: &ApiKey, other: &ApiKey) -> bool {
    one.account.name == other.account.name || one.hash == other.hash
}

/// Returns whether a key can have that name: a word that a line of a log shows as it is.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= MAX_NAME
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
}

/// Parses one line; `None` where nothing is on it.
fn parse_line(line: &str) -> Result<Option<ApiKey>, String> {
    // Anywhere in a line, since names of keys do not hold the sign.
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let Some(name) = words.next() else {
        return Ok(None);
    };
    let hash = words
        .next()
        .ok_or("a name and a hash are needed, as `scotoma key NAME` prints them")?;
    let hash =
        blake3::Hash::from_hex(hash).map_err(|_| "the hash has to be 64 hexadecimal digits")?;
    if !is_name(name) {
        return Err(format!(
            "{name:?}: no name of a key; {MAX_NAME} visible characters at most"
        ));
    }
    let (mut grant, mut seen) = (Grant::default(), Vec::new());
    for word in words {
        let (what, value) = word.split_once('=').unwrap_or((word, ""));
        if seen.contains(&what) {
            return Err(format!("{what} is there twice"));
        }
        seen.push(what);
        set(&mut grant, word, what, value).map_err(|e| format!("{word}: {e}"))?;
    }
    if grant.loads.is_some() && !grant.admin {
        return Err("load= is for keys with admin".into());
    }
    let account = Arc::new(Account::new(name.into(), grant));
    Ok(Some(ApiKey { hash, account }))
}

/// Sets what one word says.
fn set(grant: &mut Grant, word: &str, what: &str, value: &str) -> Result<(), String> {
    match what {
        // `admin=no` is an unknown word, and must not make an admin.
        "admin" if word == "admin" => grant.admin = true,
        "expires" => grant.expires = Some(date(value)?),
        "keep" => grant.kept_bytes = Some(size(value)?),
        "upload" => grant.upload_bytes = Some(size(value)?),
        "requests-per-minute" => grant.requests_per_minute = Some(count(value)?),
        "rows-per-minute" => grant.rows_per_minute = Some(count(value)?),
        "max-run" => grant.max_run = Some(duration(value)?),
        "models" => grant.models = Some(value.parse()?),
        "load" => grant.loads = Some(value.parse()?),
        _ => return Err(format!("unknown; known are {WORDS}")),
    }
    Ok(())
}

/// Parses the day on which a key ends, in UTC.
fn date(value: &str) -> Result<Timestamp, String> {
    let day: Date = value
        .parse()
        .map_err(|_| "no date; one such as 2027-03-01 is needed, on which the key ends (UTC)")?;
    let midnight = day.to_zoned(TimeZone::UTC).map_err(|e| e.to_string())?;
    Ok(midnight.timestamp())
}

fn count(value: &str) -> Result<u64, String> {
    let count = value.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| "no number above 0".into())
}

fn size(value: &str) -> Result<u64, String> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &value[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    let bytes = unit.and_then(|unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit));
    let bytes = bytes.filter(|&bytes| bytes > 0);
    bytes.ok_or_else(|| "no size; one such as 64MiB, 1GiB or 1048576 is needed".into())
}

fn duration(value: &str) -> Result<Duration, String> {
    let parsed = value.parse::<SignedDuration>().ok();
    // Negative ones parse, and fail here.
    let duration = parsed.and_then(|d| Duration::try_from(d).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "no duration; one such as 90s, 10m or 1h is needed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    fn grant(words: &str) -> Result<Grant, String> {
        let all = parse(&format!(
            "# a file of keys\n\na {HASH} {words} # of the lab"
        ))?;
        Ok(all[0].account.grant.clone())
    }

    #[test]
    fn words_say_what_a_holder_may_do() {
        assert_eq!(grant("").unwrap(), Grant::default());
        let all = grant(
            "admin expires=2027-03-01 keep=64MiB upload=1048576 requests-per-minute=60 \
             rows-per-minute=2000000 max-run=10m models=shapes,llava-* load=llava-*",
        )
        .unwrap();
        let expected = Grant {
            admin: true,
            expires: Some("2027-03-01T00:00:00Z".parse().unwrap()),
            kept_bytes: Some(64 << 20),
            upload_bytes: Some(1 << 20),
            requests_per_minute: Some(60),
            rows_per_minute: Some(2_000_000),
            max_run: Some(Duration::from_secs(600)),
            models: Some("shapes,llava-*".parse().unwrap()),
            loads: Some("llava-*".parse().unwrap()),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn mistakes_are_named_by_line() {
        for (words, says) in [
            (
                "rows=7",
                "line 3: rows=7: unknown; known are admin, expires=DATE",
            ),
            ("admin=yes", "admin=yes: unknown"),
            ("expires=tomorrow", "expires=tomorrow: no date"),
            ("keep=7potatoes", "no size"),
            ("keep=99999999999999TiB", "no size"),
            ("max-run=-3s", "no duration"),
            ("requests-per-minute=0", "no number above 0"),
            ("models=a,,b", "a name is empty"),
            ("admin admin", "admin is there twice"),
            ("load=a", "load= is for keys with admin"),
        ] {
            let error = grant(words).unwrap_err();
            assert!(error.contains(says), "{words}: {error}");
        }
        for (text, says) in [
            (String::new(), "no key"),
            ("lab".into(), "line 1: a name and a hash"),
            ("lab 12".into(), "line 1: the hash"),
            (format!("a {HASH}\na {HASH}"), "line 2: this name"),
            (format!("a\u{1b}b {HASH}"), "no name of a key"),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
