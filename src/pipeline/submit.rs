//! Hands compiled requests to the engine, on the accounts of their callers: priced before they run,
//! corrected when they have ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::Account;
use super::compile::CompiledRequest;
use super::error::Error;
use super::request_context::{RequestContext, RequestMetrics};
use super::runtime::Runtime;
use crate::engine::{self, Event, Events, PlannedRequest, Timing, Variant};
use crate::model::Model;

/// A request that the engine has admitted. Dropping it cancels the request.
#[derive(Debug)]
pub struct RequestHandle {
    pub(super) compiled: CompiledRequest,
    events: Events,
    charge: Charge,
}

impl Runtime {
    /// Hands a request to the engine.
    pub(super) fn submit(
        &self,
        compiled: CompiledRequest,
        variant: Variant,
    ) -> Result<RequestHandle, Error> {
        let (context, model) = (&compiled.input.context, &compiled.input.model);
        let (events, charge) = self.submit_all(context, model, vec![variant])?;
        // Behind admission: what is refused was not applied.
        compiled.count();
        Ok(RequestHandle {
            compiled,
            events,
            charge,
        })
    }

    /// Hands variants to the engine, which admits them or refuses them at once.
    pub(super) fn submit_all(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        variants: Vec<Variant>,
    ) -> Result<(Events, Charge), Error> {
        let count = variants.len();
        // Planned first, since the plan is the price.
        let planned = self.plan_variants(context, model, variants)?;
        let charge = Charge::new(context, planned.price(), count)?;
        let admitted = self.engine(model).admit(planned);
        charge.begin(context, admitted)
    }

    /// Does the same, and waits where the queue is full or the caller's minute is used up.
    pub(super) async fn submit_patiently(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        variants: Vec<Variant>,
    ) -> Result<(Events, Charge), Error> {
        self.engine(model).room(&context.client).await;
        let count = variants.len();
        let planned = self.plan_variants(context, model, variants)?;
        let charge = loop {
            match Charge::new(context, planned.price(), count) {
                Ok(charge) => break charge,
                Err(Error::Quota { retry_after, .. }) => wait(context, retry_after).await?,
                Err(error) => return Err(error),
            }
        };
        // Planning and the quota take time, in which somebody else may have taken the room.
        let admitted = self.engine(model).admit_patiently(planned).await;
        charge.begin(context, admitted)
    }

    fn plan_variants(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        variants: Vec<Variant>,
    ) -> Result<PlannedRequest, Error> {
        let request = engine::Request {
            model: model.clone(),
            client: context.client.clone(),
            variants,
            deadline: context.deadline.clone(),
        };
        Ok(self.engine(model).plan(request)?)
    }
}

impl RequestHandle {
    /// Waits for the next event.
    pub(super) async fn next(&mut self) -> Result<Event, Error> {
        let told = self.events.recv().await.ok_or(Error::EngineStopped)?;
        self.charge.observe(told.variant, &told.event);
        Ok(told.event?)
    }
}

/// Waits for a quota, unless the caller stops waiting before.
async fn wait(context: &RequestContext, duration: Duration) -> Result<(), Error> {
    let until = tokio::time::Instant::now() + duration;
    match context.deadline.get() {
        Some(deadline) if deadline < until.into_std() => {
            Err(engine::Error::Deadline { tokens: 0 }.into())
        }
        _ => {
            tokio::time::sleep_until(until).await;
            Ok(())
        }
    }
}

/// Remembers what a request was charged. Dropped, it corrects that by what the request took.
#[derive(Debug)]
pub(super) struct Charge {
    account: Option<Arc<Account>>,
    priced: u64,
    /// (row, layer) pairs of each variant, as far as they are known.
    taken: Vec<u64>,
    /// Marks variants that run and of which nothing is known yet: no answer has begun, and no error
    /// has come.
    unknown: Vec<bool>,
    metrics: RequestMetrics,
    admitted: Instant,
    /// Notes when each variant's first token came, or its likelihoods.
    answered: Vec<Option<Instant>>,
}

impl Charge {
    fn new(context: &RequestContext, price: u64, variants: usize) -> Result<Self, Error> {
        if let Some(account) = &context.account {
            // Before the engine admits it, which could begin at once.
            account.charge_rows(price)?;
        }
        Ok(Self {
            account: context.account.clone(),
            priced: price,
            taken: vec![0; variants],
            // Nothing runs: dropped as it is, it takes back all that was charged.
            unknown: vec![false; variants],
            metrics: context.metrics.clone(),
            admitted: Instant::now(),
            answered: vec![None; variants],
        })
    }

    /// Begins with what the engine has admitted, or fails with its refusal.
    fn begin(
        mut self,
        context: &RequestContext,
        admitted: Result<Events, engine::Error>,
    ) -> Result<(Events, Self), Error> {
        let events = admitted?;
        self.unknown.fill(true);
        self.admitted = Instant::now();
        // From here on the engine counts it.
        context.leave_queue();
        Ok((events, self))
    }

    /// Learns from an event of `variant` what it has taken.
    pub(super) fn observe(&mut self, variant: usize, event: &Result<Event, engine::Error>) {
        let (rows, has_ended) = match event {
            Ok(Event::Token(token)) => (Some(token.timing.cost.rows), token.finish.is_some()),
            Ok(Event::Scored { timing, .. }) => (Some(timing.cost.rows), true),
            Ok(Event::Measured(measured)) => (Some(measured.timing.cost.rows), true),
            Ok(Event::Captured(_) | Event::Prefilled(_)) => (None, false),
            Err(_) => (None, true),
        };
        // Each event tells all that the variant has taken so far, so that the last one counts.
        if let (Some(rows), Some(taken)) = (rows, self.taken.get_mut(variant)) {
            *taken = rows;
        }
        match event {
            Ok(Event::Token(token)) => self.note(variant, token.timing, has_ended),
            Ok(Event::Scored { timing, .. }) => self.note(variant, *timing, has_ended),
            Ok(Event::Measured(measured)) => self.note(variant, measured.timing, has_ended),
            _ => {}
        }
        // From its first token on all that its prompt took is known. Its end may never come here: a
        // stop string, of which the engine does not know, has ended the answer before.
        if let Some(unknown) = self.unknown.get_mut(variant)
            && (rows.is_some() || has_ended)
        {
            *unknown = false;
        }
    }

    /// Returns the (row, layer) pairs that are to be paid.
    fn due(&self) -> u64 {
        let taken: u64 = self.taken.iter().sum();
        // Or whoever leaves before the first token would pay for nothing.
        if self.unknown.contains(&true) {
            taken.max(self.priced)
        } else {
            taken
        }
    }

    /// Notes the stages of a variant, which are known once it answers and once it has ended.
    fn note(&mut self, variant: usize, timing: Timing, has_ended: bool) {
        let Some(answered) = self.answered.get_mut(variant) else {
            return;
        };
        // By the engine's clock: this event may have waited to be read.
        let now = self.admitted + timing.elapsed;
        if let Some(first) = *answered {
            if has_ended {
                self.metrics.add_stage("decode", first, now);
            }
            return;
        }
        *answered = Some(now);
        let waited = timing.queued.saturating_sub(timing.encoding);
        let (encoding, started) = (self.admitted + waited, self.admitted + timing.queued);
        self.metrics.add_stage("queue", self.admitted, encoding);
        if !timing.encoding.is_zero() {
            self.metrics.add_stage("encode", encoding, started);
        }
        self.metrics.add_stage("prefill", started, now);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.settle_rows(self.due() as i64 - self.priced as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cost;

    /// Returns what is to be paid for two variants, priced at 600 together, of which `events` tell.
    fn due(events: Vec<(usize, Result<Event, engine::Error>)>) -> u64 {
        let context = RequestContext::default();
        let charge = Charge::new(&context, 600, 2).unwrap();
        assert_eq!(charge.due(), 0, "nothing runs yet");
        let (_, admitted) = tokio::sync::mpsc::unbounded_channel();
        let (_, mut charge) = charge.begin(&context, Ok(admitted)).unwrap();
        for (variant, event) in &events {
            charge.observe(*variant, event);
        }
        charge.due()
    }

    fn token(rows: u64) -> Event {
        let cost = Cost {
            rows,
            ..Cost::default()
        };
        let timing = Timing {
            cost,
            ..Timing::default()
        };
        Event::Token(engine::Token {
            id: 0,
            logprob: 0.0,
            top: Vec::new(),
            finish: None,
            timing,
            effects: Vec::new(),
        })
    }

    #[test]
    fn what_was_taken_is_paid_once_it_is_known() {
        assert_eq!(due(Vec::new()), 600, "nobody leaves without paying");
        assert_eq!(due(vec![(0, Ok(token(40)))]), 600);
        // Both were ended by a stop string, of which the engine does not know.
        assert_eq!(
            due(vec![
                (0, Ok(token(40))),
                (1, Ok(token(30))),
                (0, Ok(token(44)))
            ]),
            74
        );
        let failed = Err(engine::Error::NotFinite);
        assert_eq!(due(vec![(0, Ok(token(40))), (1, failed)]), 40);
        assert_eq!(due(vec![(0, Ok(token(700)))]), 700);
    }
}
