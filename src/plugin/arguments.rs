//! The plugin's command line: kubectl's flags, and the commands.

use std::{path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};

use crate::{config::duration, core::overrides::LONGEST_TTL};

/// As much as the Event that tells of it has room for.
const LONGEST_PAUSE_REASON: usize = 500;

/// Lists, explains, quarantines, releases and holds pods that pod-quarantine takes out of service.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kubectl-quarantine",
    bin_name = "kubectl quarantine",
    version,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage."
)]
pub struct Arguments {
    /// Which cluster, where on it, and in what form.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands, as in kubectl.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The namespace; by default the context's.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// List the pods of all namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// A context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// A kubeconfig other than the usual ones.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Another form than a table or sentences.
    #[arg(short, long, value_enum, global = true)]
    pub output: Option<Output>,
}

/// The forms of `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For programs.
    Json,
    /// The same for people.
    Yaml,
    /// `pod/NAME`.
    Name,
    /// More columns.
    Wide,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List quarantined pods.
    #[command(visible_alias = "ls")]
    List(List),
    /// Explain why a pod is quarantined, or why it is not.
    Why(Why),
    /// Quarantine pods now, and wait for the agent's answer.
    Add(Add),
    /// Put pods back, and wait for the agent's answer.
    Release(Release),
    /// Do not delete quarantined pods when their time is up, or not until then.
    Hold(Hold),
    /// Quarantine nothing and delete nothing until it is resumed; releases are carried out.
    Pause(Pause),
    /// Let a paused agent go on.
    Resume(Installation),
    /// Print a completion script.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Of `list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Where the agent runs, to say whether it is paused.
    #[arg(long, default_value = "pod-quarantine", value_name = "NAMESPACE")]
    pub agent_namespace: String,
}

/// Of `why`.
#[derive(Args, Clone, Debug)]
pub struct Why {
    /// The pod.
    #[arg(value_name = "POD", value_parser = pod_name)]
    pub pod: String,
    /// Where the agent runs, which is asked about a pod that is not quarantined.
    #[arg(long, default_value = "pod-quarantine", value_name = "NAMESPACE")]
    pub agent_namespace: String,
    /// The port of its loopback at which it explains pods.
    #[arg(long, default_value_t = 9091, value_name = "PORT")]
    pub agent_port: u16,
}

/// Of `pause`.
#[derive(Args, Clone, Debug)]
pub struct Pause {
    /// Why; whoever looks for what is not quarantined reads it.
    #[arg(long, value_name = "TEXT", value_parser = pause_reason)]
    pub reason: String,
    /// Which one.
    #[command(flatten)]
    pub installation: Installation,
}

/// One installation of the agent: all its replicas.
#[derive(Args, Clone, Debug)]
pub struct Installation {
    /// Where the agent runs.
    #[arg(long, default_value = "pod-quarantine", value_name = "NAMESPACE")]
    pub agent_namespace: String,
    /// Its name, as `agent` in its policy file says.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub agent: String,
}

/// How long to wait for the agent.
#[derive(Args, Clone, Copy, Debug)]
pub struct Waiting {
    /// How long to wait for the agent's answer.
    #[arg(long, default_value = "30s", value_parser = time)]
    pub timeout: Duration,
    /// Write the command and wait for no answer.
    #[arg(long, conflicts_with = "timeout")]
    pub no_wait: bool,
}

/// Of `add`.
#[derive(Args, Clone, Debug)]
pub struct Add {
    /// The pods.
    #[arg(value_name = "POD", value_parser = pod_name, required = true)]
    pub pods: Vec<String>,
    /// Why; it is kept in the record.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// For how long to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Of `release`.
#[derive(Args, Clone, Debug)]
pub struct Release {
    /// The pods.
    #[arg(value_name = "POD", value_parser = pod_name, required = true)]
    pub pods: Vec<String>,
    /// Put them back also where that would hurt.
    #[arg(long)]
    pub force: bool,
    /// For how long to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Of `hold`.
#[derive(Args, Clone, Debug)]
pub struct Hold {
    /// The pods.
    #[arg(value_name = "POD", value_parser = pod_name, required = true)]
    pub pods: Vec<String>,
    /// For how long from now, such as 4h; without it until it is taken off.
    #[arg(long = "for", value_name = "DURATION", value_parser = hold_time, conflicts_with = "off")]
    pub time: Option<Duration>,
    /// Hold them no longer.
    #[arg(long)]
    pub off: bool,
}

impl Arguments {
    /// Reads a command line; a mistake in it is what clap says.
    pub fn read(
        words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let arguments = Self::try_parse_from(words)?;
        let conflict = |why: &str| Err(Self::command().error(ErrorKind::ArgumentConflict, why));
        let Global {
            namespace,
            all_namespaces,
            ..
        } = &arguments.global;
        match arguments.command {
            Command::Pause(_) | Command::Resume(_) if namespace.is_some() || *all_namespaces => {
                conflict(
                    "all that an agent does is paused, wherever: it is named by --agent-namespace and --agent",
                )
            }
            Command::Why(_) | Command::Add(_) | Command::Release(_) | Command::Hold(_)
                if *all_namespaces =>
            {
                conflict("a pod cannot be named across all namespaces")
            }
            _ => Ok(arguments),
        }
    }
}

/// `NAME` or `pod/NAME`, as `-o name` prints it.
fn pod_name(text: &str) -> Result<String, String> {
    let prefixes = ["pod/", "pods/", "po/"];
    let mut stripped = prefixes
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix));
    let name = stripped.next().unwrap_or(text);
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    if name.is_empty() || !name.chars().all(fits) {
        return Err("expected a pod, as NAME or pod/NAME".to_owned());
    }
    Ok(name.to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("expected a reason, for whoever looks into the pod".to_owned());
    }
    Ok(text.to_owned())
}

/// It stands in the ledger, which must have room for other things.
fn pause_reason(text: &str) -> Result<String, String> {
    let text = reason(text)?;
    if text.chars().count() > LONGEST_PAUSE_REASON {
        return Err(format!(
            "expected {LONGEST_PAUSE_REASON} characters at most"
        ));
    }
    Ok(text)
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "expected a duration such as 30s or 1h30m".to_owned())
}

fn hold_time(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if !(Duration::from_secs(1)..=LONGEST_TTL).contains(&time) {
        return Err("expected a duration from 1s to 90d such as 4h".to_owned());
    }
    Ok(time)
}
