//! The actors of chroma-ha.
