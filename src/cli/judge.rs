//! Who judges.

use std::path::PathBuf;

use clap::Args;

use crate::api::Judging;
use crate::benchmark::judge::Task;
use crate::server::Config;

/// Under which help lists them.
const HEADING: &str = "Judge";

/// A judge for answers that no rule can tell right from wrong.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "the names of flags")]
pub(super) struct Judge {
    /// Address of a service that speaks OpenAI's chat completions, http://127.0.0.1:8000/v1 for instance. It grades MM-Vet, LLaVA-W and
    /// classification/judged, and extracts MathVista's answers; without it these are unjudged, or read by rule
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_JUDGE", value_name = "URL", requires = "judge_model")]
    judge: Option<String>,
    /// The model that judges, as that service names it
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_JUDGE_MODEL", value_name = "NAME")]
    judge_model: Option<String>,
    /// Another template for what the judge is asked, TASK=FILE; tasks are grade, rate, extract and confirm. Repeat for several
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_JUDGE_PROMPT", value_name = "TASK=FILE", value_delimiter = ',')]
    judge_prompt: Vec<String>,
    /// The judge's key. Better in the environment than on a command line
    #[arg(help_heading = HEADING, long, env = "SCOTOMA_JUDGE_KEY", hide_env_values = true, default_value = "")]
    judge_key: String,
}

impl Judge {
    /// Whether one is named.
    pub(super) fn is_there(&self) -> bool {
        self.judge.is_some()
    }

    /// Writes it into `config`, or says what is wrong with it.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), String> {
        let (Some(address), Some(model)) = (&self.judge, &self.judge_model) else { return Ok(()) };
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(format!("--judge {address}: http:// or https:// is needed"));
        }
        let template = |text: &String| {
            let wrong = |why: String| format!("--judge-prompt {text}: {why}");
            let (name, file) = text.split_once('=').ok_or_else(|| wrong("TASK=FILE is needed".into()))?;
            let task = Task::ALL.into_iter().find(|t| t.name() == name);
            let task = task.ok_or_else(|| wrong("the tasks are grade, rate, extract and confirm".into()))?;
            let template = std::fs::read_to_string(PathBuf::from(file)).map_err(|e| wrong(e.to_string()))?;
            if !template.contains("{answer}") {
                return Err(wrong("it has no {answer}".into()));
            }
            Ok((task, template))
        };
        config.judge = Some(Judging {
            address: address.clone(),
            model: model.clone(),
            key: self.judge_key.clone(),
            templates: self.judge_prompt.iter().map(template).collect::<Result<_, _>>()?,
        });
        Ok(())
    }
}
