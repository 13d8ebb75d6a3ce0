//! A benchmark under interventions, as a table: benchmark TABLE.tsv [RULE [ADDRESS]].
#![allow(clippy::print_stdout, reason = "an example prints")]

use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::{EvaluateHeader, EvaluateVariant};
use scotoma_client::{Client, drop_layers, occlude_at_random, permute_tokens, rows};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments
        .next()
        .ok_or("benchmark TABLE.tsv [RULE [ADDRESS]]")?;
    let rule = arguments.next().unwrap_or_else(|| "shapes".into());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7878".into());

    let variants = [
        ("original", vec![]),
        ("permuted", vec![permute_tokens(1)]),
        ("half occluded", vec![occlude_at_random(0.5, 1)]),
        ("without layer 6", vec![drop_layers([6])]),
    ];
    let variants = variants.map(|(name, interventions)| EvaluateVariant {
        name: name.into(),
        interventions,
        ..Default::default()
    });
    let header = EvaluateHeader {
        rules: Some(Rules::Rule(rule)),
        variants: variants.into(),
        ..Default::default()
    };
    // Rows are sent as they are read; what their columns mean is the server's business.
    let mut client = Client::connect(&address).await?;
    let finished = client
        .evaluate(header, tokio_stream::iter(rows(data)?), None)
        .await?
        .finish()
        .await?;
    println!(
        "{:<16} {:<24} {:>7} {:>16} {:>6}",
        "variant", "metric", "value", "95 %", "n"
    );
    for m in &finished.metrics {
        let interval = format!("{:.3} to {:.3}", m.low, m.high);
        println!(
            "{:<16} {:<24} {:>7.3} {interval:>16} {:>6}",
            m.variant, m.name, m.value, m.n
        );
    }
    for c in &finished.comparisons {
        println!(
            "{}: {:+.1} points, McNemar's p {:.1e}",
            c.variant,
            100.0 * c.difference,
            c.p
        );
    }
    Ok(())
}
