//! Lists of names, in which `*` stands for any characters.

use std::fmt;
use std::str::FromStr;

/// Matches names against a list such as `shapes,llava-*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// Returns whether one of the patterns matches all of `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }
}

impl FromStr for Patterns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all: Vec<String> = text.split(',').map(|p| p.trim().to_owned()).collect();
        if all.iter().any(String::is_empty) {
            return Err("a name is empty; names with commas between are needed".into());
        }
        Ok(Self(all))
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Returns whether `pattern` stands for `name`: the parts between its stars follow each other there.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    // Cut off before the end is looked at, so that no letter counts for both.
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // A split has at least one part.
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The earliest place leaves most for the parts that follow.
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, is_match) in [
            ("shapes", "shapes", true),
            ("shapes", "shapes2", false),
            ("*", "", true),
            ("llava-*", "llava-1.5-7b", true),
            ("llava-*", "my-llava-1.5", false),
            ("*-7b", "llava-1.5-7b", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
        let list: Patterns = "shapes, llava-*".parse().unwrap();
        assert!(list.contains("shapes") && list.contains("llava-x") && !list.contains("x"));
        assert!("a,,b".parse::<Patterns>().is_err() && "".parse::<Patterns>().is_err());
    }
}
