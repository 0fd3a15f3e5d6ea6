//! A page of Markdown, cut into what tests ask for: tables, blocks of code, words in backticks, sections, links.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A page, by its path from the root of the repository.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A block of code, and what stands behind its opening fence.
pub(crate) struct Block {
    pub(crate) info: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn page(path: &str) -> Page {
    Page {
        path: path.into(),
        text: file(path),
    }
}

/// Every page that people read.
pub(crate) fn all_pages() -> Vec<Page> {
    let mut pages = vec![page("README.md"), page("CONTRIBUTING.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name();
        pages.push(page(&format!("docs/{}", name.to_str().unwrap())));
    }
    pages
}

/// The words in backticks of a text without blocks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

impl Page {
    /// The lines outside blocks.
    pub(crate) fn prose(&self) -> String {
        let mut prose = String::new();
        let mut inside = false;
        for line in self.text.lines() {
            if line.starts_with("```") {
                inside = !inside;
            } else if !inside {
                prose += line;
                prose.push('\n');
            }
        }
        prose
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in self.text.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    let (info, text) = (info.to_owned(), String::new());
                    open = Some(Block { info, text });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text += line;
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(
            open.is_none(),
            "{}: a block has no end",
            self.path.display()
        );
        blocks
    }

    /// The commands that are shown, as a user types them.
    pub(crate) fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        for block in self.blocks() {
            for line in block.text.lines() {
                commands.extend(line.strip_prefix("$ ").map(str::to_owned));
            }
        }
        commands
    }

    /// The words in backticks.
    pub(crate) fn quoted(&self) -> BTreeSet<String> {
        quoted(&self.prose()).map(str::to_owned).collect()
    }

    /// The cells of the rows of all tables whose first head is this; at least one.
    pub(crate) fn rows(&self, head: &str) -> Vec<Vec<String>> {
        let prose = self.prose();
        let mut rows = Vec::new();
        let mut of_head = None;
        for line in prose.lines() {
            let Some(cells) = line.strip_prefix('|') else {
                of_head = None;
                continue;
            };
            let cells = cells.strip_suffix('|').expect(line).split('|');
            let cells: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
            match of_head {
                None => of_head = Some(cells[0] == head),
                Some(true) if !cells[0].starts_with("---") => rows.push(cells),
                Some(_) => {}
            }
        }
        assert!(!rows.is_empty(), "{}: no table {head}", self.path.display());
        rows
    }

    /// What stands below a heading of that text, up to the next heading of the same level or above.
    pub(crate) fn section(&self, heading: &str) -> Page {
        let level = heading.chars().take_while(|char| *char == '#').count();
        let mut text = String::new();
        let mut inside = false;
        for line in self.text.lines() {
            let hashes = line.chars().take_while(|char| *char == '#').count();
            if line == heading {
                inside = true;
            } else if (1..=level).contains(&hashes) && line[hashes..].starts_with(' ') {
                inside = false;
            } else if inside {
                text += line;
                text.push('\n');
            }
        }
        assert!(!text.is_empty(), "{}: {heading}", self.path.display());
        let path = self.path.clone();
        Page { path, text }
    }

    /// The targets of all links.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let links = prose.split("](").skip(1);
        links
            .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
            .collect()
    }

    /// The anchors of all headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let text = line.trim_start_matches('#').trim().to_lowercase();
                let text = text.replace(' ', "-");
                text.chars()
                    .filter(|char| char.is_alphanumeric() || "-_".contains(*char))
                    .collect()
            })
            .collect()
    }

    /// The text with all white space made one space: a sentence is found however its lines are broken.
    pub(crate) fn flat(&self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        words.join(" ")
    }
}
