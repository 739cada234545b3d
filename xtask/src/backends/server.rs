//! What is the same for every server: how the fleet sees one.

use std::time::Duration;

use anyhow::Result;

use super::daemon::Daemon;

/// A busy machine starts seven Java programs at once.
pub(crate) const START: Duration = Duration::from_secs(420);

/// A server that can be installed and started: one process, or several that belong together.
pub(crate) trait Server: Sync {
    /// Its name at the command line, and in `RIWAQ_TEST_REQUIRED`.
    fn name(&self) -> &'static str;

    /// The pinned version.
    fn version(&self) -> String;

    /// Where a client finds it; nothing for a program that tests start themselves.
    fn address(&self) -> String;

    /// Its processes, in the order in which they start; none where tests start them.
    fn daemons(&self) -> &[Daemon];

    /// Fetches or builds the program, when it is missing.
    fn install(&self) -> Result<()>;

    /// Writes its configuration and starts one process of it.
    fn launch(&self, index: usize) -> Result<()>;

    /// Whether that process answers.
    fn is_ready(&self, index: usize) -> bool;

    /// Whether the first process must be ready before the others start.
    fn first_alone(&self) -> bool {
        false
    }

    /// What is done once all its processes are ready, such as making a role; again at each start.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// What tests read, by the names that `riwaq_test_kit::backends` knows.
    fn variables(&self) -> Vec<(&'static str, String)>;
}
