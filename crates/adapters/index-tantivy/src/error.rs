//! tantivy's errors in the port's words.

use std::path::Path;

use riwaq_index::IndexError;
use tantivy::TantivyError;
use tantivy::directory::error::{LockError, OpenDirectoryError, OpenReadError};

/// What an error of tantivy means for a caller.
pub(crate) fn map(folder: &Path, error: TantivyError) -> IndexError {
    let place = folder.display();
    match error {
        TantivyError::LockFailure(LockError::LockBusy, _) => IndexError::InUse {
            place: place.to_string(),
        },
        TantivyError::DataCorruption(_)
        | TantivyError::SchemaError(_)
        | TantivyError::IncompatibleIndex(_)
        | TantivyError::DeserializeError(_)
        | TantivyError::FieldNotFound(_)
        | TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(_))
        | TantivyError::OpenReadError(OpenReadError::IncompatibleIndex(_)) => {
            IndexError::Corrupt(format!("{place}: {error}"))
        }
        TantivyError::OpenDirectoryError(OpenDirectoryError::NotADirectory(_)) => {
            IndexError::Unavailable(format!("{place} is not a folder"))
        }
        other => IndexError::Unavailable(format!("{place}: {other}")),
    }
}
