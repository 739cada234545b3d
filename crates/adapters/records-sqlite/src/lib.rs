//! Records in SQLite: one writer thread, group commit, synchronous=FULL.
