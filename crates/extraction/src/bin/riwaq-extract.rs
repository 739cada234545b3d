//! The extraction child as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    riwaq_extraction::child::run(std::env::args().next_back().as_deref())
}
