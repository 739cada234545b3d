//! Channels that are given their target later.

use std::sync::{Arc, OnceLock, Weak};

use tonic::Status;

use super::{Channel, Core, Target};

/// Where a deferred channel finds its target. Weak, because two services that call each other would
/// otherwise keep each other, and their stores, alive for ever.
#[derive(Default)]
pub(crate) struct Slot {
    core: OnceLock<Weak<Core>>,
}

impl Slot {
    pub(crate) fn core(&self) -> Result<Arc<Core>, Status> {
        let Some(core) = self.core.get() else {
            return Err(Status::unavailable(
                "the called service is not wired up yet",
            ));
        };
        core.upgrade()
            .ok_or_else(|| Status::unavailable("the called service has ended"))
    }
}

/// Gives a deferred channel its target, once.
pub struct Binder {
    slot: Arc<Slot>,
}

/// Keeps the target of a deferred channel alive; dropping it ends the channel.
#[must_use = "dropping it ends the channel that was bound"]
pub struct Bound {
    _core: Option<Arc<Core>>,
}

impl Binder {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { slot }
    }

    /// Every clone of the deferred channel now calls through `target`, with the identities of the
    /// clone. Binding to another deferred channel works once that one is bound itself; binding to
    /// one that is not leaves the channel unavailable.
    pub fn bind(self, target: &Channel) -> Bound {
        let core = match &target.target {
            Target::Ready(core) => Some(Arc::clone(core)),
            Target::Deferred(slot) => slot.core().ok(),
        };
        if let Some(core) = &core {
            // The binder is used up by this call, so the slot is empty.
            let _ = self.slot.core.set(Arc::downgrade(core));
        }
        Bound { _core: core }
    }
}
