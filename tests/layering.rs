//! Holds the order of the layers: an import points down the list, and no files import each other
//! in a circle.
//!
//! Files are read with `syn`; tests inside them are left out. A path is followed through the
//! `pub use` of a `mod.rs` to the file that defines what it names, so that a `mod.rs` which only
//! re-exports is part of no circle.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The layers, highest first, as `src/lib.rs` lists them.
const LAYERS: [&str; 15] = [
    "cli",
    "server",
    "openai",
    "api",
    "evaluate",
    "pipeline",
    "benchmark",
    "engine",
    "intervention",
    "model",
    "nn",
    "vision",
    "weights",
    "telemetry",
    "field_path",
];

/// A module's path below the crate: `["nn", "hook"]`.
type Module = Vec<String>;

/// What a file names outside of its tests.
#[derive(Default)]
struct Source {
    /// Names that are imported, and the paths that they stand for.
    imports: BTreeMap<String, Vec<String>>,
    /// The names among these that are handed on with `pub use`.
    exports: BTreeSet<String>,
    /// Paths in code, in types and inside macros, as written.
    paths: BTreeSet<Vec<String>>,
    /// Single names in code; a re-export that its own file uses is an import, too.
    names: BTreeSet<String>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut source = Self::default();
        source.visit_file(&syn::parse_file(&text).unwrap());
        source
    }

    fn import(&mut self, prefix: &[String], tree: &syn::UseTree, public: bool) {
        let (name, alias) = match tree {
            syn::UseTree::Path(path) => {
                let prefix = [prefix, &[path.ident.to_string()]].concat();
                return self.import(&prefix, &path.tree, public);
            }
            syn::UseTree::Group(group) => {
                return group
                    .items
                    .iter()
                    .for_each(|item| self.import(prefix, item, public));
            }
            syn::UseTree::Glob(_) => ("*".to_owned(), format!("* of {}", prefix.join("::"))),
            syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            syn::UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
        };
        let (path, alias) = match name.as_str() {
            "self" => (
                prefix.to_vec(),
                alias.replace("self", prefix.last().unwrap()),
            ),
            "*" => (prefix.to_vec(), alias),
            _ => ([prefix, &[name]].concat(), alias),
        };
        if public {
            self.exports.insert(alias.clone());
        }
        self.imports.insert(alias, path);
    }

    /// Reads the paths inside a macro, whose tokens `syn` does not parse.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.read_tokens(group.stream());
                    self.add(std::mem::take(&mut path));
                    colons = 0;
                }
                _ => {
                    self.add(std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.add(path);
    }

    fn add(&mut self, path: Vec<String>) {
        match path.len() {
            0 => {}
            1 => self.names.extend(path),
            _ => {
                self.names.insert(path[0].clone());
                self.paths.insert(path);
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    })
}

impl Visit<'_> for Source {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        if !is_test(&item.attrs) {
            let public = !matches!(item.vis, syn::Visibility::Inherited);
            self.import(&[], &item.tree, public);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.add(segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        visit::visit_macro(self, item);
        self.read_tokens(item.tokens.clone());
    }

    // `pub(in path)` names no import.
    fn visit_vis_restricted(&mut self, _: &syn::VisRestricted) {}
}

/// All files of `src/`, by the module that each is.
struct Tree(BTreeMap<Module, Source>);

impl Tree {
    fn read() -> Self {
        let mut files = BTreeMap::new();
        read_folder(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &[],
            &mut files,
        );
        Self(files)
    }

    /// Returns where `path`, as `module` writes it, starts from the crate; none for other crates.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let parent = &module[..module.len().checked_sub(1)?];
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(parent, rest),
                    _ => Some([parent, rest].concat()),
                }
            }
            name => {
                let child = [module, &[name.to_owned()]].concat();
                self.0.contains_key(&child).then(|| [module, path].concat())
            }
        }
    }

    /// Returns the file that defines what `path` names; none where that is another crate's.
    fn definition(&self, path: &[String]) -> Option<Module> {
        let length = (0..=path.len())
            .rev()
            .find(|length| self.0.contains_key(&path[..*length]))?;
        let (module, rest) = path.split_at(length);
        let source = &self.0[module];
        match rest.first() {
            Some(name) if source.exports.contains(name) => {
                let exported = self.absolute(module, &source.imports[name])?;
                self.definition(&[&exported, &rest[1..]].concat())
            }
            _ => Some(module.to_vec()),
        }
    }

    /// Returns the files that `module` imports.
    fn arrows(&self, module: &Module) -> BTreeSet<Module> {
        let source = &self.0[module];
        let mut found = BTreeSet::new();
        for (alias, path) in &source.imports {
            let handed_on = source.exports.contains(alias) && !source.names.contains(alias);
            let Some(path) = self.absolute(module, path).filter(|_| !handed_on) else {
                continue;
            };
            if !self.0.contains_key(&path) {
                found.extend(self.definition(&path));
            }
        }
        for path in &source.paths {
            let spelled = match source.imports.get(&path[0]) {
                Some(import) => [import, &path[1..]].concat(),
                None => path.clone(),
            };
            if let Some(path) = self.absolute(module, &spelled) {
                found.extend(self.definition(&path));
            }
        }
        found.remove(module);
        found
    }
}

fn read_folder(folder: &Path, module: &[String], files: &mut BTreeMap<Module, Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let child = [module, std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            read_folder(&path, &child, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            match stem.as_str() {
                "main" => {}
                "lib" | "mod" => drop(files.insert(module.to_vec(), Source::read(&path))),
                _ => drop(files.insert(child, Source::read(&path))),
            }
        }
    }
}

/// Returns the modules that can be reached from `start`.
fn reached<'a>(
    start: &'a Module,
    arrows: &'a BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for next in &arrows[module] {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

fn all_arrows() -> BTreeMap<Module, BTreeSet<Module>> {
    let tree = Tree::read();
    tree.0
        .keys()
        .map(|module| (module.clone(), tree.arrows(module)))
        .collect()
}

#[test]
fn imports_point_down_the_list_of_layers() {
    let layer = |module: &Module| {
        let name = module.first()?;
        let at = LAYERS.iter().position(|layer| layer == name);
        Some(at.unwrap_or_else(|| panic!("{name} is in no layer")))
    };
    let mut seen = 0;
    for (module, targets) in all_arrows() {
        let Some(from) = layer(&module) else { continue };
        for target in targets {
            let to = layer(&target);
            assert!(
                to.is_none_or(|to| to >= from),
                "{} imports {}, a layer above it",
                module.join("::"),
                target.join("::")
            );
            seen += usize::from(to != Some(from));
        }
    }
    assert!(seen > 100, "only {seen} imports between layers were seen");
}

#[test]
fn the_crate_lists_its_layers_in_this_order() {
    let text = include_str!("../src/lib.rs");
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next())
        .collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let arrows = all_arrows();
    let circles: BTreeSet<BTreeSet<String>> = arrows
        .keys()
        .filter(|module| reached(module, &arrows).contains(module))
        .map(|module| {
            reached(module, &arrows)
                .into_iter()
                .filter(|other| reached(other, &arrows).contains(module))
                .map(|other| other.join("::"))
                .collect()
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}
