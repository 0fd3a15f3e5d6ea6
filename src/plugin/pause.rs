//! `pause` and `resume`: one switch for all that an installation does, kept in its ledger.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    arguments::{self, Installation, Output},
    command::{Outcome, told},
    failure::{Failure, request},
    output::Said,
    session::Session,
    table::{lines, plain},
};
use crate::core::ledger::{self, PAUSE, Pause};

/// Pauses an installation. Paused once more it has another reason, and is paused since it was first.
pub(super) async fn pause(
    session: &Session,
    pause: &arguments::Pause,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let ledger = Ledger::of(session, &pause.installation);
    let paused = async {
        let before = ledger.pause().await?;
        let since = match before {
            Some(before) => before.since,
            None => Some(Timestamp::now()),
        };
        let entry = Pause {
            reason: pause.reason.as_str().into(),
            since,
        };
        ledger.write(Some(&entry)).await?;
        Ok(format!("quarantine paused: {}", plain(&pause.reason)))
    };
    ledger.say(paused.await, output)
}

/// Lets it go on.
pub(super) async fn resume(
    session: &Session,
    installation: &Installation,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let ledger = Ledger::of(session, installation);
    let resumed = async {
        if ledger.pause().await?.is_none() {
            return Ok("quarantine was not paused".to_owned());
        }
        ledger.write(None).await?;
        Ok("quarantine resumed".to_owned())
    };
    ledger.say(resumed.await, output)
}

/// The ledger of an installation.
struct Ledger<'a> {
    session: &'a Session,
    installation: &'a Installation,
    objects: Api<ConfigMap>,
    name: String,
}

impl<'a> Ledger<'a> {
    fn of(session: &'a Session, installation: &'a Installation) -> Self {
        Self {
            session,
            installation,
            objects: Api::namespaced(session.client.clone(), &installation.agent_namespace),
            name: ledger::name(&installation.agent),
        }
    }

    /// The pause that stands there.
    async fn pause(&self) -> Result<Option<Pause>, Failure> {
        let read = request("get the ledger", self.objects.get(&self.name)).await;
        let object = match read {
            Ok(object) => object,
            Err(failure) => return Err(self.explained(failure).await),
        };
        let data = object.data.unwrap_or_default();
        Ok(data.get(PAUSE).map(|text| Pause::read(text)))
    }

    /// Writes it, or takes it off, and touches no other entry: the agent writes there, too.
    async fn write(&self, pause: Option<&Pause>) -> Result<(), Failure> {
        // Plain strings and times: serialising them cannot fail.
        let entry = pause.map(|pause| serde_json::to_string(pause).unwrap_or_default());
        let patch = Patch::Merge(json!({ "data": { PAUSE: entry } }));
        let params = PatchParams::default();
        let patched = self.objects.patch(&self.name, &params, &patch);
        match request("patch the ledger", patched).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.explained(failure).await),
        }
    }

    /// A failure with what would be right.
    async fn explained(&self, failure: Failure) -> Failure {
        let Self { name, .. } = self;
        let Installation {
            agent_namespace,
            agent,
        } = self.installation;
        if failure.is_not_found() {
            // Where they may not be looked for, the sentence tells what is missing all the same.
            let others = self.session.ledgers(None).await.unwrap_or_default();
            let others: Vec<String> = others.iter().map(option).collect();
            let there_are = match &others[..] {
                [] => "say where it runs with --agent-namespace and --agent".to_owned(),
                others => format!("there is {}", others.join(" and ")),
            };
            return Failure::Refused(format!(
                "no agent {agent} keeps a ledger in namespace {agent_namespace} (configmap/{name}): {there_are}"
            ));
        }
        if failure.is_forbidden() {
            return Failure::Refused(format!(
                "the rights to get and patch configmap/{name} in namespace {agent_namespace} are missing: {failure}"
            ));
        }
        failure
    }

    /// What became of it, in the form of the other commands.
    fn say(
        &self,
        result: Result<String, Failure>,
        output: Option<Output>,
    ) -> Result<Said, Failure> {
        let outcome = Outcome {
            namespace: self.installation.agent_namespace.clone(),
            name: self.installation.agent.clone(),
            done: result.is_ok(),
            message: result.unwrap_or_else(|failure| failure.to_string()),
        };
        let done = match output {
            Some(Output::Name) => format!("configmap/{}", self.name),
            _ => outcome.message.clone(),
        };
        let mut said = told(std::slice::from_ref(&outcome), output)?;
        if outcome.done && !matches!(output, Some(Output::Json | Output::Yaml)) {
            said.text = lines([done].into_iter());
        }
        Ok(said)
    }
}

/// The options that name the installation of a ledger.
fn option((agent, ledger): &(String, ConfigMap)) -> String {
    let namespace = ledger.metadata.namespace.as_deref().unwrap_or_default();
    format!("--agent-namespace {namespace} --agent {agent}")
}
