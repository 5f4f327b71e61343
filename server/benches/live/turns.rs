//! The rounds of a bench: ours and the peer's in turn, A B B A, since whoever goes second may find a throttled core.

use crate::wire::Side;
use measure::Failure;

pub const ROUNDS: usize = 7;

/// What each round found, the n-th of ours beside the n-th of the peer's.
pub async fn take<T>(
    rounds: usize,
    round: impl AsyncFnMut(Side) -> Result<T, Failure>,
) -> Result<Vec<(T, T)>, Failure> {
    let [ours, peer] = among(rounds, [Side::Ours, Side::Peer], round).await?;
    Ok(ours.into_iter().zip(peer).collect())
}

/// The same with several peers: what each of them found, round by round.
pub async fn among<W: Copy, T, const N: usize>(
    rounds: usize,
    whose: [W; N],
    mut round: impl AsyncFnMut(W) -> Result<T, Failure>,
) -> Result<[Vec<T>; N], Failure> {
    let mut found = std::array::from_fn(|_| vec![]);
    for turn in 0..rounds {
        for step in 0..N {
            let place = if turn % 2 == 0 { step } else { N - 1 - step };
            found[place].push(round(whose[place]).await?);
        }
    }
    Ok(found)
}
