//! The table of rule sets: of every benchmark how a question is put, how an answer is read and what
//! is reported, as a public tool has it. Where tools differ, each has a row.

use super::data::MAX_OPTIONS;
use super::extract;
use super::judge::Task;
use super::metrics::{self, Metric, Outcome};
use super::{Item, Verdict};

/// Options that have letters.
const LETTERS: usize = 26;

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
    pub compare: fn(&Item, &str) -> Verdict,
    /// What a judge is asked where there is one.
    pub task: Option<Task>,
    /// What counts together with an item, empty where it counts by itself; `None` where the rule
    /// needs to know and cannot.
    pub group: fn(&Item) -> Option<String>,
    /// What all outcomes come to.
    pub summarise: fn(&[Outcome]) -> Vec<Metric>,
    /// Tokens that an answer may have.
    pub max_tokens: u32,
    /// Options that an item may have.
    pub options: usize,
    /// Whether a test holds its verdicts against the tool's own code.
    pub compared: bool,
}

impl Rule {
    /// What is read from `text`, and what it is worth.
    pub fn score(&self, item: &Item, text: &str) -> (Option<String>, Verdict) {
        match (self.read)(item, text) {
            Some(answer) => {
                let verdict = self.verdict(item, &answer);
                (Some(answer), verdict)
            }
            None => (None, Verdict::Unparsed),
        }
    }

    /// What `said` is worth: right where it is one of several right answers.
    pub fn verdict(&self, item: &Item, said: &str) -> Verdict {
        let answers = item.answers();
        if let [_] = answers.as_slice() {
            return (self.compare)(item, said);
        }
        let right = answers.into_iter().any(|answer| {
            (self.compare)(
                &Item {
                    answer,
                    images: Vec::new(),
                    ..item.clone()
                },
                said,
            ) == Verdict::Right
        });
        if right {
            Verdict::Right
        } else {
            (self.compare)(item, said)
        }
    }

    /// `benchmark/tool`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.benchmark, self.tool)
    }
}

/// What most rules have in common, and a rule for questions that are put by a template of the
/// client's.
const CUSTOM: Rule = Rule {
    benchmark: "custom",
    tool: "letter",
    about: "a letter, by a ranking of places where it may stand",
    prompt: plain,
    read: extract::choice_letter,
    compare: same_letter,
    task: None,
    group: by_column,
    summarise: metrics::accuracy,
    max_tokens: 64,
    options: LETTERS,
    compared: false,
};

/// Multiple choice as lmms-eval has it.
const LETTERED: Rule = Rule {
    tool: "lmms-eval",
    prompt: lettered,
    max_tokens: 16,
    compared: true,
    ..CUSTOM
};

const MMVP: Rule = Rule {
    benchmark: "mmvp",
    about: "A or B by a list of patterns; a pair counts where both are right",
    read: extract::pair_letter,
    group: pair,
    summarise: metrics::pairs,
    ..LETTERED
};

const QBENCH: Rule = Rule {
    benchmark: "qbench",
    about: "MMMU's reader; where the tool draws a letter the answer is unparsed",
    prompt: |item| lettered(item) + "\n",
    read: extract::mmmu_letter,
    max_tokens: 32,
    ..LETTERED
};

const MMSTAR: Rule = Rule {
    benchmark: "mmstar",
    about: "a ranking of places where a letter may stand; the tool's average is over its 18 axes, this accuracy over all items",
    prompt: |item| lettered(item).trim_end_matches('.').into(),
    read: extract::ranked_letter,
    ..LETTERED
};

const SQA: Rule = Rule {
    benchmark: "sqa",
    about: "the letter alone, or \"X.\" first",
    prompt: with_context,
    read: extract::bare_letter,
    ..LETTERED
};

const AI2D: Rule = Rule {
    benchmark: "ai2d",
    about: "\"X.\" first, else the whole answer, case and punctuation aside",
    read: extract::leading_letter,
    ..LETTERED
};

/// `base` as VLMEvalKit asks a LLaVA and reads without a judge.
const fn by_vlmevalkit(base: Rule) -> Rule {
    Rule {
        tool: "vlmevalkit",
        about: "one option's letter among the last words, or one option's words; where the tool draws a letter the answer is unparsed",
        prompt: with_hint,
        read: extract::inferred_letter,
        ..base
    }
}

/// Questions whose answers only a judge can grade.
const OPEN: Rule = Rule {
    tool: "llava",
    read: extract::whole,
    compare: |_, _| Verdict::Unjudged,
    summarise: metrics::grades,
    max_tokens: 1024,
    ..CUSTOM
};

const MMVET: Rule = Rule {
    benchmark: "mmvet",
    about: "the question alone; a judge grades from 0 to 1 in tenths, without one answers are unjudged",
    task: Some(Task::Grade),
    ..OPEN
};

/// Of each benchmark the first row is what it is run by where nothing else is said.
pub const RULES: &[Rule] = &[
    MMVP,
    Rule {
        tool: "corrected",
        about: "the same, but items 99, 100, 279 and 280, whose answers are known to be swapped, are put right",
        compare: |item, said| same_letter(&unswapped(item), said),
        compared: false,
        ..MMVP
    },
    by_vlmevalkit(MMVP),
    QBENCH,
    by_vlmevalkit(QBENCH),
    Rule {
        benchmark: "mme",
        about: "yes or no within the first four characters; of each subtask accuracy and accuracy by picture, in points",
        prompt: asked,
        read: extract::yes_no,
        compare: same_word,
        group: by_picture,
        summarise: metrics::mme,
        ..LETTERED
    },
    MMSTAR,
    by_vlmevalkit(MMSTAR),
    MMVET,
    Rule {
        tool: "lmms-eval",
        about: "the same, but the model is told to reason first",
        prompt: |item| format!("{REASON}{}", item.question),
        ..MMVET
    },
    Rule {
        benchmark: "llavaw",
        about: "a judge rates the answer and GPT-4's from 1 to 10, without one answers are unjudged; the ratio of the sums",
        task: Some(Task::Rate),
        ..OPEN
    },
    Rule {
        benchmark: "mathvista",
        about: "normalised as the tool does; what the tool leaves to a judge is extracted by one, without one read by rule: a letter, or the last number",
        prompt: math,
        read: extract::math,
        compare: same_text,
        task: Some(Task::Extract),
        max_tokens: 512,
        ..LETTERED
    },
    SQA,
    Rule {
        tool: "llava",
        about: "the letter alone, \"X. \" first, or \"The answer is X.\" once",
        read: extract::llava_letter,
        ..SQA
    },
    by_vlmevalkit(SQA),
    Rule {
        benchmark: "chartqa",
        about: "numbers within 5 %, words the same but for case; categories tell human and augmented questions apart",
        prompt: one_word,
        read: extract::whole,
        compare: relaxed,
        ..LETTERED
    },
    AI2D,
    by_vlmevalkit(AI2D),
    CLASSES,
    Rule {
        tool: "listed",
        about: "the same, but the classes are in the question",
        prompt: |item| {
            format!(
                "{}\nAnswer with one of: {}.",
                item.question,
                item.options.join(", ")
            )
        },
        ..CLASSES
    },
    Rule {
        tool: "judged",
        about: "a judge says whether the answer names the class, as the paper has it",
        read: extract::whole,
        compare: |_, _| Verdict::Unjudged,
        task: Some(Task::Confirm),
        ..CLASSES
    },
    Rule {
        benchmark: "shapes",
        tool: "scotoma",
        prompt: short,
        max_tokens: 16,
        ..SHORT
    },
    CUSTOM,
    Rule {
        tool: "yes-no",
        about: "yes or no within the first four characters",
        read: extract::yes_no,
        compare: same_word,
        ..CUSTOM
    },
    SHORT,
    Rule {
        tool: "relaxed",
        about: "a number within 5 %, or the same words",
        read: extract::whole,
        compare: relaxed,
        ..CUSTOM
    },
];

/// Zero-shot classification: the options are the classes, as many as there are.
const CLASSES: Rule = Rule {
    benchmark: "classification",
    tool: "named",
    about: "the one class that the answer names, or the longest of several; --by texts scores all classes instead",
    read: extract::named,
    compare: same_text,
    max_tokens: 32,
    options: MAX_OPTIONS,
    ..CUSTOM
};

const SHORT: Rule = Rule {
    tool: "short",
    about: "a letter first, or the whole answer",
    read: extract::short,
    compare: same_text,
    ..CUSTOM
};

/// What lmms-eval says before a question of MM-Vet.
const REASON: &str = "First please perform reasoning, and think step by step to provide best answer to the following question: \n\n";

/// The rules of `benchmark`, or `benchmark/tool`.
pub fn rule(name: &str) -> Option<&'static Rule> {
    let (benchmark, tool) = name.split_once('/').unwrap_or((name, ""));
    RULES
        .iter()
        .find(|r| r.benchmark == benchmark && (tool.is_empty() || r.tool == tool))
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
        return format!(
            "{}\nAnswer with the option's letter from the given choices directly.",
            item.question.trim()
        );
    }
    by_letter(item, "")
}

fn with_context(item: &Item) -> String {
    let before = if item.hint.is_empty() {
        String::new()
    } else {
        format!("Context: {}\n", item.hint)
    };
    by_letter(item, &before)
}

/// As VLMEvalKit puts a question to a LLaVA.
fn with_hint(item: &Item) -> String {
    let before = if item.hint.is_empty() {
        String::new()
    } else {
        format!("{}\n", item.hint)
    };
    by_letter(item, &before)
}

fn asked(item: &Item) -> String {
    let question = item
        .question
        .trim()
        .replace(" Please answer yes or no.", "");
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
    let mut lines = vec![if unit.is_empty() {
        item.question.clone()
    } else {
        format!("{} (Unit: {unit})", item.question)
    }];
    if item.options.is_empty() {
        lines.push(match (item.field("answer_type"), item.field("precision")) {
            ("integer", _) => "Answer the question using a single integer number.".into(),
            ("float", "1" | "1.0") => {
                "Answer the question using a single floating-point number with one decimal place."
                    .into()
            }
            ("float", _) => {
                "Answer the question using a single floating-point number with two decimal places."
                    .into()
            }
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
    format!(
        "{}\n{}\nAnswer with the letter.",
        item.question,
        item.listed()
    )
}

#[expect(clippy::unnecessary_wraps, reason = "one way to group among others")]
fn by_column(item: &Item) -> Option<String> {
    Some(item.group.clone())
}

/// MMVP numbers its items from 1, and two that follow each other are a pair.
fn pair(item: &Item) -> Option<String> {
    let numbered = || {
        item.id
            .parse::<u64>()
            .ok()?
            .checked_sub(1)
            .map(|number| format!("pair {}", number / 2))
    };
    Some(item.group.clone())
        .filter(|g| !g.is_empty())
        .or_else(numbered)
}

/// MMVP's issue 30: the answers of two pairs are swapped.
fn unswapped(item: &Item) -> Item {
    let answer = match (
        ["99", "100", "279", "280"].contains(&item.id.as_str()),
        item.answer.as_str(),
    ) {
        (true, "A") => "B".into(),
        (true, "B") => "A".into(),
        _ => item.answer.clone(),
    };
    Item {
        answer,
        ..item.clone()
    }
}

/// The picture, as lmms-eval (`question_id`) or VLMEvalKit (`image_path`) names it.
fn by_picture(item: &Item) -> Option<String> {
    let columns = [
        item.group.as_str(),
        item.field("question_id"),
        item.field("image_path"),
    ];
    columns
        .into_iter()
        .find(|name| !name.is_empty())
        .map(String::from)
}

fn verdict(right: bool) -> Verdict {
    if right {
        Verdict::Right
    } else {
        Verdict::Wrong
    }
}

fn same_letter(item: &Item, said: &str) -> Verdict {
    let by_words = || {
        item.answer_place()
            .and_then(|place| item.letters().nth(place))
            .map(String::from)
    };
    let answer = item.answer.trim().trim_matches(['(', ')']);
    verdict(
        said.eq_ignore_ascii_case(answer)
            || by_words().is_some_and(|letter| said.eq_ignore_ascii_case(&letter)),
    )
}

fn same_word(item: &Item, said: &str) -> Verdict {
    verdict(said == item.answer.to_lowercase().trim().replace('.', ""))
}

fn same_text(item: &Item, said: &str) -> Verdict {
    // Of questions with options the answer is a letter in a table, an option's words where tools
    // compare these.
    let letter = item
        .answer
        .chars()
        .next()
        .filter(|_| item.answer.chars().count() == 1);
    let words = letter.and_then(|l| item.option(l));
    verdict(
        extract::strip(said) == extract::strip(&item.answer) || words.is_some_and(|w| w == said),
    )
}

fn relaxed(item: &Item, said: &str) -> Verdict {
    verdict(extract::relaxed(said, &item.answer))
}
