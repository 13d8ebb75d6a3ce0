//! Text that users build on: a change shows in the review of its snapshot.

use scotoma::nn::HOOK_TABLE;
use scotoma::telemetry::METRICS;

#[test]
fn hook_points() {
    let lines: Vec<String> = HOOK_TABLE
        .iter()
        .map(|r| format!("{:<48} {:<12} {}", r.name, r.shape, r.equation))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn metric_families() {
    let lines: Vec<String> = METRICS
        .iter()
        .map(|m| format!("{:<42} {:?} {:?} {}", m.name, m.kind, m.labels, m.help))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
