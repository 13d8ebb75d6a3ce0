//! What a benchmark asks, and what came of it.

use std::collections::BTreeMap;

/// One question, with the names that VLMEvalKit's tables give its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Tells it from all others of the benchmark.
    pub id: String,
    /// Files of pictures; none for a question without a picture.
    pub images: Vec<Vec<u8>>,
    /// What is asked.
    pub question: String,
    /// What stands before the question; may be empty.
    pub hint: String,
    /// What A, B, ... say; none for questions without options. Those after the 26th have no letter.
    pub options: Vec<String>,
    /// The right answer: a letter where there are options, or the option's words; a JSON list of
    /// texts where each of several is right. Empty where only a judge can tell.
    pub answer: String,
    /// What it tests.
    pub category: String,
    /// Items that count together: both of a pair of MMVP, all questions about a picture of MME.
    /// Empty: itself alone.
    pub group: String,
    /// All other columns by name.
    pub fields: BTreeMap<String, String>,
    /// Pictures to be shown in place of its own, by name.
    pub substitutes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Item {
    /// A column that only some benchmarks have; empty where it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The letters of the options: A, B, ...
    pub fn letters(&self) -> impl Iterator<Item = char> {
        ('A'..='Z').take(self.options.len())
    }

    /// The option that a letter stands for.
    pub fn option(&self, letter: char) -> Option<&str> {
        self.letters()
            .position(|l| l == letter)
            .and_then(|i| self.options.get(i))
            .map(String::as_str)
    }

    /// The place of the right option, from 0: by its letter, or by its words.
    pub fn answer_place(&self) -> Option<usize> {
        let letter = self.letters().position(|l| {
            self.answer
                .trim()
                .trim_matches(['(', ')'])
                .eq_ignore_ascii_case(&l.to_string())
        });
        letter.or_else(|| {
            self.options
                .iter()
                .position(|option| *option == self.answer)
        })
    }

    /// The answers that are right: one, or those of a JSON list of texts.
    pub fn answers(&self) -> Vec<String> {
        let several = serde_json::from_str::<Vec<String>>(&self.answer)
            .ok()
            .filter(|all| !all.is_empty());
        several.unwrap_or_else(|| vec![self.answer.clone()])
    }

    /// `A. first`, line by line.
    pub fn listed(&self) -> String {
        let line = |(letter, option)| format!("{letter}. {option}");
        self.letters()
            .zip(&self.options)
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// As it should be.
    Right,
    /// Another answer.
    Wrong,
    /// No answer can be read from it; counted as not right, never guessed.
    Unparsed,
    /// Only a judge can tell, and none was asked.
    Unjudged,
    /// What a judge gave.
    Graded {
        /// The answer.
        grade: f64,
        /// The reference, or 1 where that is not graded.
        of: f64,
    },
}

impl Verdict {
    /// Its part of a mean; `None` where nobody has judged.
    pub fn score(self) -> Option<f64> {
        match self {
            Self::Right => Some(1.0),
            Self::Wrong | Self::Unparsed => Some(0.0),
            Self::Unjudged => None,
            Self::Graded { grade, of } => Some(grade / of),
        }
    }

    /// Of one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unparsed => "unparsed",
            Self::Unjudged => "unjudged",
            Self::Graded { .. } => "graded",
        }
    }
}
