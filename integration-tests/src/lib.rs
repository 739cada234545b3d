//! Scenarios, conformance matrix and faults over the real program.
