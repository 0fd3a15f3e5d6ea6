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
pub mod list;
mod pause;
pub mod paused;
pub mod print;
pub mod quarantined;
pub mod session;
pub mod why;

use self::{
    arguments::{Arguments, PluginCommand},
    failure::CommandFailure,
    print::Printout,
    session::Session,
};

/// Carries out a command line.
pub async fn run(arguments: &Arguments) -> Result<Printout, CommandFailure> {
    let Arguments { global, command } = arguments;
    let output = global.output;
    let session = || Session::open(global);
    match command {
        PluginCommand::List(list) => {
            list::list(&session()?, list, global.all_namespaces, output).await
        }
        PluginCommand::Why(why) => why::why(&session()?, why, output).await,
        PluginCommand::Add(add) => command::add(&session()?, add, output).await,
        PluginCommand::Release(release) => command::release(&session()?, release, output).await,
        PluginCommand::Hold(hold) => command::hold(&session()?, hold, output).await,
        PluginCommand::Pause(pause) => pause::pause(&session()?, pause, output).await,
        PluginCommand::Resume(agent) => pause::resume(&session()?, agent, output).await,
        PluginCommand::Completion { shell } => Ok(completion::script(*shell)),
    }
}
