//! The search for the most that a side bears.

use measure::Failure;

/// The most a second that holds: doubled until it does not, then halved in between, and confirmed by a whole round of 20
/// seconds. `tried` is given how much, and the seconds of warming up and of measuring; it answers what it found when that
/// held.
pub async fn most<T>(
    begin: f64,
    mut tried: impl AsyncFnMut(f64, f64, f64) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let (mut good, mut bad) = (0.0, begin);
    while tried(bad, 1.0, 3.0).await?.is_some() {
        (good, bad) = (bad, bad * 2.0);
    }
    while good == 0.0 {
        let lower = bad / 2.0;
        if lower < 1.0 {
            return Err("no rate holds".into());
        }
        if tried(lower, 1.0, 3.0).await?.is_some() { good = lower } else { bad = lower }
    }
    for _ in 0..4 {
        let middle = f64::midpoint(good, bad);
        if tried(middle, 1.0, 3.0).await?.is_some() { good = middle } else { bad = middle }
    }
    loop {
        if let Some(found) = tried(good, 5.0, 20.0).await? {
            return Ok(found);
        }
        good *= 0.95;
        if good < 1.0 {
            return Err("no rate holds for twenty seconds".into());
        }
    }
}
