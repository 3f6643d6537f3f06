//! delivery
mod machine;
mod outcome;
mod source;
