//! What runs at a broker: the servers of an installation, and workers of somebody's own.

use crate::{
    common::{Client, Home, PATIENCE, Server, Setup, Socket, eventually},
    servers::database::Place,
};
use futures::StreamExt;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// An installation: its database, the folder of its files, and where its broker is.
pub(crate) struct Installation {
    database: String,
    /// Where the database is one of those that the test run makes.
    pub(super) place: Option<Place>,
    dir: Arc<Home>,
    broker: String,
    exchange: String,
}

impl Installation {
    /// At the broker that the test run started.
    pub(crate) async fn new() -> Self {
        Self::at(broker_of_the_run()).await
    }

    /// At a broker that is the test's own.
    pub(crate) async fn at(broker: String) -> Self {
        let place = Place::postgres().await;
        let installation = Self::of(place.url(), broker);
        Self { place: Some(place), ..installation }
    }

    /// At the broker that the test run started, and on a PostgreSQL that is the test's own.
    pub(crate) fn on(database: String) -> Self {
        Self::of(database, broker_of_the_run())
    }

    fn of(database: String, broker: String) -> Self {
        let dir = Home::new();
        // No other test has a folder of that name.
        let exchange = dir.path().file_name().expect("a name").to_string_lossy().replace('.', "t");
        Self { database, place: None, dir, broker, exchange }
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn broker(&self) -> &str {
        &self.broker
    }

    pub(crate) fn exchange(&self) -> &str {
        &self.exchange
    }

    pub(crate) fn setup(&self, args: &[&'static str]) -> Setup {
        Setup::new()
            .dir(&self.dir)
            .env("DATABASE_URL", self.database.clone())
            .env("RABBITMQ_URL", self.broker.clone())
            .env("RABBITMQ_EXCHANGE", self.exchange.clone())
            .args(args)
    }

    pub(crate) async fn node(&self, role: &'static str) -> Server {
        self.node_with(role, |setup| setup).await
    }

    pub(crate) async fn node_with(&self, role: &'static str, change: impl FnOnce(Setup) -> Setup) -> Server {
        let server = change(self.setup(&["serve", "--role", role])).start().await;
        eventually("it is connected to the broker", async || {
            broker_check(&server.visitor()).await["ok"].as_bool().filter(|ok| *ok)
        })
        .await;
        server
    }

    pub(super) async fn reporter(&self) -> Reporter {
        let connection = lapin::Connection::connect(&self.broker, lapin::ConnectionProperties::default());
        let connection = connection.await.expect("connected");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.expect("confirms");
        Reporter { _connection: connection, channel, exchange: self.exchange.clone() }
    }
}

/// A worker of somebody's own, as far as it hears of documents.
pub(super) struct Listener {
    _connection: lapin::Connection,
    _channel: lapin::Channel,
    messages: lapin::Consumer,
}

impl Listener {
    pub(super) async fn at(installation: &Installation) -> Self {
        let connection =
            lapin::Connection::connect(&installation.broker, lapin::ConnectionProperties::default());
        let connection = connection.await.expect("connected");
        let channel = connection.create_channel().await.expect("a channel");
        let queue = format!("{}-listener", installation.exchange);
        let (nothing, exclusive) = (
            lapin::types::FieldTable::default,
            lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() },
        );
        channel.queue_declare(queue.as_str().into(), exclusive, nothing()).await.expect("a queue");
        let (exchange, key) = (installation.exchange.as_str().into(), "document.uploaded".into());
        let bound = channel.queue_bind(
            queue.as_str().into(),
            exchange,
            key,
            lapin::options::QueueBindOptions::default(),
            nothing(),
        );
        bound.await.expect("bound");
        let options = lapin::options::BasicConsumeOptions { no_ack: true, ..Default::default() };
        let messages =
            channel.basic_consume(queue.as_str().into(), "listener".into(), options, nothing()).await;
        Self { _connection: connection, _channel: channel, messages: messages.expect("it listens") }
    }

    /// The id of the next document that it is told of.
    pub(super) async fn document(&mut self) -> String {
        let next = tokio::time::timeout(PATIENCE, self.messages.next()).await;
        let message = next.expect("in time").expect("a message").expect("whole");
        let told: Value = serde_json::from_slice(&message.data).expect("JSON");
        told["document_id"].as_str().expect("an id").to_owned()
    }
}

/// A worker of somebody's own, as far as it reports over the broker.
pub(super) struct Reporter {
    _connection: lapin::Connection,
    channel: lapin::Channel,
    exchange: String,
}

impl Reporter {
    /// Until the broker has it.
    pub(super) async fn say(&self, body: Value) {
        let options = lapin::options::BasicPublishOptions::default();
        let (exchange, key) = (self.exchange.as_str().into(), "document.status.report".into());
        let properties = lapin::BasicProperties::default();
        let body = body.to_string();
        let sent = self.channel.basic_publish(exchange, key, options, body.as_bytes(), properties).await;
        drop(sent.expect("sent").await.expect("confirmed"));
    }
}

pub(crate) fn broker_of_the_run() -> String {
    std::env::var("INSIGHTHUB_TEST_RABBITMQ_URL").expect(
        "INSIGHTHUB_TEST_RABBITMQ_URL is not set; run the tests with `cargo xtask test`, which starts a RabbitMQ for them",
    )
}

/// The same person at another server.
pub(crate) fn moved(client: &Client, to: &Server) -> Client {
    Client { base: to.base.clone(), ..client.clone() }
}

pub(crate) async fn broker_check(client: &Client) -> Value {
    let ready = client.get("/health/ready").await.json();
    let checks = ready["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "broker").expect("the check").clone()
}

/// That what somebody changes comes to a stream at another server over the broker. A look into the log, of which there is one
/// in ten seconds, would tell of six changes that wait for one another in fifty at the earliest.
pub(crate) async fn is_heard_over_the_broker(client: &Client, socket: &mut Socket) {
    let changes = async {
        for theme in ["dark", "light", "dark", "light", "dark", "light"] {
            assert_eq!(client.patch("/api/auth/preferences", json!({ "theme": theme })).await.status, 200);
            socket.events_until(|event| event["data"]["user"]["theme"] == theme).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), changes).await.expect("over the broker");
}
