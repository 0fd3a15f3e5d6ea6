//! Processes that outlive the one that starts them, and are known again later: [`Identity`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::mounts;
use crate::wait;

/// A process, told apart from a later one with the same number by when it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: i32,
    /// In clock ticks since the machine's start, as in `/proc/PID/stat`.
    started: u64,
    /// Which start of the machine that was.
    boot: String,
}

impl Identity {
    /// Of a process that runs now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = stat(pid)?;
        stat.runs().then(|| Self {
            pid,
            started: stat.started,
            boot: boot(),
        })
    }

    /// As written by [`Identity::record`], if it still runs.
    pub(crate) fn recorded(file: &Path) -> Option<Self> {
        let identity: Self = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
        identity.runs().then_some(identity)
    }

    /// Keeps it in a file.
    pub(crate) fn record(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self).context("write a process down")?;
        fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this very process still runs. One that only waits to be reaped does not.
    pub(crate) fn runs(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, to this process or to none.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if !self.runs() {
            bail!("process {} does not run any more", self.pid);
        }
        let pid = Pid::from_raw(self.pid).context("a process number")?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?} to {}", self.pid))
    }

    /// Waits until it is gone.
    pub(crate) async fn ended(&self, limit: Duration) -> anyhow::Result<()> {
        wait::until(
            format_args!("process {} ends", self.pid),
            limit,
            async || {
                if self.runs() {
                    bail!("it runs")
                }
                Ok(())
            },
        )
        .await
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u32,
    started: u64,
}

impl Stat {
    /// A process whose first thread has ended keeps its ports and files as long as another one is there.
    fn runs(&self) -> bool {
        self.state != 'Z' || self.threads > 1
    }
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<Stat> {
    // The second field is the program's name in brackets and may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    // Fields 3, 20 and 22.
    Some(Stat {
        state: fields.next()?.chars().next()?,
        threads: fields.nth(16)?.parse().ok()?,
        started: fields.nth(1)?.parse().ok()?,
    })
}

/// Where components find the machine's programs.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is needed to start a component.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// Starts a program in a session of its own, writing to `log`. The calling thread must be in the network namespace.
pub(crate) fn start(launch: &Launch, log: &Path) -> anyhow::Result<Identity> {
    let output = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("open {}", log.display()))?;
    let errors = output
        .try_clone()
        .with_context(|| format!("open {}", log.display()))?;
    // nsenter and setsid both become the program: the number stays.
    let child = mounts::command_outside("setsid")
        .arg(&launch.program)
        .args(&launch.arguments)
        // Nothing of the caller's: a proxy of its network would be asked for addresses that are only here.
        .env_clear()
        .env("PATH", SYSTEM_PATH)
        .envs(launch.environment.iter().map(|(k, v)| (*k, v)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("start {}", launch.program.display()))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    pid.and_then(Identity::of)
        .with_context(|| format!("{} ended at once", launch.program.display()))
}

/// Runs a program to its end and answers with what it wrote; an error says what it complained of.
pub(crate) async fn run(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let shown = shown(command);
    let ended = tokio::time::timeout(
        limit,
        command.stdin(Stdio::null()).kill_on_drop(true).output(),
    )
    .await
    .with_context(|| format!("`{shown}` did not end within {limit:?}"))?
    .with_context(|| format!("run `{shown}`"))?;
    if !ended.status.success() {
        bail!(
            "`{shown}`: {}: {}",
            ended.status,
            String::from_utf8_lossy(&ended.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Numbers of all processes.
pub(crate) fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// This process and those it descends from.
pub(crate) fn own_ancestry() -> Vec<i32> {
    let mut ancestry = Vec::new();
    let mut next = i32::try_from(std::process::id()).ok();
    while let Some(pid) = next.filter(|pid| *pid > 0) {
        ancestry.push(pid);
        next = parent(pid);
    }
    ancestry
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this() -> Identity {
        let pid = i32::try_from(std::process::id()).unwrap();
        Identity::of(pid).unwrap()
    }

    #[test]
    fn a_process_is_known_again() {
        assert!(this().runs());
        let file = std::env::temp_dir().join(format!("identity-{}", std::process::id()));
        this().record(&file).unwrap();
        assert_eq!(Identity::recorded(&file), Some(this()));
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn another_process_with_the_same_number_is_not_taken_for_it() {
        let earlier = Identity {
            started: this().started - 1,
            ..this()
        };
        assert!(!earlier.runs());
        assert!(earlier.signal(Signal::KILL).is_err());
        let before_the_restart = Identity {
            boot: "another".into(),
            ..this()
        };
        assert!(!before_the_restart.runs());
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 4711 0 0";
        let stat = Stat {
            state: 'S',
            threads: 9,
            started: 4711,
        };
        assert_eq!(parse_stat(text), Some(stat));
    }

    #[test]
    fn a_process_ends_with_its_last_thread() {
        let ended = |threads| Stat {
            state: 'Z',
            threads,
            started: 0,
        };
        assert!(ended(2).runs());
        assert!(!ended(1).runs() && !ended(0).runs());
    }

    #[tokio::test]
    async fn a_process_that_was_not_reaped_does_not_run() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        wait::until("it ended", Duration::from_secs(5), async || {
            anyhow::ensure!(Identity::of(pid).is_none(), "it runs");
            Ok(())
        })
        .await
        .unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_program_that_fails_is_reported_with_what_it_wrote() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck >&2; exit 3"]);
        let error = run(&mut command, Duration::from_secs(5)).await.unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("no such luck") && error.contains('3'),
            "{error}"
        );
    }
}
