//! Paths of fields in requests, as errors name them. The lowest layer: every folder may import it.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Characters of input that an error repeats.
const MOST_SHOWN: usize = 200;

/// Quotes what a client has sent, as errors repeat it: escaped, and cut where it is long.
pub fn shown(text: &str) -> impl fmt::Display + '_ {
    Shown(text)
}

struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By characters: a cut may not fall into the middle of one.
        match self.0.char_indices().nth(MOST_SHOWN) {
            // Debug escapes what a log or a terminal would take for the end of a line.
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => {
                let count = self.0.chars().count();
                write!(f, "{:?}... ({count} characters)", &self.0[..end])
            }
        }
    }
}

/// Deserializes the value of `field`, which is empty for a whole document. An error is the path of
/// the place inside it, and what is wrong there.
pub fn deserialize<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        let path = match inner.as_str() {
            // serde_path_to_error calls the value itself so.
            "." => field.to_owned(),
            inner if field.is_empty() => inner.to_owned(),
            // An element of the field: `stop[1]`, not `stop.[1]`.
            inner if inner.starts_with('[') => format!("{field}{inner}"),
            inner => format!("{field}.{inner}"),
        };
        (path, error.into_inner().to_string())
    })
}

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A field of a message, in the contract's spelling.
    Name(Cow<'static, str>),
    /// An element of a repeated field.
    Index(usize),
}

/// Names a field of a request, such as `prompt.images[0].data`.
///
/// Made from literals: `"prompt.text".into()` parses the text into segments, so that an outer
/// message can put its own name in front with [`FieldPath::within`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// Parses a path that a client wrote; `None` unless names and `[index]` follow the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in text.split('.') {
            // `images[0]` is `images` and `0]`.
            let mut pieces = part.split('[');
            let name = pieces.next().filter(|name| !name.is_empty())?;
            segments.push(Segment::Name(name.to_owned().into()));
            for index in pieces {
                segments.push(Segment::Index(index.strip_suffix(']')?.parse().ok()?));
            }
        }
        Some(Self(segments))
    }

    /// Returns the steps, outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Reports whether the path names no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `outer` in front.
    pub fn push_front(&mut self, outer: impl Into<Self>) {
        self.0.splice(0..0, outer.into().0);
    }

    /// Returns the path below `outer`.
    #[must_use]
    pub fn within(mut self, outer: impl Into<Self>) -> Self {
        self.push_front(outer);
        self
    }

    /// Returns the path of `inner`, a field of this one.
    #[must_use]
    pub fn join(mut self, inner: impl Into<Self>) -> Self {
        self.0.extend(inner.into().0);
        self
    }

    /// Returns the path of element `index` of this repeated field.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// Adds `by` to the index that follows the leading name `list`: an element is told by its place
    /// in a longer list.
    pub fn shift(&mut self, list: &str, by: usize) {
        // Below another name an index is of another list.
        if let [Segment::Name(name), Segment::Index(index), ..] = &mut self.0[..]
            && name == list
        {
            *index += by;
        }
    }

    /// Replaces the leading segments `from` with `to`; leaves a path that begins otherwise alone.
    pub fn rebase(&mut self, from: &Self, to: &Self) {
        if self.0.starts_with(&from.0) {
            self.0.splice(..from.0.len(), to.0.iter().cloned());
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(name) if i == 0 => f.write_str(name)?,
                Segment::Name(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl From<&str> for FieldPath {
    /// Parses a path; text outside the grammar becomes one name, so that nothing of it is lost.
    fn from(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        // A text that is no path is shown as it is.
        Self::parse(text).unwrap_or_else(|| Self(vec![Segment::Name(text.to_owned().into())]))
    }
}

impl From<String> for FieldPath {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for FieldPath {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&FieldPath> for FieldPath {
    fn from(path: &FieldPath) -> Self {
        path.clone()
    }
}

/// A field whose value is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// The field.
    pub field: FieldPath,
    /// The limit, and what would be valid.
    pub message: String,
}

impl InvalidField {
    /// Says that the value of `field` is invalid because of `message`.
    pub fn new(field: impl Into<FieldPath>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_they_were_read() {
        for text in ["prompt", "prompt.images[0].data", "a[1][2].b", "odd[x]", ""] {
            assert_eq!(FieldPath::from(text).to_string(), text);
        }
        assert!(FieldPath::parse("odd[x]").is_none() && FieldPath::parse("..").is_none());
    }

    #[test]
    fn an_outer_message_puts_its_name_in_front() {
        let path = FieldPath::from("images[0].data").within("prompt");
        assert_eq!(path.to_string(), "prompt.images[0].data");
        assert_eq!(FieldPath::from("stop").index(3).to_string(), "stop[3]");
        let mut path = path.join("more");
        path.rebase(&"prompt".into(), &"sample".into());
        assert_eq!(path.to_string(), "sample.images[0].data.more");
        let mut nth = FieldPath::from("interventions[1].scale");
        nth.shift("interventions", 2);
        nth.shift("other", 2);
        assert_eq!(nth.to_string(), "interventions[3].scale");
        path.rebase(&"samp".into(), &"x".into());
        assert_eq!(path.to_string(), "sample.images[0].data.more");
    }
}
