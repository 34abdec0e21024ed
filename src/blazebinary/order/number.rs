//! One exact order of integers and doubles.
//!
//! Neither type holds the other, so a number is placed by two parts: the greatest double that is not above it,
//! and how far above that double it stands. A double's second part is 0; an integer's is at most 1,023, since
//! doubles below 2^63 are at most 1,024 apart. The pairs, compared in turn, order the numbers without rounding.

/// The bits of the only NaN in the order; all NaN are equal and greater than every other number.
const ONE_NAN: u64 = 0x7FF8_0000_0000_0000;
const SIGN: u64 = 1 << 63;

/// The place of a number in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The double at or just below, as bits that sort like unsigned integers.
    floor: u64,
    /// The number minus that double.
    residual: u16,
}

impl Place {
    #[inline]
    pub(super) fn of_double(double: f64) -> Self {
        Self { floor: sortable_bits(double), residual: 0 }
    }

    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "the loss is measured and kept as the residual")]
    #[expect(clippy::cast_possible_truncation, reason = "doubles of this size are integers below 2^64")]
    pub(super) fn of_int(int: i64) -> Self {
        let nearest = int as f64;
        let floor = if nearest as i128 > i128::from(int) { nearest.next_down() } else { nearest };
        let residual = i128::from(int).saturating_sub(floor as i128);
        Self { floor: sortable_bits(floor), residual: u16::try_from(residual).unwrap_or(u16::MAX) }
    }

    /// Eight bytes of the floor and two of the residual, both big-endian.
    #[inline]
    pub(super) fn push_key(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.floor.to_be_bytes());
        out.extend_from_slice(&self.residual.to_be_bytes());
    }
}

/// The bits of a double, changed so that as unsigned integers they sort by its value: −0 becomes 0 and every NaN
/// the same one; then the sign bit of a positive number is set, and all bits of a negative one are inverted.
#[inline]
pub(super) fn sortable_bits(double: f64) -> u64 {
    // Adding +0 turns −0 into +0 and changes no other number.
    let bits = if double.is_nan() { ONE_NAN } else { (double + 0.0).to_bits() };
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_specification() {
        // Worked by hand: 1.0 is 3FF0…; −2 is C000…, inverted 3FFF…; 2^53 + 1 lies 1 above 2^53 = 4340…;
        // the greatest integer lies 1,023 above 2^63 − 1,024 = 43DF FFFF FFFF FFFF.
        for (place, floor, residual) in [
            (Place::of_int(1), 0xBFF0_0000_0000_0000, 0),
            (Place::of_double(-2.0), 0x3FFF_FFFF_FFFF_FFFF, 0),
            (Place::of_double(-0.0), 0x8000_0000_0000_0000, 0),
            (Place::of_double(f64::from_bits(0xFFF0_0000_0000_0001)), 0xFFF8_0000_0000_0000, 0),
            (Place::of_int((1 << 53) + 1), 0xC340_0000_0000_0000, 1),
            (Place::of_int(i64::MAX), 0xC3DF_FFFF_FFFF_FFFF, 1023),
            (Place::of_int(i64::MIN), 0x3C1F_FFFF_FFFF_FFFF, 0),
            // −(2^53 + 1): the double below is −(2^53 + 2) = C340 0000 0000 0001.
            (Place::of_int(-(1 << 53) - 1), 0x3CBF_FFFF_FFFF_FFFE, 1),
        ] {
            assert_eq!(place, Place { floor, residual });
        }
    }
}
