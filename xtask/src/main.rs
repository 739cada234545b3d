//! Build, run, test and check: the commands of this repository.

fn main() {}
