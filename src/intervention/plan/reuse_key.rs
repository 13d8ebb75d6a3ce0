//! Keys of edits, by which two sequences are compared without running them: rows whose keys agree
//! are computed once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Plan;
use super::edit::Edit;
use super::prune::{Prune, Ranking};
use super::rows::Rows;
use crate::nn::{Point, Result, Site, Stack};

/// The identity of something that a plan does at one hook point.
#[derive(Debug, Clone)]
pub struct EditKey {
    /// BLAKE3 of the operation, its intervention and its point, without its rows.
    operation: blake3::Hash,
    /// The rows that it changes.
    rows: Arc<Rows>,
    /// The rows that it reads beside those.
    source_rows: Option<Arc<Rows>>,
    /// Set where a row depends on rows after it.
    non_causal: bool,
}

impl EditKey {
    /// Returns the key of an edit that writes rows of another run, which `origin` tells apart from
    /// all others. Known before that run is: the same origin means the same values.
    pub fn of_origin(origin: blake3::Hash, rows: Arc<Rows>) -> Self {
        Self {
            operation: origin,
            rows,
            // Nothing is read of this run: what is written comes from the other one.
            source_rows: None,
            non_causal: false,
        }
    }

    /// Returns BLAKE3 of all of it.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.operation.as_bytes());
        for rows in [Some(&self.rows), self.source_rows.as_ref()]
            .into_iter()
            .flatten()
        {
            rows.hash(&mut hasher);
        }
        hasher.finalize()
    }

    /// Reports whether a row depends on rows after it; the edit can then be done only to all rows
    /// at once.
    pub fn is_non_causal(&self) -> bool {
        self.non_causal
    }

    /// Returns the first token of the sequence that it changes or reads; `u32::MAX` for one that
    /// waits for generated tokens.
    pub fn first_token(&self) -> u32 {
        let source = self.source_rows.as_ref().map(|rows| first_token(rows));
        first_token(&self.rows).min(source.unwrap_or(u32::MAX))
    }

    /// Returns the first token of the sequence for which two edits differ.
    pub fn difference(&self, other: &Self) -> Option<u32> {
        let (source, others) = (self.source_rows.as_ref(), other.source_rows.as_ref());
        if self.operation != other.operation || source.is_some() != others.is_some() {
            // Other operations differ from the first row that either of them touches.
            return Some(self.first_token().min(other.first_token()));
        }
        // The same operation changes alike the rows that both choose.
        let rows = first_difference(&self.rows, &other.rows);
        let source = source.zip(others).and_then(|(a, b)| first_difference(a, b));
        rows.into_iter().chain(source).min()
    }
}

/// Returns the first token of the sequence that is in `rows`, or `u32::MAX`.
fn first_token(rows: &Rows) -> u32 {
    let first = rows.of_sequence().iter().position(|row| *row);
    first.map_or(u32::MAX, |token| token as u32)
}

/// Returns the first token of the sequence that is in one set alone. Prompts may differ in length;
/// tokens beyond the shorter one are not in its set.
fn first_difference(a: &Rows, b: &Rows) -> Option<u32> {
    let (a, b) = (a.of_sequence(), b.of_sequence());
    let holds = |rows: &[bool], token: usize| rows.get(token).copied().unwrap_or(false);
    (0..a.len().max(b.len()))
        .find(|&token| holds(a, token) != holds(b, token))
        .map(|token| token as u32)
}

/// The keys of all that a plan does at hook points, in order.
pub type EditKeys = BTreeMap<Point, Vec<EditKey>>;

impl Plan {
    /// Hashes all that it does at hook points.
    pub fn edit_keys(&self) -> Result<EditKeys> {
        let mut keys = EditKeys::new();
        for (&point, edits) in &self.edits {
            for edit in edits {
                keys.entry(point).or_default().push(edit.key(point)?);
            }
        }
        for (&layer, prune) in &self.prunes {
            // Tokens leave behind what the layer has written.
            let point = Point::at(Stack::LanguageModel, layer, Site::ResidPost);
            // Behind the edits there, which change the rows before some of them leave.
            keys.entry(point).or_default().push(prune.key(layer));
        }
        Ok(keys)
    }

    /// Reports whether rows are captured on the way; all of them are then computed.
    pub fn captures_rows(&self) -> bool {
        !self.captures.is_empty()
    }

    /// Reports whether rows of pictures are captured, in the tower or behind it; the pictures are
    /// then encoded for this plan alone.
    pub fn captures_pictures(&self) -> bool {
        self.captures
            .keys()
            .any(|point| point.stack != Stack::LanguageModel)
    }
}

impl Edit {
    fn key(&self, point: Point) -> Result<EditKey> {
        let mut hasher = blake3::Hasher::new();
        // The owner belongs to the key: its effects are logged under its number.
        let place = format!(
            "{} {point} {:?} {:?} ",
            self.owner, self.heads, self.dimensions
        );
        hasher.update(place.as_bytes());
        self.operation.hash(&mut hasher)?;
        Ok(EditKey {
            operation: hasher.finalize(),
            rows: self.rows.clone(),
            source_rows: self.operation.reads().cloned(),
            non_causal: !self.operation.is_causal(),
        })
    }
}

impl Prune {
    fn key(&self, layer: usize) -> EditKey {
        let tokens = self.visual();
        let what = format!(
            "prune {} {layer} {} {} {tokens:?}",
            self.owner, self.keep, self.leave
        );
        // It concerns the visual tokens from the first one on, whichever of them leave.
        let mut rows = vec![false; tokens.iter().max().map_or(0, |&t| t as usize + 1)];
        tokens.iter().for_each(|&t| rows[t as usize] = true);
        let source_rows = match &self.ranking {
            Ranking::Fixed(_) => None,
            Ranking::Received { from, .. } => Some(from.clone()),
        };
        EditKey {
            operation: blake3::hash(what.as_bytes()),
            // The prompt is picture 0, view 0 of the language model.
            rows: Arc::new(Rows::of_picture(0, rows)),
            source_rows,
            // A token stays or leaves by its rank among all of them.
            non_causal: true,
        }
    }
}
