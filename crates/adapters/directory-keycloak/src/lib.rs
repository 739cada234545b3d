//! Accounts in Keycloak, by its admin REST interface.
