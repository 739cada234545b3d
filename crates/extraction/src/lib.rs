//! Text out of documents, in a confined child process.
