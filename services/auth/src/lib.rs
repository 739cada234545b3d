//! Sign-in: the embedded OpenID Connect issuer, passwords, activation, reset and sessions.
