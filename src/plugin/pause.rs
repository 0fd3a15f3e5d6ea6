//! `pause` and `resume`: stop and resume everything that an agent does, by an entry in its ledger.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    arguments::{AgentArgs, PauseArgs},
    command::{CommandOutcome, print_outcomes},
    failure::CommandFailure,
    output::OutputFormat,
    print::{Printout, lines, sanitize, to_the_second},
    session::Session,
};
use crate::core::ledger::{self, PAUSE, Pause};

/// Pauses an agent. Pausing again replaces the reason and keeps the start time.
pub(super) async fn pause(
    session: &Session,
    pause: &PauseArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let ledger = AgentLedger::of(session, &pause.agent);
    let paused = async {
        let since = match ledger.pause().await? {
            Some(before) => before.since,
            None => Some(to_the_second(Timestamp::now())),
        };
        let entry = Pause {
            reason: pause.reason.as_str().into(),
            since,
        };
        ledger.write(Some(&entry)).await?;
        Ok(format!("quarantine paused: {}", sanitize(&pause.reason)))
    };
    ledger.print(paused.await, output)
}

pub(super) async fn resume(
    session: &Session,
    agent: &AgentArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let ledger = AgentLedger::of(session, agent);
    let resumed = async {
        if ledger.pause().await?.is_none() {
            return Ok("quarantine was not paused".to_owned());
        }
        ledger.write(None).await?;
        Ok("quarantine resumed".to_owned())
    };
    ledger.print(resumed.await, output)
}

/// The ledger of an agent.
struct AgentLedger<'a> {
    session: &'a Session,
    agent: &'a AgentArgs,
    objects: Api<ConfigMap>,
    name: String,
}

impl<'a> AgentLedger<'a> {
    fn of(session: &'a Session, agent: &'a AgentArgs) -> Self {
        Self {
            session,
            agent,
            objects: Api::namespaced(session.client.clone(), &agent.namespace),
            name: ledger::name(agent.name_or_default()),
        }
    }

    /// The pause in the ledger, where there is one.
    async fn pause(&self) -> Result<Option<Pause>, CommandFailure> {
        let read = self.objects.get(&self.name);
        let read = self.session.request("get the ledger", read).await;
        let object = match read {
            Ok(object) => object,
            Err(failure) => return Err(self.explained(failure).await),
        };
        let data = object.data.unwrap_or_default();
        Ok(data.get(PAUSE).map(|text| Pause::read(text)))
    }

    /// Writes or removes only the pause: the agent writes the other entries.
    async fn write(&self, pause: Option<&Pause>) -> Result<(), CommandFailure> {
        // Plain strings and times: serialising them cannot fail.
        let entry = pause.map(|pause| serde_json::to_string(pause).unwrap_or_default());
        let patch = Patch::Merge(json!({ "data": { PAUSE: entry } }));
        let params = PatchParams::default();
        let patched = self.objects.patch(&self.name, &params, &patch);
        match self.session.request("patch the ledger", patched).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.explained(failure).await),
        }
    }

    /// A failure, with what would be right.
    async fn explained(&self, failure: CommandFailure) -> CommandFailure {
        let Self { name, .. } = self;
        let namespace = &self.agent.namespace;
        let agent = self.agent.name_or_default();
        if failure.is_not_found() {
            // Without the right to look for other ledgers, the sentence still says what is missing.
            let others = self.session.ledgers(None).await.unwrap_or_default();
            let others: Vec<String> = others.iter().map(flags).collect();
            let right = match &others[..] {
                [] => "name the agent with --agent-namespace and --agent".to_owned(),
                others => format!("use {}", others.join(" or ")),
            };
            return CommandFailure::Refused(format!(
                "namespace {namespace} has no ledger of agent {agent} (configmap/{name}): {right}"
            ));
        }
        if failure.is_forbidden() {
            return CommandFailure::Refused(format!(
                "the rights to get and patch configmap/{name} in namespace {namespace} are missing: {failure}"
            ));
        }
        failure
    }

    /// Prints the outcome, in the form of the other commands.
    fn print(
        &self,
        result: Result<String, CommandFailure>,
        output: Option<&OutputFormat>,
    ) -> Result<Printout, CommandFailure> {
        let outcome = CommandOutcome {
            namespace: self.agent.namespace.clone(),
            name: self.agent.name_or_default().to_owned(),
            done: result.is_ok(),
            message: result.unwrap_or_else(|failure| failure.to_string()),
        };
        let done = match output {
            Some(OutputFormat::Name) => format!("configmap/{}", self.name),
            _ => outcome.message.clone(),
        };
        let mut printout = print_outcomes(std::slice::from_ref(&outcome), output)?;
        if outcome.done && !output.is_some_and(OutputFormat::is_structured) {
            printout.stdout = lines([done]);
        }
        Ok(printout)
    }
}

/// The flags that name the agent of a ledger.
fn flags((agent, ledger): &(String, ConfigMap)) -> String {
    let namespace = ledger.metadata.namespace.as_deref().unwrap_or_default();
    format!("--agent-namespace {namespace} --agent {agent}")
}
