//! The configuration file and `serve --check`, as a user calls them.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/scotoma.toml");

fn check(config: &str, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    let call = ["serve", "--check", "--config", config];
    command.args(call).args(flags).output().unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Returns the long flags of a help text: a line each, at the same depth.
fn flags_of(help: &str) -> Vec<String> {
    let flags = help
        .lines()
        .filter_map(|line| line.strip_prefix("      --"));
    let names = flags.filter_map(|flag| flag.split([' ', '=']).next());
    names.map(String::from).collect()
}

/// The example, as it is and with every line that is shown in it.
#[test]
fn the_example_is_right() {
    let checked = check(EXAMPLE, &[]);
    let (said, errors) = texts(&checked);
    assert!(checked.status.success(), "{errors}");
    for line in [
        "would serve on http://127.0.0.1:7878",
        "model shapes: ",
        "queue = 256 (file)",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let mut shown = String::new();
    for line in std::fs::read_to_string(EXAMPLE).unwrap().lines() {
        let setting = line.strip_prefix("# ").unwrap_or(line);
        let key = setting.split_once(" = ").map_or("", |(key, _)| key);
        if !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            shown.extend([setting, "\n"]);
        }
    }
    let mut help = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    let help = help.args(["serve", "--help"]).output().unwrap();
    for flag in flags_of(&texts(&help).0) {
        // Where the file is, and what is done with it, cannot stand in it.
        if !["config", "check", "json", "help"].contains(&flag.as_str()) {
            let line = format!("\n{flag} = ");
            assert!(format!("\n{shown}").contains(&line), "{flag} is missing");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.toml");
    std::fs::write(&path, &shown).unwrap();
    let (_, errors) = texts(&check(path.to_str().unwrap(), &[]));
    // Files and cards of the example are not on this machine; keys and values are right.
    assert!(!errors.contains("all.toml"), "{errors}");
}

#[test]
fn what_is_wrong_is_said_together_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let model = format!("model = [\"{}\"]\n", empty.display());
    for (text, says) in [
        (
            "quue = 3\n",
            "line 1: quue: no such key; the nearest is queue",
        ),
        ("api-keys = \"missing.txt\"\n", "--api-keys missing.txt: "),
        ("tls-cert = \"a.pem\"\n", "--tls-key"),
        ("log = \"inof\"\n", "--log \"inof\""),
        (
            "saliency = [\"dino=/no/such\"]\n",
            "--saliency dino=/no/such",
        ),
        (&model, "config.json: not found"),
    ] {
        let checked = check(&write("scotoma.toml", text), &[]);
        let (said, errors) = texts(&checked);
        assert_eq!(checked.status.code(), Some(2), "{text}: {said}{errors}");
        assert!(errors.contains(says), "{text}: {errors}");
    }
    for (flags, says) in [
        (
            "--place shapes=nonsense",
            "--place shapes=nonsense: the server has cpu",
        ),
        (
            "--place shapes=cpu --place shapes=cpu",
            "shapes has a device already",
        ),
        (
            "--model a=shapes --model a=shapes",
            "--model a=shapes: a model is named a already",
        ),
        (
            "--model a=shapes --model b=shapes --chat-template a=vicuna_v1 --chat-template \
             a=chatml_direct",
            "--chat-template a=chatml_direct: a has one already",
        ),
        ("--saliency bad=", "--saliency bad=: "),
        (
            "--saliency a=shapes --saliency a=shapes",
            "--saliency a=shapes: a is named twice",
        ),
        (
            "--otlp nowhere",
            "--otlp nowhere: http:// or https:// is needed",
        ),
        ("--otlp http://[", "--otlp http://[: "),
        ("--max-queue-rows 0", "--max-queue-rows"),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let checked = check(&write("scotoma.toml", "device = [\"cpu\"]\n"), &flags);
        let (said, errors) = texts(&checked);
        assert_eq!(checked.status.code(), Some(2), "{flags:?}: {said}{errors}");
        assert!(errors.contains(says), "{flags:?}: {errors}");
    }
    let missing = check(Path::new("no/such.toml").to_str().unwrap(), &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(texts(&missing).1.contains("--config no/such.toml: "));
}

/// The command line wins over the environment, and both over the file.
#[test]
fn the_order_is_line_environment_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scotoma.toml");
    std::fs::write(
        &path,
        "queue = 7\nkeep-mib = 7\nupload-mib = 7\nthreads = 1\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    let checked = command
        .args(["serve", "--check", "--queue", "9"])
        .env("SCOTOMA_CONFIG", &path)
        .env("SCOTOMA_QUEUE", "8")
        .env("SCOTOMA_KEEP_MIB", "8")
        .output()
        .unwrap();
    let (said, errors) = texts(&checked);
    for line in [
        "queue = 9 (command line)",
        "keep-mib = 8 (environment)",
        "upload-mib = 7 (file)",
        "threads = 1 (file)",
    ] {
        assert!(said.contains(line), "{said}{errors}");
    }
}

/// Before the model is fetched, of which there is none.
#[test]
fn an_address_that_is_taken_is_told_first() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    let output = command
        .args(["serve", "--listen", &address, "--model", "nobody/nothing"])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let says = format!("--listen {address}: Address already in use");
    assert!(errors.contains(&says), "{errors}");
}

/// A server, its configuration file and its log.
struct Serving {
    child: Child,
    config: PathBuf,
    log: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    /// Starts a server and waits until it serves.
    fn start(folder: &Path, config: &str) -> Self {
        let path = folder.join("scotoma.toml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("serves on"), "{line}");
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            config: path,
            log,
        }
    }

    /// Changes the file, sends SIGHUP, and returns what the server says of it.
    fn reload(&mut self, config: &str) -> String {
        std::fs::write(&self.config, config).unwrap();
        let id = self.child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args(["-HUP", &id]).status().unwrap().success());
        let mut lines = self.log.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains("reloaded")).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server runs with the queue of its start until it is started again, however often it is told.
#[test]
fn what_needs_a_restart_is_said_until_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(folder.path(), "queue = 7\n");
    for _ in 0..2 {
        let said = serving.reload("queue = 8\n");
        assert!(
            said.contains("need a restart") && said.contains("queue"),
            "{said}"
        );
    }
    let said = serving.reload("queue = 7\n");
    assert!(!said.contains("need a restart"), "{said}");
}

/// Without a handler SIGHUP ends a program: one that came while a model was fetched did.
#[cfg(target_os = "linux")]
#[test]
fn hangups_are_followed_before_models_are_fetched() {
    let hub = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    let mut child = command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--model", "nobody/nothing"])
        .env(
            "HF_ENDPOINT",
            format!("http://{}", hub.local_addr().unwrap()),
        )
        .env("HF_HOME", folder.path())
        .env_remove("HF_HUB_OFFLINE")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Fetching has begun, and waits for an answer.
    let _asking = hub.accept().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut caught = status.lines().filter_map(|l| l.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.next().unwrap().trim(), 16).unwrap();
    // A bit for each signal; SIGHUP is 1.
    assert_eq!(caught & 1, 1, "{status}");
}
