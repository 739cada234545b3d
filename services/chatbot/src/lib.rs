//! The assistant: conversations, answers with citations, streamed.
