//! Typed JSON.
