//! Items of a benchmark, and verdicts on their answers.

use std::collections::BTreeMap;

/// One question, with the names that VLMEvalKit's tables give its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The id, which no other item of the benchmark has.
    pub id: String,
    /// Files of pictures; none for a question without a picture.
    pub images: Vec<Vec<u8>>,
    /// The question.
    pub question: String,
    /// A text before the question; may be empty.
    pub hint: String,
    /// The options A, B, ...; none for open questions. Options after the 26th have no letter.
    pub options: Vec<String>,
    /// The right answer: a letter where there are options, or the option's words; a JSON list of
    /// texts where each of several is right. Empty where only a judge can tell.
    pub answer: String,
    /// The category.
    pub category: String,
    /// The group of items that count together: both of a pair of MMVP, all questions about a picture
    /// of MME. Empty for an item that counts by itself.
    pub group: String,
    /// All other columns by name.
    pub fields: BTreeMap<String, String>,
    /// Pictures to show in place of its own, by name.
    pub substitutes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Item {
    /// Returns a column that only some benchmarks have; empty if it is missing.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Returns the letters of the options: A, B, ...
    pub fn letters(&self) -> impl Iterator<Item = char> {
        // Readers look for a letter of the alphabet: options beyond it have none.
        ('A'..='Z').take(self.options.len())
    }

    /// Returns the option of a letter.
    pub fn option(&self, letter: char) -> Option<&str> {
        self.letters()
            .position(|l| l == letter)
            .and_then(|i| self.options.get(i))
            .map(String::as_str)
    }

    /// Returns the index of the right option, by its letter, or by its words.
    pub fn answer_place(&self) -> Option<usize> {
        let letter = self.letters().position(|l| {
            self.answer
                .trim()
                .trim_matches(['(', ')'])
                .eq_ignore_ascii_case(&l.to_string())
        });
        // A letter first: an option may be called "B", and the answer B then means its place, as in
        // all tools.
        letter.or_else(|| {
            self.options
                .iter()
                .position(|option| *option == self.answer)
        })
    }

    /// Returns the right answers: one, or those of a JSON list of texts.
    pub fn answers(&self) -> Vec<String> {
        // An answer that only begins with a bracket is one answer.
        let several = serde_json::from_str::<Vec<String>>(&self.answer)
            .ok()
            .filter(|all| !all.is_empty());
        several.unwrap_or_else(|| vec![self.answer.clone()])
    }

    /// Lists the options as `A. first`, line by line.
    pub fn listed(&self) -> String {
        let line = |(letter, option)| format!("{letter}. {option}");
        self.letters()
            .zip(&self.options)
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Returns a digest that tells ids apart in little memory.
pub fn digest(id: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    // 128 bits: among a billion ids two are alike with a chance below 1 in 10^20.
    digest.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    digest
}

/// The worth of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The right answer.
    Correct,
    /// Another answer.
    Wrong,
    /// No answer can be read from it; counted as wrong, never guessed.
    Unparsed,
    /// No judge was asked, and only a judge can tell.
    Unjudged,
    /// A judge's grade.
    Graded {
        /// The answer's grade.
        grade: f64,
        /// The reference's grade, or 1 if that is not graded.
        of: f64,
    },
}

impl Verdict {
    /// Returns its score in a mean; `None` if nobody has judged.
    pub fn score(self) -> Option<f64> {
        match self {
            Self::Correct => Some(1.0),
            Self::Wrong | Self::Unparsed => Some(0.0),
            Self::Unjudged => None,
            Self::Graded { grade, of } => Some(grade / of),
        }
    }

    /// Returns its name, one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "right",
            Self::Wrong => "wrong",
            Self::Unparsed => "unparsed",
            Self::Unjudged => "unjudged",
            Self::Graded { .. } => "graded",
        }
    }
}
