//! Functions that are named as a question, or as a state of things, and change something.
//!
//! A name asks where its first word is one of [`QUESTIONS`] or says what was done (it ends in `ed` or is one of
//! [`PARTICIPLES`]), where it is a sentence with one of [`VERBS`] inside, or where its first word ends in `s` and the answer
//! is a `bool`. Something is changed where a parameter is or holds a `&mut`, but for a `Formatter`. What an `impl` of a trait
//! defines has its name from the trait, which is checked where it is ours.

use syn::visit::{self, Visit};
use syn::{FnArg, Type};

use crate::exemptions::Exemptions;
use crate::source::{Crate, is_for_tests};

const QUESTIONS: &[&str] = &[
    "are", "can", "could", "did", "does", "had", "has", "have", "is", "may", "must", "needs",
    "should", "was", "were", "will", "would",
];

/// Of irregular verbs, and adjectives that stand for one. Left out is what is an imperative as well: cut, put, read, set, open, free.
const PARTICIPLES: &[&str] = &[
    "begun",
    "bound",
    "broken",
    "brought",
    "built",
    "caught",
    "chosen",
    "done",
    "drawn",
    "due",
    "fallen",
    "felt",
    "forgotten",
    "found",
    "frozen",
    "given",
    "gone",
    "grown",
    "heard",
    "held",
    "hidden",
    "kept",
    "known",
    "late",
    "left",
    "lost",
    "made",
    "meant",
    "met",
    "not",
    "overdue",
    "paid",
    "ready",
    "risen",
    "said",
    "seen",
    "sent",
    "shown",
    "spent",
    "spoken",
    "stale",
    "stood",
    "taken",
    "thought",
    "told",
    "understood",
    "undone",
    "unsure",
    "withdrawn",
    "woken",
    "worn",
    "written",
];

/// Verbs that make a sentence of a name: `time_is_up`.
const VERBS: &[&str] = &["are", "has", "have", "is", "was", "were"];

/// Words that end in `ed` and are imperatives.
const IMPERATIVES: &[&str] = &[
    "embed", "exceed", "feed", "need", "proceed", "seed", "shed", "speed", "succeed",
];

/// Each such function with its place.
pub(crate) fn that_act(crates: &[Crate], exempt: &mut Exemptions) -> Vec<String> {
    let mut found = Found {
        file: String::new(),
        acts: Vec::new(),
        exempt,
    };
    for module in crates.iter().flat_map(|one| &one.modules) {
        found.file.clone_from(&module.file.display().to_string());
        for item in &module.items {
            found.visit_item(item);
        }
    }
    found.acts
}

struct Found<'e> {
    file: String,
    acts: Vec<String>,
    exempt: &'e mut Exemptions,
}

impl Found<'_> {
    fn check(&mut self, signature: &syn::Signature) {
        let name = signature.ident.to_string();
        if asks(signature) && acts(signature) && !self.exempt.use_for(&name) {
            let line = signature.ident.span().start().line;
            self.acts.push(format!("  {name}: {}:{line}", self.file));
        }
    }
}

impl<'a> Visit<'a> for Found<'_> {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.check(&item.sig);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        for inner in &item.items {
            if let syn::ImplItem::Fn(function) = inner {
                if item.trait_.is_none() && !is_for_tests(&function.attrs) {
                    self.check(&function.sig);
                }
                visit::visit_block(self, &function.block);
            }
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        self.check(&item.sig);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

fn asks(signature: &syn::Signature) -> bool {
    let name = signature.ident.to_string();
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let says_what_was_done = PARTICIPLES.contains(&first)
        || (first.len() > 3 && first.ends_with("ed") && !IMPERATIVES.contains(&first));
    let says_what_is = first.ends_with('s') && answers_yes_or_no(signature);
    QUESTIONS.contains(&first)
        || says_what_was_done
        || says_what_is
        || words.any(|word| VERBS.contains(&word))
}

fn answers_yes_or_no(signature: &syn::Signature) -> bool {
    matches!(&signature.output, syn::ReturnType::Type(_, answer)
        if matches!(&**answer, Type::Path(path) if path.path.is_ident("bool")))
}

fn acts(signature: &syn::Signature) -> bool {
    signature.inputs.iter().any(|input| match input {
        FnArg::Receiver(receiver) => receiver.reference.is_some() && receiver.mutability.is_some(),
        FnArg::Typed(parameter) => {
            let mut holds = Mutable(false);
            holds.visit_type(&parameter.ty);
            holds.0
        }
    })
}

/// Whether there is a `&mut` in a type, but for that of a `Formatter`.
struct Mutable(bool);

impl<'a> Visit<'a> for Mutable {
    fn visit_type_reference(&mut self, reference: &'a syn::TypeReference) {
        let is_formatter = matches!(&*reference.elem, Type::Path(path)
            if path.path.segments.last().is_some_and(|last| last.ident == "Formatter"));
        self.0 |= reference.mutability.is_some() && !is_formatter;
        visit::visit_type_reference(self, reference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::crate_of;

    fn acts(functions: &str) -> Vec<String> {
        let text = format!("struct Agent; impl Agent {{ {functions} }}");
        that_act(
            &[crate_of(&[("src/lib.rs", &text)])],
            &mut Exemptions::of(&[]),
        )
    }

    #[test]
    fn a_question_that_changes_its_subject_is_found() {
        for name in [
            "is_above",
            "has_room",
            "accepted",
            "told",
            "kept_pods",
            "time_is_up",
        ] {
            let found = acts(&format!("fn {name}(&mut self) {{}}"));
            assert_eq!(found, [format!("  {name}: src/lib.rs:1")]);
        }
        assert_eq!(
            acts("fn comes_from_template(&mut self) -> bool { true }").len(),
            1
        );
        assert_eq!(acts("fn ended(tasks: Option<&mut Tasks>) {}").len(), 1);
    }

    #[test]
    fn a_question_that_only_reads_and_an_act_that_says_so_are_not() {
        assert!(acts("fn is_above(&self) -> bool { true }").is_empty());
        assert!(acts("fn reap_if_expired(&mut self) -> bool { true }").is_empty());
        assert!(acts("fn feed(&mut self) {} fn process(&mut self) {}").is_empty());
        assert!(acts("fn written(f: &mut fmt::Formatter<'_>) {}").is_empty());
    }

    #[test]
    fn a_trait_of_another_crate_names_its_functions() {
        let text = "impl Foreign for Agent { fn is_end(&mut self) {} }";
        let found = that_act(
            &[crate_of(&[("src/lib.rs", text)])],
            &mut Exemptions::of(&[]),
        );
        assert!(found.is_empty());
    }
}
