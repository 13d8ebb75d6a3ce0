//! The configuration file and `serve --check`, as a user calls them.

use std::path::Path;
use std::process::{Command, Output};

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
