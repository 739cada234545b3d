//! The child: confines itself, reads one document from standard input, writes its pages to
//! standard output.
//!
//! The program that is the child calls [`run`] first of all, before it starts threads or opens
//! anything: confinement applies to the calling thread and to what it starts later.

use std::io::{Read, Write};
use std::process::ExitCode;

use crate::confine::{Confinement, confine};
use crate::protocol::{Job, Line};
use crate::sink::Sink;
use crate::{Failure, Reason, read};

/// Exit status of a child that was started with something that is not a job.
const NOT_A_JOB: u8 = 64;

/// Does the job that the parent gave as the last argument, and ends with the exit status for
/// `main`. Nothing is written but lines for the parent.
#[must_use]
pub fn run(job: Option<&str>) -> ExitCode {
    let Some(job) = job.and_then(|job| serde_json::from_str::<Job>(job).ok()) else {
        return ExitCode::from(NOT_A_JOB);
    };
    match work(&job) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn work(job: &Job) -> std::io::Result<()> {
    match confine(&job.limits) {
        Ok(confinement) if confinement.is_full() || !job.require_confinement => {
            say(&Line::Confined(confinement))?;
        }
        Ok(confinement) => return say(&Line::Unconfined(missing(confinement))),
        Err(error) => return say(&Line::Unconfined(error)),
    }
    let end = match content(job.limits.file_bytes) {
        Ok(content) => read_document(job, content),
        Err(failure) => Some(failure),
    };
    say(&Line::End(end))
}

fn missing(confinement: Confinement) -> String {
    let missing = match (confinement.landlock, confinement.seccomp) {
        (false, false) => "Landlock and seccomp",
        (false, true) => "Landlock",
        _ => "seccomp",
    };
    format!("this kernel refuses {missing}")
}

fn content(most: u64) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let mut input = std::io::stdin().lock().take(most + 1);
    input
        .read_to_end(&mut content)
        .map_err(|error| Failure::new(Reason::OutOfMemory, error.to_string()))?;
    if content.len() as u64 > most {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("more than {most} bytes"),
        ));
    }
    Ok(content)
}

fn read_document(job: &Job, content: Vec<u8>) -> Option<Failure> {
    let mut give = |page| {
        say(&Line::Page(page)).map_err(|error| Failure::new(Reason::Broken, error.to_string()))
    };
    let mut sink = Sink::new(&job.limits, &mut give);
    let end = read::read(job.format, content, &mut sink).err();
    end.or(sink.flush().err())
}

/// Writes a line and sees to it that it leaves the process: it shall survive a crash.
fn say(line: &Line) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&bytes)?;
    output.flush()
}
