//! What became of several pods.

use pod_quarantine::plugin::{
    arguments::Output,
    command::{Outcome, told},
};
use serde_json::{Value, json};

fn outcomes() -> [Outcome; 2] {
    let outcome = |name: &str, done, message: &str| Outcome {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        done,
        message: message.to_owned(),
    };
    [
        outcome("web-0", true, "released"),
        outcome("web-1", false, "error: pod/web-1 is not quarantined"),
    ]
}

#[test]
fn one_that_fails_fails_the_command_and_hides_nothing() {
    let said = told(&outcomes(), None).unwrap();
    assert_eq!(said.text, "pod/web-0 released\n");
    assert_eq!(said.aside, ["error: pod/web-1 is not quarantined"]);
    assert!(said.failed);
    assert!(!told(&outcomes()[..1], None).unwrap().failed);
}

#[test]
fn names_and_values_are_for_programs() {
    let said = told(&outcomes(), Some(Output::Name)).unwrap();
    assert_eq!(said.text, "pod/web-0\n");
    let said = told(&outcomes(), Some(Output::Json)).unwrap();
    let value: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(
        value["items"][0],
        json!({ "namespace": "shop", "name": "web-0", "done": true, "message": "released" })
    );
    assert!(said.failed);
    let said = told(&outcomes(), Some(Output::Yaml)).unwrap();
    assert!(said.text.contains("name: web-0\n"), "{}", said.text);
}
