//! What commands print and write: nothing is lost without a word, whoever stops to read and
//! whatever cannot be written.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma::server::ServerConfig;

use crate::common::Running;

/// The program in a folder that has a picture.
fn scotoma(folder: &Path, line: &str) -> Command {
    std::fs::write(folder.join("picture.png"), crate::common::picture()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        // No server comes here that is not there.
        .env("SCOTOMA_PATIENCE", "0");
    command
}

fn run(folder: &Path, line: &str) -> Output {
    scotoma(folder, line).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn readers_that_leave_cost_no_file() {
    for (line, file, lines) in [
        (
            "generate picture.png Which? --max-tokens 3 --record r.json",
            "r.json",
            1,
        ),
        (
            "generate picture.png Which? --max-tokens 3 --record r.json --json",
            "r.json",
            1,
        ),
        (
            "score picture.png Which? -c Yes --record r.json --json",
            "r.json",
            1,
        ),
        (
            "sweep picture.png Which? --max-tokens 1 --axis permute=1..3 --out r.jsonl --json",
            "r.jsonl",
            3,
        ),
        (
            "attribute picture.png Which? --answer Yes --layers 0 --out r.csv --json",
            "r.csv",
            2,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = scotoma(folder.path(), line);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        // As shells report SIGPIPE.
        assert_eq!(child.wait().unwrap().code(), Some(141), "{line}");
        let written = std::fs::read_to_string(folder.path().join(file)).unwrap_or_default();
        assert!(written.lines().count() >= lines, "{line}: {written}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn full_disks_are_told() {
    for (line, file) in [
        (
            "items shapes --limit 1 --scoring letters --report out",
            "out/items.jsonl",
        ),
        (
            "items shapes --limit 8 --scoring letters --report out --keep not-blind",
            "out/kept.tsv",
        ),
        (
            "sweep picture.png Which? --max-tokens 1 --axis permute=1 --out a.csv",
            "a.csv",
        ),
        (
            "capture picture.png Which? projector.hook_out --out a.npz",
            "a.npz",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/dev/full", path).unwrap();
        let output = run(folder.path(), line);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {text}");
        let names_both = text.contains(&format!("{file}: ")) && text.contains("No space left");
        assert!(names_both, "{line}: {text}");
    }
}

#[test]
fn earlier_results_stay_until_there_are_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.jsonl");
    std::fs::write(&out, "kept\n").unwrap();
    for line in [
        "sweep picture.png Which? --axis permute=1 --out a.jsonl --server http://127.0.0.1:1",
        // Refused: the field is none of the contract's.
        "sweep picture.png Which? --axis interventions[0].scale.colour=1 --out a.jsonl",
    ] {
        let output = run(folder.path(), line);
        assert_eq!(output.status.code(), Some(1), "{line}: {}", said(&output));
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "kept\n", "{line}");
    }
}

/// The answers of the way that needs a judge would be those of the way before.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_judge_is_not_asked_for_verdicts() {
    let server = Running::start(ServerConfig::shapes()).await;
    let folder = tempfile::tempdir().unwrap();
    let image = STANDARD.encode(crate::common::picture());
    let row = serde_json::json!({
        "index": 1, "question": "Which?", "image": image, "options": ["red", "blue"],
        "answer": "red",
    });
    std::fs::write(folder.path().join("Pets.jsonl"), format!("{row}\n")).unwrap();
    let line = format!(
        "classify --data Pets.jsonl --report out --server {}",
        server.address
    );
    let output = run(folder.path(), &line);
    assert!(output.status.success(), "{}", said(&output));
    let there = |name: &str| folder.path().join("out").join(name).exists();
    assert!(there("classes-named.jsonl") && !there("answers-judged.jsonl"));
    server.end().await;
}
