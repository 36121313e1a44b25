//! Turns: who may change an instance or an install at the moment.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// One lock for each key, which exists while somebody holds it or waits for it. Those who wait get
/// their turn in the order in which they came.
#[derive(Debug)]
pub(crate) struct Turns<K: Eq + Hash>(Mutex<HashMap<K, Weak<AsyncMutex<()>>>>);

/// The turn of one key; the next one begins when it is dropped.
pub(crate) struct Turn<'a, K: Eq + Hash> {
    turns: &'a Turns<K>,
    key: K,
    held: Option<OwnedMutexGuard<()>>,
}

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> Turns<K> {
    /// Waits for its turn.
    pub(crate) async fn take(&self, key: K) -> Turn<'_, K> {
        let lock = self.lock_of(key);
        let mut turn = Turn {
            turns: self,
            key,
            held: None,
        };
        turn.held = Some(lock.lock_owned().await);
        turn
    }

    fn lock_of(&self, key: K) -> Arc<AsyncMutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = locks.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lock = Arc::default();
            locks.insert(key, Arc::downgrade(&lock));
            lock
        })
    }
}

impl<K: Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let turns = &self.turns.0;
        let mut locks = turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds the lock's memory, and then it must stay to be found.
        self.held = None;
        if locks
            .get(&self.key)
            .is_some_and(|lock| lock.strong_count() == 0)
        {
            locks.remove(&self.key);
        }
    }
}

/// Marks that keep a second change out instead of letting it wait.
#[derive(Debug)]
pub(crate) struct Marks<K: Eq + Hash>(Mutex<HashSet<K>>);

/// A mark; it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Mark<'a, K: Eq + Hash + Copy> {
    marks: &'a Marks<K>,
    key: K,
}

impl<K: Eq + Hash> Default for Marks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> Marks<K> {
    /// Sets a mark; `None` if it is set already.
    pub(crate) fn set(&self, key: K) -> Option<Mark<'_, K>> {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.insert(key).then(|| Mark { marks: self, key })
    }
}

impl<K: Eq + Hash + Copy> Drop for Mark<'_, K> {
    fn drop(&mut self) {
        let mut marks = self.marks.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task};

    use super::*;

    fn is_ready(future: std::pin::Pin<&mut impl Future>) -> bool {
        let mut context = task::Context::from_waker(task::Waker::noop());
        future.poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn a_turn_waits_for_the_one_before_and_for_no_other_key() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        let mut second = pin!(turns.take(1));
        assert!(!is_ready(second.as_mut()));
        drop(turns.take(2).await);
        drop(first);
        drop(second.await);
        assert!(turns.0.lock().unwrap().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn who_comes_while_somebody_waits_waits_too() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        let mut second = pin!(turns.take(1));
        assert!(!is_ready(second.as_mut()));
        drop(first);
        let mut third = pin!(turns.take(1));
        assert!(!is_ready(third.as_mut()), "the second comes before");
        drop(second.await);
        drop(third.await);
    }

    #[test]
    fn a_mark_is_set_once() {
        let marks = Marks::default();
        let mark = marks.set(1);
        assert!(mark.is_some() && marks.set(1).is_none() && marks.set(2).is_some());
        drop(mark);
        assert!(marks.set(1).is_some());
    }
}
