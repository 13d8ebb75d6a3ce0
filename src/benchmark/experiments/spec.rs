//! The types of an experiment, as its file has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The values of a template's axes at one variant.
pub(super) type AxisPoint<'a> = BTreeMap<&'a str, Value>;

/// One experiment.
#[derive(Debug, Clone, Deserialize, Serialize)]
// A name that is misspelt would else change nothing, without a word.
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The name, one word.
    pub name: String,
    /// The section of the paper that describes it.
    #[serde(default)]
    pub section: String,
    /// The heading.
    pub title: String,
    /// A description of what is asked and done.
    pub about: String,
    /// The kind of its drawing.
    pub plot: PlotKind,
    /// The axis of a curve, or the cells of a grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Cells along each side of a grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// True if its metric is also drawn against what answers take: operations, rows and time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cost: bool,
    /// Benchmarks that it is run on where all experiments are run; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benchmarks: Vec<String>,
    /// Two series: the report has the ratio of their losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<[String; 2]>,
    /// The paper's numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<PaperTable>,
    /// The variants; all others are compared with the first.
    pub variants: Vec<VariantTemplate>,
}

/// Numbers of a paper.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PaperTable {
    /// Their table in the paper.
    pub source: String,
    /// Headings of the columns: the model, then the paper's.
    pub heads: Vec<String>,
    /// Rows by benchmark.
    pub rows: BTreeMap<String, Vec<Vec<String>>>,
    /// The series whose mean is our number in the column "changed"; without one our numbers would not
    /// be comparable, and have no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Remarks on what is wrong with them, or unknown.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The kind of an experiment's drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlotKind {
    /// A bar for each variant.
    Bars,
    /// A line for each series.
    Curve,
    /// A field of cells.
    Grid,
}

/// One variant, or many that differ in a value, for which `{axis}` stands in names and
/// interventions.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VariantTemplate {
    /// The name, different for each.
    pub name: String,
    /// The series; the name if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// The drawing: variants of the same panel share one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub panel: String,
    /// The place on the x axis, if no axis in `each` is x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// The values of each axis; all combinations are made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<String, TemplateValues>,
    /// Other pictures than the item's own, by the names of [`crate::benchmark::substitute`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pictures: String,
    /// A way of pruning, as [`crate::benchmark::pruning`] names them, before the interventions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pruning: String,
    /// Interventions in canonical JSON; none for the item unchanged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Value>,
}

/// The values of an axis.
#[derive(Debug, Clone, Deserialize, Serialize)]
// serde alone says that nothing matched, and not what would.
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a list of values, {\"count\": N} or {\"layers\": STACK} is needed"
)]
pub enum TemplateValues {
    /// Numbers or texts, as they are.
    Listed(Vec<Value>),
    /// 0, 1, ...
    Counted {
        /// Their number.
        count: usize,
    },
    /// All layers of a part of the model that is asked.
    Layers {
        /// `language_model` or `vision_tower`.
        layers: String,
    },
}

/// One variant, ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedVariant {
    /// The name.
    pub name: String,
    /// The series that it belongs to.
    pub series: String,
    /// The drawing that it is in.
    pub panel: String,
    /// The place on the x axis.
    pub at: Option<f64>,
    /// Other pictures than the item's own.
    pub pictures: String,
    /// Interventions in canonical JSON.
    pub interventions: Vec<Value>,
}

impl Experiment {
    /// Returns the axes of all variants, with repetitions.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.variants
            .iter()
            .flat_map(|t| t.each.keys().map(String::as_str))
    }

    /// Tells whether a variant has such an axis.
    pub fn has_axis(&self, name: &str) -> bool {
        self.axes().any(|axis| axis == name)
    }

    /// Tells whether a variant shows these pictures in place of an item's own.
    pub fn shows(&self, pictures: &str) -> bool {
        self.variants.iter().any(|t| t.pictures == pictures)
    }

    /// Tells whether the experiment is run on this benchmark where all experiments are.
    pub fn wants(&self, benchmark: &str) -> bool {
        self.benchmarks.is_empty() || self.benchmarks.iter().any(|b| b == benchmark)
    }
}

impl VariantTemplate {
    /// Returns the series, or the name if none is given.
    pub(super) fn series(&self) -> &str {
        self.series.as_ref().unwrap_or(&self.name)
    }
}
