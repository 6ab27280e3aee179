//! HTTP with one shop's dealer: requests out, whole judged answers back. Owns clients, time-outs and limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{self, Body, Raw, Redirect, Resource};
use super::{DealerConfig, FetchResult};
use crate::http::{self, reason};
use crate::types::{Capabilities, LookUpResult, OrderId, OrderKind, PlaceResult};

/// An order's answer is a few hundred bytes.
const ORDER_BODY_MOST: usize = 256 * 1024;

/// Pages of the customer list that are read, and customers.
const PAGES_MOST: usize = 200;
const CUSTOMERS_MOST: usize = 20_000;

/// What others (a flow's `make-http-request`) get: Studio's own limit.
const OTHERS_TOTAL: Duration = Duration::from_secs(10);
const OTHERS_CONNECT: Duration = Duration::from_secs(5);

/// One shop's dealer.
pub(super) struct Dealer {
    config: DealerConfig,
    base: Url,
    authorization: HeaderValue,
    reads: Client,
    /// No connection is used twice: one that the dealer closes just then would leave it unknown whether the order
    /// was read.
    writes: Client,
    token_refused: AtomicBool,
}

/// What was learnt of a dealer.
pub(super) struct Probe {
    pub(super) reached: bool,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) customers: Vec<String>,
}

/// Why there is no answer at all.
struct NoAnswer {
    why: String,
    /// True when no byte of the request can have left.
    nothing_left: bool,
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let nothing_left = error.is_connect() || error.is_builder();
        Self { why: reason(error), nothing_left }
    }
}

fn builder(connect: Duration, tls: bool) -> reqwest::ClientBuilder {
    http::client(connect, tls).pool_idle_timeout(Duration::from_secs(30))
}

impl Dealer {
    /// Checks the settings and makes the clients.
    ///
    /// # Errors
    /// In words, which setting is wrong.
    pub(super) fn new(config: DealerConfig) -> Result<Self, String> {
        let base = config.check()?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", config.token))
            .map_err(|_| "the dealer's token has characters that no header can carry".to_owned())?;
        authorization.set_sensitive(true);
        let build = |idle: usize, whole: Duration| {
            // Below the whole, so that nobody there is never mistaken for an answer that did not come.
            let connect = config.connect.min(whole / 2);
            let mut builder = builder(connect, base.scheme() == "https" || config.proxy.is_some())
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(idle);
            if let Some(proxy) = &config.proxy {
                builder = builder.proxy(reqwest::Proxy::all(proxy)?);
            }
            builder.build()
        };
        let reads = build(4, config.total).map_err(reason)?;
        let writes = build(0, config.order).map_err(reason)?;
        Ok(Self { base, authorization, reads, writes, token_refused: AtomicBool::new(false), config })
    }

    /// GET below the base URL.
    pub(super) async fn fetch(&self, path: &str) -> FetchResult {
        let raw = match self.get(path).await {
            Ok(raw) => raw,
            Err(NoAnswer { why, .. }) => return FetchResult::Unreachable { why },
        };
        let (result, dropped) = answer::fetched(Resource::of(path), &raw);
        if dropped > 0 {
            tracing::warn!(shop = %self.config.shop, dropped, "the dealer's answer had fields of wrong types");
        }
        result
    }

    /// POST an order.
    pub(super) async fn place(
        &self,
        order: &OrderId,
        kind: OrderKind,
        body: &Map<String, Value>,
    ) -> PlaceResult {
        let path = match kind {
            OrderKind::Service => "/api/service-orders",
            OrderKind::Parts => "/api/parts-orders",
        };
        let url = match self.url(path) {
            Ok(url) => url,
            Err(why) => return PlaceResult::NotSent { why, retry_after: None },
        };
        let mut body = body.clone();
        body.insert("client_reference".to_owned(), Value::String(order.0.clone()));
        let request = self
            .writes
            .post(url)
            .timeout(self.config.order)
            .header("Idempotency-Key", order.as_str())
            .json(&body);
        match self.send(request, ORDER_BODY_MOST.min(self.config.max_body)).await {
            Ok(raw) => answer::placed(&raw),
            Err(NoAnswer { why, nothing_left: true }) => PlaceResult::NotSent { why, retry_after: None },
            Err(NoAnswer { why, nothing_left: false }) => PlaceResult::Unknown { why },
        }
    }

    /// Look for an order in the customer's transactions.
    pub(super) async fn look_up(&self, order: &OrderId, kind: OrderKind, customer_id: &str) -> LookUpResult {
        let list = match kind {
            OrderKind::Service => "service_orders",
            OrderKind::Parts => "parts_orders",
        };
        let path = super::transactions_path(customer_id, list);
        match self.get(&path).await {
            Ok(raw) => answer::looked_up(kind, order, &raw),
            Err(NoAnswer { why, .. }) => LookUpResult::Unreachable { why },
        }
    }

    /// Learn what the dealer says of himself, where he does.
    pub(super) async fn probe(&self) -> Probe {
        let (reached, capabilities) = match self.get("/api/capabilities").await {
            Ok(raw) => match answer::fetched(Resource::Other, &raw).0 {
                FetchResult::Answered { status: 200, body, .. } => (true, capabilities(&body)),
                FetchResult::Answered { .. } => (true, None),
                // Many servers have a page of their own for what they do not know; so have captive portals.
                FetchResult::Nonsense { .. } if matches!(raw.status, 404 | 405 | 501) => {
                    (self.knows_nobody().await, None)
                }
                FetchResult::Nonsense { .. } | FetchResult::Unreachable { .. } => (false, None),
            },
            Err(_) => (false, None),
        };
        let customers = if reached { self.customers().await } else { Vec::new() };
        Probe { reached, capabilities, customers }
    }

    /// Asks for the customer with a number that nobody has: the contract says what that looks like.
    async fn knows_nobody(&self) -> bool {
        let path = "/api/customers/by-phone/%2B10000000000";
        matches!(self.fetch(path).await, FetchResult::Answered { .. })
    }

    /// The phone numbers of all customers, as far as the dealer lists them.
    async fn customers(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Page {
            customers: Vec<Value>,
            #[serde(default)]
            next: Option<String>,
        }
        let mut all = Vec::new();
        let mut path = "/api/customers?fields=phone".to_owned();
        for _ in 0..PAGES_MOST {
            let Ok(raw) = self.get(&path).await else { break };
            let FetchResult::Answered { status: 200, body, .. } = answer::fetched(Resource::Other, &raw).0
            else {
                break;
            };
            let Ok(page) = serde_json::from_str::<Page>(&body) else { break };
            let phones = page.customers.iter().filter_map(|one| one.get("phone")?.as_str());
            all.extend(
                phones.map(str::trim).filter(|phone| (3..=32).contains(&phone.len())).map(str::to_owned),
            );
            match page.next {
                Some(next)
                    if next.starts_with("/api/customers?") && next != path && all.len() < CUSTOMERS_MOST =>
                {
                    path = next;
                }
                Some(_) | None => break,
            }
        }
        all.truncate(CUSTOMERS_MOST);
        all
    }

    async fn get(&self, path: &str) -> Result<Raw, NoAnswer> {
        let url = self.url(path).map_err(|why| NoAnswer { why, nothing_left: true })?;
        self.send(self.reads.get(url).timeout(self.config.total), self.config.max_body).await
    }

    /// Below the base URL and on no other host, whatever the path says.
    fn url(&self, path: &str) -> Result<Url, String> {
        let url = Url::parse(&format!("{}{path}", self.config.url)).ok();
        url.filter(|url| path.starts_with('/') && url.origin() == self.base.origin())
            .ok_or_else(|| "the path does not lead to the dealer".to_owned())
    }

    async fn send(&self, request: RequestBuilder, most: usize) -> Result<Raw, NoAnswer> {
        let response = request.header(AUTHORIZATION, self.authorization.clone()).send().await?;
        let raw = read(response, most).await;
        self.watch_token(raw.status);
        Ok(raw)
    }

    /// One clear alarm when the token is refused, one line when it is taken again.
    fn watch_token(&self, status: u16) {
        let refused = matches!(status, 401 | 403);
        if !refused && !(200..300).contains(&status) {
            return;
        }
        let before = self.token_refused.swap(refused, Ordering::Relaxed);
        match (before, refused) {
            (false, true) => tracing::error!(
                shop = %self.config.shop, status,
                "the dealer refuses our token: orders wait and customers are served from the cache until it is \
                 put right in the configuration"
            ),
            (true, false) => tracing::info!(shop = %self.config.shop, "the dealer takes our token again"),
            (true, true) | (false, false) => {}
        }
    }
}

fn capabilities(body: &str) -> Option<Capabilities> {
    let said: Map<String, Value> = serde_json::from_str(body).ok()?;
    let flag = |name: &str| said.get(name).and_then(Value::as_bool);
    let (key, reference) = (flag("idempotency_key"), flag("client_reference"));
    (key.is_some() || reference.is_some()).then(|| Capabilities {
        idempotency_key: key.unwrap_or(false),
        client_reference: reference.unwrap_or(false),
    })
}

/// The client for a flow's own requests to anybody else: no token, five redirections at most.
pub(super) struct Others {
    client: Result<Client, String>,
}

impl Others {
    pub(super) fn new() -> Self {
        let policy = || reqwest::redirect::Policy::limited(5);
        let with_tls = builder(OTHERS_CONNECT, true).redirect(policy()).build();
        let client = with_tls.or_else(|why| {
            tracing::warn!(why = reason(why), "no root certificates: flows can make no https requests");
            builder(OTHERS_CONNECT, false).redirect(policy()).build()
        });
        Self { client: client.map_err(reason) }
    }

    pub(super) async fn request(
        &self,
        method: &str,
        url: &str,
        content_type: &str,
        body: String,
        most: usize,
    ) -> FetchResult {
        let unreachable = |why: String| FetchResult::Unreachable { why };
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => return unreachable(why.clone()),
        };
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            other => return unreachable(format!("{other:?} is not GET or POST")),
        };
        let mut request = client.request(method, url).timeout(OTHERS_TOTAL);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let raw = match request.send().await {
            Ok(response) => read(response, most).await,
            Err(error) => return unreachable(reason(error)),
        };
        match raw.body {
            Body::Whole(bytes) => FetchResult::Answered {
                status: raw.status,
                content_type: raw.content_type,
                body: String::from_utf8_lossy(&bytes).into_owned(),
            },
            Body::TooLarge => FetchResult::Nonsense { why: "the answer is too large".to_owned() },
            Body::Broken(why) => unreachable(why),
        }
    }
}

/// Reads an answer and never more of it than `most` bytes.
async fn read(mut response: Response, most: usize) -> Raw {
    let status = response.status().as_u16();
    let content_type = http::media_type(response.headers());
    let retry_after = http::retry_after(response.headers(), http::Clock::Ours);
    let redirect = redirect(&response);
    let body = match http::body(&mut response, most).await {
        Ok(Some(bytes)) => Body::Whole(bytes),
        Ok(None) => Body::TooLarge,
        Err(error) => Body::Broken(reason(error)),
    };
    Raw { status, content_type, retry_after, redirect, body }
}

fn redirect(response: &Response) -> Option<Redirect> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?;
    Some(if target.host_str() == response.url().host_str() { Redirect::Same } else { Redirect::Other })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dealer_says_what_he_supports_or_nothing() {
        assert_eq!(
            capabilities(r#"{"idempotency_key":true}"#),
            Some(Capabilities { idempotency_key: true, client_reference: false })
        );
        assert_eq!(capabilities("{}"), None);
        assert_eq!(capabilities(r#"{"idempotency_key":"yes"}"#), None);
        assert_eq!(capabilities("[]"), None);
    }
}
