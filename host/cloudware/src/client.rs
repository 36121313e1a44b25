//! The platform's REST API as a client: addresses, tokens, bounded answers, and errors that say what
//! the platform said.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cloudware_packages::MEDIA_TYPE;
use cloudware_types::Digest;
use reqwest::{
    Body, Method, RequestBuilder, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderName},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Output;

/// Where the API begins, under the platform's address.
const API: &str = "/api/v1";

/// Digest of a body (RFC 9530).
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Bytes of an answer that are read. The longest is ten thousand rows of usage.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long an answer may take. A large release is compiled before it is answered.
const ANSWER_MAX: Duration = Duration::from_secs(600);

/// Items asked for at once where all are wanted.
const PAGE_ITEMS: &str = "500";

/// A client of one platform with one token.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    output: Output,
}

/// Whether something was there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// It was.
    Existed,
    /// It was created.
    Created,
}

impl Found {
    /// True if it was there before.
    pub(crate) fn existed(self) -> bool {
        self == Self::Existed
    }
}

/// What the platform said when it did not do what was asked (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refused {
    /// The HTTP status.
    pub(crate) status: u16,
    title: String,
    detail: String,
    request_id: String,
    problems: Vec<PackageProblem>,
    /// All of it, as it came.
    #[serde(skip)]
    document: Value,
}

/// One thing that is wrong with a package.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PackageProblem {
    code: String,
    at: String,
    message: String,
    fix: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.title.as_str(), self.detail.as_str()) {
            ("", "") => write!(f, "the platform answered with status {}", self.status)?,
            (only, "") | ("", only) => f.write_str(only)?,
            // The detail says that they are there.
            (title, _) if !self.problems.is_empty() => f.write_str(title)?,
            (title, detail) => write!(f, "{title}: {detail}")?,
        }
        for problem in &self.problems {
            let PackageProblem {
                code,
                at,
                message,
                fix,
            } = problem;
            write!(f, "\n  {at}\n    {message}\n    {fix} [{code}]")?;
        }
        if !self.request_id.is_empty() {
            write!(
                f,
                "\n  request {} (status {})",
                self.request_id, self.status
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// A client of the platform at this address (`http://127.0.0.1:8080`).
    ///
    /// # Errors
    /// An address that is none or has another scheme than http; a token that can't be sent.
    pub(crate) fn new(base: &str, token: Option<String>) -> Result<Self> {
        let base: Url = base
            .parse()
            .with_context(|| format!("`{base}` is not an address such as http://127.0.0.1:8080"))?;
        match base.scheme() {
            "http" => {}
            "https" => bail!(
                "`{base}` can't be used: this command does not speak https; where a proxy ends TLS in front of the \
                 platform, use the plain address behind it, such as http://127.0.0.1:8080"
            ),
            _ => bail!("`{base}` is not an address such as http://127.0.0.1:8080"),
        }
        check_token(token.as_deref())?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .user_agent(concat!("cloudware/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            base,
            token,
            output: Output::Text,
        })
    }

    /// The same platform with another token.
    ///
    /// # Errors
    /// A token that can't be sent.
    pub(crate) fn with_token(&self, token: Option<String>) -> Result<Self> {
        check_token(token.as_deref())?;
        Ok(Self {
            token,
            ..self.clone()
        })
    }

    /// The same client, for commands that print as told.
    pub(crate) fn with_output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// How commands print.
    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// Reads a resource; the path is the one under `/api/v1`.
    ///
    /// # Errors
    /// [`Refused`] if the platform says so; otherwise why there is no answer.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.get_query(path, &[]).await
    }

    /// Reads a resource with query parameters; those without a value are left out.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn get_query(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
    ) -> Result<Value> {
        let present: Vec<_> = query
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)))
            .collect();
        let request = self.request(Method::GET, path)?.query(&present);
        self.send(request).await
    }

    /// Reads all pages of a list.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn get_all(&self, path: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = None::<String>;
        loop {
            let query = [("limit", Some(PAGE_ITEMS)), ("after", after.as_deref())];
            let mut page = self.get_query(path, &query).await?;
            if let Some(list) = page["items"].as_array_mut() {
                items.append(list);
            }
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// Creates or does something.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        self.send(self.request(Method::POST, path)?.json(body))
            .await
    }

    /// Changes something.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn patch(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        self.send(self.request(Method::PATCH, path)?.json(body))
            .await
    }

    /// Puts something in place of what is there.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        self.send(self.request(Method::PUT, path)?.json(body)).await
    }

    /// Removes something.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.delete_query(path, &[]).await
    }

    /// Removes something, with those parameters that are there.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn delete_query(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
    ) -> Result<Value> {
        let present: Vec<_> = query
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)))
            .collect();
        let request = self.request(Method::DELETE, path)?.query(&present);
        self.send(request).await
    }

    /// Posts to an application's site: the path is relative to the client's address itself.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn post_to(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        let url = self.base.join(path).context("the path cannot be joined")?;
        self.send(self.authorized(self.http.post(url)).json(body))
            .await
    }

    /// What is found under `path/key`, or is created by posting to `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn find_or_create(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<(Value, Found)> {
        match self.get(&format!("{path}/{key}")).await {
            Ok(found) => Ok((found, Found::Existed)),
            Err(error) if is_status(&error, StatusCode::NOT_FOUND) => {
                Ok((self.post(path, body).await?, Found::Created))
            }
            Err(error) => Err(error),
        }
    }

    /// Publishes an archive; an operator names the provider.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn push(&self, archive: Bytes, provider: Option<&str>) -> Result<Value> {
        let digest = Digest::of(&archive);
        self.push_body(digest, archive.into(), provider).await
    }

    /// Publishes an archive of this digest from a body that shows how far it is.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn push_body(
        &self,
        digest: Digest,
        body: Body,
        provider: Option<&str>,
    ) -> Result<Value> {
        let digest = STANDARD.encode(digest.as_bytes());
        let mut request = self.request(Method::POST, "/releases")?;
        if let Some(provider) = provider {
            request = request.query(&[("provider", provider)]);
        }
        let request = request
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .header(CONTENT_DIGEST, format!("sha-256=:{digest}:"))
            .body(body);
        self.send(request).await
    }

    /// A request to the API, with the token.
    ///
    /// # Errors
    /// A path that is none.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let prefix = self.base.path().trim_end_matches('/');
        let url = self
            .base
            .join(&format!("{prefix}{API}{path}"))
            .context("the path cannot be joined")?;
        Ok(self.authorized(self.http.request(method, url)))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await.map_err(|error| {
            let reason = anyhow!(error.without_url());
            reason.context(format!(
                "{} cannot be reached; is the platform running (`cloudware up`)?",
                self.base
            ))
        })?;
        let status = response.status();
        let bytes = read(response).await?;
        if status.is_success() {
            return match bytes.as_slice() {
                [] => Ok(Value::Null),
                bytes => serde_json::from_slice(bytes)
                    .with_context(|| format!("{} did not answer with JSON", self.base)),
            };
        }
        let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let refused: Refused = serde_json::from_value(document.clone()).unwrap_or_default();
        let refused = Refused {
            status: status.as_u16(),
            document,
            ..refused
        };
        Err(refused.into())
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Refuses a token that can't stand in a header. What else a token may look like is the platform's to say.
fn check_token(token: Option<&str>) -> Result<()> {
    let Some(token) = token else {
        return Ok(());
    };
    if token.is_empty() {
        bail!("the token is empty: give one such as `cloudware token create` prints, or none");
    }
    let wrong = token.chars().position(|c| !c.is_ascii_graphic());
    if let Some(position) = wrong {
        // The token itself is a secret, and stays out of messages.
        bail!(
            "the token can't be used: it consists of visible ASCII characters, and character {} is none; copy it again, \
             without blanks and line breaks",
            position + 1
        );
    }
    Ok(())
}

/// Whether an error is the platform's refusal with this status.
pub(crate) fn is_status(error: &anyhow::Error, status: StatusCode) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.status == status.as_u16())
}

/// An error for programs: what people are told, and the platform's problem document where it refused something.
pub(crate) fn error_json(error: &anyhow::Error) -> Value {
    let mut told = json!({ "error": format!("{error:#}") });
    if let Some(refused) = error.downcast_ref::<Refused>()
        && !refused.document.is_null()
    {
        told["problem"] = refused.document.clone();
    }
    told
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the answer broke off")? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            bail!(
                "the answer has more than {ANSWER_BYTES_MAX} bytes; is this a Cloudware platform?"
            );
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
