//! Asks a language model inside the server.
//!
//! It computes on threads of its own, so that neither an engine nor a handler ever waits for it: on
//! half as many as models have, where they compute on the same cores. It answers one question at a
//! time, and clients take turns by what their questions cost.

use std::sync::Arc;

use rayon::ThreadPool;

use super::outcome::count;
use crate::engine::ClientId;
use crate::model::{self, PreparedTextModel, TextModel};
use crate::pipeline::{Error, Price, Runtime, Turns};

/// Asks a language model. Clones share its turns.
#[derive(Debug, Clone)]
pub(super) struct LocalJudge {
    model: Arc<TextModel>,
    threads: Arc<ThreadPool>,
    turns: Turns,
}

impl LocalJudge {
    /// Loads the model, as far as the budget of the models in `runtime` goes; blocks.
    pub(super) fn load(
        prepared: PreparedTextModel,
        runtime: &Runtime,
    ) -> Result<Self, model::Error> {
        // Before it is loaded: what has no room must not be read.
        runtime.models.hold(prepared.bytes())?;
        let has_cpu = runtime.engines.iter().any(|(device, _)| device.is_cpu());
        let threads = threads(has_cpu).map_err(|e| model::Error::Text(e.to_string()))?;
        let model = threads.install(|| prepared.load())?;
        let (name, bytes) = (model.name(), model.bytes());
        let threads_of_its_own = threads.current_num_threads();
        tracing::info!(
            judge = name,
            bytes,
            threads = threads_of_its_own,
            "resident"
        );
        Ok(Self {
            model: Arc::new(model),
            threads: Arc::new(threads),
            turns: Turns::one_by_one(),
        })
    }

    /// See [`TextModel::name`].
    pub(super) fn name(&self) -> String {
        self.model.name()
    }

    /// Asks `question` when it is the client's turn. It stops where nobody waits for the reply.
    pub(super) async fn ask(&self, client: &ClientId, question: String) -> Result<String, String> {
        let (model, threads) = (self.model.clone(), self.threads.clone());
        let price = Price::of_products(model.work(&question));
        // Dropped with this future.
        let waiting = Arc::new(());
        let waits = Arc::downgrade(&waiting);
        let work = move || {
            let is_wanted = || waits.strong_count() > 0;
            // The blocking thread waits, and the pool computes: rayon's products stay on the
            // judge's own threads.
            Ok(threads.install(|| model.reply(&question, &is_wanted)))
        };
        let outcome = self.turns.run(client, price, work).await;
        // Named here, so that it lives until the reply has come.
        drop(waiting);
        let outcome = match outcome {
            Ok(reply) => reply.map_err(|e| e.to_string()),
            // A panic, which has ended this question alone.
            Err(Error::Fault(why)) => Err(format!("the judge: {why}")),
            Err(error) => Err(error.to_string()),
        };
        count(&outcome);
        outcome
    }
}

/// Returns the threads of a judge beside models on the CPU, or on GPUs alone.
fn threads(has_cpu: bool) -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    let all = rayon::current_num_threads();
    rayon::ThreadPoolBuilder::new()
        .num_threads(if has_cpu { all.div_ceil(2) } else { all })
        .thread_name(|_| "judge".into())
        .build()
}
