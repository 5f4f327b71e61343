//! How servers come to their broker: over TLS, all of them to one exchange, and what is said where they cannot.

use crate::{
    broker::{Installation, broker_check, broker_of_the_run, is_heard_over_the_broker, moved},
    common::{Setup, eventually},
};
use measure::broker::Broker;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The files of an authority that nobody knows, and of what it signed for this machine.
struct Certified {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certified {
    fn at(folder: &Path) -> Self {
        let kept = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            CertificateParams::new(names).expect("names")
        };
        let mut of_authority = names(&[]);
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signer = KeyPair::generate().expect("a key");
        let authority = of_authority.self_signed(&signer).expect("signed by itself").pem();
        let issuer = Issuer::from_params(&of_authority, signer);
        let own = KeyPair::generate().expect("a key");
        let signed = names(&["localhost"]).signed_by(&own, &issuer).expect("signed").pem();
        Self {
            authority: kept("authority.pem", authority),
            certificate: kept("localhost.pem", signed),
            key: kept("localhost.key", own.serialize_pem()),
        }
    }
}

#[tokio::test]
async fn a_broker_is_reached_over_tls_by_servers_that_know_who_signed_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let Certified { authority, certificate, key } = Certified::at(folder.path());
    let start = move || Broker::start_with_tls(&certificate, &key).expect("a broker");
    let broker = tokio::task::spawn_blocking(start).await.expect("started");
    let installation = Installation::at(broker.tls_url().expect("an address")).await;
    let authority = authority.display().to_string();
    let knowing = |setup: Setup| setup.env("SSL_CERT_FILE", authority.as_str());
    let (here, there) =
        (installation.node_with("web", knowing).await, installation.node_with("web", knowing).await);
    let ada = here.user("ada").await;
    let mut socket = moved(&ada, &there).socket().await;
    socket.hello(Value::Null, Value::Null).await;
    is_heard_over_the_broker(&ada, &mut socket).await;

    // Whoever does not know that authority tells nobody a password there.
    let stranger = installation.setup(&["serve", "--role", "web"]).start().await;
    let away = eventually("it was tried", async || {
        let check = broker_check(&stranger.visitor()).await;
        let words = check["detail"].as_str().unwrap_or_default();
        (check["ok"] == true || !words.contains("not reached yet")).then_some(check)
    })
    .await;
    assert_eq!(away["ok"], false, "{away}");
    assert_eq!(broker_check(&there.visitor()).await["ok"], true);
}

#[tokio::test]
async fn servers_that_would_hear_of_each_other_by_different_exchanges_say_so() {
    const SAID: &str = "another server hears of changes by something else";
    let installation = Installation::new().await;
    let here = installation.node("web").await;
    let _same = installation.node("web").await;
    let ada = here.user("ada").await;
    assert!(!here.log().contains(SAID));
    let other = format!("{}-other", installation.exchange());
    let there = installation.node_with("web", |setup| setup.env("RABBITMQ_EXCHANGE", other.as_str())).await;
    let line = eventually("it is told", async || {
        here.log().lines().find(|line| line.contains(SAID)).map(str::to_owned)
    })
    .await;
    assert!(line.contains(&format!("the exchange {} in", installation.exchange())), "{line}");
    assert!(line.contains(&format!("the exchange {other} in")), "{line}");
    // Late, and not lost.
    let mut socket = moved(&ada, &there).socket().await;
    socket.hello(Value::Null, Value::Null).await;
    assert_eq!(ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await.status, 200);
    socket.events_until(|event| event["data"]["user"]["theme"] == "dark").await;
}

#[tokio::test]
async fn why_the_broker_cannot_be_used_is_in_the_log_and_no_password() {
    let broker = broker_of_the_run();
    let (before, behind) = broker.rsplit_once('@').expect("an address with a password");
    let (user, _) = before.rsplit_once(':').expect("a password");
    let installation = Installation::at(format!("{user}:of-yesterday@{behind}")).await;
    let server = installation.setup(&["serve", "--role", "web"]).start().await;
    let line = eventually("it was refused", async || {
        server.log().lines().find(|line| line.contains("the broker is away")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("refused"), "{line}");
    let check = broker_check(&server.visitor()).await;
    assert_eq!(check["ok"], false, "{check}");
    assert!(!server.log().contains("of-yesterday") && !check.to_string().contains("of-yesterday"), "{check}");
    // It was never there, so it was not lost either.
    let metrics = String::from_utf8(server.visitor().get("/metrics").await.body).expect("text");
    assert!(metrics.contains("insighthub_broker_up 0"), "{metrics}");
    assert!(!metrics.contains("insighthub_broker_losses_total"), "{metrics}");
}
