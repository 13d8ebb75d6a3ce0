//! Checks an experiment before anything runs: axes that change nothing, draws that are the same, names
//! of nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::spec::{
    AxisPoint, Experiment, PlannedVariant, PlotKind, TemplateValues, VariantTemplate,
};
use crate::benchmark::rule;
use crate::benchmark::substitute::{FOLDER, OTHER};

/// Most characters of a name, by which files and folders of the report are called.
const MAX_NAME: usize = 100;

type Checked = Result<(), String>;

/// Makes the checks that need no model.
pub(super) fn experiment(experiment: &Experiment) -> Checked {
    let checks = [
        name(experiment),
        plot(experiment),
        benchmarks(experiment),
        series(experiment),
    ];
    let templates = experiment.variants.iter().enumerate().map(|(i, t)| {
        let checked = template(experiment, i, t);
        checked.map_err(|e| format!("variants[{i}] ({}): {e}", t.name))
    });
    checks
        .into_iter()
        .chain(templates)
        .collect::<Checked>()
        .map_err(|e| format!("{}: {e}", experiment.name))
}

fn name(Experiment { name, .. }: &Experiment) -> Checked {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    if (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(allowed)
        // A hidden file, or one that no shell completes.
        && !name.starts_with(['.', ' '])
    {
        return Ok(());
    }
    Err(format!(
        "name: {name:?}; 1 to {MAX_NAME} letters, digits, - _ and . are needed, for files are \
         called so"
    ))
}

/// Checks that the drawing has what it needs, and nothing that it does not use.
fn plot(experiment: &Experiment) -> Checked {
    let Experiment {
        plot,
        x,
        side,
        variants,
        ..
    } = experiment;
    match (plot, x, side) {
        (PlotKind::Curve | PlotKind::Grid, None, _) => {
            return Err("x: a curve and a grid need an axis".into());
        }
        (PlotKind::Grid, _, None | Some(0)) => {
            return Err("side: a grid needs the number of cells along each side".into());
        }
        (PlotKind::Bars, Some(x), _) => {
            return Err(format!("x: {x:?}, but bars have no axis; \"curve\" has"));
        }
        (PlotKind::Bars | PlotKind::Curve, _, Some(_)) => {
            return Err("side: only a grid has cells".into());
        }
        _ if variants.is_empty() => return Err("variants: none".into()),
        _ => {}
    }
    let Some(x) = x else { return Ok(()) };
    let axes: BTreeSet<&str> = experiment.axes().collect();
    let placed = variants
        .iter()
        .skip(1)
        .all(|t| t.at.is_some() || t.each.contains_key(x));
    if !placed && !axes.contains(x.as_str()) {
        let axes: Vec<&str> = axes.into_iter().collect();
        return Err(format!(
            "x: {x:?} is no axis of any variant; the axes are {}",
            listed(&axes)
        ));
    }
    Ok(())
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

fn benchmarks(experiment: &Experiment) -> Checked {
    match experiment
        .benchmarks
        .iter()
        .find(|name| rule(name).is_none())
    {
        Some(unknown) => Err(format!("benchmarks: {unknown:?} is no benchmark")),
        None => Ok(()),
    }
}

/// Checks that every series which is named is there.
fn series(experiment: &Experiment) -> Checked {
    let there: BTreeSet<&str> = experiment
        .variants
        .iter()
        .map(VariantTemplate::series)
        .collect();
    let named = experiment
        .ratio
        .iter()
        .flatten()
        .map(|name| ("ratio", name));
    let printed = experiment
        .paper
        .iter()
        .filter_map(|p| p.series.as_ref())
        .map(|name| ("paper.series", name));
    match named
        .chain(printed)
        .find(|(_, name)| !there.contains(name.as_str()))
    {
        Some((field, name)) => {
            let there: Vec<&str> = there.into_iter().collect();
            Err(format!(
                "{field}: {name:?} is no series; there are {}",
                listed(&there)
            ))
        }
        None => Ok(()),
    }
}

fn template(experiment: &Experiment, number: usize, template: &VariantTemplate) -> Checked {
    let VariantTemplate { name, pictures, .. } = template;
    if name.is_empty() {
        return Err("name: empty".into());
    }
    if !["", OTHER, FOLDER].contains(&pictures.as_str()) {
        return Err(format!(
            "pictures: {pictures:?}; {OTHER:?}, {FOLDER:?} or nothing is needed"
        ));
    }
    template_place(experiment, number, template)?;
    template_texts(template)?;
    let mut filled = Vec::new();
    for value in &template.interventions {
        strings(value, &mut |text| {
            intervention_text(template, text, &mut filled)
        })?;
    }
    filled.extend(places(&template.pruning).map(str::to_owned));
    for (axis, values) in &template.each {
        axis_values(experiment, axis, values)?;
        if !filled.contains(axis) {
            return Err(format!(
                "each.{axis}: no intervention has \"{{{axis}}}\", so that all its values are one \
                 and the same"
            ));
        }
        if !places(name).any(|place| place == axis) {
            return Err(format!(
                "name: it lacks {{{axis}}}, so that variants would have the same name"
            ));
        }
    }
    Ok(())
}

/// Checks that the x axis, if there is one, has exactly one place for a template; the first variant
/// needs none.
fn template_place(
    experiment: &Experiment,
    number: usize,
    VariantTemplate { each, at, .. }: &VariantTemplate,
) -> Checked {
    let Some(x) = &experiment.x else {
        return match at {
            Some(_) => Err("at: the plot has no x axis".into()),
            None => Ok(()),
        };
    };
    match (at, each.contains_key(x)) {
        (None, false) if number > 0 => Err(format!(
            "neither `at` nor the axis {x:?} says where it is on the x axis"
        )),
        (Some(_), true) => Err("at: the axis of x says it already".into()),
        _ => Ok(()),
    }
}

/// Checks that names hold no axis that the template lacks.
fn template_texts(template: &VariantTemplate) -> Checked {
    let texts = [
        ("name", template.name.as_str()),
        ("series", template.series()),
        ("panel", template.panel.as_str()),
        ("pruning", template.pruning.as_str()),
    ];
    for (field, text) in texts {
        if let Some(unknown) = places(text).find(|place| !template.each.contains_key(*place)) {
            return Err(format!(
                "{field}: {{{unknown}}} is no axis of it; the axes are {}",
                own_axes(template)
            ));
        }
    }
    Ok(())
}

fn own_axes(template: &VariantTemplate) -> String {
    listed(&template.each.keys().map(String::as_str).collect::<Vec<_>>())
}

/// Checks a text of an intervention: only a text that is wholly `{axis}` is filled in.
fn intervention_text(template: &VariantTemplate, text: &str, filled: &mut Vec<String>) -> Checked {
    if let Some(axis) = text
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .filter(|axis| !axis.contains('{'))
    {
        if !template.each.contains_key(axis) {
            return Err(format!(
                "interventions: {{{axis}}} is no axis of it; the axes are {}",
                own_axes(template)
            ));
        }
        filled.push(axis.to_owned());
        return Ok(());
    }
    match places(text).find(|place| template.each.contains_key(*place)) {
        Some(axis) => Err(format!(
            "interventions: {{{axis}}} stands within {text:?}; only a whole text is filled in"
        )),
        None => Ok(()),
    }
}

fn axis_values(experiment: &Experiment, axis: &str, values: &TemplateValues) -> Checked {
    let is_x = experiment.x.as_deref() == Some(axis);
    // A file may give any side.
    let cells = experiment.side.map(|side| side.saturating_mul(side));
    match values {
        TemplateValues::Listed(listed) => {
            if listed.is_empty() {
                return Err(format!("each.{axis}: no value"));
            }
            for (i, value) in listed.iter().enumerate() {
                check_value(axis, value, is_x, cells)?;
                if listed[..i].iter().any(|other| same(other, value)) {
                    return Err(format!("each.{axis}: {value} stands there twice"));
                }
            }
            Ok(())
        }
        TemplateValues::Counted { count: 0 } => Err(format!("each.{axis}: count: 0")),
        TemplateValues::Counted { count } => match cells.filter(|cells| is_x && count > cells) {
            Some(cells) => Err(format!(
                "each.{axis}: count: {count}, but the grid has {cells} cells"
            )),
            None => Ok(()),
        },
        TemplateValues::Layers { layers }
            if ["language_model", "vision_tower"].contains(&layers.as_str()) =>
        {
            Ok(())
        }
        TemplateValues::Layers { layers } => Err(format!(
            "each.{axis}: layers: {layers:?}; language_model or vision_tower is needed"
        )),
    }
}

fn check_value(axis: &str, value: &Value, is_x: bool, cells: Option<usize>) -> Checked {
    match value {
        Value::Number(number) => match (is_x, cells) {
            (true, Some(cells)) if number.as_u64().is_none_or(|cell| cell >= cells as u64) => {
                Err(format!(
                    "each.{axis}: {number}; the cells of the grid are 0 to {}",
                    cells - 1
                ))
            }
            _ => Ok(()),
        },
        Value::String(text) if text.is_empty() => Err(format!("each.{axis}: an empty text")),
        Value::String(_) | Value::Bool(_) if is_x => {
            Err(format!("each.{axis}: {value}; the x axis needs numbers"))
        }
        Value::String(_) | Value::Bool(_) => Ok(()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("each.{axis}: {value}; numbers or texts are needed"))
        }
    }
}

/// Tells whether two values are one point of an axis: 1 and 1.0 are.
fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
}

/// Checks that variants at one point of the drawing are draws: the same but for their seeds, which
/// differ. Otherwise their mean would be over different things.
pub(super) fn draws(
    experiment: &Experiment,
    planned: &[(PlannedVariant, AxisPoint<'_>)],
) -> Checked {
    type Key<'a> = (&'a str, &'a str, Option<u64>);
    let mut points: BTreeMap<Key<'_>, Vec<&(PlannedVariant, AxisPoint<'_>)>> = BTreeMap::new();
    // The first is what all others are compared with, and no point.
    for variant in planned.iter().skip(1) {
        let own = &variant.0;
        points
            // Bits, since an f64 is no key; places on an axis are written, not computed.
            .entry((&own.panel, &own.series, own.at.map(f64::to_bits)))
            .or_default()
            .push(variant);
    }
    for ((_, series, at), variants) in points {
        let Some(((first, point), others)) =
            variants.split_first().map(|(first, rest)| (*first, rest))
        else {
            continue;
        };
        // Two draws that are the same would make the spread of a point smaller than it is.
        let mut seen = BTreeSet::from([key(&first.interventions)]);
        for (other, at_other) in others.iter().copied() {
            // Named by their axes, by which the author of the file finds them.
            let differ = point
                .iter()
                .filter(|(axis, value)| at_other.get(*axis) != Some(value))
                .map(|(axis, _)| *axis);
            let axes: Vec<&str> = differ.collect();
            let place = at.map_or_else(String::new, |at| format!(" at {}", f64::from_bits(at)));
            let both = format!("{}: {:?} and {:?}", experiment.name, first.name, other.name);
            let alike = without_seeds(&first.interventions) == without_seeds(&other.interventions);
            if !alike || first.pictures != other.pictures {
                let axes = if axes.is_empty() {
                    String::new()
                } else {
                    format!(" (the axes {})", axes.join(", "))
                };
                return Err(format!(
                    "{both} are one point{place} of the series {series:?}, but differ in more than \
                     their seeds{axes}: they are no draws of one thing. Give them series of their \
                     own, or name the axis as x"
                ));
            }
            if !seen.insert(key(&other.interventions)) {
                return Err(format!(
                    "{both} are the same: nothing that they do differs, so they are no two draws"
                ));
            }
        }
    }
    Ok(())
}

fn key(interventions: &[Value]) -> String {
    Value::from(interventions).to_string()
}

/// Fields of interventions that hold a seed.
const SEEDS: [&str; 3] = ["seed", "randomSeed", "fillSeed"];

/// Removes every seed.
fn without_seeds(interventions: &[Value]) -> Vec<Value> {
    interventions.iter().map(without_seed).collect()
}

fn without_seed(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let others = fields
                .iter()
                .filter(|(name, _)| !SEEDS.contains(&name.as_str()));
            Value::Object(
                others
                    .map(|(name, value)| (name.clone(), without_seed(value)))
                    .collect(),
            )
        }
        Value::Array(all) => all.iter().map(without_seed).collect(),
        other => other.clone(),
    }
}

/// Lists the words in braces.
fn places(text: &str) -> impl Iterator<Item = &str> {
    let inner = text
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0));
    inner.filter(|place| {
        !place.is_empty()
            && place
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    })
}

/// Visits every text of `value`.
fn strings(value: &Value, visit: &mut dyn FnMut(&str) -> Checked) -> Checked {
    match value {
        Value::String(text) => visit(text),
        Value::Array(all) => all.iter().try_for_each(|v| strings(v, visit)),
        Value::Object(all) => all.values().try_for_each(|v| strings(v, visit)),
        _ => Ok(()),
    }
}
