//! Sets of rows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::intervention::plan::resolution::Resolution;
use crate::nn::Span;

/// A set of rows of a tensor: tokens of pictures and views, or of a sequence (picture 0, view 0)
/// with what it generates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Tokens by picture and view.
    pub(crate) views: BTreeMap<(usize, usize), Vec<bool>>,
    /// Steps whose generated token belongs to it.
    pub(crate) generated: Option<RangeInclusive<u32>>,
}

impl Rows {
    /// Holds rows of one picture's visual tokens.
    pub(crate) fn of_picture(image: usize, rows: Vec<bool>) -> Self {
        Self {
            views: [((image, 0), rows)].into_iter().collect(),
            generated: None,
        }
    }

    /// Reports whether token `token` of that picture and view, or of the sequence, belongs to it.
    pub fn holds(&self, view: (usize, usize), token: u32) -> bool {
        let prompt = self.views.get(&view);
        let length = prompt.map_or(0, Vec::len) as u32;
        match prompt.and_then(|rows| rows.get(token as usize)) {
            Some(&row) => row,
            // The first token after the prompt is that of step 1.
            None => self
                .generated
                .as_ref()
                .is_some_and(|steps| steps.contains(&(token - length + 1))),
        }
    }

    /// Returns the rows of `span` that belong to it, counted within the span.
    pub fn of(&self, span: &Span) -> Vec<u32> {
        self.places(span, &span.tokens)
    }

    /// Returns the places in `tokens` of the tokens of `span` that belong to it.
    pub(crate) fn places(&self, span: &Span, tokens: &[u32]) -> Vec<u32> {
        let view = (span.image, span.view);
        (0..)
            .zip(tokens)
            .filter(|(_, token)| self.holds(view, **token))
            .map(|(i, _)| i)
            .collect()
    }

    /// Returns how many rows of the prompt and the pictures belong to it.
    pub fn count(&self) -> usize {
        self.views.values().flatten().filter(|row| **row).count()
    }

    /// Returns all rows of the same views.
    pub(crate) fn of_whole_prompt(&self) -> Self {
        let views = self.views.iter();
        Self {
            views: views
                .map(|(view, rows)| (*view, vec![true; rows.len()]))
                .collect(),
            generated: None,
        }
    }

    /// Returns it without the tokens before `first`.
    pub(crate) fn without_before(mut self, first: usize) -> Self {
        for rows in self.views.values_mut() {
            let end = first.min(rows.len());
            rows[..end].fill(false);
        }
        self
    }

    /// Reports whether it has no rows, now or later.
    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.generated.is_none()
    }

    /// Returns it without generated tokens.
    pub(crate) fn of_prompt(&self) -> Self {
        Self {
            views: self.views.clone(),
            generated: None,
        }
    }

    /// Returns the number of a row among all that belong to it, in ascending order.
    pub(crate) fn rank(&self, view: (usize, usize), token: u32) -> usize {
        let before: usize = self
            .views
            // Views in ascending order, as the rows of values are given: picture by picture, view
            // by view.
            .range(..view)
            .map(|(_, rows)| rows.iter().filter(|row| **row).count())
            .sum();
        let own = self.views.get(&view).map_or(0, |rows| {
            rows[..token as usize].iter().filter(|row| **row).count()
        });
        before + own
    }

    /// Returns the rows of the sequence's prompt.
    pub(crate) fn of_sequence(&self) -> &[bool] {
        self.views.get(&(0, 0)).map_or(&[], Vec::as_slice)
    }

    /// Returns its rows as what an intervention resolved to, one resolution for each view.
    pub(crate) fn resolutions(&self, points: &[String]) -> Vec<Resolution> {
        self.views
            .iter()
            .map(|(&(image, view), rows)| Resolution {
                image,
                view,
                indices: indices(rows),
                digest: String::new(),
                points: points.to_vec(),
            })
            .collect()
    }

    /// Feeds all of it to `hasher`.
    pub(crate) fn hash(&self, hasher: &mut blake3::Hasher) {
        // With their lengths, so that no two lists of views read as the same bytes.
        for (view, rows) in &self.views {
            for number in [view.0, view.1, rows.len()] {
                hasher.update(&(number as u64).to_le_bytes());
            }
            hasher.update(&rows.iter().map(|&row| u8::from(row)).collect::<Vec<_>>());
        }
        hasher.update(format!("{:?}", self.generated).as_bytes());
    }
}

/// Returns the numbers of the rows that are set.
pub(crate) fn indices(rows: &[bool]) -> Vec<u32> {
    (0..)
        .zip(rows)
        .filter(|(_, set)| **set)
        .map(|(i, _)| i)
        .collect()
}
