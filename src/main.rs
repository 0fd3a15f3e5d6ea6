//! The command line, nothing else.

use std::{
    io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use pod_quarantine::{
    agent::{self, Settings},
    cluster, config,
    plugin::{
        self,
        arguments::{Arguments, FinishArgs, Global, PluginCommand, UninstallArgs, WatchedArgs},
    },
    verify,
};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Takes an unhealthy pod out of its Services, keeps it running for investigation, and deletes it when its TTL expires.
#[derive(Parser)]
#[command(version)]
struct AgentCommandLine {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Subcommand)]
enum AgentCommand {
    /// Run the agent: watch pods, quarantine unhealthy ones, release and delete quarantined ones.
    Run(RunArgs),
    /// Read a policy file as `run` does: print every mistake, or what the file means.
    Check {
        /// The policy file.
        file: PathBuf,
        #[command(flatten)]
        watched: WatchedArgs,
    },
    /// Print the policy file's JSON Schema, for editors.
    Schema,
    /// Ask the replicas of a running agent whether they are ready, and whether a policy file is the one in force.
    Verify(VerifyArgs),
    /// Keep, release or delete the pods that an agent has quarantined, before the agent is uninstalled; say which stay.
    UninstallPrepare(UninstallArgs),
    /// Delete the ledger and the Lease of an agent that is uninstalled, unless a pod of its is still in quarantine.
    UninstallFinish(FinishArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// The policy file; it is reloaded when it changes.
    #[arg(long, default_value = "/etc/pod-quarantine/config.yaml")]
    config: PathBuf,
    /// The address that serves /metrics, /healthz and /readyz.
    #[arg(long, default_value = "[::]:9090")]
    listen: SocketAddr,
    /// The loopback address that explains single pods, for `kubectl quarantine why` through a port-forward.
    #[arg(long, default_value = "127.0.0.1:9091", value_parser = loopback)]
    explain: SocketAddr,
    /// The format of the log.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log: LogFormat,
    /// The kubeconfig; by default `KUBECONFIG`, then ~/.kube/config, then the pod's `ServiceAccount`.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; by default its current context.
    #[arg(long)]
    context: Option<String>,
    /// The agent's own namespace, with its ledger and its Lease; by default the `ServiceAccount`'s, then the context's.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    watched: WatchedArgs,
    /// Act only while holding the Lease, so that one of several replicas does the work. No limit depends on it.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    leader_elect: bool,
    /// The agent's own pod, as Events and the Lease name it.
    #[arg(long, env = "POD_NAME", hide = true)]
    instance: Option<String>,
}

#[derive(clap::Args)]
struct VerifyArgs {
    /// The policy file that should be in force.
    file: PathBuf,
    /// The name and port of the replicas; each address of the name is asked.
    #[arg(long, default_value = "pod-quarantine:9090")]
    agent: String,
    /// How long a changed file may take until it is in force: the kubelet updates a mounted `ConfigMap` every minute.
    #[arg(long, default_value = "2m", value_parser = duration)]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = config::duration::parse(text);
    duration.ok_or_else(|| "expected a duration such as 30s or 2m".to_owned())
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

/// Only users who may open a port-forward to the agent's pod read the verdicts of single pods.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address and a port such as 127.0.0.1:9091".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("expected an address of the loopback, such as 127.0.0.1:9091".to_owned());
    }
    Ok(address)
}

fn main() -> ExitCode {
    match AgentCommandLine::parse().command {
        AgentCommand::Run(arguments) => run(arguments),
        AgentCommand::Check { file, watched } => check(&file, &watched.namespaces()),
        AgentCommand::Schema => {
            println!("{:#}", config::schema());
            ExitCode::SUCCESS
        }
        AgentCommand::Verify(arguments) => verify(&arguments),
        AgentCommand::UninstallPrepare(arguments) => {
            of_plugin(PluginCommand::UninstallPrepare(arguments))
        }
        AgentCommand::UninstallFinish(arguments) => {
            of_plugin(PluginCommand::UninstallFinish(arguments))
        }
    }
}

fn check(file: &std::path::Path, namespaces: &[Arc<str>]) -> ExitCode {
    match config::check(file) {
        Ok(checked) => {
            for warning in &checked.warnings {
                eprintln!("{warning}");
            }
            println!("{}", config::describe(&checked.file));
            if let Some(unknown) = cluster::not_known(namespaces) {
                println!("\n{unknown}");
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::FAILURE
        }
    }
}

fn verify(arguments: &VerifyArgs) -> ExitCode {
    let VerifyArgs {
        file,
        agent,
        timeout,
    } = arguments;
    blocking(async {
        match verify::verify(file, agent, *timeout).await {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("error: {why:#}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Runs a command to its end.
fn blocking(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("error: start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what a command of the plugin does, as the pod's `ServiceAccount`.
fn of_plugin(command: PluginCommand) -> ExitCode {
    let arguments = Arguments {
        global: Global::default(),
        command,
    };
    blocking(async {
        match plugin::run(&arguments, &mut |_| Ok(())).await {
            Ok(printout) => {
                print!("{}", printout.stdout);
                printout.stderr.iter().for_each(|line| eprintln!("{line}"));
                ExitCode::SUCCESS
            }
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::FAILURE
            }
        }
    })
}

fn run(arguments: RunArgs) -> ExitCode {
    start_log(arguments.log);
    let settings = Settings {
        config: arguments.config,
        listen: arguments.listen,
        explain: arguments.explain,
        kubeconfig: arguments.kubeconfig,
        context: arguments.context,
        namespace: arguments.namespace,
        watch_namespaces: arguments.watched.namespaces(),
        instance: arguments.instance,
        leader_elect: arguments.leader_elect,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(agent::run(settings));
    // A resolver thread that hangs must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the log is read on a terminal, by somebody who has not asked for no colours (<https://no-color.org>).
fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted
}

/// Starts the log; `RUST_LOG` sets what is logged, such as `pod_quarantine=debug`.
fn start_log(format: LogFormat) {
    let filter = std::env::var("RUST_LOG")
        .ok()
        .and_then(|filter| filter.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    // A warning for each connection to an API server that is not verified: the agent says it once.
    let filter = filter.with_target("kube_client::client::tls", tracing::Level::ERROR);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true))
            .init(),
        LogFormat::Text => registry
            .with(tracing_subscriber::fmt::layer().with_ansi(has_colours()))
            .init(),
    }
}
