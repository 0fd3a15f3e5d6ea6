//! A namespace of an agent that may not list those of the cluster: it is read by its name, which a Role within it allows.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1;
use kube::Client;
use tokio::{sync::mpsc, time::sleep};

use super::{Converter, WatchEvent, WatchState, kinds::WatchedKind, wire::WireNamespace};
use crate::{
    cluster::client::{ClientError, Objects},
    core::view::Update,
};

/// How often it is read: a changed mode is in force so soon.
const INTERVAL: Duration = Duration::from_secs(5);

/// Reads a namespace for ever. `watch` is what stands for this in events.
pub(super) async fn poll_namespace(
    client: Client,
    watch: &'static str,
    name: Arc<str>,
    events: mpsc::Sender<WatchEvent>,
) {
    let objects = Objects::<WireNamespace>::of::<v1::Namespace>(&client, None);
    let mut converter = Converter::default();
    while !events.is_closed() {
        let state = match read(&objects, &mut converter, &name).await {
            Ok(update) => {
                // A closed receiver means that the agent is stopping.
                let _ = events
                    .send(WatchEvent::Update(watch, Box::new(update)))
                    .await;
                WatchState::InSync
            }
            Err(error) => WatchState::OutOfSync(format!("reading namespace {name}: {error}")),
        };
        let _ = events.send(WatchEvent::Watch(watch, state)).await;
        sleep(INTERVAL).await;
    }
}

async fn read(
    objects: &Objects<WireNamespace>,
    converter: &mut Converter,
    name: &Arc<str>,
) -> Result<Update, ClientError> {
    match objects.get(name).await? {
        Some(namespace) => Ok(namespace.present(converter)?),
        None => Ok(Update::NamespaceGone(name.clone())),
    }
}
