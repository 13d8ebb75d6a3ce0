//! A results file: one result a line in canonical JSON, with the run's header beside it, so that a
//! run that was cut off goes on as the same run. All clients and the command line read and write
//! the same files.
//!
//! A run holds an exclusive `flock(2)` on the results file from before it reads it until it ends.
//! The lock goes with the process, however that ends, and all clients take the same one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::v1::{EvaluateHeader, EvaluateStarted, Judge, SampleResult};

/// The file beside results. Fields that earlier versions did not write are not compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RunFile {
    /// The header of the request.
    asked: EvaluateHeader,
    /// The same header with all seeds drawn.
    ran: EvaluateHeader,
    /// The digest of the model.
    model: String,
    /// The server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// The judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    judge: Option<Judge>,
    /// SHA-256 (hex) of the file of questions, if they come from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_sha256: Option<String>,
}

/// The file of results, and that of their questions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) results: &'a Path,
    pub(crate) data: Option<&'a Path>,
}

/// An open results file.
#[derive(Debug)]
pub(crate) struct Results {
    path: PathBuf,
    asked: EvaluateHeader,
    data_sha256: Option<String>,
    earlier: Option<RunFile>,
    /// The file, locked.
    file: File,
}

/// The file of the header beside `results`.
fn beside(results: &Path) -> PathBuf {
    // Appended: `with_extension` would take that of the results away.
    let mut name = results.as_os_str().to_owned();
    name.push(".run.json");
    name.into()
}

impl RunFile {
    /// Reads the file at `about`; `None` where there is none.
    fn read(about: &Path) -> Result<Option<Self>, Error> {
        let text = match std::fs::read(about) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file(about, None, e)),
        };
        let read = serde_json::from_slice(&text);
        read.map(Some)
            .map_err(|e| Error::file(about, None, format!("it is no header of a run: {e}")))
    }
}

/// Says why the results of a file are not those of `header`; nothing where they are.
fn strangers(
    path: &Path,
    known: &[SampleResult],
    header: &EvaluateHeader,
    has_header: bool,
) -> Vec<String> {
    // The header is written before the first result: without it nothing says whose answers these
    // are.
    if !has_header && !known.is_empty() {
        return vec![format!(
            "{} is not there, which says of which run its {} results are",
            beside(path).display(),
            known.len()
        )];
    }
    let is_named =
        |result: &&SampleResult| header.variants.iter().any(|v| v.name == result.variant);
    match known.iter().find(|result| !is_named(result)) {
        Some(other) if !header.variants.is_empty() => {
            vec![format!(
                "its variant {:?} is none of this run",
                other.variant
            )]
        }
        _ => Vec::new(),
    }
}

impl Results {
    /// Opens and locks a file for `header`; returns the results that are there, and the header with
    /// the seeds that were drawn then.
    pub(crate) fn open(
        Place {
            results: path,
            data,
        }: Place<'_>,
        header: EvaluateHeader,
    ) -> Result<(Self, EvaluateHeader, Vec<SampleResult>), Error> {
        // Created here, since only a file can be locked, and never truncated.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| Error::file(path, None, e))?;
        lock(&file, path)?;
        // How often metrics come makes no other run.
        let asked = EvaluateHeader {
            progress_every: 0,
            ..header.clone()
        };
        let data_sha256 = data.map(sha256).transpose()?;
        let earlier = RunFile::read(&beside(path))?;
        let header = match &earlier {
            Some(run) => {
                let mut differ = headers_differ(&run.asked, &asked);
                differ.extend(texts_differ(
                    "data (SHA-256)",
                    run.data_sha256.as_deref(),
                    data_sha256.as_deref(),
                ));
                same_run(path, &differ)?;
                EvaluateHeader {
                    progress_every: header.progress_every,
                    ..run.ran.clone()
                }
            }
            None => header,
        };
        // Under the lock: the last line may be cut off only where nobody is writing it.
        let known = read(path, true)?;
        same_run(path, &strangers(path, &known, &header, earlier.is_some()))?;
        Ok((
            Self {
                path: path.to_owned(),
                asked,
                data_sha256,
                earlier,
                file,
            },
            header,
            known,
        ))
    }

    /// Records that the run has begun; refuses to continue under another model, server or judge.
    pub(crate) fn begun(&mut self, started: &EvaluateStarted) -> Result<(), Error> {
        let version = Some(started.server_version.clone()).filter(|version| !version.is_empty());
        let run = if let Some(run) = &self.earlier {
            let mut differ = texts_differ(
                "model digest",
                Some(&run.model),
                Some(&started.model_digest),
            );
            differ.extend(texts_differ(
                "server version",
                run.server.as_deref(),
                version.as_deref(),
            ));
            // A judge may be added to a run, but not be changed for another one.
            if let (Some(then), Some(now)) = (&run.judge, &started.judge) {
                differ.extend(texts_differ("judge", Some(&then.model), Some(&now.model)));
                differ.extend(texts_differ(
                    "judge's prompt",
                    Some(&then.prompt),
                    Some(&now.prompt),
                ));
            }
            same_run(&self.path, &differ)?;
            // What was not known then is known from now on: answers may be judged later.
            let judge = run.judge.clone().or_else(|| started.judge.clone());
            let (server, data) = (
                run.server.clone().or(version),
                run.data_sha256.clone().or(self.data_sha256.clone()),
            );
            RunFile {
                server,
                judge,
                data_sha256: data,
                ..run.clone()
            }
        } else {
            let ran = EvaluateHeader {
                progress_every: 0,
                ..started.header.clone().unwrap_or_default()
            };
            RunFile {
                asked: self.asked.clone(),
                ran,
                model: started.model_digest.clone(),
                server: version,
                judge: started.judge.clone(),
                data_sha256: self.data_sha256.clone(),
            }
        };
        let about = beside(&self.path);
        let text = serde_json::to_string(&run).map_err(|e| Error::file(&about, None, e))?;
        // At once or not at all: a run may be killed here, too.
        let part = about.with_extension("part");
        std::fs::write(&part, text).map_err(|e| Error::file(&part, None, e))?;
        std::fs::rename(&part, &about).map_err(|e| Error::file(&about, None, e))?;
        self.earlier = Some(run);
        Ok(())
    }

    /// Appends a result.
    pub(crate) fn add(&mut self, result: &SampleResult) -> Result<(), Error> {
        // With its end, in one write: a kill leaves whole lines, and at most one piece.
        let line =
            serde_json::to_string(result).map_err(|e| Error::file(&self.path, None, e))? + "\n";
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| Error::file(&self.path, None, e))
    }
}

/// Locks a results file until it is closed.
fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let message =
                "another run is writing to it; wait until it has ended, or take another file";
            Err(Error::file(path, None, message))
        }
        Err(TryLockError::Error(e)) => {
            let message = format!(
                "it cannot be locked against a second run ({e}); a file of another file system can"
            );
            Err(Error::file(path, None, message))
        }
    }
}

/// Returns the SHA-256 (hex) of a file.
fn sha256(path: &Path) -> Result<String, Error> {
    let failed = |e: std::io::Error| Error::file(path, None, e);
    // Piece by piece: a table of pictures may be larger than memory.
    let (mut hasher, mut file, mut piece) = (
        Sha256::new(),
        File::open(path).map_err(failed)?,
        vec![0; 1 << 16],
    );
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => break,
            count => hasher.update(&piece[..count]),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
}

/// Differences that an error names.
const SHOWN: usize = 6;

/// Refuses a file of another run, and says what differs and what to do.
fn same_run(path: &Path, differ: &[String]) -> Result<(), Error> {
    if differ.is_empty() {
        return Ok(());
    }
    let mut shown = differ
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    if differ.len() > SHOWN {
        shown = format!("{shown}; and {} more", differ.len() - SHOWN);
    }
    let about = beside(path);
    let message = format!(
        "it is of another run: {shown}. Run as then, or take another file, or remove {} and {} to \
         begin anew",
        path.display(),
        about.display()
    );
    Err(Error::file(path, None, message))
}

/// Compares two texts, where both are known.
fn texts_differ(field: &str, then: Option<&str>, now: Option<&str>) -> Vec<String> {
    match (then, now) {
        (Some(then), Some(now)) if then != now => {
            vec![format!("{field} {then:?} then, {now:?} now")]
        }
        _ => Vec::new(),
    }
}

/// Compares headers field by field.
fn headers_differ(then: &EvaluateHeader, now: &EvaluateHeader) -> Vec<String> {
    if then == now {
        return Vec::new();
    }
    let mut differ = Vec::new();
    let [then, now] = [then, now].map(|header| serde_json::to_value(header).unwrap_or_default());
    values_differ("", &then, &now, &mut differ);
    if differ.is_empty() {
        differ.push("headers differ".to_owned());
    }
    differ
}

fn values_differ(path: &str, then: &Value, now: &Value, differ: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a
                .keys()
                .chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let unset = &Value::Null;
                values_differ(
                    &path,
                    a.get(name).unwrap_or(unset),
                    b.get(name).unwrap_or(unset),
                    differ,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.for_each(|(i, (a, b))| values_differ(&format!("{path}[{i}]"), a, b, differ));
        }
        (a, b) if a != b => differ.push(format!("{path} {} then, {} now", shown(a), shown(b))),
        _ => {}
    }
}

/// Shortens a value; a list of things with names becomes the names.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = match value {
        Value::Null => "unset".into(),
        Value::Array(all) if !all.is_empty() && all.iter().all(|v| v.get("name").is_some()) => {
            let names: Vec<String> = all
                .iter()
                .filter_map(|v| Some(v.get("name")?.to_string()))
                .collect();
            format!("{} ({})", all.len(), names.join(", "))
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Reads all results of a file, without errors; the later of two for the same sample and variant.
pub fn read_results(path: impl AsRef<Path>) -> Result<Vec<SampleResult>, Error> {
    read(path.as_ref(), false)
}

/// Reads results. With `mend` a missing file has none, and a last line that a kill cut off is removed.
fn read(path: &Path, mend: bool) -> Result<Vec<SampleResult>, Error> {
    let failed = |e: std::io::Error| Error::file(path, None, e);
    let file = match File::open(path) {
        Err(e) if mend && e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(failed)?,
    };
    let (mut known, mut places) = (Vec::<SampleResult>::new(), HashMap::new());
    let (mut reader, mut line, mut whole) = (BufReader::new(file), Vec::new(), 0);
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        // Only the last line has no end.
        if !line.ends_with(b"\n") {
            if mend {
                OpenOptions::new()
                    .write(true)
                    .open(path)
                    .and_then(|f| f.set_len(whole))
                    .map_err(failed)?;
            }
            break;
        }
        let wrong = |e| Error::file(path, Some(number), format!("it is no result of a run: {e}"));
        let result: SampleResult = serde_json::from_slice(&line).map_err(wrong)?;
        whole += line.len() as u64;
        // Errors are not answers: the next run asks again.
        if result.error.is_none() {
            let place = *places
                .entry((result.id.clone(), result.variant.clone()))
                .or_insert(known.len());
            if place == known.len() {
                known.push(result);
            } else {
                known[place] = result;
            }
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_beside_the_results() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("a.jsonl");
        let place = Place {
            results: &results,
            data: None,
        };
        let (mut opened, ..) = Results::open(place, EvaluateHeader::default()).unwrap();
        std::fs::create_dir(beside(&results)).unwrap();
        let error = opened.begun(&EvaluateStarted::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("a.jsonl.run.json"), "{error}");
    }
}
