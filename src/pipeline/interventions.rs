//! The interventions of a request, with what its record says of them.

use serde_json::Value;

use crate::intervention::Intervention;

/// Interventions, each with the contract's spelling of it, which its record holds.
#[derive(Debug, Clone, Default)]
pub struct Interventions {
    list: Vec<Intervention>,
    canonical: Vec<Value>,
}

impl Interventions {
    /// Adds an intervention, whose canonical JSON is `canonical`.
    pub fn push(&mut self, intervention: Intervention, canonical: Value) {
        self.list.push(intervention);
        self.canonical.push(canonical);
    }

    /// Adds all of `others` after these.
    pub fn append(&mut self, mut others: Self) {
        self.list.append(&mut others.list);
        self.canonical.append(&mut others.canonical);
    }

    /// Returns them as the compiler takes them.
    pub fn list(&self) -> &[Intervention] {
        &self.list
    }

    /// Returns them in canonical JSON.
    pub fn canonical(&self) -> &[Value] {
        &self.canonical
    }
}
