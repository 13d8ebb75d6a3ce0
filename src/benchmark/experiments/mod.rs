//! Experiments as data: a readable file each, which says under what variants a benchmark is asked
//! and how that is drawn. Those of Lee et al. 2024 are inside the program; another one needs a file
//! and no Rust.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::substitute::FOLDER;

mod check;

const FILES: &[&str] = &[
    include_str!("information-loss.json"),
    include_str!("information-loss-pooled.json"),
    include_str!("permutation.json"),
    include_str!("shuffled-grid.json"),
    include_str!("blind.json"),
    include_str!("occlusion.json"),
    include_str!("layers.json"),
    include_str!("importance-layers.json"),
    include_str!("importance-geometries.json"),
    include_str!("importance-groups.json"),
];

/// Variants of one experiment, as of one run.
const MAX_VARIANTS: usize = 4096;

/// One experiment.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Of one word.
    pub name: String,
    /// Where the paper describes it.
    #[serde(default)]
    pub section: String,
    /// A heading.
    pub title: String,
    /// What is asked and done.
    pub about: String,
    /// How it is drawn.
    pub plot: Plot,
    /// The axis of a curve, or the cells of a grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Cells along each side of a grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// Benchmarks that it is run on where all experiments are; none: all there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benchmarks: Vec<String>,
    /// Two series; what the first one loses over what the second one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<[String; 2]>,
    /// What the paper prints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Printed>,
    /// The first is what all others are compared with.
    pub variants: Vec<Template>,
}

/// Numbers of a paper.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Printed {
    /// Where they stand.
    pub source: String,
    /// Of the columns: who, and then in the paper's order.
    pub heads: Vec<String>,
    /// By benchmark.
    pub rows: BTreeMap<String, Vec<Vec<String>>>,
    /// The series whose mean is our number in the column that says changed; none: a row of ours
    /// would not be comparable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// What is known to be wrong with them, or unsaid.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How an experiment is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Plot {
    /// A bar for each variant.
    Bars,
    /// A line for each series.
    Curve,
    /// A field of cells.
    Grid,
}

/// One variant, or many that differ in a value: `{axis}` in names and interventions stands for it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Different for each.
    pub name: String,
    /// What belongs together; the name where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// A drawing of its own for what has the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub panel: String,
    /// Where on the x axis, if `each` does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// The values of each axis; all combinations are made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<String, Values>,
    /// Other pictures than the item's own, by the names of [`super::substitute`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pictures: String,
    /// In canonical JSON; none: unchanged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Value>,
}

/// Values of an axis.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a list of values, {\"count\": N} or {\"layers\": STACK} is needed"
)]
pub enum Values {
    /// Numbers or texts, as they are.
    Listed(Vec<Value>),
    /// 0, 1, ...
    Counted {
        /// How many.
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
pub struct Planned {
    /// Its own.
    pub name: String,
    /// What it belongs to.
    pub series: String,
    /// The drawing that it is in.
    pub panel: String,
    /// Where on the x axis.
    pub at: Option<f64>,
    /// Other pictures than the item's own.
    pub pictures: String,
    /// In canonical JSON.
    pub interventions: Vec<Value>,
}

/// The experiments inside the program.
pub fn experiments() -> Result<Vec<Experiment>, String> {
    FILES.iter().map(|text| experiment(text)).collect()
}

/// Reads an experiment.
pub fn experiment(json: &str) -> Result<Experiment, String> {
    let experiment: Experiment = serde_json::from_str(json).map_err(|e| e.to_string())?;
    check::experiment(&experiment)?;
    Ok(experiment)
}

type Point<'a> = BTreeMap<&'a str, Value>;

impl Experiment {
    /// Names the axes of all variants; one that several have comes several times.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.variants
            .iter()
            .flat_map(|t| t.each.keys().map(String::as_str))
    }

    /// Tells whether a variant has such an axis.
    pub fn has_axis(&self, name: &str) -> bool {
        self.axes().any(|axis| axis == name)
    }

    /// Tells whether a variant shows such pictures in place of an item's own.
    pub fn shows(&self, pictures: &str) -> bool {
        self.variants.iter().any(|t| t.pictures == pictures)
    }

    /// Gives an axis other values, wherever it is. Where its values are those of an enum,
    /// GEOMETRY_LITERAL for instance, their plain names will do: literal.
    pub fn set(&mut self, axis: &str, values: &[Value]) -> Result<(), String> {
        if !self.has_axis(axis) {
            let axes: BTreeSet<&str> = self.axes().collect();
            let axes = axes.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!("{}: no axis {axis:?}; there are {axes}", self.name));
        }
        for own in self
            .variants
            .iter_mut()
            .filter_map(|t| t.each.get_mut(axis))
        {
            *own = Values::Listed(values.iter().map(|value| full_name(own, value)).collect());
        }
        check::experiment(self)
    }

    /// All variants for a model with so many layers in (language model, vision tower); those with
    /// pictures of a folder only `with_folder`.
    pub fn plan(&self, layers: (usize, usize), with_folder: bool) -> Result<Vec<Planned>, String> {
        let mut planned: Vec<(Planned, Point<'_>)> = Vec::new();
        let mut names = HashSet::new();
        for template in self
            .variants
            .iter()
            .filter(|t| with_folder || t.pictures != FOLDER)
        {
            for point in self.points(template, layers)? {
                let name = named(&template.name, &point);
                if !names.insert(name.clone()) {
                    return Err(format!(
                        "{}: variants: {name:?} stands there twice",
                        self.name
                    ));
                }
                if planned.len() == MAX_VARIANTS {
                    return Err(format!("{}: more than {MAX_VARIANTS} variants", self.name));
                }
                let own = Planned {
                    series: named(template.series(), &point),
                    panel: named(&template.panel, &point),
                    at: self
                        .x
                        .as_ref()
                        .and_then(|x| point.get(x.as_str())?.as_f64())
                        .or(template.at),
                    pictures: template.pictures.clone(),
                    interventions: template
                        .interventions
                        .iter()
                        .map(|v| filled(v, &point))
                        .collect(),
                    name,
                };
                planned.push((own, point));
            }
        }
        check::draws(self, &planned)?;
        Ok(planned.into_iter().map(|(own, _)| own).collect())
    }

    /// All combinations of the values of a template's axes.
    fn points<'a>(
        &self,
        template: &'a Template,
        layers: (usize, usize),
    ) -> Result<Vec<Point<'a>>, String> {
        let mut points: Vec<Point<'a>> = vec![Point::new()];
        for (axis, values) in &template.each {
            let counted =
                |count: usize| (0..count.min(MAX_VARIANTS + 1)).map(Value::from).collect();
            let values: Vec<Value> = match values {
                Values::Listed(values) => values.clone(),
                Values::Counted { count } => counted(*count),
                Values::Layers { layers: part } => match part.as_str() {
                    "language_model" => counted(layers.0),
                    "vision_tower" => counted(layers.1),
                    other => {
                        return Err(format!(
                            "{}: layers: {other:?}; language_model or vision_tower",
                            self.name
                        ));
                    }
                },
            };
            let all = points
                .iter()
                .flat_map(|p| values.iter().map(move |v| (p.clone(), v.clone())));
            let with = |(mut known, value): (Point<'a>, Value)| {
                known.insert(axis.as_str(), value);
                known
            };
            points = all.map(with).take(MAX_VARIANTS + 1).collect();
        }
        Ok(points)
    }
}

impl Template {
    /// Returns what belongs together: the series, or else the name.
    fn series(&self) -> &str {
        self.series.as_ref().unwrap_or(&self.name)
    }
}

/// `value` as the values of `before` are spelled: `literal` is GEOMETRY_LITERAL where there was
/// GEOMETRY_KESKAR.
fn full_name(before: &Values, value: &Value) -> Value {
    let Values::Listed(before) = before else {
        return value.clone();
    };
    let prefix = before
        .first()
        .and_then(Value::as_str)
        .and_then(|first| Some(first.split_once('_')?.0));
    let is_enum =
        |prefix: &&str| !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_uppercase());
    match (prefix.filter(is_enum), value.as_str()) {
        (Some(prefix), Some(text)) if !text.starts_with(&format!("{prefix}_")) => {
            format!("{prefix}_{}", text.to_uppercase().replace(['-', ' '], "_")).into()
        }
        _ => value.clone(),
    }
}

fn named(text: &str, point: &Point<'_>) -> String {
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), String::from)
    };
    point.iter().fold(text.to_owned(), |text, (axis, value)| {
        text.replace(&format!("{{{axis}}}"), &plain(value))
    })
}

/// `value` with the values of axes in place of the texts that are `{axis}`.
fn filled(value: &Value, point: &Point<'_>) -> Value {
    match value {
        Value::String(text) => {
            let axis = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
            axis.and_then(|axis| point.get(axis))
                .unwrap_or(value)
                .clone()
        }
        Value::Array(all) => all.iter().map(|v| filled(v, point)).collect(),
        Value::Object(all) => all
            .iter()
            .map(|(name, v)| (name.clone(), filled(v, point)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_experiment_can_be_planned() {
        let all = experiments().unwrap();
        for experiment in &all {
            let planned = experiment.plan((8, 4), true).unwrap();
            assert!(
                planned.len() > 1 && planned[0].interventions.is_empty(),
                "{}",
                experiment.name
            );
            assert!(
                !format!("{planned:?}").contains("\"{"),
                "{}: an axis is left open",
                experiment.name
            );
        }
        let layers = all
            .iter()
            .find(|e| e.name == "layers")
            .unwrap()
            .plan((8, 4), true)
            .unwrap();
        assert_eq!(
            (layers.len(), layers[8].name.as_str(), layers[8].at),
            (9, "without layer 7", Some(7.0))
        );
        assert_eq!(
            layers[8].interventions[0],
            serde_json::json!({"dropLayers": {"layers": [7]}})
        );
        let mut blind = all.iter().find(|e| e.name == "blind").unwrap().clone();
        assert_eq!(
            blind.plan((8, 4), true).unwrap().len(),
            blind.plan((8, 4), false).unwrap().len() + 1
        );
        assert!(
            blind
                .set("layer", &[Value::from(1)])
                .unwrap_err()
                .contains("no axis")
        );
        let mut noise = all
            .iter()
            .find(|e| e.name == "importance-layers")
            .unwrap()
            .clone();
        noise
            .set("geometry", &[Value::from("GEOMETRY_LITERAL")])
            .unwrap();
        noise.set("draw", &[Value::from(1)]).unwrap();
        let planned = noise.plan((2, 1), false).unwrap();
        assert_eq!(planned.len(), 1 + 2 * 2);
        assert_eq!(
            planned[1].interventions[0]["addNoise"]["geometry"],
            "GEOMETRY_LITERAL"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, says) in [
            (
                r#"{"name": "a", "title": "", "about": "", "plot": "curve", "variants": []}"#,
                "x:",
            ),
            (
                r#"{"name": "a", "title": "", "about": "", "plot": "bars", "variants": []}"#,
                "variants",
            ),
            (
                r#"{"name": "a", "title": "", "about": "", "plot": "pie", "variants": []}"#,
                "pie",
            ),
        ] {
            assert!(experiment(json).unwrap_err().contains(says), "{json}");
        }
    }

    /// Four points of which the drawing would make "4 draws" of one, and all that is like it.
    #[test]
    fn what_would_be_drawn_wrongly_is_refused() {
        let variant = |more: Value| {
            let mut variant = json!({
                "name": "without {layer}", "series": "one", "each": {"layer": [0, 1, 2, 3]},
                "interventions": [{"dropLayers": {"layers": ["{layer}"]}}],
            });
            variant
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            variant
        };
        let whole = |more: Value, own: Value| {
            let mut all = json!({
                "name": "mine", "title": "", "about": "", "plot": "curve", "x": "layer", "variants": [{"name": "original"}, variant(own)],
            });
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            all.to_string()
        };
        let planned = |text: &str| experiment(text).and_then(|e| e.plan((8, 4), true));
        assert_eq!(planned(&whole(json!({}), json!({}))).unwrap().len(), 5);
        let named = json!([{"blankImage": {}}, {"dropLayers": {"layers": ["{layer}"]}}]);
        for (more, own, says) in [
            (
                json!({"x": "depth"}),
                json!({}),
                "x: \"depth\" is no axis of any variant; the axes are layer",
            ),
            (
                json!({"plot": "bars", "x": null}),
                json!({}),
                "they are no draws of one thing",
            ),
            (
                json!({"plot": "bars"}),
                json!({}),
                "x: \"layer\", but bars have no axis",
            ),
            (json!({"side": 3}), json!({}), "side: only a grid has cells"),
            (
                json!({"plot": "grid", "side": 1}),
                json!({}),
                "each.layer: 1; the cells of the grid are 0 to 0",
            ),
            (
                json!({"ratio": ["one", "two"]}),
                json!({}),
                "ratio: \"two\" is no series; there are one, original",
            ),
            (
                json!({"benchmarks": ["mmlu"]}),
                json!({}),
                "benchmarks: \"mmlu\" is no benchmark",
            ),
            (json!({"name": "../mine"}), json!({}), "name: \"../mine\""),
            (
                json!({"colour": "red"}),
                json!({}),
                "unknown field `colour`",
            ),
            (
                json!({}),
                json!({"colour": "red"}),
                "unknown field `colour`",
            ),
            (
                json!({}),
                json!({"each": {"layer": [0, 0.0]}}),
                "each.layer: 0.0 stands there twice",
            ),
            (
                json!({}),
                json!({"each": {"layer": []}}),
                "each.layer: no value",
            ),
            (
                json!({}),
                json!({"each": {"layer": ["first"]}}),
                "the x axis needs numbers",
            ),
            (
                json!({}),
                json!({"each": {"layer": {"count": 0}}}),
                "each.layer: count: 0",
            ),
            (
                json!({}),
                json!({"each": {"layer": {"count": 2, "from": 1}}}),
                "is needed",
            ),
            (
                json!({}),
                json!({"each": {"layer": {"layers": "decoder"}}}),
                "language_model or vision_tower is needed",
            ),
            (
                json!({}),
                json!({"name": "without"}),
                "name: it lacks {layer}",
            ),
            (
                json!({}),
                json!({"name": "without {layer} {depth}"}),
                "name: {depth} is no axis of it",
            ),
            (
                json!({}),
                json!({"panel": "{depth}"}),
                "panel: {depth} is no axis of it",
            ),
            (
                json!({}),
                json!({"interventions": [{"dropLayers": {"layers": [3]}}]}),
                "all its values are one and the same",
            ),
            (
                json!({}),
                json!({"interventions": [{"dropLayers": {"layers": ["{depth}"]}}]}),
                "{depth} is no axis of it",
            ),
            (
                json!({}),
                json!({"interventions": [{"scale": {"target": {"point": "blocks.{layer}.x"}}}, named[1].clone()]}),
                "stands within",
            ),
            (
                json!({}),
                json!({"at": 3}),
                "at: the axis of x says it already",
            ),
            (json!({}), json!({"pictures": "mine"}), "pictures: \"mine\""),
            (
                json!({}),
                json!({
                    "name": "{layer}, {s}", "each": {"layer": [0, 1], "s": [1, 2]},
                    "interventions": [{"scale": {"factor": "{s}"}}, named[1].clone()],
                }),
                "\"0, 1\" and \"0, 2\" are one point at 0 of the series \"one\", but differ in more than their seeds (the axes s)",
            ),
        ] {
            let error = planned(&whole(more, own)).expect_err(says);
            assert!(error.contains(says), "{error} does not say {says}");
        }
        // Draws are.
        let drawn = json!({
            "name": "{layer}, {s}", "each": {"layer": [0, 1], "s": [1, 2]},
            "interventions": [{"permuteTokens": {"seed": "{s}"}}, named[1].clone()],
        });
        assert_eq!(planned(&whole(json!({}), drawn)).unwrap().len(), 5);
        let twice = json!({"variants": [{"name": "x"}, {"name": "y", "at": 1, "series": "s"}, {"name": "z", "at": 1, "series": "s"}]});
        assert!(
            planned(&whole(twice, json!({})))
                .unwrap_err()
                .contains("\"y\" and \"z\" are the same")
        );
        let same = json!({"plot": "bars", "x": null, "variants": [{"name": "x"}, {"name": "x"}]});
        assert!(
            planned(&whole(same, json!({})))
                .unwrap_err()
                .contains("twice")
        );
    }

    #[test]
    fn plain_names_of_an_enum_will_do() {
        let mut noise = experiments()
            .unwrap()
            .into_iter()
            .find(|e| e.name == "importance-layers")
            .unwrap();
        noise
            .set(
                "geometry",
                &["literal", "abs-scaled", "GEOMETRY_GAUSSIAN"].map(Value::from),
            )
            .unwrap();
        let planned = noise.plan((1, 1), false).unwrap();
        let used: BTreeSet<&str> = planned
            .iter()
            .filter_map(|p| p.interventions.first()?["addNoise"]["geometry"].as_str())
            .collect();
        assert_eq!(
            used,
            [
                "GEOMETRY_ABS_SCALED",
                "GEOMETRY_GAUSSIAN",
                "GEOMETRY_LITERAL"
            ]
            .into()
        );
        assert!(
            noise
                .set("draw", &[Value::from(1), Value::from(1.0)])
                .unwrap_err()
                .contains("twice")
        );
    }
}
