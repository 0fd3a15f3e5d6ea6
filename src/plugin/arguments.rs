//! The plugin's command line: kubectl's flags, and the commands.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use clap::{
    Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    ValueHint, error::ErrorKind,
};

use super::output::{OutputFormat, OutputFormatParser};
use crate::{
    cluster::{ClusterFlags, ConnectionFlags, UserFlags},
    config::duration,
    core::overrides::LONGEST_TTL,
};

/// The Event about a pause has room for this many characters.
const LONGEST_PAUSE_REASON: usize = 500;

/// Lists, explains, quarantines, releases and holds pods, and pauses the agent of pod-quarantine.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kubectl-quarantine",
    bin_name = "kubectl quarantine",
    version,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage."
)]
pub struct Arguments {
    /// The cluster, the namespace, and the output format.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: PluginCommand,
}

/// The flags of every command, as in kubectl.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// The namespace of the pods; by default the namespace of the context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The pods of all namespaces, whatever --namespace says.
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,
    /// The output format; by default a table or sentences.
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = OutputFormatParser)]
    pub output: Option<OutputFormat>,
    /// How long one request may take, such as 1s, 2m or 3h; 0 is as long as it takes, and the default is 15s.
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout)]
    pub request_timeout: Option<Duration>,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Which cluster, and as whom, as in kubectl.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster and user")]
pub struct ConnectionArgs {
    /// The kubeconfig to use; by default `KUBECONFIG`, then ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use; by default its current context.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The cluster of the kubeconfig to use; by default the context's.
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The user of the kubeconfig to use; by default the context's.
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// The address of the API server.
    #[arg(short, long, global = true, value_name = "ADDRESS")]
    pub server: Option<String>,
    /// The certificates of the authority that signed the API server's certificate.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub certificate_authority: Option<String>,
    /// Do not verify the API server's certificate: anyone on the way can read and change what is sent.
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// The name in the API server's certificate; by default the host of its address.
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// The bearer token to sign in with.
    #[arg(long, global = true, value_name = "TEXT", hide_env_values = true)]
    pub token: Option<String>,
    /// The user name for basic authentication.
    #[arg(long, global = true, value_name = "TEXT")]
    pub username: Option<String>,
    /// The password for basic authentication.
    #[arg(long, global = true, value_name = "TEXT")]
    pub password: Option<String>,
    /// The certificate to sign in with.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub client_certificate: Option<String>,
    /// The key of that certificate.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub client_key: Option<String>,
    /// The user to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// The group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub as_groups: Vec<String>,
    /// The UID to impersonate.
    #[arg(long, global = true, value_name = "UID")]
    pub as_uid: Option<String>,
    /// What else to say about the user to impersonate; may be repeated, also for one key.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    pub as_user_extra: Vec<String>,
}

impl ConnectionArgs {
    /// The same, for the client.
    #[must_use]
    pub fn flags(&self) -> ConnectionFlags {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        ConnectionFlags {
            kubeconfig: self.kubeconfig.clone(),
            context: given(&self.context),
            cluster: given(&self.cluster),
            user: given(&self.user),
            to_cluster: ClusterFlags {
                server: given(&self.server),
                certificate_authority: given(&self.certificate_authority),
                insecure_skip_tls_verify: self.insecure_skip_tls_verify,
                tls_server_name: given(&self.tls_server_name),
            },
            to_user: UserFlags {
                token: given(&self.token),
                username: given(&self.username),
                password: given(&self.password),
                client_certificate: given(&self.client_certificate),
                client_key: given(&self.client_key),
                impersonate: given(&self.as_user),
                impersonate_uid: given(&self.as_uid),
                impersonate_groups: self.as_groups.clone(),
                impersonate_extra: self.as_user_extra.clone(),
            },
        }
    }
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum PluginCommand {
    /// List quarantined pods.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Explain why a pod is quarantined, or why it is not.
    Why(WhyArgs),
    /// Quarantine pods now, and wait for the agent's answer.
    Add(AddArgs),
    /// Release quarantined pods, and wait for the agent's answer.
    Release(ReleaseArgs),
    /// Keep quarantined pods after their TTL expires, for a time or until the hold is removed.
    Hold(HoldArgs),
    /// Pause the agent: until it is resumed it quarantines nothing and deletes nothing; it still carries out releases.
    Pause(PauseArgs),
    /// Resume a paused agent.
    Resume(AgentArgs),
    /// Keep, release or delete the pods that an agent has quarantined, before the agent is uninstalled; say which stay.
    UninstallPrepare(UninstallArgs),
    /// Delete the ledger and the Lease of an agent that is uninstalled, unless a pod of its is still in quarantine.
    UninstallFinish(FinishArgs),
    /// Print a completion script.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// One agent, which is all replicas of one installation: the same flags on every command about it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Agent")]
pub struct AgentArgs {
    /// The namespace in which the agent runs.
    #[arg(
        id = "agent_namespace",
        long = "agent-namespace",
        default_value = "pod-quarantine",
        value_name = "NAMESPACE"
    )]
    pub namespace: String,
    /// The name of the agent, `agent` in its policy file. By default `list`, `why`, `add`, `release` and `hold`
    /// take every agent of the namespace, the other commands the agent `default`.
    #[arg(id = "agent", long = "agent", value_name = "NAME")]
    pub name: Option<String>,
    /// The port at which the agent explains pods on its loopback address.
    #[arg(
        id = "agent_port",
        long = "agent-port",
        default_value_t = 9091,
        value_name = "PORT"
    )]
    pub port: u16,
}

/// Of `list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Only the pods with these labels, as they are now: a quarantine has changed some.
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    pub selector: String,
    /// Go on, and print what changes.
    #[arg(short, long)]
    pub watch: bool,
    /// Print the table without its headings.
    #[arg(long)]
    pub no_headers: bool,
    /// The agent, of which `list` prints whether it is paused.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// Of `why`.
#[derive(Args, Clone, Debug)]
pub struct WhyArgs {
    /// The pod.
    #[arg(value_name = "POD", value_parser = pod_name)]
    pub pod: String,
    /// The agent, which explains a pod that is not quarantined.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// Of `pause`.
#[derive(Args, Clone, Debug)]
pub struct PauseArgs {
    /// The reason; `list`, `why` and the refusals of pods print it.
    #[arg(long, value_name = "TEXT", value_parser = pause_reason)]
    pub reason: String,
    /// The agent to pause.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// How long to wait for the agent.
#[derive(Args, Clone, Copy, Debug)]
pub struct Waiting {
    /// How long to wait for the agent's answer.
    #[arg(long, default_value = "30s", value_parser = time)]
    pub timeout: Duration,
    /// Write the command on the pod without waiting for the agent's answer.
    #[arg(long, conflicts_with = "timeout")]
    pub no_wait: bool,
}

/// Of `add`.
#[derive(Args, Clone, Debug)]
pub struct AddArgs {
    /// The pods.
    #[arg(value_name = "POD", value_parser = pod_name, required = true)]
    pub pods: Vec<String>,
    /// The reason, which the record keeps.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// How long to wait.
    #[command(flatten)]
    pub waiting: Waiting,
    /// The agent, which is looked for where no answer comes.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// Of `release`.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// The pods.
    #[arg(value_name = "POD", value_parser = pod_name, required = true)]
    pub pods: Vec<String>,
    /// Release the pods even where the agent would refuse: not Ready, of an old revision, without an owner.
    #[arg(long)]
    pub force: bool,
    /// How long to wait.
    #[command(flatten)]
    pub waiting: Waiting,
    /// The agent, which is looked for where no answer comes.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// Of `hold`.
#[derive(Args, Clone, Debug)]
pub struct HoldArgs {
    /// The pods.
    #[arg(value_name = "POD", value_parser = pod_name, required = true)]
    pub pods: Vec<String>,
    /// How long to hold the pods from now, such as 4h; by default until the hold is removed.
    #[arg(long = "for", value_name = "DURATION", value_parser = hold_time, conflicts_with = "off")]
    pub time: Option<Duration>,
    /// Remove the hold.
    #[arg(long)]
    pub off: bool,
    /// The agent. A hold needs no answer of it: the flags are those of the other commands.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// Of `uninstall-prepare`.
#[derive(Args, Clone, Debug)]
pub struct UninstallArgs {
    /// What becomes of the pods in quarantine: they stay as they are; the agent puts them back; the agent deletes them as
    /// if their TTL had expired.
    #[arg(long, value_enum, default_value_t = UninstallPods::Keep)]
    pub pods: UninstallPods,
    /// How long to wait until the agent has done so for all.
    #[arg(long, default_value = "2m", value_parser = time)]
    pub timeout: Duration,
    /// Where the agent has quarantined pods.
    #[command(flatten)]
    pub watched: WatchedArgs,
    /// The agent that is about to be uninstalled.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// The namespaces that an agent watches.
#[derive(Args, Clone, Debug)]
pub struct WatchedArgs {
    /// A namespace whose pods the agent watches, for one with Roles there alone; may be repeated. By default those of the
    /// whole cluster.
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace_name
    )]
    namespaces: Vec<Arc<str>>,
}

impl WatchedArgs {
    /// Each once.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        let each: BTreeSet<Arc<str>> = self.namespaces.iter().cloned().collect();
        each.into_iter().collect()
    }
}

/// A DNS label, as the API server demands it of a namespace.
fn namespace_name(text: &str) -> Result<Arc<str>, String> {
    let fits = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    let is_name = (1..=63).contains(&text.len())
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        Ok(text.into())
    } else {
        Err(
            "expected the name of a namespace: a-z, 0-9 and - within it, at most 63 characters"
                .to_owned(),
        )
    }
}

/// Of `uninstall-finish`.
#[derive(Args, Clone, Debug)]
pub struct FinishArgs {
    /// How long to wait until the agent's replicas have ended.
    #[arg(long, default_value = "1m", value_parser = time)]
    pub timeout: Duration,
    /// The agent that was uninstalled.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// What becomes of the pods in quarantine when their agent is uninstalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UninstallPods {
    Keep,
    Release,
    Reap,
}

impl AgentArgs {
    /// The name of the agent, for commands that concern only one.
    #[must_use]
    pub fn name_or_default(&self) -> &str {
        self.name.as_deref().unwrap_or("default")
    }

    /// Whether a command concerns the agent of that name.
    #[must_use]
    pub fn includes(&self, name: &str) -> bool {
        match &self.name {
            Some(only) => only == name,
            None => true,
        }
    }
}

impl Arguments {
    /// Reads a command line; clap describes a mistake in it.
    pub fn read(
        words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut matches = with_boolean_values(Self::command()).try_get_matches_from(words)?;
        let arguments = Self::from_arg_matches_mut(&mut matches)?;
        let conflict = |why: &str| Err(Self::command().error(ErrorKind::ArgumentConflict, why));
        let Global {
            namespace,
            all_namespaces,
            ..
        } = &arguments.global;
        match arguments.command {
            PluginCommand::Pause(_)
            | PluginCommand::Resume(_)
            | PluginCommand::UninstallPrepare(_)
            | PluginCommand::UninstallFinish(_)
                if namespace.is_some() || *all_namespaces =>
            {
                conflict(
                    "the command is about an agent, and everything that it does in every namespace: name it with --agent-namespace and --agent",
                )
            }
            PluginCommand::Why(_)
            | PluginCommand::Add(_)
            | PluginCommand::Release(_)
            | PluginCommand::Hold(_)
                if *all_namespaces =>
            {
                conflict("a pod is named within one namespace: use -n instead of -A")
            }
            _ => Ok(arguments),
        }
    }
}

/// Lets every switch have a value, such as `--watch=false`.
pub(super) fn with_boolean_values(command: Command) -> Command {
    let command = command.mut_args(|arg: Arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .hide_default_value(true)
            .value_name("BOOLEAN")
            .value_parser(boolean),
        _ => arg,
    });
    command.mut_subcommands(with_boolean_values)
}

/// What Go takes for a boolean.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// A duration, or a number of seconds.
fn request_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let time = seconds.or_else(|| duration::parse(text));
    time.ok_or_else(|| {
        "expected a number of seconds, or a duration such as 1s, 2m or 3h".to_owned()
    })
}

fn pair(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// `NAME` or `pod/NAME`, as `-o name` prints it.
fn pod_name(text: &str) -> Result<String, String> {
    let prefixes = ["pod/", "pods/", "po/"];
    let mut stripped = prefixes
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix));
    let name = stripped.next().unwrap_or(text);
    let fits = |letter: char| matches!(letter, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.');
    if name.is_empty() || !name.chars().all(fits) {
        return Err("expected a pod, as NAME or pod/NAME".to_owned());
    }
    Ok(name.to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("expected a reason".to_owned());
    }
    Ok(text.to_owned())
}

/// A reason that is not too long: the ledger, which keeps it, must have room for other entries.
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
