//! The annotations of a pod that the agent reads.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    keys,
    overrides::Overrides,
    record::{self, ParsedRecord},
    text::truncate,
};

/// What is kept of an annotation's text: one byte more than the longest record, so that a longer one is known to be too
/// long. The API server allows 256 KiB for all annotations of an object, and whoever may patch a pod may write as much.
pub const MAX_ANNOTATION_BYTES: usize = record::MAX_BYTES + 1;

/// Only the annotations of [`keys::READ_FROM_PODS`]; what they say is read once, when they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `None` of most pods: they carry none.
    read: Option<Box<ReadAnnotations>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ReadAnnotations {
    texts: BTreeMap<Arc<str>, Arc<str>>,
    record: Option<ParsedRecord>,
    overrides: Overrides,
}

impl Annotations {
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        self.read.as_ref()?.texts.get(key)
    }

    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(key, _)| key)
    }

    /// Keys and texts, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.read.iter().flat_map(|read| &read.texts)
    }

    /// Writes an annotation, at most the first [`MAX_ANNOTATION_BYTES`] of its text.
    pub fn insert(&mut self, key: Arc<str>, text: Arc<str>) {
        let cut = truncate(&text, MAX_ANNOTATION_BYTES);
        let text = if cut.len() < text.len() {
            cut.into()
        } else {
            text
        };
        let read = self.read.get_or_insert_default();
        let changed = key.clone();
        read.texts.insert(key, text);
        read.update(&changed);
    }

    pub fn remove(&mut self, key: &str) {
        if let Some(read) = &mut self.read
            && read.texts.remove(key).is_some()
        {
            read.update(key);
            if read.texts.is_empty() {
                self.read = None;
            }
        }
    }

    /// The record, if there is one.
    pub(crate) fn record(&self) -> Option<&ParsedRecord> {
        self.read.as_ref()?.record.as_ref()
    }

    /// What people have written.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        static NONE: Overrides = Overrides::NONE;
        self.read.as_ref().map_or(&NONE, |read| &read.overrides)
    }
}

impl ReadAnnotations {
    fn update(&mut self, changed: &str) {
        if changed == keys::RECORD {
            let text = self.texts.get(keys::RECORD);
            self.record = text.map(|text| ParsedRecord::parse(text));
        } else {
            self.overrides = Overrides::read(|key| self.texts.get(key).map(AsRef::as_ref));
        }
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Annotations {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Arc<str>)>>(texts: T) -> Self {
        let mut annotations = Self::default();
        annotations.extend(texts);
        annotations
    }
}

impl Extend<(Arc<str>, Arc<str>)> for Annotations {
    fn extend<T: IntoIterator<Item = (Arc<str>, Arc<str>)>>(&mut self, texts: T) {
        for (key, text) in texts {
            self.insert(key, text);
        }
    }
}
