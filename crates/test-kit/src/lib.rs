//! The test harness: starts riwaq, real backends, kill and restart.
