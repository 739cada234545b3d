//! Who is calling: token verification, key sets, revocation, permissions, extractors and service tokens.
