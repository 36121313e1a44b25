//! Callers: who asks, with what right. Every service function takes a [`Call`] and decides; what a
//! caller may not see is answered as not found.

use cloudware_types::{ProviderId, TenantId, TokenId};

use crate::{Error, Tenant};

/// On whose behalf a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// No token came with the call.
    Nobody,
    /// Staff of the platform.
    Operator,
    /// A provider, over its own apps and releases.
    Provider(ProviderId),
    /// A tenant, over its own instances and installs.
    Tenant(TenantId),
}

/// One call of a service function.
#[derive(Clone, Debug)]
pub struct Call {
    /// On whose behalf.
    pub caller: Caller,
    /// The token that was shown; `None` for nobody and for the platform itself.
    pub token: Option<TokenId>,
    /// The name by which the audit trail knows who acted.
    pub actor: String,
    /// Identifies the call in logs, answers and the audit trail.
    pub request_id: String,
    /// Change only if the resource is still at this revision.
    pub if_match: Option<u64>,
}

impl Call {
    /// A call without a token.
    #[must_use]
    pub fn nobody(request_id: impl Into<String>) -> Self {
        Self {
            caller: Caller::Nobody,
            token: None,
            actor: "nobody".to_owned(),
            request_id: request_id.into(),
            if_match: None,
        }
    }

    /// A call that the platform makes by itself, for example while it starts, with an operator's
    /// right.
    #[must_use]
    pub fn host() -> Self {
        Self {
            caller: Caller::Operator,
            token: None,
            actor: "platform".to_owned(),
            request_id: "none".to_owned(),
            if_match: None,
        }
    }

    /// Refuses nobody.
    pub(crate) fn authenticated(&self) -> Result<(), Error> {
        match self.caller {
            Caller::Nobody => Err(Error::Unauthenticated),
            _ => Ok(()),
        }
    }

    /// Refuses everybody but operators; `what` ends the sentence "only an operator may …".
    pub(crate) fn operator(&self, what: &str) -> Result<(), Error> {
        self.authenticated()?;
        match self.caller {
            Caller::Operator => Ok(()),
            _ => Err(Error::Forbidden(format!("only an operator may {what}"))),
        }
    }

    /// Whether the caller may know of a tenant.
    pub(crate) fn sees_tenant(&self, tenant: TenantId) -> bool {
        match self.caller {
            Caller::Operator => true,
            Caller::Tenant(own) => own == tenant,
            Caller::Nobody | Caller::Provider(_) => false,
        }
    }

    /// Whether the caller may know of a provider's apps: the catalog is open to tenants.
    pub(crate) fn sees_apps_of(&self, provider: ProviderId) -> bool {
        match self.caller {
            Caller::Operator | Caller::Tenant(_) => true,
            Caller::Provider(own) => own == provider,
            Caller::Nobody => false,
        }
    }

    /// Refuses changes that a tenant makes to what is suspended by an operator.
    pub(crate) fn may_change(&self, tenant: &Tenant) -> Result<(), Error> {
        match (self.caller, &tenant.suspended) {
            (Caller::Tenant(_), Some(reason)) => Err(Error::Forbidden(format!(
                "tenant {} is suspended ({reason}); ask the operator of the platform",
                tenant.slug
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a change that was decided on an older state of the resource.
    pub(crate) fn revision_matches(&self, current: u64) -> Result<(), Error> {
        match self.if_match {
            Some(expected) if expected != current => {
                Err(Error::RevisionChanged { expected, current })
            }
            _ => Ok(()),
        }
    }

    /// The word for the kind of caller in the audit trail.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.caller, self.token) {
            (Caller::Operator, None) => "platform",
            (Caller::Operator, Some(_)) => "operator",
            (Caller::Provider(_), _) => "provider",
            (Caller::Tenant(_), _) => "tenant",
            (Caller::Nobody, _) => "nobody",
        }
    }
}
