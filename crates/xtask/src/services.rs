//! `cargo xtask services`: a PostgreSQL and a RabbitMQ for tests that are written in another language. A line that is a JSON
//! object is an answer: the first one names their addresses, and then one follows each order that came in and was carried out; the
//! one to `python` also names a Python that runs the example of an outside worker.
//! Both are gone as soon as there are no more orders.

use std::io;

use measure::peer;
use serde_json::json;

use crate::postgres;
use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::test;

pub fn services(project: &Project) -> Done {
    let database = postgres::start(project)?;
    let mut broker = test::broker()?;
    println!("{}", json!({ "postgres": database.url(), "rabbitmq": broker.url() }));
    for order in io::stdin().lines() {
        let order = order.doing(|| "cannot read an order".to_owned())?;
        let mut answer = json!({ "done": order });
        match order.as_str() {
            "kill rabbitmq" => broker.kill(),
            "start rabbitmq" => broker.begin().map_err(|why| Problem::new(why.to_string()))?,
            "python" => {
                let python = peer::with_pika().map_err(|why| Problem::new(why.to_string()))?;
                answer["python"] = json!(python);
            }
            other => {
                return Err(Problem::new(format!("there is no order `{other}`"))
                    .hint("there are `kill rabbitmq`, `start rabbitmq` and `python`"));
            }
        }
        println!("{answer}");
    }
    Ok(())
}
