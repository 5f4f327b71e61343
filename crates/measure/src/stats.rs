//! The arithmetic of a comparison: ratios of rounds, their median, and how sure one can be of it. Pure.

/// The median of the rounds' ratios with the interval that a bootstrap puts around it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ratio {
    pub median: f64,
    /// The 95 % interval, lower and upper end.
    pub ci95: (f64, f64),
}

const RESAMPLES: usize = 10_000;

/// Compares rounds pairwise: the n-th of ours with the n-th of the peer's, which ran next to it, so that what slows the
/// whole machine for a while slows both. Lists of one length, not empty.
pub fn compare(ours: &[f64], peer: &[f64]) -> Ratio {
    of_ratios(&ours.iter().zip(peer).map(|(a, b)| a / b).collect::<Vec<_>>())
}

/// The same for rounds that are ratios by themselves. Not of an empty list.
pub fn of_ratios(ratios: &[f64]) -> Ratio {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| median(&(0..ratios.len()).map(|_| ratios[random.below(ratios.len())]).collect::<Vec<_>>()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share).round() as usize];
    Ratio { median: median(ratios), ci95: (at(0.025), at(0.975)) }
}

/// The middle value, or the mean of the two in the middle. Not of an empty list.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// xorshift64*, with a fixed seed: the same rounds give the same interval, on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((high * bound as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn rounds_that_never_differ_leave_no_doubt() {
        let ratio = compare(&[6.0; 7], &[2.0; 7]);
        assert_eq!(ratio, Ratio { median: 3.0, ci95: (3.0, 3.0) });
    }

    #[test]
    fn a_slow_minute_of_the_machine_that_hits_both_changes_nothing() {
        let ours = [10.0, 10.0, 1.0, 10.0, 10.0, 1.0, 10.0];
        let peer: Vec<f64> = ours.iter().map(|v| v / 5.0).collect();
        let ratio = compare(&ours, &peer);
        assert!((ratio.median - 5.0).abs() < 1e-9 && (ratio.ci95.0 - 5.0).abs() < 1e-9);
    }

    #[test]
    fn the_interval_holds_the_median_and_widens_with_the_spread() {
        let peer = [1.0; 7];
        let narrow = compare(&[4.9, 5.0, 5.1, 5.0, 4.95, 5.05, 5.0], &peer);
        let wide = compare(&[2.0, 5.0, 9.0, 4.0, 6.0, 3.0, 8.0], &peer);
        for ratio in [narrow, wide] {
            assert!(ratio.ci95.0 <= ratio.median && ratio.median <= ratio.ci95.1);
        }
        assert!(wide.ci95.1 - wide.ci95.0 > narrow.ci95.1 - narrow.ci95.0);
    }

    #[test]
    fn the_same_rounds_give_the_same_interval() {
        let rounds = [3.1, 2.9, 3.3, 2.7, 3.0, 3.2, 2.8];
        assert_eq!(compare(&rounds, &[1.0; 7]), compare(&rounds, &[1.0; 7]));
    }
}
