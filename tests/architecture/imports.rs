//! Which file of a crate uses which other: from `use` declarations and from paths in the code, macros included.
//!
//! A path counts for the file that defines the item: through re-exports, and not for the modules on the way. What does not count: `mod`
//! declarations, re-exports of a module that has submodules (they forward a name, unless its own code uses it too), and code under
//! `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A module: a file, or an inline module of one.
struct Module {
    file: usize,
    parent: Option<usize>,
    submodules: HashMap<String, usize>,
    /// Items that are defined here.
    items: BTreeSet<String>,
    /// Names of `use` declarations, and the paths that they stand for.
    imports: HashMap<String, Vec<String>>,
    /// Modules from which all names are imported.
    globs: Vec<Vec<String>>,
}

#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    /// An item of a module.
    Item(usize),
}

#[derive(Default)]
pub struct Crate {
    files: Vec<PathBuf>,
    modules: Vec<Module>,
    /// From file to file, with a path that is the reason.
    edges: BTreeMap<(usize, usize), String>,
}

impl Crate {
    /// Reads a crate from its root, such as `src/lib.rs`.
    pub fn read(root: &Path) -> Self {
        let mut all = Self::default();
        let mut sources = Vec::new();
        all.read_file(root, None, &mut sources);
        for (module, items) in &sources {
            let mut uses = Uses { all: &mut all, module: *module };
            items.iter().for_each(|item| uses.visit_item(item));
        }
        all
    }

    pub fn files(&self) -> usize {
        self.files.len()
    }

    pub fn edges(&self) -> usize {
        self.edges.len()
    }

    fn read_file(&mut self, path: &Path, parent: Option<usize>, sources: &mut Vec<(usize, Vec<syn::Item>)>) -> usize {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.push(path.to_owned());
        let stem = path.file_stem().expect("a file").to_str().expect("plain names");
        let dir = path.parent().expect("a file");
        let dir = if parent.is_none() || stem == "mod" { dir.to_owned() } else { dir.join(stem) };
        self.read_module(self.files.len() - 1, parent, file.items, &dir, sources)
    }

    fn read_module(
        &mut self,
        file: usize,
        parent: Option<usize>,
        items: Vec<syn::Item>,
        dir: &Path,
        sources: &mut Vec<(usize, Vec<syn::Item>)>,
    ) -> usize {
        let id = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            submodules: HashMap::new(),
            items: BTreeSet::new(),
            imports: HashMap::new(),
            globs: Vec::new(),
        });
        let mut code = Vec::new();
        for item in items {
            if attributes(&item).is_some_and(for_tests) {
                continue;
            }
            if let syn::Item::Mod(module) = item {
                let name = module.ident.to_string();
                let below = dir.join(&name);
                let child = match module.content {
                    Some((_, items)) => self.read_module(file, Some(id), items, &below, sources),
                    None => {
                        let [flat, nested] = [below.with_extension("rs"), below.join("mod.rs")];
                        self.read_file(if flat.is_file() { &flat } else { &nested }, Some(id), sources)
                    }
                };
                self.modules[id].submodules.insert(name, child);
                continue;
            }
            if let syn::Item::Use(declaration) = &item {
                leaves(&declaration.tree, &mut Vec::new(), &mut |path, name| match name {
                    Some(name) => _ = self.modules[id].imports.insert(name, path),
                    None => self.modules[id].globs.push(path),
                });
            } else if let Some(name) = name(&item) {
                self.modules[id].items.insert(name);
            }
            code.push(item);
        }
        sources.push((id, code));
        id
    }

    /// What a path stands for in a module; `None` if it is of another crate, or a local name.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Target::Module(0),
            "self" => Target::Module(from),
            "super" => Target::Module(self.modules[from].parent?),
            name => self.lookup(from, name, depth)?,
        };
        while let (Target::Module(module), Some((name, more))) = (at, rest.split_first()) {
            at = match name.as_str() {
                "super" => Target::Module(self.modules[module].parent?),
                // What a macro defines has no entry.
                name => self.lookup(module, name, depth).unwrap_or(Target::Item(module)),
            };
            rest = more;
        }
        Some(at)
    }

    fn lookup(&self, module: usize, name: &str, depth: usize) -> Option<Target> {
        let here = &self.modules[module];
        if let Some(&child) = here.submodules.get(name) {
            return Some(Target::Module(child));
        }
        if here.items.contains(name) {
            return Some(Target::Item(module));
        }
        // Imports and globs may form a cycle.
        let depth = depth.checked_sub(1)?;
        match here.imports.get(name) {
            // `use name;` and the like: of another crate.
            Some(path) if path.len() == 1 && path[0] == name => None,
            Some(path) => self.resolve(module, path, depth),
            None => here.globs.iter().find_map(|path| match self.resolve(module, path, depth)? {
                Target::Module(other) if other != module => self.lookup(other, name, depth),
                _ => None,
            }),
        }
    }

    fn target_file(&self, target: Target) -> usize {
        let (Target::Module(module) | Target::Item(module)) = target;
        self.modules[module].file
    }

    fn add_edge(&mut self, from: usize, target: Target, path: &[String]) {
        let (from, to) = (self.modules[from].file, self.target_file(target));
        if from != to {
            self.edges.entry((from, to)).or_insert_with(|| path.join("::"));
        }
    }

    /// The strongly connected components of more than one file, each as text: its number of files and the edges within it.
    pub fn cycles(&self) -> Vec<String> {
        let reaches: Vec<BTreeSet<usize>> = (0..self.files.len())
            .map(|file| {
                let (mut reached, mut todo) = (BTreeSet::new(), vec![file]);
                while let Some(at) = todo.pop() {
                    let next = self.edges.range((at, 0)..(at + 1, 0)).map(|(&(_, to), _)| to);
                    todo.extend(next.filter(|&to| reached.insert(to)));
                }
                reached
            })
            .collect();
        let mut cycles = Vec::new();
        let mut seen = BTreeSet::new();
        for file in 0..self.files.len() {
            let cycle: BTreeSet<usize> = reaches[file].iter().copied().filter(|other| reaches[*other].contains(&file)).collect();
            if !cycle.contains(&file) || !seen.insert(cycle.clone()) {
                continue;
            }
            let mut text = format!("a cycle of {} files:", cycle.len());
            for ((from, to), path) in &self.edges {
                if cycle.contains(from) && cycle.contains(to) {
                    text += &format!("\n  {} -> {} ({path})", self.files[*from].display(), self.files[*to].display());
                }
            }
            cycles.push(text);
        }
        cycles
    }
}

/// Finds the paths in the code of a module.
struct Uses<'a> {
    all: &'a mut Crate,
    module: usize,
}

impl Uses<'_> {
    fn path(&mut self, path: &[String], in_macro: bool) {
        let Some(target) = self.all.resolve(self.module, path, 16) else { return };
        // A single name that is that of a module, or in a macro of anything but a type, may as well be a local variable.
        let local =
            path.len() == 1 && (matches!(target, Target::Module(_)) || in_macro && !path[0].starts_with(char::is_uppercase));
        if !local {
            self.all.add_edge(self.module, target, path);
        }
    }
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !attributes(item).is_some_and(for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item_use(&mut self, declaration: &'ast syn::ItemUse) {
        let re_export = !matches!(declaration.vis, syn::Visibility::Inherited);
        if re_export && !self.all.modules[self.module].submodules.is_empty() {
            return;
        }
        leaves(&declaration.tree, &mut Vec::new(), &mut |path, _| {
            if let Some(target) = self.all.resolve(self.module, &path, 16) {
                self.all.add_edge(self.module, target, &path);
            }
        });
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.path(&names, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        paths(&invocation.tokens.to_string(), &mut |path| self.path(path, true));
        visit::visit_macro(self, invocation);
    }
}

/// Calls `found` with each path in the text of tokens: names, joined by `::`.
fn paths(tokens: &str, found: &mut impl FnMut(&[String])) {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut path: Vec<String> = Vec::new();
    let mut joined = false;
    let mut rest = tokens;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            '"' => 2 + end_of_string(&rest[1..]),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if token.trim().is_empty() {
            continue;
        }
        if token == "::" && !path.is_empty() {
            joined = true;
        } else {
            if !joined {
                found(&std::mem::take(&mut path));
            }
            if token.starts_with(is_name) {
                path.push(token.to_owned());
            } else {
                // Such as `a::{b, c}` or `a::<T>`: as far as it goes.
                found(&std::mem::take(&mut path));
            }
            joined = false;
        }
    }
    found(&path);
}

/// Where the string literal ends whose first quotation mark is after us.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len() - 1
}

/// Calls `found` with the path of each name in a `use` declaration and its name in this module, or none for all names (`*`).
fn leaves(tree: &syn::UseTree, path: &mut Vec<String>, found: &mut impl FnMut(Vec<String>, Option<String>)) {
    let mut leaf = |last: &syn::Ident, name: &syn::Ident| {
        let mut path = path.clone();
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name.to_string() };
        if last != "self" {
            path.push(last.to_string());
        }
        found(path, Some(name));
    };
    match tree {
        syn::UseTree::Name(tree) => leaf(&tree.ident, &tree.ident),
        syn::UseTree::Rename(tree) => leaf(&tree.ident, &tree.rename),
        syn::UseTree::Glob(_) => found(path.clone(), None),
        syn::UseTree::Group(tree) => tree.items.iter().for_each(|tree| leaves(tree, path, found)),
        syn::UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            leaves(&tree.tree, path, found);
            path.pop();
        }
    }
}

/// Whether an item is compiled for tests only.
fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg") && (condition == "test" || condition.replace(' ', "").starts_with("all(test,"))
    })
}

fn attributes(item: &syn::Item) -> Option<&[syn::Attribute]> {
    Some(match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

fn name(item: &syn::Item) -> Option<String> {
    Some(match item {
        syn::Item::Const(item) => item.ident.to_string(),
        syn::Item::Enum(item) => item.ident.to_string(),
        syn::Item::Fn(item) => item.sig.ident.to_string(),
        syn::Item::Macro(item) => item.ident.as_ref()?.to_string(),
        syn::Item::Static(item) => item.ident.to_string(),
        syn::Item::Struct(item) => item.ident.to_string(),
        syn::Item::Trait(item) => item.ident.to_string(),
        syn::Item::Type(item) => item.ident.to_string(),
        syn::Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}
