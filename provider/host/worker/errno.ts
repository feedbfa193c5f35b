/** Numbers of the host's errors (errno(3) of Linux): those of the machine that the client runs on may be others. */
export const hostErrno = {
  ...{
    EPERM: 1,
    ENOENT: 2,
    ENXIO: 6,
    EACCES: 13,
    EEXIST: 17,
    EXDEV: 18,
    ENOTDIR: 20,
    EISDIR: 21,
    EINVAL: 22,
    ENOSPC: 28,
    EROFS: 30,
    ELOOP: 40,
  },
  ...{ ENOTSOCK: 88, ECONNREFUSED: 111, EDQUOT: 122 },
} as const;
