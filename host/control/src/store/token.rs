//! Rows of access tokens. The secret itself is nowhere; only its hash is kept.

use cloudware_types::{ProviderId, TenantId, TokenId};
use sqlx::Row as _;

use super::{
    Connection, Result, Row, all, damaged, id_before, parsed, parsed_option, time, time_option,
};
use crate::{Timestamp, Token, TokenOwner};

pub(crate) async fn insert(db: &mut Connection, token: &Token, secret_hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO tokens (id, secret_hash, kind, provider_id, tenant_id, name, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(token.id.to_string())
    .bind(secret_hash)
    .bind(token.owner.kind())
    .bind(token.owner.provider().map(|id| id.to_string()))
    .bind(token.owner.tenant().map(|id| id.to_string()))
    .bind(&token.name)
    .bind(token.created_at.millis())
    .execute(db)
    .await?;
    Ok(())
}

/// The token with this hash, and the hash as stored.
pub(crate) async fn find_by_hash(
    db: &mut Connection,
    secret_hash: &str,
) -> Result<Option<(Token, String)>> {
    let row = sqlx::query(
        "SELECT k.*, COALESCE(v.slug, t.slug) AS owner
         FROM tokens k LEFT JOIN providers v ON v.id = k.provider_id
         LEFT JOIN tenants t ON t.id = k.tenant_id
         WHERE k.secret_hash = $1",
    )
    .bind(secret_hash)
    .fetch_optional(db)
    .await?;
    row.as_ref()
        .map(|row| Ok((token(row)?, row.try_get("secret_hash")?)))
        .transpose()
}

/// By id.
pub(crate) async fn find(db: &mut Connection, id: &str) -> Result<Option<Token>> {
    let row = sqlx::query(
        "SELECT k.*, COALESCE(v.slug, t.slug) AS owner
         FROM tokens k LEFT JOIN providers v ON v.id = k.provider_id
         LEFT JOIN tenants t ON t.id = k.tenant_id
         WHERE k.id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(token).transpose()
}

/// Newest first; only one owner's where `only` says so.
pub(crate) async fn list(
    db: &mut Connection,
    before: Option<TokenId>,
    rows_max: i64,
    only: Option<TokenOwner>,
) -> Result<Vec<Token>> {
    let rows = sqlx::query(
        "SELECT k.*, COALESCE(v.slug, t.slug) AS owner
         FROM tokens k LEFT JOIN providers v ON v.id = k.provider_id
         LEFT JOIN tenants t ON t.id = k.tenant_id
         WHERE k.id < $1
           AND (CAST($2 AS TEXT) IS NULL OR k.provider_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR k.tenant_id = $3)
         ORDER BY k.id DESC LIMIT $4",
    )
    .bind(id_before(before))
    .bind(only.and_then(TokenOwner::provider).map(|id| id.to_string()))
    .bind(only.and_then(TokenOwner::tenant).map(|id| id.to_string()))
    .bind(rows_max)
    .fetch_all(db)
    .await?;
    all(&rows, token)
}

/// How many tokens of an owner are not revoked.
pub(crate) async fn count_live(db: &mut Connection, owner: TokenOwner) -> Result<i64> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n FROM tokens
         WHERE revoked_at IS NULL AND kind = $1
           AND (CAST($2 AS TEXT) IS NULL OR provider_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR tenant_id = $3)",
    )
    .bind(owner.kind())
    .bind(owner.provider().map(|id| id.to_string()))
    .bind(owner.tenant().map(|id| id.to_string()))
    .fetch_one(db)
    .await?;
    Ok(row.try_get("n")?)
}

/// Notes the revocation.
pub(crate) async fn revoke(db: &mut Connection, id: TokenId, at: Timestamp) -> Result<()> {
    sqlx::query("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.to_string())
        .bind(at.millis())
        .execute(db)
        .await?;
    Ok(())
}

/// Notes a use.
pub(crate) async fn used(db: &mut Connection, id: TokenId, at: Timestamp) -> Result<()> {
    sqlx::query("UPDATE tokens SET last_used_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.millis())
        .execute(db)
        .await?;
    Ok(())
}

fn token(row: &Row) -> Result<Token> {
    let provider: Option<ProviderId> = parsed_option(row, "provider_id")?;
    let tenant: Option<TenantId> = parsed_option(row, "tenant_id")?;
    let kind: &str = row.try_get("kind")?;
    let owner = match (kind, provider, tenant) {
        ("operator", None, None) => TokenOwner::Operator,
        ("provider", Some(id), None) => TokenOwner::Provider(id),
        ("tenant", None, Some(id)) => TokenOwner::Tenant(id),
        _ => return Err(damaged("kind", kind, &"the owner does not fit the kind")),
    };
    Ok(Token {
        id: parsed(row, "id")?,
        owner,
        owner_name: parsed_option(row, "owner")?,
        name: row.try_get("name")?,
        created_at: time(row, "created_at")?,
        last_used_at: time_option(row, "last_used_at")?,
        revoked_at: time_option(row, "revoked_at")?,
    })
}
