//! The outcomes of a command for several pods.

use pod_quarantine::plugin::{
    OutputFormat,
    command::{CommandOutcome, print_outcomes},
};
use serde_json::{Value, json};

fn outcomes() -> [CommandOutcome; 2] {
    let outcome = |name: &str, done, message: &str| CommandOutcome {
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
fn one_failed_pod_fails_the_command_and_hides_no_other_pod() {
    let printed = print_outcomes(&outcomes(), None).unwrap();
    assert_eq!(printed.stdout, "pod/web-0 released\n");
    assert_eq!(printed.stderr, ["error: pod/web-1 is not quarantined"]);
    assert!(printed.failed);
    assert!(!print_outcomes(&outcomes()[..1], None).unwrap().failed);
}

#[test]
fn names_and_values_are_for_programs() {
    let printed = print_outcomes(&outcomes(), Some(&OutputFormat::Name)).unwrap();
    assert_eq!(printed.stdout, "pod/web-0\n");
    let printed = print_outcomes(&outcomes(), Some(&OutputFormat::Json)).unwrap();
    let value: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(
        value["items"][0],
        json!({ "namespace": "shop", "name": "web-0", "done": true, "message": "released" })
    );
    assert!(printed.failed);
    let printed = print_outcomes(&outcomes(), Some(&OutputFormat::Yaml)).unwrap();
    assert!(
        printed.stdout.contains("name: web-0\n"),
        "{}",
        printed.stdout
    );
}
