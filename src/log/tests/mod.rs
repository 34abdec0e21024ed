//! Tests of the log as a whole: it is written, crashed, damaged and opened again.
