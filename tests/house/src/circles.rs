//! Files of one crate that import each other in a circle.
//!
//! A file imports another where a private `use` or a path in it leads to an item that is defined there, however many
//! re-exports are on the way. `mod child;`, a re-export and a path that ends at a module import nothing.
//!
//! What a module imports from the modules that it is in does not count: `a/mod.rs` may call its children, and they may use what
//! it defines, as in any Rust crate. Two children that import each other are a circle, and so is a child that leaves the
//! module and comes back. `--strict` counts the imports from a parent, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::source::{Crate, Module, flatten, is_for_tests};

/// How many names of imports lead from one to the next before a path counts as one that leads nowhere.
const MOST_HOPS: usize = 16;

/// Each circle with the imports that close it, one for each pair of files.
pub(crate) fn of_imports(crates: &[Crate], parents: Parents) -> Vec<String> {
    crates
        .iter()
        .flat_map(|one| in_crate(one, parents))
        .collect()
}

/// What is done with the imports of a child from the modules that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parents {
    Ignored,
    Counted,
}

fn in_crate(one: &Crate, parents: Parents) -> Vec<String> {
    let imports = Imports::of(one, parents);
    let mut circles = Vec::new();
    let mut placed = BTreeSet::new();
    for file in imports.to.keys() {
        if placed.contains(file) {
            continue;
        }
        let reached = imports.reached_from(file);
        let circle: BTreeSet<&PathBuf> = reached
            .into_iter()
            .filter(|other| *other == file || imports.reached_from(other).contains(file))
            .collect();
        if circle.len() > 1 {
            circles.push(imports.describe(&circle));
        }
        placed.extend(circle.into_iter().cloned());
    }
    circles
}

/// Of each file, the files that it imports from, with the places and the names of the items.
#[derive(Default)]
struct Imports {
    to: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeMap<String, usize>>>,
}

impl Imports {
    fn of(one: &Crate, parents: Parents) -> Self {
        let mut this = Self::default();
        for (index, module) in one.modules.iter().enumerate() {
            let mut paths = Paths::default();
            for import in module.imports.iter().filter(|import| !import.is_re_export) {
                if import.name.is_some() {
                    paths.found.push((import.path.clone(), import.line));
                }
            }
            for item in &module.items {
                paths.visit_item(item);
            }
            for (path, line) in paths.found {
                if let Some((file, name)) = item_at(one, index, &path, 0)
                    && *file != module.file
                    && (parents == Parents::Counted || !one.is_inside(index, file))
                {
                    let names = this.to.entry(module.file.clone()).or_default();
                    let names = names.entry(file.clone()).or_default();
                    names.entry(name).or_insert(line);
                }
            }
        }
        this
    }

    /// The files that `file` imports, directly or by others.
    fn reached_from<'a>(&'a self, file: &Path) -> BTreeSet<&'a PathBuf> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Path> = vec![file];
        while let Some(file) = next.pop() {
            for other in self.to.get(file).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(other) {
                    next.push(other);
                }
            }
        }
        reached
    }

    fn describe(&self, circle: &BTreeSet<&PathBuf>) -> String {
        let files: Vec<_> = circle
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let mut lines = vec![format!("  {}", files.join(", "))];
        for file in circle {
            for (other, names) in self.to.get(*file).into_iter().flatten() {
                if circle.contains(other) {
                    let names: Vec<_> = names
                        .iter()
                        .map(|(name, line)| format!("{name} (line {line})"))
                        .collect();
                    let (file, other) = (file.display(), other.display());
                    lines.push(format!("    {file} imports {other}: {}", names.join(", ")));
                }
            }
        }
        lines.join("\n")
    }
}

/// The file and the name of the item that `path` leads to from the module `from`; none where it leads out of the crate, or to a module.
fn item_at<'a>(
    one: &'a Crate,
    from: usize,
    path: &[String],
    hops: usize,
) -> Option<(&'a PathBuf, String)> {
    if hops > MOST_HOPS {
        return None;
    }
    let (first, rest) = path.split_first()?;
    let module = one.modules.get(from)?;
    match first.as_str() {
        "crate" => inside(one, 0, rest, hops),
        "self" => inside(one, from, rest, hops),
        "super" => super_of(one, module.parent?, rest, hops),
        "Self" => None,
        _ => inside(one, from, path, hops),
    }
}

/// A path may go up several times.
fn super_of<'a>(
    one: &'a Crate,
    parent: usize,
    rest: &[String],
    hops: usize,
) -> Option<(&'a PathBuf, String)> {
    if rest.first().is_some_and(|first| first == "super") {
        return super_of(one, one.modules.get(parent)?.parent?, rest.get(1..)?, hops);
    }
    inside(one, parent, rest, hops)
}

/// As [`item_at`], of a path whose first name is looked up in `module`.
fn inside<'a>(
    one: &'a Crate,
    index: usize,
    path: &[String],
    hops: usize,
) -> Option<(&'a PathBuf, String)> {
    let (first, rest) = path.split_first()?;
    let module: &Module = one.modules.get(index)?;
    if let Some(child) = module.children.get(first)
        && !rest.is_empty()
    {
        return inside(one, *child, rest, hops);
    }
    if module.defines(first) {
        return Some((&module.file, first.clone()));
    }
    for import in &module.imports {
        let mut longer = import.path.clone();
        match &import.name {
            Some(name) if name == first => longer.extend_from_slice(rest),
            Some(_) => continue,
            None => longer.extend_from_slice(path),
        }
        // `use x::x;` and `use x;` lead to a crate of that name.
        if longer != path
            && let Some(found) = item_at(one, index, &longer, hops + 1)
        {
            return Some(found);
        }
    }
    None
}

/// All paths in an item, those in the tokens of macros too.
#[derive(Default)]
struct Paths {
    found: Vec<(Vec<String>, usize)>,
}

impl Paths {
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.close(&mut path, line);
                    }
                    if path.is_empty() {
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.close(&mut path, line);
                    colons = 0;
                    self.add_tokens(group.stream());
                }
                _ => {
                    self.close(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.close(&mut path, line);
    }

    fn close(&mut self, path: &mut Vec<String>, line: usize) {
        if !path.is_empty() {
            self.found.push((std::mem::take(path), line));
        }
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_path(&mut self, path: &'a syn::Path) {
        if let Some(first) = path.segments.first() {
            let names = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string());
            self.found
                .push((names.collect(), first.ident.span().start().line));
        }
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, import: &'a syn::ItemUse) {
        let line = import.span().start().line;
        flatten(&import.tree, &[], &mut |_, path| {
            self.found.push((path, line));
        });
    }

    fn visit_macro(&mut self, found: &'a syn::Macro) {
        self.add_tokens(found.tokens.clone());
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::crate_of;

    fn circles(files: &[(&str, &str)], parents: Parents) -> Vec<String> {
        of_imports(&[crate_of(files)], parents)
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b::B;\npub struct A;"),
            ("src/b.rs", "pub struct B;\nfn f() { super::a::A; }"),
        ];
        assert_eq!(
            circles(&files, Parents::Ignored),
            [
                "  src/a.rs, src/b.rs\n    src/a.rs imports src/b.rs: B (line 1)\n    src/b.rs imports src/a.rs: A (line 2)"
            ]
        );
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a/mod.rs", "mod inner; pub use self::inner::*;"),
            (
                "src/a/inner.rs",
                "use crate::b; fn f() { b::g() } pub struct A;",
            ),
            ("src/b.rs", "use crate::a::A; pub fn g() {}"),
        ];
        let found = circles(&files, Parents::Ignored);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("  src/a/inner.rs, src/b.rs\n"),
            "{found:?}"
        );
    }

    #[test]
    fn a_path_in_a_macro_is_an_import() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            (
                "src/a.rs",
                "use crate::b; fn f() { json!({ b::KEY: [1] }) } pub struct A;",
            ),
            ("src/b.rs", "use crate::a::A; pub const KEY: u8 = 0;"),
        ];
        assert_eq!(circles(&files, Parents::Ignored).len(), 1);
    }

    #[test]
    fn a_parent_that_calls_a_child_is_a_circle_in_strict_mode_alone() {
        let files = [
            ("src/lib.rs", "mod a;"),
            (
                "src/a/mod.rs",
                "mod inner; pub struct A; fn f() { inner::g() }",
            ),
            ("src/a/inner.rs", "use super::A; pub fn g() {}"),
        ];
        assert!(circles(&files, Parents::Ignored).is_empty());
        assert_eq!(circles(&files, Parents::Counted).len(), 1);
    }

    #[test]
    fn a_parent_that_only_lists_and_re_exports_is_none_in_strict_mode_either() {
        let files = [
            ("src/lib.rs", "mod a;"),
            (
                "src/a/mod.rs",
                "mod inner; pub use self::inner::g; pub struct A;",
            ),
            ("src/a/inner.rs", "use super::A; pub fn g() {}"),
        ];
        assert!(circles(&files, Parents::Counted).is_empty());
    }

    #[test]
    fn two_children_that_import_each_other_are_a_circle() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "mod x; mod y;"),
            ("src/a/x.rs", "use super::y::Y; pub struct X;"),
            ("src/a/y.rs", "use super::x::X; pub struct Y;"),
            ("src/b.rs", "#[cfg(test)] mod tests { use crate::a::x::X; }"),
        ];
        assert_eq!(circles(&files, Parents::Ignored).len(), 1);
    }
}
