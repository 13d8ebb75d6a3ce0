//! The table of rule sets: of every benchmark how a question is put, how an answer is read and what is reported, as a public tool has
//! it. Where tools differ, each has a row.

use super::read;
use super::summary::{self, Metric, Outcome};
use super::{Item, Verdict};

/// How one tool runs one benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Of the benchmark.
    pub benchmark: &'static str,
    /// Whose rules these are.
    pub tool: &'static str,
    /// What the tool does, in a sentence.
    pub about: &'static str,
    /// What the user says.
    pub prompt: fn(&Item) -> String,
    /// The answer in what the model wrote, or `None` where there is none.
    pub read: fn(&Item, &str) -> Option<String>,
    /// Whether an answer is right.
    pub judge: fn(&Item, &str) -> Verdict,
    /// What counts together with an item, empty where it counts by itself; `None` where the rule needs to know and cannot.
    pub group: fn(&Item) -> Option<String>,
    /// What all outcomes come to.
    pub summarise: fn(&[Outcome]) -> Vec<Metric>,
    /// Tokens that an answer may have.
    pub max_tokens: u32,
    /// Whether a test holds its verdicts against the tool's own code.
    pub compared: bool,
}

impl Rule {
    /// What is read from `text`, and what it is worth.
    pub fn score(&self, item: &Item, text: &str) -> (Option<String>, Verdict) {
        match (self.read)(item, text) {
            Some(answer) => {
                let verdict = (self.judge)(item, &answer);
                (Some(answer), verdict)
            }
            None => (None, Verdict::Unparsed),
        }
    }

    /// `benchmark/tool`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.benchmark, self.tool)
    }
}

const MMVP: Rule = Rule {
    benchmark: "mmvp",
    tool: "lmms-eval",
    about: "A or B by a list of patterns; a pair counts where both are right",
    prompt: lettered,
    read: read::pair_letter,
    judge: same_letter,
    group: pair,
    summarise: summary::pairs,
    max_tokens: 16,
    compared: true,
};

const QBENCH: Rule = Rule {
    benchmark: "qbench",
    tool: "lmms-eval",
    about: "MMMU's reader; where the tool draws a letter the answer is unparsed",
    prompt: lettered,
    read: read::mmmu_letter,
    judge: same_letter,
    group: by_column,
    summarise: summary::accuracy,
    max_tokens: 32,
    compared: true,
};

const MMSTAR: Rule = Rule {
    benchmark: "mmstar",
    tool: "lmms-eval",
    about: "a ranking of places where a letter may stand; the tool's average is over its 18 axes, this accuracy over all items",
    prompt: lettered,
    read: read::ranked_letter,
    judge: same_letter,
    group: by_column,
    summarise: summary::accuracy,
    max_tokens: 16,
    compared: true,
};

const SQA: Rule = Rule {
    benchmark: "sqa",
    tool: "lmms-eval",
    about: "the letter alone, or \"X.\" first",
    prompt: with_context,
    read: read::bare_letter,
    judge: same_letter,
    group: by_column,
    summarise: summary::accuracy,
    max_tokens: 16,
    compared: true,
};

const AI2D: Rule = Rule {
    benchmark: "ai2d",
    tool: "lmms-eval",
    about: "\"X.\" first, else the whole answer, case and punctuation aside",
    prompt: lettered,
    read: read::leading_letter,
    judge: same_letter,
    group: by_column,
    summarise: summary::accuracy,
    max_tokens: 16,
    compared: true,
};

/// Of each benchmark the first row is what it is run by where nothing else is said.
pub const RULES: &[Rule] = &[
    MMVP,
    Rule { tool: "vlmevalkit", about: INFERRED, read: read::inferred_letter, compared: false, ..MMVP },
    QBENCH,
    Rule { tool: "vlmevalkit", about: INFERRED, read: read::inferred_letter, compared: false, ..QBENCH },
    Rule {
        benchmark: "mme",
        tool: "lmms-eval",
        about: "yes or no within the first four characters; of each subtask accuracy and accuracy by picture, in points",
        prompt: asked,
        read: read::yes_no,
        judge: same_word,
        group: by_picture,
        summarise: summary::mme,
        max_tokens: 16,
        compared: true,
    },
    MMSTAR,
    Rule { tool: "vlmevalkit", about: INFERRED, read: read::inferred_letter, compared: false, ..MMSTAR },
    Rule {
        benchmark: "mmvet",
        tool: "lmms-eval",
        about: "a judge grades from 0 to 1 in tenths; without one answers are unjudged",
        prompt: plain,
        read: read::whole,
        judge: by_judge,
        group: by_column,
        summarise: summary::grades,
        max_tokens: 1024,
        compared: false,
    },
    Rule {
        benchmark: "llavaw",
        tool: "lmms-eval",
        about: "a judge rates the answer and GPT-4's from 1 to 10; the ratio of the sums",
        prompt: plain,
        read: read::whole,
        judge: by_judge,
        group: by_column,
        summarise: summary::grades,
        max_tokens: 1024,
        compared: false,
    },
    Rule {
        benchmark: "mathvista",
        tool: "lmms-eval",
        about: "normalised as the tool does; what the tool leaves to a judge is read by rule: a letter, or the last number",
        prompt: math,
        read: read::math,
        judge: same_text,
        group: by_column,
        summarise: summary::accuracy,
        max_tokens: 512,
        compared: true,
    },
    SQA,
    Rule {
        tool: "llava",
        about: "the letter alone, \"X. \" first, or \"The answer is X.\" once",
        read: read::llava_letter,
        compared: false,
        ..SQA
    },
    Rule { tool: "vlmevalkit", about: INFERRED, read: read::inferred_letter, compared: false, ..SQA },
    Rule {
        benchmark: "chartqa",
        tool: "lmms-eval",
        about: "numbers within 5 %, words the same but for case; categories tell human and augmented questions apart",
        prompt: one_word,
        read: read::whole,
        judge: relaxed,
        group: by_column,
        summarise: summary::accuracy,
        max_tokens: 16,
        compared: true,
    },
    AI2D,
    Rule { tool: "vlmevalkit", about: INFERRED, read: read::inferred_letter, compared: false, ..AI2D },
    Rule {
        benchmark: "shapes",
        tool: "scotoma",
        about: "a letter first, or the whole answer",
        prompt: short,
        read: read::short,
        judge: same_text,
        group: by_column,
        summarise: summary::accuracy,
        max_tokens: 16,
        compared: false,
    },
    CUSTOM,
    Rule {
        tool: "yes-no",
        about: "yes or no within the first four characters",
        read: read::yes_no,
        judge: same_word,
        ..CUSTOM
    },
    Rule { tool: "short", about: "a letter first, or the whole answer", read: read::short, judge: same_text, ..CUSTOM },
    Rule {
        tool: "relaxed",
        about: "a number within 5 %, or the same words",
        read: read::whole,
        judge: relaxed,
        ..CUSTOM
    },
];

const INFERRED: &str = "one option's letter among the last words, or one option's words";

/// A rule for questions that are put by a template of the client's.
const CUSTOM: Rule = Rule {
    benchmark: "custom",
    tool: "letter",
    about: "a letter, by a ranking of places where it may stand",
    prompt: plain,
    read: read::choice_letter,
    judge: same_letter,
    group: by_column,
    summarise: summary::accuracy,
    max_tokens: 64,
    compared: false,
};

/// The rules of `benchmark`, or `benchmark/tool`.
pub fn rule(name: &str) -> Option<&'static Rule> {
    let (benchmark, tool) = name.split_once('/').unwrap_or((name, ""));
    RULES.iter().find(|r| r.benchmark == benchmark && (tool.is_empty() || r.tool == tool))
}

fn by_letter(item: &Item, before: &str) -> String {
    format!(
        "{before}{}\n{}\nAnswer with the option's letter from the given choices directly.",
        item.question,
        item.listed()
    )
}

fn lettered(item: &Item) -> String {
    if item.options.is_empty() {
        return format!("{}\nAnswer with the option's letter from the given choices directly.", item.question.trim());
    }
    by_letter(item, "")
}

fn with_context(item: &Item) -> String {
    let before = if item.hint.is_empty() { String::new() } else { format!("Context: {}\n", item.hint) };
    by_letter(item, &before)
}

fn asked(item: &Item) -> String {
    let question = item.question.trim().replace(" Please answer yes or no.", "");
    format!("{question}\nAnswer the question using a single word or phrase.")
}

fn plain(item: &Item) -> String {
    item.question.clone()
}

fn one_word(item: &Item) -> String {
    format!("{}\nAnswer the question with a single word.", item.question)
}

/// lmms-eval's "format-prompt".
fn math(item: &Item) -> String {
    let unit = item.field("unit");
    let mut lines =
        vec![if unit.is_empty() { item.question.clone() } else { format!("{} (Unit: {unit})", item.question) }];
    if item.options.is_empty() {
        lines.push(match (item.field("answer_type"), item.field("precision")) {
            ("integer", _) => "Answer the question using a single integer number.".into(),
            ("float", "1" | "1.0") => {
                "Answer the question using a single floating-point number with one decimal place.".into()
            }
            ("float", _) => "Answer the question using a single floating-point number with two decimal places.".into(),
            _ => "Answer the question using a Python list.".into(),
        });
    } else {
        lines.push(item.listed());
        lines.push("Answer with the option's letter from the given choices directly.".into());
    }
    lines.join("\n")
}

fn short(item: &Item) -> String {
    if item.options.is_empty() {
        return item.question.clone();
    }
    format!("{}\n{}\nAnswer with the letter.", item.question, item.listed())
}

#[expect(clippy::unnecessary_wraps, reason = "one way to group among others")]
fn by_column(item: &Item) -> Option<String> {
    Some(item.group.clone())
}

/// MMVP numbers its items from 1, and two that follow each other are a pair.
fn pair(item: &Item) -> Option<String> {
    let numbered = || item.id.parse::<u64>().ok()?.checked_sub(1).map(|number| format!("pair {}", number / 2));
    Some(item.group.clone()).filter(|g| !g.is_empty()).or_else(numbered)
}

/// The picture, as lmms-eval (`question_id`) or VLMEvalKit (`image_path`) names it.
fn by_picture(item: &Item) -> Option<String> {
    let columns = [item.group.as_str(), item.field("question_id"), item.field("image_path")];
    columns.into_iter().find(|name| !name.is_empty()).map(String::from)
}

fn verdict(right: bool) -> Verdict {
    if right { Verdict::Right } else { Verdict::Wrong }
}

fn same_letter(item: &Item, said: &str) -> Verdict {
    verdict(said.eq_ignore_ascii_case(item.answer.trim().trim_matches(['(', ')'])))
}

fn same_word(item: &Item, said: &str) -> Verdict {
    verdict(said == item.answer.to_lowercase().trim().replace('.', ""))
}

fn same_text(item: &Item, said: &str) -> Verdict {
    // Of questions with options the answer is a letter in a table, an option's words where tools compare these.
    let letter = item.answer.chars().next().filter(|_| item.answer.chars().count() == 1);
    let words = letter.and_then(|l| item.option(l));
    verdict(read::strip(said) == read::strip(&item.answer) || words.is_some_and(|w| w == said))
}

fn relaxed(item: &Item, said: &str) -> Verdict {
    verdict(read::relaxed(said, &item.answer))
}

fn by_judge(_: &Item, _: &str) -> Verdict {
    Verdict::Unjudged
}
