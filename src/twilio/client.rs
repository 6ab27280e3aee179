//! HTTPS with Twilio: one request out, one judged answer back. Owns base URLs, credentials, time-outs, bounds and the
//! judgement whether the request can have arrived. Knows no resource (those of messages are in `rest`), no retry and
//! no history.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Secret, UpstreamLine};
use crate::http::{self, reason};
use crate::types::{Redacted, Wall, is_this_machine};

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(30);
/// Largest answer of one resource that is read.
const BODY_MOST: usize = 1 << 20;
/// Largest page of a list: 500 messages of 1,600 characters, each written as `\uXXXX`, are 5 MiB.
pub(super) const PAGE_MOST: usize = 8 << 20;
/// From the address of a file to the store where it lies.
const REDIRECTS: usize = 5;

/// Which of Twilio's hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// `api_url`: the API of 2010-04-01.
    Api,
    /// `studio_url`: Studio v2.
    Studio,
    /// `accounts_url`: who wants texts.
    Accounts,
    /// `content_url`: Content v1.
    Content,
}

/// A good answer, 2xx.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// HTTP status.
    pub status: u16,
    /// What it says; an empty body reads as JSON's `null`.
    pub body: T,
    /// Twilio's clock (`Date`).
    pub at: Option<Wall>,
}

/// Twilio said no. Numbers of people are blacked out in `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Twilio's own: 21211. `None`: the answer is not Twilio's, but that of something in between.
    pub code: Option<u32>,
    /// In words.
    pub message: String,
    /// Where it is explained.
    pub more_info: Option<String>,
    /// Asked for pause, seconds.
    pub retry_after: Option<u32>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = self.code {
            write!(f, " / {code}")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, " {}", self.message) }
    }
}

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// An answer that says no.
    #[error("{0}")]
    Refused(ApiError),
    /// No byte of the request can have arrived: to do it again is safe.
    #[error("{why}")]
    NotSent {
        /// In words, without the URL.
        why: String,
    },
    /// No answer that can be read: it may have arrived and been done.
    #[error("{why}")]
    Lost {
        /// In words, without the URL.
        why: String,
    },
}

impl From<reqwest::Error> for RequestError {
    fn from(error: reqwest::Error) -> Self {
        let nothing_left = error.is_connect() || error.is_builder();
        let why = reason(error);
        if nothing_left { Self::NotSent { why } } else { Self::Lost { why } }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// MIME type as the server said, lower case, no parameters.
    pub content_type: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// One account's access.
pub struct Client {
    account: String,
    user: String,
    password: Secret,
    api: Url,
    studio: Url,
    accounts: Option<Url>,
    content: Url,
    reads: reqwest::Client,
    /// No connection is used twice: one that is closed just then would leave it unknown whether the request was read.
    writes: reqwest::Client,
}

/// Without what lets it in.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Client {
    /// Access with the line's API key, or with the account's token where it has none.
    ///
    /// # Errors
    /// In words, which setting is wrong.
    pub fn new(line: &UpstreamLine) -> Result<Self, String> {
        http::install_tls();
        let (user, password) = match (&line.api_key, &line.auth_token) {
            (Some((key, secret)), _) => (key.clone(), secret.clone()),
            (None, Some(token)) => (line.account.clone(), token.clone()),
            (None, None) => return Err("there is neither an API key nor the account's token".to_owned()),
        };
        let (api, studio) = (base(&line.api_url)?, base(&line.studio_url)?);
        let (content, accounts) =
            (base(&line.content_url)?, line.accounts_url.as_deref().map(base).transpose()?);
        // Templates live where the messages do.
        let tls = [Some(&api), Some(&studio), accounts.as_ref()];
        let tls = tls.into_iter().flatten().any(|url| url.scheme() == "https");
        let build = |idle: usize| {
            let builder = http::client(CONNECT, tls)
                .timeout(TOTAL)
                .pool_idle_timeout(Duration::from_secs(60))
                .pool_max_idle_per_host(idle)
                .redirect(reqwest::redirect::Policy::none());
            builder.build().map_err(reason)
        };
        let (reads, writes) = (build(2)?, build(0)?);
        Ok(Self {
            account: line.account.clone(),
            user,
            password,
            api,
            studio,
            content,
            accounts,
            reads,
            writes,
        })
    }

    /// `AC` and 32 hex digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The account's part of the 2010 API: `path("Messages.json")`.
    #[must_use]
    pub fn path(&self, below: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{below}", self.account)
    }

    /// Where something of the account is: a whole URL on the API's host.
    pub(super) fn address_of(&self, below: &str) -> String {
        format!("{}{}", self.api.as_str().trim_end_matches('/'), self.path(below))
    }

    /// Reads a resource or the first page of a list.
    ///
    /// # Errors
    /// [`RequestError`]; a GET may always be done again.
    pub async fn get<T: DeserializeOwned>(
        &self,
        product: Product,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer<T>, RequestError> {
        let mut url = self.url(product, path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.read(url).await
    }

    /// Reads another page: `next_page_uri` (2010), `next_page_url` (v2). Only on the host of the first one.
    ///
    /// # Errors
    /// [`RequestError`]; the page leads elsewhere.
    pub async fn page<T: DeserializeOwned>(
        &self,
        product: Product,
        uri: &str,
    ) -> Result<Answer<T>, RequestError> {
        let base = self.base(product)?;
        let url = match uri.strip_prefix('/') {
            Some(_) => self.url(product, uri)?,
            None => Url::parse(uri).ok().filter(|url| url.origin() == base.origin()).ok_or_else(elsewhere)?,
        };
        self.read(url).await
    }

    /// Creates or changes something, with a form as Twilio takes it: a name may come several times.
    ///
    /// # Errors
    /// [`RequestError::Lost`] leaves it open whether it was done.
    pub async fn post<T: DeserializeOwned>(
        &self,
        product: Product,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer<T>, RequestError> {
        let url = self.url(product, path)?;
        let mut pairs = url.clone();
        pairs.set_query(Some(""));
        pairs.query_pairs_mut().extend_pairs(form);
        let request = self
            .writes
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(pairs.query().unwrap_or_default().to_owned());
        self.send(request, BODY_MOST).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// [`RequestError`]; 404 of something that was deleted before.
    pub async fn delete(&self, product: Product, path: &str) -> Result<(), RequestError> {
        let request = self.writes.delete(self.url(product, path)?);
        self.send::<serde::de::IgnoredAny>(request, BODY_MOST).await.map(drop)
    }

    /// Fetches a file of the account of at most `most` bytes. The credentials go to Twilio alone: the store that it
    /// sends us on to gets none.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn download(&self, url: &str, most: usize) -> Result<Download, DownloadError> {
        let mut at = self.of_account(url)?;
        for _ in 0..=REDIRECTS {
            let ours = at.origin() == self.api.origin();
            let request = self.reads.get(at.clone());
            let request =
                if ours { request.basic_auth(&self.user, Some(self.password.expose())) } else { request };
            let mut response = request.send().await.map_err(RequestError::from)?;
            if response.status().is_redirection() {
                at = self.sent_on(&response).ok_or(DownloadError::Elsewhere)?;
                continue;
            }
            let content_type = http::media_type(response.headers());
            if !response.status().is_success() {
                return Err(refusal(response).await.into());
            }
            return match body(&mut response, most).await? {
                Some(bytes) => Ok(Download { content_type, bytes }),
                None => Err(DownloadError::TooLarge),
            };
        }
        Err(DownloadError::Elsewhere)
    }

    /// The file's address on our base URL: whatever host a text names, credentials go nowhere else.
    fn of_account(&self, url: &str) -> Result<Url, DownloadError> {
        let path = match url.strip_prefix('/') {
            Some(_) => url.to_owned(),
            None => Url::parse(url).map_err(|_| DownloadError::Elsewhere)?.path().to_owned(),
        };
        let below = format!("/2010-04-01/Accounts/{}/", self.account);
        if !path.starts_with(&below) {
            return Err(DownloadError::Elsewhere);
        }
        Ok(self.url(Product::Api, path.strip_suffix(".json").unwrap_or(&path))?)
    }

    /// Where a redirection leads: https, or plain http when Twilio itself is one of this machine.
    fn sent_on(&self, response: &Response) -> Option<Url> {
        let target = response.headers().get(LOCATION)?.to_str().ok()?;
        let target = response.url().join(target).ok()?;
        (target.scheme() == "https" || (self.api.scheme() == "http" && is_here(&target))).then_some(target)
    }

    fn base(&self, product: Product) -> Result<&Url, RequestError> {
        match product {
            Product::Api => Ok(&self.api),
            Product::Studio => Ok(&self.studio),
            Product::Accounts => self.accounts.as_ref().ok_or_else(elsewhere),
            Product::Content => Ok(&self.content),
        }
    }

    /// Below the base URL and on no other host, whatever the path says.
    fn url(&self, product: Product, path: &str) -> Result<Url, RequestError> {
        let base = self.base(product)?;
        let url = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))).ok();
        url.filter(|url| path.starts_with('/') && url.origin() == base.origin()).ok_or_else(elsewhere)
    }

    async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<Answer<T>, RequestError> {
        self.send(self.reads.request(Method::GET, url), PAGE_MOST).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        most: usize,
    ) -> Result<Answer<T>, RequestError> {
        let mut response = request.basic_auth(&self.user, Some(self.password.expose())).send().await?;
        let (status, at) = (response.status(), http::date(response.headers()));
        if status.is_client_error() || status.is_server_error() {
            return Err(refusal(response).await.into());
        }
        let lost = |what: &str| RequestError::Lost { why: format!("the answer ({status}) {what}") };
        if !status.is_success() {
            return Err(lost("leads elsewhere"));
        }
        let bytes = body(&mut response, most).await?.ok_or_else(|| lost("is too large"))?;
        let text = if bytes.is_empty() { b"null" } else { &bytes[..] };
        let body = serde_json::from_slice(text).map_err(|_| lost("is not what Twilio answers"))?;
        Ok(Answer { status: status.as_u16(), body, at })
    }
}

/// Why a file is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// The way to it.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// Larger than allowed.
    #[error("the file is too large")]
    TooLarge,
    /// Its address, or where that sends us on to, is none of the account's.
    #[error("the file's address leads elsewhere")]
    Elsewhere,
}

impl From<ApiError> for DownloadError {
    fn from(error: ApiError) -> Self {
        Self::Request(RequestError::Refused(error))
    }
}

impl From<ApiError> for RequestError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

fn elsewhere() -> RequestError {
    RequestError::NotSent { why: "the path does not lead to the upstream".to_owned() }
}

fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(is_this_machine)
}

/// A base URL: https, or plain http on this machine; credentials travel in every request.
///
/// # Errors
/// In words, what is wrong with it.
pub fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| format!("{text:?} is no URL: {why}"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{text:?} has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user in it: credentials have their own settings".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} must end before the slash of the path"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here(&url) => Ok(url),
        _ => Err(format!("{text:?} must begin with https:// (http:// only on this machine)")),
    }
}

/// Reads the error of an answer that says no; what cannot be read says less.
async fn refusal(mut response: Response) -> ApiError {
    #[derive(Default, Deserialize)]
    struct Told {
        code: Option<u32>,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        more_info: Option<String>,
        #[serde(default)]
        details: serde_json::Value,
    }
    let status = response.status().as_u16();
    let retry_after = http::retry_after(response.headers(), http::Clock::Theirs);
    let bytes = http::body(&mut response, 64 << 10).await.ok().flatten().unwrap_or_default();
    let told: Told = serde_json::from_slice(&bytes).unwrap_or_default();
    ApiError {
        status,
        code: told.code,
        message: blacked_out(&(told.message.unwrap_or_default() + &detailed(&told.details))),
        more_info: told.more_info,
        retry_after,
    }
}

/// Each fault that Studio finds in a flow: `; #/states/3/properties/to: is missing`.
fn detailed(details: &serde_json::Value) -> String {
    let of = |error: &serde_json::Value, key: &str| error.get(key)?.as_str().map(str::to_owned);
    let errors = details.get("errors").and_then(serde_json::Value::as_array).into_iter().flatten();
    let each = errors.filter_map(|error| {
        Some(format!("; {}: {}", of(error, "property_path").unwrap_or_default(), of(error, "message")?))
    });
    each.take(20).collect()
}

/// The body, or `None` when it is too large. The request has arrived, whatever breaks off now.
async fn body(response: &mut Response, most: usize) -> Result<Option<Vec<u8>>, RequestError> {
    http::body(response, most).await.map_err(|error| RequestError::Lost { why: reason(error) })
}

/// Words with the numbers of people blacked out: Twilio quotes them in what it says.
pub(super) fn blacked_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '+') {
        let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '+').len();
        let (bare, tail) = word.split_at(end);
        let digits = bare.trim_start_matches('+');
        if digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&Redacted(bare).to_string());
        } else {
            out.push_str(bare);
        }
        out.push_str(tail);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_people_are_blacked_out_and_sids_are_not() {
        assert_eq!(
            blacked_out("Invalid 'To' Phone Number: +12065550101."),
            "Invalid 'To' Phone Number: +1…01."
        );
        assert_eq!(blacked_out("2065550101, whatsapp:+12065550101"), "20…01, whatsapp:+1…01");
        let sid = "SM00000000000000000000000000000001 has 1600 characters";
        assert_eq!(blacked_out(sid), sid);
    }

    #[test]
    fn credentials_travel_by_https_or_on_this_machine() {
        for good in ["https://api.twilio.com", "http://127.0.0.1:1", "http://[::1]:8/x", "http://localhost"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in
            ["http://api.twilio.com", "ftp://127.0.0.1", "https://a:b@c", "https://c?x", "c", "https://"]
        {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
