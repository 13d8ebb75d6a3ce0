//! Experiments as data: a readable file each, which says under what variants a benchmark is asked and how that is drawn. Those of Lee
//! et al. 2024 are inside the program; another one needs a file and no Rust.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

const FILES: &[&str] = &[
    include_str!("experiments/information-loss.json"),
    include_str!("experiments/information-loss-pooled.json"),
    include_str!("experiments/permutation.json"),
    include_str!("experiments/shuffled-grid.json"),
    include_str!("experiments/blind.json"),
    include_str!("experiments/occlusion.json"),
    include_str!("experiments/layers.json"),
    include_str!("experiments/importance-layers.json"),
    include_str!("experiments/importance-groups.json"),
];

/// Variants of one experiment.
const MAX_VARIANTS: usize = 256;

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
    /// The first is what all others are compared with.
    pub variants: Vec<Template>,
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
    /// Where on the x axis, if `each` does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// The values of each axis; all combinations are made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<String, Values>,
    /// In canonical JSON; none: unchanged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Value>,
}

/// Values of an axis.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// As they are.
    Listed(Vec<f64>),
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
    /// Where on the x axis.
    pub at: Option<f64>,
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
    let at = |message: &str| Err(format!("{}: {message}", experiment.name));
    match (experiment.plot, &experiment.x, experiment.side) {
        (Plot::Curve | Plot::Grid, None, _) => at("x: a curve and a grid need an axis"),
        (Plot::Grid, _, None | Some(0)) => at("side: a grid needs the number of cells along each side"),
        _ if experiment.variants.is_empty() => at("variants: none"),
        _ => Ok(experiment),
    }
}

impl Experiment {
    /// All variants for a model with so many layers in (language model, vision tower).
    pub fn plan(&self, layers: (usize, usize)) -> Result<Vec<Planned>, String> {
        let mut planned: Vec<Planned> = Vec::new();
        for template in &self.variants {
            let mut combinations: Vec<BTreeMap<&str, f64>> = vec![BTreeMap::new()];
            for (axis, values) in &template.each {
                let values: Vec<f64> = match values {
                    Values::Listed(values) => values.clone(),
                    Values::Counted { count } => (0..*count.min(&MAX_VARIANTS)).map(|i| i as f64).collect(),
                    Values::Layers { layers: part } => match part.as_str() {
                        "language_model" => (0..layers.0).map(|i| i as f64).collect(),
                        "vision_tower" => (0..layers.1).map(|i| i as f64).collect(),
                        other => {
                            return Err(format!("{}: layers: {other:?}; language_model or vision_tower", self.name));
                        }
                    },
                };
                let all = combinations.iter().flat_map(|c| values.iter().map(move |&v| (c.clone(), v)));
                let with = |(mut known, value): (BTreeMap<_, _>, f64)| {
                    known.insert(axis.as_str(), value);
                    known
                };
                combinations = all.map(with).collect();
                if combinations.len() > MAX_VARIANTS {
                    return Err(format!("{}: more than {MAX_VARIANTS} variants", self.name));
                }
            }
            for values in combinations {
                let name = named(&template.name, &values);
                if planned.iter().any(|p| p.name == name) {
                    return Err(format!("{}: variants: {name:?} stands there twice", self.name));
                }
                planned.push(Planned {
                    series: named(template.series.as_ref().unwrap_or(&template.name), &values),
                    at: self.x.as_ref().and_then(|x| values.get(x.as_str()).copied()).or(template.at),
                    interventions: template.interventions.iter().map(|v| filled(v, &values)).collect(),
                    name,
                });
            }
        }
        if planned.len() > MAX_VARIANTS {
            return Err(format!("{}: {} variants, at most {MAX_VARIANTS}", self.name, planned.len()));
        }
        Ok(planned)
    }
}

fn named(text: &str, values: &BTreeMap<&str, f64>) -> String {
    values.iter().fold(text.to_owned(), |text, (axis, value)| text.replace(&format!("{{{axis}}}"), &value.to_string()))
}

/// `value` with numbers in place of the texts that are `{axis}`.
fn filled(value: &Value, values: &BTreeMap<&str, f64>) -> Value {
    match value {
        Value::String(text) => {
            let axis = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
            match axis.and_then(|axis| values.get(axis)) {
                // Whole numbers stay whole: seeds and layers are.
                Some(&number) if number.fract() == 0.0 => Value::from(number as i64),
                Some(&number) => Value::from(number),
                None => value.clone(),
            }
        }
        Value::Array(all) => all.iter().map(|v| filled(v, values)).collect(),
        Value::Object(all) => all.iter().map(|(name, v)| (name.clone(), filled(v, values))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_experiment_can_be_planned() {
        let all = experiments().unwrap();
        for experiment in &all {
            let planned = experiment.plan((8, 4)).unwrap();
            assert!(planned.len() > 1 && planned[0].interventions.is_empty(), "{}", experiment.name);
            assert!(!format!("{planned:?}").contains("\"{"), "{}: an axis is left open", experiment.name);
        }
        let layers = all.iter().find(|e| e.name == "layers").unwrap().plan((8, 4)).unwrap();
        assert_eq!((layers.len(), layers[8].name.as_str(), layers[8].at), (9, "without layer 7", Some(7.0)));
        assert_eq!(layers[8].interventions[0], serde_json::json!({"dropLayers": {"layers": [7]}}));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, says) in [
            (r#"{"name": "a", "title": "", "about": "", "plot": "curve", "variants": []}"#, "x:"),
            (r#"{"name": "a", "title": "", "about": "", "plot": "bars", "variants": []}"#, "variants"),
            (r#"{"name": "a", "title": "", "about": "", "plot": "pie", "variants": []}"#, "pie"),
        ] {
            assert!(experiment(json).unwrap_err().contains(says), "{json}");
        }
        let twice =
            r#"{"name": "a", "title": "", "about": "", "plot": "bars", "variants": [{"name": "x"}, {"name": "x"}]}"#;
        assert!(experiment(twice).unwrap().plan((1, 1)).unwrap_err().contains("twice"));
    }
}
