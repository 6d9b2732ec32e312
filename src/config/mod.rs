//! One typed, documented configuration.
