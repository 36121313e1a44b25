//! `wasi:keyvalue` 0.2.0-draft2: cursors are texts, increments are signed, and values can be swapped on
//! the condition that nobody else has changed them.

use cloudware_capability::{CapabilityLinker, Invocation};
use wasmtime::component::{HasData, Resource};

use crate::{
    CALL_KEYS_MAX, Entry, KvError, Start,
    operation::{self, Bucket, Failure},
    wasi_draft::bucket_name,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../wit/deps/keyvalue-draft2",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::operation::Bucket,
            "wasi:keyvalue/atomics.cas": super::Comparison,
        },
        trappable_error_type: {
            "wasi:keyvalue/store.error" => crate::operation::Failure,
            "wasi:keyvalue/atomics.cas-error" => super::SwapFailure,
        },
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};

pub(crate) fn link(linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
    store::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)?;
    atomics::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)?;
    batch::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)
}

struct InvocationData;

impl HasData for InvocationData {
    type Data<'a> = &'a mut Invocation;
}

/// A value that was read in order to be swapped, and the version that it had.
pub struct Comparison {
    bucket: Resource<Bucket>,
    key: String,
    found: Option<Entry>,
}

impl Comparison {
    /// Bytes that the host holds for it.
    fn bytes(&self) -> u64 {
        let value = self.found.as_ref().map_or(0, |entry| entry.value.len());
        (self.key.len() + value) as u64
    }
}

/// How a swap ends early.
#[derive(Debug)]
pub enum SwapFailure {
    /// Somebody else was faster; the new value was read.
    Stale(Resource<Comparison>),
    /// Anything else.
    Other(Failure),
}

impl<E: Into<Failure>> From<E> for SwapFailure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl store::Host for Invocation {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Failure> {
        operation::open(self, "keyvalue.open", bucket_name(&identifier))
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<store::Error> {
        match failure {
            // The call is not left: the stop says that the guest was in it.
            Failure::Trap(error) => Err(error),
            Failure::Refused(refusal) => {
                self.leave();
                Ok(store::Error::Other(refusal.to_string()))
            }
        }
    }
}

impl store::HostBucket for Invocation {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let entry = operation::get(self, "keyvalue.get", &bucket, key).await?;
        Ok(entry.map(|entry| entry.value))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Failure> {
        operation::set(self, "keyvalue.set", &bucket, key, value).await?;
        Ok(())
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<(), Failure> {
        operation::delete(self, "keyvalue.delete", &bucket, key).await?;
        Ok(())
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Failure> {
        operation::exists(self, "keyvalue.exists", &bucket, key).await
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Result<store::KeyResponse, Failure> {
        let start = cursor.map_or(Start::First, Start::After);
        let part = (start, CALL_KEYS_MAX);
        let page =
            operation::list(self, "keyvalue.list-keys", &bucket, String::new(), part).await?;
        Ok(store::KeyResponse {
            cursor: page.keys.last().filter(|_| page.more).cloned(),
            keys: page.keys,
        })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        operation::close(self, bucket)
    }
}

impl atomics::Host for Invocation {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Result<i64, Failure> {
        operation::increment(self, "keyvalue.increment", &bucket, key, delta).await
    }

    async fn swap(
        &mut self,
        comparison: Resource<Comparison>,
        value: Vec<u8>,
    ) -> Result<(), SwapFailure> {
        let comparison = self.table.delete(comparison)?;
        self.memory.release(comparison.bytes());
        let Comparison { bucket, key, found } = comparison;
        let expected = found.map(|entry| entry.version);
        let exchange = (key.clone(), expected, value);
        let swapped = operation::compare_and_set(self, "keyvalue.swap", &bucket, exchange).await;
        if let Err(Failure::Refused(KvError::Conflict(_))) = swapped {
            let fresh = compare(self, "keyvalue.swap", bucket, key).await?;
            return Err(SwapFailure::Stale(fresh));
        }
        operation::close(self, bucket).map_err(Failure::Trap)?;
        swapped?;
        Ok(())
    }

    fn convert_cas_error(&mut self, failure: SwapFailure) -> wasmtime::Result<atomics::CasError> {
        match failure {
            SwapFailure::Stale(fresh) => Ok(atomics::CasError::CasFailed(fresh)),
            SwapFailure::Other(failure) => Ok(atomics::CasError::StoreError(
                store::Host::convert_error(self, failure)?,
            )),
        }
    }
}

impl atomics::HostCas for Invocation {
    async fn new(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Resource<Comparison>, Failure> {
        // The comparison may outlive the guest's own handle of the bucket.
        let own = operation::duplicate(self, &bucket)?;
        compare(self, "keyvalue.cas-new", own, key).await
    }

    async fn current(
        &mut self,
        comparison: Resource<Comparison>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        self.enter("keyvalue.cas-current")?;
        let found = &self.table.get(&comparison)?.found;
        let value = found.as_ref().map(|entry| entry.value.clone());
        self.leave();
        Ok(value)
    }

    async fn drop(&mut self, comparison: Resource<Comparison>) -> wasmtime::Result<()> {
        let comparison = self.table.delete(comparison)?;
        self.memory.release(comparison.bytes());
        operation::close(self, comparison.bucket)
    }
}

/// Reads a value for a later swap.
async fn compare(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: Resource<Bucket>,
    key: String,
) -> Result<Resource<Comparison>, Failure> {
    let found = operation::get(invocation, call, &bucket, key.clone()).await?;
    let comparison = Comparison { bucket, key, found };
    let held = invocation.memory.hold(comparison.bytes());
    held.map_err(Failure::Trap)?;
    Ok(invocation.table.push(comparison)?)
}

impl batch::Host for Invocation {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Failure> {
        let names = keys.clone();
        let entries = operation::get_many(self, "keyvalue.get-many", &bucket, keys).await?;
        let pairs = names.into_iter().zip(entries);
        Ok(pairs
            .map(|(key, entry)| (key, entry.map(|entry| entry.value)))
            .collect())
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Failure> {
        let changes = key_values
            .into_iter()
            .map(|(key, value)| (key, Some(value)));
        operation::change(self, "keyvalue.set-many", &bucket, changes.collect()).await?;
        Ok(())
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<(), Failure> {
        let changes = keys.into_iter().map(|key| (key, None)).collect();
        operation::change(self, "keyvalue.delete-many", &bucket, changes).await?;
        Ok(())
    }
}
