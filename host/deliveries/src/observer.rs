//! What others want to hear about deliveries, so that nothing is lost silently.

use cloudware_types::{DeliveryId, HookId, InstanceId};

/// Something that happened to the deliveries of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryEvent {
    /// The instance.
    pub instance: InstanceId,
    /// The hook.
    pub hook: HookPlace,
    /// What happened.
    pub happened: Happened,
}

/// A hook, which may have been removed meanwhile, and where it is or was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HookPlace {
    /// The hook.
    pub id: HookId,
    /// The app whose calls it is told.
    pub app: String,
    /// The app's extension point.
    pub point: String,
    /// What people call the hook.
    pub name: String,
}

/// See [`DeliveryEvent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A delivery failed for good and is a dead letter now.
    Dead {
        /// The delivery.
        delivery: DeliveryId,
        /// Why its last attempt failed.
        reason: String,
    },
    /// Deliveries were given up that were not made.
    Dropped {
        /// How many.
        count: u64,
        /// One of them, where it is known which they were.
        delivery: Option<DeliveryId>,
        /// Why.
        reason: String,
    },
    /// The hook said that it is gone for good. It is still called: whether to disable it is for people to
    /// decide.
    Gone {
        /// The delivery to which it said so.
        delivery: DeliveryId,
        /// What it said.
        reason: String,
    },
}

/// Hears what happens. Called when it is on disk, in any order; must not wait.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn happened(&self, event: DeliveryEvent);
}
