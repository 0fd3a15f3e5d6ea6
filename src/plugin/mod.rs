//! `kubectl quarantine`: what people ask of the agent, in kubectl's manner.
//!
//! [`run`] carries out one command line. Everything that is said is put together by pure functions from values and
//! the time; the rest reads pods, writes annotations and waits for the agent.

pub mod age;
mod answer;
pub mod arguments;
pub mod command;
pub mod completion;
pub mod failure;
pub mod list;
pub mod output;
mod pause;
pub mod paused;
pub mod quarantined;
pub mod session;
pub mod table;
pub mod told;
pub mod why;

use self::{
    arguments::{Arguments, Command},
    failure::Failure,
    output::Said,
    session::Session,
};

/// Carries out a command line.
pub async fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let Arguments { global, command } = arguments;
    let output = global.output;
    let session = || Session::open(global);
    match command {
        Command::List(list) => {
            list::list(&session().await?, list, global.all_namespaces, output).await
        }
        Command::Why(why) => why::why(&session().await?, why, output).await,
        Command::Add(add) => command::add(&session().await?, add, output).await,
        Command::Release(release) => command::release(&session().await?, release, output).await,
        Command::Hold(hold) => command::hold(&session().await?, hold, output).await,
        Command::Pause(pause) => pause::pause(&session().await?, pause, output).await,
        Command::Resume(resume) => pause::resume(&session().await?, resume, output).await,
        Command::Completion { shell } => Ok(completion::script(*shell)),
    }
}
