//! What the child takes away from itself before it reads the first byte.
//!
//! Everything is done by safe wrappers, in the only thread there is. In this order: a session of
//! its own, no new privileges, Landlock (no file system, no TCP), limits of the kernel (memory,
//! processor time, files, processes), an alarm in case the parent is gone, and seccomp: a list of
//! the few calls that reading from a pipe, computing and writing to a pipe need. Opening
//! files, sockets, starting programs and signalling others are not on it.

use std::collections::BTreeMap;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus};
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{alarm, setsid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde::{Deserialize, Serialize};

use crate::Limits;

/// What confines a child beyond the limits of memory, time and files, which always apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Landlock refuses the file system.
    pub landlock: bool,
    /// seccomp refuses system calls that are not needed.
    pub seccomp: bool,
}

impl Confinement {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.landlock && self.seccomp
    }
}

/// The stack that recursive readers may use, in bytes.
const STACK_BYTES: u64 = 64 * 1024 * 1024;
/// How much longer than the parent waits the alarm does, in seconds.
const ALARM_AFTER_PARENT_SECONDS: u64 = 5;

/// Confines the calling process. What fails of Landlock and seccomp is told, not an error: the
/// caller decides whether it goes on without.
pub(crate) fn confine(limits: &Limits) -> Result<Confinement, String> {
    // Fails where the process leads a group already; then it has a session of its own.
    let _ = setsid();
    prctl::set_no_new_privs().map_err(|error| format!("no_new_privs: {error}"))?;
    let used = address_space_bytes();
    // Before the limits: a set of rules is an open file until it applies.
    let landlock = no_files();
    limit_resources(limits, used).map_err(|error| format!("resource limits: {error}"))?;
    let seconds = limits.wall_seconds + ALARM_AFTER_PARENT_SECONDS;
    alarm::set(u32::try_from(seconds).unwrap_or(u32::MAX));
    let seccomp = few_calls();
    Ok(Confinement { landlock, seccomp })
}

fn limit_resources(limits: &Limits, used: u64) -> nix::Result<()> {
    let memory = used + limits.file_bytes + limits.memory_bytes;
    let (_, hard_stack) = getrlimit(Resource::RLIMIT_STACK)?;
    setrlimit(
        Resource::RLIMIT_STACK,
        STACK_BYTES.min(hard_stack),
        hard_stack,
    )?;
    for (resource, soft, hard) in [
        (Resource::RLIMIT_AS, memory, memory),
        // The first ends with a signal that says why, the second kills.
        (
            Resource::RLIMIT_CPU,
            limits.cpu_seconds,
            limits.cpu_seconds + 1,
        ),
        (Resource::RLIMIT_FSIZE, 0, 0),
        (Resource::RLIMIT_CORE, 0, 0),
        // Those that are open stay usable; no further one gets a number.
        (Resource::RLIMIT_NOFILE, 3, 3),
        (Resource::RLIMIT_NPROC, 0, 0),
    ] {
        lower(resource, soft, hard)?;
    }
    Ok(())
}

/// Sets a limit, or leaves one that is lower already.
fn lower(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    let (_, known_hard) = getrlimit(resource)?;
    let hard = hard.min(known_hard);
    setrlimit(resource, soft.min(hard), hard)
}

/// What the process has mapped already: the program itself and its libraries.
fn address_space_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    // First number of statm: all mapped pages (proc_pid_statm(5)).
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(65_536) * PAGE_BYTES
}

fn no_files() -> bool {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    restricted.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

fn few_calls() -> bool {
    let Some(program) = filter() else {
        return false;
    };
    seccompiler::apply_filter(&program).is_ok()
}

fn filter() -> Option<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED_CALLS
        .iter()
        .map(|call| (*call, Vec::new()))
        .collect();
    // A panic aborts by a signal to the own thread; to others none may be sent.
    let own = u64::from(std::process::id());
    let to_own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own).ok()?;
    for call in [libc::SYS_tgkill, libc::SYS_kill] {
        rules.insert(call, vec![SeccompRule::new(vec![to_own.clone()]).ok()?]);
    }
    let arch = std::env::consts::ARCH.try_into().ok()?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch).ok()?;
    filter.try_into().ok()
}

/// Reading and writing open files, memory, time, own signals, ending.
const ALLOWED_CALLS: [i64; 33] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, UdpSocket};
    use std::process::Command;

    use super::*;

    /// Set for the child alone: in an ordinary run it has nothing to do.
    const CHILD: &str = "RIWAQ_TEST_CHILD";

    /// The child of the test below: confines itself and then tries what it must not. Says a line
    /// for everything that it got away with.
    #[test]
    fn confined_probe() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        // Opened before, as a leak would be: what is open stays readable, by intention.
        let confinement = confine(&Limits::default()).expect("confines");
        let mut escapes = Vec::new();
        let mut attempt = |what: &'static str, worked: bool| {
            if worked {
                escapes.push(what);
            }
        };
        attempt("reads a file", std::fs::File::open("/etc/passwd").is_ok());
        attempt("lists a folder", std::fs::read_dir("/").is_ok());
        attempt(
            "writes a file",
            std::fs::write("/tmp/riwaq-escape", b"x").is_ok(),
        );
        attempt(
            "removes a file",
            std::fs::remove_file("/tmp/riwaq-escape").is_ok(),
        );
        attempt("opens a UDP socket", UdpSocket::bind("127.0.0.1:0").is_ok());
        attempt(
            "opens a TCP socket",
            TcpListener::bind("127.0.0.1:0").is_ok(),
        );
        attempt(
            "opens a Unix socket",
            std::os::unix::net::UnixDatagram::unbound().is_ok(),
        );
        attempt(
            "starts a program",
            Command::new("/bin/true").status().is_ok(),
        );
        attempt(
            "starts a thread",
            std::thread::Builder::new().spawn(|| ()).is_ok(),
        );
        attempt(
            "signals its parent",
            nix::sys::signal::kill(nix::unistd::getppid(), None).is_ok(),
        );
        attempt(
            "changes its limits",
            setrlimit(Resource::RLIMIT_CPU, 1, 1).is_ok(),
        );
        attempt("traces", prctl::set_dumpable(true).is_ok());
        println!("\nprobe {confinement:?} escapes {escapes:?}");
        let _ = std::io::stdout().flush();
        // The harness itself cannot go on in here.
        std::process::exit(0);
    }

    #[test]
    fn a_confined_process_reaches_nothing() {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "confine::tests::confined_probe", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let probe = text
            .lines()
            .find(|line| line.starts_with("probe "))
            .unwrap_or_else(|| {
                panic!(
                    "no probe: {text} {}",
                    String::from_utf8_lossy(&output.stderr)
                )
            });
        assert!(probe.ends_with("escapes []"), "{probe}");
        assert!(probe.contains("seccomp: true"), "{probe}");
    }
}
