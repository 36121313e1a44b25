//! The three steps of a capability's life, as traits.

use std::{any::Any, sync::Arc};

use cloudware_types::{DesiredInstall, DesiredInstance};
use wasmtime::component::Linker;

use crate::{Invocation, Tape};

/// The linker that capabilities add their host functions to.
pub type CapabilityLinker = Linker<Invocation>;

/// One shared service behind WIT. Implementations are created by the binary with their backend.
pub trait Capability: Send + Sync + 'static {
    /// The name that manifests ask for and installs are granted, for example `kv`.
    fn name(&self) -> &'static str;

    /// The WIT interfaces it provides, as imports name them: `cloudware:kv/store@0.1.0`.
    ///
    /// Released versions match by semver, drafts exactly.
    fn interfaces(&self) -> &'static [&'static str];

    /// Whether an app must ask for it in its manifest, and the tenant consent.
    fn consent(&self) -> Consent {
        Consent::Asked
    }

    /// Adds every host function. Called once per engine, at start.
    ///
    /// # Errors
    /// Where two capabilities define the same name.
    fn link(&self, linker: &mut CapabilityLinker) -> wasmtime::Result<()>;

    /// Prepares the capability for one install. Called when an install is enabled or changed, off
    /// the request path; everything that can be wrong with configuration is found here.
    ///
    /// # Errors
    /// [`BindError`] in words for the admin who enabled the install.
    fn bind(
        &self,
        instance: &DesiredInstance,
        install: &DesiredInstall,
    ) -> Result<Arc<dyn Binding>, BindError>;
}

/// Whether a capability is granted only where it was asked for and consented to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    /// It reaches data or services: the manifest asks with a reason, and the tenant consents.
    Asked,
    /// It reaches only what is the app's own, such as its configuration and its log.
    Always,
}

/// The binding of a capability that keeps nothing: what it needs belongs to the invocation already.
#[derive(Clone, Copy, Debug)]
pub struct Stateless;

impl Binding for Stateless {
    fn open(&self) -> Box<dyn Any + Send> {
        Box::new(())
    }
}

/// A capability bound to one install; shared by all of its invocations.
pub trait Binding: Send + Sync + 'static {
    /// The state of one invocation, which host functions get by [`Invocation::state`]. Called at
    /// the first host call only; must not block and cannot fail.
    fn open(&self) -> Box<dyn Any + Send>;

    /// As [`Self::open`], for an invocation that is recorded or repeated: what it asks goes through the tape. A
    /// capability whose answers are the same each time needs nothing else than [`Self::open`].
    fn open_taped(&self, _tape: &Arc<Tape>) -> Box<dyn Any + Send> {
        self.open()
    }
}

/// Why an install could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("capability `{capability}` can't be bound: {reason}")]
pub struct BindError {
    /// The capability.
    pub capability: String,
    /// What is wrong and what to do.
    pub reason: String,
}
