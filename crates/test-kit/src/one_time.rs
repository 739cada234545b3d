//! One-time codes by time (TOTP, RFC 6238), as a telephone shows them.

use std::time::Duration;

use ring::hmac;
use riwaq_clock::{SharedClock, SystemClock};

/// How long a code is shown, in seconds.
const STEP: u64 = 30;
const DIGITS: u32 = 6;
/// How long it takes to look again.
const LOOK: Duration = Duration::from_millis(100);

/// A device that shows codes. None is used twice, as issuers demand: the next one may be taken ahead of its time, and
/// after that one has to wait.
#[derive(Debug)]
pub(crate) struct Device {
    key: hmac::Key,
    clock: SharedClock,
    /// The step of the last code that was used.
    last: u64,
}

impl Device {
    pub(crate) fn new(secret: &str) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()),
            clock: SystemClock::shared(),
            last: 0,
        }
    }

    /// A code that was not used yet. Issuers take the next step's as well (a step of look-ahead).
    pub(crate) async fn next(&mut self) -> String {
        let step = loop {
            let now = u64::try_from(self.clock.now().timestamp()).unwrap_or(0) / STEP;
            let next = now.max(self.last + 1);
            if next <= now + 1 {
                break next;
            }
            self.clock.sleep(LOOK).await;
        };
        self.last = step;
        code(&self.key, step)
    }
}

fn code(key: &hmac::Key, step: u64) -> String {
    let tag = hmac::sign(key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    // RFC 4226, 5.3: the last four bits say where the number begins.
    let at = usize::from(bytes.last().copied().unwrap_or(0) & 0x0f);
    let number = bytes.iter().skip(at).take(4);
    let number = number.fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    let code = (number & 0x7fff_ffff) % 10_u32.pow(DIGITS);
    format!("{code:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, the last six of eight digits.
        let device = Device::new("12345678901234567890");
        for (time, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(&device.key, time / STEP), expected);
        }
    }

    #[tokio::test]
    async fn no_code_comes_twice() {
        let mut device = Device::new("a secret");
        assert_ne!(device.next().await, device.next().await);
    }
}
