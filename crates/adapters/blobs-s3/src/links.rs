//! Links by which the server itself serves a blob, under its public name.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use riwaq_blobs::{BlobKey, BlobsError, Presign};
use url::Url;

use crate::Inner;
use crate::errors::chain;

/// The longest time that a link may work (Signature Version 4's rule).
const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Inner {
    pub(crate) async fn presign(
        &self,
        key: &BlobKey,
        request: &Presign,
    ) -> Result<Option<Url>, BlobsError> {
        let lives = request.expires_after;
        if lives < Duration::from_secs(1) || lives > MAX_LIFE {
            return Err(BlobsError::InvalidInput {
                field: "expires_after",
                reason: "must be a second to seven days".into(),
            });
        }
        let description = match self.descriptions.get(key) {
            Some(known) => known,
            None => self.describe(key).await?,
        };
        // Nothing is kept of an empty blob, so there is nothing to link to.
        let Some(content) = &description.content else {
            return Ok(None);
        };
        let unsigned = |why: String| BlobsError::Unavailable(format!("presign: {why}"));
        let signing = PresigningConfig::builder()
            .start_time(SystemTime::from(self.clock.now()))
            .expires_in(lives)
            .build()
            .map_err(|error| unsigned(chain(&error)))?;
        let signed = self
            .public
            .get_object()
            .bucket(&self.store.config().bucket)
            .key(self.layout.content(key, content))
            .response_content_disposition(&request.content_disposition)
            .response_content_type(&request.media_type)
            .response_cache_control("private, no-store")
            .presigned(signing)
            .await
            .map_err(|error| unsigned(chain(&error)))?;
        let url = Url::parse(signed.uri());
        url.map(Some).map_err(|error| unsigned(error.to_string()))
    }
}
