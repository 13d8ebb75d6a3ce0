//! Prompts for a judge model, for answers that no rule can grade, and how its replies are read. The
//! templates are in our own words: for the numbers of a published table give the tool's own
//! template, which is recorded.

use super::{Item, Verdict, fill};

/// A task of the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgePrompt {
    /// Grades from 0 to 1 how much of the reference the answer holds: MM-Vet (Yu et al. 2023).
    Grade,
    /// Rates the reference and the answer from 1 to 10 each: LLaVA-in-the-Wild (Liu et al. 2023),
    /// whose score is the ratio of the sums.
    Rate,
    /// Extracts the final answer, which a rule compares: MathVista (Lu et al. 2023).
    Extract,
    /// Confirms that the answer names what the reference does: zero-shot classification of Lee et
    /// al. 2024.
    Confirm,
}

impl JudgePrompt {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Grade, Self::Rate, Self::Extract, Self::Confirm];

    /// Returns the task's name, one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grade => "grade",
            Self::Rate => "rate",
            Self::Extract => "extract",
            Self::Confirm => "confirm",
        }
    }

    /// Returns the default template.
    pub fn template(self) -> &'static str {
        match self {
            Self::Grade => include_str!("judges/grade.txt"),
            Self::Rate => include_str!("judges/rate.txt"),
            Self::Extract => include_str!("judges/extract.txt"),
            Self::Confirm => include_str!("judges/confirm.txt"),
        }
    }

    /// Tells whether a judge is needed for `said`. Nothing is asked of an empty answer, and a single
    /// word needs no extraction.
    pub fn is_needed(self, said: &str) -> bool {
        !said.trim().is_empty()
            && (self != Self::Extract || said.split_whitespace().nth(1).is_some())
    }

    /// Fills {question}, {options}, {reference}, {context} and {answer} into `template`; `None` where
    /// a reference is needed and missing.
    pub fn ask(self, template: &str, item: &Item, said: &str) -> Option<String> {
        // The names of VLMEvalKit's and lmms-eval's tables for the reference answer and for the
        // description of the picture.
        // A table's own answer goes first.
        let reference = if item.answer.is_empty() {
            first_field(item, ["gpt4_ans", "gpt_answer", "reference"])
        } else {
            &item.answer
        };
        if reference.is_empty() && self != Self::Extract {
            return None;
        }
        let context = first_field(item, ["caption", "context", "description"]);
        let options = item.listed();
        let values = [
            ("question", item.question.as_str()),
            ("options", &options),
            ("reference", reference),
            ("context", context),
            ("answer", said),
        ];
        Some(fill(template, &values))
    }

    /// Reads a reply's verdict; `None` where it has none that can be read, and for
    /// [`JudgePrompt::Extract`], whose reply is an answer.
    pub fn verdict(self, reply: &str) -> Option<Verdict> {
        let reply = reply.trim();
        // As LLaVA's `parse_score` does: judges write "8, 7" as well as "8 7".
        let first = reply.lines().next().unwrap_or_default().replace(',', " ");
        let numbers: Vec<f64> = first
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match (self, numbers.as_slice()) {
            // Judges close a word with a point.
            (Self::Confirm, _) => match reply.to_lowercase().trim_end_matches('.') {
                "yes" => Some(Verdict::Correct),
                "no" => Some(Verdict::Wrong),
                _ => None,
            },
            // Exactly one number: "0.5 out of 1" has two, and which one is meant is a guess.
            (Self::Grade, &[grade]) if (0.0..=1.0).contains(&grade) => {
                Some(Verdict::Graded { grade, of: 1.0 })
            }
            // The reference comes first in the prompt.
            (Self::Rate, &[of, grade]) if [of, grade].iter().all(|r| (1.0..=10.0).contains(r)) => {
                Some(Verdict::Graded { grade, of })
            }
            _ => None,
        }
    }
}

/// Returns the first of these columns that is not empty; nothing if all are.
fn first_field<'a>(item: &'a Item, names: [&str; 3]) -> &'a str {
    let texts = names.map(|name| item.field(name));
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_or_refused() {
        let item = Item {
            question: "{answer}?".into(),
            answer: "a <AND> b".into(),
            ..Item::default()
        };
        for (task, reply, verdict) in [
            (
                JudgePrompt::Grade,
                " 0.7\n",
                Some(Verdict::Graded {
                    grade: 0.7,
                    of: 1.0,
                }),
            ),
            (JudgePrompt::Grade, "7", None),
            (JudgePrompt::Grade, "NaN", None),
            (JudgePrompt::Grade, "I would say 0.7 or 0.8", None),
            (
                JudgePrompt::Rate,
                "8, 6\nThe first is better.",
                Some(Verdict::Graded {
                    grade: 6.0,
                    of: 8.0,
                }),
            ),
            (JudgePrompt::Rate, "8", None),
            (JudgePrompt::Rate, "8 0", None),
            (JudgePrompt::Confirm, "Yes.", Some(Verdict::Correct)),
            (JudgePrompt::Confirm, "no", Some(Verdict::Wrong)),
            (JudgePrompt::Confirm, "perhaps", None),
        ] {
            assert_eq!(task.verdict(reply), verdict, "{reply}");
        }
        let asked = JudgePrompt::Grade
            .ask(JudgePrompt::Grade.template(), &item, "{question}")
            .unwrap();
        assert!(
            asked.contains("Question: {answer}?\nReference: a <AND> b\nAnswer: {question}\n"),
            "{asked}"
        );
        assert!(JudgePrompt::Rate.ask("", &Item::default(), "x").is_none());
        assert!(
            !JudgePrompt::Extract.is_needed("B")
                && JudgePrompt::Extract.is_needed("it is B")
                && !JudgePrompt::Grade.is_needed(" ")
        );
        for task in JudgePrompt::ALL {
            assert!(task.template().contains("{answer}"), "{}", task.name());
        }
    }
}
