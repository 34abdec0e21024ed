//! The total order of values and its memcmp key.
