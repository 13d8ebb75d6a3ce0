//! Holds the list of layers: a folder under src/ imports only those that stand below it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The folders that a source text names after `crate::`, in `use` and in paths, groups spread out.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let word = |s: &str| {
            s.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in group.char_indices() {
                    if start && c.is_alphabetic() {
                        found.push(word(&group[i..]));
                        start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// The layers of src/, each a folder or a file, in the order of the data path.
const LAYERS: [&str; 14] = [
    "cli",
    "server",
    "api",
    "evaluate",
    "pipeline",
    "benchmark",
    "engine",
    "intervention",
    "model",
    "nn",
    "vision",
    "weights",
    "telemetry",
    "field_path",
];

#[test]
fn imports_point_down_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut arrows = 0;
    for file in files {
        let path = file.strip_prefix(&root).unwrap();
        let layer = path.iter().next().unwrap().to_string_lossy();
        let layer = layer.trim_end_matches(".rs");
        if layer == "lib" || layer == "main" {
            continue;
        }
        let name = path.display();
        let rank = |layer: &str| LAYERS.iter().position(|l| *l == layer);
        let own = rank(layer).unwrap_or_else(|| panic!("{name} is of no layer"));
        for import in imports(&std::fs::read_to_string(&file).unwrap()) {
            let other = rank(&import);
            let other = other.unwrap_or_else(|| panic!("{name} imports {import}, no layer"));
            assert!(other >= own, "{name} imports {import}, which stands above");
            arrows += usize::from(other != own);
        }
    }
    assert!(arrows > 30, "only {arrows} imports were seen");
}

#[test]
fn the_reader_of_imports_sees_groups() {
    let text = "use crate::nn::Hooks; use crate::{engine, vision::{self, Rgb}, model};";
    assert_eq!(imports(text), ["nn", "engine", "vision", "model"]);
}
