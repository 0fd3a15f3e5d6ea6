//! `docs/policy-file.md` has every key of the JSON Schema, with its default, its range and its words.

use std::collections::BTreeMap;

use pod_quarantine::config;
use serde_json::{Map, Value as Json};

use crate::page::{page, quoted};

/// What the schema says of a key.
#[derive(Debug)]
struct Key {
    default: String,
    range: Option<String>,
    words: Vec<String>,
}

/// All keys below an object, by their paths. A selector is one kind, wherever it stands.
fn keys(object: &Json, prefix: &str, found: &mut BTreeMap<String, Key>) {
    let none = Map::new();
    let properties = object["properties"].as_object().unwrap_or(&none);
    let required = object["required"].as_array();
    for (name, schema) in properties {
        let path = format!("{prefix}{name}");
        let needed = required.is_some_and(|all| all.iter().any(|one| one == name));
        found.insert(path.clone(), key(schema, needed));
        if is_selector(schema) {
            keys(schema, "", found);
        } else if schema["items"]["properties"].is_object() {
            if !is_selector(&schema["items"]) {
                keys(&schema["items"], &format!("{path}[]."), found);
            }
        } else {
            keys(schema, &format!("{path}."), found);
        }
    }
}

fn is_selector(schema: &Json) -> bool {
    schema["properties"]["matchExpressions"].is_object()
}

fn key(schema: &Json, required: bool) -> Key {
    let description = schema["description"].as_str().unwrap();
    // As the reader puts it: `what it is (1 to 10, by default 5)`.
    let hint = description.rsplit_once(" (").map(|(_, hint)| hint);
    let hint = hint.and_then(|hint| hint.strip_suffix(')')).unwrap_or("");
    let (range, inherited) = match hint.split_once("by default ") {
        Some((range, default)) => (range.trim_end_matches(", "), Some(default)),
        None => ("", None),
    };
    let default = match &schema["default"] {
        Json::Null if required => "required".to_owned(),
        Json::Null => inherited.unwrap_or("none").to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let words = schema["enum"].as_array().into_iter().flatten();
    Key {
        default,
        range: (!range.is_empty()).then(|| range.to_owned()),
        words: words
            .map(|word| format!("`{}`", word.as_str().unwrap()))
            .collect(),
    }
}

#[test]
fn every_key_of_the_schema_is_there_with_its_default_range_and_words_and_no_other() {
    let mut known = BTreeMap::new();
    keys(&config::schema(), "", &mut known);
    assert!(known.len() > 50, "{known:#?}");
    let rows = page("docs/policy-file.md").rows("key");
    let mut listed = BTreeMap::new();
    for row in &rows {
        let path = quoted(&row[0]).next().unwrap();
        let before = listed.insert(path.to_owned(), row);
        assert!(before.is_none(), "{path} is there twice");
    }
    let (of_schema, of_page): (Vec<_>, Vec<_>) = (known.keys().collect(), listed.keys().collect());
    assert_eq!(of_page, of_schema);
    for (path, key) in &known {
        let row = listed[path];
        assert_eq!(row[2].replace('`', ""), key.default, "{path}");
        if let Some(range) = &key.range {
            assert!(row[1].contains(range.as_str()), "{path}: {range}");
        }
        for word in &key.words {
            assert!(row[1].contains(word.as_str()), "{path}: {word}");
        }
        assert!(row[3].len() > 5, "{path}");
    }
}

#[test]
fn the_mistakes_that_it_shows_are_those_that_check_prints() {
    let page = page("docs/policy-file.md");
    let blocks = page.blocks();
    let at = blocks
        .iter()
        .position(|block| block.info == "yaml mistakes");
    let at = at.unwrap();
    let mistakes = config::check_text("policy.yaml", &blocks[at].text).unwrap_err();
    assert_eq!(blocks[at + 1].text, format!("{mistakes}\n"));
}
