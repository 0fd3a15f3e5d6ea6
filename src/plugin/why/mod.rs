//! `why`: what is known of one pod.

mod ask;
pub mod in_service;
pub mod kept;

use jiff::Timestamp;
use kube::ResourceExt;

use self::{in_service::InService, kept::Kept};
use super::{
    age::between,
    arguments::{Output, Why},
    failure::Failure,
    list::mode_of,
    output::{Said, structured},
    paused::known,
    session::Session,
    table::{columns, plain},
    told::Told,
};

/// How many Events are shown, the latest.
const EVENTS: usize = 10;

/// Explains a pod: by its record where it is quarantined, else by what the agent says.
pub(super) async fn why(
    session: &Session,
    why: &Why,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let pod = session.pod(&why.pod).await?;
    let uid = pod.uid().unwrap_or_default();
    let (events, lowered) = futures::join!(session.events(&uid), session.lowered());
    let mut said = Said::default();
    let mut events = events.unwrap_or_else(|failure| {
        said.aside
            .push(format!("its Events are not known: {failure}"));
        Vec::new()
    });
    events.drain(..events.len().saturating_sub(EVENTS));
    let lowered = lowered.unwrap_or_else(|failure| {
        let aside = format!("the mode of its namespace is not known: {failure}");
        said.aside.push(aside);
        Vec::new()
    });
    let now = Timestamp::now();
    let mode = mode_of(&lowered, &session.namespace);
    if let Some(mut kept) = Kept::read(&pod, mode, events.clone(), now)? {
        let paused = session.paused(&why.agent_namespace).await;
        let paused = known(paused, output, &mut said.aside);
        kept.listed = kept.listed.noting_pauses(&paused);
        said.text = match output {
            Some(Output::Json | Output::Yaml) => structured(output, &kept)?,
            Some(Output::Name) => format!("pod/{}\n", why.pod),
            Some(Output::Wide) | None => kept.text(now),
        };
        return Ok(said);
    }
    let asked = ask::ask(session, why).await;
    let in_service = InService::read(&pod, asked, events)?;
    if let Some(why) = &in_service.not_asked {
        said.aside.push(format!("warning: {why}"));
        said.failed = in_service.says_nothing();
    }
    said.text = match output {
        Some(Output::Json | Output::Yaml) => structured(output, &in_service)?,
        Some(Output::Name) => format!("pod/{}\n", why.pod),
        Some(Output::Wide) | None => in_service.text(now),
    };
    Ok(said)
}

/// One line for each Event.
fn lines(events: &[Told], now: Timestamp) -> Vec<String> {
    let row = |told: &Told| {
        let age = told.at.map_or_else(String::new, |at| between(at, now));
        let times = match told.count {
            ..=1 => String::new(),
            count => format!(" (x{count})"),
        };
        let note = format!("{}{times}", plain(told.note.trim()));
        vec![age, told.reason.clone(), note]
    };
    let rows: Vec<Vec<String>> = events.iter().map(row).collect();
    columns(&rows).lines().map(ToOwned::to_owned).collect()
}
