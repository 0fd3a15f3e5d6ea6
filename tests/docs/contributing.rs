//! `CONTRIBUTING.md` and all pages name targets and tests that there are.

use std::collections::BTreeSet;

use crate::page::{all_pages, file, page, quoted, root};

fn targets() -> BTreeSet<String> {
    let makefile = file("Makefile");
    let described = makefile.lines().filter(|line| line.contains(" ## "));
    let targets = described.filter_map(|line| line.split_once(':'));
    targets
        .map(|(target, _)| target)
        .filter(|target| {
            target
                .chars()
                .all(|one| one == '-' || one.is_ascii_lowercase() || one.is_ascii_digit())
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_make_target_is_there_and_no_other() {
    let rows = page("CONTRIBUTING.md").rows("target");
    let listed: BTreeSet<String> = rows
        .iter()
        .map(|row| row[0].replace('`', "").replace("make ", ""))
        .collect();
    assert_eq!(listed, targets());
}

#[test]
fn every_make_command_on_any_page_is_a_target() {
    let targets = targets();
    let mut found = 0;
    for page in all_pages() {
        let prose = page.prose();
        let commands = page.commands();
        let shown = commands.iter().map(String::as_str);
        for command in quoted(&prose).chain(shown) {
            if let Some(rest) = command.strip_prefix("make ") {
                let target = rest.split_whitespace().next().unwrap();
                assert!(
                    targets.contains(target),
                    "{}: {command}",
                    page.path.display()
                );
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found}");
}

/// Where a test stands, and the command that runs it.
#[test]
fn every_test_that_it_names_is_one() {
    for row in page("CONTRIBUTING.md").rows("what is claimed") {
        let place = row[1].replace('`', "");
        assert!(root().join(&place).exists(), "{place}");
        let command = row[2].replace('`', "");
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["make", _] => {}
            ["cargo", "test", "--test", name] => {
                assert_eq!(place.trim_end_matches(".rs"), format!("tests/{name}"));
            }
            ["cargo", "test", "-p", package] => {
                let (of_crate, _) = place.split_once("/tests/").unwrap();
                let manifest = file(&format!("{of_crate}/Cargo.toml"));
                assert!(
                    manifest.contains(&format!("name = \"{package}\"")),
                    "{package}"
                );
            }
            _ => panic!("{command}"),
        }
    }
}
