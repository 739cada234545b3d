//! Parameters of OAuth requests: `application/x-www-form-urlencoded`, each at most once.

use std::collections::BTreeMap;

use super::oauth_error::OAuthError;

/// The most parameters, and the longest value in bytes.
const MAX_PARAMETERS: usize = 64;
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// The parameters of one request. A parameter without a value counts as absent (RFC 6749, 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// `invalid_request` for what is not a form, and for a parameter that is there twice (RFC 6749, 3.1).
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, OAuthError> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if parameters.len() >= MAX_PARAMETERS || value.len() > MAX_VALUE_BYTES {
                return Err(OAuthError::invalid_request(
                    "too many or too long parameters",
                ));
            }
            if value.contains('\u{FFFD}') || value.chars().any(|c| c.is_control()) {
                return Err(OAuthError::invalid_request(
                    "a parameter is not printable UTF-8 text",
                ));
            }
            if parameters
                .insert(name.into_owned(), value.into_owned())
                .is_some()
            {
                return Err(OAuthError::invalid_request("a parameter is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// The value, if there is a non-empty one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value.
    ///
    /// # Errors
    /// `invalid_request` naming the parameter.
    pub(crate) fn require(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.get(name)
            .ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    /// All of them again as a query, but for these.
    pub(crate) fn query_without(&self, left_out: &[&str]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !left_out.contains(&name.as_str()) {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_once_each() {
        let parameters = Parameters::parse(b"a=1&b=%C3%A9+x&c=").unwrap();
        assert_eq!(
            (
                parameters.get("a"),
                parameters.get("b"),
                parameters.get("c")
            ),
            (Some("1"), Some("é x"), None)
        );
        assert_eq!(parameters.query_without(&["a"]), "b=%C3%A9+x&c=");
        for bad in [&b"a=1&a=2"[..], b"a=%FF", b"a=%00", b"a=x%0d%0aLocation:y"] {
            assert_eq!(
                Parameters::parse(bad).unwrap_err().code,
                "invalid_request",
                "{bad:?}"
            );
        }
        let many = (0..100)
            .map(|n| format!("p{n}=x"))
            .collect::<Vec<_>>()
            .join("&");
        assert!(Parameters::parse(many.as_bytes()).is_err());
        assert!(Parameters::parse(format!("a={}", "x".repeat(10_000)).as_bytes()).is_err());
    }
}
