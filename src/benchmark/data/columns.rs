//! The names that public tables give their columns. docs/benchmark-tables.md has them benchmark by
//! benchmark.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a column is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Tells a row from all others.
    Id,
    /// What is asked.
    Question,
    /// Pictures.
    Image,
    /// Options, all of them or one.
    Options,
    /// The right answer.
    Answer,
    /// What it tests.
    Category,
    /// What stands before the question.
    Hint,
    /// Rows that count together.
    Group,
    /// Kept under its own name, for rules that read it.
    Field,
    /// Left out, because the user said so.
    Ignored,
}

/// Roles that a user may give a column, with the names that the command line has for them.
const ROLES: [(Role, &str); 8] = [
    (Role::Id, "id"),
    (Role::Question, "question"),
    (Role::Image, "image"),
    (Role::Options, "options"),
    (Role::Answer, "answer"),
    (Role::Category, "category"),
    (Role::Hint, "hint"),
    (Role::Group, "group"),
];

/// By role the names that are known, in lower case with `_` for spaces; the first one that holds
/// something is taken.
const KNOWN: [(Role, &[&str]); 8] = [
    (
        Role::Id,
        &["index", "id", "pid", "question_id", "qid", "sample_id"],
    ),
    (Role::Question, &["question", "query", "prompt", "text"]),
    (
        Role::Image,
        &[
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
    (Role::Options, &["options", "choices", "option", "choice"]),
    (
        Role::Answer,
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
            "gpt_answer",
            "gpt4_ans",
            "reference",
        ],
    ),
    (Role::Category, &["category", "type", "capability"]),
    (Role::Hint, &["hint"]),
    (Role::Group, &["group"]),
];

/// Columns that are about an answer, a picture or options and are none.
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

/// Words in the name of a column that looks like what nothing else was taken for.
const LOOKS: [(Role, &[&str]); 3] = [
    (Role::Image, &["image", "img", "picture", "photo"]),
    (Role::Options, &["option", "choice", "candidate"]),
    (
        Role::Answer,
        &["answer", "label", "correct", "truth", "target"],
    ),
];

impl fmt::Display for Role {
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

impl Role {
    /// Reads the name that [`Role`] displays as.
    pub fn parse(name: &str) -> Result<Self, String> {
        let all = || ROLES.map(|(_, name)| name).join(", ");
        let found = ROLES.iter().find(|(_, known)| *known == name);
        found
            .map(|(role, _)| *role)
            .ok_or_else(|| format!("{name:?} is no part of a question; {} are", all()))
    }

    /// The names that are known for it, the most usual first.
    pub(super) fn names(self) -> &'static [&'static str] {
        KNOWN
            .iter()
            .find(|(role, _)| *role == self)
            .map_or(&[], |(_, names)| *names)
    }
}

/// Says how the columns of one file are read: by the benchmark's conventions, and by what the user
/// said.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// A benchmark, or nothing where it is not known.
    pub(super) benchmark: String,
    /// Columns by role, as the user gave them.
    pub(super) given: BTreeMap<Role, String>,
    /// Columns to be left out.
    pub(super) ignored: BTreeSet<String>,
}

impl Reading {
    /// Creates the reading of `rule`, `benchmark` or `benchmark/tool`; of nothing where it is
    /// empty.
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

    /// Takes `column` for `role`, or leaves columns with commas between them out where the role is
    /// `ignore`. Errors name the roles.
    pub fn give(&mut self, role: &str, column: &str) -> Result<(), String> {
        if role == "ignore" {
            self.ignored.extend(column.split(',').map(str::to_owned));
            return Ok(());
        }
        match self.given.insert(
            Role::parse(role).map_err(|e| format!("{e}, and ignore"))?,
            column.to_owned(),
        ) {
            Some(other) if other != column => Err(format!("{role} is {other:?} and {column:?}")),
            _ => Ok(()),
        }
    }

    /// Tells whether the benchmark asks about pictures, all questions of it.
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

/// `name` as [`KNOWN`] writes names.
pub(super) fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// The place of a column that holds one of several options, `A` or `option0`, or one of several
/// pictures, `image_1`.
pub(super) fn one_of(name: &str) -> Option<(Role, usize)> {
    if let [letter @ (b'A'..=b'Z' | b'a'..=b'h')] = name.trim().as_bytes() {
        return Some((
            Role::Options,
            usize::from(letter.to_ascii_uppercase() - b'A'),
        ));
    }
    let name = normal(name);
    let after = |starts: &[&str]| {
        starts
            .iter()
            .find_map(|s| name.strip_prefix(s))
            .map(|r| r.trim_start_matches('_').to_owned())
    };
    if let Some(place) =
        after(&["options", "option", "choices", "choice"]).and_then(|r| super::options::place(&r))
    {
        return Some((Role::Options, place));
    }
    let number = after(&["images", "image", "img", "picture"]).filter(|r| r.len() <= 3);
    number
        .and_then(|r| r.parse().ok())
        .map(|place| (Role::Image, place))
}

/// What a column looks like by its name.
pub(super) fn looks_like(name: &str) -> Option<Role> {
    let name = normal(name);
    if BESIDE.contains(&name.as_str()) {
        return None;
    }
    LOOKS
        .iter()
        .find(|(_, words)| words.iter().any(|w| name.contains(w)))
        .map(|(role, _)| *role)
}
