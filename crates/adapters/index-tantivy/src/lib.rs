//! A full-text index in tantivy with French, Arabic and English analysis.
