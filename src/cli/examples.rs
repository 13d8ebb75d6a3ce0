//! Examples at the end of each command's help.

use std::fmt::Write as _;

use clap::Command;

/// Says what an example does, and has its line. A test parses each.
type Example = (&'static str, &'static str);

/// The examples of each command; one within another is behind it, with a space.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            (
                "Ask the embedded model",
                "scotoma generate picture.png 'Is there a red circle?'",
            ),
            (
                "Serve a model of the hub",
                "scotoma serve --model llava-hf/llava-1.5-7b-hf",
            ),
        ],
    ),
    (
        "serve",
        &[
            (
                "The embedded model, for programs on this machine",
                "scotoma serve",
            ),
            (
                "A folder and a model of the hub, to others, encrypted and with keys",
                "scotoma serve --model mine=./llava-7b --model llava-hf/llava-1.5-7b-hf \
                 --listen 0.0.0.0:7878 --tls-cert server.pem --tls-key server.key --api-keys \
                 keys.txt",
            ),
            (
                "On two GPUs, each with an engine of its own",
                "scotoma serve --model llava-hf/llava-1.5-7b-hf --device cuda:0,cuda:1",
            ),
            (
                "Check a configuration without serving it",
                "scotoma serve --config scotoma.toml --check",
            ),
        ],
    ),
    (
        "generate",
        &[
            (
                "Ask the embedded model, without a server",
                "scotoma generate picture.png 'Is there a red circle?'",
            ),
            (
                "Ask a model of a folder, two layers left out",
                "scotoma generate picture.png 'What is it?' --model ./llava-7b --drop-layers 2,3",
            ),
            (
                "Ask a server, visual tokens permuted, and keep the record",
                "scotoma generate picture.png 'What is it?' --server http://127.0.0.1:7878 \
                 --permute 7 --record r.json",
            ),
            (
                "Sample, and print each token beside the five likeliest",
                "scotoma generate picture.png 'What is it?' --temperature 0.7 --top-p 0.9 \
                 --seed 1 --logprobs 5",
            ),
            (
                "Any intervention of the contract",
                "scotoma generate picture.png 'What is it?' --intervene \
                 '{\"scale\":{\"target\":{\"point\":\"projector.hook_out\"},\"factor\":0.5}}'",
            ),
        ],
    ),
    (
        "score",
        &[
            (
                "Say which answer is likelier",
                "scotoma score picture.png 'Is there a red circle?' -c ' yes' -c ' no'",
            ),
            (
                "The same with half of the picture hidden, as JSON",
                "scotoma score picture.png 'Is there a red circle?' -c ' yes' -c ' no' \
                 --occlude random:0.5:7 --json",
            ),
        ],
    ),
    (
        "sweep",
        &[
            (
                "Leave out each layer in turn",
                "scotoma sweep picture.png 'What is it?' --axis drop-layers=0..7",
            ),
            (
                "Five permutations under each of five occlusions, to a table",
                "scotoma sweep picture.png 'What is it?' --axis occlude=0..0.8..0.2 --axis \
                 permute=1..5 --out sweep.csv",
            ),
            (
                "Scale a hook point, and score two answers",
                "scotoma sweep picture.png 'Is it red?' -c ' yes' -c ' no' --intervene \
                 '{\"scale\":{\"target\":{\"point\":\"projector.hook_out\"},\"factor\":1}}' \
                 --axis 'interventions[0].scale.factor=0..2..0.25'",
            ),
            (
                "Variants with names",
                "scotoma sweep picture.png 'What is it?' --variant 'plain=[]' --variant \
                 'black=[{\"blankImage\":{\"colour\":\"COLOUR_BLACK\"}}]'",
            ),
            (
                "A grid from a file",
                "scotoma sweep picture.png 'What is it?' --grid grid.json --out sweep.jsonl",
            ),
        ],
    ),
    (
        "trace",
        &[
            (
                "Where is the colour? Patches of the clean picture, over the picture",
                "scotoma trace red.png 'What colour is the circle?' --corrupted-image blue.png \
                 --answer ' red' --other ' blue' --positions visual --out trace.html",
            ),
            (
                "Which words and which heads, with a part of the picture hidden",
                "scotoma trace picture.png 'What is it?' --occlude random:0.5:7 --answer ' a \
                 circle' --point z --each-head --positions words",
            ),
            (
                "How much goes through visual tokens, how much through text",
                "scotoma trace red.png 'What colour is it?' --corrupted-image blue.png --answer \
                 ' red' --mediation",
            ),
        ],
    ),
    (
        "features",
        &[
            (
                "What the features of the embedded autoencoder mean, as a page",
                "scotoma features shapes --limit 100 --out features.html",
            ),
            (
                "Two features of a downloaded autoencoder, at words",
                "scotoma features mmstar --data MMStar.tsv --model ./llava-7b --sae \
                 residual=sae/blocks.14 --feature 12,305 --tokens text",
            ),
        ],
    ),
    (
        "attribute",
        &[
            (
                "How much each token matters for yes against no, layer by layer",
                "scotoma attribute picture.png 'Is there a red circle?' --answer ' yes' \
                 --other ' no'",
            ),
            (
                "Which pixels make the difference to a blank picture, for NumPy",
                concat!(
                    "scotoma attribute picture.png 'Is there a red circle?' --answer ' yes' ",
                    "--method integrated-gradients ",
                    r#"--source-intervene '{"blankImage":{"colour":"COLOUR_MEAN"}}' "#,
                    "--steps 32 --out pixels.npz"
                ),
            ),
            (
                "Attribution patching: which activations of another picture would change the \
                 answer",
                "scotoma attribute red.png 'What colour is it?' --answer ' red' --other ' blue' \
                 --method patching --source-image blue.png --out patching.csv",
            ),
        ],
    ),
    (
        "preview",
        &[(
            "The picture with its most salient patches hidden",
            "scotoma preview picture.png --occlude salient:0.6 --out seen.png",
        )],
    ),
    (
        "capture",
        &[
            (
                "What the language model reads of the picture, for NumPy",
                "scotoma capture picture.png 'What is it?' projector.hook_out --out a.npz",
            ),
            (
                "The mean over visual tokens after every layer",
                "scotoma capture picture.png 'What is it?' \
                 'language_model.blocks.{l}.hook_resid_post' --reduce mean --tokens visual",
            ),
        ],
    ),
    (
        "replay",
        &[(
            "Run an answer again on a server, and compare the bits",
            "scotoma replay r.json --server http://127.0.0.1:7878",
        )],
    ),
    (
        "hooks",
        &[
            ("All hook points of the embedded model", "scotoma hooks"),
            (
                "Those of the residual stream of a model in a folder",
                "scotoma hooks hook_resid --model ./llava-7b",
            ),
            (
                "For a program",
                "scotoma hooks --server http://127.0.0.1:7878 --json",
            ),
        ],
    ),
    (
        "models",
        &[(
            "The models of a server",
            "scotoma models --server http://127.0.0.1:7878",
        )],
    ),
    (
        "parity",
        &[
            (
                "The embedded model, whose golden set is inside the program",
                "scotoma parity",
            ),
            (
                "A folder with a golden set in goldens/",
                "scotoma parity --model ./llava-7b",
            ),
            (
                "What quantising costs, over 200 questions",
                "scotoma parity --model ./llava-7b --dtype q4_k --against f32",
            ),
        ],
    ),
    (
        "bench",
        &[
            (
                "A model of a folder on the first GPU",
                "scotoma bench ./llava-7b --device cuda:0",
            ),
            (
                "The shape of a 7B model, without its weights",
                "scotoma bench --random-weights llava-1.5-7b --parts stages,decode",
            ),
        ],
    ),
    (
        "eval",
        &[
            (
                "The embedded benchmark, two layers left out",
                "scotoma eval shapes --drop-layers 0,1",
            ),
            (
                "A public benchmark under two variants, which a second run continues",
                "scotoma eval mmstar --data MMStar.tsv --model ./llava-7b --out mmstar.jsonl \
                 --variant 'permuted=[{\"permuteTokens\":{\"seed\":\"1\"}}]'",
            ),
            (
                "What all would cost",
                "scotoma eval mmvp --data mmvp.parquet --server http://127.0.0.1:7878 --estimate",
            ),
            ("The benchmarks that are known", "scotoma eval list"),
        ],
    ),
    (
        "experiment",
        &[
            (
                "Permute the visual tokens of the embedded benchmark",
                "scotoma experiment permutation shapes",
            ),
            (
                "Draw accuracy against operations and time, visual tokens pruned",
                "scotoma experiment pruning shapes",
            ),
            (
                "Hide more and more of MMVP's pictures",
                "scotoma experiment occlusion mmvp --data mmvp.parquet --model ./llava-7b",
            ),
            ("The experiments that are known", "scotoma experiment list"),
        ],
    ),
    (
        "paper",
        &[
            (
                "Everything, on the items of the embedded benchmark",
                "scotoma paper --report paper",
            ),
            (
                "What a folder of benchmarks would cost",
                "scotoma paper --data benchmarks --model ./llava-7b --estimate",
            ),
        ],
    ),
    (
        "table1",
        &[(
            "Two models, each with the folder of a paper",
            "scotoma table1 LLaVA-1.5=paper-15 LLaVA-NeXT=paper-next --report table1",
        )],
    ),
    (
        "items",
        &[
            ("Analyse the embedded benchmark", "scotoma items shapes"),
            (
                "Keep the questions that need their picture",
                "scotoma items mmstar --data MMStar.tsv --model ./llava-7b --keep not-blind",
            ),
        ],
    ),
    (
        "classify",
        &[(
            "A LLaVA beside the CLIP whose tower it has",
            "scotoma classify --data Pets.tsv --model ./llava-7b --clip \
             openai/clip-vit-large-patch14-336",
        )],
    ),
    (
        "alignment",
        &[
            (
                "Pictures and texts of the embedded benchmark",
                "scotoma alignment --limit 100",
            ),
            (
                "A LLaVA's tower beside CLIP and DINOv2, texts as two language models read them",
                "scotoma alignment --data docci.jsonl --model ./llava-7b \
                 --vision openai/clip-vit-large-patch14-336 --vision facebook/dinov2-large \
                 --features gguf:llama-8b.gguf --features gguf:qwen-7b.gguf",
            ),
        ],
    ),
    (
        "merge",
        &[(
            "Two shards of one run",
            "scotoma merge all.jsonl part0.jsonl part1.jsonl",
        )],
    ),
    (
        "dataset",
        &[(
            "Check a table before an hour is spent on it",
            "scotoma dataset check MMStar.tsv --rule mmstar",
        )],
    ),
    (
        "dataset check",
        &[
            (
                "Say what each column is taken for",
                "scotoma dataset check MMStar.tsv --rule mmstar",
            ),
            (
                "A table with other names of columns",
                "scotoma dataset check mine.csv --column question=prompt_text --column \
                 ignore=notes",
            ),
        ],
    ),
    (
        "dataset samples",
        &[(
            "The first ten questions, as Evaluate takes them",
            "scotoma dataset samples mmstar --data MMStar.tsv --limit 10",
        )],
    ),
    ("demo", &[("The table of the README", "scotoma demo")]),
    (
        "key",
        &[
            ("A key for a client", "scotoma key alice"),
            (
                "A key that ends, for one model",
                "scotoma key bob --expires 2027-03-01 --models llava-7b --requests-per-minute 60",
            ),
        ],
    ),
    (
        "certificate",
        &[(
            "For a server and a client of it",
            "scotoma certificate lab.example.org 10.0.0.7 --client alice",
        )],
    ),
    (
        "health",
        &[(
            "In a container's health check",
            "scotoma health --server http://127.0.0.1:7878",
        )],
    ),
    (
        "completions",
        &[
            (
                "For bash, until the shell ends",
                "source <(scotoma completions bash)",
            ),
            (
                "For fish, for good",
                "scotoma completions fish > ~/.config/fish/completions/scotoma.fish",
            ),
        ],
    ),
    (
        "man",
        &[(
            "For this user's man",
            "scotoma man --out ~/.local/share/man/man1",
        )],
    ),
];

/// Lists the examples of the command at a path, such as `dataset check`.
pub(super) fn of(path: &str) -> &'static [Example] {
    let found = EXAMPLES.iter().find(|(own, _)| *own == path);
    found.map_or(&[], |(_, examples)| examples)
}

/// Puts the examples of each command at the end of its help.
pub(super) fn with_examples(program: Command) -> Command {
    program.mut_subcommands(|command| within(command, ""))
}

fn within(command: Command, outer: &str) -> Command {
    let path = format!("{outer}{}", command.get_name());
    let examples = of(&path);
    let inner = format!("{path} ");
    let command = command.mut_subcommands(|command| within(command, &inner));
    if examples.is_empty() {
        command
    } else {
        command.after_help(section(examples))
    }
}

/// Lays examples out as a section of help.
pub(super) fn section(examples: &[Example]) -> String {
    let mut text = "Examples:".to_owned();
    for (about, line) in examples {
        let _ = write!(text, "\n  {about}:\n    {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::usage;

    /// Returns the words of the first call of `scotoma` in a line of a shell.
    fn words(line: &str) -> Vec<String> {
        let own = &line[line.find("scotoma").unwrap()..];
        let own = own.trim_end_matches(')');
        let words = shlex::split(own).unwrap_or_else(|| panic!("{line}: quotes"));
        // What a shell does with the output is no argument.
        words
            .into_iter()
            .take_while(|word| ![">", "|", "&"].contains(&word.as_str()))
            .collect()
    }

    fn parses(line: &str) {
        let mut program = crate::cli::command();
        let matches = program
            .try_get_matches_from_mut(words(line))
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        usage::check(&mut program, &matches).unwrap_or_else(|e| panic!("{line}: {e}"));
    }

    #[test]
    fn every_example_is_a_call_that_can_be_carried_out() {
        for (path, examples) in EXAMPLES {
            for (about, line) in *examples {
                parses(line);
                assert!(line.contains(&format!("scotoma {path}")), "{path}: {line}");
                assert!(!about.ends_with(['.', ':']), "{about}");
            }
        }
    }

    /// Walks the calls that the pages for users show.
    #[test]
    fn the_documentation_calls_what_there_is() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let docs = std::fs::read_dir(root.join("docs")).unwrap();
        let pages = docs.map(|entry| entry.unwrap().path());
        let mut seen = 0;
        for page in pages.chain([root.join("README.md")]) {
            if page.extension().is_none_or(|ending| ending != "md") {
                continue;
            }
            let text = std::fs::read_to_string(page).unwrap().replace("\\\n", " ");
            let calls = text.lines().filter_map(|line| line.strip_prefix("    "));
            let calls = calls.map(|line| line.trim_start_matches("target/release/"));
            for call in calls.filter(|line| line.starts_with("scotoma ")) {
                parses(call);
                seen += 1;
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn every_command_has_examples() {
        fn walk(command: &Command, path: &str) {
            assert!(!of(path).is_empty(), "no example of {path:?}");
            for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
                walk(inner, format!("{path} {}", inner.get_name()).trim_start());
            }
        }
        let mut program = crate::cli::command();
        program.build();
        walk(&program, "");
    }
}
