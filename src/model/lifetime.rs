//! Tells when a model is gone: its last holder may be a request that began before the unloading.

use tokio::sync::watch;

/// Ends when it is dropped, with the value that holds it.
#[derive(Debug)]
pub struct Lifetime(watch::Sender<()>);

impl Default for Lifetime {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Lifetime {
    /// Resolves once the holder has been dropped.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut receiver = self.0.subscribe();
        // Nothing is ever sent: the next change is the end of the sender.
        async move { while receiver.changed().await.is_ok() {} }
    }
}
