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

/// An alert on a metric that is not served would never fire.
#[test]
fn alerts_ask_for_metrics_that_the_server_has() {
    let rules = include_str!("../../deploy/prometheus/rules.yml");
    let mut seen = 0;
    for (at, _) in rules.match_indices("scotoma_") {
        let name: String = rules[at..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let family = name.strip_suffix("_bucket").unwrap_or(&name);
        assert!(METRICS.iter().any(|m| m.name == family), "{name}");
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} names were seen");
}
