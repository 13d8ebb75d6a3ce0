//! The judge, as flags.

use std::path::PathBuf;

use clap::Args;

use crate::benchmark::judge::JudgePrompt;
use crate::evaluate::{JudgeAddress, JudgeConfig, JudgePlace};
use crate::model::PreparedTextModel;
use crate::server::ServerConfig;

/// Heading of these flags in help texts.
const HEADING: &str = "Judge";

/// Before the file of a judge inside the server.
const GGUF: &str = "gguf:";

/// A judge model for answers that no rule can grade.
#[derive(Debug, Clone, Args)]
pub(super) struct JudgeArgs {
    /// Service that speaks OpenAI's chat completions, as http://127.0.0.1:8000/v1, or gguf:FILE
    ///
    /// It grades MM-Vet, LLaVA-W and classification/judged, and extracts MathVista's answers;
    /// without it these stay unjudged, or are read by rule. gguf:FILE is a language model (Llama,
    /// Qwen2, Qwen3 or Gemma) with a chat template, which is run on the CPU.
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_JUDGE", value_name = "URL|gguf:FILE")]
    judge: Option<String>,
    /// Name of the judge model in that service
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_JUDGE_MODEL", value_name = "NAME")]
    judge_model: Option<String>,
    /// File with another prompt template for the judge
    ///
    /// The tasks are grade, rate, extract and confirm. Repeat for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_JUDGE_PROMPT",
        value_name = "TASK=FILE",
        value_delimiter = ','
    )]
    judge_prompt: Vec<String>,
    /// API key of the judge's service. Better set in the environment than on a command line
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_JUDGE_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    judge_key: Option<String>,
}

impl JudgeArgs {
    /// Tells whether a judge is named.
    pub(super) fn is_set(&self) -> bool {
        self.judge.is_some()
    }

    /// Sets the judge in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), String> {
        let Some(judge) = &self.judge else {
            return Ok(());
        };
        let place = match judge.strip_prefix(GGUF) {
            Some(file) => self.file(file),
            None => self.address(judge),
        };
        config.judge = Some(JudgeConfig {
            place: place.map_err(|why| format!("--judge {judge}: {why}"))?,
            templates: self.templates()?,
        });
        Ok(())
    }

    fn address(&self, address: &str) -> Result<JudgePlace, String> {
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(format!("http://, https:// or {GGUF}FILE is needed"));
        }
        let model = self.judge_model.clone();
        Ok(JudgePlace::Service(JudgeAddress {
            address: address.to_owned(),
            model: model.ok_or("--judge-model NAME is needed, too")?,
            key: self.judge_key.clone().unwrap_or_default(),
        }))
    }

    /// Opens the file of a judge inside the server, so that a wrong one shows before any model is
    /// loaded.
    fn file(&self, file: &str) -> Result<JudgePlace, String> {
        for (flag, given) in [
            ("--judge-model", self.judge_model.is_some()),
            ("--judge-key", self.judge_key.is_some()),
        ] {
            if given {
                return Err(format!("{flag} is for a service; a file is its own model"));
            }
        }
        let path = PathBuf::from(file);
        PreparedTextModel::open_judge(&path).map_err(|e| e.to_string())?;
        Ok(JudgePlace::Gguf(path))
    }

    /// Reads the files of `--judge-prompt`.
    fn templates(&self) -> Result<Vec<(JudgePrompt, String)>, String> {
        let mut templates: Vec<(JudgePrompt, String)> = Vec::new();
        for text in &self.judge_prompt {
            let (task, template) =
                template(text).map_err(|why| format!("--judge-prompt {text}: {why}"))?;
            if templates.iter().any(|(other, _)| *other == task) {
                return Err(format!(
                    "--judge-prompt {text}: a template for {} is set already",
                    task.name()
                ));
            }
            templates.push((task, template));
        }
        Ok(templates)
    }
}

/// Reads the template of `TASK=FILE`.
fn template(text: &str) -> Result<(JudgePrompt, String), String> {
    let (name, file) = text.split_once('=').ok_or("TASK=FILE is needed")?;
    let task = JudgePrompt::ALL.into_iter().find(|t| t.name() == name);
    let task = task.ok_or("the tasks are grade, rate, extract and confirm")?;
    let template = std::fs::read_to_string(PathBuf::from(file)).map_err(|e| e.to_string())?;
    // A judge that is not shown the answer grades nothing.
    if !template.contains("{answer}") {
        return Err("it has no {answer}".into());
    }
    match unknown_place(&template) {
        Some(place) => Err(format!(
            "{{{place}}} is none of {}",
            PLACES.map(|p| format!("{{{p}}}")).join(", ")
        )),
        None => Ok((task, template)),
    }
}

/// Names that a template may hold in braces.
const PLACES: [&str; 5] = ["question", "options", "reference", "context", "answer"];

/// Finds a word in braces that is no placeholder. Other braces, such as those of JSON, are text.
fn unknown_place(template: &str) -> Option<&str> {
    let words = template
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0));
    let is_word =
        |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    words.filter(is_word).find(|w| !PLACES.contains(w))
}
