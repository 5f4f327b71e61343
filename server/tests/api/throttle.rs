//! How often somebody may try to sign in, and how many accounts one address may make.

use crate::common::{Answer, Client, PASSWORD, Server, Setup, sign_up};
use serde_json::{Value, json};

async fn sign_in(client: &Client, email: &str, password: &str) -> Answer {
    client.post("/api/auth/login", json!({ "email": email, "password": password })).await
}

/// The same from behind a proxy that says where the request came from.
async fn sign_in_from(client: &Client, ip: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    client.send(client.request("POST", "/api/auth/login").header("x-forwarded-for", ip).json(&body)).await
}

/// A server behind a proxy on this machine.
fn proxied() -> Setup {
    Setup::new().env("INSIGHTHUB_TRUSTED_PROXIES", "127.0.0.1")
}

/// The problem of a try too many, without what differs from request to request.
fn too_many(answer: &Answer) -> Value {
    let mut problem = answer.problem(429, "too_many_attempts");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(problem["retry_after"], seconds);
    assert!(answer.session_cookie().is_none());
    let named = format!("{seconds} second");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains(&named)), "{problem}");
    for differs in ["correlation_id", "retry_after", "detail"] {
        problem[differs].take();
    }
    problem
}

#[tokio::test]
async fn the_sixth_bad_try_in_a_minute_has_to_wait_whoever_is_meant() {
    let server = Server::start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    for _ in 0..5 {
        sign_in(&visitor, "ada@example.org", "Wrong1horse").await.problem(401, "wrong_credentials");
    }
    let known = too_many(&sign_in(&visitor, "ada@example.org", "Wrong1horse").await);
    let right = too_many(&sign_in(&visitor, "ada@example.org", PASSWORD).await);
    let unknown = too_many(&sign_in(&visitor, "nobody@example.org", "Wrong1horse").await);
    assert_eq!((&known, &known), (&right, &unknown), "the answer does not tell who exists");
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_throttled_like_one_that_does() {
    let server = Setup::new().env("INSIGHTHUB_TRUSTED_PROXIES", "127.0.0.1").start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    for email in ["ada@example.org", "nobody@example.org"] {
        for host in 1..=5 {
            // Five strangers, one try each: only the account adds up.
            let ip = format!("203.0.{}.{host}", email.len());
            sign_in_from(&visitor, &ip, email, "Wrong1horse").await.problem(401, "wrong_credentials");
        }
        too_many(&sign_in_from(&visitor, "198.51.100.7", email, "Wrong1horse").await);
    }
}

#[tokio::test]
async fn good_sign_ins_never_count() {
    let server = Server::start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    for _ in 0..4 {
        sign_in(&visitor, "ada@example.org", "Wrong1horse").await.problem(401, "wrong_credentials");
    }
    for _ in 0..8 {
        assert_eq!(sign_in(&visitor, "ada@example.org", PASSWORD).await.status, 200);
    }
    sign_in(&visitor, "ada@example.org", "Wrong1horse").await.problem(401, "wrong_credentials");
    too_many(&sign_in(&visitor, "ada@example.org", "Wrong1horse").await);
}

#[tokio::test]
async fn guesses_sent_at_the_same_moment_are_no_more_than_five() {
    let server = Server::start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    let tries = (0..20).map(|_| sign_in(&visitor, "ada@example.org", "Wrong1horse"));
    let answers = futures::future::join_all(tries).await;
    let wrong = answers.iter().filter(|a| a.status == 401).count();
    assert_eq!((wrong, answers.iter().filter(|a| a.status == 429).count()), (5, 15));
}

#[tokio::test]
async fn strangers_who_guess_do_not_lock_the_owner_out() {
    let server = Setup::new().env("INSIGHTHUB_TRUSTED_PROXIES", "127.0.0.1").start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    let home = "203.0.113.1";
    assert_eq!(sign_in_from(&visitor, home, "ada@example.org", PASSWORD).await.status, 200);
    for host in 1..=5 {
        let ip = format!("198.51.100.{host}");
        sign_in_from(&visitor, &ip, "ada@example.org", "Wrong1horse").await.problem(401, "wrong_credentials");
    }
    too_many(&sign_in_from(&visitor, "198.51.100.9", "ada@example.org", "Wrong1horse").await);
    assert_eq!(sign_in_from(&visitor, home, "ada@example.org", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn strangers_who_guess_lock_out_neither_who_signed_up_nor_who_signed_in_before_from_elsewhere() {
    let server = proxied().start().await;
    let visitor = server.visitor();
    let home = "203.0.113.1";
    let request = visitor.request("POST", "/api/auth/signup").header("x-forwarded-for", home);
    let mark = visitor.send(request.json(&sign_up("ada"))).await.device_cookie().expect("a mark");
    let burn = async |visitor: &Client| {
        for host in 1..=5 {
            let ip = format!("198.51.100.{host}");
            let answer = sign_in_from(visitor, &ip, "ada@example.org", "Wrong1horse").await;
            answer.problem(401, "wrong_credentials");
        }
        too_many(&sign_in_from(visitor, "198.51.100.9", "ada@example.org", "Wrong1horse").await);
    };
    burn(&visitor).await;
    assert_eq!(sign_in_from(&visitor, home, "ada@example.org", PASSWORD).await.status, 200);

    // On the way, and after the server was started again, the browser is known by its mark alone.
    let dir = server.dir.clone();
    drop(server);
    let server = proxied().dir(&dir).start().await;
    let visitor = server.visitor();
    burn(&visitor).await;
    let with_mark = |mark: String| Client { cookie: Some(mark), ..visitor.clone() };
    let away = "192.0.2.77";
    too_many(&sign_in_from(&visitor, away, "ada@example.org", PASSWORD).await);
    let (name, value) = mark.split_once('=').expect("a value");
    let forged = format!("{name}={}{}", if value.starts_with('0') { '1' } else { '0' }, &value[1..]);
    too_many(&sign_in_from(&with_mark(forged), away, "ada@example.org", PASSWORD).await);
    let answer = sign_in_from(&with_mark(mark.clone()), away, "ada@example.org", PASSWORD).await;
    assert_eq!(answer.status, 200);
    assert!(answer.device_cookie().is_some_and(|new| new != mark), "each sign-in leaves a mark of its own");

    // It is a mark of this account only, and whoever stole it has no more tries than anybody.
    too_many(&sign_in_from(&visitor, "198.51.100.1", "ada@example.org", "Wrong1horse").await);
    for _ in 0..5 {
        let answer =
            sign_in_from(&with_mark(mark.clone()), "198.51.100.1", "ada@example.org", "Wrong1horse").await;
        answer.problem(401, "wrong_credentials");
    }
    too_many(&sign_in_from(&with_mark(mark), "198.51.100.1", "ada@example.org", PASSWORD).await);
}

#[tokio::test]
async fn a_new_address_keeps_its_owners_mark() {
    let server = proxied().start().await;
    let ada = server.user("ada").await;
    let mail = "ada.lovelace@example.org";
    let answer = ada.patch("/api/auth/profile", json!({ "email": mail })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mark = answer.device_cookie().expect("a mark for the new address");
    assert!(ada.patch("/api/auth/profile", json!({ "full_name": "Ada" })).await.device_cookie().is_none());
    let visitor = server.visitor();
    for _ in 0..5 {
        sign_in_from(&visitor, "203.0.113.9", mail, "Wrong1horse").await.problem(401, "wrong_credentials");
    }
    too_many(&sign_in_from(&visitor, "203.0.113.9", mail, PASSWORD).await);
    let browser = Client { cookie: Some(mark), ..visitor.clone() };
    assert_eq!(sign_in_from(&browser, "203.0.113.9", mail, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_stranger_cannot_choose_an_address() {
    let server = Server::start().await;
    let visitor = server.visitor();
    for host in 1..=5 {
        let ip = format!("198.51.100.{host}");
        let email = format!("nobody{host}@example.org");
        sign_in_from(&visitor, &ip, &email, "Wrong1horse").await.problem(401, "wrong_credentials");
    }
    too_many(&sign_in_from(&visitor, "198.51.100.9", "nobody@example.org", "Wrong1horse").await);
}

#[tokio::test]
async fn the_form_without_a_script_says_the_same_sentence() {
    let server = Server::start().await;
    let visitor = server.visitor();
    for _ in 0..5 {
        sign_in(&visitor, "ada@example.org", "Wrong1horse").await.problem(401, "wrong_credentials");
    }
    let request = |accept: &'static str| {
        let request = visitor.request("POST", "/_fn/auth/sign_in").header("origin", &visitor.base);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("accept", accept).body("email=ada%40example.org&password=Wrong1horse")
    };
    let refused = visitor.send(request("text/html")).await;
    assert_eq!((refused.status, refused.header("location")), (302, "/signin"), "{refused:?}");
    assert!(refused.session_cookie().is_none());
    let flash = refused.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    // What travels through the browser meanwhile can neither be read there nor made up.
    assert!(
        flash.starts_with("insighthub_form=") && !flash.contains("ada") && !flash.contains("Too"),
        "{flash}"
    );
    let made_up = r#"insighthub_form={"values":{},"errors":{},"message":"Call this number."}"#;
    for forged in
        [made_up.to_owned(), flash.clone() + "A", flash.replace("insighthub_form=", "insighthub_form=A")]
    {
        let page = visitor.send(visitor.request("GET", "/signin").header("cookie", forged)).await;
        let html = String::from_utf8(page.body).expect("text");
        assert!(!html.contains("Call this number") && !html.contains("Too many"), "{html}");
    }
    let page = visitor.send(visitor.request("GET", "/signin").header("cookie", flash)).await;
    let html = String::from_utf8(page.body).expect("text");
    assert!(html.contains("Too many sign-ins failed. Try again in "), "{html}");

    let script = visitor.send(request("application/json")).await;
    assert_eq!((script.status, &script.json()["code"]), (429, &json!("too_many_attempts")));
}

#[tokio::test]
async fn one_address_makes_no_more_accounts_than_the_operator_allows() {
    let server = Setup::new().env("INSIGHTHUB_MAX_SIGN_UPS", "2").start().await;
    let visitor = server.visitor();
    for _ in 0..3 {
        // What the rules refuse makes no account.
        visitor.post("/api/auth/signup", json!({ "username": "x" })).await.problem(422, "invalid");
    }
    server.user("ada").await;
    server.user("ben").await;
    let answer = visitor.post("/api/auth/signup", sign_up("eve")).await;
    let problem = answer.problem(429, "too_many_sign_ups");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((3_000..=3_600).contains(&seconds), "{seconds}: {problem}");
    assert_eq!(
        sign_in(&visitor, "ada@example.org", PASSWORD).await.status,
        200,
        "signing in is another matter"
    );
}
