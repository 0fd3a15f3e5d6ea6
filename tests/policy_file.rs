//! The policy file from outside: what is accepted, what is refused, and how that is said.
//!
//! Each `tests/policy_file/NAME.yaml` has a `NAME.txt` with everything that `check` says about it.
//! `UPDATE_EXPECTED=1 cargo test --test policy_file` writes them again; read the difference.

#![cfg(test)]

#[path = "policy_file/queries.rs"]
mod queries;

use std::{fmt::Write as _, fs, path::Path, sync::LazyLock};

use pod_quarantine::config;
use proptest::prelude::*;
use serde_json::Value as Json;

const EXAMPLE: &str = include_str!("../config/example.yaml");

/// Compares with a committed file, or writes it.
fn expect_file(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == found,
        "{} differs; found:\n{found}",
        path.display()
    );
}

/// What the command `check` says about a text.
fn said(name: &str, text: &str) -> String {
    match config::check_text(name, text) {
        Err(errors) => format!("{errors}\n"),
        Ok(checked) => {
            let mut said = String::new();
            for warning in &checked.warnings {
                writeln!(said, "{warning}\n").unwrap();
            }
            said + &config::describe(&checked.file) + "\n"
        }
    }
}

#[test]
fn check_prints_the_expected_text_for_every_case() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy_file");
    let mut cases = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let name = path.file_name().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            expect_file(&path.with_extension("txt"), &said(name, &text));
            cases += 1;
        }
    }
    assert!(cases > 10, "only {cases} cases in {}", directory.display());
}

#[test]
fn the_example_is_accepted_without_a_warning() {
    let checked = config::check_text("config/example.yaml", EXAMPLE).unwrap();
    assert_eq!(checked.warnings, []);
    assert_eq!(checked.file.policies.len(), 2);
}

#[test]
fn the_committed_schema_is_the_readers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
    let schema = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    expect_file(&path, &schema);
}

/// A document with every default of the schema written out.
fn with_defaults(mut document: Json, schema: &Json) -> Json {
    match &mut document {
        Json::Object(map) => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            for (key, schema) in properties {
                if let Some(default) = schema.get("default") {
                    map.entry(key).or_insert_with(|| default.clone());
                }
                if let Some(value) = map.get_mut(key) {
                    *value = with_defaults(value.take(), schema);
                }
            }
        }
        Json::Array(list) => {
            for value in list {
                *value = with_defaults(value.take(), &schema["items"]);
            }
        }
        _ => {}
    }
    document
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_reader() {
    let short = serde_json::json!({
        "prometheus": { "url": "http://p" },
        "policies": [
            { "name": "a", "pods": { "matchLabels": { "a": "b" } }, "probe": { "httpGet": { "port": 80 } } },
            { "name": "b", "pods": { "matchLabels": { "a": "b" } }, "prometheus": { "query": "up", "below": 1 } },
        ],
    });
    let long = with_defaults(short.clone(), &config::schema());
    let limits = &long["limits"];
    assert_eq!(limits["workload"]["max"], "10%", "{long:#}");
    assert_eq!(limits["pacing"]["duringRollout"], false, "{long:#}");
    let read = |document: &Json| config::parse("a.yaml", &document.to_string()).unwrap().file;
    assert_eq!(read(&long), read(&short));
}

#[test]
fn a_file_that_cannot_be_read_is_one_error_without_a_place() {
    let errors = config::read("no/such/file.yaml").unwrap_err();
    let said = "error: reading the policy file failed: No such file or directory (os error 2)\n--> no/such/file.yaml\n\n1 error";
    assert_eq!(errors.to_string(), said);
    assert!(errors.iter().all(|error| error.place.is_none()));
}

#[test]
fn bytes_that_are_no_text_are_reported_with_their_place() {
    let path = std::env::temp_dir().join(format!("policy-{}.yaml", std::process::id()));
    fs::write(&path, b"mode: observe\nagent: \xff\n").unwrap();
    let said = config::read(&path).unwrap_err().to_string();
    fs::remove_file(&path).unwrap();
    let expected = format!(
        "error: the file is not valid UTF-8 from here on\n --> {}:2:8\n  |\n2 | agent: \n  |        ^\n\n1 error",
        path.display()
    );
    assert_eq!(said, expected);
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused() {
    let said = config::parse("big.yaml", &"#".repeat((1 << 20) + 1))
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "error: the policy file is longer than 1 MiB\n--> big.yaml\n\n1 error"
    );
}

#[test]
fn the_values_lengths_and_depth_of_a_file_are_bounded() {
    let said = |text: &str| {
        let errors = config::parse("a.yaml", text).unwrap_err();
        errors.iter().next().unwrap().message.clone()
    };
    let many = format!("policies: [{}]", "1,".repeat(60_000));
    assert_eq!(said(&many), "the file has more than 50000 values");
    let long = "a".repeat(10_000);
    let cut = format!("{:?}…", "a".repeat(64));
    assert!(said(&format!("? {long}\n: 1")).starts_with(&format!("unknown key {cut};")));
    let query = "prometheus: { url: http://p }\npolicies: [{ name: a, pods: { matchLabels: { a: b } }, \
                 prometheus: { below: 1, query: ";
    let place = "policies[0].prometheus.query:";
    assert_eq!(
        said(&format!("{query}{long} }} }}]")),
        format!("{place} must be at most 8192 bytes long")
    );
    let deep = format!(
        "{query}'{}up{}' }} }}]",
        "(".repeat(2_000),
        ")".repeat(2_000)
    );
    assert_eq!(
        config::check_text("a.yaml", &deep)
            .unwrap_err()
            .iter()
            .next()
            .unwrap()
            .message,
        format!("{place} is not PromQL: too many operators and parentheses")
    );
}

#[test]
fn of_very_many_errors_the_first_are_shown_and_all_are_counted() {
    let text = format!("policies: [{}]", "1, ".repeat(1_000));
    let errors = config::parse("many.yaml", &text).unwrap_err();
    assert_eq!((errors.count(), errors.iter().len()), (1_000, 500));
    assert!(
        errors
            .to_string()
            .ends_with("\n1000 errors, the first 500 of them shown")
    );
}

#[test]
fn the_place_of_an_error_is_named_though_its_line_is_too_long_to_show() {
    let text = format!("{{ agent: {}, ttl: 1M }}", "a".repeat(1 << 16));
    let errors = config::parse("long.yaml", &text).unwrap_err();
    let last = errors.iter().last().unwrap().to_string();
    let expected = "error: ttl: must be a duration such as 15s, 1h30m or 7d, is \"1M\"; write a lower-case m for minutes\n--> long.yaml:1:65553";
    assert_eq!(last, expected);
}

/// A file from somebody else is checked in a terminal, which would obey them.
#[test]
fn control_characters_of_the_file_are_not_printed() {
    let text = "{ mode: \"x\u{9b}31m\", ttl: \"\u{9c}\", agent: \"\u{7f}\" }";
    let printed = config::parse("hostile.yaml", text).unwrap_err().to_string();
    assert!(printed.contains('\u{fffd}'), "{printed}");
    assert!(
        !printed.contains(|one: char| one.is_control() && one != '\n'),
        "{printed:?}"
    );
    let lines: Vec<&str> = printed.lines().collect();
    let shown = lines.iter().position(|line| line.contains("mode"));
    let [line, caret] = lines[shown.unwrap()..][..2] else {
        panic!("{printed}");
    };
    let place = |line: &str, one| line.chars().position(|other| other == one);
    assert_eq!(place(caret, '^'), place(line, '\u{fffd}'), "{printed}");
}

/// The agent must accept a query that only another dialect knows; `check` is there to stop a typing error.
#[test]
fn a_query_that_no_dialect_knows_is_an_error_in_check_and_a_warning_in_run() {
    let text = "{ prometheus: { url: http://p }, policies: [{ name: a, pods: { matchLabels: { a: b } }, \
                prometheus: { query: 'rate(up[1m]', below: 1 } }] }";
    assert_eq!(config::check_text("a.yaml", text).unwrap_err().count(), 1);
    let warnings = config::parse("a.yaml", text).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0]
            .to_string()
            .contains("warning: policies[0].prometheus.query: is not PromQL: ( is not closed")
    );
}

/// A request has no room for more: it would end the agent, or never be sent.
#[test]
fn headers_and_parameters_of_a_query_are_bounded() {
    let said = |section: &str| {
        let text = format!(
            "{{ prometheus: {{ url: http://p, {section} }}, policies: [{{ name: a, \
             pods: {{ matchLabels: {{ a: b }} }}, prometheus: {{ query: up, below: 1 }} }}] }}"
        );
        let errors = config::parse("a.yaml", &text).unwrap_err();
        errors
            .iter()
            .map(|error| error.message.clone())
            .collect::<Vec<_>>()
    };
    let many: Vec<_> = (0..101).map(|number| format!("a{number}: b")).collect();
    for key in ["headers", "parameters"] {
        let section = format!("{key}: {{ {} }}", many.join(", "));
        assert_eq!(
            said(&section),
            [format!("prometheus.{key}: must have at most 100 keys")]
        );
    }
    let long = "a".repeat(1_000);
    let section =
        format!("parameters: {{ a: {long}, b: {long}, c: {long}, d: {long}, e: {long} }}");
    assert_eq!(
        said(&section),
        ["prometheus.parameters: must be at most 4096 bytes long in all"]
    );
}

#[test]
fn errors_can_be_written_as_json() {
    let errors = config::parse("a.yaml", "mode: observe\nttl: 91d").unwrap_err();
    let expected = serde_json::json!([
        { "severity": "error", "file": "a.yaml", "line": 1, "column": 1, "width": 4,
          "message": "the file: \"policies\" is missing: at least one policy, each with its pods and its signal" },
        { "severity": "error", "file": "a.yaml", "line": 2, "column": 6, "width": 3,
          "message": "ttl: must be from 1s to 90d, is \"91d\"" },
    ]);
    assert_eq!(serde_json::to_value(&errors).unwrap(), expected);
}

/// Keys of the file, and one that is none.
fn keys() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(
        [
            "mode",
            "prometheus",
            "agent",
            "limits",
            "ttl",
            "keepNode",
            "policies",
            "name",
            "pods",
            "namespaces",
            "probe",
            "httpGet",
            "path",
            "port",
            "scheme",
            "httpHeaders",
            "value",
            "periodSeconds",
            "timeoutSeconds",
            "failureThreshold",
            "initialDelaySeconds",
            "query",
            "above",
            "below",
            "interval",
            "for",
            "detach",
            "keepLabels",
            "alsoLeave",
            "contrast",
            "networkPolicies",
            "allowExclusive",
            "settle",
            "onReplacementTimeout",
            "pacing",
            "replacementTimeout",
            "hold",
            "url",
            "bearerTokenFile",
            "caFile",
            "headers",
            "parameters",
            "namespaceLabel",
            "podLabel",
            "timeout",
            "cluster",
            "namespace",
            "workload",
            "reap",
            "max",
            "perMinute",
            "matchLabels",
            "matchExpressions",
            "key",
            "operator",
            "values",
            "nothing",
        ]
        .map(str::to_owned)
        .to_vec(),
    )
}

/// Small documents around the keys of the file, right and wrong ones; in YAML every JSON text is itself.
fn documents() -> impl Strategy<Value = Json> {
    let scalar = prop::sample::select(
        [
            r#""web""#,
            r#""Web_1""#,
            r#""by-hand""#,
            r#""""#,
            r#""15s""#,
            r#""1M""#,
            r#""10%""#,
            r#""0%""#,
            r#""observe""#,
            r#""enforce""#,
            r#""workload""#,
            r#""service""#,
            r#""keep""#,
            r#""leave""#,
            r#""release""#,
            r#""none""#,
            r#""HTTP""#,
            r#""http""#,
            r#""/a""#,
            r#""http://p:1""#,
            r#""up""#,
            r#""In""#,
            r#""Exists""#,
            "0",
            "1",
            "5",
            "80",
            "70000",
            "0.5",
            "true",
            "null",
        ]
        .map(|text| serde_json::from_str::<Json>(text).unwrap())
        .to_vec(),
    );
    let key = keys();
    scalar.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// A policy file with everything in it.
fn full() -> Json {
    serde_json::json!({
        "mode": "enforce", "agent": "default", "ttl": "24h", "keepNode": true,
        "prometheus": { "url": "http://p:9090/x", "bearerTokenFile": "/t", "caFile": "/c", "headers": { "A-B": "c" },
            "parameters": { "namespace": "shop", "dedup": "true" }, "namespaceLabel": "namespace", "podLabel": "pod", "timeout": "10s" },
        "limits": { "cluster": { "max": 10 }, "namespace": { "max": 5 }, "workload": { "max": "10%" }, "reap": { "perMinute": 10 },
            "pacing": { "replacementTimeout": "5m" }, "hold": { "max": "7d" } },
        "policies": [
            { "name": "a", "pods": { "matchLabels": { "tier": "web" } }, "namespaces": {},
              "probe": {
                  "httpGet": { "path": "/a", "port": "http", "scheme": "HTTP", "httpHeaders": [{ "name": "Host", "value": "a" }] },
                  "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 3, "initialDelaySeconds": 30 } },
            { "name": "b", "ttl": "4h", "mode": "off", "detach": "service", "contrast": "none",
              "networkPolicies": "keep", "allowExclusive": true, "settle": "5m", "onReplacementTimeout": "reap",
              "pods": { "matchExpressions": [{ "key": "a", "operator": "In", "values": ["b"] }, { "key": "c", "operator": "Exists" }] },
              "prometheus": { "query": "up", "below": 0.5, "interval": "15s", "for": "1m" },
              "keepLabels": ["team"], "alsoLeave": [{ "matchLabels": { "mesh": "a" } }] },
        ],
    })
}

/// Every place in a document, as a JSON pointer.
fn places(document: &Json, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match document {
        Json::Object(map) => {
            for (key, value) in map {
                places(
                    value,
                    &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        Json::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// A full file with one place replaced, one key removed, or one key added.
fn changed() -> impl Strategy<Value = Json> {
    let mut all = Vec::new();
    places(&full(), "", &mut all);
    (prop::sample::select(all), documents(), 0..3).prop_map(|(place, value, how)| {
        let mut document = full();
        let (parent, key) = place.rsplit_once('/').unwrap_or(("", ""));
        match (how, document.pointer_mut(parent)) {
            (0, Some(Json::Object(map))) => _ = map.remove(key),
            (1, Some(Json::Object(map))) => _ = map.insert(format!("{key}x"), value),
            _ => _ = document.pointer_mut(&place).map(|there| *there = value),
        }
        document
    })
}

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&config::schema()).unwrap());

/// What one value says about another, and what a form alone cannot say: no JSON Schema knows it.
const ONLY_THE_READER: [&str; 13] = [
    "must be from 1s to",
    "must be at most periodSeconds",
    "duplicate policy name",
    "is reserved for manual quarantines",
    "selects every pod; if that is intended",
    "selects every pod, so no pod can leave it",
    "needs a Prometheus server",
    "In and NotIn need",
    "Exists and DoesNotExist take no values",
    "must have a port from 0 to 65535",
    "is not PromQL",
    "never one value for each pod",
    "one label cannot name both",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The schema refuses what the reader refuses, but for what no schema can know, and nothing else.
    #[test]
    fn schema_and_reader_agree(document in prop_oneof![changed(), documents()]) {
        let read = config::check_text("a.yaml", &document.to_string());
        let beyond = read.as_ref().is_err_and(|errors| {
            errors.iter().all(|error| ONLY_THE_READER.iter().any(|known| error.message.contains(known)))
        });
        prop_assert_eq!(read.is_ok() || beyond, SCHEMA.is_valid(&document), "{:?}", read);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,300}|[-a-z:{}\\[\\],&*!|>'\"#?% \n\t]{0,300}") {
        _ = said("a.yaml", &text);
    }

    /// A refused file has a reason, and each reason shows the line that it names.
    #[test]
    fn no_change_to_a_valid_file_makes_the_reader_panic(
        at in 0..EXAMPLE.len(), length in 0..40_usize, with in ".{0,5}|[-a-z:{}\\[\\],&*!|>'\"#?% \n\t]{0,5}",
    ) {
        let text = EXAMPLE.get(..at).zip(EXAMPLE.get((at + length).min(EXAMPLE.len())..));
        let text = text.map(|(before, after)| format!("{before}{with}{after}")).unwrap_or_default();
        if let Err(errors) = config::parse("a.yaml", &text) {
            prop_assert!(errors.count() > 0);
            for place in errors.iter().filter_map(|error| error.place.as_ref()) {
                prop_assert!(place.line <= text.split('\n').count(), "line {} of {text:?}", place.line);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        _ = said("a.yaml", &String::from_utf8_lossy(&bytes));
    }
}
