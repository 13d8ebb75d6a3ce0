//! Names of columns in public tables. docs/benchmark-tables.md lists them benchmark by benchmark.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The role of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnRole {
    /// The id, which no other row has.
    Id,
    /// The question.
    Question,
    /// Pictures.
    Image,
    /// Options, all of them or one.
    Options,
    /// The right answer.
    Answer,
    /// The category.
    Category,
    /// A text before the question.
    Hint,
    /// Rows that count together.
    Group,
    /// A column kept under its own name, for rules that read it.
    Field,
    /// A column that the user leaves out.
    Ignored,
}

/// Roles that a user may give a column, with their names on the command line.
const ROLES: [(ColumnRole, &str); 8] = [
    (ColumnRole::Id, "id"),
    (ColumnRole::Question, "question"),
    (ColumnRole::Image, "image"),
    (ColumnRole::Options, "options"),
    (ColumnRole::Answer, "answer"),
    (ColumnRole::Category, "category"),
    (ColumnRole::Hint, "hint"),
    (ColumnRole::Group, "group"),
];

/// Known names by role, in lower case with `_` for spaces. The first one that holds something is
/// taken.
const KNOWN: [(ColumnRole, &[&str]); 8] = [
    (
        ColumnRole::Id,
        &["index", "id", "pid", "question_id", "qid", "sample_id"],
    ),
    (
        ColumnRole::Question,
        &["question", "query", "prompt", "text"],
    ),
    (
        ColumnRole::Image,
        &[
            // MathVista's `image` is a path, and this one the picture itself.
            "decoded_image",
            "image",
            "images",
            "img",
            "picture",
            "pictures",
            "image_bytes",
            "image_base64",
            "image_path",
            "image_paths",
            "img_path",
            "image_file",
            "file_name",
            "filename",
        ],
    ),
    (
        ColumnRole::Options,
        &["options", "choices", "option", "choice"],
    ),
    (
        ColumnRole::Answer,
        &[
            "answer",
            "answers",
            "correct_answer",
            "correct_choice",
            "correct_option",
            "label",
            "ground_truth",
            "gt_answer",
            "gt",
            "target",
            // LLaVA-Bench's reference, which a judge rates beside the model's answer.
            "gpt_answer",
            "gpt4_ans",
            "reference",
        ],
    ),
    (ColumnRole::Category, &["category", "type", "capability"]),
    (ColumnRole::Hint, &["hint"]),
    (ColumnRole::Group, &["group"]),
];

/// Columns about answers, pictures or options that hold none.
const BESIDE: &[&str] = &[
    "answer_type",
    "question_type",
    "image_id",
    "image_source",
    "imagesource",
    "image_type",
    "image_size",
    "image_width",
    "image_height",
    "num_images",
    "num_options",
    "num_choices",
    "image_class",
    "answer_unit",
    "answer_explanation",
];

/// Words in the name of a column by which it looks like one of these roles.
const LOOKS: [(ColumnRole, &[&str]); 3] = [
    (ColumnRole::Image, &["image", "img", "picture", "photo"]),
    (ColumnRole::Options, &["option", "choice", "candidate"]),
    (
        ColumnRole::Answer,
        &["answer", "label", "correct", "truth", "target", "gold"],
    ),
];

impl fmt::Display for ColumnRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = ROLES
            .iter()
            .find(|(role, _)| role == self)
            .map(|(_, name)| *name);
        f.write_str(own.unwrap_or(if *self == Self::Field {
            "a field"
        } else {
            "ignored"
        }))
    }
}

impl ColumnRole {
    /// Parses a role's name on the command line.
    pub fn parse(name: &str) -> Result<Self, String> {
        let all = || ROLES.map(|(_, name)| name).join(", ");
        let found = ROLES.iter().find(|(_, known)| *known == name);
        found
            .map(|(role, _)| *role)
            .ok_or_else(|| format!("{name:?} is no part of a question; {} are", all()))
    }

    /// Returns the rank of a column among the role's known names, if it is one.
    pub(super) fn rank(self, column: &str) -> Option<usize> {
        let column = normal(column);
        self.names().iter().position(|known| *known == column)
    }

    /// Returns its known names, the most usual first.
    pub(super) fn names(self) -> &'static [&'static str] {
        KNOWN
            .iter()
            .find(|(role, _)| *role == self)
            .map_or(&[], |(_, names)| *names)
    }
}

/// The mapping of one file's columns: the benchmark's conventions, and what the user says.
#[derive(Debug, Clone, Default)]
pub struct ColumnMapping {
    /// The benchmark, empty if it is not known.
    pub(super) benchmark: String,
    /// Columns by role that the user assigns.
    pub(super) given: BTreeMap<ColumnRole, String>,
    /// Columns to leave out.
    pub(super) ignored: BTreeSet<String>,
}

impl ColumnMapping {
    /// Creates the mapping of `rule`, which is `benchmark`, `benchmark/tool`, or empty.
    pub fn of(rule: &str) -> Self {
        let benchmark = rule
            .split_once('/')
            .map_or(rule, |(benchmark, _)| benchmark)
            .to_owned();
        Self {
            benchmark,
            ..Self::default()
        }
    }

    /// Assigns `column` to `role`; the role `ignore` leaves out columns, with commas between them.
    /// Errors name the roles.
    pub fn give(&mut self, role: &str, column: &str) -> Result<(), String> {
        if role == "ignore" {
            self.ignored.extend(column.split(',').map(str::to_owned));
            return Ok(());
        }
        match self.given.insert(
            ColumnRole::parse(role).map_err(|e| format!("{e}, and ignore"))?,
            column.to_owned(),
        ) {
            Some(other) if other != column => Err(format!("{role} is {other:?} and {column:?}")),
            _ => Ok(()),
        }
    }

    /// Tells whether every question of the benchmark is about a picture.
    pub(super) fn needs_picture(&self) -> bool {
        let all = [
            "mmvp",
            "qbench",
            "mme",
            "mmstar",
            "mmvet",
            "llavaw",
            "mathvista",
            "chartqa",
            "ai2d",
        ];
        all.contains(&self.benchmark.as_str())
    }
}

/// Writes `name` as [`KNOWN`] does.
pub(super) fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Returns the role and index of a column that holds one of several options, `A` or `option0`, or one
/// of several pictures, `image_1`.
pub(super) fn one_of(name: &str) -> Option<(ColumnRole, usize)> {
    if let [letter @ (b'A'..=b'Z' | b'a'..=b'h')] = name.trim().as_bytes() {
        return Some((
            ColumnRole::Options,
            usize::from(letter.to_ascii_uppercase() - b'A'),
        ));
    }
    let name = normal(name);
    let option = after_word(&name, &["options", "option", "choices", "choice"]);
    if let Some(place) = option.and_then(super::options::place) {
        return Some((ColumnRole::Options, place));
    }
    let number = after_word(&name, &["images", "image", "img", "picture"])?;
    // A longer number is a date or an id, not the place of a picture.
    if number.len() > 3 {
        return None;
    }
    Some((ColumnRole::Image, number.parse().ok()?))
}

/// Returns what follows the first of `words` that begins `name`, and underscores.
fn after_word<'a>(name: &'a str, words: &[&str]) -> Option<&'a str> {
    let rest = words.iter().find_map(|word| name.strip_prefix(word))?;
    Some(rest.trim_start_matches('_'))
}

/// Returns the role that a column has by the look of its name.
pub(super) fn looks_like(name: &str) -> Option<ColumnRole> {
    let name = normal(name);
    if BESIDE.contains(&name.as_str()) {
        return None;
    }
    LOOKS
        .iter()
        // Anywhere in the name: better to ask about `final_answer_v2` than to drop it.
        .find(|(_, words)| words.iter().any(|w| name.contains(w)))
        .map(|(role, _)| *role)
}
