//! Audit: an immutable record of each privileged action, written in the same transaction as the
//! change that it describes.

use cloudware_types::{AuditId, ProviderId, TenantId, TokenId};
use serde_json::Value;

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    event::EventNew,
    limits::NAME_BYTES_MAX,
    store::{self, Connection, audit::AuditFilter},
};

/// One action: who did what to what, from what to what, when.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Its id; sorts by time.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// `operator`, `provider`, `tenant` or `platform`.
    pub actor_kind: String,
    /// The token that was shown.
    pub actor_token: Option<TokenId>,
    /// The name of the token.
    pub actor: String,
    /// What was done, as `noun.verb`.
    pub action: String,
    /// Id of what it was done to.
    pub subject_id: String,
    /// Name of what it was done to, as people call it (`acme/main`).
    pub subject: String,
    /// The tenant that may see the entry.
    pub tenant_id: Option<TenantId>,
    /// The provider that may see the entry.
    pub provider_id: Option<ProviderId>,
    /// What was changed, as it was.
    pub before: Option<Value>,
    /// What was changed, as it is now.
    pub after: Option<Value>,
    /// Why, in the words of who did it.
    pub reason: Option<String>,
    /// The request by which it was done.
    pub request_id: String,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only of this tenant, by id or slug.
    pub tenant: Option<String>,
    /// Only on this subject, by id or name.
    pub subject: Option<String>,
    /// Only this action.
    pub action: Option<String>,
}

/// An entry while it is put together.
pub(crate) struct Draft(AuditEntry);

impl Draft {
    pub(crate) fn new(
        call: &Call,
        action: &str,
        subject_id: impl ToString,
        subject: impl ToString,
    ) -> Self {
        Self(AuditEntry {
            id: AuditId::generate(),
            at: Timestamp::now(),
            actor_kind: call.kind().to_owned(),
            actor_token: call.token,
            actor: call.actor.clone(),
            action: action.to_owned(),
            subject_id: subject_id.to_string(),
            subject: subject.to_string(),
            tenant_id: None,
            provider_id: None,
            before: None,
            after: None,
            reason: None,
            request_id: call.request_id.clone(),
        })
    }

    pub(crate) fn tenant(mut self, tenant: TenantId) -> Self {
        self.0.tenant_id = Some(tenant);
        self
    }

    pub(crate) fn provider(mut self, provider: ProviderId) -> Self {
        self.0.provider_id = Some(provider);
        self
    }

    pub(crate) fn before(mut self, before: Value) -> Self {
        self.0.before = Some(before);
        self
    }

    pub(crate) fn after(mut self, after: Value) -> Self {
        self.0.after = Some(after);
        self
    }

    pub(crate) fn reason(mut self, reason: Option<&str>) -> Self {
        self.0.reason = reason.map(ToOwned::to_owned);
        self
    }

    /// Writes the entry, and the event that tells of it, as part of the caller's transaction.
    pub(crate) async fn write(self, db: &mut Connection) -> Result<(), Error> {
        store::audit::insert(db, &self.0).await?;
        store::event::insert(db, &EventNew::of(self.0)).await?;
        Ok(())
    }
}

/// Entries that the caller may see, newest first: operators see all, providers and tenants those
/// about what is theirs.
///
/// # Errors
/// [`Error::Unauthenticated`]; [`Error::NotFound`] for a tenant that the caller may not know of;
/// [`Error::Invalid`] for overlong filters and a cursor of another list.
pub async fn list(
    control: &Control,
    call: &Call,
    query: AuditQuery,
    page: &PageRequest,
) -> Result<Page<AuditEntry>, Error> {
    call.authenticated()?;
    for (field, text) in [("subject", &query.subject), ("action", &query.action)] {
        if text
            .as_ref()
            .is_some_and(|text| text.len() > 3 * NAME_BYTES_MAX)
        {
            return Err(Error::invalid(field, "is too long to be a name or an id"));
        }
    }
    let mut db = control.store.read().await?;
    let mut filter = AuditFilter {
        subject: query.subject,
        action: query.action,
        ..AuditFilter::default()
    };
    match call.caller {
        Caller::Tenant(id) => filter.tenant = Some(id),
        Caller::Provider(id) => filter.provider = Some(id),
        Caller::Operator | Caller::Nobody => {}
    }
    if let Some(name) = &query.tenant {
        filter.tenant = Some(crate::tenant::find(&mut db, call, name).await?.id);
    }
    let rows = store::audit::list(&mut db, page.cursor()?, page.rows(), &filter).await?;
    Ok(page.page(rows, |entry| entry.id.to_string()))
}
