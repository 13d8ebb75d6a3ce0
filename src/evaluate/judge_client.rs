//! The judge: any service that speaks OpenAI's chat completions.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::benchmark::judge::Task;
use crate::telemetry::names;

/// Questions that are on their way at once.
const IN_FLIGHT: usize = 8;
/// Tries of one question; the wait doubles after each.
const TRIES: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of a reply.
const MAX_REPLY: u64 = 1 << 20;

/// Where a judge is and what it is asked.
#[derive(Clone, Default)]
pub struct Judging {
    /// Of the service, up to and without `/chat/completions`.
    pub address: String,
    /// As the service names it.
    pub model: String,
    /// Sent as a bearer token; empty: nothing is.
    pub key: String,
    /// Templates in place of our own.
    pub templates: Vec<(Task, String)>,
}

impl std::fmt::Debug for Judging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judging")
            .field("address", &self.address)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A judge that can be asked.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    judging: Arc<Judging>,
    agent: ureq::Agent,
    turns: Arc<Semaphore>,
}

impl Judge {
    pub(super) fn new(judging: Judging) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self {
            judging: Arc::new(judging),
            agent: config.into(),
            turns: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    pub(super) fn model(&self) -> &str {
        &self.judging.model
    }

    /// What it is asked for `task`.
    pub(super) fn template(&self, task: Task) -> &str {
        let own = self.judging.templates.iter().find(|(of, _)| *of == task);
        own.map_or(task.template(), |(_, template)| template)
    }

    /// Its reply to `question`, or why there is none.
    pub(super) async fn ask(&self, question: String) -> Result<String, String> {
        let mut wait = Duration::from_millis(500);
        for tried in 1.. {
            let outcome = self.try_once(question.clone()).await;
            let label = if outcome.is_ok() { "ok" } else { "failed" };
            counter!(names::JUDGE_REQUESTS, "outcome" => label).increment(1);
            match outcome {
                Ok(reply) => return Ok(reply),
                Err(Refusal {
                    after: Some(after), ..
                }) if tried < TRIES => {
                    tokio::time::sleep(after.max(wait)).await;
                    wait *= 2;
                }
                Err(Refusal { why, .. }) => return Err(why),
            }
        }
        Err("not asked".into())
    }

    async fn try_once(&self, question: String) -> Result<String, Refusal> {
        let never = |why: String| Refusal { why, after: None };
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|e| never(e.to_string()))?;
        let (judging, agent) = (self.judging.clone(), self.agent.clone());
        let call = move || post(&agent, &judging, &question);
        tokio::task::spawn_blocking(call)
            .await
            .map_err(|e| never(e.to_string()))?
    }
}

/// Why a judge did not reply, and when another try may help.
struct Refusal {
    why: String,
    after: Option<Duration>,
}

fn post(agent: &ureq::Agent, judging: &Judging, question: &str) -> Result<String, Refusal> {
    let again = |why: String| Refusal {
        why,
        after: Some(Duration::ZERO),
    };
    let never = |why: String| Refusal { why, after: None };
    let mut request = agent.post(format!(
        "{}/chat/completions",
        judging.address.trim_end_matches('/')
    ));
    if !judging.key.is_empty() {
        request = request.header("authorization", format!("Bearer {}", judging.key));
    }
    let body = json!({
        "model": judging.model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
    });
    let mut response = request
        .send_json(&body)
        .map_err(|e| again(format!("the judge does not answer: {e}")))?;
    let status = response.status();
    let text = response
        .body_mut()
        .with_config()
        .limit(MAX_REPLY)
        .read_to_string();
    let text = text.map_err(|e| again(format!("the judge's reply: {e}")))?;
    if !status.is_success() {
        let why = format!(
            "the judge says {status}: {}",
            text.chars().take(200).collect::<String>()
        );
        // Too many questions, or a service in trouble; anything else would be refused again.
        let may_help = status.as_u16() == 429 || status.is_server_error();
        let named = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.parse().ok());
        let after = Duration::from_secs(named.unwrap_or(0_u64).min(60));
        return Err(Refusal {
            why,
            after: may_help.then_some(after),
        });
    }
    let reply: Value = serde_json::from_str(&text)
        .map_err(|e| never(format!("the judge's reply is no JSON: {e}")))?;
    let content = reply["choices"][0]["message"]["content"].as_str();
    content
        .map(String::from)
        .ok_or_else(|| never("the judge's reply has no choices[0].message.content".into()))
}
