//! Asks any service that speaks OpenAI's chat completions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::outcome::count;

/// Bounds the questions that are on their way at once.
const IN_FLIGHT: usize = 8;
/// Bounds the tries of one question; the wait doubles after each.
const TRIES: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(120);
/// Bounds the bytes of a reply.
const MAX_REPLY: u64 = 1 << 20;

/// Says where a service is, and which of its models judges.
#[derive(Clone, Default)]
pub struct JudgeAddress {
    /// Holds the address of the service, up to and without `/chat/completions`.
    pub address: String,
    /// Names the model as the service does.
    pub model: String,
    /// Is sent as a bearer token; empty: nothing is.
    pub key: String,
}

// By hand, and without the key: debug output may come to stand in a log.
impl std::fmt::Debug for JudgeAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JudgeAddress")
            .field("address", &self.address)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// Asks a service. Clones share its turns.
#[derive(Debug, Clone)]
pub(super) struct RemoteJudge {
    config: Arc<JudgeAddress>,
    agent: ureq::Agent,
    turns: Arc<Semaphore>,
}

impl RemoteJudge {
    /// Creates a client of the service that `config` names.
    pub(super) fn new(config: JudgeAddress) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // The body of a refusal says why; an error of the client would lose it.
            .http_status_as_error(false)
            .build();
        Self {
            config: Arc::new(config),
            agent: agent.into(),
            turns: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// Asks `question` and returns the reply, or why there is none.
    pub(super) async fn ask(&self, question: String) -> Result<String, String> {
        let mut wait = Duration::from_millis(500);
        for tried in 1.. {
            let outcome = self.try_once(question.clone()).await;
            count(&outcome);
            match outcome {
                Ok(reply) => return Ok(reply),
                Err(Refusal {
                    after: Some(after), ..
                }) if tried < TRIES => {
                    // A service that names no time is asked again ever later.
                    tokio::time::sleep(after.max(wait)).await;
                    wait *= 2;
                }
                Err(Refusal { why, .. }) => return Err(why),
            }
        }
        // The last try has returned.
        Err("not asked".into())
    }

    async fn try_once(&self, question: String) -> Result<String, Refusal> {
        // Taken for each try anew: a question that waits for its next one holds up no other.
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|e| Refusal::for_good(e.to_string()))?;
        let (config, agent) = (self.config.clone(), self.agent.clone());
        // ureq blocks.
        tokio::task::spawn_blocking(move || post(&agent, &config, &question))
            .await
            .map_err(|e| Refusal::for_good(e.to_string()))?
    }
}

/// Says why a judge did not reply, and after which wait another try may help.
struct Refusal {
    why: String,
    after: Option<Duration>,
}

impl Refusal {
    fn for_good(why: String) -> Self {
        Self { why, after: None }
    }

    fn for_now(why: String) -> Self {
        let after = Some(Duration::ZERO);
        Self { why, after }
    }
}

fn post(agent: &ureq::Agent, config: &JudgeAddress, question: &str) -> Result<String, Refusal> {
    let mut request = agent.post(format!(
        "{}/chat/completions",
        config.address.trim_end_matches('/')
    ));
    if !config.key.is_empty() {
        request = request.header("authorization", format!("Bearer {}", config.key));
    }
    let body = json!({
        "model": config.model,
        "messages": [{"role": "user", "content": question}],
        // So that a verdict is as repeatable as the service allows.
        "temperature": 0,
    });
    let mut response = request
        .send_json(&body)
        .map_err(|e| Refusal::for_now(format!("the judge does not answer: {e}")))?;
    let status = response.status();
    let text = response
        .body_mut()
        .with_config()
        // A bound before the read: the service is not ours.
        .limit(MAX_REPLY)
        .read_to_string();
    let text = text.map_err(|e| Refusal::for_now(format!("the judge's reply: {e}")))?;
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
        // A minute at the most: a run has to end, even where a service names hours.
        let after = Duration::from_secs(named.unwrap_or(0_u64).min(60));
        return Err(Refusal {
            why,
            after: may_help.then_some(after),
        });
    }
    let reply: Value = serde_json::from_str(&text)
        .map_err(|e| Refusal::for_good(format!("the judge's reply is no JSON: {e}")))?;
    // Indexing a JSON value gives null where there is nothing, and never panics.
    let content = reply["choices"][0]["message"]["content"].as_str();
    content.map(String::from).ok_or_else(|| {
        Refusal::for_good("the judge's reply has no choices[0].message.content".into())
    })
}
