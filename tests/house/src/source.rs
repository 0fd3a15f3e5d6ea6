//! The crates as trees of modules, read as the compiler does: from a root, by its `mod` items, without those for tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use syn::spanned::Spanned as _;
use syn::{Attribute, Item, UseTree, Visibility};

/// What is compiled from one root: a library or a program.
pub(crate) struct Crate {
    /// The first is the root's own.
    pub(crate) modules: Vec<Module>,
}

/// A module, whether in a file of its own or in braces.
pub(crate) struct Module {
    /// Relative to the directory that was asked for.
    pub(crate) file: PathBuf,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// Without those for tests and without the modules in it.
    pub(crate) items: Vec<Item>,
    pub(crate) imports: Vec<Import>,
}

/// One name that a `use` brings into a module.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    /// The name here; none for `*`.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
    /// Others see it here, too.
    pub(crate) is_re_export: bool,
    pub(crate) line: usize,
}

/// Where files are read from: the disk, or a test.
type Read<'a> = dyn Fn(&Path) -> Option<String> + 'a;

impl Crate {
    /// All crates whose source is in `src` and `crates/*/src` under `directory`.
    pub(crate) fn all(directory: &Path) -> anyhow::Result<Vec<Self>> {
        let mut sources = vec![PathBuf::from("src")];
        if let Ok(entries) = std::fs::read_dir(directory.join("crates")) {
            for entry in entries {
                sources.push(Path::new("crates").join(entry?.file_name()).join("src"));
            }
        }
        sources.sort();
        let mut crates = Vec::new();
        for source in sources {
            let mut roots = vec![source.join("lib.rs"), source.join("main.rs")];
            if let Ok(entries) = std::fs::read_dir(directory.join(&source).join("bin")) {
                for entry in entries {
                    roots.push(source.join("bin").join(entry?.file_name()));
                }
            }
            for root in roots {
                if directory.join(&root).is_file() {
                    crates.push(Self::read(&root, &|file| {
                        std::fs::read_to_string(directory.join(file)).ok()
                    })?);
                }
            }
        }
        ensure!(!crates.is_empty(), "there is no src/lib.rs or src/main.rs");
        Ok(crates)
    }

    /// The crate whose root is `root`.
    pub(crate) fn read(root: &Path, read: &Read<'_>) -> anyhow::Result<Self> {
        let mut this = Self {
            modules: Vec::new(),
        };
        let directory = root.parent().unwrap_or(Path::new("")).to_owned();
        this.add_file(root, &directory, None, read)?;
        Ok(this)
    }

    /// Whether `file` holds a module that the module `index` is in.
    pub(crate) fn is_inside(&self, index: usize, file: &Path) -> bool {
        let parent = self.modules.get(index).and_then(|module| module.parent);
        let Some((index, parent)) =
            parent.and_then(|index| Some((index, self.modules.get(index)?)))
        else {
            return false;
        };
        parent.file == file || self.is_inside(index, file)
    }

    /// Adds the module in `file`; its own modules are in files of `directory`.
    fn add_file(
        &mut self,
        file: &Path,
        directory: &Path,
        parent: Option<usize>,
        read: &Read<'_>,
    ) -> anyhow::Result<usize> {
        let text = read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let parsed =
            syn::parse_file(&text).with_context(|| format!("{} is not Rust", file.display()))?;
        self.add_items(parsed.items, file, directory, parent, read)
    }

    fn add_items(
        &mut self,
        items: Vec<Item>,
        file: &Path,
        directory: &Path,
        parent: Option<usize>,
        read: &Read<'_>,
    ) -> anyhow::Result<usize> {
        let index = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: Vec::new(),
            imports: Vec::new(),
        });
        let mut children = BTreeMap::new();
        let mut own = Vec::new();
        let mut imports = Vec::new();
        for item in items {
            match item {
                Item::Mod(module) => {
                    if is_for_tests(&module.attrs) {
                        continue;
                    }
                    let name = module.ident.to_string();
                    let inner = directory.join(&name);
                    let child = if let Some((_, items)) = module.content {
                        self.add_items(items, file, &inner, Some(index), read)?
                    } else {
                        let flat = directory.join(format!("{name}.rs"));
                        let nested = inner.join("mod.rs");
                        if let Some(file) = [flat, nested].iter().find(|file| read(file).is_some())
                        {
                            self.add_file(file, &inner, Some(index), read)?
                        } else {
                            bail!("{}: `mod {name}` leads to no file", file.display());
                        }
                    };
                    children.insert(name, child);
                }
                Item::Use(item) => {
                    if !is_for_tests(&item.attrs) {
                        let is_re_export = !matches!(item.vis, Visibility::Inherited);
                        let line = item.span().start().line;
                        flatten(&item.tree, &[], &mut |name, path| {
                            imports.push(Import {
                                name,
                                path,
                                is_re_export,
                                line,
                            });
                        });
                    }
                }
                item => {
                    if !is_for_tests(attributes(&item)) {
                        own.push(item);
                    }
                }
            }
        }
        if let Some(module) = self.modules.get_mut(index) {
            module.children = children;
            module.items = own;
            module.imports = imports;
        }
        Ok(index)
    }
}

impl Module {
    /// Whether an item of this name is defined here.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.items
            .iter()
            .any(|item| defined(item).is_some_and(|ident| ident == name))
    }
}

/// The name that an item defines in its module.
fn defined(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        Item::Macro(item) => item.ident.as_ref(),
        _ => None,
    }
}

/// Whether what has these attributes is compiled for tests alone.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|condition| condition == "test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        _ => &[],
    }
}

/// Calls `add` with the name and the path of each leaf of a `use`.
pub(crate) fn flatten(
    tree: &UseTree,
    before: &[String],
    add: &mut impl FnMut(Option<String>, Vec<String>),
) {
    let with = |name: &syn::Ident| {
        let mut path = before.to_vec();
        path.push(name.to_string());
        path
    };
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), add),
        UseTree::Name(name) if name.ident == "self" => {
            add(before.last().cloned(), before.to_vec());
        }
        UseTree::Name(name) => add(Some(name.ident.to_string()), with(&name.ident)),
        UseTree::Rename(name) if name.ident == "self" => {
            add(Some(name.rename.to_string()), before.to_vec());
        }
        UseTree::Rename(name) => add(Some(name.rename.to_string()), with(&name.ident)),
        UseTree::Glob(_) => add(None, before.to_vec()),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, add);
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn crate_of(files: &[(&str, &str)]) -> Crate {
    Crate::read(Path::new("src/lib.rs"), &|asked| {
        files
            .iter()
            .find(|(file, _)| Path::new(file) == asked)
            .map(|(_, text)| (*text).to_owned())
    })
    .unwrap()
}
