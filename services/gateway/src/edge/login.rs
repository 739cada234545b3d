//! Which account somebody tries to sign in to: read from the body, which then goes on unchanged.

use std::borrow::Cow;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// How large a body may be that is looked into, in bytes.
pub(crate) const MAX_BYTES: usize = 16 << 10;
/// How long a name may be, in bytes; longer ones are nobody's.
const MAX_NAME: usize = 320;

#[derive(Deserialize)]
struct Login<'a> {
    #[serde(borrow, default)]
    email: Option<&'a RawValue>,
    #[serde(borrow, default)]
    username: Option<&'a RawValue>,
}

/// The account as it is counted: case and surrounding spaces do not make another one. `None` where the body
/// names nobody, or cannot be read: the service says what is wrong with it.
pub(crate) fn account(body: &Bytes) -> Option<Cow<'_, str>> {
    let login: Login<'_> = serde_json::from_slice(body).ok()?;
    let name = login.email.or(login.username)?;
    let name: Cow<'_, str> = serde_json::from_str::<String>(name.get()).ok()?.into();
    let name = name.trim().to_lowercase();
    (!name.is_empty() && name.len() <= MAX_NAME).then_some(Cow::Owned(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Option<String> {
        account(&Bytes::from_static(body.as_bytes())).map(Cow::into_owned)
    }

    #[test]
    fn one_account_is_one_account_however_it_is_written() {
        let expected = Some("amina@example.edu".to_owned());
        assert_eq!(
            read(r#"{"email":"amina@example.edu","password":"x"}"#),
            expected
        );
        assert_eq!(
            read(r#"{"password":"x","email":" AMINA@example.edu "}"#),
            expected
        );
        assert_eq!(read(r#"{"email":"\u0061mina@example.edu"}"#), expected);
        assert_eq!(
            read(r#"{"username":"amina@example.edu","other":[1,{}]}"#),
            expected
        );
    }

    #[test]
    fn a_body_that_names_nobody_is_left_to_the_service() {
        for body in [
            "",
            "[]",
            "{",
            r#"{"email":7}"#,
            r#"{"email":null}"#,
            r#"{"email":"  "}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
