//! The table of rules: how each benchmark puts a question, reads an answer and reports, as a public
//! tool does. Tools that differ have a row each.

use super::data::MAX_OPTIONS;
use super::extract;
use super::judge::JudgePrompt;
use super::metrics::{self, Metric, Outcome};
use super::{Item, Verdict};

/// Options that have letters.
const LETTERS: usize = 26;

/// One tool's way to run one benchmark. The contract calls it a rule, as do results files.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The benchmark's name.
    pub benchmark: &'static str,
    /// The tool's name.
    pub tool: &'static str,
    /// A sentence on what the tool does.
    pub about: &'static str,
    /// Writes the user's message.
    pub prompt: fn(&Item) -> String,
    /// Reads the answer from the model's text; `None` if there is none.
    pub read: fn(&Item, &str) -> Option<String>,
    /// Compares an answer with the right one.
    pub compare: fn(&Item, &str) -> Verdict,
    /// The prompt for a judge, where one can be asked.
    pub judge_prompt: Option<JudgePrompt>,
    /// Returns the group that an item counts with, empty for itself alone; `None` if the rule needs a
    /// group that the item does not name.
    pub group: fn(&Item) -> Option<String>,
    /// Computes the metrics of all outcomes.
    pub summarise: fn(&[Outcome]) -> Vec<Metric>,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Most options of an item.
    pub options: usize,
    /// True if a test compares its verdicts with those of the tool's own code.
    pub compared: bool,
}

impl Rule {
    /// Reads the answer in `text` and returns it with its verdict.
    pub fn score(&self, item: &Item, text: &str) -> (Option<String>, Verdict) {
        match (self.read)(item, text) {
            Some(answer) => {
                let verdict = self.verdict(item, &answer);
                (Some(answer), verdict)
            }
            None => (None, Verdict::Unparsed),
        }
    }

    /// Returns the verdict on `said`, which may be any of several right answers.
    pub fn verdict(&self, item: &Item, said: &str) -> Verdict {
        let answers = item.answers();
        // Without a copy of the item: nearly all have one answer.
        if let [_] = answers.as_slice() {
            return (self.compare)(item, said);
        }
        let right = answers.into_iter().any(|answer| {
            (self.compare)(
                &Item {
                    answer,
                    // Comparisons read words alone, and pictures may be megabytes.
                    images: Vec::new(),
                    ..item.clone()
                },
                said,
            ) == Verdict::Correct
        });
        if right {
            Verdict::Correct
        } else {
            // Not simply wrong: a rule for judges says that nobody has judged.
            (self.compare)(item, said)
        }
    }

    /// Reads a judge's reply to `prompt`: what it extracts is scored by the rule.
    pub fn read_reply(
        &self,
        prompt: JudgePrompt,
        item: &Item,
        reply: &str,
    ) -> Option<(Option<String>, Verdict)> {
        match prompt {
            // What it extracts is read as a model's own answer would be.
            JudgePrompt::Extract => Some(self.score(item, reply.trim())),
            _ => prompt.verdict(reply).map(|verdict| (None, verdict)),
        }
    }

    /// Returns `benchmark/tool`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.benchmark, self.tool)
    }
}

/// The base of most rules, and the rule for questions that a client puts by a template of its own.
const CUSTOM: Rule = Rule {
    benchmark: "custom",
    tool: "letter",
    about: "a letter, by a ranking of places where it may stand",
    prompt: plain,
    read: extract::choice_letter,
    compare: same_letter,
    judge_prompt: None,
    group: by_column,
    summarise: metrics::accuracy,
    max_tokens: 64,
    options: LETTERS,
    compared: false,
};

/// Multiple choice as in lmms-eval.
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
    // The tool's prompt ends in a newline.
    prompt: |item| lettered(item) + "\n",
    read: extract::mmmu_letter,
    max_tokens: 32,
    ..LETTERED
};

const MMSTAR: Rule = Rule {
    benchmark: "mmstar",
    about: "a ranking of places where a letter may stand; the tool's average is over its 18 \
            axes, this accuracy over all items",
    // The tool's instruction has no full stop.
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

/// Returns `base` with VLMEvalKit's prompt for a LLaVA and its reader without a judge.
const fn by_vlmevalkit(base: Rule) -> Rule {
    Rule {
        tool: "vlmevalkit",
        about: "one option's letter among the last words, or one option's words; where the tool \
                draws a letter the answer is unparsed",
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
    about: "the question alone; a judge grades from 0 to 1 in tenths, without one answers are \
            unjudged",
    judge_prompt: Some(JudgePrompt::Grade),
    ..OPEN
};

/// All rules. The first row of each benchmark is its default.
pub const RULES: &[Rule] = &[
    MMVP,
    Rule {
        tool: "corrected",
        about: "the same, but items 99, 100, 279 and 280, whose answers are known to be swapped, \
                are put right",
        compare: |item, said| same_letter(&unswapped(item), said),
        compared: false,
        ..MMVP
    },
    by_vlmevalkit(MMVP),
    QBENCH,
    by_vlmevalkit(QBENCH),
    Rule {
        benchmark: "mme",
        about: "yes or no within the first four characters; of each subtask accuracy and \
                accuracy by picture, in points",
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
        about: "a judge rates the answer and GPT-4's from 1 to 10, without one answers are \
                unjudged; the ratio of the sums",
        judge_prompt: Some(JudgePrompt::Rate),
        ..OPEN
    },
    Rule {
        benchmark: "mathvista",
        about: "normalised as the tool does; what the tool leaves to a judge is extracted by \
                one, without one read by rule: a letter, or the last number",
        prompt: math,
        read: extract::math,
        compare: same_text,
        judge_prompt: Some(JudgePrompt::Extract),
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
        about: "numbers within 5 %, words the same but for case; categories tell human and \
                augmented questions apart",
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
        judge_prompt: Some(JudgePrompt::Confirm),
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
    about: "the one class that the answer names, or the longest of several; --scoring texts \
            scores all classes instead",
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

/// The text of lmms-eval before a question of MM-Vet.
const REASON: &str = "First please perform reasoning, and think step by step to provide best \
     answer to the following question: \n\n";

/// Finds the rule of `benchmark`, or of `benchmark/tool`.
pub fn rule(name: &str) -> Option<&'static Rule> {
    let (benchmark, tool) = name.split_once('/').unwrap_or((name, ""));
    // The first row of a benchmark is its default.
    RULES
        .iter()
        .find(|r| r.benchmark == benchmark && (tool.is_empty() || r.tool == tool))
}

fn by_letter(item: &Item, before: &str) -> String {
    format!(
        // The words on which LLaVA-1.5 was trained, and which the tools took over.
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

/// Puts a question as VLMEvalKit does to a LLaVA.
fn with_hint(item: &Item) -> String {
    let before = if item.hint.is_empty() {
        String::new()
    } else {
        // Without the word Context, which lmms-eval puts there.
        format!("{}\n", item.hint)
    };
    by_letter(item, &before)
}

fn asked(item: &Item) -> String {
    // MME's questions bring an instruction of their own, which the tool takes off.
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

/// Puts a question by lmms-eval's "format-prompt".
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

/// Returns the pair of an item. MMVP numbers its items from 1, two that follow each other are a
/// pair.
fn pair(item: &Item) -> Option<String> {
    // Rows that were sorted or filtered can still say which pair they are of.
    if !item.group.is_empty() {
        return Some(item.group.clone());
    }
    let number = item.id.parse::<u64>().ok()?.checked_sub(1)?;
    Some(format!("pair {}", number / 2))
}

/// Puts the answers of two pairs right that are swapped in MMVP (its issue 30).
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

/// Returns the name of the picture in lmms-eval (`question_id`) or VLMEvalKit (`image_path`).
fn by_picture(item: &Item) -> Option<String> {
    // As the table has said, or as the tools name a picture.
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
        Verdict::Correct
    } else {
        Verdict::Wrong
    }
}

fn same_letter(item: &Item, said: &str) -> Verdict {
    // MMVP's own table has (a) and (b).
    let answer = item.answer.trim().trim_matches(['(', ')']);
    if said.eq_ignore_ascii_case(answer) {
        return Verdict::Correct;
    }
    // The answer may be an option's words.
    let letter = item
        .answer_place()
        .and_then(|place| item.letters().nth(place));
    verdict(letter.is_some_and(|letter| said.eq_ignore_ascii_case(&letter.to_string())))
}

fn same_word(item: &Item, said: &str) -> Verdict {
    // As lmms-eval cleans MME's answers, "Yes" among them.
    verdict(said == item.answer.to_lowercase().trim().replace('.', ""))
}

fn same_text(item: &Item, said: &str) -> Verdict {
    // Tables have a letter for the answer, where some tools compare the option's words.
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
