//! What is declared at the broker. All of it is declared again after each cut, so a broker that was wiped is whole again.

use super::names::{self, Names};
use lapin::{
    Channel, Connection, ExchangeKind,
    options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

/// Reports that were refused are kept up to this number; then the oldest go.
const DEAD: i64 = 10_000;
/// Calls to work that wait: each of them only says that somebody should look.
const CALLS: i64 = 256;
/// Events that may wait for a node; then it misses some, and reads the log.
const FOR_NODE: i64 = 50_000;
/// After so many deliveries without an answer a message is put aside: it may be what ends whoever takes it.
const DELIVERIES: i64 = 20;

/// Declares what all nodes share. Answers whether the broker was empty: new, or wiped.
pub(super) async fn shared(connection: &Connection, names: &Names) -> lapin::Result<bool> {
    // A passive declaration of what is not there closes its channel, so it gets one of its own.
    let probe = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let empty = probe.queue_declare(names.reports().into(), passive, FieldTable::default()).await.is_err();
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    for (exchange, kind) in
        [(names.exchange.clone(), ExchangeKind::Topic), (names.dead(), ExchangeKind::Fanout)]
    {
        channel.exchange_declare(exchange.into(), kind, durable, FieldTable::default()).await?;
    }
    queue(&channel, names.dead(), &[("x-max-length", long(DEAD))]).await?;
    bind(&channel, names.dead(), names.dead(), "").await?;
    let dead = long_string(&names.dead());
    // One consumer at a time, so that reports about one document stay in order; another one takes over by itself.
    let for_reports = [
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ("x-dead-letter-exchange", dead.clone()),
        ("x-delivery-limit", long(DELIVERIES)),
    ];
    queue(&channel, names.reports(), &for_reports).await?;
    for key in [names::DOCUMENT_REPORT, names::WORKSPACE_REPORT] {
        bind(&channel, names.reports(), names.exchange.clone(), key).await?;
    }
    let for_work = [
        ("x-dead-letter-exchange", dead),
        ("x-delivery-limit", long(DELIVERIES)),
        ("x-max-length", long(CALLS)),
        ("x-overflow", long_string("reject-publish")),
    ];
    queue(&channel, names.work(), &for_work).await?;
    bind(&channel, names.work(), names.exchange.clone(), names::WORK_READY).await?;
    channel.close(200, "declared".into()).await?;
    Ok(empty)
}

/// Declares the queue of one node, which goes with its connection, and reads from it.
pub(super) async fn node(
    channel: &Channel,
    names: &Names,
    node: &str,
    keys: &[&str],
) -> lapin::Result<lapin::Consumer> {
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let arguments = table(&[("x-max-length", long(FOR_NODE))]);
    channel.queue_declare(names.node(node).into(), options, arguments).await?;
    for key in keys {
        bind(channel, names.node(node), names.exchange.clone(), key).await?;
    }
    let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(names.node(node).into(), node.into(), options, FieldTable::default()).await
}

/// A durable queue that is kept on a majority of the broker's own nodes.
async fn queue(channel: &Channel, name: String, arguments: &[(&str, AMQPValue)]) -> lapin::Result<()> {
    let mut all = table(arguments);
    all.insert("x-queue-type".into(), long_string("quorum"));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, all).await.map(drop)
}

async fn bind(channel: &Channel, queue: String, exchange: String, key: &str) -> lapin::Result<()> {
    channel
        .queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
}

fn table(arguments: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    table
}

const fn long(n: i64) -> AMQPValue {
    AMQPValue::LongLongInt(n)
}

fn long_string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
