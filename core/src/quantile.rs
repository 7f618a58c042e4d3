//! Below which value did a share of the observations stay, if all that is known is how many fell below
//! some bounds? Between two bounds they count as spread evenly. It collects nothing.

/// `bounds` ascending, `below[i]` observations up to `bounds[i]`, `total` all of them. `None` without any;
/// the last bound if the answer lies beyond it.
pub fn quantile(bounds: &[f64], below: &[u64], total: u64, share: f64) -> Option<f64> {
    if total == 0 {
        return None;
    }
    let rank = share.clamp(0.0, 1.0) * total as f64;
    let (mut low, mut passed) = (0.0, 0);
    for (bound, count) in bounds.iter().zip(below) {
        if *count as f64 >= rank && *count > passed {
            let inside = (rank - passed as f64).max(0.0) / (*count - passed) as f64;
            return Some(low + (bound - low) * inside);
        }
        (low, passed) = (*bound, *count);
    }
    bounds.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 3] = [1.0, 2.0, 4.0];

    #[test]
    fn what_nobody_observed_has_no_quantile() {
        assert_eq!(quantile(&BOUNDS, &[0, 0, 0], 0, 0.5), None);
    }

    #[test]
    fn observations_count_as_spread_evenly_between_bounds() {
        assert_eq!(quantile(&BOUNDS, &[0, 10, 10], 10, 0.5), Some(1.5));
        assert_eq!(quantile(&BOUNDS, &[10, 10, 10], 10, 0.99), Some(0.99));
        assert_eq!(quantile(&BOUNDS, &[50, 90, 100], 100, 0.95), Some(3.0));
    }

    #[test]
    fn beyond_the_last_bound_the_bound_is_told() {
        assert_eq!(quantile(&BOUNDS, &[1, 1, 1], 100, 0.5), Some(4.0));
        assert_eq!(quantile(&BOUNDS, &[0, 0, 0], 3, 0.01), Some(4.0));
    }

    #[test]
    fn a_larger_share_is_never_smaller() {
        let below = [3, 40, 77];
        let told: Vec<f64> =
            (0..=100).filter_map(|n| quantile(&BOUNDS, &below, 80, n as f64 / 100.0)).collect();
        assert_eq!(told.len(), 101);
        assert!(told.windows(2).all(|pair| pair[0] <= pair[1]), "{told:?}");
    }
}
