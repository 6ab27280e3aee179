//! What `backroom doctor` asks of an upstream line: whether it is let in, whose clock is right, whether the number is
//! the account's.

use super::client::{Client, RequestError};
use crate::config::UpstreamLine;
use crate::types::Wall;

/// Clocks may differ by this much, milliseconds.
const SKEW_MOST: i64 = 300_000;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Fine(String),
    /// Wrong, and what to do.
    Wrong(String),
}

/// Looks at a line with one request. `wall` is this machine's clock.
pub async fn check(line: &UpstreamLine, wall: Wall) -> Vec<Finding> {
    let id = &line.id;
    let client = match Client::new(line) {
        Ok(client) => client,
        Err(why) => return vec![Finding::Wrong(format!("line {id}: {why}"))],
    };
    match client.owned_number(line.number.as_str()).await {
        Ok(answer) => {
            let number = if answer.body.is_some() {
                Finding::Fine(format!(
                    "line {id}: {} lets us in, and {} is the account's",
                    line.api_url, line.number
                ))
            } else {
                Finding::Wrong(format!(
                    "line {id}: {} lets us in, but {} is none of the account's numbers",
                    line.api_url, line.number
                ))
            };
            std::iter::once(number).chain(answer.at.and_then(|at| skew(id.as_str(), at, wall))).collect()
        }
        Err(error) => vec![Finding::Wrong(format!("line {id}: {}", what_to_do(line, &error)))],
    }
}

fn skew(line: &str, upstream: Wall, wall: Wall) -> Option<Finding> {
    let apart = wall.0 - upstream.0;
    (apart.abs() > SKEW_MOST).then(|| {
        let way = if apart > 0 { "ahead of" } else { "behind" };
        let minutes = apart.abs() / 60_000;
        Finding::Wrong(format!(
            "line {line}: this machine's clock is {minutes} minutes {way} the upstream's: is timesyncd running?"
        ))
    })
}

fn what_to_do(line: &UpstreamLine, error: &RequestError) -> String {
    match error {
        RequestError::Refused(refused) if refused.status == 401 => {
            let which =
                if line.api_key.is_some() { "`api_key` and its secret" } else { "the account's token" };
            format!("{} refuses the credentials ({refused}): look at `account` and {which}", line.api_url)
        }
        RequestError::Refused(refused) => format!("{} refuses: {refused}", line.api_url),
        RequestError::NotSent { why } | RequestError::Lost { why } => {
            format!("{} cannot be reached: {why}", line.api_url)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_more_than_five_minutes_is_said() {
        assert_eq!(skew("tw", Wall(1_000_000), Wall(1_300_000)), None);
        let Some(Finding::Wrong(text)) = skew("tw", Wall(1_000_000), Wall(1_000_000 - 660_000)) else {
            unreachable!()
        };
        assert!(text.contains("11 minutes behind"), "{text}");
        assert!(
            matches!(skew("tw", Wall(0), Wall(300_001)), Some(Finding::Wrong(text)) if text.contains("ahead"))
        );
    }
}
