//! The command behind the make targets: starts, shows and takes away the cluster.

use std::os::unix::process::CommandExt as _;
use std::process::{Command as Process, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use test_cluster::build::Profile;
use test_cluster::{Cluster, Component, Extent, Progress, dockerfile};

/// A real Kubernetes on one machine
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cluster, or find it running and repair what does not
    Up {
        /// Without what only tests need: names and CPU figures
        #[arg(long)]
        for_demo: bool,
    },
    /// Take it away without a trace
    Down,
    /// Show which components are healthy
    Status,
    /// Open a shell inside the cluster's network namespace
    Shell,
    /// Run a command inside the cluster's network namespace
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Build the cluster's programs and start nothing
    Build,
    /// Build the Dockerfile and say where the image's archive is
    Image {
        /// Quick to build, instead of what users get
        #[arg(long)]
        dev: bool,
    },
    /// Show the log of a component
    Logs {
        /// Such as kube-apiserver
        component: Component,
        /// Go on showing what is written
        #[arg(short, long)]
        follow: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without the stack, which says nothing to whoever starts a cluster.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up { for_demo } => {
            let extent = if for_demo { Extent::Demo } else { Extent::Full };
            up(extent).await
        }
        Command::Down => down().await,
        Command::Status => status().await,
        Command::Shell => {
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            become_command(Cluster::attach()?.command(shell))
        }
        Command::Exec { command } => {
            let (program, arguments) = command.split_first().context("a command is needed")?;
            let mut command = Cluster::attach()?.command(program);
            command.args(arguments);
            become_command(command)
        }
        Command::Build => Cluster::build(Progress::shown()).await,
        Command::Image { dev } => {
            let profile = if dev { Profile::Dev } else { Profile::Release };
            let archive = dockerfile::build(profile, Progress::shown()).await?;
            println!("{}", archive.display());
            Ok(())
        }
        Command::Logs { component, follow } => {
            let log = Cluster::attach()?.component(component)?.log_path();
            let mut command = Process::new("tail");
            command.args(["--lines", if follow { "50" } else { "+1" }]);
            if follow {
                command.arg("--follow=name");
            }
            command.arg(log);
            become_command(command)
        }
    }
}

async fn up(extent: Extent) -> anyhow::Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::ensure(extent, Progress::shown()).await?;
    println!(
        "The cluster is up, after {:.1} s: {} (KUBECONFIG={})",
        begun.elapsed().as_secs_f64(),
        cluster.api_server_url().await?,
        cluster.kubeconfig().display()
    );
    Ok(())
}

async fn down() -> anyhow::Result<()> {
    if !Cluster::down(Progress::shown()).await? {
        println!("There is no cluster.");
    }
    Ok(())
}

async fn status() -> anyhow::Result<()> {
    let cluster = Cluster::attach()?;
    let (mut all, mut ill) = (0, 0);
    for component in cluster.extent().components() {
        all += 1;
        let control = cluster.component(component)?;
        let state = match control.check().await {
            Ok(()) => "healthy".to_owned(),
            Err(error) => {
                ill += 1;
                format!("{error:#}")
            }
        };
        let pid = control.pid().map_or("-".into(), |pid| pid.to_string());
        println!("{:<24} {pid:>8}  {state}", component.name());
    }
    if ill > 0 {
        bail!("{ill} of {all} components are not healthy");
    }
    Ok(())
}

/// Replaces this process.
fn become_command(mut command: Process) -> anyhow::Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("run {}", command.get_program().to_string_lossy()))
}
