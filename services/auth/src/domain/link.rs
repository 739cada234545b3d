//! Tokens that work once: in a mailed link, or as a code that a school prints.

use ring::rand::{SecureRandom as _, SystemRandom};
use riwaq_kit::{ApiResult, Problem};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// "Validez votre compte".
    Activation,
    /// A forgotten password.
    Reset,
}

impl Purpose {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Reset => "reset",
        }
    }
}

/// Letters and digits that are not mistaken for one another, read aloud or printed.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const CODE_CHARS: usize = 16;
/// The longest text that is looked up.
const MAX_TOKEN_BYTES: usize = 200;

/// A code of 80 random bits to be printed: `ABCD-EFGH-JKLM-NPQR`.
pub(crate) fn printed_code() -> ApiResult<String> {
    let mut random = [0; CODE_CHARS];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Problem::unavailable("the system gives no random bytes"))?;
    let mut code = String::new();
    for (at, byte) in random.into_iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        // 32 divides 256: every letter is as likely.
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(code)
}

/// The form of a token that is hashed: a printed code may be typed in small letters, with spaces,
/// without hyphens. Mailed tokens have another length and stay as they are.
pub(crate) fn canonical(typed: &str) -> Option<String> {
    let typed = typed.trim();
    if typed.is_empty() || typed.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let bare: String = typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let is_code = bare.len() == CODE_CHARS && bare.bytes().all(|byte| ALPHABET.contains(&byte));
    Some(if is_code { bare } else { typed.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_code_can_be_typed_in_many_ways() {
        let code = printed_code().unwrap();
        assert_eq!(code.len(), 19, "{code}");
        let canonical_code = canonical(&code).unwrap();
        for typed in [
            code.to_lowercase(),
            code.replace('-', ""),
            code.replace('-', " "),
            format!("  {code} "),
        ] {
            assert_eq!(canonical(&typed).as_ref(), Some(&canonical_code), "{typed}");
        }
        assert_ne!(code, printed_code().unwrap());
    }

    #[test]
    fn a_mailed_token_stays_as_it_is() {
        let token = "aB-3_xyzaB-3_xyzaB-3_xyzaB-3_xyzaB-3_xyz123";
        assert_eq!(canonical(token).as_deref(), Some(token));
        assert_eq!(canonical(""), None);
        assert_eq!(canonical(&"x".repeat(201)), None);
    }
}
