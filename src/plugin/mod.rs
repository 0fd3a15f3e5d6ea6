//! `kubectl quarantine`: commands to the agent, in kubectl's manner.
//!
//! [`run`] carries out one command line. Pure functions format everything that is printed, from values and the time; the
//! rest reads pods, writes annotations and waits for the agent.

mod answer;
pub mod arguments;
pub mod command;
pub mod completion;
pub mod events;
pub mod failure;
pub mod jsonpath;
pub mod list;
mod output;
mod pause;
pub mod paused;
pub mod print;
pub mod quarantined;
pub mod session;
pub mod uninstall;
mod watch;
pub mod why;

use std::io;

pub use self::output::OutputFormat;
use self::{
    arguments::{Arguments, PluginCommand},
    failure::CommandFailure,
    print::Printout,
    session::Session,
};

/// Carries out a command line. What a watch prints goes to `print` as it comes.
pub async fn run(
    arguments: &Arguments,
    print: &mut impl FnMut(&Printout) -> io::Result<()>,
) -> Result<Printout, CommandFailure> {
    let Arguments { global, command } = arguments;
    let output = global.output.as_ref();
    let session = match command {
        PluginCommand::Completion { shell } => return Ok(completion::script(*shell)),
        _ => &Session::open(global)?,
    };
    match command {
        PluginCommand::List(list) if list.watch => {
            watch::watch(session, list, output, print).await?;
            Ok(Printout::default())
        }
        PluginCommand::List(list) => list::list(session, list, output).await,
        PluginCommand::Why(why) => why::why(session, why, output).await,
        PluginCommand::Add(add) => command::add(session, add, output).await,
        PluginCommand::Release(release) => command::release(session, release, output).await,
        PluginCommand::Hold(hold) => command::hold(session, hold, output).await,
        PluginCommand::Pause(pause) => pause::pause(session, pause, output).await,
        PluginCommand::Resume(agent) => pause::resume(session, agent, output).await,
        PluginCommand::UninstallPrepare(uninstall) => {
            uninstall::prepare(session, uninstall, output).await
        }
        PluginCommand::UninstallFinish(finish) => uninstall::finish(session, finish).await,
        PluginCommand::Completion { shell } => Ok(completion::script(*shell)),
    }
}
