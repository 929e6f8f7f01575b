//! The device side.
#![cfg_attr(not(feature = "std"), no_std)]
