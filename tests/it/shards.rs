//! Shards: parts that processes of their own ask come to what one process comes to, and what is not
//! whole is not merged.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const PERMUTED: &str = r#"permuted=[{"permuteTokens":{"seed":"5"}}]"#;

fn scotoma(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    command.args(arguments).output().unwrap()
}

fn ran(arguments: &[&str]) -> String {
    let output = scotoma(arguments);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails with this in what it says.
fn refused(arguments: &[&str], reason: &str) {
    let output = scotoma(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    assert!(
        said(&output).contains(reason),
        "{reason}: {}",
        said(&output)
    );
}

/// Asks the first questions of `shapes` under two variants.
fn eval(out: &Path, more: &[&str]) -> String {
    let out = out.to_str().unwrap();
    let mut arguments = vec!["eval", "shapes", "--limit", "24", "--variant", PERMUTED];
    arguments.extend(["--json", "--out", out]);
    arguments.extend(more);
    ran(&arguments)
}

fn merge(out: &Path, shards: &[PathBuf]) -> Output {
    let paths = shards.iter().map(|shard| shard.to_str().unwrap());
    let all = ["merge", "--json", out.to_str().unwrap()];
    scotoma(&all.into_iter().chain(paths).collect::<Vec<_>>())
}

/// All results in the order of ids and variants, without what the company of a request changes.
fn results(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for result in &mut all {
        result.as_object_mut().unwrap().remove("usage");
    }
    all.sort_by_key(|r| (r["id"].to_string(), r["variant"].to_string()));
    all
}

struct Shards {
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
}

impl Shards {
    fn run(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..count)
            .map(|i| folder.path().join(format!("{i}.jsonl")))
            .collect();
        for (i, file) in files.iter().enumerate() {
            eval(file, &["--shard", &format!("{i}/{count}")]);
        }
        Self { folder, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn merged_shards_are_what_one_process_writes() {
    let shards = Shards::run(3);
    let (whole, merged) = (shards.path("whole.jsonl"), shards.path("merged.jsonl"));
    let metrics = eval(&whole, &[]);
    let output = merge(&merged, &shards.files);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(results(&merged), results(&whole));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary, serde_json::from_str::<Value>(&metrics).unwrap());

    // The run goes on from there without a shard: nothing is left, and the metrics are the server's.
    assert_eq!(eval(&merged, &[]), metrics);
    assert_eq!(results(&merged), results(&whole));

    // One file alone is put in order; the order of shards changes nothing.
    let (sorted, again) = (shards.path("sorted.jsonl"), shards.path("again.jsonl"));
    assert!(
        merge(&sorted, std::slice::from_ref(&whole))
            .status
            .success()
    );
    let mut turned = shards.files.clone();
    turned.reverse();
    assert!(merge(&again, &turned).status.success());
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert_eq!(bytes(&again), bytes(&merged));
    // The same again is no harm, another run's results are not written over.
    assert!(merge(&again, &shards.files).status.success());
    let other = merge(&whole, &shards.files);
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    assert!(said(&other).contains("is there, with other results"));
    let ids = |path: &Path| {
        results(path)
            .iter()
            .map(|r| r["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&sorted), ids(&merged));
}

#[test]
fn what_is_missing_double_or_of_another_run_is_said() {
    let shards = Shards::run(2);
    let out = shards.path("merged.jsonl");
    let [first, second] = [0, 1].map(|i| shards.files[i].clone());
    let refused = |files: &[PathBuf], reason: &str| {
        let output = merge(&out, files);
        assert!(!output.status.success());
        assert!(
            said(&output).contains(reason),
            "{reason}: {}",
            said(&output)
        );
        assert!(!out.exists(), "something was written");
    };
    refused(std::slice::from_ref(&first), "missing shards: 1/2");
    refused(
        &[first.clone(), first.clone()],
        "there is another file of this shard",
    );

    let whole = std::fs::read_to_string(&second).unwrap();
    let (kept, last) = whole.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(&second, format!("{kept}\n")).unwrap();
    let lost: Value = serde_json::from_str(last).unwrap();
    let [id, variant] = ["id", "variant"].map(|name| lost[name].as_str().unwrap());
    refused(
        &[first.clone(), second.clone()],
        &format!("1 answers are missing: {id} under {variant}; run the shard again"),
    );
    let (some, files) = (
        shards.path("some.jsonl"),
        [&first, &second].map(|f| f.to_str().unwrap()),
    );
    let some = some.to_str().unwrap();
    let summary = ran(&[
        "merge",
        "--json",
        "--allow-missing",
        some,
        files[0],
        files[1],
    ]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(
        (&summary["results"], &summary["failed"]),
        (&48.into(), &1.into())
    );
    // The same command asks what is missing.
    eval(&second, &["--shard", "1/2"]);
    assert_eq!(results(&second).len(), whole.lines().count());

    let foreign = std::fs::read_to_string(&first).unwrap();
    let mixed = format!("{whole}{}\n", foreign.lines().next().unwrap());
    std::fs::write(&second, mixed).unwrap();
    refused(
        &[first.clone(), second.clone()],
        "answers that are not its own: ",
    );
    refused(&[first.clone(), second.clone()], "1 answers are in ");
    std::fs::write(&second, &whole).unwrap();

    let about = PathBuf::from(format!("{}.run.json", second.display()));
    let text = std::fs::read_to_string(&about).unwrap();
    let mut run: Value = serde_json::from_str(&text).unwrap();
    run["model"] = "another".into();
    std::fs::write(&about, run.to_string()).unwrap();
    refused(&[first.clone(), second.clone()], "are of two runs: model ");
    std::fs::write(&about, text).unwrap();
    assert!(merge(&out, &[first, second]).status.success());
}

#[test]
fn a_file_stays_that_of_its_shard() {
    let shards = Shards::run(2);
    let first = shards.files[0].to_str().unwrap();
    let base = [
        "eval",
        "shapes",
        "--limit",
        "24",
        "--variant",
        PERMUTED,
        "--out",
    ];
    let with = |more: &[&'static str]| [&base[..], &[first], more].concat();
    refused(&with(&[]), "has the results of --shard 0/2");
    refused(&with(&["--shard", "1/2"]), "has the results of --shard 0/2");
    refused(
        &["eval", "shapes", "--shard", "0/2"],
        "--out FILE is needed",
    );
    refused(
        &["eval", "shapes", "--shard", "2/2"],
        "numbered from 0; the last one of 2 is 1",
    );
    let open = shards.path("open.jsonl");
    let open = open.to_str().unwrap();
    let draws = [
        "--variant",
        r#"p=[{"permuteTokens":{}}]"#,
        "--shard",
        "0/2",
        "--out",
        open,
    ];
    refused(
        &[&["eval", "shapes"], &draws[..]].concat(),
        "leaves a seed open",
    );
    assert!(!Path::new(open).exists(), "something was begun");
}

#[test]
fn an_experiment_in_shards_has_the_report_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |report: &str, more: &[&str]| {
        let base = [
            "experiment",
            "permutation",
            "shapes",
            "--limit",
            "12",
            "--report",
            report,
        ];
        ran(&[&base[..], more].concat());
    };
    let (whole, merged) = (path("whole"), path("merged"));
    run(&whole, &[]);
    for shard in ["0/2", "1/2"] {
        run(&path(&shard[..1]), &["--shard", shard]);
    }
    assert!(
        !Path::new(&path("0")).join("report.md").exists(),
        "a report of a part"
    );
    let shown = ran(&["merge", &merged, &path("0"), &path("1")]);
    assert!(shown.contains("results.jsonl: "), "{shown}");
    run(&merged, &[]);
    let results_of = |folder: &str| results(&Path::new(folder).join("results.jsonl"));
    assert_eq!(results_of(&merged), results_of(&whole));
    let plot = |folder: &str| std::fs::read(Path::new(folder).join("plot.svg"));
    assert_eq!(plot(&merged).ok(), plot(&whole).ok());
    let report = |folder: &str| std::fs::read_to_string(Path::new(folder).join("report.md"));
    assert_eq!(report(&merged).unwrap(), report(&whole).unwrap());
}
