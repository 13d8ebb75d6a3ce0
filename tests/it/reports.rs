//! What commands report: pages are well-formed, every number of a table has its n and its interval,
//! and other programs can read the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

/// Tables that hold what others have printed, without an n.
const PRINTED: &str = "prints no n and no interval";

fn scotoma(folder: &Path, line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_scotoma"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn written(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(written(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(node: roxmltree::Node<'_, '_>) -> String {
    let texts = node.descendants().filter(roxmltree::Node::is_text);
    let texts = texts.filter_map(|n| n.text());
    texts.collect()
}

fn cells(row: roxmltree::Node<'_, '_>) -> Vec<String> {
    let own = row.children().filter(roxmltree::Node::is_element);
    own.map(text).collect()
}

/// Checks a page: XML behind its first line, tables that a screen reader understands, and nothing
/// that is fetched.
fn check_page(path: &Path) {
    let page = read(path);
    let (first, rest) = page.split_once('\n').unwrap();
    assert_eq!(first, "<!doctype html>");
    let page =
        roxmltree::Document::parse(rest).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let named = |name: &'static str| page.descendants().filter(move |n| n.has_tag_name(name));
    assert_eq!(named("h1").count(), 1);
    for attribute in ["src", "href"] {
        let values = page.descendants().filter_map(|n| n.attribute(attribute));
        for value in values {
            assert!(
                !value.contains("//") || value.starts_with("data:"),
                "{value}"
            );
        }
    }
    for image in named("img") {
        assert!(image.attribute("alt").is_some_and(|alt| !alt.is_empty()));
    }
    let anchors: Vec<&str> = page
        .descendants()
        .filter_map(|n| n.attribute("id"))
        .collect();
    for link in named("a").filter_map(|n| n.attribute("href")) {
        let inside = link.strip_prefix('#');
        assert!(inside.is_none_or(|id| anchors.contains(&id)), "{link}");
    }
    for table in named("table") {
        check_table(path, table);
    }
}

/// The law of reports: a share stands beside its n and with its interval.
fn check_table(path: &Path, table: roxmltree::Node<'_, '_>) {
    let find = |name: &'static str| table.descendants().filter(move |n| n.has_tag_name(name));
    let caption = text(find("caption").next().unwrap());
    let place = format!("{}: {caption}", path.display());
    assert!(!caption.is_empty(), "{place}");
    let mut rows = find("tr").map(cells);
    let heads = rows.next().unwrap();
    assert!(
        heads.iter().all(|head| !head.is_empty()),
        "{place}: {heads:?}"
    );
    let scopes = find("th").all(|n| matches!(n.attribute("scope"), Some("col" | "row")));
    assert!(scopes, "{place}: a head without a scope");
    let rows: Vec<Vec<String>> = rows.collect();
    assert!(rows.iter().all(|row| row.len() == heads.len()), "{place}");
    if caption.contains(PRINTED) {
        return;
    }
    let share = Regex::new(r"-?\d+(\.\d+)? %( \[)?").unwrap();
    let interval = Regex::new(r"\[[+-]?\d+(\.\d+)?, [+-]?\d+(\.\d+)?\]").unwrap();
    let mut has_intervals = false;
    for row in &rows {
        for (head, cell) in heads.iter().zip(row) {
            for found in share.find_iter(cell) {
                assert!(
                    found.as_str().ends_with('['),
                    "{place}: {cell:?} of {head:?}"
                );
            }
            has_intervals |= interval.is_match(cell);
            // A variant of errors alone has none.
            let is_absent = ["", "not known", "none"].contains(&cell.as_str());
            let is_mean = head.contains("95 %") && !is_absent;
            let by_chance = row[0].starts_with("by chance");
            assert!(
                !is_mean || by_chance || interval.is_match(cell),
                "{place}: {cell:?}"
            );
        }
    }
    let counts = |name: &String| ["n", "answers"].contains(&name.as_str());
    let has_n = heads.iter().any(counts) || rows.iter().any(|row| counts(&row[0]));
    assert!(!has_intervals || has_n, "{place}: intervals without an n");
}

/// Checks what LaTeX needs of a file: braces and environments that end, rows of one width.
fn check_latex(path: &Path) {
    let source = read(path);
    let plain = source
        .replace("\\{", "")
        .replace("\\}", "")
        .replace("\\&", "");
    let count = |c: char| plain.matches(c).count();
    assert_eq!(count('{'), count('}'), "{}", path.display());
    for table in plain.split("\\end{tabular}") {
        let Some((_, body)) = table.split_once("\\toprule") else {
            continue;
        };
        let rows = body.lines().filter(|line| line.ends_with("\\\\"));
        let widths: Vec<usize> = rows.map(|row| row.matches('&').count()).collect();
        assert!(
            widths.windows(2).all(|w| w[0] == w[1]),
            "{widths:?}: {body}"
        );
        assert!(body.trim_end().ends_with("\\bottomrule"), "{body}");
    }
    for special in ['%', '#', '_', '$'] {
        let bare = |(at, _): (usize, &str)| at == 0 || !plain[..at].ends_with('\\');
        let found = plain.match_indices(special).filter(|m| bare(*m)).count();
        // Each table begins with a comment.
        let comments = plain.matches("% Needs").count();
        let allowed = if special == '%' { comments } else { 0 };
        assert_eq!(found, allowed, "{special} in {}", path.display());
    }
}

fn check_csv(path: &Path) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let width = reader.headers().unwrap().len();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert!(!rows.is_empty() && width > 2, "{}", path.display());
}

#[test]
fn experiments_items_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| scotoma(folder.path(), line);
    for (what, limit) in [
        ("permutation", 12),
        ("pruning", 8),
        ("depth", 8),
        ("blind", 8),
    ] {
        let line = format!("experiment {what} shapes --limit {limit} --report all/{what}");
        let said = run(&line);
        let end = format!("n = {limit}");
        let is_headline = |line: &str| line.contains("% [") && line.ends_with(&end);
        assert!(said.lines().any(is_headline), "{said}");
    }
    let said = run("items shapes --limit 6 --report all/items");
    assert!(
        said.contains('[') && said.trim_end().ends_with("report.html"),
        "{said}"
    );
    run("items shapes --limit 3 --scoring letters --report all/letters");
    run("alignment --limit 12 -k 3 --report all/alignment");
    let table = run("table1 A=all/permutation B|2=all/permutation --report all/table");
    assert!(
        table.contains("| B\\|2 | ") && table.contains("12 items x 5 draws"),
        "{table}"
    );
    let all = folder.path().join("all");
    let pages = written(&all, "html");
    assert_eq!(pages.len(), 8);
    pages.iter().for_each(|page| check_page(page));
    written(&all, "csv").iter().for_each(|path| check_csv(path));
    written(&all, "tex")
        .iter()
        .for_each(|path| check_latex(path));
    // What people write, not what the contract spells.
    for path in written(&all, "svg") {
        assert!(!read(&path).contains("MODE_") && !read(&path).contains("hook_"));
    }
    let cost = read(&all.join("depth/depth-cost.svg"));
    assert!(cost.contains("FLOP an answer by itself") && cost.contains("rows through layers"));
    assert!(
        !all.join("permutation/permutation-cost.svg").exists(),
        "all cost the same"
    );
    let items = read(&all.join("items/report.html"));
    assert_eq!(items.matches("<article").count(), 6);
    assert_eq!(items.matches("data:image/png;base64,").count(), 6);
}

/// An answer by itself costs what the variant takes, whatever it shares with others.
#[test]
fn operations_of_an_answer_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let flops = |line: &str| {
        scotoma(folder.path(), line);
        let name = line.split_whitespace().last().unwrap();
        let mut reader =
            csv::Reader::from_path(folder.path().join(name).join("metrics.csv")).unwrap();
        let place = reader
            .headers()
            .unwrap()
            .iter()
            .position(|h| h == "flops")
            .unwrap();
        let rows = reader.records().map(Result::unwrap);
        rows.map(|row| (row[0].to_owned(), row[place].parse::<f64>().unwrap()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let limit = "shapes --limit 4 --set layer";
    let both = flops(&format!("experiment depth {limit}=3,7 --report both"));
    let alone = flops(&format!("experiment depth {limit}=3 --report alone"));
    assert_eq!(both["up to layer 3"], alone["up to layer 3"]);
    assert!(both["up to layer 3"] < both["original"]);
    assert_eq!(both["up to layer 7"], both["original"]);
}
