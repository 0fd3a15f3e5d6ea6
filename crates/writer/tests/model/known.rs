//! Values that many states share: kept once, and named in a state by the hash of what they are.
//!
//! The names are the same on every run, so that the states, their number and their order are, too.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher},
    sync::{Arc, PoisonError, RwLock},
};

/// A value's name.
pub(crate) type Id = u64;

/// Where there is no value: a view has not seen the object yet, or an agent does nothing.
pub(crate) const NOTHING: Id = 0;
/// Where there is none any more.
pub(crate) const GONE: Id = 1;

/// Values by name.
pub(crate) struct Known<Value> {
    values: RwLock<HashMap<Id, Arc<Value>>>,
}

impl<Value> Default for Known<Value> {
    fn default() -> Self {
        Self {
            values: RwLock::default(),
        }
    }
}

impl<Value: Debug> Known<Value> {
    /// The name of a value, which is known from now on. Not all values can be hashed; all can be written down.
    pub(crate) fn name(&self, value: Value) -> Id {
        let mut hasher = DefaultHasher::new();
        format!("{value:?}").hash(&mut hasher);
        let id = hasher.finish();
        assert!(id > GONE, "this hash has a meaning of its own");
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        values.entry(id).or_insert_with(|| Arc::new(value));
        id
    }

    pub(crate) fn get(&self, id: Id) -> Arc<Value> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        values.get(&id).expect("it was named before").clone()
    }

    /// What is so of any of them.
    pub(crate) fn map<Part: Ord>(&self, part: impl Fn(&Value) -> Part) -> BTreeSet<Part> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        values.values().map(|value| part(value)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.values
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// What follows from what, worked out once: most states ask for what another one has asked for.
pub(crate) struct Memo<Key, Value> {
    values: RwLock<HashMap<Key, Value, BuildHasherDefault<Fold>>>,
}

impl<Key, Value> Default for Memo<Key, Value> {
    fn default() -> Self {
        Self {
            values: RwLock::default(),
        }
    }
}

impl<Key: Eq + Hash, Value: Clone> Memo<Key, Value> {
    pub(crate) fn get(&self, key: Key, work_out: impl FnOnce(&Key) -> Value) -> Value {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(&key) {
            return value.clone();
        }
        drop(values);
        let value = work_out(&key);
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        values.insert(key, value.clone());
        value
    }
}

/// 128 bits by which a state is known again. Of a billion states, two have the same with a chance of one in 10²⁰.
pub(crate) type Mark = u128;

/// The mark of a value.
pub(crate) fn mark(value: &impl Hash) -> Mark {
    let mut fold = BuildHasherDefault::<Fold>::default().build_hasher();
    value.hash(&mut fold);
    fold.mark()
}

/// Hashes words, and fast: names are hashes already.
#[derive(Default)]
pub(crate) struct Fold(u128);

impl Fold {
    fn mark(&self) -> Mark {
        let folded = self.0 ^ (self.0 >> 67);
        let folded = folded.wrapping_mul(0xd6e8_feb8_6659_fd93_5851_f42d_4c95_7f2d);
        folded ^ (folded >> 64)
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let added = (self.0 ^ (self.0 >> 61)).wrapping_add(u128::from(word) + 1);
        self.0 = added.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        u64::try_from(self.mark() >> 64).expect("half of it")
    }
}
