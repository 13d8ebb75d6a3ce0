//! Tokens by a number that is measured of each: a norm, the attention that it receives, its
//! similarity to a vector.
//!
//! The rows are those of the model without interventions, measured before compiling; here they become
//! numbers, and the numbers a choice among the rows of a tensor.

use super::context::Context;
use super::entry::{Entry, no_hook_point};
use super::named::Named;
use super::saliency::rounded;
use super::token_map::{TokenInfo, TokenMap};
use crate::field_path::shown;
use crate::intervention::error::Error;
use crate::model::{Place, PromptToken, RowsQuery, shape_of};
use crate::nn::{HOOK_TABLE, HostTensor, Point, Site, Stack};

/// Tokens by a number that is measured of each.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredTokens {
    /// Name of the hook point, with its layer.
    pub point: String,
    /// The number.
    pub measure: TokenMeasure,
    /// The number of tokens, or a bound of theirs.
    pub amount: MeasuredAmount,
    /// The lowest in place of the highest.
    pub lowest: bool,
    /// The tokens to choose among.
    pub among: Named,
    /// One head; all of them where it is `None`.
    pub head: Option<u32>,
}

/// A number of a token.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenMeasure {
    /// The Euclidean norm of its row.
    Norm,
    /// The attention that it receives from these; by default from all, or from the class token of a
    /// tower that has one.
    Received(Option<Named>),
    /// The cosine of the angle between its row and a vector.
    Similarity(Vec<f32>),
    /// The largest magnitude of its row.
    LargestValue,
}

/// The number of tokens that are chosen, or a bound of their values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MeasuredAmount {
    /// `floor(share * tokens + 0.5)`.
    Share(f64),
    /// So many, or all.
    Count(u32),
    /// Every token of at least this value.
    AtLeast(f64),
    /// Every token of at least so many times the median.
    TimesMedian(f64),
}

/// The values of rows by picture and view.
struct Values {
    point: Point,
    /// Value by value, row by row.
    views: Vec<((usize, usize), Vec<f64>)>,
    /// The position of each picture's first visual token in the prompt, before any selection.
    starts: Vec<usize>,
    /// The positions of the words.
    words: Vec<usize>,
    /// Rows before the patches of a view in the tower: 1 for a class token.
    class: usize,
}

impl MeasuredTokens {
    /// Returns the rows that it needs; `None` where it names no point that has any, which
    /// [`pick`](Self::pick) refuses.
    pub(crate) fn query(&self) -> Option<RowsQuery> {
        let point = self.point.parse().ok().filter(|point| has_rows(*point))?;
        let head = self.head;
        Some(RowsQuery::At { point, head })
    }

    /// Returns the rows of `map` that it picks.
    pub(crate) fn pick(
        &self,
        entry: Entry,
        field: &str,
        map: &TokenMap,
        context: &Context<'_>,
    ) -> Result<Vec<bool>, Error> {
        let point = self.check(entry, field, context)?;
        let mut rows = vec![false; map.tokens.len()];
        // A preview has no prompt to measure.
        if point.stack == Stack::LanguageModel && context.prompt.is_none() {
            return Ok(rows);
        }
        let values = self.values(entry, field, point, context)?;
        let last = map.last();
        let mut candidates = Vec::new();
        // Words are matched in their order: selections take visual tokens alone, never a word.
        let mut words = values.words.iter();
        for (i, token) in map.tokens.iter().enumerate() {
            let word = match token {
                TokenInfo::Text(..) => words.next().copied(),
                TokenInfo::Visual { .. } => None,
            };
            let value = values.of(entry, field, token, (i, word), map)?;
            // NaN is neither high nor low.
            let value = value.filter(|v| !v.is_nan() && self.among.holds(token, Some(i) == last));
            candidates.extend(value.map(|value| (i, value)));
        }
        for i in self.choose(candidates) {
            rows[i] = true;
        }
        Ok(rows)
    }

    /// Checks its fields, and returns the hook point.
    fn check(&self, entry: Entry, field: &str, context: &Context<'_>) -> Result<Point, Error> {
        let invalid = |name: &str, message: String| Err(invalid(entry, field, name, message));
        let point: Point = match self.point.parse() {
            Ok(point) => point,
            Err(()) => return invalid("point", unknown_point(&self.point)),
        };
        let model = context.model;
        if !has_rows(point) {
            let message = format!(
                "{point} has no rows to measure; name a point of the tower or the language model, \
                 attn.hook_pattern among them, or projector.hook_tokens"
            );
            return invalid("point", message);
        }
        let layers = match point.stack {
            Stack::VisionTower => model.tower.info().layers_run(),
            Stack::LanguageModel => model.decoder.config().num_hidden_layers,
            Stack::Projector => 0,
        };
        if let Some(layer) = point.layer.filter(|layer| *layer >= layers) {
            let message = format!("layer {layer} is not below {layers}, the layers that run");
            return invalid("point", message);
        }
        if !model.has_point(point.stack, point.site) {
            return invalid("point", model.no_point(point.stack, point));
        }
        if point.stack != Stack::LanguageModel {
            entry.needs_image(context)?;
        }
        self.check_measure(entry, field, point, context)?;
        self.check_amount(entry, field)?;
        Ok(point)
    }

    /// Fails where the point cannot be measured so.
    fn check_measure(
        &self,
        entry: Entry,
        field: &str,
        point: Point,
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let invalid = |name: &str, message: String| Err(invalid(entry, field, name, message));
        // Without keys: no width of attention is asked for here.
        let shape = shape_of(context.model, point, 0);
        match (self.head, shape.heads) {
            (Some(_), None) => {
                return invalid("head", format!("{point} has no heads; leave it unset"));
            }
            (Some(head), Some(heads)) if head as usize >= heads => {
                return invalid(
                    "head",
                    format!("{head} is not below {heads}, the heads of {point}"),
                );
            }
            _ => {}
        }
        // A column of a pattern is what a token receives; elsewhere a row is the token itself.
        let is_pattern = point.site == Site::Pattern;
        if is_pattern != matches!(self.measure, TokenMeasure::Received(_)) {
            let message = if is_pattern {
                format!("of {point} the attention received is measured, MEASURE_ATTENTION_RECEIVED")
            } else {
                format!("{point} is not an attention pattern, attn.hook_pattern")
            };
            return invalid("measure", message);
        }
        if let TokenMeasure::Similarity(vector) = &self.measure {
            // A row without a chosen head is that of all heads, end to end.
            let heads = shape.heads.filter(|_| self.head.is_none()).unwrap_or(1);
            let (given, width) = (vector.len(), heads * shape.width);
            if given != width {
                return invalid(
                    "vector",
                    format!("{given} numbers; the rows are {width} wide"),
                );
            }
            // A cosine needs a length; one number that is not finite makes the sum so as well.
            let size: f64 = vector.iter().map(|v| f64::from(*v).powi(2)).sum();
            if !size.is_finite() || size == 0.0 {
                return invalid("vector", "its length is not above 0 and finite".into());
            }
        }
        Ok(())
    }

    /// Fails where the amount chooses nothing that is well defined.
    fn check_amount(&self, entry: Entry, field: &str) -> Result<(), Error> {
        let invalid = |name: &str, message: String| Err(invalid(entry, field, name, message));
        match self.amount {
            MeasuredAmount::Share(share) => {
                entry.check_share(&format!("{field}.measured.share"), share)?;
            }
            MeasuredAmount::Count(_) => {}
            MeasuredAmount::AtLeast(bound) if bound.is_finite() => {}
            MeasuredAmount::TimesMedian(times) if times.is_finite() && times >= 0.0 => {}
            MeasuredAmount::AtLeast(bound) => {
                return invalid("at_least", format!("{bound} is not finite"));
            }
            MeasuredAmount::TimesMedian(times) => {
                let message = format!("{times} is not finite and from 0 up");
                return invalid("times_median", message);
            }
        }
        Ok(())
    }

    /// Returns the value of every row that was measured.
    fn values(
        &self,
        entry: Entry,
        field: &str,
        point: Point,
        context: &Context<'_>,
    ) -> Result<Values, Error> {
        let rows = self.query().and_then(|query| context.rows.get(&query));
        let rows = rows.ok_or_else(|| entry.invalid(field, "no rows were measured"))?;
        let mut views = Vec::with_capacity(rows.len());
        for (view, rows) in rows {
            views.push((
                *view,
                self.of_rows(entry, field, (point, *view), rows, context)?,
            ));
        }
        let mut values = Values {
            point,
            views,
            starts: Vec::new(),
            words: Vec::new(),
            class: usize::from(context.model.tower.info().has_class),
        };
        // Rows were measured without interventions: pictures are whole there.
        let (mut position, mut images) = (0, context.images.iter());
        for token in context.prompt.into_iter().flatten() {
            match token {
                PromptToken::Text(..) => {
                    values.words.push(position);
                    position += 1;
                }
                PromptToken::Image(_) => {
                    values.starts.push(position);
                    position += images.next().map_or(0, crate::model::ImageTokens::len);
                }
            }
        }
        Ok(values)
    }

    /// Returns the value of each row of a view, or of the prompt; of attention that of each key.
    fn of_rows(
        &self,
        entry: Entry,
        field: &str,
        (point, (image, view)): (Point, (usize, usize)),
        rows: &HostTensor,
        context: &Context<'_>,
    ) -> Result<Vec<f64>, Error> {
        // `(R, W)`; of a pattern `(R, K)`, the mean over heads or one head.
        let rows: Vec<Vec<f32>> = rows.to_vec2().map_err(crate::model::Error::from)?;
        let rows = rows.iter();
        let looking = match &self.measure {
            TokenMeasure::Norm => return Ok(rows.map(|row| norm(row)).collect()),
            TokenMeasure::LargestValue => return Ok(rows.map(|row| largest(row)).collect()),
            TokenMeasure::Similarity(vector) => {
                return Ok(rows.map(|row| cosine(row, vector)).collect());
            }
            // Read column by column below.
            TokenMeasure::Received(looking) => looking,
        };
        let in_prompt = context
            .prompt
            .filter(|_| point.stack == Stack::LanguageModel);
        let map = if let Some(prompt) = in_prompt {
            TokenMap::of_prompt(prompt, context.images)
        } else {
            let class = context.model.tower.info().has_class;
            TokenMap::of_view(image, &context.images[image], view, class, 0)
        };
        let has_class = point.stack == Stack::VisionTower && context.model.tower.info().has_class;
        let default = if has_class { Named::Class } else { Named::All };
        let looking = looking.unwrap_or(default);
        let last = map.last();
        // One number a key: the mean of the column over the rows that look.
        let mut received = vec![0.0; rows.as_slice().first().map_or(0, Vec::len)];
        let mut count = 0;
        for (i, (token, row)) in map.tokens.iter().zip(rows).enumerate() {
            if looking.holds(token, Some(i) == last) {
                count += 1;
                let sums = received.iter_mut().zip(row);
                sums.for_each(|(sum, paid)| *sum += f64::from(*paid));
            }
        }
        if count == 0 {
            let message = format!("no token that `looking` names is at {point}");
            return Err(entry.invalid(&format!("{field}.measured.looking"), message));
        }
        received.iter_mut().for_each(|sum| *sum /= f64::from(count));
        Ok(received)
    }

    /// Returns the numbers of the chosen ones of (number, value).
    fn choose(&self, mut candidates: Vec<(usize, f64)>) -> Vec<usize> {
        let sign = if self.lowest { -1.0 } else { 1.0 };
        // Stable: of equals those that come first.
        candidates.sort_by(|a, b| (sign * b.1).total_cmp(&(sign * a.1)));
        let bound = match self.amount {
            MeasuredAmount::Share(share) => {
                candidates.truncate(rounded(share, candidates.len()));
                None
            }
            MeasuredAmount::Count(count) => {
                candidates.truncate(count as usize);
                None
            }
            MeasuredAmount::AtLeast(bound) => Some(bound),
            // Of the candidates alone: tokens that are not among them do not move the bound.
            MeasuredAmount::TimesMedian(times) => Some(times * median(&candidates)),
        };
        let within = |value: f64| bound.is_none_or(|bound| sign * value >= sign * bound);
        let chosen = candidates.into_iter().filter(|(_, value)| within(*value));
        chosen.map(|(i, _)| i).collect()
    }
}

/// Returns an error about field `name` of a measured set.
fn invalid(entry: Entry, field: &str, name: &str, message: String) -> Error {
    entry.invalid(&format!("{field}.measured.{name}"), message)
}

impl Values {
    /// Returns the value of a token of `map`, its `i`-th, which as a word stands at position `word`;
    /// `None` where it has none.
    fn of(
        &self,
        entry: Entry,
        field: &str,
        token: &TokenInfo,
        (i, word): (usize, Option<usize>),
        map: &TokenMap,
    ) -> Result<Option<f64>, Error> {
        let TokenInfo::Visual {
            image,
            place,
            patches,
            origin,
            ..
        } = token
        else {
            let value = word.filter(|_| self.point.stack == Stack::LanguageModel);
            return Ok(value.and_then(|position| self.at((0, 0), position)));
        };
        if self.point.stack == Stack::VisionTower {
            // A class token is a row of its own in the tower, and is made of no patch.
            if *place == Some(Place::Class) && origin.is_none() {
                return Ok(view_of(map).and_then(|view| self.at((*image, view), i)));
            }
            return Ok(self.of_patches(*image, patches));
        }
        // By the number before any selection, since rows were measured of whole pictures.
        let Some(origin) = *origin else {
            let message = format!(
                "what is measured at {} chooses no rows of the tower; measure in the tower",
                self.point
            );
            return Err(entry.invalid(&format!("{field}.measured.point"), message));
        };
        let (view, row) = match self.point.stack {
            Stack::LanguageModel => {
                let start = self.starts.get(*image).copied().unwrap_or(0);
                ((0, 0), start + origin as usize)
            }
            // At projector.hook_tokens a picture is one run, whatever its views.
            _ => ((*image, 0), origin as usize),
        };
        Ok(self.at(view, row))
    }

    /// Returns the weighted sum over patches; `None` where one of them has no value.
    fn of_patches(&self, image: usize, patches: &[(usize, usize, f32)]) -> Option<f64> {
        let mut parts = Vec::with_capacity(patches.len());
        for &(view, patch, weight) in patches {
            // Behind the class token, where there is one.
            let value = self.at((image, view), self.class + patch)?;
            parts.push(f64::from(weight) * value);
        }
        (!parts.is_empty()).then(|| parts.iter().sum())
    }

    fn view(&self, view: (usize, usize)) -> Option<&[f64]> {
        let found = self.views.iter().find(|(own, _)| *own == view);
        found.map(|(_, values)| values.as_slice())
    }

    fn at(&self, view: (usize, usize), row: usize) -> Option<f64> {
        self.view(view)?.get(row).copied()
    }
}

/// Returns the view whose rows `map` describes, by its patches.
fn view_of(map: &TokenMap) -> Option<usize> {
    map.tokens.iter().find_map(|token| match token {
        TokenInfo::Visual { patches, .. } => patches.first().map(|(view, ..)| *view),
        TokenInfo::Text(..) => None,
    })
}

/// Returns whether a point has a row for each token that is measured.
fn has_rows(point: Point) -> bool {
    let is_row = point.stack != Stack::Projector || point.site == Site::Tokens;
    is_row && !matches!(point.site, Site::Scores | Site::Logits)
}

fn unknown_point(name: &str) -> String {
    if HOOK_TABLE
        .iter()
        .any(|row| row.name == name && row.per_layer())
    {
        return format!("{} stands for many layers; name one, from 0", shown(name));
    }
    no_hook_point(name)
}

fn largest(row: &[f32]) -> f64 {
    row.iter().fold(0.0, |most, v| f64::from(v.abs()).max(most))
}

fn norm(row: &[f32]) -> f64 {
    let squares = row.iter().map(|v| f64::from(*v).powi(2));
    squares.sum::<f64>().sqrt()
}

/// Returns the cosine of the angle between two rows; 0 where one of them is zero.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    let lengths = norm(a) * norm(b);
    let along: f64 = products.sum();
    if lengths == 0.0 { 0.0 } else { along / lengths }
}

/// Returns the median of sorted values; the mean of the two in the middle of an even number.
fn median(sorted: &[(usize, f64)]) -> f64 {
    // Whichever way they are sorted, the middle is the same.
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(upper), 0) => f64::midpoint(sorted[middle - 1].1, upper.1),
        (Some(only), _) => only.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(amount: MeasuredAmount, lowest: bool) -> Vec<usize> {
        let tokens = MeasuredTokens {
            point: String::new(),
            measure: TokenMeasure::Norm,
            amount,
            lowest,
            among: Named::All,
            head: None,
        };
        let values = [1.0, 8.0, 2.0, 2.0, 3.0];
        let mut found = tokens.choose(values.into_iter().enumerate().collect());
        found.sort_unstable();
        found
    }

    #[test]
    fn of_equals_the_first_are_chosen() {
        assert_eq!(chosen(MeasuredAmount::Count(3), false), [1, 2, 4]);
        assert_eq!(chosen(MeasuredAmount::Count(2), true), [0, 2]);
        assert_eq!(chosen(MeasuredAmount::Count(9), false), [0, 1, 2, 3, 4]);
        assert_eq!(chosen(MeasuredAmount::Share(0.5), false), [1, 2, 4]);
    }

    #[test]
    fn bounds_belong_to_what_is_chosen() {
        assert_eq!(chosen(MeasuredAmount::AtLeast(3.0), false), [1, 4]);
        assert_eq!(chosen(MeasuredAmount::AtLeast(2.0), true), [0, 2, 3]);
        assert_eq!(chosen(MeasuredAmount::TimesMedian(4.0), false), [1]);
        assert_eq!(chosen(MeasuredAmount::TimesMedian(0.5), true), [0]);
    }

    #[test]
    fn a_row_of_zeros_is_like_none() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert!((cosine(&[3.0, 4.0], &[6.0, 8.0]) - 1.0).abs() < 1e-12);
    }
}
