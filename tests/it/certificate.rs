//! `scotoma certificate`: what it writes is what the server and its clients take, and nothing else is
//! taken. This is the recipe of docs/deploy.md.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn scotoma(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    let variables = std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("SCOTOMA_"));
    for name in variables {
        command.env_remove(name);
    }
    command.args(words.split_whitespace()).current_dir(folder);
    command
}

fn run(folder: &Path, words: &str) -> Output {
    scotoma(folder, words).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server that is killed at the end of a test.
struct Server {
    process: Child,
    port: String,
}

impl Server {
    fn start(folder: &Path, flags: &str) -> Self {
        let mut process = scotoma(folder, &format!("serve --listen 127.0.0.1:0 {flags}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (_, rest) = line.split_once("https://127.0.0.1:").unwrap();
        let port = rest.split_whitespace().next().unwrap().to_owned();
        Self { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_recipe_works_and_lets_nobody_else_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = run(folder, "certificate 127.0.0.1 --client alice");
    assert!(made.status.success(), "{}", text(&made));
    for (name, mode) in [
        ("ca.pem", 0o644),
        ("ca.key", 0o600),
        ("server.pem", 0o644),
        ("server.key", 0o600),
        ("alice.pem", 0o644),
        ("alice.key", 0o600),
    ] {
        let file = folder.join("certificates").join(name);
        let found = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}: {found:o}");
    }

    let server = Server::start(
        folder,
        "--tls-cert certificates/server.pem --tls-key certificates/server.key \
         --tls-client-ca certificates/ca.pem",
    );
    let health = |host: &str, flags: &str| {
        let words = format!("health --server https://{host}:{} {flags}", server.port);
        run(folder, &words)
    };
    let alice = "--client-cert certificates/alice.pem --client-key certificates/alice.key";
    let ours = format!("--server-ca certificates/ca.pem {alice}");
    let asked = health("127.0.0.1", &ours);
    assert!(asked.status.success(), "{}", text(&asked));

    // The same server under a name that its certificate does not have.
    assert_eq!(health("localhost", &ours).status.code(), Some(1));
    // Nobody told the client of this authority; the client has no certificate; it has another
    // authority's.
    assert_eq!(health("127.0.0.1", alice).status.code(), Some(1));
    let authority = "--server-ca certificates/ca.pem";
    assert_eq!(health("127.0.0.1", authority).status.code(), Some(1));
    let other = run(folder, "certificate --client alice --out other");
    assert!(other.status.success(), "{}", text(&other));
    let mallory = "--client-cert other/alice.pem --client-key other/alice.key";
    let asked = health("127.0.0.1", &format!("{authority} {mallory}"));
    assert_eq!(asked.status.code(), Some(1));

    // A client that comes later, by the authority that is there.
    let later = run(folder, "certificate --client bob");
    assert!(later.status.success(), "{}", text(&later));
    let bob = "--client-cert certificates/bob.pem --client-key certificates/bob.key";
    let asked = health("127.0.0.1", &format!("{authority} {bob}"));
    assert!(asked.status.success(), "{}", text(&asked));
}

#[test]
fn nothing_is_overwritten_and_wrong_words_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(run(folder, "certificate lab --out a").status.success());
    let before = std::fs::read(folder.join("a/server.key")).unwrap();
    let again = run(folder, "certificate lab --client alice --out a");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("a/server.pem, a/server.key: there already"));
    assert_eq!(std::fs::read(folder.join("a/server.key")).unwrap(), before);
    assert!(!folder.join("a/alice.key").exists());

    for (line, code, says) in [
        ("certificate", 2, "<HOST>"),
        ("certificate lab --client ../evil", 2, "letters, digits"),
        ("certificate lab --client server", 2, "taken"),
        ("certificate lab --days 0", 2, "1..=3650"),
        ("certificate höst", 2, "HOST"),
        ("certificate https://lab:7878", 2, "without scheme and port"),
    ] {
        let seen = run(folder, &format!("{line} --out b"));
        assert_eq!(seen.status.code(), Some(code), "{line}: {}", text(&seen));
        assert!(text(&seen).contains(says), "{line}: {}", text(&seen));
    }
    assert!(!folder.join("b").exists());

    std::fs::remove_file(folder.join("a/ca.key")).unwrap();
    let halved = run(folder, "certificate --client alice --out a");
    assert!(text(&halved).contains("an authority needs both"));
    // A key that is another authority's.
    assert!(run(folder, "certificate lab --out c").status.success());
    std::fs::copy(folder.join("c/ca.key"), folder.join("a/ca.key")).unwrap();
    let wrong = run(folder, "certificate --client alice --out a");
    assert!(
        text(&wrong).contains("not the certificate of"),
        "{}",
        text(&wrong)
    );
}
