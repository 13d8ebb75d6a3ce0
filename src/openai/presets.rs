//! Presets: lists of interventions under a name, for tools whose requests cannot carry any.

use std::path::Path;

use serde_json::Value;

use crate::api::interventions_from_json;

/// Lists presets by name. A model NAME is served once more as `NAME:PRESET` for each.
#[derive(Debug, Clone, Default)]
pub struct Presets(Vec<(String, Vec<Value>)>);

impl Presets {
    /// Adds `NAME=JSON` or `NAME=FILE`: a list of interventions in canonical JSON. A seed that it
    /// leaves open is drawn anew for each request.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (name, rest) = text
            .split_once('=')
            .ok_or("NAME=JSON or NAME=FILE is needed")?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_word) {
            return Err(format!(
                "{name:?}: a name has 1 to 64 letters, digits, '-', '_' and '.'"
            ));
        }
        if self.get(name).is_some() {
            return Err(format!("{name} is there twice"));
        }
        let json = if rest.trim_start().starts_with('[') {
            rest.to_owned()
        } else {
            let file = Path::new(rest);
            std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?
        };
        let list: Value = serde_json::from_str(&json).map_err(|e| format!("{name}: {e}"))?;
        // What does not convert would fail each request.
        interventions_from_json(&list).map_err(|e| format!("{name}: {e}"))?;
        match list {
            Value::Array(list) => {
                self.0.push((name.to_owned(), list));
                Ok(())
            }
            _ => Err(format!("{name}: a list of interventions is needed")),
        }
    }

    /// Returns the interventions of a preset.
    pub(super) fn get(&self, name: &str) -> Option<&[Value]> {
        let mut found = self.0.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, list)| list.as_slice())
    }

    /// Returns all names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_checked_when_they_are_named() {
        let mut presets = Presets::default();
        presets
            .add(r#"permuted=[{"permuteTokens":{"seed":"1"}}]"#)
            .unwrap();
        assert_eq!(presets.get("permuted").map(<[Value]>::len), Some(1));
        for (wrong, says) in [
            ("permuted=[]", "twice"),
            ("no-equals", "NAME=JSON"),
            ("a:b=[]", "letters"),
            ("x={}", "x={}"),
            (r#"y=[{"permuteToken":{}}]"#, "permuteToken"),
            ("z=missing.json", "missing.json"),
        ] {
            let error = presets.add(wrong).unwrap_err();
            assert!(
                error.contains(says) || wrong.starts_with(says),
                "{wrong}: {error}"
            );
        }
    }
}
