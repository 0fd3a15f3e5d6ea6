//! What holds for every page.

use std::collections::BTreeSet;

use pod_quarantine::{config, core::policy::Mode};
use serde_json::Value;

use crate::page::{Page, all_pages, page, root};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut followed = 0;
    for from in all_pages() {
        for link in from.links() {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                from.path.clone()
            } else {
                from.path.parent().unwrap().join(path)
            };
            let here = format!("{}: {link}", from.path.display());
            assert!(root().join(&target).exists(), "{here}");
            if !anchor.is_empty() {
                let anchors = page(target.to_str().unwrap()).anchors();
                assert!(anchors.contains(anchor), "{here}: {anchors:?}");
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "{followed}");
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = page("README.md");
    let linked: BTreeSet<String> = readme
        .links()
        .iter()
        .map(|link| link.split('#').next().unwrap().to_owned())
        .collect();
    for other in all_pages().into_iter().skip(1) {
        let path = other.path.to_str().unwrap();
        assert!(linked.contains(path), "{path}");
    }
}

#[test]
fn the_readme_has_300_lines_at_most() {
    let lines = page("README.md").text.lines().count();
    assert!(lines <= 300, "{lines}");
}

/// The blocks of YAML that are meant to be right.
fn yaml(page: &Page) -> Vec<String> {
    let blocks = page.blocks().into_iter();
    let right = blocks.filter(|block| block.info == "yaml");
    right.map(|block| block.text).collect()
}

#[test]
fn every_yaml_is_a_policy_file_without_a_warning_or_a_manifest() {
    let mut read = 0;
    for page in all_pages() {
        let name = page.path.display().to_string();
        for text in yaml(&page) {
            read += 1;
            if text.contains("\nkind: ") {
                let manifest: Value = serde_saphyr::from_str(&text).unwrap();
                assert!(manifest["apiVersion"].is_string(), "{name}: {text}");
                continue;
            }
            let checked = config::check_text(&name, &text);
            let checked = checked.unwrap_or_else(|mistakes| panic!("{mistakes}"));
            assert_eq!(checked.warnings, [], "{name}");
        }
    }
    assert!(read >= 2, "{read}");
}

#[test]
fn the_policy_file_of_the_readme_enforces_one_policy_and_observes_another() {
    let mut blocks = yaml(&page("README.md"));
    blocks.retain(|text| !text.contains("\nkind: "));
    let [text] = &blocks[..] else {
        panic!("not one policy file");
    };
    let file = config::check_text("README.md", text).unwrap().file;
    let modes: Vec<Mode> = file.policies.iter().map(|policy| policy.mode).collect();
    assert_eq!(modes, [Mode::Enforce, Mode::Observe]);
}
