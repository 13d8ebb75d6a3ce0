//! The names that reports have for the contract's spellings, in one table.

/// Values of the contract's enums by the names that people use for them.
const VALUES: [(&str, &str); 12] = [
    ("COLOUR_MEAN", "mean colour"),
    ("GEOMETRY_ABS_SCALED", "scaled by x"),
    ("GEOMETRY_GAUSSIAN", "Gaussian"),
    // The author's name, with his capital.
    ("GEOMETRY_KESKAR", "Keskar"),
    ("NAMED_BASE_VIEW", "base view"),
    ("NAMED_CLASS", "class token"),
    ("NAMED_LAST", "last token"),
    ("NAMED_NEWLINE", "newline vectors"),
    ("NAMED_SYSTEM", "system prompt"),
    ("NAMED_VISUAL", "visual tokens"),
    ("STACK_LANGUAGE_MODEL", "language model"),
    ("STACK_VISION_TOWER", "vision tower"),
];
/// The enums of the contract, by the beginning of their values.
const ENUMS: [&str; 9] = [
    "COLOUR_",
    "CONSTANT_",
    "FILL_",
    "GEOMETRY_",
    "MODE_",
    "NAMED_",
    "POSITIONS_",
    "SCOPE_",
    "STACK_",
];
/// Benchmarks, in the order of the paper's Table 1.
const BENCHMARKS: [(&str, &str); 11] = [
    ("mmvp", "MMVP"),
    ("qbench", "Q-Bench"),
    ("mme", "MME"),
    ("mmstar", "MMStar"),
    ("mmvet", "MM-Vet"),
    ("llavaw", "LLaVA-W"),
    ("mathvista", "MathVista"),
    ("sqa", "SQA-I"),
    ("chartqa", "ChartQA"),
    ("ai2d", "AI2D"),
    ("classification", "classes"),
];

/// Writes the values of the contract's enums as people call them: GEOMETRY_KESKAR becomes Keskar.
/// Files for programs keep them.
pub fn plain(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let (mut written, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((at, prefix)) = ENUMS
        .iter()
        .filter_map(|p| Some((rest.find(p)?, *p)))
        // The nearest one: several prefixes may stand in one line.
        .min()
    {
        let (before, found) = rest.split_at(at);
        let end = found.find(|c| !is_part(c)).unwrap_or(found.len());
        let (value, after) = found.split_at(end);
        written.push_str(before);
        // Part of a longer word: no value of an enum.
        if value == prefix || before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            written.push_str(value);
        } else {
            written.push_str(&value_name(value, prefix));
        }
        rest = after;
    }
    written + rest
}

/// Returns the name of a value: that of the table, or its own words.
fn value_name(value: &str, prefix: &str) -> String {
    let known = VALUES.iter().find(|(spelling, _)| *spelling == value);
    known.map_or_else(
        || value[prefix.len()..].to_lowercase().replace('_', " "),
        |(_, name)| (*name).to_owned(),
    )
}

/// Returns the name of a benchmark as its authors write it; others keep theirs.
pub fn benchmark_name(benchmark: &str) -> &str {
    let known = BENCHMARKS.iter().find(|(name, _)| *name == benchmark);
    known.map_or(benchmark, |(_, name)| name)
}

/// Returns the place of a benchmark in the paper's Table 1; others come last.
pub(super) fn benchmark_place(benchmark: &str) -> usize {
    let known = BENCHMARKS.iter().position(|(name, _)| *name == benchmark);
    known.unwrap_or(BENCHMARKS.len())
}

/// Returns where a hook point is, in words: `language_model.blocks.3.hook_resid_post` is language
/// model, layer 3.
///
/// Before a slash stands whose point it is, behind an @ which of its rows:
/// `dino/blocks.3.hook_resid_post@class` is dino, layer 3, class token.
pub fn hook_name(point: &str) -> String {
    if let Some((owner, point)) = point.rsplit_once('/') {
        return format!("{owner}, {}", hook_name(point));
    }
    if let Some((point, rows)) = point.split_once('@') {
        let rows = if rows == "class" { "class token" } else { rows };
        return format!("{}, {rows}", hook_name(point));
    }
    let mut words = Vec::new();
    let parts: Vec<&str> = point.split('.').collect();
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        match (*part, parts.get(at + 1)) {
            ("blocks", Some(layer)) if layer.parse::<usize>().is_ok() => {
                words.push(format!("layer {layer}"));
                at += 1;
            }
            // What a layer, or the projector, hands on: what people mean by its name alone.
            ("hook_resid_post" | "hook_out", _) => {}
            (other, _) => words.push(other.trim_start_matches("hook_").replace('_', " ")),
        }
        at += 1;
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_have_names() {
        for (spelling, name) in [
            (
                "a GEOMETRY_KESKAR, MODE_ and X_MODE_A, STACK_VISION_TOWER",
                "a Keskar, MODE_ and X_MODE_A, vision tower",
            ),
            ("GEOMETRY_ABS_SCALED", "scaled by x"),
            ("GEOMETRY_LITERAL, cell 1", "literal, cell 1"),
        ] {
            assert_eq!(plain(spelling), name);
        }
        for (point, name) in [
            (
                "language_model.blocks.10.hook_resid_post",
                "language model, layer 10",
            ),
            ("projector.hook_out", "projector"),
            ("olmo", "olmo"),
            (
                "dino-v1.5/blocks.3.hook_resid_post@class",
                "dino-v1.5, layer 3, class token",
            ),
            (
                "clip/blocks.0.hook_resid_post@patches",
                "clip, layer 0, patches",
            ),
            ("clip/embedding", "clip, embedding"),
        ] {
            assert_eq!(hook_name(point), name);
        }
        assert_eq!(
            (benchmark_name("qbench"), benchmark_name("shapes")),
            ("Q-Bench", "shapes")
        );
        assert!(benchmark_place("mmvp") < benchmark_place("shapes"));
    }
}
