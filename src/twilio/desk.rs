//! What a person's command asks of an account: resources as they come, lists followed to their end (bounded), pauses
//! kept where Twilio asks for one. A step of a set-up, a flow and a recording go through it; texts do not, their way is
//! the line's.

use std::time::Duration;

use serde_json::Value;

use super::client::{ApiError, Client, DownloadError, Product, RequestError};
use crate::config::UpstreamLine;
use crate::types::Wall;

/// Pages of a list that are read.
const PAGES_MOST: usize = 100;
/// Entries of a page.
const PAGE: &str = "100";
/// How often a request is made before its 429 is believed. Twilio has done nothing then.
const TRIES: u32 = 4;
/// Longest pause that is kept.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why there is no good answer, for the person at the command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The account does not know the credentials.
    #[error(
        "Twilio refuses the credentials of account {account} ({status}): check `account`, and `api_key` with \
         `api_secret_file`, or `auth_token_file`"
    )]
    Credentials {
        /// `AC...`
        account: String,
        /// 401 or 403.
        status: u16,
    },
    /// It says no.
    #[error("Twilio says {}", refusal(*.status, *.code, .message))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Twilio's own.
        code: Option<u32>,
        /// In words.
        message: String,
    },
    /// Nothing left the box.
    #[error("Twilio cannot be reached: {0}")]
    Unreachable(String),
    /// No answer: it may have been done. Run the command again, it looks first.
    #[error("Twilio's answer was lost, it may have done it: {0}; run the command again")]
    Lost(String),
    /// More pages than anybody has.
    #[error("the list at {0} does not end")]
    Endless(String),
    /// Larger than is kept.
    #[error("the file is larger than {0} bytes")]
    TooLarge(usize),
}

impl DeskError {
    /// True when the request may have been done all the same.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Lost(_) => true,
            Self::Credentials { .. } | Self::Unreachable(_) | Self::Endless(_) | Self::TooLarge(_) => false,
        }
    }
}

fn refusal(status: u16, code: Option<u32>, message: &str) -> String {
    let code = code.map_or_else(String::new, |code| format!(" ({code})"));
    format!("{status}{code}: {message}")
}

/// A string of a JSON object; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// One account.
#[derive(Debug)]
pub struct Desk {
    client: Client,
}

impl Desk {
    /// With the credentials of a line.
    ///
    /// # Errors
    /// In words, which setting is wrong.
    pub fn new(line: &UpstreamLine) -> Result<Self, String> {
        Ok(Self { client: Client::new(line)? })
    }

    /// `AC...`
    #[must_use]
    pub fn account(&self) -> &str {
        self.client.account()
    }

    /// A resource of the 2010 API, below the account: `/Calls/CA....json`.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, DeskError> {
        let path = self.below(path);
        self.patiently(|| self.client.get(Product::Api, &path, query)).await.map(|(body, _)| body)
    }

    /// A resource of Content v1, by its whole path.
    ///
    /// # Errors
    /// [`DeskError`]
    pub(super) async fn content(&self, path: &str) -> Result<Value, DeskError> {
        self.patiently(|| self.client.get(Product::Content, path, &[])).await.map(|(body, _)| body)
    }

    /// All entries of a list of the 2010 API.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn list(&self, path: &str, query: &[(&str, &str)], key: &str) -> Result<Vec<Value>, DeskError> {
        self.listed(Product::Api, &self.below(path), query, key).await.map(|(all, _)| all)
    }

    /// The same, with Twilio's clock at the first page.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn list_at(
        &self,
        path: &str,
        query: &[(&str, &str)],
        key: &str,
    ) -> Result<(Vec<Value>, Option<Wall>), DeskError> {
        self.listed(Product::Api, &self.below(path), query, key).await
    }

    /// Creates or changes a resource of the 2010 API.
    ///
    /// # Errors
    /// [`DeskError::Lost`] leaves it open whether it was done.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, DeskError> {
        let path = self.below(path);
        self.patiently(|| self.client.post(Product::Api, &path, form)).await.map(|(body, _)| body)
    }

    /// Deletes a resource of the 2010 API; what is not there is deleted.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn delete(&self, path: &str) -> Result<(), DeskError> {
        self.deleted(Product::Api, &self.below(path)).await
    }

    /// A file of the account, of at most `most` bytes.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn file(&self, path: &str, most: usize) -> Result<Vec<u8>, DeskError> {
        match self.client.download(&self.below(path), most).await {
            Ok(file) => Ok(file.bytes),
            Err(DownloadError::Request(error)) => Err(self.error(error)),
            Err(DownloadError::TooLarge) => Err(DeskError::TooLarge(most)),
            Err(error @ DownloadError::Elsewhere) => Err(DeskError::Unreachable(error.to_string())),
        }
    }

    /// All entries of a list of Studio's.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn studio_list(&self, path: &str, key: &str) -> Result<Vec<Value>, DeskError> {
        self.listed(Product::Studio, path, &[], key).await.map(|(all, _)| all)
    }

    /// A resource of Studio's, by its whole path: `/v2/Flows/FW...`.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn studio_get(&self, path: &str) -> Result<Value, DeskError> {
        self.patiently(|| self.client.get(Product::Studio, path, &[])).await.map(|(body, _)| body)
    }

    /// Creates or changes a resource of Studio's.
    ///
    /// # Errors
    /// [`DeskError::Lost`] leaves it open whether it was done.
    pub async fn studio_post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, DeskError> {
        self.patiently(|| self.client.post(Product::Studio, path, form)).await.map(|(body, _)| body)
    }

    /// Deletes a resource of Studio's; what is not there is deleted.
    ///
    /// # Errors
    /// [`DeskError`]
    pub async fn studio_delete(&self, path: &str) -> Result<(), DeskError> {
        self.deleted(Product::Studio, path).await
    }

    fn below(&self, path: &str) -> String {
        self.client.path(path.trim_start_matches('/'))
    }

    async fn deleted(&self, product: Product, path: &str) -> Result<(), DeskError> {
        match self.client.delete(product, path).await {
            Err(RequestError::Refused(ApiError { status: 404, .. })) | Ok(()) => Ok(()),
            Err(error) => Err(self.error(error)),
        }
    }

    async fn listed(
        &self,
        product: Product,
        path: &str,
        query: &[(&str, &str)],
        key: &str,
    ) -> Result<(Vec<Value>, Option<Wall>), DeskError> {
        let mut query = query.to_vec();
        query.push(("PageSize", PAGE));
        let (mut page, at) = self.patiently(|| self.client.get::<Value>(product, path, &query)).await?;
        let mut all = Vec::new();
        for _ in 0..PAGES_MOST {
            if let Some(Value::Array(entries)) = page.get_mut(key).map(Value::take) {
                all.extend(entries);
            }
            let next = [page.get("next_page_uri"), page.pointer("/meta/next_page_url")];
            let Some(next) = next.into_iter().flatten().find_map(Value::as_str) else {
                return Ok((all, at));
            };
            let next = next.to_owned();
            (page, _) = self.patiently(|| self.client.page::<Value>(product, &next)).await?;
        }
        Err(DeskError::Endless(path.to_owned()))
    }

    /// Keeps the pauses that Twilio asks for with a 429, which says that nothing was done.
    async fn patiently<F, A>(&self, ask: F) -> Result<(Value, Option<Wall>), DeskError>
    where
        F: Fn() -> A,
        A: Future<Output = Result<super::client::Answer<Value>, RequestError>>,
    {
        let mut tries = 1;
        loop {
            match ask().await {
                Ok(answer) => return Ok((answer.body, answer.at)),
                Err(RequestError::Refused(ApiError { status: 429, retry_after, .. })) if tries < TRIES => {
                    let pause = retry_after.map_or(Duration::from_secs(1 << tries), |seconds| {
                        Duration::from_secs(u64::from(seconds))
                    });
                    tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
                    tries += 1;
                }
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    fn error(&self, error: RequestError) -> DeskError {
        match error {
            RequestError::Refused(ApiError { status: status @ 401, .. })
            | RequestError::Refused(ApiError { status: status @ 403, code: Some(20003), .. }) => {
                DeskError::Credentials { account: self.client.account().to_owned(), status }
            }
            RequestError::Refused(ApiError { status, code, message, .. }) => {
                DeskError::Refused { status, code, message }
            }
            RequestError::NotSent { why } => DeskError::Unreachable(why),
            RequestError::Lost { why } => DeskError::Lost(why),
        }
    }
}
