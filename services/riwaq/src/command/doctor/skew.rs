//! How far this machine's clock is from those of the servers that it talks to.
//!
//! Tokens, signed links and the order of writes by timestamp all live by the clock. Servers that speak HTTP say
//! theirs in every answer (`Date`, RFC 9110 §6.6.1), to the second.

use std::time::Duration;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};

use super::Finding;
use super::endpoints::Endpoint;
use crate::host;

/// Object storage refuses signatures that are 15 minutes off, verifiers of tokens tolerate seconds.
const MOST_SECONDS: i64 = 5;
const ANSWER: Duration = Duration::from_secs(5);
const REMEDY: &str = "let both machines follow the same time servers (chrony; under VMware, not two sources at once)";

pub(super) async fn findings(endpoints: &[Endpoint]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for endpoint in endpoints {
        let what = format!("clock of {}", endpoint.what);
        findings.push(Finding::new(what, skew(endpoint).await, REMEDY));
    }
    findings
}

async fn skew(endpoint: &Endpoint) -> Result<String> {
    let client = reqwest::Client::builder()
        .use_preconfigured_tls(riwaq_trust::client(endpoint.ca_file.as_deref())?)
        .timeout(ANSWER)
        .redirect(reqwest::redirect::Policy::none());
    let asked = host::clock().now();
    let answer = client.build()?.get(endpoint.url.clone()).send().await?;
    let received = host::clock().now();
    let Some(date) = answer.headers().get(http::header::DATE) else {
        return Ok("unknown: its answers carry no date".to_owned());
    };
    let date = DateTime::parse_from_rfc2822(date.to_str()?)?.with_timezone(&Utc);
    let seconds = between(date, asked, received);
    if seconds.abs() > MOST_SECONDS {
        bail!("it is {seconds} s from ours");
    }
    Ok(format!("within {} s of ours", seconds.abs().max(1)))
}

/// Seconds by which `date`, cut to the second, lies outside the time in which it was written.
fn between(date: DateTime<Utc>, asked: DateTime<Utc>, received: DateTime<Utc>) -> i64 {
    let (first, last) = (asked.timestamp(), received.timestamp());
    let date = date.timestamp();
    if date < first {
        date - first
    } else if date > last {
        date - last
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 500_000_000).unwrap()
    }

    #[test]
    fn a_date_within_the_time_of_the_question_is_no_skew() {
        assert_eq!(between(at(100), at(100), at(102)), 0);
        assert_eq!(between(at(102), at(100), at(102)), 0);
    }

    #[test]
    fn skew_is_counted_from_the_nearer_end_and_has_a_sign() {
        assert_eq!(between(at(90), at(100), at(102)), -10);
        assert_eq!(between(at(112), at(100), at(102)), 10);
    }
}
