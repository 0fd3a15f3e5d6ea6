//! The code map is that of today's tree, and each rule says what holds it.

use std::{collections::BTreeSet, fs};

use pod_quarantine::core::{
    ledger::{FENCE_AFTER, MAX_PACING_RECORDS, MAX_SLOTS, MAX_STORMS, REBUILD_WAIT},
    record::MAX_BYTES,
    restore::HIGHEST_COST,
};

use crate::page::{all_pages, file, page, quoted, root};

/// The folders at the top, but for those of tools and for what is built.
fn top_level_folders() -> Vec<String> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_str().unwrap().to_owned();
        let of_tools = name.starts_with('.') && name != ".ci";
        if entry.path().is_dir() && !of_tools && name != "target" {
            folders.push(format!("{name}/"));
        }
    }
    folders
}

#[test]
fn every_path_on_any_page_exists() {
    let top = top_level_folders();
    let mut found = 0;
    for page in all_pages() {
        for path in quoted(&page.prose()) {
            let is_path = top.iter().any(|top| path.starts_with(top)) && !path.contains('*');
            if is_path && !path.contains(' ') {
                assert!(
                    root().join(path).exists(),
                    "{}: {path}",
                    page.path.display()
                );
                found += 1;
            }
        }
    }
    assert!(found > 100, "{found}");
}

/// The folders below one, and the files that stand directly in it.
fn inside(folder: &str, folders: &mut BTreeSet<String>, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            folders.insert(format!("{path}/"));
            inside(&path, folders, &mut BTreeSet::new());
        } else {
            files.insert(path);
        }
    }
}

#[test]
fn the_code_map_names_every_room_and_every_file_that_stands_in_none() {
    let map = page("docs/architecture.md").section("## Code map");
    let named: BTreeSet<String> = map
        .rows("place")
        .iter()
        .flat_map(|row| quoted(&row[0]).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for folder in ["src", "crates/core/src", "crates/writer/src"] {
        let (mut folders, mut files) = (BTreeSet::new(), BTreeSet::new());
        inside(folder, &mut folders, &mut files);
        assert!(!files.is_empty(), "{folder}");
        for place in folders.union(&files) {
            assert!(named.contains(place), "{place} is not on the map");
        }
    }
    let decide = "crates/core/src/decide";
    for entry in fs::read_dir(root().join(decide)).unwrap() {
        let name = entry.unwrap().file_name();
        let path = format!("{decide}/{}", name.to_str().unwrap());
        let there = named.contains(&path) || named.contains(&format!("{path}/"));
        assert!(there || path.ends_with("/mod.rs"), "{path}");
    }
}

#[test]
fn the_code_map_names_something_in_every_top_level_folder() {
    let map = page("docs/architecture.md").section("## Code map").prose();
    for folder in top_level_folders() {
        assert!(map.contains(&format!("`{folder}")), "{folder}");
    }
}

#[test]
fn every_rule_is_an_invariant_and_says_what_holds_it() {
    let page = page("docs/architecture.md");
    let rules = page.section("## Rules");
    let headings = rules.text.lines().filter(|line| line.starts_with("### "));
    let headings: Vec<&str> = headings.collect();
    assert_eq!(headings.len(), 11, "{headings:?}");
    for heading in headings {
        let rule = rules.section(heading).flat();
        assert!(rule.contains("**Architecture invariant:**"), "{heading}");
        assert!(
            rule.contains("Held by") || rule.contains("holds it"),
            "{heading}"
        );
    }
}

/// The names of a table of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = file(manifest);
    let (_, rest) = text.split_once("\n[dependencies]\n").unwrap();
    let names = rest.lines().take_while(|line| !line.starts_with('['));
    let mut names: Vec<String> = names
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split(['.', ' ']).next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_wall_around_the_core_names_its_dependencies() {
    let names = dependencies("crates/core/Cargo.toml");
    let (last, others) = names.split_last().unwrap();
    let sentence = format!(
        "`crates/core/Cargo.toml` names {} and {last}",
        others.join(", ")
    );
    let text = page("docs/architecture.md").flat();
    assert!(text.contains(&sentence), "{sentence}");
    for client in ["hyper", "kube", "reqwest", "tokio"] {
        let writer = dependencies("crates/writer/Cargo.toml");
        assert!(!writer.contains(&client.to_owned()), "{client}");
    }
}

#[test]
fn the_numbers_of_the_protocol_are_the_codes() {
    let text = page("docs/architecture.md").flat();
    assert_eq!((MAX_SLOTS, MAX_PACING_RECORDS, MAX_STORMS), (1000, 300, 50));
    assert_eq!((REBUILD_WAIT.as_secs(), FENCE_AFTER.as_secs()), (600, 30));
    assert_eq!(MAX_BYTES, 8 << 10);
    for said in [
        "At most 1,000 slots",
        "300 at most",
        "50 at most of workloads",
        "no slot is taken for ten minutes",
        "Only slots older than 30 s are fenced",
        "at most 8 KiB",
        HIGHEST_COST,
    ] {
        assert!(text.contains(said), "{said}");
    }
}

/// Whether some constant of a file is that number.
fn has_constant(text: &str, number: &str) -> bool {
    let digits = number.replace(',', "");
    let mut constants = text.lines().filter(|line| line.contains("const "));
    constants.any(|line| line.replace('_', "").ends_with(&format!(" = {digits};")))
}

#[test]
fn every_share_names_its_number_as_the_code_has_it_and_its_test() {
    for row in page("docs/architecture.md").rows("shared") {
        let code = file(&row[2].replace('`', ""));
        let words = row[0].split_whitespace();
        for number in words.filter(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
            assert!(has_constant(&code, number), "{number}: {}", row[2]);
        }
        let (test, rest) = row[3].split_once("`](../").unwrap();
        let tests = file(rest.strip_suffix(')').unwrap());
        let test = format!("fn {}()", test.strip_prefix("[`").unwrap());
        assert!(tests.contains(&test), "{test}: {rest}");
    }
}
