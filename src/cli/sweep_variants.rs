//! The variants of `scotoma sweep`: axes of flags, a grid or a list of a file, or named lists of
//! interventions.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use scotoma_client::v1::sweep_axis::Values;
use scotoma_client::v1::{
    EvaluateVariant, SweepAxis, SweepGrid, SweepNumbers, SweepRequest, SweepResult, SweepVariant,
};
use scotoma_client::{self as client, Intervention};
use serde_json::Value;

use super::error::{Failure, Usage};
use super::eval::named_variant;
use super::files;
use crate::pipeline::{MAX_VARIANTS, numbers_of_range};

/// Longest name of a value in the table.
const LONGEST: usize = 24;

/// Says what varies; one of these is given.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(super) struct VariantArgs {
    /// Axis of the grid, such as drop-layers=0..7 or permute=1,2,3. Repeat for all combinations
    ///
    /// NAME is permute (its seed), drop-layers and drop-tower-layers (one layer), occlude (the ratio
    /// of random patches, seed 0), swap-projector (the seed of a random one), or the path of any
    /// number in the flags' interventions, such as interventions[0].scale.factor. VALUES are numbers
    /// and ranges FIRST..LAST or FIRST..LAST..STEP, both ends included. The last axis moves fastest.
    #[arg(long, value_name = "NAME=VALUES")]
    axis: Vec<Axis>,
    /// JSON file of a grid, {"interventions", "axes"}, or of a list of variants
    ///
    /// In the contract's canonical form: a SweepGrid, such as {"interventions": [{"dropLayers":
    /// {"layers": [0]}}], "axes": [{"field": "interventions[0].drop_layers.layers[0]", "range":
    /// {"first": 0, "last": 7}}]}, or SweepVariants, such as [{"interventions": []}].
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
    /// Variant, NAME=INTERVENTIONS, as `eval` takes it. Repeat for several
    ///
    /// INTERVENTIONS is a JSON list, such as 'black=[{"blankImage":{"colour":"COLOUR_BLACK"}}]'.
    #[arg(long, value_name = "NAME=JSON", value_parser = named_variant)]
    variant: Vec<EvaluateVariant>,
}

/// A field and the values that it takes.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    name: String,
    values: Vec<f64>,
}

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').ok_or("NAME=VALUES is needed")?;
        let mut all = Vec::new();
        for part in values.split(',') {
            all.extend(numbers(part)?);
            if all.len() > MAX_VARIANTS {
                return Err(format!("more than {MAX_VARIANTS} values"));
            }
        }
        Ok(Self {
            name: name.into(),
            values: all,
        })
    }
}

fn finite(text: &str) -> Result<f64, String> {
    let found = f64::from_str(text).ok().filter(|n| n.is_finite());
    let number =
        found.ok_or_else(|| format!("{text:?} is no number; 3, 0..7 and 0..1..0.25 are values"))?;
    // An axis has doubles: another seed than the one that was typed would run.
    if text
        .parse::<i128>()
        .is_ok_and(|whole| whole != number as i128)
    {
        return Err(format!(
            "{text}: an axis holds whole numbers up to 2^53; the nearest is {number}"
        ));
    }
    Ok(number)
}

/// Reads a number, or a range with both ends, as shells write it in braces.
fn numbers(text: &str) -> Result<Vec<f64>, String> {
    match text.split("..").collect::<Vec<_>>()[..] {
        [one] => Ok(vec![finite(one)?]),
        [first, last] => spread(finite(first)?, finite(last)?, 1.0),
        [first, last, step] => spread(finite(first)?, finite(last)?, finite(step)?),
        _ => Err(format!(
            "{text:?}: FIRST..LAST or FIRST..LAST..STEP is needed"
        )),
    }
}

/// Lists the numbers of a range, as the server does.
fn spread(first: f64, last: f64, step: f64) -> Result<Vec<f64>, String> {
    numbers_of_range(first, last, step).ok_or_else(|| {
        format!(
            "{first}..{last}..{step}: first <= last, a step above 0 and at most {MAX_VARIANTS} \
             values are needed"
        )
    })
}

/// The variants of a sweep, and how each is called.
#[derive(Debug)]
pub(super) struct Variants {
    grid: Option<SweepGrid>,
    listed: Vec<SweepVariant>,
    /// The axes with their values, or one column with the variants' names.
    columns: Columns,
}

#[derive(Debug)]
enum Columns {
    Axes(Vec<Axis>),
    Names(Vec<String>),
}

impl VariantArgs {
    /// Puts the variants together. `interventions` are those of the flags.
    pub(super) fn variants(&self, interventions: &[Intervention]) -> Result<Variants, Failure> {
        // clap has seen that one of the three is there, and one only.
        if let Some(file) = &self.grid {
            return of_file(file);
        }
        if !self.axis.is_empty() {
            return of_axes(&self.axis, interventions);
        }
        let names = self.variant.iter().map(|v| v.name.clone()).collect();
        let listed = self.variant.iter().map(|v| SweepVariant {
            interventions: v.interventions.clone(),
        });
        Ok(Variants {
            grid: None,
            listed: listed.collect(),
            columns: Columns::Names(names),
        })
    }

    /// Tells whether the flags' interventions are in the grid, for axes to name their fields.
    pub(super) fn takes_interventions(&self) -> bool {
        !self.axis.is_empty()
    }
}

impl Variants {
    /// Sets the variants of a request.
    pub(super) fn apply(&self, request: &mut SweepRequest) {
        request.grid.clone_from(&self.grid);
        request.variants.clone_from(&self.listed);
    }

    /// Returns the heads of the columns that tell variants apart.
    pub(super) fn heads(&self) -> Vec<&str> {
        match &self.columns {
            Columns::Axes(axes) => axes.iter().map(|axis| axis.name.as_str()).collect(),
            Columns::Names(_) => vec!["variant"],
        }
    }

    /// Returns the width of each column.
    pub(super) fn widths(&self) -> Vec<usize> {
        match &self.columns {
            Columns::Axes(axes) => axes
                .iter()
                .map(|axis| {
                    let cells = axis.values.iter().map(|v| v.to_string().len());
                    widest(axis.name.len(), cells)
                })
                .collect(),
            Columns::Names(names) => {
                let cells = names.iter().map(String::len);
                vec![widest("variant".len(), cells)]
            }
        }
    }

    /// Returns what a result is of, a value for each column.
    pub(super) fn values(&self, result: &SweepResult) -> Vec<Value> {
        match &self.columns {
            Columns::Axes(axes) => {
                let places = axes.iter().zip(&result.places);
                places
                    .map(|(axis, &place)| number(axis.values.get(place as usize)))
                    .collect()
            }
            Columns::Names(names) => {
                let name = names.get(result.variant as usize);
                vec![Value::from(name.map_or("", String::as_str))]
            }
        }
    }
}

/// Returns a whole number as one: 3, and not 3.0.
fn number(value: Option<&f64>) -> Value {
    match value {
        // Up to 2^53, about 9e15, a double holds every whole number.
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => Value::from(*value as i64),
        Some(value) => Value::from(*value),
        None => Value::Null,
    }
}

fn of_file(file: &Path) -> Result<Variants, Failure> {
    let named = |e: &dyn std::fmt::Display| format!("--grid {}", files::named(file, e));
    let text = files::read_text(file).map_err(|e| format!("--grid {e}"))?;
    // A list is of variants, an object is a grid.
    if text.trim_start().starts_with('[') {
        let listed: Vec<SweepVariant> = serde_json::from_str(&text).map_err(|e| named(&e))?;
        // Variants of a file have no names; their numbers stand for them.
        let names = (0..listed.len()).map(|i| i.to_string()).collect();
        return Ok(Variants {
            grid: None,
            listed,
            columns: Columns::Names(names),
        });
    }
    let mut grid: SweepGrid = serde_json::from_str(&text).map_err(|e| named(&e))?;
    let mut axes = Vec::new();
    for (i, axis) in grid.axes.iter_mut().enumerate() {
        let values = match axis.values.take() {
            Some(Values::Range(r)) => {
                spread(r.first, r.last, r.step).map_err(|e| named(&format!("axes[{i}]: {e}")))?
            }
            Some(Values::Numbers(numbers)) => numbers.values,
            None => return Err(named(&format!("axes[{i}]: range or numbers is needed")).into()),
        };
        // Written out, so that what the table says is what the server takes.
        axis.values = Some(Values::Numbers(SweepNumbers {
            values: values.clone(),
        }));
        axes.push(Axis {
            name: axis.field.clone(),
            values,
        });
    }
    Ok(Variants {
        grid: Some(grid),
        listed: Vec::new(),
        columns: Columns::Axes(axes),
    })
}

fn of_axes(axes: &[Axis], interventions: &[Intervention]) -> Result<Variants, Failure> {
    let mut grid = SweepGrid {
        interventions: interventions.to_vec(),
        axes: Vec::new(),
    };
    for (i, axis) in axes.iter().enumerate() {
        if axes[..i].iter().any(|other| other.name == axis.name) {
            return Err(Usage(format!("--axis {}: it is there twice", axis.name)).into());
        }
        let field = match short(&axis.name) {
            Some((intervention, field)) => {
                // Behind the interventions of the flags, whose numbers the paths of other axes
                // name.
                let at = grid.interventions.len();
                grid.interventions.push(intervention);
                format!("interventions[{at}].{field}")
            }
            None if axis.name.starts_with("interventions[") => axis.name.clone(),
            None => {
                return Err(Usage(format!(
                    "--axis {}: permute, drop-layers, drop-tower-layers, occlude, swap-projector \
                     or a path such as interventions[0].scale.factor is needed",
                    axis.name
                ))
                .into());
            }
        };
        let values = axis.values.clone();
        grid.axes.push(SweepAxis {
            field,
            values: Some(Values::Numbers(SweepNumbers { values })),
        });
    }
    Ok(Variants {
        grid: Some(grid),
        listed: Vec::new(),
        columns: Columns::Axes(axes.to_vec()),
    })
}

/// Returns the intervention of an axis that is called like a flag, and the field that varies.
fn short(name: &str) -> Option<(Intervention, &'static str)> {
    Some(match name {
        "permute" => (client::permute_tokens(0), "permute_tokens.seed"),
        "drop-layers" => (client::drop_layers([0]), "drop_layers.layers[0]"),
        "drop-tower-layers" => (client::drop_tower_layers([0]), "drop_layers.layers[0]"),
        // One seed for all: a larger ratio hides what a smaller one hides, and more.
        "occlude" => (
            client::occlude_at_random(0.0, 0),
            "occlude_patches.random.ratio",
        ),
        "swap-projector" => (
            client::swap_projector_at_random(0),
            "swap_projector.random_seed",
        ),
        _ => return None,
    })
}

/// Returns the width of a column: its head whole; cells longer than `LONGEST` stand over its edge.
fn widest(head: usize, cells: impl Iterator<Item = usize>) -> usize {
    cells.fold(head, usize::max).min(LONGEST.max(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_numbers_and_ranges_with_both_ends() {
        let values = |text: &str| text.parse::<Axis>().map(|axis| axis.values);
        assert_eq!(values("a=3"), Ok(vec![3.0]));
        assert_eq!(values("a=0..3"), Ok(vec![0.0, 1.0, 2.0, 3.0]));
        assert_eq!(values("a=0.1..0.3..0.1,7"), Ok(vec![0.1, 0.2, 0.3, 7.0]));
        assert_eq!(
            values("a=1000000000..1000000003"),
            Ok(vec![1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0])
        );
        assert_eq!(values("a=1e300..1e300"), Ok(vec![1e300]));
        for (text, says) in [
            ("a", "NAME=VALUES"),
            ("a=b", "\"b\" is no number"),
            ("a=", "\"\" is no number"),
            ("a=3..1", "first <= last"),
            ("a=0..1..-1", "a step above 0"),
            ("a=0..1e9", "at most 1000000 values"),
            ("a=1..2..3..4", "FIRST..LAST"),
            ("a=9007199254740993", "the nearest is 9007199254740992"),
        ] {
            let error = values(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn short_axes_follow_the_interventions_of_the_flags() {
        let axes = ["permute=1,2", "interventions[0].drop_layers.layers[0]=0..1"];
        let axes: Vec<Axis> = axes.map(|text| text.parse().unwrap()).into();
        let variants = of_axes(&axes, &[client::drop_layers([0])]).unwrap();
        let grid = variants.grid.as_ref().unwrap();
        assert_eq!(grid.interventions.len(), 2);
        assert_eq!(grid.axes[0].field, "interventions[1].permute_tokens.seed");
        let result = SweepResult {
            places: vec![1, 0],
            ..Default::default()
        };
        assert_eq!(variants.values(&result), [2, 0]);
        assert!(of_axes(&["colour=1".parse().unwrap()], &[]).is_err());
    }
}
