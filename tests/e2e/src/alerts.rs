//! The alerts of `deploy/alerts`, asked of a real Prometheus.

use anyhow::Context as _;

const RULES: &str = include_str!("../../../deploy/alerts/prometheusrule.yaml");

/// The names of all alerts.
pub fn names() -> impl Iterator<Item = &'static str> {
    let lines = RULES.lines().map(str::trim);
    lines.filter_map(|line| line.strip_prefix("- alert: "))
}

/// When an alert fires.
pub fn expression(name: &str) -> anyhow::Result<String> {
    let begin = format!("- alert: {name}\n");
    let (_, rule) = RULES
        .split_once(&begin)
        .with_context(|| format!("no alert {name}"))?;
    let (_, expression) = rule.split_once("expr: ").context("no expression")?;
    let lines = expression.lines().map(str::trim);
    let lines =
        lines.take_while(|line| !line.starts_with("for: ") && !line.starts_with("labels: "));
    let words: Vec<&str> = lines.filter(|line| *line != ">-").collect();
    Ok(words.join(" "))
}
