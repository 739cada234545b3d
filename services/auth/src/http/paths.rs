//! Where everything is. The gateway routes the prefix `/auth/` and the well-known address here.

/// The discovery document (OpenID Connect Discovery 1.0, 4).
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// What all of the issuer's pages and endpoints begin with.
pub const PREFIX: &str = "/auth/";
/// The authorization endpoint.
pub const AUTHORIZE: &str = "/auth/authorize";
/// The form of the sign-in page.
pub const SIGN_IN: &str = "/auth/sign-in";
/// The token endpoint.
pub const TOKEN: &str = "/auth/token";
/// The key set.
pub const JWKS: &str = "/auth/jwks";
/// The userinfo endpoint.
pub const USERINFO: &str = "/auth/userinfo";
/// The revocation endpoint (RFC 7009).
pub const REVOKE: &str = "/auth/revoke";
/// The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0).
pub const LOGOUT: &str = "/auth/logout";
/// The form of the sign-out page.
pub const SIGN_OUT: &str = "/auth/sign-out";
/// Where an issuer elsewhere tells who has signed out (OpenID Connect Back-Channel Logout 1.0). To be registered there
/// for the client of the gateway, beneath the address by which the issuer reaches this installation.
pub const BACKCHANNEL_LOGOUT: &str = "/auth/backchannel-logout";
/// What only an issuer answers.
pub(crate) const OF_AN_ISSUER: &[&str] = &[
    DISCOVERY, AUTHORIZE, SIGN_IN, TOKEN, JWKS, USERINFO, REVOKE, LOGOUT, SIGN_OUT,
];
/// The page that a mail about activation leads to.
pub const ACTIVATE: &str = "/auth/activate";
/// The page that a mail about a forgotten password leads to.
pub const RESET: &str = "/auth/reset";
/// The page for who has forgotten the password.
pub const FORGOT: &str = "/auth/forgot";
/// The style sheet of the pages.
pub const STYLESHEET: &str = "/auth/assets/pages.css";
/// Mails that were written into the folder, in development.
pub const DEV_MAIL: &str = "/dev/mail";
