//! Who may be answered automatically, and when.
