//! The home of values on a device: the one thread that makes, uses and frees them.
//!
//! A driver frees memory by the context that is bound to the calling thread. A tensor that is
//! dropped elsewhere is not freed, and the error surfaces in a call that has nothing to do with it.
//! So values stay in a table of their thread, and what leaves it is a key: asking for the value on
//! another thread is an error, and dropping the key there posts it home.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, bail};

/// A value of any type, as the table keeps it.
type Value = Arc<dyn Any + Send + Sync>;

thread_local! {
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
    /// Says whether there is a table; without a destructor, so that an allocator may ask.
    static IS_HOME: Cell<bool> = const { Cell::new(false) };
}

/// Counts the times that a value was asked for away from its home.
static STRAYS: AtomicU64 = AtomicU64::new(0);

/// The values of one thread.
struct Table {
    of: Arc<Owner>,
    values: HashMap<u64, Value>,
}

/// The thread that owns values, as other threads know it.
struct Owner {
    /// Keys of values that nobody holds any more.
    posted: Mutex<Vec<u64>>,
    next_key: AtomicU64,
    /// Counts how often all values were dropped at once.
    cleared: AtomicU64,
    /// Tells the thread, which may be asleep, that a key was posted.
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The home of values on a device. Clones are the same home.
#[derive(Clone)]
pub struct Home(Option<Arc<Owner>>);

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.0.is_some() { "thread" } else { "host" };
        f.debug_tuple("Home").field(&name).finish()
    }
}

impl PartialEq for Home {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Home {
    /// Returns the memory of the process, whose values every thread may use and drop. Not for the
    /// values of another device.
    pub fn host() -> Self {
        Self(None)
    }

    /// Returns the home that the calling thread is, and makes it one where it was none.
    pub fn here() -> Self {
        Self::with_wake(|| {})
    }

    /// Returns the same; a new home has `wake` called whenever a value waits to be freed by
    /// [`collect`](Self::collect).
    pub fn with_wake(wake: impl Fn() + Send + Sync + 'static) -> Self {
        IS_HOME.set(true);
        TABLE.with_borrow_mut(|table| {
            let table = table.get_or_insert_with(|| Table {
                of: Arc::new(Owner {
                    posted: Mutex::default(),
                    next_key: AtomicU64::new(0),
                    cleared: AtomicU64::new(0),
                    wake: Box::new(wake),
                }),
                values: HashMap::new(),
            });
            Self(Some(table.of.clone()))
        })
    }

    /// Keeps a value that was made on this thread.
    ///
    /// # Errors
    ///
    /// Fails on another thread, which drops the value.
    pub fn keep<T: Send + Sync + 'static>(&self, value: T) -> Result<OnDevice<T>> {
        let value = Arc::new(value);
        let Some(owner) = &self.0 else {
            return Ok(OnDevice(Place::Host(value)));
        };
        // Never used again: the key of a value that is gone must not find another one.
        let key = owner.next_key.fetch_add(1, Ordering::Relaxed);
        if !owner.insert(key, value) {
            STRAYS.fetch_add(1, Ordering::Relaxed);
            bail!("a value on a device was made away from the thread that owns the device");
        }
        let slot = Slot {
            owner: owner.clone(),
            cleared: owner.cleared.load(Ordering::Acquire),
            key,
        };
        Ok(OnDevice(Place::Home(Arc::new(slot), PhantomData)))
    }

    /// Frees the values whose last holder has gone; does nothing on other threads.
    pub fn collect(&self) {
        if let Some(owner) = &self.0 {
            owner.collect();
        }
    }

    /// Drops all values, whoever holds their keys: they are [live](OnDevice::is_live) no more.
    /// Does nothing on other threads.
    pub fn clear(&self) {
        let Some(owner) = &self.0 else { return };
        if let Some(values) = owner.with_values(std::mem::take) {
            // Before the drop: what asks meanwhile must find its value gone, not half freed.
            owner.cleared.fetch_add(1, Ordering::AcqRel);
            drop(values);
            // What they name went with the rest.
            owner.posted().clear();
        }
    }
}

/// Returns whether what the calling thread allocates now belongs to its device: it is the home of
/// values, and not at [`for_host`].
pub fn is_home() -> bool {
    IS_HOME.get()
}

/// Does `work`, which makes what leaves the thread: its results are in the memory of the process,
/// and may be dropped anywhere.
pub fn for_host<T>(work: impl FnOnce() -> T) -> T {
    /// Restores the mark, also where `work` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_HOME.set(self.0);
        }
    }
    let _restore = Restore(IS_HOME.replace(false));
    work()
}

/// Returns how often a value was asked for, or kept, away from its home: always an error in the
/// code that did.
pub fn strays() -> u64 {
    STRAYS.load(Ordering::Relaxed)
}

impl Owner {
    fn posted(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `work` with the values, if the calling thread is their home. Nothing may be dropped in
    /// it: values may hold keys themselves.
    fn with_values<T>(&self, work: impl FnOnce(&mut HashMap<u64, Value>) -> T) -> Option<T> {
        // A thread that ends has no table any more.
        let found = TABLE.try_with(|table| self.with_values_of(table, work));
        found.ok().flatten()
    }

    fn with_values_of<T>(
        &self,
        table: &RefCell<Option<Table>>,
        work: impl FnOnce(&mut HashMap<u64, Value>) -> T,
    ) -> Option<T> {
        // Borrowed already where a value that is dropped asks for another: it is told no, not a
        // panic.
        let mut table = table.try_borrow_mut().ok()?;
        let table = table.as_mut()?;
        std::ptr::eq(&raw const *table.of, self).then(|| work(&mut table.values))
    }

    fn insert(&self, key: u64, value: Value) -> bool {
        self.with_values(|values| values.insert(key, value).is_none())
            .unwrap_or(false)
    }

    fn collect(&self) {
        // Again as long as there are any: a value may have held keys.
        loop {
            // Taken out, so that keys can be posted while values are freed, which may hold some.
            let keys = std::mem::take(&mut *self.posted());
            match self.with_values(|values| removed(values, &keys)) {
                Some(freed) if !keys.is_empty() => drop(freed),
                Some(_) => return,
                None => {
                    // On another thread: they stay posted until their home collects them.
                    self.posted().extend(keys);
                    return;
                }
            }
        }
    }
}

/// Holds the key of a value; posts it home when it is dropped.
struct Slot {
    owner: Arc<Owner>,
    cleared: u64,
    key: u64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.owner.posted().push(self.key);
        // Else an idle thread would keep the memory until its next request.
        (self.owner.wake)();
    }
}

/// A value that lives on the thread of its device. It may be sent, shared and dropped anywhere;
/// clones stand for the same value, which is freed at home once the last of them has gone.
pub struct OnDevice<T>(Place<T>);

enum Place<T> {
    /// Holds it in the memory of the process.
    Host(Arc<T>),
    /// Holds the key of a value at home.
    // `fn() -> T`: a key may be sent whatever T is.
    Home(Arc<Slot>, PhantomData<fn() -> T>),
}

impl<T> Clone for OnDevice<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Place::Host(value) => Place::Host(value.clone()),
            Place::Home(slot, kind) => Place::Home(slot.clone(), *kind),
        })
    }
}

impl<T> fmt::Debug for OnDevice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDevice").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> OnDevice<T> {
    /// Returns the value on the thread that owns it.
    ///
    /// # Errors
    ///
    /// Fails on other threads, and where the home was [cleared](Home::clear).
    pub fn get(&self) -> Result<Held<T>> {
        let value = match &self.0 {
            Place::Host(value) => value.clone(),
            Place::Home(slot, _) => slot.value()?,
        };
        Ok(Held {
            value,
            _here: PhantomData,
        })
    }

    /// Returns whether the calling thread is its home and still has it: [`get`](Self::get) finds
    /// it.
    pub fn is_here(&self) -> bool {
        match &self.0 {
            Place::Host(_) => true,
            Place::Home(slot, _) => {
                let found = slot
                    .owner
                    .with_values(|values| values.contains_key(&slot.key));
                found == Some(true)
            }
        }
    }

    /// Returns whether its home still has it.
    pub fn is_live(&self) -> bool {
        match &self.0 {
            Place::Host(_) => true,
            Place::Home(slot, _) => slot.cleared == slot.owner.cleared.load(Ordering::Acquire),
        }
    }
}

impl Slot {
    fn value<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        let Some(found) = self
            .owner
            .with_values(|values| values.get(&self.key).cloned())
        else {
            STRAYS.fetch_add(1, Ordering::Relaxed);
            bail!("a value on a device was asked for away from the thread that owns the device");
        };
        match found.map(Arc::downcast) {
            Some(Ok(value)) => Ok(value),
            // At home, and not in the table: `clear` has taken it.
            _ => bail!("the device was restarted, and what it held is gone"),
        }
    }
}

/// A value at home. It cannot leave the thread, which is checked by the compiler.
pub struct Held<T> {
    value: Arc<T>,
    // `Rc` is neither `Send` nor `Sync`, and so is what holds it.
    _here: PhantomData<Rc<()>>,
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

fn removed(values: &mut HashMap<u64, Value>, keys: &[u64]) -> Vec<Value> {
    keys.iter().filter_map(|key| values.remove(key)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    /// Says on which thread it was dropped.
    struct Mark(mpsc::Sender<ThreadId>);

    impl Drop for Mark {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[test]
    fn a_value_dropped_elsewhere_is_freed_at_home() {
        let (sender, dropped) = mpsc::channel();
        let (woken, wakes) = mpsc::channel();
        let home = Home::with_wake(move || woken.send(()).unwrap());
        let kept = home.keep(Mark(sender)).unwrap();
        let other = kept.clone();
        thread::spawn(move || drop((kept, other))).join().unwrap();
        wakes.recv().unwrap();
        assert!(dropped.try_recv().is_err(), "freed before its home did it");
        home.collect();
        assert_eq!(dropped.try_recv(), Ok(thread::current().id()));
    }

    #[test]
    fn a_value_is_found_at_home_alone() {
        let home = Home::here();
        let kept = home.keep(5u32).unwrap();
        assert_eq!(*kept.get().unwrap(), 5);
        let elsewhere = kept.clone();
        let away = move || {
            elsewhere
                .get()
                .map(|value| *value)
                .map_err(|e| e.to_string())
        };
        let refused = thread::spawn(away).join().unwrap().unwrap_err();
        assert!(refused.contains("away from the thread"), "{refused}");
        let keeper = home.clone();
        let kept_there = thread::spawn(move || keeper.keep(5u32).is_ok()).join();
        assert!(!kept_there.unwrap(), "a value was kept away from its home");
        assert!(strays() >= 2);
    }

    #[test]
    fn a_value_ends_with_its_thread_and_with_a_clearing() {
        let (sender, dropped) = mpsc::channel();
        let make = move || {
            let home = Home::here();
            let kept = [(); 2].map(|()| home.keep(Mark(sender.clone())).unwrap());
            (thread::current().id(), kept)
        };
        let (id, kept) = thread::spawn(make).join().unwrap();
        assert_eq!([(); 2].map(|()| dropped.recv().unwrap()), [id, id]);
        assert!(kept[0].get().is_err());

        let home = Home::here();
        let gone = home.keep(1u8).unwrap();
        home.clear();
        assert!(!gone.is_live());
        let error = gone.get().unwrap_err().to_string();
        assert!(error.contains("restarted"), "{error}");
        assert!(home.keep(1u8).unwrap().is_live());
    }

    #[test]
    fn a_value_may_hold_keys_of_others() {
        let (sender, dropped) = mpsc::channel();
        let home = Home::here();
        let inner = home.keep(Mark(sender)).unwrap();
        let outer = home.keep(inner).unwrap();
        drop(outer);
        home.collect();
        assert_eq!(dropped.try_recv(), Ok(thread::current().id()));
    }
}
