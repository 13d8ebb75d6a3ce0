//! A folder under src/ imports only folders that stand after it in the alphabet; files at the root
//! may import any.
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

#[test]
fn imports_point_down_the_alphabet() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders: Vec<String> = std::fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().path())
        // cli/ belongs to the root file cli.rs.
        .filter(|p| p.join("mod.rs").exists())
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders.len(), 9, "{folders:?}");
    let mut arrows = 0;
    for folder in &folders {
        let mut files = Vec::new();
        sources(&root.join(folder), &mut files);
        for file in files {
            for import in imports(&std::fs::read_to_string(&file).unwrap()) {
                let name = file.display();
                assert!(
                    folders.contains(&import),
                    "{name} imports crate::{import}, which is no folder"
                );
                assert!(
                    &import >= folder,
                    "{name} imports crate::{import}, which stands before {folder}"
                );
                arrows += usize::from(&import != folder);
            }
        }
    }
    assert!(arrows > 30, "only {arrows} imports were seen");
}

#[test]
fn the_reader_of_imports_sees_groups() {
    let text = "use crate::nn::Hooks; use crate::{engine, vision::{self, Rgb}, model};";
    assert_eq!(imports(text), ["nn", "engine", "vision", "model"]);
}
