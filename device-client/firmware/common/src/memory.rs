//! `memcpy` and its like (Run-time ABI for the Arm Architecture §4.3.4), in few bytes instead of few cycles: those that come
//! with the compiler take more than a kilobyte of a boot program that spends its time on waiting for flash and radio.
#![allow(unsafe_code)] // functions that the compiler calls by name

use core::arch::naked_asm;

/// Copies `length` bytes that do not overlap, from the last to the first. Also `__aeabi_memcpy` and its aligned variants.
///
/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    naked_asm!(
        ".global __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8",
        ".thumb_set __aeabi_memcpy, memcpy",
        ".thumb_set __aeabi_memcpy4, memcpy",
        ".thumb_set __aeabi_memcpy8, memcpy",
        "1: subs r2, #1",
        "blo 2f",
        "ldrb r3, [r1, r2]",
        "strb r3, [r0, r2]",
        "b 1b",
        "2: bx lr",
    )
}

/// Sets `length` bytes to zero; further on, to the byte in the third argument: `__aeabi_memset` and the aligned variants of
/// both.
///
/// # Safety
/// The place must be the caller's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __aeabi_memclr(to: *mut u8, length: usize) {
    naked_asm!(
        ".global __aeabi_memclr4, __aeabi_memclr8, __aeabi_memset, __aeabi_memset4, __aeabi_memset8",
        ".thumb_set __aeabi_memclr4, __aeabi_memclr",
        ".thumb_set __aeabi_memclr8, __aeabi_memclr",
        "movs r2, #0",
        ".thumb_func",
        "__aeabi_memset:",
        ".thumb_func",
        "__aeabi_memset4:",
        ".thumb_func",
        "__aeabi_memset8:",
        "1: subs r1, #1",
        "blo 2f",
        "strb r2, [r0, r1]",
        "b 1b",
        "2: bx lr",
    )
}
