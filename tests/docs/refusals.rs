//! Both tables of refusals are the code's, in its order.

use pod_quarantine::core::reason::Reason;

use crate::page::page;

#[test]
fn both_tables_have_every_refusal_in_the_order_of_the_checks_with_its_sentence() {
    let known: Vec<(String, String)> = Reason::ALL
        .iter()
        .map(|reason| (format!("`{}`", reason.as_str()), reason.to_string()))
        .collect();
    for path in ["README.md", "docs/refusals.md"] {
        let rows = page(path).rows("reason");
        let listed: Vec<(String, String)> = rows
            .iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect();
        assert_eq!(listed, known, "{path}");
        assert!(rows.iter().all(|row| !row.last().unwrap().is_empty()));
    }
}

#[test]
fn their_number_is_right() {
    let text = page("docs/refusals.md").flat();
    let number = format!("one of these {} reasons", Reason::ALL.len());
    assert!(text.contains(&number), "{number}");
}
