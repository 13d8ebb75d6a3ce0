//! Public tables: what lmms-eval's own code makes of them, in every format; and files that are
//! wrong, on purpose or by chance.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use scotoma::benchmark::data::{
    Cells, ColumnMapping, ColumnRole, ItemReader, PictureSource, RowContext, map,
};
use scotoma::benchmark::{Item, Verdict, rule};
use scotoma::vision;
use scotoma_client::Parquet;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Written by tests/tables/make.py alone.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tables");
const EXPECTED: &str = include_str!("../tables/expected.json");

fn table(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{name}.parquet"))
}

fn items(path: &Path, rule: &str) -> Vec<Item> {
    ItemReader::open_as(path, ColumnMapping::of(rule))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// The digest of a picture's pixels, as make.py takes it of Pillow's.
fn digest(picture: &[u8]) -> String {
    let rgb = vision::decode(picture, 1 << 20).unwrap();
    let mut digest = Sha256::new();
    digest.update(format!("{} {} ", rgb.width, rgb.height));
    digest.update(&rgb.data);
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

/// The rows of a Parquet file as JSON lines, and as a table of texts with `delimiter`.
fn written(folder: &Path, name: &str, delimiter: Option<char>) -> PathBuf {
    let mut file = Parquet::open(table(name)).unwrap();
    let names = file.columns().to_vec();
    let ending = match delimiter {
        None => "jsonl",
        Some(',') => "csv",
        Some(_) => "tsv",
    };
    let quoted = |text: String| format!("\"{}\"", text.replace('"', "\"\""));
    let join = |cells: Vec<String>| cells.join(&delimiter.unwrap_or('\t').to_string());
    let mut out = if delimiter.is_some() {
        join(names.iter().cloned().map(quoted).collect()) + "\n"
    } else {
        String::new()
    };
    for row in &mut file {
        let row = row.unwrap();
        let text = |name: &String| match &row[name] {
            Value::Null => String::new(),
            Value::String(text) => quoted(text.clone()),
            // As pandas writes an object: Python's words for it.
            other => quoted(python(other)),
        };
        match delimiter {
            Some(_) => writeln!(out, "{}", join(names.iter().map(text).collect())).unwrap(),
            None => writeln!(out, "{}", Value::Object(row)).unwrap(),
        }
    }
    let path = folder.join(format!("{name}.{ending}"));
    std::fs::write(&path, out).unwrap();
    path
}

/// `repr` of a value.
fn python(value: &Value) -> String {
    let text = |text: &str| {
        format!(
            "'{}'",
            text.replace('\\', "\\\\")
                .replace('\'', "\\'")
                .replace('\n', "\\n")
        )
    };
    match value {
        Value::Null => "None".into(),
        Value::Bool(truth) => if *truth { "True" } else { "False" }.into(),
        Value::Number(number) => number.to_string(),
        Value::String(words) => text(words),
        Value::Array(all) => format!(
            "[{}]",
            all.iter().map(python).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(object) => {
            let cell =
                |(name, value): (&String, &Value)| format!("{}: {}", text(name), python(value));
            format!(
                "{{{}}}",
                object.iter().map(cell).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

#[test]
fn public_tables_are_read_as_lmms_eval_reads_them() {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut tables, mut rows) = (0, 0);
    for (name, expected) in expected["tables"].as_object().unwrap() {
        let rule = rule(&format!("{name}/lmms-eval"))
            .or_else(|| rule(name))
            .unwrap();
        let formats =
            [None, Some('\t'), Some(',')].map(|delimiter| written(folder.path(), name, delimiter));
        for path in [table(name)].iter().chain(&formats) {
            let found = items(path, name);
            let at = path.display();
            assert_eq!(found.len(), expected.as_array().unwrap().len(), "{at}");
            for (item, own) in found.iter().zip(expected.as_array().unwrap()) {
                let id = own["id"].as_str().unwrap();
                assert_eq!(item.id, id, "{at}");
                assert_eq!(
                    (rule.prompt)(item),
                    own["prompt"].as_str().unwrap(),
                    "{at}, {id}"
                );
                assert_eq!(json!(item.options), own["options"], "{at}, {id}");
                let pictures: Vec<String> = item.images.iter().map(|i| digest(i)).collect();
                assert_eq!(json!(pictures), own["pictures"], "{at}, {id}");
                assert_eq!(
                    (rule.group)(item).unwrap(),
                    own["group"].as_str().unwrap(),
                    "{at}, {id}"
                );
                if let Some(category) = own["category"].as_str() {
                    assert_eq!(item.category, category, "{at}, {id}");
                }
                let answer = own["answer"].as_str().unwrap();
                match item
                    .answer_place()
                    .and_then(|place| item.letters().nth(place))
                {
                    Some(letter) => {
                        assert!(
                            letter.to_string() == answer || item.answer == answer,
                            "{at}, {id}: {letter}"
                        );
                    }
                    None => assert_eq!(item.answer, answer, "{at}, {id}"),
                }
                let verdict = rule.verdict(
                    item,
                    &if name == "mme" {
                        answer.to_lowercase()
                    } else {
                        answer.to_owned()
                    },
                );
                assert!(
                    matches!(verdict, Verdict::Correct | Verdict::Unjudged),
                    "{at}, {id}: {answer} is {verdict:?}"
                );
                rows += 1;
            }
        }
        tables += 1;
    }
    println!("{tables} tables, {rows} rows in four formats");
    assert_eq!(tables, 10);
}

#[test]
fn pictures_beside_a_table_and_every_encoding_are_read() {
    let found = items(&table("paths"), "");
    let beside = |i: usize| std::fs::read(Path::new(FOLDER).join(format!("scene{i}.png"))).unwrap();
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(i, item)| item.images == [beside(i)])
    );
    let found = items(&table("encodings"), "");
    assert_eq!(found.len(), 40);
    for (i, item) in found.iter().enumerate() {
        assert_eq!(
            (item.id.as_str(), item.question.as_str()),
            (&*format!("row {i}"), "Are they the same?")
        );
        assert_eq!(
            (item.images.len(), item.field("score")),
            (2, &*format!("{:.1}", 1.0 + i as f64))
        );
        assert_ne!(digest(&item.images[0]), digest(&item.images[1]));
    }
}

/// Maps a row of a manifest.
fn mapped(rule: &str, row: &Value) -> Result<(Item, Vec<(String, ColumnRole)>), String> {
    let reading = ColumnMapping::of(rule);
    let cells = row.as_object().unwrap().clone();
    map(
        cells,
        RowContext {
            reading: &reading,
            number: 1,
            pictured: false,
        },
        &mut Nothing,
    )
    .map(|m| (m.item, m.taken))
}

struct Nothing;

impl PictureSource for Nothing {
    fn file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        if name == "there.png" {
            Ok(b"picture".to_vec())
        } else {
            Err(format!("{name}: no such file"))
        }
    }

    fn row(&mut self, index: &str) -> Result<Vec<u8>, String> {
        Err(format!("no row {index}"))
    }
}

#[test]
fn nothing_is_passed_over_in_silence() {
    let base = json!({"index": 1, "question": "Which?", "image": "there.png"});
    let with = |more: Value| {
        let mut row = base.as_object().unwrap().clone();
        row.extend(more.as_object().unwrap().clone());
        row.retain(|_, value| value != "-");
        Value::Object(row)
    };
    let wrong = [
        (with(json!({"image": null})), "image: empty"),
        (
            with(json!({"image": {"bytes": null, "path": null}})),
            "image: empty",
        ),
        (with(json!({"image": "nan"})), "image: "),
        (
            with(json!({"image": "gone.png"})),
            "image: gone.png: no such file",
        ),
        (
            with(json!({"image": "-", "photo": "there.png"})),
            "photo: it looks like a picture",
        ),
        (
            with(json!({"image": "-", "scene": "there.png"})),
            "scene: it looks like a picture",
        ),
        (
            with(json!({"extra": {"bytes": "iVBORw0KGgo=", "path": null}})),
            "extra: it looks like a picture",
        ),
        (
            with(json!({"second_image": "data:image/png;base64,iVBORw0KGgo="})),
            "second_image: it looks like a picture",
        ),
        (
            with(json!({"image_1": "there.png"})),
            "image_1: it looks like a picture, and image is one",
        ),
        (
            with(json!({"image": "-", "image_1": null, "image_2": "there.png"})),
            "image_2: image_1 is empty",
        ),
        (
            with(json!({"candidates": ["x", "y"]})),
            "candidates: it looks like options",
        ),
        (with(json!({"options": "x"})), "options: \"x\" is one text"),
        (
            with(json!({"options": ["x", null]})),
            "options: option 2 of the list is empty",
        ),
        (
            with(json!({"options": ["x", " ", "z"]})),
            "options: option 2 of the list is empty",
        ),
        (with(json!({"question": " "})), "question: empty"),
        (
            with(json!({"options": ["x", "y"], "choices": ["x", "z"]})),
            "choices: other options than options",
        ),
        (
            with(json!({"A": "x", "C": "z"})),
            "C: there is no option before it",
        ),
        (
            with(json!({"option0": "x", "option2": "z"})),
            "option2: there is no option before it",
        ),
        (
            with(json!({"solution_label": "x"})),
            "solution_label: it looks like an answer",
        ),
        (
            with(json!({"options": ["x", "y"], "answer": "purple"})),
            "answer: \"purple\" is none of the options",
        ),
        (
            with(json!({"options": ["x", "y"], "answer": 2})),
            "answer: 2, the options are 0 to 1",
        ),
        (
            with(json!({"options": ["x", "y"], "answer": "C"})),
            "answer: \"C\", the options are A to B",
        ),
        (
            with(json!({"options": ["1", "2"], "answer": 1})),
            "answer: 1 is option 1, counted from 0",
        ),
        (
            with(json!({"answer": "x", "label": "y"})),
            "label: it says another answer than answer",
        ),
        (with(json!({"question": ""})), "question: empty"),
        (with(json!({"index": ""})), "index: empty"),
        (
            with(json!({"Question": "Who?"})),
            "question: Question is the same name, and says something else; --column \
             question=question takes it",
        ),
        (
            with(json!({"image": "there.png", "picture": "also.png"})),
            "picture: it looks like a picture, and image is one",
        ),
        (
            with(json!({"options": ["x"]})),
            "options: \"x\" alone, which leaves nothing to choose",
        ),
        (with(json!({"A": "x", "B": ""})), "options: \"x\" alone"),
        (with(json!({"gold": "x"})), "gold: it looks like an answer"),
        (
            with(json!({"options": ["red", "red"], "answer": "red"})),
            "answer: \"red\" says 2 of the options",
        ),
    ];
    for (row, start) in wrong {
        let error = mapped("", &row).map(|(item, _)| item).unwrap_err();
        assert!(error.starts_with(start), "{row}: {error}, expected {start}");
    }
    for row in [
        json!({"option_count": 0}),
        json!({"Question": "Which?"}),
        json!({"Question": ""}),
        json!({"image_path": "folder/there.png"}),
        json!({"answer": "x", "gold": "y"}),
        json!({"options": ["x", "x"], "answer": "B"}),
    ] {
        let row = with(row);
        assert!(mapped("", &row).is_ok(), "{row}: {:?}", mapped("", &row));
    }
    let blind = with(json!({"image": "-"}));
    assert!(mapped("", &blind).is_ok(), "a question may have no picture");
    assert!(
        mapped("mmvp", &blind)
            .unwrap_err()
            .starts_with("image: there is none, and mmvp asks about pictures")
    );
    assert!(
        mapped("sqa", &with(json!({"image": null}))).is_ok(),
        "ScienceQA has such questions"
    );
}

#[test]
fn words_that_pandas_takes_for_nothing_are_words() {
    for word in ["N/A", "nan", "NaN", "None", "null", "NA"] {
        let row = json!({"index": "1", "question": "Which?", "A": word, "B": "x", "C": "", "answer": word});
        let (item, _) = mapped("", &row).unwrap();
        assert_eq!(
            (item.options.as_slice(), item.answer_place()),
            ([word.to_owned(), "x".into()].as_slice(), Some(0))
        );
        let (item, _) = mapped(
            "",
            &json!({"index": "1", "question": "Which?", "answer": word}),
        )
        .unwrap();
        assert_eq!(item.answer, word);
    }
}

#[test]
fn what_was_said_by_a_flag_is_taken() {
    let mut reading = ColumnMapping::default();
    reading.give("answer", "gold").unwrap();
    reading.give("image", "scene").unwrap();
    reading.give("ignore", "answer,thumbnail").unwrap();
    assert!(reading.give("pictures", "x").unwrap_err().contains("image"));
    let row = json!({"q": 1, "question": "Which?", "gold": "b", "answer": "a", "scene": "there.png", "thumbnail": {"bytes": "AA==", "path": null}});
    let place = RowContext {
        reading: &reading,
        number: 7,
        pictured: false,
    };
    let found = map(row.as_object().unwrap().clone(), place, &mut Nothing).unwrap();
    assert_eq!(
        (
            found.item.id.as_str(),
            found.item.answer.as_str(),
            found.item.images.len()
        ),
        ("6", "b", 1)
    );
    assert_eq!(found.item.fields.keys().collect::<Vec<_>>(), ["q"]);
    assert!(
        found
            .taken
            .contains(&("thumbnail".into(), ColumnRole::Ignored))
            && found.taken.contains(&("scene".into(), ColumnRole::Image))
    );
}

#[test]
fn each_of_several_answers_is_right() {
    let row = json!({"index": "1", "question": "Which?", "answer": ["two", "2"]});
    let (item, _) = mapped("", &row).unwrap();
    let rule = rule("custom/short").unwrap();
    assert_eq!(
        ["two", "2", "three"].map(|said| rule.score(&item, said).1),
        [Verdict::Correct, Verdict::Correct, Verdict::Wrong]
    );
    let words =
        json!({"index": "1", "question": "Which?", "options": ["red", "blue"], "answer": "blue"});
    let (item, _) = mapped("", &words).unwrap();
    let letter = self::rule("ai2d").unwrap();
    assert_eq!(
        ["B", "A"].map(|said| letter.score(&item, &format!("{said}.")).1),
        [Verdict::Correct, Verdict::Wrong]
    );
}

/// Runs a benchmark on the embedded model: its summary, and of each result what tells it from
/// others.
fn eval(rule: &str, data: &Path, out: &Path, more: &[&str]) -> (Value, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    command
        .args(["eval", rule, "--json", "--max-tokens", "4", "--data"])
        .arg(data)
        .arg("--out")
        .arg(out)
        .args(more);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = std::fs::read_to_string(out).unwrap();
    let line = |line: &str| {
        let result: Value = serde_json::from_str(line).unwrap();
        assert!(result["recordDigest"].is_string(), "{line}");
        ["id", "group", "verdict", "recordDigest"]
            .map(|name| result[name].to_string())
            .join(" ")
    };
    let mut results: Vec<String> = lines.lines().map(line).collect();
    results.sort();
    (serde_json::from_slice(&output.stdout).unwrap(), results)
}

#[test]
fn a_run_is_the_same_in_every_format_and_counts_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    for rule in ["mmvp", "ai2d"] {
        let formats =
            [None, Some('\t'), Some(',')].map(|delimiter| written(folder.path(), rule, delimiter));
        let (summary, first) = eval(
            rule,
            &table(rule),
            &folder.path().join(format!("{rule}-parquet.out")),
            &[],
        );
        assert_eq!(
            (&summary["results"], &summary["failed"], &summary["skipped"]),
            (&json!(4), &json!(0), &json!(0))
        );
        for path in formats {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let (_, other) = eval(rule, &path, &folder.path().join(format!("{name}.out")), &[]);
            assert_eq!(first, other, "{name}");
        }
    }
    let lines = std::fs::read_to_string(written(folder.path(), "ai2d", None)).unwrap();
    let bad = folder.path().join("bad.jsonl");
    std::fs::write(
        &bad,
        lines + "{\"question\": \"Which?\", \"options\": [\"x\", \"y\"], \"answer\": \"0\", \"image\": \"gone.png\"}\n",
    )
    .unwrap();
    let (summary, _) = eval(
        "ai2d",
        &bad,
        &folder.path().join("bad.out"),
        &["--skip-bad"],
    );
    assert_eq!(
        (&summary["results"], &summary["skipped"]),
        (&json!(4), &json!(1))
    );
}

fn check(arguments: &[&str], path: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_scotoma"))
        .args(["dataset", "check"])
        .arg(path)
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_check_says_what_each_column_is_taken_for() {
    let (good, said) = check(&["--rule", "mathvista"], &table("mathvista"));
    assert!(good, "{said}");
    for line in [
        "5 items, 5 pictures",
        "column \"decoded_image\" -> image",
        "column \"image\" -> a field",
        "column \"choices\" -> options",
        "column \"pid\" -> id",
        "column \"answer\" -> answer",
        "column \"answer_type\" -> a field",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (good, said) = check(&[], &table("mme"));
    assert!(
        good && said.contains("column \"question_id\" -> group") && said.contains("2 groups"),
        "{said}"
    );
    let (good, said) = check(&[], &table("sqa"));
    assert!(!good && said.starts_with("row 2: image: empty"), "{said}");
    let (good, said) = check(&["--rule", "sqa"], &table("sqa"));
    assert!(good && said.contains("1 without a picture"), "{said}");
    let (good, said) = check(&["--column", "answer=nothing"], &table("ai2d"));
    assert!(
        !good
            && said.contains(
                "answer: no column \"nothing\"; there are question, options, answer, image"
            ),
        "{said}"
    );
    let (good, said) = check(&["--column", "picture=image"], &table("ai2d"));
    assert!(!good && said.contains("id, question, image"), "{said}");
}

fn cell() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\[({'\"]{0,3}[A-Da-d0-9)\\].:, 'x\\\\]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "A",
            "(b)",
            "there.png",
            "data:image/png;base64,AA==",
            "['a', 'b']",
            "A. x\nB. y",
            "nan",
            "1.0"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[A-Dbytespathlabel]{1,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_row_panics(
        cells in prop::collection::btree_map(
            prop_oneof![
                prop::sample::select(vec![
                    "index", "question", "image", "images", "image_1", "image_2", "decoded_image", "options", "choices", "option0",
                    "option1", "A", "B", "C", "answer", "label", "Correct Answer", "category", "hint", "metadata", "question_id",
                ]).prop_map(String::from),
                any::<String>(),
            ],
            cell(),
            0..8,
        ),
        rule in prop::sample::select(vec!["", "mmvp", "qbench", "mme", "ai2d", "sqa", "mathvista"]),
    ) {
        let cells: Cells = cells.into_iter().collect();
        let reading = ColumnMapping::of(rule);
        if let Ok(found) = map(cells, RowContext { reading: &reading, number: 3, pictured: false }, &mut Nothing) {
            // What is taken for an item can be asked and judged.
            for rule in scotoma::benchmark::RULES {
                (rule.prompt)(&found.item);
                rule.score(&found.item, "A");
            }
        }
    }

    #[test]
    fn no_line_panics(text in any::<Vec<u8>>(), json in ".{0,80}") {
        let lines = |bytes: &[u8]| ItemReader::json(bytes, PathBuf::new()).take(50).count();
        lines(&text);
        lines(format!("{{\"index\": 1, \"question\": \"?\", \"options\": \"{json}\", \"x\": NaN}}").as_bytes());
        if let Ok(rows) = ItemReader::table(&*[b"index\tquestion\toptions\n", text.as_slice()].concat(), PathBuf::new()) {
            rows.take(50).count();
        }
    }
}
