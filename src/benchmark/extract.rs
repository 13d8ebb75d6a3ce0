//! Readers of answers, each the same as that of a public tool, whose verdicts tests/scorers.rs
//! compares. A reader returns `None` where the tool would fail or guess.

use std::sync::LazyLock;

use regex::Regex;

use super::Item;

/// Strips as Python's `str.strip` does, which knows four control characters more than Unicode's
/// white space.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Replaces control characters that Python counts as white space by spaces.
fn spaced(text: &str) -> String {
    text.chars()
        .map(|c| {
            if ('\x1c'..='\x1f').contains(&c) {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// Strips each of `chars` from both ends, one after the other.
fn strip_each(text: &str, chars: &[char]) -> String {
    chars
        .iter()
        .fold(text.to_owned(), |text, &c| text.trim_matches(c).to_owned())
}

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and a test uses each"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

/// Reads as lmms-eval's MMVP: A or B alone, at the start, after "answer is" or "option", before a
/// space, or as the first character.
pub(super) fn pair_letter(_: &Item, text: &str) -> Option<String> {
    static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let all = [
            r"(?i)^\s*\(?([AB])\)?\.?\s*$",
            r"(?i)^\s*\(?([AB])\)?[\.\s]",
            r"(?i)answer\s+is\s+\(?([AB])\)?",
            r"(?i)option\s+\(?([AB])\)?",
            r"(?i)\(?([AB])\)?(?:\s|$)",
        ];
        all.map(pattern).into()
    });
    // Python's `\s` has them, the one of this crate has not.
    let text = spaced(text);
    let text = strip(&text);
    let found = PATTERNS
        .iter()
        .find_map(|p| p.captures(text))
        .map(|c| c[1].to_ascii_uppercase());
    found.or_else(|| {
        let first = text.chars().next()?.to_ascii_uppercase();
        ['A', 'B'].contains(&first).then(|| first.into())
    })
}

/// Reads as MMMU, whose reader lmms-eval's Q-Bench uses: `(A)`, `A `, `A.`, or the words of an
/// option, the last of several. If it finds none, the tool draws a letter; this returns `None`.
pub(super) fn mmmu_letter(item: &Item, text: &str) -> Option<String> {
    // Padded, as the tool does it, so that a letter at either end has a space beside it.
    let text = format!(
        " {} ",
        strip_each(text, &[',', '.', '!', '?', ';', ':', '\''])
    );
    let all: Vec<(char, String)> = item
        .letters()
        .zip(&item.options)
        .map(|(letter, option)| (letter, option.to_lowercase()))
        .collect();
    let lower = text.to_lowercase();
    let letter = last_of(
        &all,
        |c| text.contains(&format!("({})", c.0)),
        |c| text.rfind(&format!("({})", c.0)),
    )
    .or_else(|| {
        last_of(
            &all,
            |c| text.contains(&format!("{} ", c.0)),
            |c| text.rfind(&format!(" {} ", c.0)),
        )
    })
    .or_else(|| {
        // The tool, too, looks for `A.` and ranks what it finds by ` A `, which is seldom there.
        last_of(
            &all,
            |c| text.contains(&format!("{}.", c.0)),
            |c| text.rfind(&format!(" {} ", c.0)),
        )
    });
    if letter.is_some() {
        return letter.map(String::from);
    }
    // The tool looks for words in texts of more than five only.
    if text.split(is_space).filter(|w| !w.is_empty()).count() <= 5 {
        return None;
    }
    last_of(&all, |c| lower.contains(&c.1), |c| lower.rfind(&c.1)).map(String::from)
}

/// Finds the letter of the option that `holds`; of several the one at the last place, and of those
/// at one place the first.
fn last_of(
    options: &[(char, String)],
    holds: impl Fn(&(char, String)) -> bool,
    place: impl Fn(&(char, String)) -> Option<usize>,
) -> Option<char> {
    let found: Vec<&(char, String)> = options.iter().filter(|c| holds(c)).collect();
    // `max_by_key` takes the last of equals, `argmax` of the tool the first: hence `rev`.
    found.iter().rev().max_by_key(|c| place(c)).map(|c| c.0)
}

/// Phrases before the letter, in four languages.
const PHRASES: [&str; 27] = [
    "the answer is",
    "answer is",
    "the correct answer is",
    "correct answer is",
    "the best answer is",
    "best answer is",
    "the correct option is",
    "correct option is",
    "the best option is",
    "best option is",
    "the choice is",
    "choice is",
    "the correct choice is",
    "correct choice is",
    "i choose",
    "i select",
    "i pick",
    "my answer is",
    "my choice is",
    "옵션",
    "정답은",
    "답은",
    "답:",
    "答案是",
    "答案为",
    "选",
    "答えは",
];

/// Reads as lmms-eval's choices, which its MMStar uses with A to D. A letter at the start ranks
/// highest, then at the end, after a phrase, as `(A)`, `A.`, `A:`, `A)`, before a space, anywhere;
/// the last of equals wins.
pub(super) fn ranked_letter(_: &Item, text: &str) -> Option<String> {
    ranked(&['A', 'B', 'C', 'D'], text)
}

/// Does the same with the letters of the item's own options; A to D if it has none.
pub(super) fn choice_letter(item: &Item, text: &str) -> Option<String> {
    let letters: Vec<char> = item.letters().collect();
    if letters.is_empty() {
        ranked_letter(item, text)
    } else {
        ranked(&letters, text)
    }
}

fn ranked(letters: &[char], text: &str) -> Option<String> {
    // In this order, as the tool strips them: `A".` loses both, `A."` the quotation mark alone.
    let stripped = strip_each(strip(text), &[',', '.', '!', '?', ';', ':', '\'', '"']);
    // Characters, not bytes: the tool compares places in Python's strings.
    let text: Vec<char> = format!(" {stripped} ").chars().collect();
    let last = |wanted: &[char]| text.windows(wanted.len()).rposition(|w| w == wanted);
    let mut found: Vec<(u32, usize, char)> = Vec::new();
    for &letter in letters {
        for (rank, wanted) in [
            (6, vec!['(', letter, ')']),
            (5, vec![letter, '.']),
            (4, vec![letter, ':']),
            (3, vec![letter, ')']),
            (2, vec![letter, ' ']),
        ] {
            found.extend(last(&wanted).map(|at| (rank, at, letter)));
        }
    }
    found.extend(after_phrases(letters, &text));
    // Without the padding, whose spaces would be first and last.
    let inner: Vec<char> = strip(&text.iter().collect::<String>()).chars().collect();
    for &letter in letters {
        if inner.first() == Some(&letter) && inner.get(1).is_none_or(|c| !c.is_alphabetic()) {
            found.push((10, 0, letter));
        }
        if inner.last() == Some(&letter)
            && inner.iter().nth_back(1).is_none_or(|c| !c.is_alphabetic())
        {
            found.push((9, text.len() - 1, letter));
        }
    }
    if found.is_empty() {
        found.extend(
            letters
                .iter()
                .filter_map(|&l| last(&[l]).map(|at| (0, at, l))),
        );
    }
    // Of equals the first that was found.
    found
        .iter()
        .rev()
        .max_by_key(|(rank, at, _)| (*rank, *at))
        .map(|(_, _, letter)| letter.to_string())
}

/// Finds the letters behind phrases that announce an answer, each with its rank and place.
fn after_phrases(letters: &[char], text: &[char]) -> Vec<(u32, usize, char)> {
    let lower: Vec<char> = text
        .iter()
        .collect::<String>()
        .to_lowercase()
        .chars()
        .collect();
    let mut found = Vec::new();
    for phrase in PHRASES {
        let phrase: Vec<char> = phrase.chars().collect();
        // Where the phrase stands first; of each letter the next place behind it.
        let Some(at) = lower.windows(phrase.len()).position(|w| w == phrase) else {
            continue;
        };
        for &letter in letters {
            let after = text
                .iter()
                .enumerate()
                .skip(at + phrase.len())
                .find(|(_, c)| **c == letter);
            found.extend(after.map(|(at, _)| (7, at, letter)));
        }
    }
    found
}

/// Reads as lmms-eval's ScienceQA: the letter alone, or `X.` first.
pub(super) fn bare_letter(_: &Item, text: &str) -> Option<String> {
    let mut chars = strip(text).chars();
    let (first, second) = (chars.next()?, chars.next());
    let bare = second.is_none() && first.is_alphabetic();
    let dotted = second == Some('.') && first.is_uppercase();
    (bare || dotted).then(|| first.to_uppercase().collect())
}

/// Reads as LLaVA's own ScienceQA: the letter alone, `X. ` first, or one "The answer is X."
/// anywhere.
pub(super) fn llava_letter(item: &Item, text: &str) -> Option<String> {
    // The dot is any character: so it is in LLaVA's own pattern.
    static SAID: LazyLock<Regex> = LazyLock::new(|| pattern(r"The answer is ([A-Z])."));
    let is_option = |letter: &char| item.option(*letter).is_some();
    // Enough to tell a letter alone from the letter of `X. `.
    let chars: Vec<char> = text.chars().take(3).collect();
    let direct = match chars[..] {
        [letter] | [letter, '.', ' '] => Some(letter),
        _ => None,
    };
    if let Some(letter) = direct.filter(is_option) {
        return Some(letter.into());
    }
    let mut said = SAID.captures_iter(text);
    match (said.next(), said.next()) {
        (Some(one), None) => Some(one[1].to_owned()),
        _ => None,
    }
}

/// Reads as lmms-eval's AI2D: `X.` first, else the whole answer, case and punctuation aside.
pub(super) fn leading_letter(_: &Item, text: &str) -> Option<String> {
    static FIRST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*([A-Z])\."));
    if let Some(found) = FIRST.captures(&spaced(text)) {
        return Some(found[1].to_owned());
    }
    let bare: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    let mut chars = bare.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), None) if letter.is_ascii_lowercase() => {
            Some(letter.to_ascii_uppercase().into())
        }
        _ => None,
    }
}

/// Reads as MME: yes or no alone, `y` or `n`, or within the first four characters.
pub(super) fn yes_no(_: &Item, text: &str) -> Option<String> {
    let text = strip(&text.to_lowercase()).replace('.', "");
    let head: String = text.chars().take(4).collect();
    let said = match text.as_str() {
        "yes" | "y" => Some("yes"),
        "no" | "n" => Some("no"),
        // The tool compares a single character with y and n alone.
        _ if text.chars().count() == 1 => None,
        _ if head.contains("yes") => Some("yes"),
        _ if head.contains("no") => Some("no"),
        _ => None,
    };
    said.map(String::from)
}

/// Reads as VLMEvalKit's `can_infer`: one option's letter among the last words, punctuation aside,
/// or one option's words anywhere.
pub(super) fn inferred_letter(item: &Item, text: &str) -> Option<String> {
    const REFUSALS: [&str; 4] = [
        "Sorry, I can't help with images of people yet.",
        "I can't process this file.",
        "I'm sorry, but without the image provided",
        "Cannot determine the answer",
    ];
    if REFUSALS.iter().any(|r| text.contains(r)) || text.contains("Failed to obtain answer via API")
    {
        return None;
    }
    let parted = text.replace(
        [
            '.', '(', ')', '[', ']', ',', ':', ';', '!', '*', '#', '{', '}',
        ],
        " ",
    );
    let words: Vec<&str> = parted.split(is_space).filter(|w| !w.is_empty()).collect();
    let place = |letter: char| words.iter().position(|w| w.chars().eq([letter]));
    let said: Vec<char> = item.letters().filter(|&l| place(l).is_some()).collect();
    if let [letter] = said[..]
        // Among the last four words.
        && place(letter).is_some_and(|at| at + 5 > words.len())
    {
        return Some(letter.into());
    }
    // The tool takes a lone Z for a refusal, and reads no options from long texts.
    let long = 2 * item
        .options
        .iter()
        .map(|o| o.chars().count())
        .sum::<usize>();
    if (said.is_empty() && words.contains(&"Z")) || text.to_lowercase().chars().count() > long {
        return None;
    }
    // No letter has decided: the words of one option do, where they are those of no other.
    let lower = text.to_lowercase();
    let mut named = item
        .letters()
        .zip(&item.options)
        .filter(|(_, option)| lower.contains(&option.to_lowercase()));
    match (named.next(), named.next()) {
        (Some((letter, _)), None) => Some(letter.into()),
        _ => None,
    }
}

/// Reads an answer to `shapes`: with options a letter alone, or followed by `.`, `)`, `:` or a space;
/// without, the whole text, case and a final period aside.
pub(super) fn short(item: &Item, text: &str) -> Option<String> {
    let text = text.trim();
    if item.options.is_empty() {
        return Some(text.strip_suffix('.').unwrap_or(text).to_lowercase())
            .filter(|said| !said.is_empty());
    }
    let mut chars = text.chars();
    let letter = chars.next()?.to_ascii_uppercase();
    let ends = chars
        .next()
        .is_none_or(|c| matches!(c, '.' | ')' | ':' | ' ' | '\n'));
    (ends && item.option(letter).is_some()).then(|| letter.into())
}

/// Finds the option whose words are in the answer, case aside; the longest of several, if it holds
/// all others.
pub(super) fn named(item: &Item, text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let found: Vec<&String> = item
        .options
        .iter()
        .filter(|option| holds_words(&lower, &option.to_lowercase()))
        .collect();
    // `red` is within `dark red`, and is not meant where that is said.
    let longest = found.iter().max_by_key(|o| o.chars().count())?;
    let holds = |option: &&&String| longest.to_lowercase().contains(&option.to_lowercase());
    found.iter().all(|o| holds(&o)).then(|| (**longest).clone())
}

/// Returns all of the text, as ChartQA compares it.
#[expect(clippy::unnecessary_wraps, reason = "a reader like the others")]
pub(super) fn whole(_: &Item, text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Reads MathVista's answers without a judge: what lmms-eval takes directly (an option's words, a
/// number alone, `The answer is "..."`), then a letter alone or in parentheses, then the last number;
/// normalised as lmms-eval does.
pub(super) fn math(item: &Item, text: &str) -> Option<String> {
    static SAID: LazyLock<Regex> = LazyLock::new(|| pattern(r#"The answer is "(.*)"\."#));
    static LETTER: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\(?([A-Z])\)?[.:)]?(?:\s|$)|\(([A-Z])\)"));
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+"));
    static LIST: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[[^\[\]]*\]"));
    let text = strip(text);
    let said = SAID.captures(text).map(|c| c[1].to_owned());
    if !item.options.is_empty() {
        if item.options.iter().any(|o| o == text) {
            return Some(text.to_owned());
        }
        if said.is_some() {
            return said.and_then(|s| normal_math(item, &s));
        }
        // A letter is answered by the words of its option, which the verdict compares.
        let letter = LETTER.captures(text).and_then(|c| c.get(1).or(c.get(2)));
        return letter
            .and_then(|l| item.option(l.as_str().chars().next()?))
            .map(ToOwned::to_owned);
    }
    // What the tool takes without asking its judge.
    if let Some(direct) = normal_math(item, said.as_deref().unwrap_or(text)) {
        return Some(direct);
    }
    if item.field("answer_type") == "list" {
        return LIST.find_iter(text).last().map(|m| m.as_str().to_owned());
    }
    // A comma within a number parts thousands.
    let number = NUMBER.find_iter(text).last()?.as_str().replace(',', "");
    normal_math(item, &number)
}

/// Normalises an extracted answer as lmms-eval does: to the nearest option by edit distance, or to a
/// number at the item's precision.
pub fn normal_math(item: &Item, extracted: &str) -> Option<String> {
    static LETTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(([a-zA-Z])\)"));
    if !item.options.is_empty() {
        let extracted = strip(extracted);
        let letter = LETTER
            .captures(extracted)
            .map(|c| c[1].to_ascii_uppercase());
        let extracted = letter.as_deref().unwrap_or(extracted);
        let mut chars = extracted.chars();
        if let (Some(letter), None) = (chars.next(), chars.next())
            && let Some(option) = item.option(letter)
        {
            return Some(option.to_owned());
        }
        return item
            .options
            .iter()
            // The first of equals, as `min` of Python: any text at all gets an option, which is the
            // tool's rule.
            .min_by_key(|o| strsim::levenshtein(extracted, o))
            .cloned();
    }
    match item.field("answer_type") {
        "integer" => float(extracted)
            .filter(|v| v.is_finite())
            // `int(float(x))` of Python; the sum makes 0 of -0, which `int` has not.
            .map(|v| format!("{:.0}", v.trunc() + 0.0)),
        "float" => {
            // No finite number has more places; the formatter takes no more than 65,535.
            let precision = item
                .field("precision")
                .parse::<f64>()
                .map_or(0, |p| p.clamp(0.0, 1100.0) as usize);
            float(extracted)
                .and_then(|v| float(&format!("{v:.precision$}")))
                .map(printed)
        }
        "list" => Some(extracted.to_owned()).filter(|t| t.starts_with('[')),
        _ => Some(extracted.to_owned()),
    }
}

/// Parses as Python's `float(text)`.
pub(super) fn float(text: &str) -> Option<f64> {
    let chars: Vec<char> = strip(text).chars().collect();
    // Underscores are allowed between digits only.
    for (i, _) in chars.iter().enumerate().filter(|(_, c)| **c == '_') {
        let before = i.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(i + 1);
        if ![before, after]
            .iter()
            .all(|c| c.is_some_and(char::is_ascii_digit))
        {
            return None;
        }
    }
    chars
        .into_iter()
        // Rust's parser knows no underscores.
        .filter(|&c| c != '_')
        .collect::<String>()
        .parse()
        .ok()
}

/// Formats a float as Python's `str` does.
fn printed(value: f64) -> String {
    // The shortest digits that read back as this number, as Python's `repr` has them.
    let text = format!("{value:?}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text.replace("NaN", "nan");
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Rust and Python turn to exponents at the same numbers, and write them differently.
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    format!(
        "{digits}e{}{:02}",
        if exponent < 0 { '-' } else { '+' },
        exponent.abs()
    )
}

/// Compares by ChartQA's relaxed match (Masry et al. 2022, 5.1): numbers within 5 % of the answer,
/// words the same but for case.
pub(super) fn relaxed(said: &str, answer: &str) -> bool {
    match (number_or_percent(said), number_or_percent(answer)) {
        // An answer of 0 has no 5 %; the tool compares the texts then.
        (Some(said), Some(answer)) if answer != 0.0 => (said - answer).abs() / answer.abs() <= 0.05,
        _ => said.to_lowercase() == answer.to_lowercase(),
    }
}

fn number_or_percent(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(_) => float(text.trim_end_matches('%')).map(|v| v / 100.0),
        None => float(text),
    }
}

/// Tells whether `words` stand in `text` with no letter or digit beside them.
fn holds_words(text: &str, words: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !words.is_empty()
        && text.match_indices(words).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !is_word(before) && !is_word(after)
        })
}
