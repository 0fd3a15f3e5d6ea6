//! Amounts of resources, as Kubernetes writes them.

use pod_quarantine_core::quantity::Quantity;
use proptest::prelude::*;

pub(crate) fn amount(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// As many billionths.
fn billionths(number: usize) -> Quantity {
    amount("1n").times(number)
}

#[test]
fn amounts_are_read_as_kubernetes_writes_them() {
    for (text, same) in [
        ("1", "1000m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+1", "1"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("1T", "1000G"),
        ("1P", "1000T"),
        ("1E", "1000P"),
        ("1Ti", "1024Gi"),
        ("1Pi", "1024Ti"),
        ("1Ei", "1024Pi"),
        ("12e-1", "1200m"),
        ("100u", "100000n"),
        // Finer than a billionth is rounded up.
        ("0.0000000001", "1n"),
        ("0", "-0"),
    ] {
        assert_eq!(amount(text), amount(same), "{text} and {same}");
    }
    let one = 1_000_000_000;
    for (text, expected) in [
        ("1u", 1_000),
        ("1m", 1_000_000),
        ("1", one),
        ("1k", one * 1_000),
        ("1M", one * 1_000_000),
        ("1G", one * 1_000_000_000),
        ("1Ki", one << 10),
        ("1Mi", one << 20),
        ("1Gi", one << 30),
    ] {
        assert_eq!(amount(text), billionths(expected), "{text}");
    }
    assert_eq!(Quantity::whole(3), amount("3"));
    assert!(amount("999m") < amount("1"));
    assert!(amount("-1") < amount("0"));
    for text in [
        "",
        "m",
        "Gi",
        "1 Gi",
        "1gi",
        "1KI",
        "--1",
        "1-2",
        "1.2-3",
        "1.2.3",
        "0x1",
        "1e",
        "e3",
        "1e99",
        ".",
        "1Mi1",
        "1.000000000000000-1",
    ] {
        let error = text.parse::<Quantity>().expect_err(text).to_string();
        assert!(error.ends_with(&format!("found {text:?}")), "{error}");
    }
}

#[test]
fn sums_and_products_end_at_the_largest_amount() {
    assert_eq!(amount("-1m").plus(amount("3m")), amount("2m"));
    let most = amount("9Ei").times(usize::MAX);
    assert!(most.plus(most) >= most);
    assert_eq!(most.plus(most), most.plus(most).plus(most));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_quantities_panic(text in "[-+.0-9]{0,40}[eEnumkMGTPi]{0,3}[-+0-9]{0,12}|.{0,20}") {
        _ = text.parse::<Quantity>();
    }
}
