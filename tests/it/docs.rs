//! Pages: every link within the repository leads somewhere, and the book lists every page.

use std::path::{Path, PathBuf};

/// Finds the Markdown files below `folder`, without what is built or fetched.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let skipped = ["target", "node_modules", ".git", ".venv", "dist"];
        if path.is_dir() && !skipped.contains(&name.as_str()) {
            pages(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

/// Returns the targets of the links in a page, but for those in code.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        let starts = line.match_indices("](").map(|(at, _)| at + 2);
        links.extend(starts.filter_map(|at| line[at..].split_once(')').map(|(link, _)| link)));
    }
    links
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    pages(root, &mut all);
    assert!(all.len() > 10);
    let mut broken = Vec::new();
    for page in &all {
        let text = std::fs::read_to_string(page).unwrap();
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            if link.contains("://") || file.is_empty() || link.starts_with("mailto:") {
                continue;
            }
            if !page.parent().unwrap().join(file).exists() {
                let page = page.strip_prefix(root).unwrap().display();
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_book_lists_every_page() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut all = Vec::new();
    pages(&docs, &mut all);
    for page in all.iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let name = page.file_name().unwrap().to_string_lossy();
        assert!(summary.contains(&format!("({name})")), "{name}");
    }
}
