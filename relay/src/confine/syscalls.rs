//! Seccomp: system calls that a relay never makes, and whoever takes it over would.
//!
//! They are named, rather than those that it makes: which those are differs between C libraries, kernels and processors, and a
//! relay that dies of a new version of its C library serves nobody.

use super::Reach;

/// Other programs, other namespaces, other processes' memory, the kernel itself.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const DENIED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
];

/// The libc crate does not name it for every C library.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const KEXEC_FILE_LOAD: libc::c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };

/// What `clone` makes a namespace with. Threads need `clone`, without these.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Whether a filter can be written for this processor.
pub const fn is_supported() -> bool {
    cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))
}

/// From now on the calls above fail with EPERM, in this thread and those that it starts, and `clone3` does with ENOSYS: a filter
/// cannot see its flags, and C libraries then use `clone`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub(super) fn restrict() -> Reach {
    match apply() {
        Ok(()) => Reach::Full,
        Err(error) => Reach::None(error.to_string()),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub(super) fn restrict() -> Reach {
    Reach::None("there is no filter for this processor".to_owned())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn apply() -> Result<(), seccompiler::Error> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter,
    };
    let filter = |rules, errno: libc::c_int| {
        let denied = SeccompAction::Errno(errno as u32);
        let arch = std::env::consts::ARCH.try_into()?;
        BpfProgram::try_from(SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)?)
    };
    let makes = |flag: &libc::c_int| {
        let flag = *flag as u64;
        let is_set = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![is_set])
    };
    let namespaces = NAMESPACES.iter().map(makes).collect::<Result<Vec<_>, _>>()?;
    // c_long has 64 bits on all of these.
    let denied = DENIED.iter().map(|call| (*call, Vec::new())).chain([(libc::SYS_clone, namespaces)]);
    apply_filter(&filter(denied.collect(), libc::EPERM)?)?;
    apply_filter(&filter([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)?)
}
