"""What a run's process may not ask of the kernel, and why.

Files are Landlock's part; these rules close what it leaves open: other processes, sockets but a
pair of one's own, the metadata of files outside, and corners of the kernel that no training run
has business in. A run stays free to compute, use threads, map memory and read its clock.
"""

from collections.abc import Iterator
from errno import ENOSYS, EPERM

from autoresearch_mcp.effects.sandbox.seccomp import Check, Rule

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_INTERNET = (_AF_INET, _AF_INET6, _AF_NETLINK)  # the last one for name look-ups
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE = 1, 5, 0xF  # the mask leaves flags out
_O_TRUNC, _O_ACCMODE = 0o1000, 0o3
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _SIGKILL = 1, 4, 9
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY = 8, 10, 15, 1024, 1026
_FIOSETOWN, _SIOCSPGRP, _TIOCSTI, _TIOCLINUX = 0x8901, 0x8902, 0x5412, 0x541C
_FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR, _FS_IOC_ENABLE_VERITY = 0x40086602, 0x401C5820, 0x40806685

_OTHERS_MEMORY = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    *("process_madvise", "process_mrelease", "migrate_pages", "move_pages"),
)
_METADATA = (
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
)
_SYSTEM = (
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen"),
    *("fsconfig", "fsmount", "fspick", "mount_setattr", "unshare", "setns", "swapon", "swapoff"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
    *("open_by_handle_at", "inotify_init", "inotify_init1", "fanotify_init"),
)
_SHARED_BETWEEN_PROCESSES = ("shmget", "shmat", "msgget", "semget", "mq_open", "mq_unlink")
_UNKNOWN = (
    # These take their arguments in memory, where no filter sees them; callers fall back.
    *("clone3", "openat2"),
    # A second way to make system calls, past this filter.
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("pidfd_send_signal", "memfd_secret"),
)


def rules(pid: int, *, network: bool, subprocesses: bool, accelerator: bool) -> list[Rule]:
    """Return the rules for a run.

    Args:
        pid: The run's own process, which the rules are put in force by.
        network: Whether it may open internet sockets.
        subprocesses: Whether it may start other processes.
        accelerator: Whether it drives one. CUDA needs files in memory, which no memory limit
            counts, and a local socket that it listens on.
    """
    denied = (*_OTHERS_MEMORY, *_METADATA, *_SYSTEM, *_SHARED_BETWEEN_PROCESSES)
    return [
        *(Rule(call, EPERM) for call in denied),
        *(Rule(call, ENOSYS) for call in _UNKNOWN),
        *(() if accelerator else (Rule("memfd_create", ENOSYS),)),
        *_process_rules(pid, subprocesses),
        *_socket_rules(network=network, accelerator=accelerator),
        *_file_rules(),
        *_attribute_rules(pid, subprocesses),
    ]


def _process_rules(pid: int, subprocesses: bool) -> Iterator[Rule]:
    if subprocesses:
        yield Rule("clone", EPERM, (Check(0, 0, _CLONE_NAMESPACES, equal=False),))
        return
    yield Rule("fork", EPERM)
    yield Rule("vfork", EPERM)
    yield Rule("clone", EPERM, (Check(0, 0, _CLONE_THREAD),))
    for call in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        yield Rule(call, EPERM, (Check(0, pid, equal=False),))
    yield Rule("tkill", EPERM)  # names a thread, which may be another process's


def _socket_rules(*, network: bool, accelerator: bool) -> Iterator[Rule]:
    families = (*(_INTERNET if network else ()), *((_AF_UNIX,) if accelerator else ()))
    yield Rule("socket", EPERM, tuple(Check(0, one, equal=False) for one in families))
    if accelerator:
        # CUDA's managed memory fails without the socket it would share it over. Of this type
        # a socket sends nothing before it is connected, and hardly any service listens.
        other_type = Check(1, _SOCK_SEQPACKET, _SOCK_TYPE, equal=False)
        yield Rule("socket", EPERM, (Check(0, _AF_UNIX), other_type))
    if not network:
        for call in ("connect", "accept", "accept4"):
            yield Rule(call, EPERM)
    yield Rule("socketpair", EPERM, (Check(0, _AF_UNIX, equal=False),))
    # Of these types a socket sends to its own peer alone and cannot be turned to another. One of
    # any other type (datagrams go by two names) sends to every address it is told with a letter.
    connected_for_good = (_SOCK_STREAM, _SOCK_SEQPACKET)
    other_types = (Check(1, one, _SOCK_TYPE, equal=False) for one in connected_for_good)
    yield Rule("socketpair", EPERM, tuple(other_types))


def _file_rules() -> Iterator[Rule]:
    # Before Linux 6.2 Landlock lets every file be cut, by these two calls.
    yield Rule("truncate", EPERM)
    cuts_a_file_it_may_only_read = Check(0, _O_TRUNC, _O_TRUNC | _O_ACCMODE)
    yield Rule("open", EPERM, (cuts_a_file_it_may_only_read._replace(argument=1),))
    yield Rule("openat", EPERM, (cuts_a_file_it_may_only_read._replace(argument=2),))
    # Signals by way of a file's owner, and leases, which make others wait for a file.
    for command in (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY):
        yield Rule("fcntl", EPERM, (Check(1, command),))
    for command in (_FIOSETOWN, _SIOCSPGRP, _TIOCSTI, _TIOCLINUX):
        yield Rule("ioctl", EPERM, (Check(1, command),))
    # Flags of a file that is only open for reading; the last makes it read-only for ever.
    for command in (_FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR, _FS_IOC_ENABLE_VERITY):
        yield Rule("ioctl", EPERM, (Check(1, command),))


def _attribute_rules(pid: int, subprocesses: bool) -> Iterator[Rule]:
    """Yield what keeps limits, priorities and the tie to the supervisor in force."""
    not_me = (Check(0, 0, equal=False),)
    if not subprocesses:
        not_me = (*not_me, Check(0, pid, equal=False))
    for call in ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam"):
        yield Rule(call, EPERM, not_me)
    yield Rule("sched_setattr", EPERM, not_me)
    for call in ("setpriority", "ioprio_set"):  # their first argument says: process, group, user
        process = {"setpriority": 0, "ioprio_set": 1}[call]
        yield Rule(call, EPERM, (Check(0, process, equal=False),))
        yield Rule(call, EPERM, tuple(check._replace(argument=1) for check in not_me))
    yield Rule("personality", EPERM, (Check(0, 0xFFFFFFFF, equal=False),))
    die_with_parent = Check(0, _PR_SET_PDEATHSIG)
    yield Rule("prctl", EPERM, (die_with_parent, Check(1, _SIGKILL, equal=False)))
    yield Rule("prctl", EPERM, (Check(0, _PR_SET_DUMPABLE),))  # would hide it from psutil
