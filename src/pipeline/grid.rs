//! Grids of a sweep: all combinations of the values of some fields of its interventions.

use serde_json::Value;

use super::error::Error;
use super::interventions::Interventions;
use crate::field_path::{FieldPath, Segment, shown};

/// Most variants of one sweep.
pub const MAX_VARIANTS: usize = 1_000_000;
/// Decimals of a range that its numbers are rounded to; a double has no more digits.
const MOST_DECIMALS: usize = 17;
const MAX_AXES: usize = 8;

/// Reads interventions from a list in canonical JSON, and draws the seeds that it leaves open. The
/// outer error is of JSON that is no list of interventions at all.
pub type ParseInterventions = fn(Value) -> serde_json::Result<Result<Interventions, Error>>;

/// The values that an axis takes.
#[derive(Debug, Clone, PartialEq)]
pub enum AxisValues {
    /// Steps from `first` by `step` up to `last`; a step of 0 is one of 1.
    Range {
        /// The first value.
        first: f64,
        /// The last value, where steps meet it.
        last: f64,
        /// The distance of one value to the next.
        step: f64,
    },
    /// Takes the values listed.
    Numbers(Vec<f64>),
}

/// Interventions with axes along which fields of theirs vary.
#[derive(Debug)]
pub struct SweepGrid {
    /// `{"interventions": [..]}` in canonical JSON.
    template: Value,
    axes: Vec<Axis>,
    parse: ParseInterventions,
}

#[derive(Debug)]
struct Axis {
    /// The field, as canonical JSON spells it.
    path: Vec<Segment>,
    values: Vec<f64>,
}

impl SweepGrid {
    /// Checks the axes, each of a field's path in the request and its values, over `interventions`
    /// in canonical JSON.
    pub fn new(
        interventions: Value,
        axes: Vec<(String, AxisValues)>,
        parse: ParseInterventions,
    ) -> Result<Self, Error> {
        if !(1..=MAX_AXES).contains(&axes.len()) {
            let message = format!("{} axes; 1 to {MAX_AXES} are taken", axes.len());
            return Err(Error::invalid("grid.axes", message));
        }
        let mut all: Vec<Axis> = Vec::with_capacity(axes.len());
        let mut count = 1_usize;
        for (i, (field, values)) in axes.into_iter().enumerate() {
            let own = FieldPath::from("grid.axes").index(i);
            let axis = Axis::new(&field, values).map_err(|error| error.within(own))?;
            count = count.saturating_mul(axis.values.len());
            // Before the next axis is written out: eight of a million values each are short ranges.
            check_count(count)?;
            all.push(axis);
        }
        Ok(Self {
            axes: all,
            template: serde_json::json!({ "interventions": interventions }),
            parse,
        })
    }

    /// Returns how many variants there are.
    pub fn len(&self) -> usize {
        // No overflow: `new` has bounded it.
        self.axes.iter().map(|axis| axis.values.len()).product()
    }

    /// Reports whether there is no variant; an axis has one value at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of the value of variant `i` along each axis; the last one varies fastest.
    pub fn places(&self, mut i: usize) -> Vec<u32> {
        let mut places = vec![0; self.axes.len()];
        // The last axis varies fastest.
        for (place, axis) in places.iter_mut().zip(&self.axes).rev() {
            *place = (i % axis.values.len()) as u32;
            i /= axis.values.len();
        }
        places
    }

    /// Fails where the fields of the axes are not there: the first variant shows it.
    pub fn check(&self) -> Result<(), Error> {
        // The outer error alone: a variant that does not compile is a result, and no error of the
        // sweep.
        self.read(0).map(drop)
    }

    /// Returns the interventions of variant `i`.
    pub fn get(&self, i: usize) -> Result<Interventions, Error> {
        self.read(i)?
    }

    /// Reads variant `i`; the outer error is of an axis, the inner one of the variant.
    fn read(&self, i: usize) -> Result<Result<Interventions, Error>, Error> {
        // A field can be any of any kind, and only its JSON is the same for all of them.
        let mut json = self.template.clone();
        for (number, (axis, place)) in self.axes.iter().zip(self.places(i)).enumerate() {
            let node = field_mut(&mut json, &axis.path).ok_or_else(|| {
                Error::invalid(
                    FieldPath::from("grid.axes").index(number).join("field"),
                    "no such field in the grid's interventions, or an index too far",
                )
            })?;
            *node = number_of(axis.values[place as usize]);
        }
        (self.parse)(json["interventions"].take()).map_err(|error| {
            let message = format!("{error}, with the values of variant {i}");
            Error::invalid("grid.axes", message)
        })
    }
}

impl Axis {
    /// Checks an axis; fields of errors are those of a `SweepAxis`.
    fn new(field: &str, values: AxisValues) -> Result<Self, Error> {
        let path = FieldPath::parse(field).filter(is_below_interventions);
        let path = path.ok_or_else(|| {
            let example = "interventions[0].drop_layers.layers[0]";
            Error::invalid(
                "field",
                format!("{}; a path such as {example} is needed", shown(field)),
            )
        })?;
        let values = match values {
            AxisValues::Range { first, last, step } => spread(first, last, step)?,
            AxisValues::Numbers(numbers) => numbers,
        };
        if values.is_empty() || values.len() > MAX_VARIANTS || values.iter().any(|v| !v.is_finite())
        {
            let message = format!(
                "{} values; 1 to {MAX_VARIANTS}, all finite, are needed",
                values.len()
            );
            return Err(Error::invalid("values", message));
        }
        Ok(Self {
            path: path.segments().iter().map(camel_case).collect(),
            values,
        })
    }
}

/// Fails where a sweep has no variant, or more than it may.
pub(super) fn check_count(count: usize) -> Result<(), Error> {
    if (1..=MAX_VARIANTS).contains(&count) {
        return Ok(());
    }
    let message = format!("{count} variants; 1 to {MAX_VARIANTS} are taken");
    Err(Error::invalid("variants", message))
}

/// Reports whether a path names a field of an intervention: `interventions`, an index, a kind.
fn is_below_interventions(path: &FieldPath) -> bool {
    let first = path.segments().first();
    first == Some(&Segment::Name("interventions".into())) && path.segments().len() > 2
}

/// Returns a whole number as an integer: JSON of integer fields knows no fraction. One beyond all
/// integers of the contract stays as it is, and is refused by those fields.
fn number_of(value: f64) -> Value {
    // Powers of two, so that the bounds are exact: a cast would saturate at them.
    const I64_MIN: f64 = -9_223_372_036_854_775_808.0;
    const U64_END: f64 = 18_446_744_073_709_551_616.0;
    if value.fract() != 0.0 || !(I64_MIN..U64_END).contains(&value) {
        Value::from(value)
    } else if value < 0.0 {
        Value::from(value as i64)
    } else {
        Value::from(value as u64)
    }
}

/// Returns the place that `path` names; lists grow by one where it says so, and messages by any
/// field.
fn field_mut<'a>(json: &'a mut Value, path: &[Segment]) -> Option<&'a mut Value> {
    let mut node = json;
    for segment in path {
        node = match segment {
            Segment::Name(name) => {
                // A field that the template leaves out stands at its default, and can be varied as
                // well.
                if node.is_null() {
                    *node = Value::Object(serde_json::Map::new());
                }
                node.as_object_mut()?
                    .entry(name.as_ref())
                    .or_insert(Value::Null)
            }
            Segment::Index(index) => {
                if node.is_null() {
                    *node = Value::Array(Vec::new());
                }
                // `None`, an error of the axis, where the template has something else there.
                let list = node.as_array_mut()?;
                // One place past its end a list grows, so that an axis can fill one that is empty.
                if *index == list.len() {
                    list.push(Value::Null);
                }
                list.get_mut(*index)?
            }
        };
    }
    Some(node)
}

/// Returns the numbers of a range, both ends included where steps meet them; a step of 0 is a step of
/// one. `None` for a range that runs down, has no step upwards, or has more numbers than a sweep has
/// variants.
pub fn numbers_of_range(first: f64, last: f64, step: f64) -> Option<Vec<f64>> {
    // 0 is an unset number of the contract.
    let step = if step == 0.0 { 1.0 } else { step };
    // 0.3 is three steps of 0.1, whose quotient is below 3.
    let count = ((last - first) / step + 1e-9).floor();
    // Written so that NaN fails: it is in no range.
    if !(step > 0.0 && (0.0..MAX_VARIANTS as f64).contains(&count)) {
        return None;
    }
    // As many decimals as the range is written with: 0.1 + 2 * 0.1 is to be 0.3, and a seed of ten
    // digits a whole number.
    let decimals = decimals(first).max(decimals(step));
    let numbers = (0..=count as usize).map(|i| with_decimals(first + i as f64 * step, decimals));
    Some(numbers.collect())
}

/// Returns how many decimals the shortest text of a number has.
fn decimals(number: f64) -> usize {
    let text = number.to_string();
    text.split_once('.')
        .map_or(0, |(_, decimals)| decimals.len())
}

fn with_decimals(number: f64, decimals: usize) -> f64 {
    // Whole numbers have no decimals to round, and may have 300 digits, a million times; as many
    // decimals have only steps that nobody writes.
    if number.fract() == 0.0 || decimals > MOST_DECIMALS {
        return number;
    }
    // What was just written can be read.
    format!("{number:.decimals$}").parse().unwrap_or(number)
}

fn spread(first: f64, last: f64, step: f64) -> Result<Vec<f64>, Error> {
    numbers_of_range(first, last, step).ok_or_else(|| {
        let message = format!(
            "{first} to {last} by {step}; first <= last, a step above 0 and at most \
             {MAX_VARIANTS} numbers are needed"
        );
        Error::invalid("range", message)
    })
}

/// Returns `drop_layers` as `dropLayers`, which canonical JSON has.
fn camel_case(segment: &Segment) -> Segment {
    let Segment::Name(name) = segment else {
        return segment.clone();
    };
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    Segment::Name(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<Segment> {
        let path = FieldPath::parse(path).unwrap();
        path.segments().iter().map(camel_case).collect()
    }

    #[test]
    fn fields_are_found_and_made() {
        let path = steps("interventions[0].drop_layers.layers[0]");
        let mut json = serde_json::json!({"interventions": [{}]});
        *field_mut(&mut json, &path).unwrap() = Value::from(3);
        assert_eq!(
            json,
            serde_json::json!({"interventions": [{"dropLayers": {"layers": [3]}}]})
        );
        assert!(field_mut(&mut json, &steps("interventions[2].scale.factor")).is_none());
    }

    #[test]
    fn whole_numbers_do_not_saturate() {
        for (value, json) in [
            (-0.0, "0"),
            (2.5, "2.5"),
            (-9_223_372_036_854_775_808.0, "-9223372036854775808"),
            (9_223_372_036_854_775_808.0, "9223372036854775808"),
            (18_446_744_073_709_549_568.0, "18446744073709549568"),
            (18_446_744_073_709_551_616.0, "1.8446744073709552e19"),
            (-1e19, "-1e19"),
        ] {
            let found = number_of(value);
            assert_eq!(found, serde_json::from_str::<Value>(json).unwrap());
            assert_eq!(found.is_f64(), json.contains(['.', 'e']), "{value}");
        }
    }

    #[test]
    fn variants_are_bounded_axis_by_axis() {
        let grid = |last: f64| {
            let range = AxisValues::Range {
                first: 1.0,
                last,
                step: 0.0,
            };
            let field = "interventions[0].scale.factor".to_owned();
            let axes = vec![(field, range); 8];
            SweepGrid::new(Value::Null, axes, |_| Ok(Ok(Interventions::default())))
        };
        assert_eq!(grid(5.0).unwrap().len(), 390_625);
        let refused = grid(1000.0).unwrap_err().to_string();
        // At the third of eight.
        assert_eq!(
            refused,
            "variants: 1000000000 variants; 1 to 1000000 are taken"
        );
    }

    #[test]
    fn ranges_meet_their_ends() {
        assert_eq!(
            spread(0.1, 0.9, 0.1).unwrap(),
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        );
        assert_eq!(spread(-0.2, 0.2, 0.2).unwrap(), [-0.2, 0.0, 0.2]);
        // However large or small the numbers are.
        assert_eq!(
            spread(1e9, 1e9 + 3.0, 1.0).unwrap(),
            [1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]
        );
        assert_eq!(spread(1e300, 1e300, 1.0).unwrap(), [1e300]);
        assert_eq!(
            spread(0.0, 3e-13, 1e-13).unwrap(),
            [0.0, 1e-13, 2e-13, 3e-13]
        );
        // Neither takes long.
        assert_eq!(spread(0.0, 9e299, 1e294).unwrap().len(), 900_001);
        assert_eq!(spread(0.0, 4.5e-318, 5e-324).unwrap().len(), 910_811);
        for (first, last, step) in [(1.0, 0.0, 1.0), (0.0, 1.0, 1e-12), (0.0, f64::NAN, 1.0)] {
            let error = spread(first, last, step).unwrap_err().to_string();
            assert!(error.contains("at most 1000000 numbers"), "{error}");
        }
    }
}
