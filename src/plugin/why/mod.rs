//! `why`: explains one pod.

mod ask;
pub mod in_service;
pub mod quarantined;

use jiff::Timestamp;

use self::{in_service::InService, quarantined::QuarantineDetails};
use super::{
    arguments::WhyArgs,
    failure::CommandFailure,
    list::mode_of,
    output::OutputFormat,
    paused::report_unknown_pauses,
    print::{Printout, structured},
    session::Session,
};

/// How many Events are printed, the latest.
const EVENTS: usize = 10;

/// Explains a pod: by its record if it is quarantined, else by what the agent says.
pub(super) async fn why(
    session: &Session,
    why: &WhyArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let found = session.pod(&why.pod).await?;
    let (events, lowered) = futures::join!(session.events(&found.pod.uid), session.lowered());
    let mut printout = Printout::default();
    let mut events = events.unwrap_or_else(|failure| {
        let line = format!("the pod's Events are unknown: {failure}");
        printout.stderr.push(line);
        Vec::new()
    });
    events.drain(..events.len().saturating_sub(EVENTS));
    let lowered = lowered.unwrap_or_else(|failure| {
        let line = format!("the mode of the namespace is unknown: {failure}");
        printout.stderr.push(line);
        Vec::new()
    });
    let now = Timestamp::now();
    let mode = mode_of(&lowered, &session.namespace);
    if let Some(mut details) = QuarantineDetails::of(&found, mode, events.clone(), now) {
        let paused = session.paused(&why.agent).await;
        let paused = report_unknown_pauses(paused, output, &mut printout.stderr);
        details.listed = details.listed.noting_pauses(&paused);
        printout.stdout = match output {
            Some(OutputFormat::Name) => format!("pod/{}\n", why.pod),
            Some(OutputFormat::Wide) | None => details.text(now),
            Some(_) => structured(output, &details)?,
        };
        return Ok(printout);
    }
    let asked = ask::ask(session, why).await;
    let in_service = InService::of(&found.pod, asked, events);
    if let Some(why) = &in_service.not_asked {
        printout.stderr.push(format!("warning: {why}"));
        printout.failed = in_service.says_nothing();
    }
    printout.stdout = match output {
        Some(OutputFormat::Name) => format!("pod/{}\n", why.pod),
        Some(OutputFormat::Wide) | None => in_service.text(now),
        Some(_) => structured(output, &in_service)?,
    };
    Ok(printout)
}
