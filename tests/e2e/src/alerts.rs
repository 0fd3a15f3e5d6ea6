//! The alerts of `deploy/alerts`, asked of a real Prometheus.

use anyhow::Context as _;

const RULES: &str = include_str!("../../../deploy/alerts/prometheusrule.yaml");

/// The names of all alerts.
pub fn names() -> impl Iterator<Item = &'static str> {
    let lines = RULES.lines().map(str::trim);
    lines.filter_map(|line| line.strip_prefix("- alert: "))
}

/// When an alert fires.
pub fn expression(name: &str) -> anyhow::Result<&'static str> {
    let begin = format!("- alert: {name}");
    let mut lines = RULES
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != begin);
    let expression = lines.find_map(|line| line.strip_prefix("expr: "));
    expression.with_context(|| format!("no alert {name}"))
}
