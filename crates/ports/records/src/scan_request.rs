//! Typed scans of one partition.

use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use crate::{Direction, Field, KeyPart, Records, RecordsError, Scan, Stored, Table, Value, limits};

/// A scan of one partition, being narrowed. Errors in its arguments come out when it is run.
#[derive(Debug)]
#[must_use = "nothing is read before page or all"]
pub struct ScanRequest<T> {
    records: Arc<dyn Records>,
    scan: Result<Scan, RecordsError>,
    table: PhantomData<fn() -> T>,
}

/// A page of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPage<T, C> {
    /// The rows, in the scan's order.
    pub rows: Vec<T>,
    /// The last row's clustering key, if the page is full, to be given to [`ScanRequest::after`].
    pub next: Option<C>,
}

impl<T: Table> ScanRequest<T> {
    pub(crate) fn new(records: Arc<dyn Records>, partition: T::Partition) -> Self {
        let scan = partition
            .to_values()
            .map(|partition| Scan::partition(T::schema(), partition));
        Self {
            records,
            scan,
            table: PhantomData,
        }
    }

    /// Only rows whose first clustering columns equal this tuple.
    pub fn prefix<P: KeyPart>(self, prefix: P) -> Self {
        self.with(|scan| {
            scan.prefix = prefix.to_values()?;
            Ok(())
        })
    }

    /// Only rows whose next clustering column is at least this.
    pub fn at_least<F: Field>(self, value: F) -> Self {
        self.with(|scan| {
            scan.lower = Bound::Included(bound(&value)?);
            Ok(())
        })
    }

    /// Only rows whose next clustering column is greater than this.
    pub fn greater_than<F: Field>(self, value: F) -> Self {
        self.with(|scan| {
            scan.lower = Bound::Excluded(bound(&value)?);
            Ok(())
        })
    }

    /// Only rows whose next clustering column is at most this.
    pub fn at_most<F: Field>(self, value: F) -> Self {
        self.with(|scan| {
            scan.upper = Bound::Included(bound(&value)?);
            Ok(())
        })
    }

    /// Only rows whose next clustering column is less than this.
    pub fn less_than<F: Field>(self, value: F) -> Self {
        self.with(|scan| {
            scan.upper = Bound::Excluded(bound(&value)?);
            Ok(())
        })
    }

    /// Against the table's declared order.
    pub fn backward(self) -> Self {
        self.with(|scan| {
            scan.direction = Direction::Backward;
            Ok(())
        })
    }

    /// At most this many rows: 1 to [`limits::SCAN_ROWS`], which is also the default.
    pub fn limit(self, limit: usize) -> Self {
        self.with(|scan| {
            scan.limit = limit;
            Ok(())
        })
    }

    /// Begin behind this clustering key, in the scan's direction.
    pub fn after(self, key: T::Clustering) -> Self {
        self.with(|scan| {
            scan.after = Some(key.to_values()?);
            Ok(())
        })
    }

    /// One page.
    ///
    /// # Errors
    /// As for [`Records::scan`].
    pub async fn page(self) -> Result<ScanPage<T, T::Clustering>, RecordsError> {
        let scan = self.scan?;
        let rows = self.records.scan(&scan).await?;
        let full = rows.len() >= scan.limit && !scan.schema.clustering().is_empty();
        let last = rows
            .last()
            .filter(|_| full)
            .map(|stored| stored.row.key(scan.schema));
        let next = last.map(|key| T::Clustering::from_values(key.clustering(scan.schema).to_vec()));
        let rows = rows
            .into_iter()
            .map(|stored| T::from_row(stored.row))
            .collect::<Result<_, _>>()?;
        Ok(ScanPage {
            rows,
            next: next.transpose()?,
        })
    }

    /// The first row in the scan's order.
    ///
    /// # Errors
    /// As for [`Records::scan`].
    pub async fn first(self) -> Result<Option<T>, RecordsError> {
        Ok(self.first_stored().await?.map(|stored| stored.row))
    }

    /// The first row in the scan's order, with its `op_id`.
    ///
    /// # Errors
    /// As for [`Records::scan`].
    pub async fn first_stored(self) -> Result<Option<Stored<T>>, RecordsError> {
        let scan = self.limit(1).scan_only()?;
        let (records, scan) = scan;
        records
            .scan(&scan)
            .await?
            .into_iter()
            .next()
            .map(Stored::read)
            .transpose()
    }

    /// All rows of the range, page by page; `limit` is the size of a page.
    ///
    /// # Errors
    /// As for [`Records::scan`]; [`RecordsError::TooLarge`] beyond [`limits::PARTITION_ROWS`].
    pub async fn all(self) -> Result<Vec<T>, RecordsError> {
        let (records, mut scan) = self.scan_only()?;
        let mut all = Vec::new();
        loop {
            let rows = records.scan(&scan).await?;
            let full = rows.len() >= scan.limit && !scan.schema.clustering().is_empty();
            scan.after = rows
                .last()
                .map(|stored| stored.row.key(scan.schema).clustering(scan.schema).to_vec());
            for stored in rows {
                all.push(T::from_row(stored.row)?);
            }
            if all.len() > limits::PARTITION_ROWS {
                let (limit, actual) = (limits::PARTITION_ROWS, all.len());
                return Err(RecordsError::TooLarge {
                    what: "partition in rows",
                    limit,
                    actual,
                });
            }
            if !full {
                return Ok(all);
            }
        }
    }

    fn scan_only(self) -> Result<(Arc<dyn Records>, Scan), RecordsError> {
        Ok((self.records, self.scan?))
    }

    fn with(mut self, narrow: impl FnOnce(&mut Scan) -> Result<(), RecordsError>) -> Self {
        if let Ok(scan) = &mut self.scan
            && let Err(error) = narrow(scan)
        {
            self.scan = Err(error);
        }
        self
    }
}

fn bound<F: Field>(value: &F) -> Result<Value, RecordsError> {
    value
        .to_value()
        .map_err(|reason| RecordsError::invalid("bound", reason))
}
