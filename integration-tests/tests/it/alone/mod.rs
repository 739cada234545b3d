//! What has the machine alone. Tests begin in the order of their names: these before those that share it, which then need
//! not wait for them in the middle.

mod distributed;
mod faults_cassandra;
