//! Every command and every flag: with the flag the program does something that it does not do
//! without it, or the flag stands on a list with a reason. A flag that is new and in neither fails;
//! so does one that is accepted and changes nothing.
#![allow(clippy::format_push_string, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The effect of a flag, and how a test sees it.
enum Effect {
    /// The run says or writes something new once these words replace the earlier ones (or are
    /// added, where there are none).
    Says {
        base: Vec<String>,
        with: Vec<String>,
        new: &'static str,
    },
    /// The same, and files or standard output are other ones.
    Differs {
        base: Vec<String>,
        with: Vec<String>,
    },
    /// Not to be seen in what a run says or writes.
    Unseen(#[expect(dead_code, reason = "for readers")] &'static str),
}

type Table = BTreeMap<String, Effect>;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(String::from).collect()
}

/// Runs the program in a new folder that holds copies of the inputs.
struct Runs {
    inputs: tempfile::TempDir,
    known: BTreeMap<Vec<String>, Seen>,
}

/// The output of a run, and the files that it wrote.
#[derive(Clone, PartialEq)]
struct Seen {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Seen {
    fn text(&self) -> String {
        let files = self
            .files
            .iter()
            .map(|(name, bytes)| format!("{name}\n{}", String::from_utf8_lossy(bytes)));
        format!(
            "exit {:?}\n{}\n{}\n{}",
            self.code,
            self.stdout,
            self.stderr,
            files.collect::<Vec<_>>().join("\n")
        )
    }
}

fn files(folder: &Path, root: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, root, found);
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

impl Runs {
    fn new() -> Self {
        let inputs = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = inputs.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let items: Vec<_> = scotoma::benchmark::shapes()
            .unwrap()
            .into_iter()
            .filter(|i| i.options.len() == 4)
            .take(4)
            .collect();
        let mut table = "index\timage\tquestion\tA\tB\tanswer\tcategory\n".to_owned();
        let mut classes = String::new();
        for (i, item) in items.iter().enumerate() {
            let image = STANDARD.encode(&item.images[0]);
            table += &format!(
                "{}\t{image}\t{}\tred\tblue\tA\tcount\n",
                i + 1,
                item.question
            );
            let row = serde_json::json!({
                "index": item.id, "question": item.question, "image": image, "options": ["red", "blue"], "answer": "red",
            });
            classes += &format!("{row}\n");
        }
        write("picture.png", &crate::common::picture());
        write("items.tsv", table.as_bytes());
        write(
            "bad.tsv",
            format!("{table}9\t!!\tWhich?\tred\tblue\tA\tcount\n").as_bytes(),
        );
        write("papers/MMVP.tsv", table.as_bytes());
        write("classes/Pets.jsonl", classes.as_bytes());
        write(
            "open.tsv",
            b"index\tquestion\tanswer\tcategory\n1\tWhat is it?\tred\trec\n",
        );
        write("others/1.png", &crate::common::picture());
        write("text.txt", b"no certificate");
        let talk = r#"[{"role": "user", "content": [{"type": "image", "path": "picture.png"}, {"type": "text", "text": "Answer in one word: which?"}]}]"#;
        write("talk.json", talk.as_bytes());
        write(
            "variants.json",
            br#"[{"interventions": [{"permuteTokens": {"seed": "77"}}]}]"#,
        );
        Self {
            inputs,
            known: BTreeMap::new(),
        }
    }

    fn run(&self, arguments: &[String]) -> Seen {
        self.run_with(&[], arguments)
    }

    /// Runs the program with variables of the environment.
    fn run_with(&self, set: &[(&str, &str)], arguments: &[String]) -> Seen {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs = BTreeMap::new();
        files(self.inputs.path(), self.inputs.path(), &mut inputs);
        for (name, bytes) in &inputs {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
        let variables = std::env::vars()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("SCOTOMA_"));
        for name in variables {
            command.env_remove(name);
        }
        let output = command
            .args(arguments)
            // No server comes here that is not there.
            .env("SCOTOMA_PATIENCE", "0")
            .envs(set.iter().copied())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let mut written = BTreeMap::new();
        files(folder.path(), folder.path(), &mut written);
        written.retain(|name, bytes| inputs.get(name) != Some(bytes));
        Seen {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            files: written,
        }
    }

    fn once(&mut self, arguments: &[String]) -> Seen {
        if let Some(known) = self.known.get(arguments) {
            return known.clone();
        }
        let seen = self.run(arguments);
        self.known.insert(arguments.to_vec(), seen.clone());
        seen
    }

    /// Says what is wrong with a flag, if it does not do what it should.
    fn mistake(&mut self, flag: &str, effect: &Effect) -> Option<String> {
        let (base, with) = match effect {
            Effect::Says { base, with, .. } | Effect::Differs { base, with } => (base, with),
            Effect::Unseen(_) => return None,
        };
        assert!(
            with.iter().any(|word| word == flag),
            "{flag} is not in {with:?}"
        );
        let (before, after) = (self.once(base), self.run(with));
        let wrong = |what: &str, seen: &Seen| {
            let names: Vec<&String> = seen.files.keys().collect();
            Some(format!(
                "{with:?}: {what}: {:?}, {}{}{names:?}",
                seen.code, seen.stdout, seen.stderr
            ))
        };
        match effect {
            _ if after.code == Some(2) && after.stderr.contains("try '--help'") => {
                wrong("refused", &after)
            }
            Effect::Says { new, .. } if before.text().contains(new) => {
                wrong(&format!("{new:?} is there without {flag}"), &before)
            }
            Effect::Says { new, .. } if !after.text().contains(new) => {
                wrong(&format!("no {new:?}"), &after)
            }
            Effect::Differs { .. } if before.code != Some(0) => wrong("failed without it", &before),
            Effect::Differs { .. } if after.code != Some(0) => wrong("failed", &after),
            Effect::Differs { .. } => {
                let again = self.run(base);
                if (&again.stdout, &again.files) != (&before.stdout, &before.files) {
                    return Some(format!(
                        "{base:?}: it varies by itself: {} and {}",
                        before.stdout, again.stdout
                    ));
                }
                let same = (&after.stdout, &after.files) == (&before.stdout, &before.files);
                if same {
                    wrong("it changes nothing", &after)
                } else {
                    None
                }
            }
            Effect::Says { .. } | Effect::Unseen(_) => None,
        }
    }
}

/// The flags of a command, without those that every command has.
fn flags(name: &str) -> BTreeSet<String> {
    let mut command = scotoma::cli::command();
    command.build();
    let mut own = &command;
    for part in name.split(' ') {
        own = own
            .find_subcommand(part)
            .unwrap_or_else(|| panic!("no command {name}"));
    }
    let listed = own
        .get_arguments()
        .filter(|a| !["help", "version", "threads"].contains(&a.get_id().as_str()));
    listed
        .filter_map(|a| a.get_long().map(|long| format!("--{long}")))
        .collect()
}

/// Every flag of a command has its effect.
fn walk(name: &str, table: &Table) {
    let (there, known) = (flags(name), table.keys().cloned().collect::<BTreeSet<_>>());
    let new: Vec<_> = there.difference(&known).collect();
    assert!(
        new.is_empty(),
        "{name}: say in this test what {new:?} change"
    );
    let gone: Vec<_> = known.difference(&there).collect();
    assert!(gone.is_empty(), "{name} has no {gone:?}");
    each_works(&mut Runs::new(), table);
}

fn each_works(runs: &mut Runs, table: &Table) {
    let mistakes: Vec<String> = table
        .iter()
        .filter_map(|(flag, effect)| runs.mistake(flag, effect))
        .collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n\n"));
}

fn says(table: &mut Table, base: &str, flag: &str, new: &'static str) {
    let (base, with) = (words(base), words(&format!("{base} {flag}")));
    table.insert(
        flag.split(' ').next().unwrap().into(),
        Effect::Says { base, with, new },
    );
}

fn differs(table: &mut Table, base: &str, flag: &str) {
    let (base, with) = (words(base), words(&format!("{base} {flag}")));
    table.insert(
        flag.split(' ').next().unwrap().into(),
        Effect::Differs { base, with },
    );
}

fn unseen(table: &mut Table, flag: &str, why: &'static str) {
    table.insert(flag.into(), Effect::Unseen(why));
}

/// The flags that say which server is asked.
fn remote(table: &mut Table, base: &str) {
    let nobody = "--server https://127.0.0.1:1";
    says(
        table,
        base,
        "--server http://127.0.0.1:1",
        "--server http://127.0.0.1:1: cannot reach",
    );
    says(
        table,
        &format!("{base} {nobody}"),
        "--api-key a\u{7}b",
        "the key is no text of ASCII letters",
    );
    says(
        table,
        &format!("{base} --server http://127.0.0.1:1"),
        "--patience 1",
        "waiting for a server, up to 1 s (--patience)",
    );
    trust(table, &format!("{base} {nobody}"));
}

fn trust(table: &mut Table, base: &str) {
    says(
        table,
        base,
        "--server-ca missing.pem",
        "--server-ca missing.pem",
    );
    says(
        table,
        base,
        "--client-cert missing.pem --client-key text.txt",
        "--client-cert missing.pem",
    );
    says(
        table,
        &format!("{base} --client-cert text.txt"),
        "--client-key missing.pem",
        "--client-key missing.pem",
    );
    // It needs the other one, so that there is no run without it.
    if let Some(Effect::Says { base: alone, .. }) = table.get_mut("--client-key") {
        *alone = words(base);
    }
}

/// The flags that say what model answers; `dtype` is what is new where it is bf16 (none: files
/// differ).
fn served(table: &mut Table, base: &str, dtype: Option<&'static str>) {
    remote(table, base);
    says(table, base, "--model no-such", "--model no-such");
    says(
        table,
        &format!("{base} --model shapes"),
        "--adapter no-such",
        "--adapter no-such",
    );
    let missing = "--sae mine=no-such";
    says(table, base, missing, missing);
    let missing = "--lens mine=no-such";
    says(table, base, missing, missing);
    says(
        table,
        base,
        "--image-processor no-such",
        "--image-processor no-such",
    );
    says(
        table,
        base,
        "--chat-template no-such",
        "--chat-template no-such",
    );
    if !cfg!(feature = "cuda") {
        says(
            table,
            base,
            "--device cuda:0",
            "--device cuda:0: this binary was built without the cuda feature",
        );
    }
    match dtype {
        Some(new) => says(table, base, "--dtype bf16", new),
        None => differs(table, base, "--dtype bf16"),
    }
}

/// The interventions: with a record the plan is there to be seen.
fn interventions(table: &mut Table, base: &str, differ: bool) {
    let all = [
        ("--occlude cell:0,1", "\"occludePatches\""),
        ("--drop-tower-layers 0", "STACK_VISION_TOWER"),
        ("--swap-projector random:3", "\"swapProjector\""),
        ("--permute 5", "\"permuteTokens\""),
        ("--drop-layers 3", "\"dropLayers\""),
        (
            "--intervene {\"blankImage\":{\"colour\":\"COLOUR_WHITE\"}}",
            "COLOUR_WHITE",
        ),
    ];
    for (flag, new) in all {
        if differ {
            differs(table, base, flag);
        } else {
            says(table, base, flag, new);
        }
    }
}

fn judge(table: &mut Table, base: &str) {
    let alone = |table: &mut Table, flag: &str| {
        if let Some(Effect::Says { base: own, .. }) = table.get_mut(flag) {
            *own = words(base);
        }
    };
    says(
        table,
        &format!("{base} --judge-model wise"),
        "--judge ftp://a",
        "--judge ftp://a: http://",
    );
    alone(table, "--judge");
    says(
        table,
        &format!("{base} --judge http://127.0.0.1:1/v1"),
        "--judge-model wise",
        "wise",
    );
    alone(table, "--judge-model");
    let asked = format!("{base} --judge http://127.0.0.1:1/v1 --judge-model w");
    says(
        table,
        &asked,
        "--judge-prompt grade=missing.txt",
        "--judge-prompt grade=missing.txt",
    );
    alone(table, "--judge-prompt");
    unseen(
        table,
        "--judge-key",
        "the judge alone sees it: a_judge_grades_what_no_rule_can",
    );
}

fn common_of(table: &mut Table, base: &str, tokens: &'static str) {
    says(table, base, "--max-tokens 7", tokens);
    says(table, base, "--multi-image tiled", "MULTI_IMAGE_TILED");
    unseen(
        table,
        "--column",
        "dataset check reads tables so, too, and shows it",
    );
}

#[test]
fn generate() {
    let mut table = Table::new();
    let base = "generate picture.png Which? --record record.json";
    served(&mut table, base, Some("\"bf16\""));
    interventions(&mut table, base, false);
    says(&mut table, base, "--max-tokens 1", ", 1 generated in");
    asked(&mut table, base);
    chosen(&mut table, base);
    says(&mut table, base, "--logprobs 2", "topLogprobs");
    says(&mut table, base, "--json", "{\"finished\":{");
    for (flag, new) in [
        ("--temperature 0.7", "\"temperature\": 0.7"),
        ("--top-k 5 --temperature 0.7", "\"topK\": 5"),
        ("--top-p 0.5 --temperature 0.7", "\"topP\": 0.5"),
        ("--min-p 0.1 --temperature 0.7", "\"minP\": 0.1"),
    ] {
        says(&mut table, base, flag, new);
    }
    says(
        &mut table,
        "generate picture.png Which?",
        "--record record.json",
        "record.json",
    );
    walk("generate", &table);
}

/// The flags of what the model reads; the words of the record are to be seen in `base`.
fn asked(table: &mut Table, base: &str) {
    says(table, base, "--system Briefly.", "Briefly.");
    says(table, base, "--sample-key one-of-many", "one-of-many");
    let with = base.replace("picture.png Which?", "--messages talk.json");
    let (base, with) = (words(base), words(&with));
    let new = "Answer in one word";
    table.insert("--messages".into(), Effect::Says { base, with, new });
}

/// The flags of how tokens are chosen, likewise.
fn chosen(table: &mut Table, base: &str) {
    for (flag, new) in [
        ("--temperature 0.7", "temperature"),
        ("--top-k 5 --temperature 0.7", "topK"),
        ("--top-p 0.5 --temperature 0.7", "topP"),
        ("--min-p 0.1 --temperature 0.7", "minP"),
        ("--typical-p 0.9 --temperature 0.7", "typicalP"),
        ("--top-h 0.9 --temperature 0.7", "topH"),
        ("--epsilon-cutoff 0.01 --temperature 0.7", "epsilonCutoff"),
        ("--eta-cutoff 0.01 --temperature 0.7", "etaCutoff"),
        ("--seed 12345 --temperature 0.7", "12345"),
        ("--repetition-penalty 1.25", "1.25"),
        ("--no-repeat-ngram-size 3", "gramSize"),
        ("--min-tokens 4", "minTokens"),
        ("--suppress-tokens 3,4", "suppressTokens"),
        ("--logit-bias 3=-2.5", "-2.5"),
        ("--stop xyzzy", "xyzzy"),
        ("--do-sample", "doSample"),
        ("--ignore-generation-config", "ignoreGenerationConfig"),
    ] {
        says(table, base, flag, new);
    }
}

#[test]
fn score() {
    let mut table = Table::new();
    let base = "score picture.png Which? -c Yes --record record.json";
    served(&mut table, base, Some("\"bf16\""));
    interventions(&mut table, base, false);
    asked(&mut table, base);
    says(&mut table, base, "--continuation Nevermore", "Nevermore");
    says(&mut table, base, "--json", "{\"scores\":");
    differs(&mut table, base, "--logprobs");
    says(
        &mut table,
        "score picture.png Which? -c Yes",
        "--record record.json",
        "record.json",
    );
    walk("score", &table);
}

#[test]
fn sweep() {
    let mut table = Table::new();
    let base = "sweep picture.png Which? --variant plain=[] --out results.jsonl";
    served(&mut table, base, Some("\"bf16\""));
    interventions(&mut table, base, false);
    asked(&mut table, base);
    chosen(&mut table, base);
    says(
        &mut table,
        base,
        "--variant mine=[]",
        "\"variant\":\"mine\"",
    );
    says(&mut table, base, "--max-tokens 1", "maxTokens");
    says(&mut table, base, "--continuation Yes", "mean logprob");
    says(&mut table, base, "--json", "{\"finished\":{");
    let bare = "sweep picture.png Which? --variant plain=[]";
    says(&mut table, bare, "--out other.csv", "\"generation_tokens\"");
    for (flag, new) in [
        ("--axis permute=1,2", "{\"permute\":2}"),
        ("--grid variants.json", "\"seed\":\"77\""),
    ] {
        let with = words(&base.replace("--variant plain=[]", flag));
        let name = flag.split(' ').next().unwrap().into();
        let base = words(base);
        table.insert(name, Effect::Says { base, with, new });
    }
    walk("sweep", &table);
}

/// A row of a sweep is the answer of a request of its own, whatever way its variant was given.
#[test]
fn sweeps_answer_as_single_requests_do() {
    let runs = Runs::new();
    let question = "picture.png Which? --max-tokens 8";
    let alone: Vec<String> = (0..3)
        .map(|layer| {
            let seen = runs.run(&words(&format!(
                "generate {question} --drop-layers {layer}"
            )));
            seen.stdout.trim_end_matches('\n').to_owned()
        })
        .collect();
    let field = "interventions[0].drop_layers.layers[0]";
    for variants in [
        "--axis drop-layers=0..2".to_owned(),
        format!("--drop-layers 7 --axis {field}=0,1,2"),
    ] {
        let line = format!("sweep {question} {variants} --out all.csv");
        let seen = runs.run(&words(&line));
        assert_eq!(seen.code, Some(0), "{}", seen.text());
        let csv = String::from_utf8_lossy(&seen.files["all.csv"]).into_owned();
        assert_eq!(csv.lines().count(), 4, "{csv}");
        for (layer, answer) in alone.iter().enumerate() {
            let row = format!("{layer},{layer},\"{answer}\",");
            assert!(csv.contains(&row), "{row} is not in {csv}");
            assert!(seen.stdout.contains(answer), "{}", seen.text());
        }
    }
    // A variant that cannot be run is a row, and the others go on; where none can, it is an error.
    let line = format!("sweep {question} --axis drop-layers=1,99");
    let seen = runs.run(&words(&line));
    assert_eq!(seen.code, Some(0), "{}", seen.text());
    assert!(seen.stdout.contains("error: "), "{}", seen.text());
    assert!(seen.stderr.contains("2 variants, 1 of them errors"));
    let seen = runs.run(&words(&line.replace("=1,99", "=98,99")));
    assert_eq!(seen.code, Some(1), "{}", seen.text());
}

#[test]
fn trace() {
    let mut table = Table::new();
    let plain = "trace picture.png Which? --answer Yes --positions last --record record.json";
    let base = format!("{plain} --layers 0 --corrupted-question What?");
    served(&mut table, &base, Some("\"bf16\""));
    interventions(&mut table, &base, false);
    // It makes a conversation, which interventions corrupt.
    let talk = format!("{plain} --layers 0 --occlude cell:7");
    says(&mut table, &talk, "--system Briefly.", "Briefly.");
    says(&mut table, &base, "--sample-key one-of-many", "one-of-many");
    says(&mut table, &base, "--other No", "logprobDifference");
    says(&mut table, &base, "--metric divergence", "divergence");
    says(&mut table, &base, "--point mlp_out", "hook_mlp_out");
    says(&mut table, &base, "--noise", "TRACE_DIRECTION_NOISE");
    says(&mut table, &base, "--json", "{\"finished\":{");
    says(&mut table, &base, "--out other.csv", "point,layer,position");
    let heads = format!("{base} --point z");
    says(&mut table, &heads, "--each-head", "eachHead");
    let missing = "--corrupted-image no-such.png";
    says(&mut table, &base, missing, "no-such.png");
    says(
        &mut table,
        plain,
        "--corrupted-question What?",
        "rows computed",
    );
    says(
        &mut table,
        plain,
        "--layers 3 --occlude cell:7",
        "layers\\\":[3]",
    );
    let hidden = "trace picture.png Which? --occlude cell:7 --layers 0";
    says(
        &mut table,
        hidden,
        "--answer Yes --positions last",
        "rows computed",
    );
    let answered = format!("{hidden} --answer Yes");
    says(&mut table, &answered, "--mediation", "total effect");
    says(
        &mut table,
        &answered,
        "--record record.json --positions last",
        "record.json",
    );
    let recorded = format!("{answered} --record record.json");
    says(&mut table, &recorded, "--positions last", "NAMED_LAST");
    says(&mut table, &recorded, "--blocks 2", "patches");
    let with = recorded.replace("picture.png Which?", "--messages talk.json");
    let (base, with) = (words(&recorded), words(&with));
    let new = "Answer in one word";
    table.insert("--messages".into(), Effect::Says { base, with, new });
    walk("trace", &table);
}

#[test]
fn attribute() {
    let mut table = Table::new();
    let plain = "attribute picture.png Which? --answer Yes --record record.json";
    let base = format!("{plain} --layers 0");
    served(&mut table, &base, Some("\"bf16\""));
    interventions(&mut table, &base, false);
    // What acts in between would be no part of the way back.
    says(&mut table, &base, "--permute 5", "permute");
    says(&mut table, &base, "--system Briefly.", "Briefly.");
    says(&mut table, &base, "--sample-key one-of-many", "one-of-many");
    // Of answers that differ before their last token the field is blamed.
    says(&mut table, &base, "--other No", "ifference");
    says(&mut table, &base, "--probability", "probability");
    says(
        &mut table,
        &base,
        "--method gradient",
        "METHOD_GRADIENT\\\"",
    );
    says(&mut table, plain, "--layers 3", "layers\\\":[3]");
    let point = "--point language_model.blocks.{l}.hook_mlp_out";
    says(&mut table, &base, point, "hook_mlp_out");
    says(&mut table, &base, "--json", "{\"finished\":{");
    says(&mut table, &base, "--out other.csv", "point,image,view");
    let missing = "--source-image no-such.png";
    says(&mut table, &base, missing, "no-such.png");
    let patching = format!("{base} --method patching");
    let white = "--source-intervene {\"blankImage\":{\"colour\":\"COLOUR_WHITE\"}}";
    says(&mut table, &patching, white, "COLOUR_WHITE");
    let between = format!("{patching} {white} --point language_model.blocks.{{l}}.hook_resid_pre");
    says(&mut table, &between, "--steps 4", "steps\\\":4");
    let unanswered = "attribute picture.png Which? --layers 0";
    says(&mut table, unanswered, "--answer Yes", "metric");
    let answered = format!("{unanswered} --answer Yes");
    says(&mut table, &answered, "--record record.json", "record.json");
    let with = base.replace("picture.png Which?", "--messages talk.json");
    let (base, with) = (words(&base), words(&with));
    let new = "Answer in one word";
    table.insert("--messages".into(), Effect::Says { base, with, new });
    walk("attribute", &table);
}

/// Programs read standard output: every line is JSON, and nothing else is there.
#[test]
fn json_is_all_that_stands_in_standard_output() {
    let runs = Runs::new();
    for (line, field) in [
        (
            "generate picture.png Which? --max-tokens 2 --json",
            "finished",
        ),
        ("score picture.png Which? -c Yes -c No --json", "scores"),
        (
            "sweep picture.png Which? --axis permute=1 --json",
            "finished",
        ),
        (
            "trace picture.png Which? --occlude cell:7 --answer Yes --layers 0 --positions last --json",
            "finished",
        ),
        (
            "attribute picture.png Which? --answer Yes --layers 0 --json",
            "finished",
        ),
        ("preview picture.png --json", "gridRows"),
        (
            "capture picture.png Which? projector.hook_out --json",
            "tensors",
        ),
        ("hooks --json", "hookPoints"),
        ("models --json", "models"),
        ("eval list --json", "about"),
        ("eval pruning --json", "kept"),
        ("eval shapes --limit 1 --json", "metrics"),
        ("experiment list --json", "title"),
        ("dataset check items.tsv --json", "columns"),
        ("key alice --json", "line"),
        ("serve --check --json", "devices"),
        ("certificate localhost --json", "files"),
    ] {
        let seen = runs.run(&words(line));
        assert_eq!(seen.code, Some(0), "{line}: {}", seen.text());
        let values = serde_json::Deserializer::from_str(&seen.stdout);
        let values: Vec<serde_json::Value> = values
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|e| panic!("{line}: {e} in {}", seen.stdout));
        let last = values.last().unwrap_or_else(|| panic!("{line}: nothing"));
        assert!(last.get(field).is_some(), "{line}: {last}");
    }
}

#[test]
fn hooks() {
    let mut table = Table::new();
    served(&mut table, "hooks", Some(""));
    unseen(
        &mut table,
        "--dtype",
        "names and shapes are those of any dtype",
    );
    says(&mut table, "hooks", "--json", "\"hookPoints\"");
    walk("hooks", &table);
    let runs = Runs::new();
    let seen = runs.run(&words("hooks projector"));
    insta::assert_snapshot!(seen.stdout);
    let seen = runs.run(&words("hooks nothing-of-the-kind"));
    assert_eq!(seen.code, Some(1), "{}", seen.text());
}

/// Whatever asks a model takes a folder of one.
#[test]
fn commands_take_the_folder_of_a_model() {
    let runs = Runs::new();
    let set = Path::new(crate::common::FOLDER).join("tiny-gqa-tied");
    let model = set.join("model").display().to_string();
    for line in [
        "generate picture.png Which? --max-tokens 2",
        "score picture.png Which? -c Yes",
        "sweep picture.png Which? --axis permute=1 --max-tokens 2",
        "preview picture.png",
        "capture picture.png Which? projector.hook_out",
        "hooks",
        "models",
    ] {
        let seen = runs.run(&words(&format!("{line} --model {model}")));
        assert_eq!(seen.code, Some(0), "{line}: {}", seen.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_ask_a_running_server() {
    let server = crate::common::Running::start(scotoma::server::ServerConfig::shapes()).await;
    let address = server.address.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let runs = Runs::new();
        for (line, says) in [
            ("health --json", "\"status\":\"SERVING\"}\n"),
            ("hooks hook_out", "projector.hook_out"),
            ("score picture.png Which? -c Yes -c No", "best"),
            ("sweep picture.png Which? --axis permute=1,2", "answer"),
        ] {
            let seen = runs.run(&words(&format!("{line} --server {address}")));
            assert_eq!(seen.code, Some(0), "{line}: {}", seen.text());
            assert!(seen.stdout.contains(says), "{line}: {}", seen.text());
        }
    });
    asked.await.unwrap();
    server.end().await;
}

#[test]
fn completions_and_manual_pages_have_every_command() {
    let runs = Runs::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let seen = runs.run(&words(&format!("completions {shell}")));
        assert_eq!(seen.code, Some(0), "{}", seen.text());
        assert!(seen.stdout.contains("drop-tower-layers"), "{shell}");
    }
    let seen = runs.run(&words("man --out pages"));
    assert_eq!(seen.code, Some(0), "{}", seen.text());
    let mut program = scotoma::cli::command();
    program.build();
    let commands = program.get_subcommands().map(clap::Command::get_name);
    for name in commands.filter(|name| *name != "help") {
        let page = &seen.files[&format!("pages/scotoma-{name}.1")];
        let page = String::from_utf8_lossy(page);
        assert!(page.contains(".SH EXAMPLES\n.TP\n"), "{name}: {page}");
    }
    assert!(seen.files.contains_key("pages/scotoma.1"));
    assert!(seen.files.contains_key("pages/scotoma-dataset-check.1"));
    let mut table = Table::new();
    says(
        &mut table,
        "man --out pages",
        "--out others",
        "others/scotoma.1",
    );
    if let Some(Effect::Says { with, .. }) = table.get_mut("--out") {
        *with = words("man --out others");
    }
    walk("man", &table);
}

#[test]
fn preview() {
    let mut table = Table::new();
    let base = "preview picture.png";
    served(&mut table, base, Some(""));
    unseen(
        &mut table,
        "--dtype",
        "a picture has no weights; the model that would show it is loaded so",
    );
    differs(&mut table, base, "--occlude cell:0,1");
    differs(
        &mut table,
        base,
        "--intervene {\"blankImage\":{\"colour\":\"COLOUR_WHITE\"}}",
    );
    says(&mut table, base, "--out other.png", "other.png");
    says(&mut table, base, "--json", "\"gridRows\"");
    walk("preview", &table);
}

#[test]
fn capture() {
    let mut table = Table::new();
    let base = "capture picture.png Which? language_model.blocks.7.hook_resid_post";
    served(&mut table, base, None);
    interventions(&mut table, base, true);
    differs(&mut table, base, "--out other.safetensors");
    differs(&mut table, base, "--reduce norm");
    differs(&mut table, base, "--tokens last");
    let lens = format!("{base} --reduce top-tokens");
    differs(&mut table, &lens, "--top 2");
    says(&mut table, &lens, "--by mine", "no tuned lens");
    differs(&mut table, base, "--max-tokens 2");
    says(&mut table, base, "--json", "\"tensors\"");
    walk("capture", &table);
}

#[test]
fn models_replay_parity_and_health() {
    let mut table = Table::new();
    served(&mut table, "models", Some("bf16"));
    says(&mut table, "models", "--json", "\"models\"");
    walk("models", &table);

    let mut runs = Runs::new();
    let record = runs.once(&words("generate picture.png Which? --record record.json"));
    std::fs::write(
        runs.inputs.path().join("record.json"),
        &record.files["record.json"],
    )
    .unwrap();
    let mut table = Table::new();
    served(&mut table, "replay record.json", Some("differs first"));
    says(&mut table, "replay record.json", "--json", "\"agrees\"");
    each_works(&mut runs, &table);
    assert_eq!(flags("replay"), table.into_keys().collect());

    let mut table = Table::new();
    served(&mut table, "parity", Some("bf16"));
    // Its golden set has prompts, no conversations and no features.
    table.remove("--chat-template");
    table.remove("--sae");
    table.remove("--lens");
    says(&mut table, "parity", "--json", "\"maxRelativeError\"");
    let formats = "--against f32 --items 2 --tokens 1";
    says(&mut table, "parity", formats, "nats of divergence");
    let base = "parity --against f32 --tokens 1";
    says(&mut table, base, "--items 3", "3 of 3 are the same");
    let base = "parity --against f32 --items 2";
    says(&mut table, base, "--tokens 3", "6 of 6 tokens");
    walk("parity", &table);

    let mut table = Table::new();
    let base = "health --server https://127.0.0.1:1";
    trust(&mut table, base);
    unseen(
        &mut table,
        "--json",
        "there is no server here; commands_ask_a_running_server has one",
    );
    table.insert(
        "--server".into(),
        Effect::Says {
            base: words("health"),
            with: words(base),
            new: "--server https://127.0.0.1:1",
        },
    );
    walk("health", &table);
}

#[test]
fn eval() {
    let mut table = Table::new();
    let base = "eval shapes --limit 4 --out results.jsonl";
    served(&mut table, base, Some(""));
    unseen(
        &mut table,
        "--dtype",
        "generate and parity have it from the same struct, and show it",
    );
    interventions(&mut table, base, false);
    judge(&mut table, "eval mmvet --data open.tsv --out results.jsonl");
    common_of(&mut table, base, "\"maxTokens\":7");
    says(
        &mut table,
        "eval shapes --limit 4",
        "--data missing.tsv",
        "missing.tsv",
    );
    says(
        &mut table,
        base,
        "--variant mine=[{\"permuteTokens\":{}}]",
        "mine",
    );
    says(&mut table, base, "--pruning fastv:0.5", "\"pruneTokens\"");
    says(
        &mut table,
        "eval shapes --limit 4",
        "--out mine.jsonl",
        "mine.jsonl",
    );
    says(&mut table, base, "--scoring letters", "\"meanLogprob\"");
    says(
        &mut table,
        "eval shapes --out results.jsonl",
        "--limit 3",
        "3 answers, 0 of them errors",
    );
    says(
        &mut table,
        "eval mmstar --data bad.tsv",
        "--skip-bad",
        "1 rows left out",
    );
    says(&mut table, base, "--estimate", "floating-point operations");
    says(&mut table, base, "--json", "\"comparisons\"");
    says(&mut table, base, "--shard 0/2", "of 4 items");
    walk("eval", &table);
}

#[test]
fn experiment() {
    let mut table = Table::new();
    let base = "experiment permutation shapes --limit 2 --report report";
    served(&mut table, base, Some("bf16 on cpu"));
    judge(
        &mut table,
        "experiment permutation mmvet --data open.tsv --report report",
    );
    common_of(&mut table, base, "\"maxTokens\":7");
    says(&mut table, base, "--set seed=77", "permuted, seed 77");
    says(&mut table, base, "--data missing.tsv", "missing.tsv");
    says(
        &mut table,
        "experiment permutation shapes --limit 2",
        "--report mine",
        "mine/report.html",
    );
    says(&mut table, base, "--scoring letters", "\"meanLogprob\"");
    says(
        &mut table,
        "experiment permutation mmstar --data items.tsv --report report",
        "--limit 3",
        "| permuted, seed 1 | 3 |",
    );
    says(
        &mut table,
        "experiment permutation mmstar --data bad.tsv --report report",
        "--skip-bad",
        "1 rows left out",
    );
    says(
        &mut table,
        "experiment blind mmstar --data items.tsv --limit 1 --report report",
        "--substitutes others",
        "\"variant\":\"synthesised\"",
    );
    says(&mut table, base, "--estimate", "floating-point operations");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    says(&mut table, base, "--shard 1/2", "shard 1/2: ");
    walk("experiment", &table);
}

#[test]
fn items() {
    let mut table = Table::new();
    let base = "items shapes --limit 2 --report report";
    served(&mut table, base, Some(""));
    unseen(
        &mut table,
        "--dtype",
        "generate and parity have it from the same struct, and show it",
    );
    judge(&mut table, "items mmvet --data open.tsv --report report");
    common_of(&mut table, base, "\"maxTokens\":7");
    says(&mut table, base, "--data missing.tsv", "missing.tsv");
    says(
        &mut table,
        "items shapes --limit 2",
        "--report mine",
        "mine/items.csv",
    );
    says(&mut table, base, "--scoring letters", "\"meanLogprob\"");
    says(
        &mut table,
        "items mmstar --data items.tsv --report report",
        "--limit 1",
        "all                       1 ",
    );
    says(
        &mut table,
        "items mmstar --data bad.tsv --report report",
        "--skip-bad",
        "left out: line 6",
    );
    says(&mut table, base, "--beside missing", "--beside missing");
    says(&mut table, base, "--keep order-proof", "kept.tsv");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    walk("items", &table);
}

#[test]
fn features() {
    let mut table = Table::new();
    let base = "features shapes --limit 2";
    served(&mut table, base, None);
    says(&mut table, base, "--data missing.tsv", "missing.tsv");
    says(&mut table, base, "--autoencoder other", "there are shapes");
    differs(&mut table, base, "--feature 65");
    differs(&mut table, base, "--most 1");
    differs(&mut table, base, "--top 1");
    says(&mut table, base, "--tokens last", "at 2 tokens of 2");
    let read = "features mmstar --data items.tsv";
    says(&mut table, read, "--limit 1", "of 1 questions");
    says(&mut table, read, "--column question=nothing", "nothing");
    let bad = "features mmstar --data bad.tsv";
    says(&mut table, bad, "--skip-bad", "(1 rows left out)");
    says(&mut table, base, "--out mine.csv", "feature,rank,value");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    walk("features", &table);
    let mut runs = Runs::new();
    let page = runs.once(&words(&format!("{base} --feature 116,9 --out page.html")));
    let page = String::from_utf8(page.files["page.html"].clone()).unwrap();
    assert!(page.contains("<h2>Feature 116</h2>"), "{page}");
    assert!(page.contains("href=\"data:image/png;base64,") && page.contains("stroke=\"#d7263d\""));
    for (asked, says) in [
        ("features shapes --feature 256", "256 is not below 256"),
        ("features shapes --limit 1 --out page.pdf", ".html, .csv"),
        ("features nothing", "there are "),
        ("features mmstar", "--data FILE is needed"),
    ] {
        let run = runs.once(&words(asked));
        assert!(
            run.code != Some(0) && run.text().contains(says),
            "{}",
            run.text()
        );
    }
}

#[test]
fn table1() {
    let mut runs = Runs::new();
    let run = runs.once(&words(
        "experiment permutation shapes --limit 2 --report report",
    ));
    for name in ["results.jsonl", "results.jsonl.run.json"] {
        let bytes = &run.files[&format!("report/{name}")];
        std::fs::write(runs.inputs.path().join(name), bytes).unwrap();
    }
    let base = "table1 results.jsonl";
    let mut table = Table::new();
    says(&mut table, base, "--report mine", "mine/table1.html");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    each_works(&mut runs, &table);
    assert_eq!(flags("table1"), table.into_keys().collect());
    let named = runs.once(&words("table1 My_model=results.jsonl"));
    assert!(
        named.stdout.contains("| My_model | ") && named.stdout.contains("| 2 items x 5 draws |"),
        "{}{}",
        named.stdout,
        named.stderr
    );
    let twice = runs.once(&words("table1 results.jsonl results.jsonl"));
    assert_eq!(twice.code, Some(2));
    assert!(
        twice.stderr.contains("two results of shapes"),
        "{}",
        twice.stderr
    );
}

#[test]
fn paper() {
    let mut table = Table::new();
    let base = "paper --data papers --limit 1 --report report";
    served(&mut table, base, Some("bf16 on cpu"));
    judge(&mut table, "paper --data classes --limit 1 --report report");
    common_of(&mut table, base, "\"maxTokens\":7");
    says(
        &mut table,
        "paper --limit 1 --estimate --report report",
        "--data missing",
        "--data missing",
    );
    says(
        &mut table,
        "paper --data papers --limit 1",
        "--report mine",
        "mine/report.md",
    );
    says(
        &mut table,
        "paper --data classes --limit 1 --report report",
        "--clip no-such",
        "no-such",
    );
    says(
        &mut table,
        &format!(
            "paper --data classes --limit 1 --report report --clip {}",
            clip()
        ),
        "--template photo:{}",
        "CLIP reads: photo:{}",
    );
    says(&mut table, base, "--scoring letters", "\"meanLogprob\"");
    table.insert(
        "--limit".into(),
        Effect::Says {
            base: words("paper --data papers --report report --estimate"),
            with: words("paper --data papers --report report --estimate --limit 1"),
            new: "13 answers, about",
        },
    );
    unseen(
        &mut table,
        "--skip-bad",
        "experiment and classify, which it calls, show it",
    );
    says(
        &mut table,
        base,
        "--substitutes others",
        "\"variant\":\"synthesised\"",
    );
    unseen(&mut table, "--estimate", "it does less: nothing is written");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    says(&mut table, base, "--shard 1/2", "shard 1/2: ");
    says(&mut table, base, "--plan 8,4", "\"on\":\"MMVP\"");
    walk("paper", &table);
}

fn clip() -> String {
    Path::new(crate::common::FOLDER)
        .join("tiny-clip")
        .display()
        .to_string()
}

#[test]
fn classify() {
    let mut table = Table::new();
    let base = "classify --data classes/Pets.jsonl --limit 2 --report report";
    served(&mut table, base, Some("bf16 on cpu"));
    judge(&mut table, base);
    common_of(&mut table, base, "\"maxTokens\":7");
    table.insert(
        "--data".into(),
        Effect::Says {
            base: words(base),
            with: words("classify --data missing.jsonl --report report"),
            new: "missing.jsonl",
        },
    );
    says(
        &mut table,
        "classify --data classes/Pets.jsonl --limit 2",
        "--report mine",
        "mine/report.html",
    );
    says(&mut table, base, "--clip no-such", "no-such");
    says(
        &mut table,
        &format!("{base} --clip {}", clip()),
        "--template photo:{}",
        "CLIP reads: photo:{}",
    );
    says(
        &mut table,
        "classify --data classes/Pets.jsonl --report report",
        "--limit 3",
        "answers: 6; 0 rows",
    );
    says(
        &mut table,
        "classify --data bad.tsv --report report",
        "--skip-bad",
        "1 rows left out",
    );
    says(&mut table, base, "--estimate", "floating-point operations");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    walk("classify", &table);
}

#[test]
fn alignment() {
    let mut table = Table::new();
    let base = "alignment --limit 12 -k 3 --report report";
    served(&mut table, base, Some("bf16 on cpu"));
    says(&mut table, base, "--data missing.tsv", "missing.tsv");
    says(&mut table, base, "--text {answer}", "text: {answer}");
    says(
        &mut table,
        base,
        "--features missing.npz",
        "--features missing.npz",
    );
    says(
        &mut table,
        base,
        "--point projector.hook_out@no",
        "--point projector.hook_out@no",
    );
    says(
        &mut table,
        base,
        &format!("--vision {}", clip()),
        "pictures seen by tiny-clip: CLIP, 28 x 28 pixels, BLAKE3 ",
    );
    says(&mut table, base, "--clamp 1", "clamp: 1\n");
    says(&mut table, base, "--json", "exit Some(0)\n{");
    says(
        &mut table,
        "alignment -k 3 --limit 12",
        "--report mine",
        "mine/report.html",
    );
    table.insert(
        "--limit".into(),
        Effect::Says {
            base: words(base),
            with: words("alignment --limit 9 -k 3 --report report"),
            new: "items: 9",
        },
    );
    table.insert(
        "--k".into(),
        Effect::Says {
            base: words(base),
            with: words("alignment --limit 12 --k 4 --report report"),
            new: "k: 4",
        },
    );
    walk("alignment", &table);
}

#[test]
fn dataset_demo_bench_and_key() {
    let mut table = Table::new();
    table.insert(
        "--show".into(),
        Effect::Says {
            base: words("dataset check bad.tsv --show 0"),
            with: words("dataset check bad.tsv --show 1"),
            new: "line 6: image",
        },
    );
    let base = "dataset check items.tsv";
    unseen(
        &mut table,
        "--rule",
        "conventions of single benchmarks, each of which tests/it/tables.rs has",
    );
    says(
        &mut table,
        base,
        "--column ignore=category",
        "\"category\" -> ignored",
    );
    says(&mut table, base, "--json", "\"columns\"");
    walk("dataset check", &table);

    let mut table = Table::new();
    let base = "dataset samples mmstar --data items.tsv";
    table.insert(
        "--data".into(),
        Effect::Says {
            base: words("dataset samples mmstar"),
            with: words(base),
            new: "\"sample\":",
        },
    );
    differs(&mut table, base, "--limit 1");
    differs(&mut table, base, "--column ignore=category");
    says(&mut table, base, "--others", "\"other\":");
    says(&mut table, base, "--substitutes others", "\"substitute\":");
    let bad = "dataset samples mmstar --data bad.tsv";
    says(&mut table, bad, "--skip-bad", "1 rows left out");
    walk("dataset samples", &table);

    let mut runs = Runs::new();
    let whole = runs.once(&words(
        "eval shapes --limit 2 --variant b=[] --out whole.jsonl",
    ));
    for name in ["whole.jsonl", "whole.jsonl.run.json"] {
        std::fs::write(runs.inputs.path().join(name), &whole.files[name]).unwrap();
    }
    let short = whole.files["whole.jsonl"].clone();
    let end = short[..short.len() - 1].iter().rposition(|b| *b == b'\n');
    let base = "merge all.jsonl short.jsonl";
    std::fs::write(
        runs.inputs.path().join("short.jsonl"),
        &short[..=end.unwrap()],
    )
    .unwrap();
    std::fs::write(
        runs.inputs.path().join("short.jsonl.run.json"),
        &whole.files["whole.jsonl.run.json"],
    )
    .unwrap();
    let mut table = Table::new();
    says(&mut table, base, "--allow-missing", "1 of them errors");
    says(
        &mut table,
        "merge all.jsonl whole.jsonl",
        "--json",
        "\"comparisons\"",
    );
    each_works(&mut runs, &table);
    assert_eq!(flags("merge"), table.into_keys().collect());

    let mut table = Table::new();
    differs(&mut table, "demo --items 12", "--seed 3");
    table.insert(
        "--items".into(),
        Effect::Says {
            base: words("demo --items 12"),
            with: words("demo --items 11"),
            new: "all            11",
        },
    );
    says(&mut table, "demo --items 12", "--json", "\"condition\"");
    walk("demo", &table);

    let mut table = Table::new();
    let model = PathBuf::from(crate::common::FOLDER)
        .join("tiny-gqa-tied/model")
        .display()
        .to_string();
    let base = format!("bench {model} --repeat 1 --batch 1");
    says(&mut table, &base, "--dtype bf16", "bf16");
    if !cfg!(feature = "cuda") {
        says(
            &mut table,
            &base,
            "--device cuda:0",
            "--device cuda:0: this binary",
        );
    }
    table.insert(
        "--random-weights".into(),
        Effect::Says {
            base: words(&base),
            with: words("bench --random-weights no-such"),
            new: "no-such",
        },
    );
    table.insert(
        "--batch".into(),
        Effect::Says {
            base: words(&base),
            with: words(&format!("bench {model} --repeat 1 --batch 2")),
            new: "decode, 2 at once",
        },
    );
    says(&mut table, &base, "--adapter no-such", "--adapter no-such");
    says(
        &mut table,
        &base,
        "--image-processor no-such",
        "--image-processor no-such",
    );
    unseen(
        &mut table,
        "--repeat",
        "of more measurements the median is another measurement",
    );
    says(&mut table, &base, "--soak 2", "2 requests, 16 at once");
    table.insert(
        "--parts".into(),
        Effect::Says {
            base: words(&format!("{base} --parts rows")),
            with: words(&format!("{base} --parts rows,sweeps")),
            new: "sweep: drop one layer",
        },
    );
    says(
        &mut table,
        &base,
        "--prefill 2x30",
        "prefill, 2 x 30 tokens",
    );
    says(
        &mut table,
        &base,
        "--most-rows 5",
        "in calls of up to 5 rows",
    );
    says(&mut table, &base, "--json", "\"matrix_rate\"");
    walk("bench", &table);
    let mut table = Table::new();
    for (flag, word) in [
        ("--admin", " admin"),
        ("--expires 2027-03-01", "expires=2027-03-01"),
        ("--keep 64MiB", "keep=64MiB"),
        ("--upload 1GiB", "upload=1GiB"),
        ("--requests-per-minute 60", "requests-per-minute=60"),
        ("--rows-per-minute 7", "rows-per-minute=7"),
        ("--max-run 10m", "max-run=10m"),
        ("--models shapes,llava-*", "models=shapes,llava-*"),
    ] {
        says(&mut table, "key lab", flag, word);
    }
    says(
        &mut table,
        "key lab --admin",
        "--load mine-*",
        "load=mine-*",
    );
    says(&mut table, "key lab", "--json", "{\"key\":");
    walk("key", &table);
    let mut table = Table::new();
    let base = "certificate 127.0.0.1";
    says(&mut table, base, "--client alice", "certificates/alice.key");
    says(&mut table, base, "--out there", "there/ca.pem");
    unseen(
        &mut table,
        "--days",
        "in the certificate's encoding; keys differ from run to run by themselves",
    );
    says(&mut table, base, "--json", "{\"files\":");
    walk("certificate", &table);
}

#[test]
fn exit_status_says_whose_fault_it_was() {
    let runs = Runs::new();
    for (line, code, says) in [
        ("models", 0, ""),
        ("generate picture.png", 2, "<QUESTION>"),
        ("generate missing.png Which?", 1, "missing.png"),
        ("eval mmvp", 2, "--data FILE is needed"),
        ("eval mmvp --data missing.tsv", 1, "missing.tsv"),
        ("eval shapes --column answer=gold", 2, "--column"),
        ("models --server http://127.0.0.1:1", 1, "cannot reach"),
        ("models --device nonsense", 2, "--device nonsense"),
        (
            "trace picture.png Which? --system Short. --corrupted-question What? --answer Yes \
             --layers 0 --positions last",
            0,
            "clean",
        ),
        (
            "health --server http://127.0.0.1:1,http://127.0.0.1:2",
            1,
            "error: --server http://127.0.0.1:2: ",
        ),
        // Before anything is fetched, and together.
        (
            "models --model no-such --chat-template nothing --sae a --lens b --image-processor gimp",
            2,
            "--chat-template nothing",
        ),
        ("models --model no-such --sae a", 2, "--sae a: NAME=FOLDER"),
        (
            "models --model no/such --lens a",
            2,
            "--lens a: NAME=FOLDER",
        ),
        (
            "models --model no/such --image-processor gimp",
            2,
            "--image-processor gimp",
        ),
        (
            "parity --against f32 --image-processor other=pillow",
            2,
            "no model is named other",
        ),
        ("eval shapes --pruning fastv:2", 2, "KEPT is a share"),
        ("serve --saliency bad=", 2, "--saliency bad="),
        (
            "experiment occlusion shapes --report picture.png/a",
            1,
            "--report picture.png: not a directory",
        ),
        (
            "paper --report picture.png",
            1,
            "--report picture.png: not a directory",
        ),
        (
            "models --chat-template nothing",
            2,
            "--chat-template nothing",
        ),
        ("serve --log inof", 2, "--log \"inof\": no level"),
        ("serve --place nobody=cpu", 2, "--place nobody=cpu"),
        (
            "serve --adapter nobody=missing",
            2,
            "--adapter nobody=missing",
        ),
        ("capture picture.png a b --out x.txt", 2, "--out x.txt"),
        ("preview picture.png -o x.jpg", 2, "ends in .png"),
        ("experiment nothing shapes", 2, "\"nothing\" is no file"),
        ("dataset check bad.tsv", 1, "1 rows cannot be read"),
    ] {
        let seen = runs.run(&words(line));
        let (found, text) = (seen.code, seen.text());
        assert!(found == Some(code) && text.contains(says), "{line}: {text}");
    }
}

#[test]
fn empty_variables_count_as_unset() {
    let runs = Runs::new();
    let empty = [
        "SERVER",
        "DEVICE",
        "DTYPE",
        "THREADS",
        "API_KEY",
        "SERVER_CA",
    ];
    let empty = empty.map(|name| format!("SCOTOMA_{name}"));
    let set: Vec<(&str, &str)> = empty.iter().map(|name| (&**name, "")).collect();
    let seen = runs.run_with(&set, &words("models"));
    assert_eq!(seen.code, Some(0), "{}", seen.text());
    // Those of a server, of which a command takes the first.
    let seen = runs.run_with(&[("SCOTOMA_DEVICE", "cpu,cpu")], &words("models"));
    assert_eq!(seen.code, Some(0), "{}", seen.text());
    // Serving would go on; a level that there is none of ends it once the flags are read.
    let serve = words("serve --log inof");
    for (value, says) in [
        ("1", "--log"),
        ("yes", "--log"),
        ("true", "--log"),
        ("0", "--log"),
        ("", "--log"),
        ("maybe", "--allow-load"),
    ] {
        let seen = runs.run_with(&[("SCOTOMA_ALLOW_LOAD", value)], &serve);
        assert_eq!(seen.code, Some(2), "{value}: {}", seen.text());
        assert!(seen.stderr.contains(says), "{value}: {}", seen.text());
    }
}

/// `serve` has a test of its own, which compares what would be served.
#[test]
fn every_command_is_walked() {
    let mut command = scotoma::cli::command();
    command.build();
    let there: BTreeSet<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    let walked = [
        "alignment",
        "attribute",
        "bench",
        "capture",
        "certificate",
        "classify",
        "completions",
        "dataset",
        "demo",
        "eval",
        "experiment",
        "features",
        "generate",
        "health",
        "help",
        "hooks",
        "items",
        "key",
        "man",
        "merge",
        "models",
        "paper",
        "parity",
        "preview",
        "replay",
        "score",
        "serve",
        "sweep",
        "table1",
        "trace",
    ];
    assert_eq!(there, walked.into());
}
