//! Workers of somebody's own: what they are told of documents that wait, and what they report.

use super::{CONFIRM, House, Lost, RabbitBus, body, body::Report, names};
use domain::{Document, DocumentId, Problem, problem::MAX_JSON};
use futures::{FutureExt, StreamExt, future::join_all};
use lapin::{
    Channel, Confirmation, Connection, PublisherConfirm,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use services::ports::Untold;
use std::{collections::BTreeMap, convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, field::Empty};

/// Documents that are told of at once.
const PAGE: u32 = 200;
/// First and last pause before a worker that has no queue is tried again.
const FIRST_TRY: Duration = Duration::from_secs(1);
const LAST_TRY: Duration = Duration::from_secs(10);
/// Reports that are taken together.
const REPORTS: usize = 64;
/// First and last pause before a report is tried again that the store could not take.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Tries of a report that the store does not take although it answers.
const TRIES: u32 = 10;

/// So long a server that cannot reach the store keeps what it was given; then another one gets it.
const KEPT: Duration = Duration::from_secs(5);
/// What was given back so often is kept: nobody reaches the store then, and the broker puts aside what comes back too often.
const GIVEN_BACK: i64 = 5;

/// The header in which the broker counts how often a message came back to it.
pub(super) const COUNT: &str = "x-delivery-count";
/// The header that says by which key a message first came.
pub(super) const ROUTING_KEY: &str = "x-routing-key";

/// What a delivery says, or a code and a sentence for what is wrong with it.
type Said = Result<Report, (&'static str, String)>;

/// What became of a report.
enum Applied {
    Taken,
    /// A code and a sentence.
    Refused(&'static str, String),
    /// Not yet: this server cannot reach the store.
    Away,
}

impl RabbitBus {
    /// Tells outside workers anew of what is left to them, whenever they may have missed it: the broker was wiped, there was no
    /// queue of theirs yet, or it is theirs only now. The rows are the truth, so this needs no memory.
    pub(super) async fn announce(&self, channel: &Channel, house: &House) -> Result<Infallible, Lost> {
        let mut pause = FIRST_TRY;
        loop {
            while self.owed.is_nothing() {
                self.owed.wake.notified().await;
                // The relay itself tells as a rule; this only follows it.
                pause = FIRST_TRY;
            }
            sleep(pause).await;
            let mut all_told = true;
            for (which, times) in self.owed.all() {
                if self.announce_all(channel, house, which).await? {
                    self.owed.done(which, times);
                } else {
                    all_told = false;
                }
            }
            pause = if all_told { FIRST_TRY } else { (pause * 2).min(LAST_TRY) };
        }
    }

    /// Whether all of these were told to somebody.
    async fn announce_all(&self, channel: &Channel, house: &House, which: Untold) -> Result<bool, Lost> {
        let mut after: Option<DocumentId> = None;
        loop {
            // At first a single one, to see whether anybody listens.
            let limit = if after.is_none() { 1 } else { PAGE };
            let documents = match house.outside.awaiting_outside(which, after, limit).await {
                Ok(documents) => documents,
                Err(error) => {
                    tracing::warn!(%error, "what waits for outside workers cannot be read; trying again");
                    return Ok(false);
                }
            };
            let Some(last) = documents.last() else { return Ok(true) };
            after = Some(last.id);
            if !self.announce_some(channel, &documents).await? {
                return Ok(false);
            }
        }
    }

    async fn announce_some(&self, channel: &Channel, documents: &[Document]) -> Result<bool, Lost> {
        let mut confirms = vec![];
        for document in documents {
            let id = format!("{}.{}", document.id, document.rev);
            confirms.push(self.publish_upload(channel, document, id).await?);
        }
        let confirmed = async { Ok::<_, Lost>(futures::future::try_join_all(confirms).await?) };
        let answers = self.answered(CONFIRM, confirmed).await?;
        Ok(answers.iter().all(|answer| matches!(answer, Confirmation::Ack(None))))
    }

    /// Says that a document waits for an outside worker; it comes back where none has a queue for it.
    pub(super) async fn publish_upload(
        &self,
        channel: &Channel,
        document: &Document,
        id: String,
    ) -> Result<PublisherConfirm, Lost> {
        let key = names::DOCUMENT_UPLOADED;
        let properties = self.properties(id, key).with_correlation_id(document.id.to_string().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, body) = (self.names.exchange.clone().into(), body::of_upload(document));
        Ok(channel.basic_publish(exchange, key.into(), options, &body, properties).await?)
    }

    /// Takes what outside workers report, for as long as the connection holds. The broker lets one node at a time do so.
    pub(super) async fn take_reports(
        &self,
        connection: &Connection,
        house: &House,
    ) -> Result<Infallible, Lost> {
        loop {
            self.take_while_at_home(connection, house).await?;
            tracing::warn!("reports of outside workers are left to other servers while the store is away");
            while house.outside.awaiting_outside(Untold::Waiting, None, 1).await.is_err() {
                sleep(FIRST_TRY).await;
            }
        }
    }

    /// The same until this server cannot reach the store. What it was given then goes to the next server.
    async fn take_while_at_home(&self, connection: &Connection, house: &House) -> Result<(), Lost> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await?;
        channel.basic_qos(REPORTS as u16, BasicQosOptions::default()).await?;
        let (queue, tag) = (self.names.reports().into(), format!("{}.reports", self.options.node).into());
        let mut reports =
            channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default()).await?;
        while let Some(first) = reports.next().await {
            let mut batch = vec![first?];
            while batch.len() < REPORTS
                && let Some(Some(next)) = reports.next().now_or_never()
            {
                batch.push(next?);
            }
            // What is about different things goes side by side into the same commit; what is about one stays in order.
            let mut by_thing: BTreeMap<String, Vec<(Delivery, Said)>> = BTreeMap::new();
            for delivery in batch {
                let report = read(delivery.routing_key.as_str(), &delivery.data);
                let about = report.as_ref().map_or_else(|_| String::new(), Report::about);
                by_thing.entry(about).or_default().push((delivery, report));
            }
            let in_order = by_thing.into_values().map(|of_one| async {
                for (delivery, report) in of_one {
                    if !self.take_report(&channel, house, delivery, report).await? {
                        return Ok(false);
                    }
                }
                Ok::<_, Lost>(true)
            });
            let mut all_settled = true;
            for settled in join_all(in_order).await {
                all_settled &= settled?;
            }
            if !all_settled {
                // Without an answer they go back into their queue, to the places that they had.
                channel.close(200, "the store cannot be reached".into()).await?;
                return Ok(());
            }
        }
        Err(Lost::Cancelled)
    }

    /// Answers whether it is settled.
    async fn take_report(
        &self,
        channel: &Channel,
        house: &House,
        delivery: Delivery,
        report: Said,
    ) -> Result<bool, Lost> {
        let (document_id, workspace_id) = match &report {
            Ok(Report::Document(id, _)) => (Some(id.to_string()), None),
            Ok(Report::Workspace(id, _)) => (None, Some(id.to_string())),
            Err(_) => (None, None),
        };
        let sent_with = delivery.properties.correlation_id().as_ref().map(|id| id.as_str().to_owned());
        let correlation_id = sent_with.or_else(|| document_id.clone());
        // The job that the document belongs to is known once the report was taken.
        let span = tracing::info_span!(
            "report",
            correlation_id,
            document_id,
            workspace_id,
            concerns = Empty,
            code = Empty
        );
        let goes_back = given_back(&delivery) < GIVEN_BACK;
        let applied = match report {
            Err((code, why)) => Applied::Refused(code, why),
            Ok(report) => apply(house, report, goes_back).instrument(span.clone()).await,
        };
        let refused = match applied {
            Applied::Away => return Ok(false),
            Applied::Taken => None,
            Applied::Refused(code, why) => Some((code, why)),
        };
        let outcome = if refused.is_some() { "refused" } else { "taken" };
        metrics::counter!("insighthub_outside_reports_total", "outcome" => outcome).increment(1);
        if let Some((code, why)) = refused {
            span.record("code", code);
            span.in_scope(|| tracing::warn!(code, reason = why, "a report of an outside worker was refused"));
            self.put_aside(channel, &delivery, code, &why).await?;
        }
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(true)
    }

    /// To the dead letters, with the reason; acknowledged only when it is there.
    async fn put_aside(
        &self,
        channel: &Channel,
        delivery: &Delivery,
        code: &str,
        why: &str,
    ) -> Result<(), Lost> {
        let mut headers = delivery.properties.headers().clone().unwrap_or_default();
        let why: String = why.chars().take(1_000).collect();
        for (name, value) in [
            ("x-reason-code", code),
            ("x-reason", why.as_str()),
            (ROUTING_KEY, delivery.routing_key.as_str()),
        ] {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let properties = delivery.properties.clone().with_headers(headers).with_delivery_mode(2);
        let (exchange, key) = (self.names.dead().into(), delivery.routing_key.clone());
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish(exchange, key, options, &delivery.data, properties).await?;
        match self.answered(CONFIRM, async { Ok::<_, Lost>(confirm.await?) }).await? {
            Confirmation::Nack(_) => Err(Lost::Silent),
            _ => Ok(()),
        }
    }
}

/// What came by that key. A body that the REST routes would not read is not read here either.
fn read(key: &str, body: &[u8]) -> Said {
    if body.len() > MAX_JSON {
        let problem = Problem::too_much_json();
        return Err(("refused", format!("{}: {}", problem.code, problem.detail)));
    }
    let report = match key {
        names::WORKSPACE_REPORT => Report::workspace(body),
        _ => Report::document(body),
    };
    report.map_err(|why| ("malformed", why))
}

/// How often the message came back to the broker, as that counts it.
pub(super) fn given_back(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get(COUNT)) {
        Some(AMQPValue::LongLongInt(times)) => *times,
        Some(AMQPValue::LongInt(times)) => i64::from(*times),
        Some(AMQPValue::LongUInt(times)) => i64::from(*times),
        _ => 0,
    }
}

/// Applies a report by the use case of the REST routes. A store that cannot is no reason to refuse, so that is tried until it
/// can; but where it can do other things and never this, the report does not hold up all that come after it. `goes_back`: where
/// this server alone does not reach the store, another one may take it.
async fn apply(house: &House, report: Report, goes_back: bool) -> Applied {
    let begun = Instant::now();
    let mut pause = FIRST_RETRY;
    let mut in_vain = 0;
    loop {
        let applied = match &report {
            Report::Document(id, report) => house.reports.document_report(*id, report.clone()).await,
            Report::Workspace(id, report) => house.reports.workspace_report(*id, report.clone()).await,
        };
        let error = match applied {
            Ok(()) => return Applied::Taken,
            Err(error) => error,
        };
        let problem = error.to_problem();
        if problem.status < 500 {
            let fields = problem.errors.iter().flat_map(|(field, all)| all.iter().map(move |m| (field, m)));
            let why = fields.fold(problem.detail.clone(), |text, (field, m)| format!("{text} {field}: {m}"));
            return Applied::Refused("refused", format!("{}: {why}", problem.code));
        }
        let answers = house.outside.awaiting_outside(Untold::Waiting, None, 1).await.is_ok();
        if answers && !error.takes_nothing() {
            in_vain += 1;
            if in_vain >= TRIES {
                return Applied::Refused("failed", format!("{}: {}", problem.code, problem.detail));
            }
        }
        if !answers && goes_back && begun.elapsed() >= KEPT {
            return Applied::Away;
        }
        tracing::warn!(code = problem.code, "a report could not be stored; trying again");
        sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_as_large_as_a_body_of_the_routes_at_most() {
        let with_junk = |n: usize| {
            let id = "01930000-0000-7000-8000-000000000002";
            json!({ "document_id": id, "status": "ready", "junk": "x".repeat(n) }).to_string()
        };
        let room = MAX_JSON - with_junk(0).len();
        let taken = read(names::DOCUMENT_REPORT, with_junk(room).as_bytes());
        assert!(matches!(taken, Ok(Report::Document(..))), "{taken:?}");
        let too_large = ("refused", "too_large: The body is larger than 1 MB.".to_owned());
        let refused = read(names::DOCUMENT_REPORT, with_junk(room + 1).as_bytes());
        assert_eq!(refused.unwrap_err(), too_large);
        // Nobody looks into it.
        let refused = read(names::WORKSPACE_REPORT, "x".repeat(MAX_JSON + 1).as_bytes());
        assert_eq!(refused.unwrap_err(), too_large);
        assert_eq!(read(names::WORKSPACE_REPORT, b"x").unwrap_err().0, "malformed");
    }
}
