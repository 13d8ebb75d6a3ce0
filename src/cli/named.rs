//! Options that give names: each name stands for one thing.

/// Parses each of `texts`, such as `NAME=FOLDER`, into a name and what it stands for.
pub(super) fn once_each<T>(
    flag: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<(String, T), String>,
) -> Result<Vec<(String, T)>, String> {
    let mut found: Vec<(String, T)> = Vec::with_capacity(texts.len());
    for text in texts {
        let (name, thing) = parse(text).map_err(|error| format!("{flag} {text}: {error}"))?;
        if found.iter().any(|(other, _)| *other == name) {
            return Err(format!("{flag} {text}: {name} is named twice"));
        }
        found.push((name, thing));
    }
    Ok(found)
}
