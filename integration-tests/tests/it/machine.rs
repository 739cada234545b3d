//! Who has the machine: a test that starts a dozen processes and breaks some of them has it alone, all others share it.
//!
//! Its limits are seconds, and beside another one they would measure the machine.

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
