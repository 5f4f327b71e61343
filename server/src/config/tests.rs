use super::*;

fn raw(values: &[(&'static str, &str)]) -> Raw {
    Raw(values.iter().map(|(k, v)| (*k, ((*v).to_owned(), Source::Default))).collect())
}

#[test]
fn every_setting_has_a_default_that_is_right() {
    let config = raw(&[]).check().expect("defaults");
    assert_eq!(config.addr.port(), 3000);
    assert_eq!(config.database_url, "sqlite:./data/insighthub.db");
    assert_eq!(config.limits.file_bytes, 104_857_600);
    assert!(config.public_url.is_none());
    assert_eq!((config.pgvector, config.vector_cache), (true, 512 << 20));
}

#[test]
fn a_wrong_value_is_named_with_its_setting() {
    for (key, value) in [
        ("addr", "here"),
        ("public_url", "insight.example.org"),
        ("public_url", "https://insight.example.org/app"),
        ("max_file_bytes", "0"),
        ("max_files", "many"),
        ("log_format", "xml"),
        ("max_sign_ups", "-1"),
        ("max_streams", "0"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("crawl_allow", "10.0.0.0/33"),
        ("llm_file_names", "perhaps"),
        ("pgvector", "perhaps"),
        ("vector_cache_bytes", "512 MB"),
    ] {
        let said = raw(&[(key, value)]).check().expect_err(key).to_string();
        assert!(said.contains(key) && said.contains(value), "{said}");
    }
    let broker = ("rabbitmq_url", "amqp://localhost");
    let said = raw(&[broker, ("rabbitmq_exchange", "two words")]).check().expect_err("a name").to_string();
    assert!(said.contains("rabbitmq_exchange") && said.contains("two words"), "{said}");
    let said = raw(&[("rabbitmq_url", "http://ada:secret@mq")]).check().expect_err("a scheme").to_string();
    assert!(said.contains("rabbitmq_url") && said.contains("amqp://") && !said.contains("secret"), "{said}");
    // It may hold a password, so the value itself is not shown.
    let said = raw(&[("embeddings_url", "localhost:11434")]).check().expect_err("an address").to_string();
    assert!(said.contains("embeddings_url") && said.contains("http://127.0.0.1:11434"), "{said}");
    let collector = ("otlp_endpoint", "http://localhost:4318");
    for (key, value) in [("otlp_protocol", "grpc"), ("otlp_sampler", "xray"), ("otlp_sampler_arg", "2")] {
        let said = raw(&[collector, (key, value)]).check().expect_err(key).to_string();
        assert!(said.contains(key) && said.contains(value), "{said}");
    }
    let said = raw(&[collector, ("otlp_headers", "secret")]).check().expect_err("a header").to_string();
    assert!(said.contains("otlp_headers") && !said.contains("secret"), "{said}");
    let said = raw(&[("llm_url", "http://localhost:11434")]).check().expect_err("no model").to_string();
    assert!(said.contains("llm_model") && said.contains("LLM_URL"), "{said}");
}

#[test]
fn files_lie_in_the_data_directory_unless_a_bucket_is_named() {
    let config = raw(&[]).check().expect("defaults");
    assert!(matches!(&config.files, FilePlace::Folder(folder) if folder.as_os_str() == "./data/files"));
    // What belongs to a bucket means nothing without one, since other programs may have set it.
    let keys = [("s3_access_key", "AKIA1"), ("s3_secret_key", "hush"), ("s3_session_token", "hush")];
    assert!(matches!(raw(&keys[..1]).check().expect("right").files, FilePlace::Folder(_)));
    let mut all = vec![("blob_url", "s3://files/hub"), ("s3_endpoint", "http://127.0.0.1:9000/")];
    all.extend(keys);
    let raw_all = raw(&all);
    let config = raw_all.check().expect("right");
    let FilePlace::Bucket(server) = &config.files else { panic!("{:?}", config.files) };
    assert_eq!((&*server.bucket, &*server.prefix, &*server.region), ("files", "hub", "us-east-1"));
    assert_eq!(server.keys.as_ref().map(|keys| &*keys.id), Some("AKIA1"));
    let shown = raw_all.describe(&config);
    assert!(shown.contains("s3_access_key = AKIA1") && shown.contains("s3_secret_key = …"), "{shown}");
    assert!(!shown.contains("hush") && !format!("{config:?}").contains("hush"), "{shown}");

    let half = raw(&[("blob_url", "s3://files"), ("s3_access_key", "AKIA1")]);
    let said = half.check().expect_err("no secret").to_string();
    assert!(said.contains("s3_secret_key") && said.contains("belong together"), "{said}");
    for (key, value) in [("blob_url", "https://files"), ("s3_endpoint", "127.0.0.1:9000")] {
        let said = raw(&[("blob_url", "s3://files"), (key, value)]).check().expect_err(key).to_string();
        assert!(said.contains(key) && said.contains(value), "{said}");
    }
}

#[test]
fn a_public_url_becomes_the_origin_that_browsers_send() {
    let parse = |s: &str| s.parse::<PublicUrl>().map(|u| (u.https, u.origin));
    assert_eq!(parse("https://Insight.Example.org:443/"), Ok((true, "https://insight.example.org".into())));
    assert_eq!(parse("http://localhost:3000"), Ok((false, "http://localhost:3000".into())));
}

#[test]
fn the_environment_goes_before_the_file_and_secrets_are_masked() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(FILE), "max_files = 7\nsession_days = 3\n").expect("written");
    let env = |name: &str| match name {
        "INSIGHTHUB_DATA_DIR" => Some(dir.path().display().to_string()),
        "INSIGHTHUB_MAX_FILES" => Some("9".to_owned()),
        "DATABASE_URL" => Some("postgres://ada:hush@db:5432/hub?password=hush".to_owned()),
        "RABBITMQ_URL" => Some("amqps://ada:hush@mq.example.org/hub".to_owned()),
        "EMBEDDINGS_URL" => Some("https://ada:hush@models.example.org".to_owned()),
        "EMBEDDINGS_KEY" => Some("sk-hush".to_owned()),
        "LLM_URL" => Some("https://ada:hush@models.example.org/v1".to_owned()),
        "LLM_MODEL" => Some("llama3".to_owned()),
        "LLM_KEY" => Some("sk-hush".to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://ada:hush@otel.example.org".to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("api-key=hush".to_owned()),
        "EMBEDDINGS_MODELS" => Some(" one, two:v1.5,".to_owned()),
        _ => None,
    };
    let raw = Raw::read(env).expect("read");
    let config = raw.check().expect("right");
    assert_eq!((config.limits.files, config.limits.session_days), (9, 3));
    let broker = config.broker.as_ref().expect("a broker");
    assert_eq!((broker.url.vhost.as_str(), broker.exchange.as_str()), ("hub", "insighthub"));
    assert_eq!(config.embeddings.as_ref().map(|e| e.models.join("|")).as_deref(), Some("one|two:v1.5"));
    let traces = config.traces.as_ref().expect("a collector");
    assert_eq!((traces.service.as_str(), traces.headers.len()), ("insighthub", 1));
    assert!(!format!("{config:?}").contains("@otel"), "{config:?}");
    let shown = raw.describe(&config);
    assert!(shown.contains("postgres://ada:…@db:5432/hub?…") && !shown.contains("hush"), "{shown}");
    assert!(shown.contains("from environment INSIGHTHUB_MAX_FILES"), "{shown}");
    assert!(shown.lines().filter(|l| !l.starts_with(' ')).count() == SETTINGS.len(), "{shown}");
}

#[test]
fn traces_are_made_where_a_collector_is_set_and_some_are_to_be_sent() {
    let collector = ("otlp_endpoint", "http://localhost:4318");
    let traces = |more: &[(&'static str, &str)]| {
        raw(&[&[collector][..], more].concat())
            .check()
            .expect("right")
            .traces
            .map(|collector| collector.share)
    };
    assert!(raw(&[("otlp_sampler", "always_on")]).check().expect("right").traces.is_none());
    assert_eq!(traces(&[]), Some(Share::ALL));
    // The number is that of the sampler which takes a part.
    assert_eq!(traces(&[("otlp_sampler_arg", "0")]), Some(Share::ALL));
    assert_eq!(traces(&[("otlp_sampler", "always_off")]), None);
    let part = ("otlp_sampler", "parentbased_traceidratio");
    assert_eq!(traces(&[part]), Some(Share::ALL));
    assert_eq!(traces(&[part, ("otlp_sampler_arg", "0.5")]), "0.5".parse::<Share>().ok());
    assert_eq!(traces(&[part, ("otlp_sampler_arg", "0")]), None);
}

#[test]
fn a_setting_that_does_not_exist_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(FILE), "prot = 1\n").expect("written");
    let env = |name: &str| (name == "INSIGHTHUB_DATA_DIR").then(|| dir.path().display().to_string());
    assert!(Raw::read(env).expect_err("refused").to_string().contains("prot"));
}

const COMPOSE: &str = include_str!("../../../deploy/compose.yaml");
const UNIT: &str = include_str!("../../../deploy/insighthub.service");

/// What a server does besides when it stops: notes what was used last, sends what it has for the broker, and traces, and
/// closes the database.
const AND_SOME: u64 = 20;

#[test]
fn whoever_stops_a_server_gives_it_as_long_as_that_may_take() {
    let config = raw(&[]).check().expect("defaults");
    let number = |text: &str, name: &str| {
        let (_, rest) = text.split_once(name).expect(name);
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().expect(name)
    };
    let takes = |drain: u64| drain + config.shutdown_seconds + AND_SOME;
    let drain = number(COMPOSE, "\n    INSIGHTHUB_DRAIN_SECONDS: \"");
    assert!(number(COMPOSE, "\n  stop_grace_period: ") >= takes(drain));
    assert!(number(UNIT, "\nTimeoutStopSec=") >= takes(config.drain.as_secs()));
}

#[test]
fn a_command_by_the_head_of_the_unit_has_the_settings_and_the_user_of_its_server() {
    let mut commands = UNIT.lines().filter(|line| line.contains("systemd-run "));
    let command = commands.next().expect("a command");
    let said = |option: &str, value: &str| {
        let option = format!(" {option}{value} ");
        assert!(command.contains(&option), "{option} in {command}");
    };
    let (mut settings, mut programs) = (0, 0);
    for line in UNIT.lines() {
        if let Some(value) = line.strip_prefix("Environment=") {
            settings += 1;
            said("-E ", value);
        } else if line.starts_with("EnvironmentFile=") || line.starts_with("User=") {
            said("-p ", line);
        } else if let Some(program) = line.strip_prefix("ExecStart=") {
            programs += 1;
            said("", program.split(' ').next().expect("a program"));
        }
    }
    assert_eq!((settings, programs, commands.count()), (2, 1, 0));
}

#[test]
fn a_command_by_the_head_of_the_compose_file_is_run_as_one_of_its_servers() {
    let mut commands = COMPOSE.lines().filter_map(|line| line.split_once("docker compose run --rm "));
    let (_, command) = commands.next().expect("a command");
    let words: Vec<&str> = command.split(' ').collect();
    let [service, program, ..] = words.as_slice() else { panic!("{command}") };
    assert!(COMPOSE.contains(&format!("\n  {service}: ")), "{service} is none of its services");
    let serves = format!("command: [\"{program}\", \"serve\", ");
    assert!(COMPOSE.contains(&serves), "{program} is not what they run");
    assert!(commands.next().is_none());
}

#[test]
fn the_balancer_leaves_what_is_counted_to_those_who_run_it_and_looks_before_a_server_stops() {
    let balancer = include_str!("../../../deploy/Caddyfile");
    let line = |begins: &str| {
        let mut lines = balancer.lines();
        lines.find_map(|line| line.trim().strip_prefix(begins)).expect(begins)
    };
    assert_eq!(line("respond "), "/metrics 404");
    assert_eq!(line("health_uri "), "/health/ready");
    let seconds = |text: &str| text.strip_suffix('s').and_then(|n| n.parse::<u64>().ok()).expect("seconds");
    // A question may be under way when the server begins to say no.
    let (_, drain) = COMPOSE.split_once("\n    INSIGHTHUB_DRAIN_SECONDS: \"").expect("the setting");
    let drain: u64 = drain.split('"').next().and_then(|n| n.parse().ok()).expect("seconds");
    assert!(drain > 2 * seconds(line("health_interval ")));
}

#[test]
fn the_files_for_operators_name_no_setting_that_does_not_exist() {
    for (file, text) in [
        ("compose.yaml", COMPOSE),
        ("insighthub.service", UNIT),
        ("Caddyfile", include_str!("../../../deploy/Caddyfile")),
        ("OPERATIONS.md", include_str!("../../../docs/OPERATIONS.md")),
    ] {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        for word in words.filter(|word| word.starts_with("INSIGHTHUB_")) {
            assert!(SETTINGS.iter().any(|setting| setting.env == word), "{word} in {file}");
        }
    }
}
