//! The command line, nothing else.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use pod_quarantine::{
    agent::{self, Settings},
    config,
};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Takes a bad pod out of its Service, keeps it running to be looked into, and deletes it when its time is up.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch pods, quarantine bad ones, put back and reap.
    Run(Run),
    /// Read a policy file as `run` would: print every mistake, or what the file means.
    Check {
        /// The policy file.
        file: PathBuf,
    },
    /// Print the policy file's JSON Schema, for editors.
    Schema,
}

#[derive(clap::Args)]
struct Run {
    /// The policy file; reloaded when it changes.
    #[arg(long, default_value = "/etc/pod-quarantine/config.yaml")]
    config: PathBuf,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, default_value = "[::]:9090")]
    listen: SocketAddr,
    /// Where single pods are explained, for `kubectl quarantine why`: on the loopback, reached by a port-forward.
    #[arg(long, default_value = "127.0.0.1:9091", value_parser = loopback)]
    explain: SocketAddr,
    /// The form of the log.
    #[arg(long, value_enum, default_value_t = Log::Json)]
    log: Log,
    /// A kubeconfig; by default `KUBECONFIG`, ~/.kube/config, then the pod's `ServiceAccount`.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// The agent's own namespace, where its ledger lives; by default the `ServiceAccount`'s or the context's.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Act only while holding the Lease, so that one of several replicas does the work. No limit depends on it.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    leader_elect: bool,
    /// The agent's own pod, as Events and the Lease name it.
    #[arg(long, env = "POD_NAME", hide = true)]
    instance: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Log {
    Json,
    Text,
}

/// The verdicts of single pods are for those who may reach into the agent's pod, and for nobody else.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address and a port such as 127.0.0.1:9091".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("pods are explained on the loopback only, such as 127.0.0.1:9091".to_owned());
    }
    Ok(address)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(run) => self::run(run),
        Command::Check { file } => check(&file),
        Command::Schema => {
            println!("{:#}", config::schema());
            ExitCode::SUCCESS
        }
    }
}

fn check(file: &std::path::Path) -> ExitCode {
    match config::check(file) {
        Ok(checked) => {
            for warning in &checked.warnings {
                eprintln!("{warning}");
            }
            print!("{}", config::describe(&checked.file));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::FAILURE
        }
    }
}

fn run(run: Run) -> ExitCode {
    start_log(run.log);
    let settings = Settings {
        config: run.config,
        listen: run.listen,
        explain: run.explain,
        kubeconfig: run.kubeconfig,
        context: run.context,
        namespace: run.namespace,
        instance: run.instance,
        leader_elect: run.leader_elect,
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

/// `RUST_LOG` narrows or widens what is logged, such as `pod_quarantine=debug`.
fn start_log(form: Log) {
    let filter = std::env::var("RUST_LOG")
        .ok()
        .and_then(|filter| filter.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let registry = tracing_subscriber::registry().with(filter);
    match form {
        Log::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true))
            .init(),
        Log::Text => registry.with(tracing_subscriber::fmt::layer()).init(),
    }
}
