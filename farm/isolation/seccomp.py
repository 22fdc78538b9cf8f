"""A filter of system calls for lanes: what decoding never needs is refused with EPERM.

It is a list of what is denied, not of what is allowed: an interpreter and its codecs make too many
calls for the latter. What files may be opened is Landlock's to say.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

_PR_GET_SECCOMP = 21
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

# linux/bpf_common.h and linux/seccomp.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_OFFSET_OF_NUMBER, _OFFSET_OF_ARCHITECTURE, _OFFSET_OF_ARGUMENTS = 0, 4, 16

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000

# Numbers by architecture, x86-64 and 64-bit Arm; None where there is no such call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # Other programs and processes.
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "ioprio_set": (251, 30),
    # The network, and other ways to talk to processes.
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "mq_open": (240, 180),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    # Files: what Landlock does not cover, and what it does once more.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rmdir": (84, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
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
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    # The machine, and what has opened kernels before.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "syslog": (103, 116),
    "memfd_secret": (447, 447),
}
# With one argument they are harmless: threads of this process, limits of this process.
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_TGKILL = (234, 131)
_PRLIMIT = (302, 261)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def missing() -> str | None:
    """Why lanes cannot have the filter here; None where they can."""
    if platform.machine() not in _ARCHITECTURES:
        return f"no table of system calls for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        return f"the kernel has no seccomp ({os.strerror(ctypes.get_errno())})"
    return None


def install() -> None:
    """Puts the filter on this process and all of its threads to come, for good.

    Its pid is part of it: to be called behind the fork. Needs PR_SET_NO_NEW_PRIVS. Raises OSError.
    """
    instructions = filter_for(platform.machine(), pid=os.getpid())
    program = _Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def filter_for(machine: str, *, pid: int) -> bytes:
    """The BPF program of an architecture: 8 bytes an instruction, as the kernel takes it."""
    column = list(_ARCHITECTURES).index(machine)
    refused = _ERRNO | errno.EPERM
    code = [
        _instruction(_LOAD, _OFFSET_OF_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], on_true=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _OFFSET_OF_NUMBER),
    ]
    if machine == "x86_64":
        # The same calls by other numbers.
        code += [
            _instruction(_JUMP_AT_LEAST, _X32_BIT, on_false=1),
            _instruction(_RETURN, refused),
        ]
    for numbers in _DENIED.values():
        if numbers[column] is not None:
            code += [
                _instruction(_JUMP_EQUAL, numbers[column] or 0, on_false=1),
                _instruction(_RETURN, refused),
            ]
    # The C library falls back to clone, whose flags a filter can see.
    code += [
        _instruction(_JUMP_EQUAL, _CLONE3[column], on_false=1),
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    flags = [_instruction(_JUMP_ANY_BIT, _CLONE_THREAD, on_true=1)]
    code += _unless(_CLONE[column], argument=0, holds=flags, refused=refused)
    mine = [_instruction(_JUMP_EQUAL, pid, on_true=1)]
    code += _unless(_TGKILL[column], argument=0, holds=mine, refused=refused)
    this = [_instruction(_JUMP_EQUAL, 0, on_true=1)]
    code += _unless(_PRLIMIT[column], argument=0, holds=this, refused=refused)
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def _unless(number: int, *, argument: int, holds: Iterable[bytes], refused: int) -> list[bytes]:
    """Refuses a call whose argument's lower half fails a test that jumps over one instruction."""
    inside = [
        _instruction(_LOAD, _OFFSET_OF_ARGUMENTS + 8 * argument),
        *holds,
        _instruction(_RETURN, refused),
        _instruction(_RETURN, _ALLOW),
    ]
    return [_instruction(_JUMP_EQUAL, number, on_false=len(inside)), *inside]


def _instruction(code: int, value: int, *, on_true: int = 0, on_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, on_true, on_false, value & 0xFFFFFFFF)
