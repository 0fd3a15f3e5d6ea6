//! An entry that the API server never takes holds up no other of its batch.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::sync::Mutex;

use futures::FutureExt;
use jiff::Timestamp;
use pod_quarantine_core::{
    ledger::{Ledger, Note, Storm},
    object::{Pod, ResourceVersion},
    scope::Scope,
    view::Update,
    write::{Change, PodVersion, Write},
};
use pod_quarantine_writer::{
    Effect, Writer,
    api_server::{ApiServer, RequestError, WriteFailure},
};
use test_objects::at;

/// A server that takes no ledger with a storm of a zone in it.
#[derive(Default)]
struct Strict {
    asked: Mutex<u32>,
}

impl ApiServer for &Strict {
    async fn swap_ledger(&self, _: &Ledger, after: &Ledger) -> Result<Ledger, WriteFailure> {
        *self.asked.lock().unwrap() += 1;
        if after
            .memory
            .storms
            .keys()
            .any(|scope| matches!(scope, Scope::Zone(_)))
        {
            return Err(WriteFailure::Denied(RequestError::new("no zones")));
        }
        Ok(after.clone())
    }

    async fn patch(&self, _: &PodVersion, _: &Change, _: bool) -> Result<Pod, WriteFailure> {
        panic!("no pod is written")
    }

    async fn get(&self, _: &PodVersion) -> Result<Option<Pod>, RequestError> {
        panic!("no pod is read")
    }

    async fn delete(&self, _: &PodVersion) -> Result<(), WriteFailure> {
        panic!("no pod is deleted")
    }

    async fn create_ledger(
        &self,
        _: Option<Timestamp>,
        _: Option<&Ledger>,
    ) -> Result<Update, RequestError> {
        panic!("no ledger is created")
    }

    async fn read_ledger(&self) -> Result<Update, RequestError> {
        panic!("the ledger is known")
    }

    async fn repair_ledger(
        &self,
        _: &Ledger,
        _: Timestamp,
    ) -> Result<Option<Ledger>, RequestError> {
        panic!("the ledger is in order")
    }

    async fn name_ledger(&self, _: &Ledger) -> Result<Update, RequestError> {
        panic!("the ledger is named")
    }

    fn now(&self) -> Timestamp {
        at("2030-01-31T12:00:00Z")
    }
}

fn storm(scope: Scope) -> Write {
    Write::Note(Note::StormBegan(Storm {
        name: scope.to_string().into(),
        scope,
        since: at("2030-01-31T12:00:00Z"),
    }))
}

#[test]
fn of_a_batch_all_is_written_but_what_is_denied_alone() {
    let server = Strict::default();
    let ledger = Ledger::read(ResourceVersion::new(1), []);
    let node = |number: u32| storm(Scope::Node(format!("node-{number}").into()));
    let mut batch: Vec<Write> = (0..16).map(node).collect();
    batch.insert(5, storm(Scope::Zone("east".into())));
    let writer = Writer::new(&server);
    let written = writer.carry_out(Some(ledger), batch);
    let outcome = written.now_or_never().expect("nothing waits");
    let noted = outcome
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Noted(_)));
    assert_eq!(noted.count(), 16);
    assert_eq!(outcome.failures.len(), 1, "{:?}", outcome.failures);
    assert!(
        outcome.failures[0].ends_with("no zones"),
        "{:?}",
        outcome.failures
    );
    let asked = *server.asked.lock().unwrap();
    assert!(asked <= 12, "{asked} requests, not one for each");
}
