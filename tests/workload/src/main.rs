//! The test workload's command line.

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use hyper::Method;

use test_workload::behaviour::Behaviour;
use test_workload::client::{self, Client};
use test_workload::pause::pause;
use test_workload::request::{Connection, Target};
use test_workload::serve::{self, Server};
use test_workload::signals::Signals;

/// A program that answers, fails, hangs or refuses as it is switched, and the client that talks to it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests as switched
    Serve {
        #[command(flatten)]
        settings: serve::Settings,
        /// Do not end on SIGTERM
        #[arg(long, env = "IGNORE_SIGTERM")]
        ignore_sigterm: bool,
    },
    /// Put traffic on an address and count what comes back
    Client(client::Settings),
    /// Do nothing until SIGTERM
    Pause,
    /// Tell a server what to do
    Switch {
        /// Control port of the server
        #[arg(long, default_value = "http://127.0.0.1:8081")]
        to: Target,
        /// Behaviour, as JSON or as one of ok, unready, hang, close, refuse or a status
        behaviour: Behaviour,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread: a pod of the tests is one of many on a machine.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let ended = runtime.block_on(run(arguments.command));
    // Not dropped: that would wait for a name that is still being resolved.
    runtime.shutdown_background();
    ended
}

async fn run(command: Command) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("install signal handlers")?;
    match command {
        Command::Serve {
            settings,
            ignore_sigterm,
        } => {
            let mut server = Server::start(settings).await?;
            println!(
                "traffic on {}, control on {}",
                server.traffic, server.control
            );
            tokio::select! {
                error = server.died() => Err(error.into()),
                () = signals.asked_to_end(ignore_sigterm) => Ok(()),
            }
        }
        Command::Client(settings) => {
            let mut client = Client::start(settings).await?;
            eprintln!("counts on {}", client.control);
            tokio::select! {
                counts = client.finished() => {
                    println!("{}", serde_json::to_string(&counts?)?);
                    Ok(())
                }
                () = signals.asked_to_end(false) => Ok(()),
            }
        }
        Command::Pause => pause(signals).await.context("wait for signals"),
        Command::Switch { to, behaviour } => switch(&to.at("/behaviour"), &behaviour).await,
    }
}

async fn switch(to: &Target, behaviour: &Behaviour) -> anyhow::Result<()> {
    let body = serde_json::to_string(behaviour).context("write behaviour")?;
    let mut connection = Connection::open(to).await?;
    let answer = connection.send(to, Method::PUT, body, false).await?;
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status.is_success(),
        "switch: {} {}",
        answer.status,
        said.trim_end()
    );
    println!("{said}");
    Ok(())
}
