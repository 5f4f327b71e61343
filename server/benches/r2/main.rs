//! R2: reconnects. Browsers' live clients (`app::live::machine` and `domain::reducer`, on real sockets to a real server)
//! lose their link in five ways while others change what they show: it is reset, is open at one end only, stalls, the
//! server comes back from a backup, or more waits for a client than the server keeps for it. After each reconnect the
//! client's store has to be what the REST interface says.
//!
//!     cargo bench -p server --bench r2 [-- --count N --seed N | --smoke] [--several]
//!
//! With `--several` it is two servers that serve people and two that work, on one PostgreSQL and one RabbitMQ. A client comes
//! back to the next one, whatever is asked or changed goes to them by turns, and there is a sixth way: its server is killed.
//!
//! The seed decides who meets what and when; how threads and sockets take turns, nobody decides. Clients bring their own
//! clock, which is put forward instead of waiting for it, so that 45 s of silence pass in no time.

mod account;
mod client;
mod line;
mod place;
#[path = "../several/mod.rs"]
mod several;

use account::Account;
use client::{Client, Looks};
use line::Fault;
use measure::{Asked, Failure, dice::Dice};
use place::Place;
use several::Services;
use std::{
    collections::BTreeMap,
    fmt,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

const ACCOUNTS: usize = 2;
const CLIENTS: usize = 16;
/// Documents of an account that are told again and again when its clients are to be overrun.
const CROWD: usize = 300;
/// Events that a client does not read: what the hub keeps for it, and what fits into the buffers on the way.
const OVERRUN: usize = 8_000;
/// Rounds in a row in which nothing went as it should, before it is given up.
const IDLE_ROUNDS: u32 = 5;
/// Every so many rounds everybody meets a new epoch; in others everybody is overrun.
const EPOCH_EVERY: u64 = 8;
const OVERRUN_EVERY: u64 = 12;
/// Where there are several servers, every so many rounds one is killed: in those that are neither of the above.
const KILLED_EVERY: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Reset,
    HalfOpen,
    Stall,
    NewEpoch,
    Overrun,
    /// Its server was killed, and another one goes on.
    Killed,
}

const KINDS: [Kind; 5] = [Kind::Reset, Kind::HalfOpen, Kind::Stall, Kind::NewEpoch, Kind::Overrun];
/// Of so many reconnects of a whole run each kind has at least one; a short one has one of each.
const EACH_OF: u64 = 50;

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Reset => "reset",
            Kind::HalfOpen => "half-open",
            Kind::Stall => "stall",
            Kind::NewEpoch => "new epoch",
            Kind::Overrun => "overrun",
            Kind::Killed => "killed",
        })
    }
}

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let (smoke, several) = (asked.has("--smoke"), asked.has("--several"));
    let few = if several { 120 } else { 200 };
    let count: u64 = asked.number("--count", if smoke { few } else { 10_000 })?;
    let seed: u64 = asked.number("--seed", 1)?;
    let services = if several { Some(Services::start().await?) } else { None };
    let mut world = World::new(seed, services.as_ref()).await?;
    let mut done = BTreeMap::from(KINDS.map(|kind| (kind, 0)));
    if several {
        done.insert(Kind::Killed, 0);
    }
    let (mut differed, mut idle, began) = (0, 0, Instant::now());
    let total = |done: &BTreeMap<Kind, u64>| done.values().sum::<u64>();
    // The first rounds have everything, so that a short run has, too.
    for round in 0.. {
        if total(&done) >= count {
            break;
        }
        let kind = match (round % EPOCH_EVERY, round % OVERRUN_EVERY) {
            (1, _) => Some(Kind::NewEpoch),
            (_, 2) => Some(Kind::Overrun),
            _ if several && round % KILLED_EVERY == 3 => Some(Kind::Killed),
            _ => None,
        };
        let (met, unlike) = world.round(kind).await?;
        differed += unlike;
        if unlike > 0 {
            eprintln!("{unlike} differed in round {round}: {kind:?}");
        }
        idle = if met.is_empty() { idle + 1 } else { 0 };
        if idle >= IDLE_ROUNDS {
            return Err(format!("nothing happened to anybody in {idle} rounds").into());
        }
        for kind in met {
            *done.entry(kind).or_default() += 1;
        }
        if round % 10 == 0 {
            eprintln!(
                "round {round}: {} reconnects, {differed} differed, {:.0?}",
                total(&done),
                began.elapsed()
            );
        }
    }
    world.end().await?;
    let kinds: Vec<String> = done.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    // What never happened was not tried.
    let least = if smoke { 1 } else { count / EACH_OF };
    let rare: Vec<String> =
        done.iter().filter(|(_, n)| **n < least.max(1)).map(|(kind, _)| kind.to_string()).collect();
    let good = differed == 0 && rare.is_empty();
    let line = format!(
        "{}: reconnects={} ({}) differed={differed} seed={seed} goal=0 {}",
        if several { "R2-several" } else { "R2" },
        total(&done),
        kinds.join(", "),
        if good { "pass" } else { "fail" }
    );
    match (good, rare.is_empty()) {
        (true, _) => Ok(line),
        (false, true) => Err(line.into()),
        (false, false) => Err(format!("{line}; fewer than {} of: {}", least.max(1), rare.join(", ")).into()),
    }
}

/// A server, or several, those who change things, and those who look on.
struct World {
    place: Place,
    accounts: Vec<Arc<Account>>,
    clients: Vec<Client>,
    dice: Dice,
}

impl World {
    async fn new(seed: u64, services: Option<&Arc<Services>>) -> Result<Self, Failure> {
        let mut dice = Dice::new(seed);
        let installation = match services {
            Some(services) => Some(services.installation().await?),
            None => None,
        };
        let place = Place::open(installation).await?;
        let mut accounts = vec![];
        for n in 0..ACCOUNTS {
            accounts.push(Account::new(&place, n, CROWD, dice.other()).await?);
        }
        // What a restore goes back to has the accounts.
        place.restart(place::Restart::Backup).await?;
        let mut clients = vec![];
        for account in &accounts {
            for _ in 0..CLIENTS {
                clients.push(Client::new(&place, account, dice.other()).await?);
            }
            account.clone().write_on();
        }
        let world = Self { place, accounts, clients, dice };
        world.back(&vec![1; ACCOUNTS * CLIENTS]).await?;
        Ok(world)
    }

    /// Lets everybody lose the link; answers what each met who came back, and how many show something else then than the
    /// server has.
    async fn round(&mut self, kind: Option<Kind>) -> Result<(Vec<Kind>, u64), Failure> {
        let before: Vec<Looks> = self.clients.iter().map(Client::looks).collect();
        // Whose link ends.
        let mut hit = vec![true; self.clients.len()];
        self.accounts.iter().for_each(|account| account.let_write(true));
        let met = match kind {
            Some(Kind::NewEpoch) => {
                // Something is written that the backup does not have.
                tokio::time::sleep(Duration::from_millis(50 + self.dice.below(100))).await;
                self.place.restart(place::Restart::FromBackup).await?;
                vec![Kind::NewEpoch; self.clients.len()]
            }
            Some(Kind::Overrun) => {
                self.overrun().await?;
                vec![Kind::Overrun; self.clients.len()]
            }
            Some(Kind::Killed) => {
                let led: Vec<String> = self.clients.iter().map(|client| client.line.leads()).collect();
                let killed = self.place.kill_some(&mut self.dice).await?;
                hit = led.iter().map(|server| *server == killed).collect();
                vec![Kind::Killed; self.clients.len()]
            }
            _ => self.cut().await,
        };
        // Who was overrun has no new link, but starts over on the one that it has.
        if kind != Some(Kind::Overrun) {
            let welcomes = before.iter().zip(hit).map(|(looks, hit)| looks.welcomes + u64::from(hit));
            let welcomes: Vec<u64> = welcomes.collect();
            self.back(&welcomes).await?;
        }
        self.accounts.iter().for_each(|account| account.let_write(false));
        let differed = self.differences().await?;
        let counts = |kind: Kind, before: &Looks, after: &Looks| match kind {
            Kind::NewEpoch => before.epoch() != after.epoch() && after.resyncs > before.resyncs,
            Kind::Overrun => after.resyncs > before.resyncs && before.epoch() == after.epoch(),
            _ => after.welcomes > before.welcomes,
        };
        let after = self.clients.iter().map(Client::looks);
        let met = met.into_iter().zip(before.iter().zip(after));
        let met = met.filter(|(kind, (before, after))| counts(*kind, before, after));
        Ok((met.map(|(kind, _)| kind).collect(), differed))
    }

    /// Each link ends in a way of its own.
    async fn cut(&mut self) -> Vec<Kind> {
        let mut met = vec![];
        let mut cuts = vec![];
        for client in &self.clients {
            let mut dice = self.dice.other();
            let kind = [Kind::Reset, Kind::HalfOpen, Kind::Stall][dice.below(3) as usize];
            met.push(kind);
            cuts.push(async move {
                tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
                match kind {
                    // In the middle of whatever comes.
                    Kind::Reset => client.line.meet(Fault::Reset { after: dice.below(3_000) as usize }),
                    _ => {
                        let fault = if kind == Kind::Stall { Fault::Hold } else { Fault::Swallow };
                        client.line.meet(fault);
                        tokio::time::sleep(Duration::from_millis(20 + dice.below(80))).await;
                        client.silence_passes();
                    }
                }
            });
        }
        futures::future::join_all(cuts).await;
        met
    }

    /// Nobody reads while more is told than the server keeps for anybody. One account after the other: on a busy machine telling
    /// all of them at once takes longer than the 45 seconds after which a link without a word is dead.
    async fn overrun(&mut self) -> Result<(), Failure> {
        for account in &self.accounts {
            let clients = || self.clients.iter().filter(|client| Arc::ptr_eq(&client.account, account));
            clients().for_each(|client| client.line.meet(Fault::HoldDown));
            account.tell_the_crowd(OVERRUN).await?;
            clients().for_each(|client| client.line.meet(Fault::Go));
        }
        Ok(())
    }

    /// Waits until every client is connected and has had so many welcomes.
    async fn back(&self, welcomes: &[u64]) -> Result<(), Failure> {
        for (client, welcomes) in self.clients.iter().zip(welcomes) {
            client.until("came back", |looks| looks.open && looks.welcomes >= *welcomes).await?;
        }
        Ok(())
    }

    /// How many clients show something else than the server has, once they have all that it told.
    async fn differences(&self) -> Result<u64, Failure> {
        let mut differed = 0;
        for account in &self.accounts {
            let mut truth = account.truth().await?;
            for client in self.clients.iter().filter(|client| Arc::ptr_eq(&client.account, account)) {
                let shown = loop {
                    let all = "had all that was told";
                    client.until(all, |looks| looks.open && looks.has(&truth.since)).await?;
                    let shown = client.shown().await?;
                    // What it read anew may be of a later moment than the log as far as it was told; so both are looked at
                    // while nothing is added to that.
                    let is_there = client.looks().since.as_ref() == Some(&truth.since);
                    if is_there && account.head().await? == truth.since {
                        break shown;
                    }
                    // What was under way when nobody was to write any more has come since.
                    truth = account.truth().await?;
                };
                if let Some(difference) = account::difference(&shown, &truth) {
                    eprintln!("a client of {} differs: {difference}; {:?}", account.name, client.looks());
                    differed += 1;
                }
            }
        }
        Ok(differed)
    }

    async fn end(self) -> Result<(), Failure> {
        drop(self.clients);
        self.place.close().await
    }
}
