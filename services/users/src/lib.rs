//! Profiles, roles, administration and the audit journal; the only place that keeps personal data.
