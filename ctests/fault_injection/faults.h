#ifndef FAULTS_H
#define FAULTS_H

/* faults.h: what the shim and the scenarios have in common.  The Rust
   scenario has the same numbers (tests/faults/scenario.rs). */

/* Kinds of calls.  STAT is fstat and statx, ALLOC each way to allocate,
   CUT is ftruncate, OPEN is openat, THREAD is pthread_create. */

#define KIND_READ   (0)
#define KIND_READV  (1)
#define KIND_WRITE  (2)
#define KIND_WRITEV (3)
#define KIND_LSEEK  (4)
#define KIND_STAT   (5)
#define KIND_POLL   (6)
#define KIND_MMAP   (7)
#define KIND_MUNMAP (8)
#define KIND_ALLOC  (9)
#define KIND_CUT   (10)
#define KIND_PWRITE (11)
#define KIND_OPEN   (12)
#define KIND_SYNC   (13)
#define KIND_RENAME (14)
#define KIND_CLOSE  (15)
#define KIND_THREAD (16)
#define KIND_LOCK   (17)
#define KIND_CNT    (18)

/* Faults: an errno (positive), or: the call transfers one byte, half of
   what it was asked for (rounded up), or nothing without an error. */

#define FAULT_ONE     (-1)
#define FAULT_HALF    (-2)
#define FAULT_NOTHING (-3)

#define FOR_EVER (1L<<62)

/* Stands for all descriptors in faults_plan. */
#define ANY_FD (-2)

/* faults_plan starts a run: of the calls of this kind that the library
   makes, the nth (from 1) and the span-1 after it get the fault.  Calls
   that take a descriptor count only if it is fd.

   To have more calls to fail, all reads and writes of fd can be cut to cap
   bytes (0: are not).  If would_block, every other one of them gives
   EAGAIN first.  Neither counts as injected. */

typedef void (*faults_plan_t)( int kind, long nth, int fault, long span, int fd, unsigned long cap, int would_block );

/* faults_arm says when this thread is in the library: calls made
   meanwhile are the library's.  It is off at first. */

typedef void (*faults_arm_t)( int on );

/* faults_injected returns how many faults this run has seen, faults_live
   how many allocations and memory maps of the library's are not given
   back. */

typedef long (*faults_injected_t)( void );
typedef long (*faults_live_t)( void );

#endif /* FAULTS_H */
