//! `scotoma merge`: the results of shards as those of one run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::{
    BenchmarkMetric, Comparison, EvaluateFinished, EvaluateHeader, SampleResult,
};
use serde_json::Value;

use super::classify::outcome;
use super::error::{Failure, Usage};
use super::eval;
use super::files;
use super::shard_file::{SHARD_FILE, ShardFile, refuse_shard};
use crate::api::rule_of;
use crate::benchmark::{Outcome, Shard, compare};

/// Ids that a line lists.
const SHOWN: usize = 20;
/// Names what makes a run, in the file beside its results. The header that was asked may leave things
/// open, the one that ran has all.
const SAME: [&str; 5] = ["ran", "model", "server", "judge", "data_sha256"];

/// Flags of `merge`.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// File to write all results to, in the order of their items' ids; a folder where the shards
    /// are folders. The command that made the shards then finds nothing left to ask there, without
    /// --shard, and writes its report
    out: PathBuf,
    /// The results of the shards (`eval --out`), all of them
    ///
    /// Or their folders (`experiment` and `paper --report`), in which everything that is there is
    /// merged.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Merge what is there, and name what is missing
    ///
    /// An item that every run fails at has no answer.
    #[arg(long)]
    allow_missing: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Merge {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let folders = self.shards.iter().filter(|shard| shard.is_dir()).count();
        if folders == 0 {
            let merged = Merged::read(&self.out, &self.shards, self.allow_missing)?;
            merged.write()?;
            return merged.print(self.json);
        }
        if folders < self.shards.len() {
            let message = "files and folders: the shards are the one or the other";
            return Err(Usage(message.into()).into());
        }
        self.run_folders()
    }

    /// Merges everything in the folders. All is read and checked before anything is written.
    fn run_folders(&self) -> Result<(), Failure> {
        let mut names = BTreeSet::new();
        for folder in &self.shards {
            // Of any of them: a shard that lacks a file is told as the file's shard that is
            // missing.
            let found = files::beside(folder, SHARD_FILE)?;
            let inside = found
                .iter()
                .filter_map(|path| path.strip_prefix(folder).ok());
            names.extend(inside.map(Path::to_owned));
            if names.is_empty() {
                let message = format!("{}: no results of a shard in it", folder.display());
                return Err(message.into());
            }
        }
        let (mut all, mut wrong) = (Vec::new(), Vec::new());
        for name in names {
            let shards: Vec<PathBuf> = self.shards.iter().map(|s| s.join(&name)).collect();
            match Merged::read(&self.out.join(&name), &shards, self.allow_missing) {
                Ok(merged) => all.push(merged),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("\n").into());
        }
        for merged in &all {
            merged.write()?;
            if self.json {
                merged.print(true)?;
            } else {
                println!("{}: {} answers", merged.out.display(), merged.results.len());
            }
        }
        if !self.json {
            let out = self.out.display();
            println!("The same command with --report {out} and without --shard writes the report.");
        }
        Ok(())
    }
}

/// The results of one process.
struct Part {
    path: PathBuf,
    /// The header of the run and what else makes it, as JSON.
    run: Value,
    shard: Option<(Shard, ShardFile)>,
    results: Vec<SampleResult>,
    /// Locked, so that no run writes meanwhile.
    file: File,
}

impl Part {
    fn read(path: &Path) -> Result<Self, Failure> {
        let named = |e: &dyn std::fmt::Display| files::named(path, e);
        let file = File::open(path).map_err(|e| named(&e))?;
        // Shared, so that several may merge, while a run that writes holds it alone.
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(named(&"a run is writing to it; wait until it has ended").into());
            }
            Err(TryLockError::Error(e)) => return Err(named(&e).into()),
        }
        // Appended: `with_extension` would take `.jsonl` away.
        let mut about = path.as_os_str().to_owned();
        about.push(".run.json");
        let about = PathBuf::from(about);
        let run =
            serde_json::from_slice(&files::read(&about)?).map_err(|e| files::named(&about, &e))?;
        let shard = match ShardFile::read(path)? {
            Some(file) => Some((file.shard.parse().map_err(|e: String| named(&e))?, file)),
            None => None,
        };
        Ok(Self {
            path: path.to_owned(),
            run,
            shard,
            results: scotoma_client::read_results(path)?,
            file,
        })
    }

    fn name(&self) -> String {
        match &self.shard {
            Some((shard, _)) => format!("{} (shard {shard})", self.path.display()),
            None => self.path.display().to_string(),
        }
    }

    /// Returns the ids of its items: those that the shard has, else those that have a result.
    fn items(&self) -> Vec<&str> {
        if let Some((_, file)) = &self.shard {
            return file.items.iter().map(String::as_str).collect();
        }
        // Without the file of a shard only its results say which items it has.
        let mut seen = HashSet::new();
        let ids = self.results.iter().map(|r| r.id.as_str());
        ids.filter(|id| seen.insert(*id)).collect()
    }

    /// Returns the answers that are not there.
    fn missing<'a>(&'a self, variants: &[&'a str]) -> Vec<(&'a str, &'a str)> {
        let there: HashSet<(&str, &str)> = self.results.iter().map(key).collect();
        let items = self.items();
        let wanted = items
            .iter()
            .flat_map(|id| variants.iter().map(move |v| (*id, *v)));
        wanted.filter(|key| !there.contains(key)).collect()
    }

    /// Lists answers that should not be there.
    fn foreign(&self, variants: &[&str], mistakes: &mut Vec<String>) {
        let there = self.results.iter().map(key);
        let own: HashSet<&str> = self.items().into_iter().collect();
        let known: HashSet<&str> = variants.iter().copied().collect();
        let is_own = |(id, variant): &(&str, &str)| own.contains(id) && known.contains(variant);
        let others: BTreeSet<_> = there.filter(|key| !is_own(key)).collect();
        if !others.is_empty() {
            let name = self.name();
            let listed = listed(others.into_iter());
            mistakes.push(format!("{name}: answers that are not its own: {listed}"));
        }
    }
}

fn key(result: &SampleResult) -> (&str, &str) {
    (&result.id, &result.variant)
}

fn missing_line(part: &Part, missing: &[(&str, &str)]) -> String {
    let (name, count) = (part.name(), missing.len());
    format!(
        "{name}: {count} answers are missing: {}",
        listed(missing.iter().copied())
    )
}

/// Lists answers by item and variant, the first ones.
fn listed<'a>(keys: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> String {
    let more = keys.len().saturating_sub(SHOWN);
    let shown: Vec<String> = keys
        .take(SHOWN)
        .map(|(id, variant)| format!("{id} under {variant}"))
        .collect();
    let shown = shown.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown}, and {more} more")
    }
}

/// The results of all shards.
struct Merged {
    out: PathBuf,
    /// True if the one file that is read is put in order.
    is_in_place: bool,
    run: Value,
    header: EvaluateHeader,
    /// Sorted by ids, then by variants.
    results: Vec<SampleResult>,
    left_out: usize,
    missing: usize,
    /// The shards, locked until all is written: what a run added meanwhile would be lost where one
    /// of them is put in order.
    _locked: Vec<File>,
}

impl Merged {
    /// Reads the shards and checks them; an error lists everything that is wrong.
    fn read(out: &Path, shards: &[PathBuf], allow_missing: bool) -> Result<Self, Failure> {
        let (mut parts, mut mistakes) = (Vec::new(), Vec::new());
        for path in shards {
            match Part::read(path) {
                Ok(part) => parts.push(part),
                Err(error) => mistakes.push(error.to_string()),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes.join("\n").into());
        }
        one_run(&parts, &mut mistakes);
        // Of several runs nothing else can be said.
        if !mistakes.is_empty() {
            return Err(mistakes.join("\n").into());
        }
        // clap wants one at least, and all were read.
        let run = parts[0].run.clone();
        let header: EvaluateHeader = serde_json::from_value(run["ran"].clone())
            .map_err(|e| files::named(&parts[0].path, &format!("its header: {e}")))?;
        let names: Vec<&str> = header.variants.iter().map(|v| v.name.as_str()).collect();
        all_shards(&parts, &mut mistakes);
        let mut missing = 0;
        for part in &parts {
            let own = part.missing(&names);
            missing += own.len();
            if !own.is_empty() {
                let line = missing_line(part, &own);
                if allow_missing {
                    eprintln!("{line}");
                } else {
                    mistakes.push(format!(
                        "{line}; run the shard again, or give --allow-missing"
                    ));
                }
            }
            part.foreign(&names, &mut mistakes);
        }
        doubles(&parts, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(mistakes.join("\n").into());
        }
        // Every shard reads all rows, and so has counted all that were left out.
        let left_out = parts
            .iter()
            .filter_map(|p| Some(p.shard.as_ref()?.1.left_out))
            .max();
        let (mut results, mut locked) = (Vec::new(), Vec::new());
        for part in parts {
            results.extend(part.results);
            locked.push(part.file);
        }
        Ok(Self {
            out: out.to_owned(),
            is_in_place: shards == [out],
            run,
            results: sorted(results, &names),
            header,
            left_out: left_out.unwrap_or_default(),
            missing,
            _locked: locked,
        })
    }

    /// Writes the results, with the header beside them.
    fn write(&self) -> Result<(), Failure> {
        // In memory, to compare them with what is there before anything is written.
        let mut lines = Vec::new();
        for result in &self.results {
            serde_json::to_writer(&mut lines, result)?;
            lines.push(b'\n');
        }
        // The same results again are no mistake: a merge can be repeated.
        if self.out.exists() && !self.is_in_place && files::read(&self.out)? != lines {
            let out = self.out.display();
            return Err(Usage(format!(
                "{out} is there, with other results; take a new file"
            ))
            .into());
        }
        refuse_shard(&self.out)?;
        if let Some(folder) = self.out.parent() {
            files::create_folder(folder)?;
        }
        // Appended, as `Part::read` looks for it.
        let mut about = self.out.as_os_str().to_owned();
        about.push(".run.json");
        // The header first: results without one would be nobody's.
        files::replace(Path::new(&about), &serde_json::to_vec(&self.run)?)?;
        files::replace(&self.out, &lines)?;
        Ok(())
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        let finished = self.finished()?;
        eval::report(&finished, self.left_out, json)
    }

    /// Computes the metrics as a server does at the end of a run.
    fn finished(&self) -> Result<EvaluateFinished, Failure> {
        let rule = rule_of(&self.header).map_err(|e| files::named(&self.out, &e))?;
        let mut by_variant: BTreeMap<&str, Vec<Outcome>> = BTreeMap::new();
        for result in &self.results {
            let own = by_variant.entry(&result.variant).or_default();
            own.push(outcome(result)?);
        }
        // A variant without any answer has its row all the same.
        let none = Vec::new();
        let outcomes_of = |name: &str| by_variant.get(name).unwrap_or(&none);
        let mut finished = EvaluateFinished {
            // Errors are not read back from files: what is missing is what has failed.
            results: (self.results.len() + self.missing) as u64,
            failed: self.missing as u64,
            ..Default::default()
        };
        let first = self.header.variants.first().map_or("", |v| v.name.as_str());
        for (i, variant) in self.header.variants.iter().enumerate() {
            let own = outcomes_of(&variant.name);
            let metrics = (rule.summarise)(own).into_iter();
            finished.metrics.extend(metrics.map(|m| BenchmarkMetric {
                variant: variant.name.clone(),
                name: m.name,
                value: m.value,
                low: m.interval.0,
                high: m.interval.1,
                most: m.most,
                n: m.n as u64,
                unparsed: m.unparsed as u64,
            }));
            if i > 0 {
                // Both are sorted by ids, by which `compare` looks items up.
                let c = compare(outcomes_of(first), own);
                finished.comparisons.push(Comparison {
                    variant: variant.name.clone(),
                    n: c.n as u64,
                    better: c.better as u64,
                    worse: c.worse as u64,
                    difference: c.difference,
                    low: c.interval.0,
                    high: c.interval.1,
                    p: c.p,
                });
            }
        }
        Ok(finished)
    }
}

/// Puts results in the order of ids, then of variants.
fn sorted(mut results: Vec<SampleResult>, variants: &[&str]) -> Vec<SampleResult> {
    let places: HashMap<&str, usize> = variants.iter().copied().zip(0..).collect();
    results.sort_by(|a, b| {
        let place = |r: &SampleResult| places.get(r.variant.as_str()).copied();
        (&a.id, place(a)).cmp(&(&b.id, place(b)))
    });
    results
}

/// Lists how the runs of the parts differ.
fn one_run(parts: &[Part], mistakes: &mut Vec<String>) {
    let first = &parts[0];
    for part in &parts[1..] {
        let mut differ = Vec::new();
        for name in SAME {
            let (a, b) = (&first.run[name], &part.run[name]);
            // A judge is written down once there is one, and earlier versions wrote less.
            if name == "ran" || name == "model" || !(a.is_null() || b.is_null()) {
                differences(name, a, b, &mut differ);
            }
        }
        let more = differ.len().saturating_sub(SHOWN);
        differ.truncate(SHOWN);
        if more > 0 {
            differ.push(format!("and {more} more"));
        }
        if !differ.is_empty() {
            let (a, b) = (first.path.display(), part.path.display());
            let differ = differ.join("; ");
            mistakes.push(format!("{a} and {b} are of two runs: {differ}"));
        }
    }
}

fn differences(path: &str, a: &Value, b: &Value, differ: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let names: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for name in names {
                differences(&format!("{path}.{name}"), &a[name], &b[name], differ);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (a, b)) in x.iter().zip(y).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, differ);
            }
        }
        _ if a != b => differ.push(format!("{path} {} and {}", short(a), short(b))),
        _ => {}
    }
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Lists shards that are not there, or not of these.
fn all_shards(parts: &[Part], mistakes: &mut Vec<String>) {
    let (shards, others): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|p| p.shard.is_some());
    let Some((first, file)) = shards.first().and_then(|part| part.shard.as_ref()) else {
        // One file by itself may be merged: its lines are put in order.
        if parts.len() > 1 {
            let name = parts[0].path.display();
            mistakes.push(format!("{name}: no shard; {name}{SHARD_FILE} is not there"));
        }
        return;
    };
    for part in others {
        let name = part.path.display();
        mistakes.push(format!("{name}: no shard; {name}{SHARD_FILE} is not there"));
    }
    let mut found: Vec<Shard> = Vec::new();
    for (part, (shard, own)) in shards.iter().filter_map(|p| Some((p, p.shard.as_ref()?))) {
        if shard.count() != first.count() || own.rows != file.rows {
            let (a, b) = (shards[0].name(), part.name());
            mistakes.push(format!(
                "{a} and {b} are parts of different items: {} of {} and {} of {}",
                file.items.len(),
                file.rows,
                own.items.len(),
                own.rows
            ));
        } else if found.contains(shard) {
            mistakes.push(format!(
                "{}: there is another file of this shard",
                part.name()
            ));
        }
        found.push(*shard);
    }
    let missing: Vec<String> = Shard::all(first.count())
        .filter(|shard| !found.contains(shard))
        .map(|shard| shard.to_string())
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        mistakes.push(format!("missing shards: {missing}"));
    }
}

/// Lists answers that are in two parts.
fn doubles(parts: &[Part], mistakes: &mut Vec<String>) {
    let mut of: HashMap<(&str, &str), usize> = HashMap::new();
    let mut twice: BTreeMap<(usize, usize), Vec<(&str, &str)>> = BTreeMap::new();
    for (i, part) in parts.iter().enumerate() {
        for result in &part.results {
            if let Some(before) = of.insert(key(result), i) {
                twice.entry((before, i)).or_default().push(key(result));
            }
        }
    }
    for ((a, b), keys) in twice {
        let (a, b, count) = (parts[a].name(), parts[b].name(), keys.len());
        let listed = listed(keys.into_iter());
        mistakes.push(format!("{count} answers are in {a} and in {b}: {listed}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that began between the two would add lines that `write` does not have.
    #[test]
    fn shards_are_locked_until_all_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let run = serde_json::json!({
            "ran": {"rule": "shapes", "variants": [{"name": "original"}]}, "model": "digest",
        });
        let result = serde_json::json!({"id": "1", "variant": "original"});
        files::write(&path, format!("{result}\n").as_bytes()).unwrap();
        files::write(
            &folder.path().join("a.jsonl.run.json"),
            run.to_string().as_bytes(),
        )
        .unwrap();
        let shards = [path.clone()];
        let merged = Merged::read(&path, &shards, false).unwrap();
        let other = File::open(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        merged.write().unwrap();
        drop(merged);
        other.try_lock().unwrap();
    }
}
