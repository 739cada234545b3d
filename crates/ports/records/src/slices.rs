//! How an engine that has an index reads a scan.
//!
//! A scan that goes on behind a key of several clustering columns is not one range of an index, since
//! the columns may be ordered differently. It is a few ranges, one after the other: behind the
//! key's last column with all others equal, then behind the last but one, and so on.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::{Direction, Order, Scan, Value};

/// A range of one partition: equal on the first clustering columns, within bounds on the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// What the first clustering columns must equal.
    pub prefix: Vec<Value>,
    /// Lower bound by value on the clustering column after the prefix.
    pub lower: Bound<Value>,
    /// Upper bound by value on the same column.
    pub upper: Bound<Value>,
}

/// The ranges of a valid scan, in the order in which to read them until the limit is reached.
#[must_use]
pub fn slices(scan: &Scan) -> Vec<Slice> {
    let whole = || Slice {
        prefix: scan.prefix.clone(),
        lower: scan.lower.clone(),
        upper: scan.upper.clone(),
    };
    let Some(after) = &scan.after else {
        return vec![whole()];
    };
    let first = scan.prefix.len();
    let mut slices = Vec::with_capacity(after.len() - first);
    // The deeper slices all have after[first] in their prefix, so it must be in the range.
    if after
        .get(first)
        .is_some_and(|value| within(value, &scan.lower, &scan.upper))
    {
        for column in (first + 1..after.len()).rev() {
            let (lower, upper) = beyond(scan, column, &after[column]);
            slices.push(Slice {
                prefix: after[..column].to_vec(),
                lower,
                upper,
            });
        }
    }
    if let Some(value) = after.get(first) {
        let (lower, upper) = beyond(scan, first, value);
        slices.push(Slice {
            prefix: scan.prefix.clone(),
            lower: tighter(lower, scan.lower.clone(), Ordering::Greater),
            upper: tighter(upper, scan.upper.clone(), Ordering::Less),
        });
    }
    slices.retain(|slice| !is_empty(slice));
    slices
}

/// Whether values of this column come in ascending order in this direction.
#[must_use]
pub fn ascends(scan: &Scan, column: usize) -> bool {
    let declared = scan
        .schema
        .clustering
        .get(column)
        .copied()
        .unwrap_or(Order::Ascending);
    (declared == Order::Ascending) == (scan.direction == Direction::Forward)
}

fn beyond(scan: &Scan, column: usize, value: &Value) -> (Bound<Value>, Bound<Value>) {
    if ascends(scan, column) {
        (Bound::Excluded(value.clone()), Bound::Unbounded)
    } else {
        (Bound::Unbounded, Bound::Excluded(value.clone()))
    }
}

/// Whether a value lies between two bounds.
#[must_use]
pub fn within(value: &Value, lower: &Bound<Value>, upper: &Bound<Value>) -> bool {
    let above = match lower {
        Bound::Unbounded => true,
        Bound::Included(bound) => value.compare(bound).is_ge(),
        Bound::Excluded(bound) => value.compare(bound).is_gt(),
    };
    let below = match upper {
        Bound::Unbounded => true,
        Bound::Included(bound) => value.compare(bound).is_le(),
        Bound::Excluded(bound) => value.compare(bound).is_lt(),
    };
    above && below
}

/// The bound that lets less through; `greater` says on which side of the other it lies.
fn tighter(a: Bound<Value>, b: Bound<Value>, greater: Ordering) -> Bound<Value> {
    let order = match (&a, &b) {
        (Bound::Unbounded, _) => return b,
        (_, Bound::Unbounded) => return a,
        (Bound::Included(x) | Bound::Excluded(x), Bound::Included(y) | Bound::Excluded(y)) => {
            x.compare(y)
        }
    };
    if order == greater || (order == Ordering::Equal && matches!(a, Bound::Excluded(_))) {
        a
    } else {
        b
    }
}

/// Engines differ on ranges that hold nothing (Cassandra refuses some), so they are not asked.
fn is_empty(slice: &Slice) -> bool {
    let (Bound::Included(lower) | Bound::Excluded(lower)) = &slice.lower else {
        return false;
    };
    let (Bound::Included(upper) | Bound::Excluded(upper)) = &slice.upper else {
        return false;
    };
    match lower.compare(upper) {
        Ordering::Greater => true,
        Ordering::Equal => !matches!(
            (&slice.lower, &slice.upper),
            (Bound::Included(_), Bound::Included(_))
        ),
        Ordering::Less => false,
    }
}
