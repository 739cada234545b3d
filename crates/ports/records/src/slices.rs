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
    let Some(after) = &scan.after else {
        let whole = Slice {
            prefix: scan.prefix.clone(),
            lower: scan.lower.clone(),
            upper: scan.upper.clone(),
        };
        return if is_empty(&whole) {
            Vec::new()
        } else {
            vec![whole]
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnType, TableSchema, WriteMode};

    const fn column(name: &'static str) -> Column {
        Column {
            name,
            kind: ColumnType::BigInt,
            nullable: false,
            since: 1,
        }
    }

    static TABLE: TableSchema = TableSchema {
        name: "t",
        since: 1,
        write_mode: WriteMode::Timestamped,
        columns: &[column("p"), column("a"), column("b")],
        partition_columns: 1,
        clustering: &[Order::Ascending, Order::Descending],
        ttl_column: None,
    };

    fn number(n: i64) -> Value {
        Value::BigInt(n)
    }

    fn scan() -> Scan {
        Scan::partition(&TABLE, vec![number(0)])
    }

    #[test]
    fn without_a_cursor_there_is_one_range() {
        let all = Slice {
            prefix: Vec::new(),
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        };
        assert_eq!(slices(&scan()), [all]);
    }

    #[test]
    fn bounds_that_leave_nothing_are_not_asked_for() {
        let between = |lower, upper| {
            slices(&Scan {
                lower,
                upper,
                ..scan()
            })
            .len()
        };
        assert_eq!(
            between(Bound::Included(number(2)), Bound::Included(number(1))),
            0
        );
        assert_eq!(
            between(Bound::Excluded(number(1)), Bound::Included(number(1))),
            0
        );
        assert_eq!(
            between(Bound::Included(number(1)), Bound::Included(number(1))),
            1
        );
    }

    #[test]
    fn behind_a_cursor_each_column_goes_its_own_way() {
        let after = Some(vec![number(1), number(2)]);
        let deep = Slice {
            prefix: vec![number(1)],
            lower: Bound::Unbounded,
            upper: Bound::Excluded(number(2)),
        };
        let rest = Slice {
            prefix: Vec::new(),
            lower: Bound::Excluded(number(1)),
            upper: Bound::Unbounded,
        };
        assert_eq!(slices(&Scan { after, ..scan() }), [deep, rest]);
    }

    #[test]
    fn bounds_stay_and_a_cursor_outside_of_them_leaves_what_is_inside() {
        let bounded = |after: i64| Scan {
            lower: Bound::Included(number(3)),
            upper: Bound::Included(number(5)),
            after: Some(vec![number(after), number(0)]),
            ..scan()
        };
        let within = |lower| Slice {
            prefix: Vec::new(),
            lower,
            upper: Bound::Included(number(5)),
        };
        assert_eq!(slices(&bounded(1)), [within(Bound::Included(number(3)))]);
        assert_eq!(slices(&bounded(4))[1], within(Bound::Excluded(number(4))));
        assert_eq!(slices(&bounded(5)).len(), 1);
        assert_eq!(slices(&bounded(9)), []);
    }

    #[test]
    fn a_cursor_at_the_end_of_the_key_leaves_nothing_of_a_full_prefix() {
        let key = vec![number(1), number(2)];
        assert_eq!(
            slices(&Scan {
                prefix: key.clone(),
                after: Some(key),
                ..scan()
            }),
            []
        );
    }
}
