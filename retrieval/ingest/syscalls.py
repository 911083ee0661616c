"""What a parser process may not ask the kernel for, as a seccomp filter on Linux (x86-64 and ARM64).

Whatever runs in the process, machine code included: it cannot speak to a network, start a program, look into another
process (the kernel kills it on the spot), nor open, make, change or remove a file (the kernel says no).
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterator

_FATAL: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept4": (288, 242),
    "sendmmsg": (307, 269),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "mq_open": (240, 180),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "perf_event_open": (298, 241),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
}
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None),
    "openat": (257, 56),
    "creat": (85, None),
    "truncate": (76, 45),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "link": (86, None),
    "linkat": (265, 37),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
}
# Calls that depend on an argument: which one, and the numbers of the call.
_CLONE, _SENDTO, _PRLIMIT = (56, 220), (44, 206), (302, 261)
_TO_ITSELF = ((62, 129), (234, 131))  # kill, tgkill
_THREAD = 0x00010000
# From here on numbers are the same everywhere: io_uring, pidfd, clone3, openat2, new mounts. C libraries do without.
_FIRST_NEW = 424

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _NO_ACCESS, _NO_SUCH_CALL = 0x80000000, 0x7FFF0000, 0x00050000 | 13, 0x00050000 | 38
_NUMBER, _MACHINE, _FIRST_ARGUMENT, _ADDRESS = 0, 4, 16, 16 + 4 * 8
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
_NO_NEW_PRIVILEGES, _SET_FILTER, _ALL_THREADS = 38, 1, 1

_Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_system_calls() -> bool:
    """Put the filter on every thread of this process, for good; False where there is none for this machine.

    OSError when the kernel refuses it.
    """
    known = _MACHINES.get(platform.machine()) if platform.system() == "Linux" else None
    if known is None:
        return False
    column, machine, seccomp = known
    packed = b"".join(struct.pack("=HBBI", *one) for one in _filter(column, machine, os.getpid()))
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(packed) // 8, packed)
    _checked(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(libc.syscall(seccomp, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)))
    return True


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


def _filter(column: int, machine: int, pid: int) -> Iterator[_Instruction]:
    yield _LOAD, 0, 0, _MACHINE
    yield _EQUAL, 1, 0, machine
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _AT_LEAST, 0, 1, _FIRST_NEW
    yield _RETURN, 0, 0, _NO_SUCH_CALL
    for calls, action in ((_FATAL, _KILL), (_REFUSED, _NO_ACCESS)):
        for numbers in calls.values():
            if (number := numbers[column]) is not None:
                yield from _when(number, ((_RETURN, 0, 0, action),))
    yield from _when(_CLONE[column], _unless((_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 0, 1, _THREAD)))
    yield from _when(_PRLIMIT[column], _unless((_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, 0)))
    for call in _TO_ITSELF:
        yield from _when(call[column], _unless((_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, pid)))
    yield from _when(_SENDTO[column], _without_address())
    yield _RETURN, 0, 0, _ALLOW


def _when(number: int, then: tuple[_Instruction, ...]) -> Iterator[_Instruction]:
    """What happens on one call; it ends with a return, so that the number stays loaded for the next."""
    yield _EQUAL, 0, len(then), number
    yield from then


def _unless(load: _Instruction, holds: _Instruction) -> tuple[_Instruction, ...]:
    return load, holds, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _KILL)


def _without_address() -> tuple[_Instruction, ...]:
    """`send` within a pair of sockets of its own is one thing, `sendto` an address another."""
    return (
        (_LOAD, 0, 0, _ADDRESS),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, _ADDRESS + 4),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL),
    )
