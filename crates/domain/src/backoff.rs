//! How long to wait before the next try of a connection: half a second doubling to thirty, with full jitter, for ever.

/// First upper bound of the delay, in milliseconds.
pub const BASE_MS: u32 = 500;
/// Last upper bound of the delay, in milliseconds.
pub const CAP_MS: u32 = 30_000;

/// Delay in milliseconds before try number `attempt` (the first is 0). `unit` is a random number in `[0, 1)`, handed in.
pub fn delay_ms(attempt: u32, unit: f64) -> u32 {
    let bound = BASE_MS.checked_shl(attempt.min(16)).unwrap_or(CAP_MS).min(CAP_MS);
    let unit = if unit.is_finite() { unit.clamp(0.0, 1.0) } else { 1.0 };
    (f64::from(bound) * unit) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_to_thirty_seconds_and_stays_there() {
        let bounds: Vec<u32> = (0..9).map(|n| delay_ms(n, 1.0)).collect();
        assert_eq!(bounds, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(delay_ms(u32::MAX, 1.0), CAP_MS);
    }

    #[test]
    fn jitter_covers_the_whole_range() {
        assert_eq!(delay_ms(5, 0.0), 0);
        assert_eq!(delay_ms(5, 0.5), 8_000);
        assert_eq!(delay_ms(5, f64::NAN), 16_000);
    }
}
