//! The items that are compared, which each encoder and reader goes through by itself.

use std::path::PathBuf;

use crate::benchmark::data::ItemReader;
use crate::benchmark::{self, Item, fill};
use crate::cli::benchmark_run::Items;
use crate::cli::error::Failure;

/// Ids and texts of items, as they are read from a file.
pub(super) type Texts = Box<dyn Iterator<Item = Result<(String, String), benchmark::Error>> + Send>;

/// The items that are compared.
#[derive(Debug, Clone)]
pub(super) struct ItemSource {
    /// A file; the embedded benchmark where there is none.
    pub(super) data: Option<PathBuf>,
    /// Items at most; 0 is all.
    pub(super) limit: usize,
    /// Text of an item, with the names of its columns in braces.
    pub(super) text: String,
}

impl ItemSource {
    /// Reads the items that have a picture, from the first one.
    pub(super) fn items(&self) -> Result<Items, Failure> {
        let items: Items = match &self.data {
            Some(path) => Box::new(ItemReader::open(path)?),
            None => Box::new(benchmark::shapes()?.into_iter().map(Ok)),
        };
        let limit = if self.limit > 0 {
            self.limit
        } else {
            usize::MAX
        };
        Ok(Box::new(items.filter(has_picture).take(limit)))
    }

    /// Returns the ids and texts of the items.
    pub(super) fn texts(&self) -> Result<Texts, Failure> {
        let source = self.clone();
        Ok(Box::new(self.items()?.map(move |item| {
            let item = item?;
            Ok((item.id.clone(), source.text_of(&item)))
        })))
    }

    /// Returns the text of an item.
    pub(super) fn text_of(&self, item: &Item) -> String {
        let own = [
            ("question", item.question.as_str()),
            ("answer", &item.answer),
            ("hint", &item.hint),
        ];
        let others = item
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let values: Vec<(&str, &str)> = own.into_iter().chain(others).collect();
        fill(&self.text, &values)
    }
}

/// Tells whether an item has a picture; rows that cannot be read pass, and fail later.
fn has_picture(item: &Result<Item, benchmark::Error>) -> bool {
    // An error goes on, to whoever tells it.
    item.as_ref().map_or(true, |item| !item.images.is_empty())
}
