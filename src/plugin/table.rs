//! Texts side by side, as kubectl lays them out: three spaces between columns, no borders, nothing cut.

/// The space between two columns.
const GAP: usize = 3;

/// Rows under their heads.
#[must_use]
pub fn aligned(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut all: Vec<Vec<String>> = vec![heads];
    all.extend(rows.iter().cloned());
    columns(&all)
}

/// Rows without heads.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let width = |column| cells(column).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count)
        .map(|column| width(column).unwrap_or_default() + GAP)
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths);
        let padded: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.concat().trim_end().to_owned()
    };
    lines(rows.iter().map(line))
}

/// Lines, each with its end.
#[must_use]
pub fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// Paragraphs, each behind its head, as `kubectl describe` writes them. One without lines is left out.
#[must_use]
pub fn described(paragraphs: &[(&str, Vec<String>)]) -> String {
    let mut rows = Vec::new();
    for (head, lines) in paragraphs {
        for (line, number) in lines.iter().zip(0..) {
            let head = if number == 0 {
                format!("{head}:")
            } else {
                String::new()
            };
            rows.push(vec![head, line.clone()]);
        }
    }
    columns(&rows)
}

/// A text that does nothing to a terminal or to a table.
#[must_use]
pub fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}
