//! Bounds the names of models among labels: a client that loads models under ever new names would let
//! the page of metrics grow without end.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use metrics::SharedString;

/// Names of models that are labels.
const MAX_MODELS: usize = 256;

static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Returns the label of a model: its name, or `other` where so many names came before.
pub fn model_label(name: &str) -> SharedString {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    label(&mut known, name)
}

fn label(known: &mut HashSet<String>, name: &str) -> SharedString {
    if !known.contains(name) {
        // Labels do not go away again: with more of them the page of metrics would grow without
        // end.
        if known.len() >= MAX_MODELS {
            return "other".into();
        }
        known.insert(name.to_owned());
    }
    name.to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_a_bound_share_a_label() {
        let mut known = HashSet::new();
        for i in 0..1000 {
            label(&mut known, &format!("model-{i}"));
        }
        assert_eq!(label(&mut known, "model-0"), "model-0".into());
        assert_eq!(label(&mut known, "model-999"), "other".into());
        assert_eq!(known.len(), MAX_MODELS);
    }
}
