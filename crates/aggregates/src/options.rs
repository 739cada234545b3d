//! Settings of the outbox and its relay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Settings of the outbox and its relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxOptions {
    /// Into how many buckets a service's pointers are spread, so that replicas share the walking. May
    /// grow, must never shrink: pointers in a bucket that nobody walks would be forgotten.
    pub buckets: u32,
    /// How often the relay walks the buckets that it holds, in seconds. Committed changes do not wait
    /// for it: it finds what a crash left behind.
    pub walk_interval_seconds: u64,
    /// How long a bucket's holder may be silent before another takes it over, in seconds.
    pub lease_seconds: u64,
    /// How long one write may take from its pointer to its version row, in seconds. A write that is
    /// slower gives up.
    pub write_budget_seconds: u64,
    /// How far any replica's clock may be from the true time, in seconds.
    pub clock_skew_seconds: u64,
    /// The walk leaves younger pointers, in seconds, to whoever has just written them.
    pub grace_seconds: u64,
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self {
            buckets: 2,
            walk_interval_seconds: 5,
            lease_seconds: 30,
            write_budget_seconds: 30,
            clock_skew_seconds: 60,
            grace_seconds: 3,
        }
    }
}

impl OutboxOptions {
    /// Checks the figures.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] names the field.
    pub fn validate(&self) -> Result<()> {
        let figures = [
            ("buckets", u64::from(self.buckets), 256),
            ("walk_interval_seconds", self.walk_interval_seconds, 3600),
            ("lease_seconds", self.lease_seconds, 3600),
            ("write_budget_seconds", self.write_budget_seconds, 3600),
        ];
        for (field, figure, most) in figures {
            if figure == 0 || figure > most {
                return Err(Error::invalid(field, format!("must be 1 to {most}")));
            }
        }
        if self.clock_skew_seconds > 3600 {
            return Err(Error::invalid("clock_skew_seconds", "must be at most 3600"));
        }
        Ok(())
    }

    pub(crate) const fn write_budget(&self) -> Duration {
        Duration::from_secs(self.write_budget_seconds)
    }

    /// After this long, by any two clocks, no pointer of a minute can still be on its way, and no
    /// version row of a pointer: the write's budget, as much again for what is in flight when the
    /// budget ends, and both clocks off in opposite directions.
    pub(crate) const fn settle_seconds(&self) -> i64 {
        (2 * self.write_budget_seconds + 2 * self.clock_skew_seconds).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_cannot_work_are_refused_by_name() {
        OutboxOptions::default().validate().unwrap();
        let refused = |options: OutboxOptions| match options.validate() {
            Err(Error::InvalidInput { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        };
        let good = OutboxOptions::default;
        assert_eq!(
            refused(OutboxOptions {
                buckets: 0,
                ..good()
            }),
            "buckets"
        );
        assert_eq!(
            refused(OutboxOptions {
                lease_seconds: 0,
                ..good()
            }),
            "lease_seconds"
        );
        assert_eq!(
            refused(OutboxOptions {
                clock_skew_seconds: 3601,
                ..good()
            }),
            "clock_skew_seconds"
        );
        assert!(serde_json::from_str::<OutboxOptions>(r#"{"bucket": 3}"#).is_err());
    }
}
