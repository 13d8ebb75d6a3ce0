//! Plans an experiment: its variants for a model.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::check;
use super::spec::{AxisPoint, Experiment, PlannedVariant, TemplateValues, VariantTemplate};
use crate::benchmark::pruning::{Layers, pruning};
use crate::benchmark::substitute::FOLDER;

/// Most variants of one experiment, the limit of one run.
const MAX_VARIANTS: usize = 4096;

/// Parses an experiment and checks it.
pub fn experiment(json: &str) -> Result<Experiment, String> {
    let experiment: Experiment = serde_json::from_str(json).map_err(|e| e.to_string())?;
    check::experiment(&experiment)?;
    Ok(experiment)
}

impl Experiment {
    /// Gives an axis other values, in every variant that has it. Values of an enum, such as
    /// GEOMETRY_LITERAL, may have their plain names: literal.
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
            *own =
                TemplateValues::Listed(values.iter().map(|value| full_name(own, value)).collect());
        }
        // Again: values given on the command line can be wrong in every way that a file's can.
        check::experiment(self)
    }

    /// Makes all variants for a model with this many layers; variants with pictures of a folder only
    /// `with_folder`.
    pub fn plan(&self, layers: Layers, with_folder: bool) -> Result<Vec<PlannedVariant>, String> {
        let mut planned: Vec<(PlannedVariant, AxisPoint<'_>)> = Vec::new();
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
                let own = PlannedVariant {
                    series: named(template.series(), &point),
                    panel: named(&template.panel, &point),
                    at: self
                        .x
                        .as_ref()
                        .and_then(|x| point.get(x.as_str())?.as_f64())
                        .or(template.at),
                    pictures: template.pictures.clone(),
                    interventions: self.interventions(template, &point, layers)?,
                    name,
                };
                planned.push((own, point));
            }
        }
        // Only now: which variants fall on one point depends on the model's layers.
        check::draws(self, &planned)?;
        Ok(planned.into_iter().map(|(own, _)| own).collect())
    }

    /// Fills the interventions of a variant, those of its way of pruning first.
    fn interventions(
        &self,
        template: &VariantTemplate,
        point: &AxisPoint<'_>,
        layers: Layers,
    ) -> Result<Vec<Value>, String> {
        let mut list = Vec::new();
        if !template.pruning.is_empty() {
            let made = pruning(&named(&template.pruning, point), layers);
            list = made.map_err(|e| format!("{}: pruning: {e}", self.name))?;
        }
        list.extend(template.interventions.iter().map(|v| filled(v, point)));
        Ok(list)
    }

    /// Makes all combinations of the values of a template's axes.
    fn points<'a>(
        &self,
        template: &'a VariantTemplate,
        layers: Layers,
    ) -> Result<Vec<AxisPoint<'a>>, String> {
        let mut points: Vec<AxisPoint<'a>> = vec![AxisPoint::new()];
        for (axis, values) in &template.each {
            let counted =
                |count: usize| (0..count.min(MAX_VARIANTS + 1)).map(Value::from).collect();
            let values: Vec<Value> = match values {
                TemplateValues::Listed(values) => values.clone(),
                TemplateValues::Counted { count } => counted(*count),
                TemplateValues::Layers { layers: part } => match part.as_str() {
                    "language_model" => counted(layers.language_model),
                    "vision_tower" => counted(layers.vision_tower),
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
            // One too many is enough to be refused.
            let some = all.take(MAX_VARIANTS + 1);
            points = some
                .map(|(mut point, value)| {
                    point.insert(axis.as_str(), value);
                    point
                })
                .collect();
        }
        Ok(points)
    }
}

/// Spells `value` as the values of `before` are: `literal` becomes GEOMETRY_LITERAL beside
/// GEOMETRY_KESKAR.
fn full_name(before: &TemplateValues, value: &Value) -> Value {
    let TemplateValues::Listed(before) = before else {
        return value.clone();
    };
    // The beginning of an enum's values, such as GEOMETRY.
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

/// Fills the values of axes into a name.
fn named(text: &str, point: &AxisPoint<'_>) -> String {
    let mut text = text.to_owned();
    for (axis, value) in point {
        let value = match value.as_str() {
            Some(value) => value.to_owned(),
            None => value.to_string(),
        };
        text = text.replace(&format!("{{{axis}}}"), &value);
    }
    text
}

/// Replaces the texts that are wholly `{axis}` by the values of axes.
fn filled(value: &Value, point: &AxisPoint<'_>) -> Value {
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
    use crate::benchmark::experiments::experiments;

    #[test]
    fn every_experiment_can_be_planned() {
        let all = experiments().unwrap();
        for experiment in &all {
            let planned = experiment.plan(Layers::of(8, 4), true).unwrap();
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
            .plan(Layers::of(8, 4), true)
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
            blind.plan(Layers::of(8, 4), true).unwrap().len(),
            blind.plan(Layers::of(8, 4), false).unwrap().len() + 1
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
        let planned = noise.plan(Layers::of(2, 1), false).unwrap();
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
    #[expect(clippy::too_many_lines, reason = "a table")]
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
                "name": "mine", "title": "", "about": "", "plot": "curve", "x": "layer",
                "variants": [{"name": "original"}, variant(own)],
            });
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            all.to_string()
        };
        let planned = |text: &str| experiment(text).and_then(|e| e.plan(Layers::of(8, 4), true));
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
                json!({"interventions": [
                    {"scale": {"target": {"point": "blocks.{layer}.x"}}},
                    named[1].clone(),
                ]}),
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
                "\"0, 1\" and \"0, 2\" are one point at 0 of the series \"one\", but differ in \
                 more than their seeds (the axes s)",
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
        let filled = json!({
            "name": "{layer}, {s}", "each": {"layer": [0, 1], "s": [1, 2]},
            "interventions": [
                {"occludePatches": {
                    "random": {"ratio": 0.5, "seed": 1}, "fill": "FILL_NOISE", "fillSeed": "{s}",
                }},
                named[1].clone(),
            ],
        });
        assert_eq!(planned(&whole(json!({}), filled)).unwrap().len(), 5);
        let twice = json!({"variants": [
            {"name": "x"},
            {"name": "y", "at": 1, "series": "s"},
            {"name": "z", "at": 1, "series": "s"},
        ]});
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
        let planned = noise.plan(Layers::of(1, 1), false).unwrap();
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
