//! The scorers against the public tools' own code: tests/scorers/capture.py is the only writer of
//! the verdicts.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use scotoma::benchmark::data::ItemReader;
use scotoma::benchmark::{Item, RULES, Verdict, normal_math, rule};
use serde_json::Value;

const VERDICTS: &str = include_str!("scorers/verdicts.jsonl");

/// Texts on which a tool's verdict is not ours, each with its reason. Empty: there are none.
const DIFFERENCES: &[(&str, &str, &str)] = &[];

fn item(value: &Value) -> Item {
    let line = value.to_string();
    ItemReader::json(line.as_bytes(), PathBuf::new())
        .next()
        .unwrap()
        .unwrap()
}

fn is_right(name: &str, item: &Item, text: &str) -> bool {
    if name == "mathvista-normal" {
        let said = normal_math(item, text);
        return said.is_some_and(|s| {
            s.trim() == item.answer || item.options.iter().any(|o| *o == s && *o == item.answer)
        });
    }
    rule(name).unwrap().score(item, text).1 == Verdict::Correct
}

#[test]
fn verdicts_are_those_of_the_tools() {
    let (mut counts, mut others): (BTreeMap<String, (usize, usize)>, Vec<String>) =
        Default::default();
    let mut prompted = BTreeSet::new();
    for line in VERDICTS.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let (name, item) = (line["rule"].as_str().unwrap(), item(&line["item"]));
        if let Some(prompt) = line["prompt"].as_str() {
            assert_eq!((rule(name).unwrap().prompt)(&item), prompt, "{name}");
            prompted.insert(name.to_owned());
            continue;
        }
        for (right, key) in [(true, "right"), (false, "wrong")] {
            for text in line[key].as_array().unwrap() {
                let text = text.as_str().unwrap();
                let count = counts.entry(name.to_owned()).or_default();
                (count.0, count.1) = (count.0 + 1, count.1 + usize::from(right));
                let known = DIFFERENCES.iter().any(|d| d.0 == name && d.1 == text);
                if is_right(name, &item, text) != right && !known {
                    others.push(format!(
                        "{name}: {text:?} of {:?} is {key} there",
                        item.answer
                    ));
                }
            }
        }
    }
    for (name, (texts, right)) in &counts {
        println!("{name:<20} {texts:>5} texts, {right} right");
        assert!(
            *texts >= 200 && *right >= 20 && texts - right >= 20,
            "{name} shows little"
        );
    }
    assert!(prompted.len() >= 9, "prompts of {prompted:?} alone");
    assert!(
        others.is_empty(),
        "{} differ:\n{}",
        others.len(),
        others.join("\n")
    );
    for compared in RULES
        .iter()
        .filter(|r| r.compared && r.benchmark != "mathvista")
    {
        assert!(
            counts.contains_key(&compared.name()),
            "{} says that it is compared",
            compared.name()
        );
    }
}

#[test]
fn every_benchmark_has_its_prompt_and_reads_its_own_answers() {
    let lettered = item(&serde_json::json!({
        "index": 1, "question": "Which?", "hint": "Look.", "A": "red", "B": "blue", "C": "green", "D": "grey", "answer": "B",
    }));
    for rule in RULES {
        let mut item = lettered.clone();
        match (rule.benchmark, rule.tool) {
            ("mme", _) | ("custom", "yes-no") => {
                (item.answer, item.options) = ("Yes".into(), Vec::new());
            }
            ("classification", _) => item.answer = "blue".into(),
            ("chartqa", _) => (item.answer, item.options) = ("12".into(), Vec::new()),
            _ => {}
        }
        let said = (rule.prompt)(&item);
        assert!(said.contains("Which?"), "{}: {said}", rule.name());
        let (answer, verdict) = rule.score(&item, &item.answer);
        let open = [
            "mmvet/llava",
            "mmvet/lmms-eval",
            "llavaw/llava",
            "classification/judged",
        ];
        let expected = if open.contains(&rule.name().as_str()) {
            Verdict::Unjudged
        } else {
            Verdict::Correct
        };
        assert_eq!(verdict, expected, "{}: {answer:?}", rule.name());
    }
    // MMVP's swapped answers are put right where that is asked for.
    let swapped = |id: &str| {
        item(&serde_json::json!({"index": id, "question": "?", "A": "x", "B": "y", "answer": "A"}))
    };
    for (name, id, right) in [
        ("mmvp", "99", "A"),
        ("mmvp/corrected", "99", "B"),
        ("mmvp/corrected", "98", "A"),
    ] {
        assert_eq!(
            rule(name).unwrap().score(&swapped(id), right).1,
            Verdict::Correct,
            "{name} {id}"
        );
    }
    // A class is named where its words stand by themselves; of two that overlap the longer one.
    let classes = item(&serde_json::json!({
        "index": 1, "question": "?", "options": ["cat", "wild cat", "dog", "nan"], "answer": "wild cat",
    }));
    let named = |text: &str| rule("classification").unwrap().score(&classes, text);
    assert_eq!(
        named("It is a Wild Cat."),
        (Some("wild cat".into()), Verdict::Correct)
    );
    assert_eq!(named("a cat").1, Verdict::Wrong);
    for unparsed in ["a cat or a dog", "concatenated", "", "é"] {
        assert_eq!(named(unparsed), (None, Verdict::Unparsed), "{unparsed}");
    }
    let first = |name: &str| rule(name).unwrap().tool;
    assert_eq!((first("sqa"), first("sqa/llava")), ("lmms-eval", "llava"));
    assert!(rule("sqa/nobody").is_none() && rule("nothing").is_none());
}

#[test]
fn a_precision_is_only_a_number() {
    let item = |precision: &str| {
        let fields = [("answer_type", "float"), ("precision", precision)];
        let fields = fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        Item {
            fields,
            ..Item::default()
        }
    };
    for (precision, said) in [
        ("1", "1.2"),
        ("1e300", "1.25"),
        ("-3", "1.0"),
        ("NaN", "1.0"),
        ("many", "1.0"),
    ] {
        assert_eq!(
            normal_math(&item(precision), "1.25").as_deref(),
            Some(said),
            "{precision}"
        );
    }
}
