//! Random bytes and ids.

use ring::rand::{SecureRandom, SystemRandom};
use riwaq_directory::DirectoryError;
use uuid::Uuid;

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], DirectoryError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| DirectoryError::Unavailable("the system gives no random bytes".into()))?;
    Ok(bytes)
}

/// An id for one conditional write.
pub(crate) fn operation_id() -> Uuid {
    Uuid::new_v4()
}
