//! What a failure shows of a log.

use std::fs;
use std::path::Path;

/// As many as fit a screen below the error itself.
const LINES: usize = 15;

/// The log's last lines and where the rest is, to be put behind an error's first sentence.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(LINES)..)
        .unwrap_or_default()
        .join("\n    ");
    if last.is_empty() {
        return format!("\n  its log is empty: {}", log.display());
    }
    format!("\n  last lines of {}:\n    {last}\n ", log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_and_the_place_are_shown() {
        let log = std::env::temp_dir().join(format!("last-lines-{}.log", std::process::id()));
        let lines: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        let shown = last_lines(&log);
        assert!(
            shown.contains("line 26\n") && shown.contains("line 40"),
            "{shown}"
        );
        assert!(!shown.contains("line 25"), "{shown}");
        assert!(shown.contains(&log.display().to_string()), "{shown}");
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_missing_log_is_said_to_be_empty() {
        assert!(last_lines(Path::new("/nowhere.log")).contains("empty: /nowhere.log"));
    }
}
