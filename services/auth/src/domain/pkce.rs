//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::secrets::equal;

/// Whether the text can be an S256 challenge: 32 bytes in base64url without padding (section 4.2).
pub(crate) fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|bytes| bytes.len() == 32)
}

/// Whether the text can be a verifier: 43 to 128 unreserved characters (section 4.1).
pub(crate) fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Whether the verifier is the one that the challenge was made from (section 4.6).
pub(crate) fn verifies(verifier: &str, challenge: &str) -> bool {
    let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    is_verifier(verifier) && equal(made.as_bytes(), challenge.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_specification_verifies() {
        assert!(is_challenge(CHALLENGE));
        assert!(verifies(VERIFIER, CHALLENGE));
        assert!(!verifies(&VERIFIER.replace('d', "e"), CHALLENGE));
        // The method `plain` would accept this.
        assert!(!verifies(CHALLENGE, CHALLENGE));
    }

    #[test]
    fn malformed_verifiers_and_challenges_are_refused() {
        for bad in [
            "",
            "short",
            &"x".repeat(42),
            &"x".repeat(129),
            &format!("{}é", "x".repeat(43)),
            &format!("{} ", "x".repeat(43)),
        ] {
            assert!(!is_verifier(bad), "{bad:?}");
        }
        for bad in [
            "",
            "plain",
            &CHALLENGE[..42],
            &format!("{CHALLENGE}="),
            &"+".repeat(43),
        ] {
            assert!(!is_challenge(bad), "{bad:?}");
        }
    }
}
