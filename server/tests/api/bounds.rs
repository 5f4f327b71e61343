//! Every field of an account's forms with every bound, through all three ways that it can come: the rules of the page, the
//! server function behind the form, and the REST body. They refuse the same values in the same words, and take the same.

use crate::common::{Client, PASSWORD, Server, in_millis, messages, sign_up};
use app::{rules, server_fns::settings::repeated};
use domain::{
    FieldErrors,
    api_key::{ApiKeyForm, MOST_DAYS},
    validate::{Invalid, Username},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

type Rule = fn(rules::Text<'_>) -> FieldErrors;

/// One way in: a form of a page and the route that does the same.
struct Way {
    rule: Option<Rule>,
    function: &'static str,
    method: &'static str,
    path: &'static str,
    /// Good values for all fields, in both. A list is one field `name[]` a value.
    good: fn() -> Value,
    /// Fields that the page alone has.
    page_only: &'static [&'static str],
}

const NEW: &str = "Better2horses";

const SIGN_UP: Way = Way {
    // It is plain HTML: the page has no rules of its own.
    rule: None,
    function: "/_fn/auth/sign_up",
    method: "POST",
    path: "/api/auth/signup",
    good: || {
        let mut form = sign_up("eve");
        form["full_name"] = json!("Eve");
        form
    },
    page_only: &[],
};
const PROFILE: Way = Way {
    rule: Some(rules::profile),
    function: "/_fn/settings/save_profile",
    method: "PATCH",
    path: "/api/auth/profile",
    good: || json!({ "full_name": "Ada", "email": "ada@example.org" }),
    page_only: &[],
};
const CHANGE_PASSWORD: Way = Way {
    rule: Some(rules::password),
    function: "/_fn/settings/change_password",
    method: "POST",
    path: "/api/auth/change-password",
    good: || json!({ "current_password": PASSWORD, "new_password": NEW, "repeated_password": NEW }),
    page_only: &["repeated_password"],
};
const PREFERENCES: Way = Way {
    rule: Some(rules::preferences),
    function: "/_fn/settings/save_preferences",
    method: "PATCH",
    path: "/api/auth/preferences",
    good: || json!({ "theme": "system", "density": "comfortable", "language": "en" }),
    page_only: &[],
};
const API_KEY: Way = Way {
    rule: Some(rules::api_key),
    function: "/_fn/settings/make_key",
    method: "POST",
    path: "/api/auth/api-keys",
    good: || json!({ "name": "Backup", "scopes": ["read"], "expires_in_days": 30 }),
    page_only: &[],
};
const LEAVE: Way = Way {
    rule: Some(rules::leave),
    function: "/_fn/settings/delete_account",
    method: "DELETE",
    path: "/api/auth/account",
    good: || json!({ "password": PASSWORD }),
    page_only: &[],
};

/// What a form sends for a value.
fn texts(form: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all = form.as_object().expect("a form").iter();
    all.flat_map(|(name, value)| match value {
        Value::Array(values) => values.iter().map(|v| (format!("{name}[]"), text(v))).collect(),
        Value::Null => vec![],
        value => vec![(name.clone(), text(value))],
    })
    .collect()
}

impl Way {
    /// The good form with these fields in it.
    fn with(&self, changes: &[(&str, Value)]) -> Value {
        let mut form = (self.good)();
        changes.iter().for_each(|(field, value)| form[*field] = value.clone());
        form
    }

    fn by_rule(&self, form: &Value) -> Option<FieldErrors> {
        let texts = texts(form);
        let text = |field: &str| {
            texts.iter().find(|(name, _)| name == field).map(|(_, text)| text.clone()).unwrap_or_default()
        };
        self.rule.map(|rule| rule(&text))
    }

    async fn by_function(&self, client: &Client, form: &Value) -> crate::common::Answer {
        let texts = texts(form);
        let fields: Vec<(&str, &str)> = texts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        client.submit(self.function, &fields).await
    }

    async fn by_rest(&self, client: &Client, form: &Value) -> crate::common::Answer {
        let mut body = form.clone();
        let fields: &mut Map<String, Value> = body.as_object_mut().expect("an object");
        fields.retain(|name, _| !self.page_only.contains(&name.as_str()));
        client.send(client.request(self.method, self.path).json(&body)).await
    }

    /// All ways refuse that in the same words, which are answered. The page cannot send what `by_page` denies.
    async fn refuses(&self, client: &Client, changes: &[(&str, Value)], at: &str, by_page: bool) -> Value {
        let form = self.with(changes);
        let problem = self.by_rest(client, &form).await.problem(422, "invalid");
        let errors = problem["errors"].clone();
        let only: Vec<&String> = errors.as_object().expect("errors").keys().collect();
        assert_eq!(only, [at], "{} {changes:?}: {errors}", self.path);
        assert!(!messages(&problem, at).is_empty(), "{problem}");
        let answer = self.by_function(client, &form).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"]),
            (422, &errors),
            "{} {changes:?}",
            self.function
        );
        if let Some(told) = self.by_rule(&form).filter(|_| by_page) {
            assert_eq!(serde_json::to_value(told).expect("errors"), errors, "{} {changes:?}", self.path);
        }
        errors
    }

    async fn takes(&self, client: &Client, changes: &[(&str, Value)]) {
        let form = self.with(changes);
        assert!(self.by_rule(&form).is_none_or(|errors| errors.is_empty()), "{} {changes:?}", self.path);
        let answer = self.by_rest(client, &form).await;
        assert!(answer.status < 300, "{} {changes:?}: {answer:?}", self.path);
        let answer = self.by_function(client, &form).await;
        assert_eq!(answer.status, 200, "{} {changes:?}: {answer:?}", self.function);
    }
}

fn long(n: usize) -> String {
    "a".repeat(n)
}

/// An address of that many characters.
fn address(name: char, length: usize) -> String {
    let part = |n: usize| name.to_string().repeat(n);
    let start = format!("{}@{}.{}.", part(64), part(63), part(63));
    let end = ".org";
    format!("{start}{}{end}", part(length - start.len() - end.len()))
}

fn names(bad: &[&str], longest: usize) -> Vec<String> {
    bad.iter().map(|text| (*text).to_owned()).chain([long(longest + 1)]).collect()
}

#[tokio::test]
async fn every_bad_value_of_an_account_is_told_in_the_same_words_by_page_function_and_route() {
    let server = Server::start().await;
    let (visitor, ada) = (server.visitor(), server.user("ada").await);
    for text in names(&["", "ab", "a b", "ada@x", "a\u{200b}b"], 50) {
        let errors = SIGN_UP.refuses(&visitor, &[("username", json!(text))], "username", true).await;
        let Err(Invalid(sentences)) = Username::parse(&text) else { panic!("{text:?} is good") };
        assert_eq!(errors, json!({ "username": sentences }));
    }
    let mut emails =
        names(&["", "ada", "ada@", "@x.org", "ada@x", "a b@x.org", "ada@-x.org", "ada@x..org"], 254);
    emails.push(address('a', 255));
    for text in emails {
        let changes = [("email", json!(text))];
        let first = SIGN_UP.refuses(&visitor, &changes, "email", true).await;
        assert_eq!(first, PROFILE.refuses(&ada, &changes, "email", true).await);
    }
    for text in names(&["\u{202e}ada", "a\u{7}", "\u{200b}"], 100) {
        let changes = [("full_name", json!(text))];
        let first = SIGN_UP.refuses(&visitor, &changes, "full_name", true).await;
        assert_eq!(first, PROFILE.refuses(&ada, &changes, "full_name", true).await);
    }
    for text in names(&["", "short", "Sh0rt", "lower1case", "UPPER1CASE", "NoDigits"], 128) {
        let first = SIGN_UP.refuses(&visitor, &[("password", json!(text))], "password", true).await;
        let both = [("new_password", json!(text)), ("repeated_password", json!(text))];
        let second = CHANGE_PASSWORD.refuses(&ada, &both, "new_password", true).await;
        assert_eq!(first["password"], second["new_password"], "{text:?}");
    }
    let same = [("new_password", json!(PASSWORD)), ("repeated_password", json!(PASSWORD))];
    CHANGE_PASSWORD.refuses(&ada, &same, "new_password", true).await;
    CHANGE_PASSWORD.refuses(&ada, &[("current_password", json!(""))], "current_password", true).await;
    LEAVE.refuses(&ada, &[("password", json!(""))], "password", true).await;
    for (field, wrong) in [("theme", "pink"), ("density", "huge"), ("language", "tlh")] {
        PREFERENCES.refuses(&ada, &[(field, json!(wrong))], field, true).await;
    }
    for text in names(&["", " ", "\u{202e}key"], 60) {
        API_KEY.refuses(&ada, &[("name", json!(text))], "name", true).await;
    }
    for days in [0, -1, MOST_DAYS + 1, i64::MAX] {
        API_KEY.refuses(&ada, &[("expires_in_days", json!(days))], "expires_in_days", true).await;
    }
    API_KEY.refuses(&ada, &[("scopes", json!([]))], "scopes", true).await;
    // A page has a box for each scope that there is.
    API_KEY.refuses(&ada, &[("scopes", json!(["read", "everything"]))], "scopes", false).await;

    // What only the page has: the password once more.
    let form = CHANGE_PASSWORD.with(&[("repeated_password", json!("Another3horses"))]);
    let expected =
        serde_json::to_value(repeated(NEW, "Another3horses").expect_err("differs")).expect("errors");
    let told = CHANGE_PASSWORD.by_rule(&form).expect("a rule");
    assert_eq!(serde_json::to_value(told).expect("errors"), expected);
    let answer = CHANGE_PASSWORD.by_function(&ada, &form).await;
    assert_eq!((answer.status, &answer.json()["errors"]), (422, &expected));
    // What no page can know: whether the password is the right one.
    for (way, field) in [(CHANGE_PASSWORD, "current_password"), (LEAVE, "password")] {
        let form = way.with(&[(field, json!("Wrong1horse"))]);
        let problem = way.by_rest(&ada, &form).await.problem(403, "wrong_password");
        let answer = way.by_function(&ada, &form).await;
        assert_eq!((answer.status, &answer.json()["errors"]), (403, &problem["errors"]), "{field}");
    }
    // What only the route has: a moment.
    for (at, days) in [
        ("soon".to_owned(), None),
        ("2001-01-01T00:00:00Z".to_owned(), None),
        (in_millis((MOST_DAYS * 86_400 + 60) * 1_000), None),
        (in_millis(60_000), Some(1)),
    ] {
        let form = ApiKeyForm {
            name: "Backup".into(),
            scopes: vec!["read".into()],
            expires_in_days: days,
            expires_at: Some(at),
        };
        let told = form.check(domain::Timestamp::parse(&in_millis(0)).expect("now")).expect_err("refused");
        let body = serde_json::to_value(&form).expect("a body");
        let problem = ada.post(API_KEY.path, body).await.problem(422, "invalid");
        assert_eq!(problem["errors"], serde_json::to_value(told).expect("errors"), "{form:?}");
        assert!(!messages(&problem, "expires_at").is_empty());
    }
    // The choices of what is told: they are boxes, so a page sends nothing but these two.
    for part in ["done", "failed", "stalled", "sign_ins", "desktop"] {
        let body = json!({ "notifications": { part: "perhaps" } });
        let problem = ada.patch(PREFERENCES.path, body).await.problem(422, "invalid");
        assert_eq!(messages(&problem, &format!("notifications.{part}")).len(), 1, "{problem}");
        let answer = ada.submit("/_fn/settings/save_notifications", &[(part, "perhaps")]).await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }

    // Nothing of it was done.
    let me = ada.read("/api/auth/me").await;
    assert_eq!(
        (&me["full_name"], &me["email"], &me["theme"]),
        (&Value::Null, &json!("ada@example.org"), &json!("system"))
    );
    assert_eq!(me["notifications"]["failed"], true);
    assert_eq!(ada.read("/api/auth/api-keys").await["items"], json!([]));
}

#[tokio::test]
async fn each_bound_itself_is_taken_by_page_function_and_route() {
    let server = Server::start().await;
    let (visitor, mut ada) = (server.visitor(), server.user("ada").await);
    for (name, password) in
        [("abc".to_owned(), "Aa345678".to_owned()), (long(50), format!("Aa1{}", long(125)))]
    {
        let email = if name.len() < 50 { format!("{name}@example.org") } else { address('b', 254) };
        let form = SIGN_UP.with(&[
            ("username", json!(name)),
            ("email", json!(email)),
            ("password", json!(password)),
            ("full_name", json!(long(100))),
        ]);
        let made = SIGN_UP.by_rest(&visitor, &form).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let whole = SIGN_UP.with(&[("username", json!("x-_9")), ("email", json!(address('c', 254)))]);
    assert_eq!(SIGN_UP.by_function(&visitor, &whole).await.status, 200);
    PROFILE.takes(&ada, &[("full_name", json!(long(100))), ("email", json!(address('d', 254)))]).await;
    PROFILE.takes(&ada, &[("full_name", json!("")), ("email", json!("a@b.co"))]).await;
    for (theme, density) in [("light", "compact"), ("dark", "comfortable"), ("system", "comfortable")] {
        PREFERENCES.takes(&ada, &[("theme", json!(theme)), ("density", json!(density))]).await;
    }
    let all = json!(["read", "write", "chat", "status:write"]);
    for (name, scopes, days) in [
        ("k".to_owned(), json!(["read"]), json!(1)),
        (long(60), all, json!(MOST_DAYS)),
        ("ever".into(), json!(["chat"]), Value::Null),
    ] {
        let changes = [("name", json!(name)), ("scopes", scopes), ("expires_in_days", days)];
        assert!(
            API_KEY.by_rule(&API_KEY.with(&changes)).is_some_and(|errors| errors.is_empty()),
            "{changes:?}"
        );
        let made = API_KEY.by_rest(&ada, &API_KEY.with(&changes)).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        ada.delete(&format!("{}/{id}", API_KEY.path)).await;
        assert_eq!(API_KEY.by_function(&ada, &API_KEY.with(&changes)).await.status, 200, "{changes:?}");
    }
    let latest = in_millis((MOST_DAYS * 86_400 - 60) * 1_000);
    let body = json!({ "name": "latest", "scopes": ["read"], "expires_at": latest });
    assert_eq!(ada.post(API_KEY.path, body).await.status, 201);
    let longest = format!("Aa1{}", long(125));
    for (now, new) in [(PASSWORD, "Aa345678"), ("Aa345678", longest.as_str())] {
        let changes = [
            ("current_password", json!(now)),
            ("new_password", json!(new)),
            ("repeated_password", json!(new)),
        ];
        let form = CHANGE_PASSWORD.with(&changes);
        assert!(CHANGE_PASSWORD.by_rule(&form).is_some_and(|errors| errors.is_empty()), "{new}");
        let answer = CHANGE_PASSWORD.by_function(&ada, &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        ada.cookie = answer.session_cookie();
    }
    let gone = LEAVE.by_rest(&ada, &LEAVE.with(&[("password", json!(longest))])).await;
    assert_eq!(gone.status, 202, "{gone:?}");
}

/// A field that is new in the interface has to come into the table above.
#[tokio::test]
async fn the_table_has_every_field_of_the_interface() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let table: [(&Way, &[&str]); 6] = [
        (&SIGN_UP, &[]),
        (&PROFILE, &[]),
        (&CHANGE_PASSWORD, &[]),
        (&PREFERENCES, &["notifications"]),
        (&API_KEY, &["expires_at"]),
        (&LEAVE, &[]),
    ];
    for (way, more) in table {
        let operation = &api["paths"][way.path][way.method.to_lowercase()];
        let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if let Some(reference) = schema["$ref"].as_str() {
            schema = api.pointer(reference.trim_start_matches('#')).expect("a schema");
        }
        let told: BTreeSet<&str> =
            schema["properties"].as_object().expect("fields").keys().map(String::as_str).collect();
        let good = (way.good)();
        let known: BTreeSet<&str> = good
            .as_object()
            .expect("fields")
            .keys()
            .map(String::as_str)
            .filter(|name| !way.page_only.contains(name))
            .chain(more.iter().copied())
            .collect();
        assert_eq!(told, known, "{}", way.path);
    }
}
