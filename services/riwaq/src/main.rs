//! The Riwaq program: every role of a university workspace, in one process or each in its own.

fn main() {}
