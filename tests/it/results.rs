//! Results files: locked while a run writes them, refused to another run with what differs, whole
//! after a server has gone.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::Running;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma::benchmark::shapes;
use scotoma::server::ServerConfig;
use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::inference_service_client::InferenceServiceClient;
use scotoma_client::v1::sweep_request::Input;
use scotoma_client::v1::{
    EvaluateHeader, EvaluateVariant, Sample, SampleResult, SweepRequest, SweepVariant,
    sweep_response,
};
use scotoma_client::{Error, GenerateRequest, permute_tokens, prompt, read_results};
use serde_json::{Value, json};

const LOCKED: &str = "another run is writing to it; wait until it has ended, or take another file";

fn scotoma() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// So many questions as a table.
fn table(folder: &Path, name: &str, rows: usize) -> PathBuf {
    let items = shapes().unwrap();
    let path = folder.join(name);
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "index\timage\tquestion\tA\tB\tC\tD\tanswer\tcategory").unwrap();
    for i in 0..rows {
        let item = &items[i % items.len()];
        let option = |i: usize| item.options.get(i).map_or("", String::as_str);
        let (image, question) = (STANDARD.encode(&item.images[0]), &item.question);
        let options = [0, 1, 2, 3].map(option).join("\t");
        writeln!(
            file,
            "{i}\t{image}\t{question}\t{options}\t{}\t{}",
            item.answer, item.category
        )
        .unwrap();
    }
    path
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

fn wait_for_lines(path: &Path, count: usize) {
    let begun = Instant::now();
    while lines(path) < count {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} has {} lines",
            path.display(),
            lines(path)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every line is a result without an error, and none is there twice.
fn assert_whole(path: &Path, count: usize) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        !text.contains("\"error\"") && !text.contains("DRAINING"),
        "an error is written down"
    );
    assert_eq!(
        (text.lines().count(), read_results(path).unwrap().len()),
        (count, count)
    );
}

/// All results of a file count, so that fewer items than it has would not be what was asked.
#[test]
fn a_limit_below_the_results_that_are_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.jsonl");
    let eval = |limit: &str| {
        let mut command = scotoma();
        let arguments = ["eval", "shapes", "--json", "--limit", limit, "--out"];
        command.args(arguments).arg(&out).output().unwrap()
    };
    let first = eval("4");
    assert!(first.status.success(), "{}", said(&first));
    let fewer = eval("3");
    assert_eq!(fewer.status.code(), Some(2), "{}", said(&fewer));
    assert!(said(&fewer).contains("--limit 3: "), "{}", said(&fewer));
    assert!(said(&fewer).contains("has results of 4 items"));
    assert_eq!(lines(&out), 4);
    for (limit, results) in [("4", 4), ("6", 6), ("0", shapes().unwrap().len())] {
        let run = eval(limit);
        assert!(run.status.success(), "{}", said(&run));
        let summary: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(summary["results"], results);
    }
}

#[test]
fn a_second_run_is_refused_until_the_first_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (
        table(folder.path(), "items.tsv", 3000),
        folder.path().join("results.jsonl"),
    );
    let eval = || {
        let mut command = scotoma();
        command
            .args(["eval", "shapes", "--data"])
            .arg(&data)
            .arg("--out")
            .arg(&out);
        command
    };
    let mut first = eval()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_lines(&out, 20);
    let second = eval().output().unwrap();
    let message = format!("{}: {LOCKED}", out.display());
    assert!(
        !second.status.success() && said(&second).contains(&message),
        "{}",
        said(&second)
    );
    // The lock goes with the process, and not with a file that it would have to remove.
    first.kill().unwrap();
    first.wait().unwrap();
    let third = eval().output().unwrap();
    assert!(third.status.success(), "{}", said(&third));
    assert_whole(&out, 3000);
    // It is `flock(2)` on the results file itself, which every program can hold.
    let held = OpenOptions::new().append(true).open(&out).unwrap();
    held.try_lock().unwrap();
    assert!(said(&eval().output().unwrap()).contains(&message));
    drop(held);
    assert!(eval().output().unwrap().status.success());
    assert_whole(&out, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_locks_as_long_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.jsonl");
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let header = || EvaluateHeader {
        rules: Some(Rules::Rule("shapes".into())),
        ..Default::default()
    };
    let none = || tokio_stream::iter(Vec::<Result<Sample, Error>>::new());
    let first = client.evaluate(header(), none(), Some(&out)).await.unwrap();
    let error = client
        .evaluate(header(), none(), Some(&out))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("{}: {LOCKED}", out.display()));
    first.finish().await.unwrap();
    client.evaluate(header(), none(), Some(&out)).await.unwrap();
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[test]
fn what_makes_it_another_run_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (
        table(folder.path(), "items.tsv", 6),
        table(folder.path(), "others.tsv", 5),
    );
    let out = folder.path().join("results.jsonl");
    let about = folder.path().join("results.jsonl.run.json");
    let eval = |data: &Path, more: &[&str]| {
        scotoma()
            .args(["eval", "shapes", "--out"])
            .arg(&out)
            .arg("--data")
            .arg(data)
            .args(more)
            .output()
            .unwrap()
    };
    let plain = ["--permute", "3", "--limit", "4"];
    assert!(eval(&data, &plain).status.success());
    let run: Value = serde_json::from_slice(&std::fs::read(&about).unwrap()).unwrap();
    assert_eq!(
        (&run["server"], run["data_sha256"].as_str().unwrap().len()),
        (&json!(env!("CARGO_PKG_VERSION")), 64)
    );
    let written = std::fs::read(&out).unwrap();
    let refused = |output: Output, says: &str| {
        let text = said(&output);
        assert!(
            !output.status.success()
                && text.contains("it is of another run: ")
                && text.contains(says),
            "{text}"
        );
        let remedy = format!(
            "or take another file, or remove {} and {} to begin anew",
            out.display(),
            about.display()
        );
        assert!(text.contains(&remedy), "{text}");
        assert_eq!(std::fs::read(&out).unwrap(), written, "it stays as it was");
    };
    refused(
        eval(&data, &["--permute", "4"]),
        "variants[0].interventions[0].permuteTokens.seed \"3\" then, \"4\" now",
    );
    refused(
        eval(&data, &["--permute", "3", "--max-tokens", "5"]),
        "maxTokens unset then, 5 now",
    );
    refused(
        eval(&data, &["--permute", "3", "--scoring", "letters"]),
        "answering \"ANSWERING_GENERATE\" then",
    );
    refused(
        eval(&data, &["--permute", "3", "--variant", "more=[]"]),
        "variants 1 (\"changed\") then, 2 (\"changed\", \"more\") now",
    );
    refused(eval(&other, &["--permute", "3"]), "data (SHA-256) ");
    let rule = scotoma()
        .args(["eval", "mmstar", "--permute", "3", "--out"])
        .arg(&out)
        .arg("--data")
        .arg(&data)
        .output();
    refused(rule.unwrap(), "rule \"shapes\" then, \"mmstar\" now");
    let set = |name: &str, value: &str| {
        let mut run = run.clone();
        run[name] = value.into();
        std::fs::write(&about, run.to_string()).unwrap();
    };
    set("model", "0000");
    refused(
        eval(&data, &["--permute", "3"]),
        "model digest \"0000\" then, \"",
    );
    set("server", "0.0.9");
    refused(
        eval(&data, &["--permute", "3"]),
        "server version \"0.0.9\" then, \"",
    );
    std::fs::remove_file(&about).unwrap();
    refused(
        eval(&data, &["--permute", "3"]),
        "results.jsonl.run.json is not there, which says of which run its 4 results are",
    );

    // Files of an earlier version have no more than this, and go on; what failed then is asked
    // again.
    let before = json!({"asked": run["asked"], "ran": run["ran"], "model": run["model"]});
    std::fs::write(&about, before.to_string()).unwrap();
    let mut all: Vec<SampleResult> = read_results(&out).unwrap();
    let error = json!({"id": "2", "variant": "changed", "error": {"code": 14, "reason": "DRAINING", "message": "the server is draining"}});
    all.retain(|r| r.id != "2");
    let kept: Vec<String> = all
        .iter()
        .map(|r| serde_json::to_string(r).unwrap())
        .chain([error.to_string()])
        .collect();
    std::fs::write(&out, kept.join("\n") + "\n").unwrap();
    let resumed = eval(&data, &["--permute", "3"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_eq!((lines(&out), read_results(&out).unwrap().len()), (4 + 3, 6));
    let run: Value = serde_json::from_slice(&std::fs::read(&about).unwrap()).unwrap();
    assert!(
        run["server"].is_string() && run["data_sha256"].is_string(),
        "from now on it is known"
    );

    std::fs::write(&about, "[]").unwrap();
    assert!(
        said(&eval(&data, &plain)).contains("results.jsonl.run.json: it is no header of a run")
    );
    std::fs::remove_file(&about).unwrap();
    std::fs::write(&out, "id\tanswer\n").unwrap();
    assert!(said(&eval(&data, &plain)).contains("results.jsonl, line 1: it is no result of a run"));
    std::fs::remove_file(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    assert!(said(&eval(&data, &plain)).contains("results.jsonl: is a directory"));
}

fn serve() -> (Child, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = scotoma();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command
        .args(["serve", "--log", "error", "--listen", &free.to_string()])
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while std::net::TcpStream::connect(free).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no server");
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, format!("http://{free}"))
}

#[test]
fn a_server_that_goes_down_leaves_no_error_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (
        table(folder.path(), "items.tsv", 2000),
        folder.path().join("results.jsonl"),
    );
    let (mut server, address) = serve();
    let eval = |address: Option<&str>| {
        let mut command = scotoma();
        command
            .args(["eval", "shapes", "--data"])
            .arg(&data)
            .arg("--out")
            .arg(&out);
        if let Some(address) = address {
            command.args(["--server", address, "--patience", "0"]);
        }
        command
    };
    let client = eval(Some(&address)).spawn().unwrap();
    wait_for_lines(&out, 50);
    let term = Command::new("kill")
        .args(["-TERM", &server.id().to_string()])
        .status()
        .unwrap();
    assert!(term.success() && server.wait().unwrap().success());
    let cut = client.wait_with_output().unwrap();
    let (text, there) = (said(&cut), lines(&out));
    assert!(
        !cut.status.success() && cut.stdout.is_empty(),
        "a part is no result"
    );
    let missing = format!(
        "{} of 2000 answers are missing: the same command goes on from {}",
        2000 - there,
        out.display()
    );
    assert!(
        text.contains("Unavailable: the server is draining") && text.contains(&missing),
        "{there} lines, {text}"
    );
    assert!((50..2000).contains(&there));
    assert_whole(&out, there);
    let resumed = eval(None).output().unwrap();
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_whole(&out, 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_runs_ends_well_when_the_server_goes_down_and_an_evaluate_says_so() {
    const VARIANTS: usize = 300;
    let server = Running::start(ServerConfig::shapes()).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let picture = crate::common::picture();
    let generate = GenerateRequest {
        prompt: Some(prompt("Which?", [picture])),
        max_tokens: 4,
        ..Default::default()
    };
    let variants = (0..VARIANTS as u64)
        .map(|seed| SweepVariant {
            interventions: vec![permute_tokens(seed)],
        })
        .collect();
    let request = SweepRequest {
        input: Some(Input::Generate(generate)),
        variants,
        grid: None,
    };
    let mut sweep = client.sweep(request.clone()).await.unwrap();
    // Waits for questions that do not come.
    let variant = EvaluateVariant {
        name: "original".into(),
        ..Default::default()
    };
    let header = EvaluateHeader {
        rules: Some(Rules::Rule("shapes".into())),
        variants: vec![variant],
        ..Default::default()
    };
    let never = tokio_stream::pending::<Result<Sample, Error>>();
    let mut run = other.evaluate(header, never, None).await.unwrap();
    let mut results = 0;
    while results < 10 {
        let event = sweep.message().await.unwrap().unwrap().event;
        results += usize::from(matches!(event, Some(sweep_response::Event::Result(_))));
    }
    server.stop.send(()).unwrap();
    let waited = run.next().await.unwrap_err();
    assert_eq!(waited.code(), Some(tonic::Code::Unavailable), "{waited}");
    assert!(waited.retry_after().is_some(), "{waited}");
    // What comes now is refused, and says when to come back.
    let refused = Error::from(
        InferenceServiceClient::connect(server.address.clone())
            .await
            .unwrap()
            .sweep(request)
            .await
            .unwrap_err(),
    );
    assert_eq!(refused.code(), Some(tonic::Code::Unavailable), "{refused}");
    assert!(refused.retry_after().is_some(), "{refused}");
    let finished = loop {
        match sweep.message().await.unwrap().unwrap().event {
            Some(sweep_response::Event::Result(_)) => results += 1,
            Some(sweep_response::Event::Finished(finished)) => break finished,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        (results, finished.variants, finished.failed),
        (VARIANTS, VARIANTS as u32, 0)
    );
    assert!(sweep.message().await.unwrap().is_none());
    server.task.await.unwrap().unwrap();
}
