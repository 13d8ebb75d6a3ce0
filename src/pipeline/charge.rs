//! Charges requests to the accounts of their callers: priced before they run, corrected when they
//! have ended.

use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::error::Error;
use super::request_context::RequestContext;
use crate::engine::{self, Engine, Event, Events, PlannedRequest};

/// Remembers what a request was charged. Dropped, it corrects that by what the request took.
#[derive(Debug)]
pub(super) struct Charge {
    account: Option<Arc<Account>>,
    priced: u64,
    /// (row, layer) pairs of each variant, as far as they are known.
    taken: Vec<u64>,
    /// Variants that have not ended.
    left: usize,
}

/// Hands `request` to the engine on its caller's account.
pub(super) fn submit(
    engine: &Engine,
    context: &RequestContext,
    request: engine::Request,
) -> Result<(Events, Charge), Error> {
    let variants = request.variants.len();
    let planned = engine.plan(request)?;
    let charge = Charge::new(context, planned.price(), variants)?;
    admit(engine, planned, charge)
}

/// Does the same, and waits where the caller's minute is used up.
pub(super) async fn submit_patiently(
    engine: &Engine,
    context: &RequestContext,
    request: engine::Request,
) -> Result<(Events, Charge), Error> {
    let variants = request.variants.len();
    let planned = engine.plan(request)?;
    let charge = loop {
        match Charge::new(context, planned.price(), variants) {
            Ok(charge) => break charge,
            Err(Error::Quota { retry_after, .. }) => wait(context, retry_after).await?,
            Err(error) => return Err(error),
        }
    };
    admit(engine, planned, charge)
}

/// Hands over what is charged already.
fn admit(
    engine: &Engine,
    planned: PlannedRequest,
    mut charge: Charge,
) -> Result<(Events, Charge), Error> {
    let admitted = engine.admit(planned);
    if admitted.is_err() {
        // Nothing runs, so dropping the charge takes all of it back.
        charge.left = 0;
    }
    Ok((admitted?, charge))
}

/// Waits for a quota, unless the caller stops waiting before.
async fn wait(context: &RequestContext, duration: Duration) -> Result<(), Error> {
    let until = tokio::time::Instant::now() + duration;
    match context.deadline {
        Some(deadline) if deadline < until.into_std() => {
            Err(engine::Error::Deadline { tokens: 0 }.into())
        }
        _ => {
            tokio::time::sleep_until(until).await;
            Ok(())
        }
    }
}

impl Charge {
    fn new(context: &RequestContext, price: u64, variants: usize) -> Result<Self, Error> {
        if let Some(account) = &context.account {
            account.charge_rows(price)?;
        }
        Ok(Self {
            account: context.account.clone(),
            priced: price,
            taken: vec![0; variants],
            left: variants,
        })
    }

    /// Learns from an event of `variant` what it has taken.
    pub(super) fn observe(&mut self, variant: usize, event: &Result<Event, engine::Error>) {
        let (rows, has_ended) = match event {
            Ok(Event::Token(token)) => (Some(token.timing.cost.rows), token.finish.is_some()),
            Ok(Event::Scored { timing, .. }) => (Some(timing.cost.rows), true),
            Ok(Event::Captured(_) | Event::Prefilled(_)) => (None, false),
            Err(_) => (None, true),
        };
        if let (Some(rows), Some(taken)) = (rows, self.taken.get_mut(variant)) {
            *taken = rows;
        }
        self.left = self.left.saturating_sub(usize::from(has_ended));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(account) = &self.account else { return };
        let mut taken: u64 = self.taken.iter().sum();
        // Or whoever leaves before the first token would pay for nothing.
        if self.left > 0 {
            taken = taken.max(self.priced);
        }
        account.settle_rows(taken as i64 - self.priced as i64);
    }
}
