//! What lies in the durable queues, for an operator.

use super::{
    Lost, PATIENCE, RabbitBus, Url,
    names::Names,
    outside::{COUNT, ROUTING_KEY, given_back},
};
use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties,
    message::BasicGetMessage,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
        QueueDeleteOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::{convert::Infallible, time::Duration};
use tokio::time::{sleep, timeout};

/// How often the queues are counted for the metrics.
const EVERY: Duration = Duration::from_secs(15);
/// Reasons that are told: as many as `insighthub check` names of anything.
const TOLD: usize = 20;
/// A look is a delivery without an answer, and of those a broker bears 20 from version 4 on, whether anybody said so or not; then
/// the message is gone. One that came back so often goes behind the others, as a message that never did.
const LOOKS: i64 = 10;

/// What an operator wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Messages that nobody could use.
    pub dead: u32,
    /// Of the oldest of them, by which key each came and why it was refused.
    pub reasons: Vec<String>,
    /// Where they lie.
    pub dead_queue: String,
    /// Reports of outside workers that wait.
    pub reports: u32,
}

/// Looks at the broker once; nothing is lost by that, however often somebody looks.
///
/// # Errors
/// In words, when the broker cannot be reached. They hold no password.
pub async fn standing(url: Url, exchange: &str) -> Result<Standing, String> {
    let names = Names { exchange: exchange.to_owned() };
    let looked = async {
        let connection = Connection::connect_uri(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let mut found = Standing { dead_queue: names.dead(), ..Standing::default() };
        // Where there is no such queue, no server was here yet.
        let Ok(dead) = length(&channel, names.dead()).await else { return Ok(found) };
        found.dead = dead;
        found.reports = length(&channel, names.reports()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut worn = vec![];
        while found.reasons.len() < TOLD {
            let taken = channel.basic_get(names.dead().into(), BasicGetOptions::default()).await?;
            let Some(letter) = taken else { break };
            found.reasons.push(reason(&letter));
            if given_back(&letter) >= LOOKS {
                worn.push(letter);
            }
        }
        for letter in worn {
            renew(&channel, names.dead(), &letter).await?;
        }
        // Without an answer all of them go back into their queue, to the places that they had.
        channel.close(200, "looked".into()).await?;
        Ok::<_, lapin::Error>(found)
    };
    in_time(looked).await
}

/// Takes away what outside workers reported and nobody heard yet: it is about a state of the database that is lost. They hear
/// again of all that waits for them, or that they had begun by then. Answers how many reports there were.
///
/// # Errors
/// As those of [`standing`].
pub async fn forget_reports(url: Url, exchange: &str) -> Result<u32, String> {
    let names = Names { exchange: exchange.to_owned() };
    in_time(async {
        let connection = Connection::connect_uri(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        // Where there is no such queue, no server was here yet.
        if length(&channel, names.reports()).await.is_err() {
            return Ok(0);
        }
        let reports = channel.queue_purge(names.reports().into(), QueuePurgeOptions::default()).await?;
        // The next server finds no queue there, as at a broker that was wiped, and tells them.
        channel.queue_delete(names.reports().into(), QueueDeleteOptions::default()).await?;
        Ok::<_, lapin::Error>(reports)
    })
    .await
}

async fn in_time<T>(asking: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("the broker cannot be asked: {error}")),
        Err(_) => Err("the broker did not answer in time".to_owned()),
    }
}

/// Puts a copy behind the others, and takes the letter away once it is there. Cut off in between, there are two of it.
async fn renew(channel: &Channel, queue: String, letter: &BasicGetMessage) -> lapin::Result<()> {
    let mut headers = FieldTable::default();
    for (name, value) in letter.properties.headers().iter().flatten() {
        if name.as_str() != COUNT {
            headers.insert(name.clone(), value.clone());
        }
    }
    // Straight into its queue, past everybody else at that exchange; so this has to say what the key was.
    if !headers.contains_key(ROUTING_KEY) {
        headers.insert(ROUTING_KEY.into(), AMQPValue::LongString(letter.routing_key.as_str().into()));
    }
    let properties = letter.properties.clone().with_headers(headers).with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), queue.into(), options, &letter.data, properties).await?;
    if let Confirmation::Ack(None) = sent.await? {
        letter.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

fn reason(letter: &BasicGetMessage) -> String {
    let header = |name: &str| match letter.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    };
    let key = header(ROUTING_KEY).unwrap_or_else(|| letter.routing_key.to_string());
    let why = header("x-reason").unwrap_or_else(|| "it was delivered too often without an answer".to_owned());
    format!("{key}: {why}")
}

async fn length(channel: &Channel, queue: String) -> lapin::Result<u32> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    Ok(channel.queue_declare(queue.into(), passive, FieldTable::default()).await?.message_count())
}

impl RabbitBus {
    /// Counts the queues for the metrics, for as long as the connection holds.
    pub(super) async fn count(&self, connection: &Connection) -> Result<Infallible, Lost> {
        let channel = connection.create_channel().await?;
        loop {
            for (name, queue) in [
                ("insighthub_broker_dead_letters", self.names.dead()),
                ("insighthub_outside_reports_waiting", self.names.reports()),
            ] {
                metrics::gauge!(name).set(f64::from(length(&channel, queue).await?));
            }
            sleep(EVERY).await;
        }
    }
}
