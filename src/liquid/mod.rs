//! The Liquid template language, lax as Studio's.
