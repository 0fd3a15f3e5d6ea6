//! Type names that are defined more than once in all crates together.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use crate::exemptions::Exemptions;
use crate::source::{Crate, is_for_tests};

/// Each name with where it is defined. Associated types do not count.
pub(crate) fn defined_more_than_once(crates: &[Crate], exempt: &mut Exemptions) -> Vec<String> {
    let mut found = Found::default();
    for module in crates.iter().flat_map(|one| &one.modules) {
        found.file.clone_from(&module.file.display().to_string());
        for item in &module.items {
            found.visit_item(item);
        }
    }
    found
        .places
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !exempt.use_for(name))
        .map(|(name, places)| format!("  {name}: {}", places.join(", ")))
        .collect()
}

#[derive(Default)]
struct Found {
    file: String,
    places: BTreeMap<String, Vec<String>>,
}

impl Found {
    fn add(&mut self, name: &syn::Ident) {
        let place = format!("{}:{}", self.file, name.span().start().line);
        self.places.entry(name.to_string()).or_default().push(place);
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.add(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.add(&item.ident);
    }

    fn visit_item_union(&mut self, item: &'a syn::ItemUnion) {
        self.add(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.add(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.add(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::crate_of;

    #[test]
    fn a_name_that_two_modules_define_is_found_with_both_places() {
        let files = [
            ("src/lib.rs", "mod a;\nstruct Pods;\nstruct Alone;"),
            ("src/a.rs", "enum Pods {}"),
        ];
        let found = defined_more_than_once(&[crate_of(&files)], &mut Exemptions::of(&[]));
        assert_eq!(found, ["  Pods: src/lib.rs:2, src/a.rs:1"]);
    }

    #[test]
    fn associated_types_and_types_of_tests_do_not_count() {
        let text = "struct Error; impl Parse for A { type Error = (); } impl Parse for B { type Error = (); }
                    #[cfg(test)] mod tests { struct Error; }";
        let found = defined_more_than_once(
            &[crate_of(&[("src/lib.rs", text)])],
            &mut Exemptions::of(&[]),
        );
        assert!(found.is_empty());
    }

    #[test]
    fn an_exemption_is_used_or_reported() {
        let text = "struct Pods; mod a { struct Pods; }";
        let mut exempt = Exemptions::of(&[("Pods", "for this test"), ("Gone", "for this test")]);
        let found = defined_more_than_once(&[crate_of(&[("src/lib.rs", text)])], &mut exempt);
        assert!(found.is_empty());
        assert_eq!(exempt.unused(), ["  Gone"]);
    }
}
