//! Plain models of what people deploy, from their RFCs, to compare with.

pub mod image_check;
