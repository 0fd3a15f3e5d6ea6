//! When the value of a query is bad.

use pod_quarantine_core::policy::Threshold::{self, Above, Below};

#[test]
fn a_value_at_the_threshold_is_good_and_what_is_no_number_is_neither() {
    let cases: [(Threshold, f64, Option<bool>); 10] = [
        (Above(0.5), 0.6, Some(true)),
        (Above(0.5), 0.5, Some(false)),
        (Above(0.5), 0.4, Some(false)),
        (Above(0.5), f64::INFINITY, Some(true)),
        (Above(0.5), f64::NAN, None),
        (Below(0.5), 0.4, Some(true)),
        (Below(0.5), 0.5, Some(false)),
        (Below(0.5), 0.6, Some(false)),
        (Below(0.5), f64::NEG_INFINITY, Some(true)),
        (Below(0.5), f64::NAN, None),
    ];
    for (threshold, value, expected) in cases {
        assert_eq!(threshold.is_bad(value), expected, "{threshold:?} {value}");
    }
}
