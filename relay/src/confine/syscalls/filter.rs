//! What the filter denies, and how it is put in force.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// For this processor there is one.
pub(super) const IS_SUPPORTED: bool = true;

/// Other programs, other namespaces, other processes' memory, the kernel itself.
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
const KEXEC_FILE_LOAD: libc::c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };

/// What `clone` makes a namespace with. Threads need `clone`, without these.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Puts the filter in force, in this thread and those that it starts.
///
/// # Errors
/// When the kernel has no filters, or allows none.
pub(super) fn apply() -> Result<(), seccompiler::Error> {
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
