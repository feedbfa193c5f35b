/** Numbers of the host's errors (errno(3) of Linux): those of the machine that the client runs on may be others. */
export const hostErrno = { ENXIO: 6, EISDIR: 21, ENOSPC: 28, EROFS: 30, ELOOP: 40, EDQUOT: 122 } as const;
