//! What a judge is asked where no rule can tell whether an answer is right, and how its reply is
//! read. The templates are in our own words: who wants the numbers of a published table gives the
//! tool's own template, and both are recorded.

use super::{Item, Rule, Verdict, fill};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// How much of the reference the answer holds, 0 to 1: MM-Vet (Yu et al. 2023).
    Grade,
    /// The reference and the answer, 1 to 10 each: LLaVA-in-the-Wild (Liu et al. 2023), whose score
    /// is the ratio of the sums.
    Rate,
    /// What the final answer is, which a rule compares: MathVista (Lu et al. 2023).
    Extract,
    /// Whether the answer names what the reference does: zero-shot classification as Lee et al.
    /// 2024 have it.
    Confirm,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Grade, Self::Rate, Self::Extract, Self::Confirm];

    /// Of one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grade => "grade",
            Self::Rate => "rate",
            Self::Extract => "extract",
            Self::Confirm => "confirm",
        }
    }

    /// The template that is used where no other one is given.
    pub fn template(self) -> &'static str {
        match self {
            Self::Grade => include_str!("judges/grade.txt"),
            Self::Rate => include_str!("judges/rate.txt"),
            Self::Extract => include_str!("judges/extract.txt"),
            Self::Confirm => include_str!("judges/confirm.txt"),
        }
    }

    /// Whether the answer itself would do: only what a rule cannot read at once is extracted.
    pub fn is_needed(self, said: &str) -> bool {
        !said.trim().is_empty()
            && (self != Self::Extract || said.split_whitespace().nth(1).is_some())
    }

    /// `template` with {question}, {options}, {reference}, {context} and {answer} filled in; `None`
    /// where there is no reference.
    pub fn ask(self, template: &str, item: &Item, said: &str) -> Option<String> {
        // The reference answer and the description of the picture, as VLMEvalKit's and lmms-eval's
        // tables call them.
        let first = |names: [&str; 3]| {
            names
                .map(|n| item.field(n))
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or("")
        };
        let reference = if item.answer.is_empty() {
            first(["gpt4_ans", "gpt_answer", "reference"])
        } else {
            &item.answer
        };
        if reference.is_empty() && self != Self::Extract {
            return None;
        }
        let context = first(["caption", "context", "description"]);
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

    /// What a reply says of an answer; `None` where it says nothing that can be read.
    pub fn read(self, rule: &Rule, item: &Item, reply: &str) -> Option<(Option<String>, Verdict)> {
        let reply = reply.trim();
        let first = reply.lines().next().unwrap_or_default().replace(',', " ");
        let numbers: Vec<f64> = first
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let verdict = match (self, numbers.as_slice()) {
            (Self::Extract, _) => return Some(rule.score(item, reply)),
            (Self::Confirm, _) => match reply.to_lowercase().trim_end_matches('.') {
                "yes" => Verdict::Right,
                "no" => Verdict::Wrong,
                _ => return None,
            },
            (Self::Grade, &[grade]) if (0.0..=1.0).contains(&grade) => {
                Verdict::Graded { grade, of: 1.0 }
            }
            (Self::Rate, &[of, grade]) if [of, grade].iter().all(|r| (1.0..=10.0).contains(r)) => {
                Verdict::Graded { grade, of }
            }
            _ => return None,
        };
        Some((None, verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::rule;

    #[test]
    fn replies_are_read_or_refused() {
        let item = Item {
            question: "{answer}?".into(),
            answer: "a <AND> b".into(),
            ..Item::default()
        };
        let rule = rule("mmvet").unwrap();
        let read =
            |task: Task, reply: &str| task.read(rule, &item, reply).map(|(_, verdict)| verdict);
        for (task, reply, verdict) in [
            (
                Task::Grade,
                " 0.7\n",
                Some(Verdict::Graded {
                    grade: 0.7,
                    of: 1.0,
                }),
            ),
            (Task::Grade, "7", None),
            (Task::Grade, "NaN", None),
            (Task::Grade, "I would say 0.7 or 0.8", None),
            (
                Task::Rate,
                "8, 6\nThe first is better.",
                Some(Verdict::Graded {
                    grade: 6.0,
                    of: 8.0,
                }),
            ),
            (Task::Rate, "8", None),
            (Task::Rate, "8 0", None),
            (Task::Confirm, "Yes.", Some(Verdict::Right)),
            (Task::Confirm, "no", Some(Verdict::Wrong)),
            (Task::Confirm, "perhaps", None),
        ] {
            assert_eq!(read(task, reply), verdict, "{reply}");
        }
        let asked = Task::Grade
            .ask(Task::Grade.template(), &item, "{question}")
            .unwrap();
        assert!(
            asked.contains("Question: {answer}?\nReference: a <AND> b\nAnswer: {question}\n"),
            "{asked}"
        );
        assert!(Task::Rate.ask("", &Item::default(), "x").is_none());
        assert!(
            !Task::Extract.is_needed("B")
                && Task::Extract.is_needed("it is B")
                && !Task::Grade.is_needed(" ")
        );
        for task in Task::ALL {
            assert!(task.template().contains("{answer}"), "{}", task.name());
        }
    }
}
