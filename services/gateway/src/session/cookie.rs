//! Our cookies.

use http::{HeaderMap, HeaderValue, header};

/// The names and attributes of our cookies. Under TLS they have the prefix that makes browsers refuse them from
/// anyone but us (RFC 6265bis, section 4.1.3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    secure: bool,
}

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Names the session.
    Session,
    /// Holds a sign-in that has begun.
    SignIn,
}

impl Cookies {
    pub(crate) const fn new(secure: bool) -> Self {
        Self { secure }
    }

    const fn name(self, cookie: Cookie) -> &'static str {
        match (cookie, self.secure) {
            (Cookie::Session, true) => "__Host-riwaq_session",
            (Cookie::Session, false) => "riwaq_session",
            (Cookie::SignIn, true) => "__Host-riwaq_sign_in",
            (Cookie::SignIn, false) => "riwaq_sign_in",
        }
    }

    /// The cookie's value. Two of one name are none: a neighbour's page may have set one of them.
    pub(crate) fn get(self, headers: &HeaderMap, cookie: Cookie) -> Option<&str> {
        let name = self.name(cookie);
        let all = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let pairs = all
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// `Set-Cookie` with this value, for at most `seconds`.
    pub(crate) fn set(self, cookie: Cookie, value: &str, seconds: u64) -> Option<HeaderValue> {
        let (name, secure) = (self.name(cookie), if self.secure { "; Secure" } else { "" });
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// `Set-Cookie` that takes it away.
    pub(crate) fn clear(self, cookie: Cookie) -> Option<HeaderValue> {
        self.set(cookie, "", 0)
    }

    /// Takes our cookies out of a request that goes to a service: they are ours alone.
    pub(crate) fn keep_from_services(self, headers: &mut HeaderMap, others: bool) {
        if !headers.contains_key(header::COOKIE) {
            return;
        }
        let ours = [self.name(Cookie::Session), self.name(Cookie::SignIn)];
        let all = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|value| value.split(';')).map(str::trim);
        let theirs: Vec<_> = pairs
            .filter(|pair| others && !ours.contains(&pair.split('=').next().unwrap_or_default()))
            .collect();
        let kept = HeaderValue::try_from(theirs.join("; "))
            .ok()
            .filter(|value| !value.is_empty());
        match kept {
            Some(value) => headers.insert(header::COOKIE, value),
            None => headers.remove(header::COOKIE),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others_and_two_are_none() {
        let cookies = Cookies::new(false);
        let get = |values: &[&'static str]| {
            cookies
                .get(&headers(values), Cookie::Session)
                .map(str::to_owned)
        };
        assert_eq!(
            get(&["a=1; riwaq_session=abc; b=2"]).as_deref(),
            Some("abc")
        );
        assert_eq!(get(&["xriwaq_session=abc", "riwaq_sessionx=abc"]), None);
        assert_eq!(get(&["riwaq_session=abc; riwaq_session=def"]), None);
        assert_eq!(get(&["riwaq_session=abc", "riwaq_session=def"]), None);
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_of_other_sites() {
        let plain = Cookies::new(false).set(Cookie::Session, "v", 60).unwrap();
        assert_eq!(
            plain,
            "riwaq_session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        let secure = Cookies::new(true).set(Cookie::Session, "v", 60).unwrap();
        assert_eq!(
            secure,
            "__Host-riwaq_session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
    }

    #[test]
    fn services_never_see_our_cookies() {
        let mut request = headers(&["a=1; riwaq_session=abc", "issuer=2; riwaq_sign_in=x"]);
        Cookies::new(false).keep_from_services(&mut request, true);
        assert_eq!(request[header::COOKIE], "a=1; issuer=2");
        Cookies::new(false).keep_from_services(&mut request, false);
        assert!(!request.contains_key(header::COOKIE));
    }
}
