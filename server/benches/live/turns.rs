//! The rounds of a bench: ours and the peer's in turn, A B B A, since whoever goes second may find a throttled core.

use crate::wire::Side;
use measure::Failure;

pub const ROUNDS: usize = 7;

/// What each round found, the n-th of ours beside the n-th of the peer's.
pub async fn take<T>(
    rounds: usize,
    mut round: impl AsyncFnMut(Side) -> Result<T, Failure>,
) -> Result<Vec<(T, T)>, Failure> {
    let mut found = vec![];
    for turn in 0..rounds {
        found.push(if turn % 2 == 0 {
            let ours = round(Side::Ours).await?;
            (ours, round(Side::Peer).await?)
        } else {
            let peer = round(Side::Peer).await?;
            (round(Side::Ours).await?, peer)
        });
    }
    Ok(found)
}
