"""What holds a run to its policy; chosen by really running it, the same for every caller.

    policy.py      Policy, Sandbox, Wrapped; no sandbox at all
    probe.py       which sandboxes work here, and the best of them
    attempts.py    what the probe tries inside
    files.py       what an interpreter and the system need to read
    linux.py       Landlock with a call filter, and the same in bubblewrap
    enter.py       the first program of a run: locks itself in
    landlock.py, masks.py    files
    seccomp.py, syscalls.py, rules.py    calls
    limits.py      privileges, memory, file size
    bubblewrap.py  mounts
    seatbelt.py    macOS
    scratch.py     how much a run's files take

| | bubblewrap+landlock+seccomp | bubblewrap+seccomp | landlock+seccomp | seatbelt | none |
|---|---|---|---|---|---|
| files outside unreadable, unwritable, metadata fixed | yes | yes | yes | yes | no |
| their existence and size unseen | yes | yes | no | no | no |
| masked files unreadable | yes | yes (0.8 s a start) | yes | yes | no |
| no socket but a connected pair of one's own | yes | yes | yes | yes | no |
| one process; no signal or ptrace to others | yes | yes | yes | yes | no |
| other processes unseen | yes | yes | their existence | no | no |
| a file's length, a process's memory capped | yes | yes | yes | length | no |
| ends with its supervisor | yes | yes | yes | no | as the launcher does |
| with subprocesses: no signal to others | yes | yes | Linux 6.12 on | yes | no |
| with subprocesses: all end with the supervisor | yes | yes | no | no | no |

Files cannot be moved between folders of the scratch by Landlock before Linux 5.19. No mode,
owner or time of a file can be changed at all, in the scratch neither: `shutil.copy` fails where
`shutil.copyfile` works. Without /dev/shm there are no locks or memory shared by processes.

CUDA gets three things more: files in memory; names for its threads, by writing below its own
/proc/self/task; and a local socket of one type to listen on, which its managed memory insists
on. Nothing can be accepted from it, and no other connected to; with the network allowed as well,
it can be connected to another program's that listens for this type, which hardly any does.

No sandbox caps what all files of a run take together: `scratch.py` counts, the supervisor ends
the run; a file that is deleted and closed, but mapped or under way in a socket of the run's own,
escapes the count. Tasks are capped by the kernel, but not for root. The memory limit counts private
memory; shared memory is held to it plus 4 GiB, and with an accelerator there is none. A run may
become another program: it stays in its sandbox. What it sees of the machine is what it may read:
libraries, /etc/passwd, the processor and memory figures of /proc and /sys.
"""
