//! Extraction, passages and full-text search filtered by what the reader may read.
