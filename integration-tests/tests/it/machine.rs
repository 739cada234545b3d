//! Who has the machine: a test whose limits are seconds has it alone, all others share it.
//!
//! Such a test starts a dozen processes and breaks some of them; beside another one its limits would measure the machine.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::const_new(());

/// For a test that breaks things and says how soon they are well again.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// For a test that only waits until something is so.
pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}
