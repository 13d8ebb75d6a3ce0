//! The report.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::side::Side;
use crate::benchmark::alignment::{AlignedPair, Features};
use crate::benchmark::png;
use crate::benchmark::report::{self, DataTable, Drawing, Part};
use crate::cli::csv_file::write_csv;
use crate::cli::error::Failure;
use crate::cli::files;

/// Pairs of layers that the page lists.
const SHOWN: usize = 10;

/// The contents of the report.
pub(super) struct AlignmentPage<'a> {
    pub(super) first: &'a Side,
    pub(super) second: &'a Side,
    pub(super) found: &'a [AlignedPair],
    /// The score of random neighbours.
    pub(super) chance: f64,
    /// Items.
    pub(super) n: usize,
    pub(super) facts: &'a [(String, String)],
}

const ABOUT: &str = "Section 3.7 of \"Intriguing Properties of Large Language and Vision Models\" \
    (Lee et al. 2024): of each item the k nearest others by what the model makes of its picture, \
    and by what is made of its text; how many of these are the same (mutual nearest neighbours, \
    Huh et al. 2024). 1 is the same neighbourhoods.";

const NOTES: [&str; 3] = [
    "The intervals are over items, their neighbours as they are; the best of many pairs is the \
     best by luck, too.",
    "The paper's k, N, pooling, layers, and which tensor of LLaVA it takes, are not published.",
    "A LLaVA drops its tower's class token, so that its features are means over patches; CLIP's \
     are usually its class token: pooling is a confound.",
];

impl AlignmentPage<'_> {
    /// Writes the report, and returns what a page about all experiments has of it.
    pub(super) fn write(&self, folder: &Path) -> Result<Vec<Part>, Failure> {
        let title = "Alignment of pictures and texts";
        let (first, second) = (self.first.names(), self.second.names());
        let cells: Vec<((usize, usize), f64)> = self
            .found
            .iter()
            .map(|a| ((a.first, a.second), a.score))
            .collect();
        let svg = report::heat_map("shared neighbours", &first, &second, &cells);
        let heads = ["pictures", "texts", "score [95 % interval]", "n"];
        let caption = "The share of the nearest neighbours of n items that both have, best first.";
        let table = DataTable::new(caption, &heads, self.rows(&first, &second));
        let mut brief = vec![
            Part::Text(ABOUT.into()),
            Part::Drawing(Drawing {
                name: "alignment".into(),
                about: format!("{title}, layer by layer"),
                svg: svg.clone(),
            }),
            Part::Table(table),
        ];
        brief.extend(self.best_of_each(&first, &second).map(Part::Table));
        let mut parts = brief.clone();
        parts.push(Part::Heading("Mind".into()));
        parts.push(Part::List(NOTES.map(String::from).to_vec()));
        parts.push(Part::Heading("What ran".into()));
        parts.push(Part::List(self.fact_lines()));
        let (text, page) = (report::markdown(title, &parts), report::html(title, &parts));
        files::write(&folder.join("report.md"), text.as_bytes())?;
        files::write(&folder.join("report.html"), page.as_bytes())?;
        files::write(&folder.join("alignment.svg"), svg.as_bytes())?;
        files::write(&folder.join("alignment.png"), &png(&svg)?)?;
        self.write_csv(&folder.join("alignment.csv"))?;
        Ok(brief)
    }

    fn rows(&self, first: &[String], second: &[String]) -> Vec<Vec<String>> {
        let shown = self.found.iter().take(SHOWN).map(|pair| {
            vec![
                first[pair.first].clone(),
                second[pair.second].clone(),
                score_with_interval(pair),
                self.n.to_string(),
            ]
        });
        let mut rows: Vec<Vec<String>> = shown.collect();
        rows.push(vec![
            "by chance, k / (N - 1)".into(),
            String::new(),
            format!("{:.4}", self.chance),
            self.n.to_string(),
        ]);
        rows
    }

    /// Returns the best pair of each encoder of pictures with each reader of texts; `None` where there
    /// is one of both.
    fn best_of_each(&self, first: &[String], second: &[String]) -> Option<DataTable> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for pair in self.found {
            let (seen, read) = (
                &self.first.sources[pair.first],
                &self.second.sources[pair.second],
            );
            // The best pairs come first.
            if rows.iter().any(|row| (&row[0], &row[2]) == (seen, read)) {
                continue;
            }
            rows.push(vec![
                seen.clone(),
                first[pair.first].clone(),
                read.clone(),
                second[pair.second].clone(),
                score_with_interval(pair),
            ]);
        }
        let heads = [
            "pictures seen by",
            "best layer",
            "texts read by",
            "best layer",
            "score [95 % interval]",
        ];
        let caption =
            "The best pair of layers of each model that sees pictures with each that reads texts.";
        (rows.len() > 1).then(|| DataTable::new(caption, &heads, rows))
    }

    fn fact_lines(&self) -> Vec<String> {
        self.facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    fn write_csv(&self, path: &Path) -> Result<(), Failure> {
        let rows = self.found.iter().map(|pair| {
            let (first, second) = self.features(pair);
            let (low, high) = pair.interval;
            let mut row = vec![first.name.clone(), second.name.clone()];
            row.extend([pair.score, self.n as f64, low, high].map(|v| v.to_string()));
            row
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let heads = ["pictures", "texts", "score", "n", "low", "high"];
        write_csv(path, &heads, &rows)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let facts = self.facts.iter();
        let facts: BTreeMap<&String, &String> = facts.map(|(name, value)| (name, value)).collect();
        json!({
            "pairs": self.found.iter().map(|pair| self.pair_json(pair)).collect::<Vec<_>>(),
            "chance": self.chance, "facts": facts,
        })
    }

    fn features(&self, pair: &AlignedPair) -> (&Features, &Features) {
        let (first, second) = (&self.first.features, &self.second.features);
        (&first[pair.first], &second[pair.second])
    }

    fn pair_json(&self, pair: &AlignedPair) -> serde_json::Value {
        let (first, second) = self.features(pair);
        let (low, high) = pair.interval;
        json!({
            "pictures": first.name, "texts": second.name, "score": pair.score, "n": self.n,
            "low": low, "high": high,
        })
    }
}

pub(super) fn score_with_interval(pair: &AlignedPair) -> String {
    let (low, high) = pair.interval;
    format!("{:.4} [{low:.4}, {high:.4}]", pair.score)
}
